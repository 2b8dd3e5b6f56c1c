"""API keys as the API takes and shows them."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated
from uuid import UUID

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field
from pydantic.config import JsonDict

from insula_platform.access.schemas import Places

_ASKED: JsonDict = {
    "name": "Weather display in the hall",
    "scopes": ["readings:read"],
    "places": {"buildings": [3]},
    "expires_at": "2027-11-23T00:00:00Z",
}
_SHOWN: JsonDict = _ASKED | {
    "id": "0b6f5c1e-6d0f-4b4e-9c0a-0f6f6f1f2a3b",
    "hint": "isk_x8Qd",
    "made_by": "5d1c7f0e-0f7e-4f5c-9a54-5a2d8ce0f7aa",
    "created_at": "2026-11-23T07:15:00Z",
    "last_used_at": None,
}


class NewApiKey(BaseModel):
    """What is asked for."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"example": _ASKED})

    name: Annotated[str, Field(min_length=1, max_length=200, description="What the program does.")]
    scopes: Annotated[
        list[Annotated[str, Field(max_length=50)]],
        Field(min_length=1, max_length=50, description="What it may do: never more than your own request."),
    ]
    places: Places | None = Field(
        default=None, description="Bind it to these places; leave it out for the whole tenant."
    )
    expires_at: AwareDatetime | None = Field(
        default=None, description="At most a year from now; in 90 days if left out."
    )


class ApiKey(BaseModel):
    """A key for a program that cannot do OAuth. It may what it was given and its maker may at the moment."""

    model_config = ConfigDict(json_schema_extra={"example": _SHOWN})

    id: UUID
    name: str
    hint: str = Field(description="The first characters of the key.")
    scopes: list[str]
    places: Places | None = Field(description="The places it is bound to; null for the whole tenant.")
    made_by: UUID = Field(description="Account of the member who made it: when they go, it goes.")
    created_at: datetime
    expires_at: datetime
    last_used_at: datetime | None = Field(description="To the minute; null before the first time.")


class MadeApiKey(ApiKey):
    """The same, with the key itself."""

    model_config = ConfigDict(
        json_schema_extra={"example": _SHOWN | {"key": "isk_x8Qd3mZ4v1B0rJt6yLwKcPhN2sUeGfAoXiQ5b7DnTaM"}}
    )

    key: str | None = Field(
        description="Send it as `Authorization: Bearer …`. Shown this once; null when an earlier request "
        "with this Idempotency-Key made it."
    )
