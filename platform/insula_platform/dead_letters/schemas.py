"""Dead letters as the API shows them."""

from __future__ import annotations

import base64
from datetime import datetime
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

from insula_tenants.telemetry.dead_letters import LetterView
from insula_tenants.telemetry.reasons import Reason

_EXAMPLE: dict[str, Any] = {
    "id": 42,
    "first_received_at": "2026-11-23T07:15:00Z",
    "last_received_at": "2026-11-23T09:15:00Z",
    "times": 3,
    "topic": "tenants/acme/devices/lamp/telemetry",
    "device": "lamp",
    "reason": "unknown_device",
    "detail": "device 'lamp' is not registered with this tenant",
    "payload_bytes": 21,
    "cut_off": False,
    "replay_requested_at": None,
    "replays": 0,
}

ReasonName = Annotated[
    str, Field(description="Why it could not be stored.", json_schema_extra={"enum": [*map(str, Reason)]})
]
"""One of `Reason`. Not checked on the way out: a bundle brings what another release wrote."""


class DeadLetter(BaseModel):
    """A message, or a part of one, that could not be stored. Good values of the same message are stored."""

    model_config = ConfigDict(from_attributes=True, json_schema_extra={"example": _EXAMPLE})

    id: int
    first_received_at: datetime
    last_received_at: datetime
    times: int = Field(description="How often the same message came.")
    topic: str
    device: str
    reason: ReasonName
    detail: str = Field(description="What is wrong, with the field and the fix.")
    payload_bytes: int = Field(description="Bytes of the payload as it was received.")
    cut_off: bool = Field(description="Whether only its beginning was kept: it cannot be replayed.")
    replay_requested_at: datetime | None = Field(description="When a replay was asked for that is not done.")
    replays: int = Field(description="How often it was replayed, and could not be stored again.")


class WholeDeadLetter(DeadLetter):
    """The same with its payload."""

    model_config = ConfigDict(
        json_schema_extra={
            "example": _EXAMPLE | {"payload": "eyJ0ZW1wZXJhdHVyZSI6IDIxLjV9", "text": '{"temperature": 21.5}'}
        }
    )

    payload: str = Field(description="The payload, up to 64 KiB of it, in base64.")
    text: str | None = Field(description="The same as text; null when it is not printable UTF-8.")


class Summary(BaseModel):
    """What there is, what may be kept, and what went."""

    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "reasons": {"unknown_device": 120, "bad_value": 3},
                "letters": 123,
                "payload_bytes": 5210,
                "most_letters": 10000,
                "most_payload_bytes": 67108864,
                "dropped": 0,
                "last_dropped_at": None,
            }
        }
    )

    reasons: dict[str, int] = Field(description="Dead letters by reason.")
    letters: int
    payload_bytes: int = Field(description="Bytes of payloads that are kept.")
    most_letters: int = Field(description="Where there are more, the oldest go.")
    most_payload_bytes: int = Field(description="Where they come to more, the oldest go.")
    dropped: int = Field(description="Those that went so far.")
    last_dropped_at: datetime | None


class Requested(BaseModel):
    """How many will be processed again."""

    model_config = ConfigDict(json_schema_extra={"example": {"letters": 120}})

    letters: int


class Discarded(BaseModel):
    """How many were thrown away."""

    model_config = ConfigDict(json_schema_extra={"example": {"letters": 120}})

    letters: int


def whole(letter: LetterView, payload: bytes) -> WholeDeadLetter:
    """A dead letter with its payload."""
    return WholeDeadLetter(
        **letter._asdict(), payload=base64.b64encode(payload).decode("ascii"), text=_printable(payload)
    )


def _printable(payload: bytes) -> str | None:
    try:
        text = payload.decode("utf-8")
    except UnicodeDecodeError:
        return None
    return text if all(character.isprintable() or character in "\t\r\n" for character in text) else None
