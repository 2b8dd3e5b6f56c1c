"""Commands as the API takes and shows them."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from insula_tenants.commands import CommandState
from insula_tenants.commands.service import LONGEST_WAIT, MAX_TIMEOUT


class NewCommand(BaseModel):
    """What a device is to do."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "example": {"name": "blink", "payload": {"times": 3}, "timeout": 30, "deliver_when_back": True}
        },
    )

    name: str = Field(
        min_length=1, max_length=64, description="What to do: letters, digits and `_ . -`, a letter first."
    )
    payload: dict[str, Any] = Field(default_factory=dict, description="With what; up to 32 KiB.")
    timeout: int = Field(
        default=60,
        ge=1,
        le=MAX_TIMEOUT,
        description="Seconds for the result: from now, or with `deliver_when_back` from when the device is "
        "there.",
    )
    deliver_when_back: bool = Field(
        default=False,
        description="Whether a device that is away gets it when it is back, within "
        f"{LONGEST_WAIT.days} days. Otherwise it is for now or never.",
    )


class Command(BaseModel):
    """A command, and what became of it."""

    model_config = ConfigDict(
        from_attributes=True,
        json_schema_extra={
            "example": {
                "id": "0c9e2b1e-6f9f-4b1a-9c3e-1f6e1a2b3c4d",
                "device": "meeting-room-1-lamp",
                "name": "blink",
                "payload": {"times": 3},
                "state": "succeeded",
                "timeout": 30,
                "deliver_when_back": True,
                "actor_kind": "person",
                "actor": "6d0f7c0e-4d2f-4f0e-8a51-0a5d6f2b7c11",
                "created_at": "2026-11-23T07:15:00Z",
                "sent_at": "2026-11-23T07:15:00Z",
                "expires_at": "2026-11-23T07:15:30Z",
                "ended_at": "2026-11-23T07:15:02Z",
                "result": {"blinked": 3},
                "error": None,
                "result_at": "2026-11-23T07:15:02Z",
                "late": False,
            }
        },
    )

    id: UUID
    device: str
    name: str
    payload: dict[str, Any]
    state: CommandState = Field(
        description="`waiting` for the broker, or for a device that nobody keeps it for; `sent`: the broker "
        "has it; `succeeded` or `failed` by the device's result; `timed_out` without one; `cancelled`."
    )
    timeout: int
    deliver_when_back: bool
    actor_kind: str = Field(description="Who gave it: `person`, `client` or `key`.")
    actor: str = Field(description="Their id, as in the audit log.")
    created_at: datetime
    sent_at: datetime | None
    expires_at: datetime | None = Field(
        description="When a result is late; null while it waits for the device to come back."
    )
    ended_at: datetime | None
    result: Any = Field(description="What the device answered; null before.")
    error: str | None = Field(description="What went wrong, in the device's words or ours.")
    result_at: datetime | None
    late: bool = Field(description="Whether the result came after the command was over.")
