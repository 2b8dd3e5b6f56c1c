"""A twin as the API shows it."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from insula_tenants.twins.states import MAX_BYTES, MAX_DEPTH


class Twin(BaseModel):
    """What a device is to be, and what it says it is."""

    model_config = ConfigDict(
        from_attributes=True,
        json_schema_extra={
            "example": {
                "device": "meeting-room-1-lamp",
                "desired": {"on": True, "brightness": 80},
                "desired_version": 4,
                "desired_at": "2026-11-23T07:15:00Z",
                "published": True,
                "reported": {"on": True, "brightness": 40, "firmware": "1.2"},
                "reported_version": 9,
                "reported_at": "2026-11-23T07:14:20Z",
                "delta": {"brightness": 80},
            }
        },
    )

    device: str
    desired: dict[str, Any] = Field(description="What it is to be.")
    desired_version: int = Field(description="Changes of the desired state so far; 0 before the first.")
    desired_at: datetime | None = Field(description="When it was changed last.")
    published: bool = Field(
        description="Whether the broker has the desired state. Where not, it gets it as soon as it answers."
    )
    reported: dict[str, Any] = Field(description="What the device says it is.")
    reported_version: int = Field(description="Changes of the reported state so far.")
    reported_at: datetime | None = Field(description="When the device last reported.")
    delta: dict[str, Any] = Field(
        description="What of the desired state the device has not reported, with the desired values. Arrays "
        "count as a whole."
    )


class TwinChanges(BaseModel):
    """What is to change in what the device is to be."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"example": {"desired": {"brightness": 80, "scene": None}}}
    )

    desired: dict[str, Any] = Field(
        description="A JSON merge patch (RFC 7396): what it names is replaced, null removes, the rest stays. "
        f"The state may have {MAX_BYTES // 1024} KiB and {MAX_DEPTH} levels."
    )
