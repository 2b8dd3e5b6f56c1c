"""Presence as the API shows it."""

from __future__ import annotations

from datetime import datetime

from pydantic import BaseModel, ConfigDict, Field

from insula_tenants.presence import PresenceState


class Presence(BaseModel):
    """Whether a device is there."""

    model_config = ConfigDict(
        from_attributes=True,
        json_schema_extra={
            "example": {
                "device": "meeting-room-1-temperature",
                "state": "stale",
                "since": "2026-11-23T07:18:00Z",
                "connected_at": "2026-11-20T09:00:00Z",
                "disconnected_at": None,
                "last_heard_at": "2026-11-23T07:15:00Z",
                "expected_interval": 60,
            }
        },
    )

    device: str
    state: PresenceState = Field(
        description="`online`: connected, or sending as it should; `offline`: its status or its last will "
        "says so; `stale`: silent for three expected intervals; `unknown`: it tells no status, and nobody "
        "said how often it sends."
    )
    since: datetime | None = Field(description="Since when; null when nobody knows.")
    connected_at: datetime | None = Field(description="When its status last became `online`.")
    disconnected_at: datetime | None = Field(description="When its status last became `offline`.")
    last_heard_at: datetime | None = Field(description="When it last sent something.")
    expected_interval: int | None = Field(
        description="Seconds between two messages: its own, or its type's; null when nobody said."
    )


class PresenceChange(BaseModel):
    """That a device came, left, or fell silent."""

    model_config = ConfigDict(
        from_attributes=True,
        json_schema_extra={"example": {"state": "offline", "at": "2026-11-23T07:15:00Z"}},
    )

    state: PresenceState
    at: datetime
