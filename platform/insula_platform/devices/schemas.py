"""Devices and points as the API shows them."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field


class Device(BaseModel):
    """A device."""

    model_config = ConfigDict(
        from_attributes=True,
        json_schema_extra={
            "example": {
                "id": "meeting-room-1-temperature",
                "name": "Temperature, meeting room 1",
                "space_id": 1,
                "created_at": "2026-11-01T09:00:00Z",
                "last_seen": "2026-11-23T07:15:00Z",
            }
        },
    )

    id: str = Field(description="The device's name in topics and URLs.")
    name: str
    space_id: int | None = Field(description="The space it is in; null when nobody said.")
    created_at: datetime
    last_seen: datetime | None = Field(description="Time of its newest reading; null before the first.")


class Point(BaseModel):
    """One measured or commanded quantity of a device."""

    model_config = ConfigDict(
        from_attributes=True,
        json_schema_extra={
            "example": {
                "id": 7,
                "device": "meeting-room-1-temperature",
                "name": "temperature",
                "brick_class": "Zone_Air_Temperature_Sensor",
                "unit": "degC",
                "kind": "gauge",
                "states": None,
                "rollover_at": None,
            }
        },
    )

    id: int
    device: str
    name: str
    brick_class: str | None = Field(description="Class of the Brick ontology; null when nobody said.")
    unit: str | None = Field(description="Unit, as pint names it; null when nobody said or there is none.")
    kind: Literal["gauge", "counter"] = Field(description="A counter is a meter's running total.")
    states: list[str] | None = Field(description="Names of the values 0, 1, …; null for a quantity.")
    rollover_at: float | None = Field(
        description="Where a counter's register begins anew at 0; null when it never does or nobody said."
    )
