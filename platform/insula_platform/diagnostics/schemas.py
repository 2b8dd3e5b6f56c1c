"""Diagnostics as the API shows them."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from insula_platform.presence.schemas import Presence
from insula_tenants.devices.credentials import CredentialState
from insula_tenants.diagnostics.verdict import Code


class Verdict(BaseModel):
    """What is the matter, in plain words."""

    model_config = ConfigDict(from_attributes=True)

    code: Code = Field(description="For programs; `well` when nothing is wrong.")
    summary: str
    to_do: str | None = Field(description="The one thing to do; null when there is nothing.")


class Refusal(BaseModel):
    """What the broker refused the device last."""

    model_config = ConfigDict(from_attributes=True)

    at: datetime
    what: Literal["connection", "publish", "subscribe"]
    reason: str
    times: int = Field(description="Refusals so far.")


class Letters(BaseModel):
    """Its dead letters of the last day with one reason."""

    model_config = ConfigDict(from_attributes=True)

    reason: str
    letters: int
    last_received_at: datetime
    detail: str = Field(description="Of the last one: what is wrong, and the fix.")


class Login(BaseModel):
    """One of its logins."""

    model_config = ConfigDict(from_attributes=True)

    username: str
    state: CredentialState
    expires_at: datetime | None


class Certificate(BaseModel):
    """One of its certificates that is good at this moment."""

    serial: str
    expires_at: datetime


class Diagnostics(BaseModel):
    """Everything that is known of a device's way to the platform."""

    model_config = ConfigDict(
        from_attributes=True,
        json_schema_extra={
            "example": {
                "device": "meeting-room-1-temperature",
                "at": "2026-11-23T07:20:00Z",
                "verdict": {
                    "code": "publish_refused",
                    "summary": "The device is connected, and the broker refuses what it does: the device "
                    "may not publish on 'temperature': it has topics of its own. Last at 2026-11-23 07:19:30 "
                    "UTC.",
                    "to_do": "Have the device use its own topics alone: they are in its connection details.",
                },
                "presence": {
                    "device": "meeting-room-1-temperature",
                    "state": "online",
                    "since": "2026-11-23T07:19:30Z",
                    "connected_at": "2026-11-23T07:19:30Z",
                    "disconnected_at": "2026-11-23T07:19:29Z",
                    "last_heard_at": None,
                    "expected_interval": 60,
                },
                "last_message_at": None,
                "last_refusal": {
                    "at": "2026-11-23T07:19:30Z",
                    "what": "publish",
                    "reason": "the device may not publish on 'temperature': it has topics of its own",
                    "times": 12,
                },
                "dead_letters": [],
                "clock_offset": None,
                "clock_offset_at": None,
                "throttled": 0,
                "throttled_at": None,
                "logins": [
                    {
                        "username": "acme/meeting-room-1-temperature",
                        "state": "good",
                        "expires_at": None,
                    }
                ],
                "certificates": [],
            }
        },
    )

    device: str
    at: datetime = Field(description="When this was collected.")
    verdict: Verdict
    presence: Presence
    last_message_at: datetime | None = Field(
        description="When its last message was received; up to half a minute behind."
    )
    last_refusal: Refusal | None = Field(
        description="Up to half a minute behind. Mosquitto does not say whom it refused a connection."
    )
    dead_letters: list[Letters]
    clock_offset: float | None = Field(
        description="Seconds from the time its messages name to their receipt, the least of half a minute. "
        "Below zero its clock is ahead; above, it is behind, or what it kept back came. Null before it "
        "named one."
    )
    clock_offset_at: datetime | None
    throttled: int = Field(description="Messages that were over a limit so far.")
    throttled_at: datetime | None
    logins: list[Login] = Field(description="Newest first.")
    certificates: list[Certificate]
