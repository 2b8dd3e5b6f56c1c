"""Members and invitations as the API takes and shows them."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field
from pydantic.config import JsonDict

from insula_platform.access.schemas import Places

Role = Literal["owner", "admin", "engineer", "viewer"]
RoleField = Annotated[Role, Field(description="At most your own.")]

_PLACES = "The places that an engineer or a viewer has it in; null for the whole tenant."

_MEMBER: JsonDict = {
    "account_id": "5d1c7f0e-0f7e-4f5c-9a54-5a2d8ce0f7aa",
    "email": "erin@example.com",
    "name": "Erin",
    "role": "engineer",
    "places": {"buildings": [3]},
    "since": "2026-11-23T07:15:00Z",
}
_ASKED: JsonDict = {"email": "erin@example.com", "role": "engineer", "places": {"buildings": [3]}}
_INVITATION: JsonDict = _ASKED | {
    "id": "0b6f5c1e-6d0f-4b4e-9c0a-0f6f6f1f2a3b",
    "invited_by": "7c0e5a3c-0d7e-4d86-8a2c-6b1f5f1b6c11",
    "created_at": "2026-11-23T07:15:00Z",
    "expires_at": "2026-12-07T07:15:00Z",
}


class Member(BaseModel):
    """A person who belongs to the tenant."""

    model_config = ConfigDict(json_schema_extra={"example": _MEMBER})

    account_id: UUID
    email: str
    name: str
    role: Role
    places: Places | None = Field(description=_PLACES)
    since: datetime


class MemberChange(BaseModel):
    """What shall be different. What is left out stays."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"example": {"role": "engineer", "places": {"buildings": [3]}}}
    )

    role: RoleField | None = None
    places: Places | None = Field(default=None, description=_PLACES)


class NewInvitation(BaseModel):
    """Whom to invite, and to what."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"example": _ASKED})

    email: Annotated[str, Field(max_length=255)]
    role: RoleField
    places: Places | None = Field(default=None, description=_PLACES)


class Invitation(BaseModel):
    """An invitation that nobody has accepted yet."""

    model_config = ConfigDict(json_schema_extra={"example": _INVITATION})

    id: UUID
    email: str
    role: Role
    places: Places | None = Field(description=_PLACES)
    invited_by: UUID | None = Field(description="Account of who invited; null for the operator and programs.")
    created_at: datetime
    expires_at: datetime


class SentInvitation(Invitation):
    """The same with its link, which is in the letter too."""

    model_config = ConfigDict(
        json_schema_extra={
            "example": _INVITATION
            | {"invitation_link": "https://insula.example.com/invitation#q1hYk0v8mC3xT5zR7wB9nD2fG4jL6pS8"}
        }
    )

    invitation_link: str | None = Field(
        description="As good as a password until it expires: for the invited person alone. Null when an "
        "earlier request with this Idempotency-Key made it."
    )
