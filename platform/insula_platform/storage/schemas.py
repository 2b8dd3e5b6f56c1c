"""Storage as the API shows it."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

_EXAMPLE: dict[str, Any] = {
    "engine": "timescaledb",
    "compresses": True,
    "complete_until": "2026-11-24T14:30:00Z",
    "raw_from": "2026-08-20T00:00:00Z",
    "lag_seconds": 0.0,
    "dirty_ranges": 0,
    "dirty_seconds": 0.0,
    "checked_at": "2026-11-24T15:10:00Z",
    "refreshed_at": "2026-11-24T15:00:12Z",
    "tended_at": "2026-11-24T14:41:07Z",
    "readings": 14_400_000,
    "raw_bytes": 48_200_000,
    "rollup_bytes": 21_500_000,
    "bytes_per_reading": 3.35,
    "retention_days": 90,
}


class Storage(BaseModel):
    """How a tenant's storage does. What is null was not looked at yet."""

    model_config = ConfigDict(from_attributes=True, json_schema_extra={"example": _EXAMPLE})

    engine: str | None = Field(description="`timescaledb` or `postgresql`.")
    compresses: bool | None = Field(description="Whether the engine compresses old readings.")
    complete_until: datetime | None = Field(
        description="Rollups hold everything before, but for the dirty ranges. Answers are complete all the "
        "same: they take raw readings for the rest."
    )
    raw_from: datetime | None = Field(
        description="Raw readings before are gone, rollups stay; null: none are gone."
    )
    lag_seconds: float | None = Field(description="How far rollups are behind where they can be.")
    dirty_ranges: int | None = Field(
        description="Stretches in which readings came late, still to be made anew."
    )
    dirty_seconds: float | None = Field(description="The length of all of them together.")
    checked_at: datetime | None = Field(description="When the worker looked.")
    refreshed_at: datetime | None = Field(description="When rollups were last made.")
    tended_at: datetime | None = Field(description="When sizes were last taken.")
    readings: int | None = Field(description="Raw readings, as the server estimates them.")
    raw_bytes: int | None = Field(description="What they take on disk, with indexes.")
    rollup_bytes: int | None = Field(description="What the rollups take.")
    bytes_per_reading: float | None = Field(description="Of the raw readings.")
    retention_days: int | None = Field(
        description="Days that raw readings are kept; null: for ever. They go by whole chunks."
    )


class TenantStorage(Storage):
    """How the storage of one of the operator's tenants does."""

    model_config = ConfigDict(
        from_attributes=True, json_schema_extra={"example": {"tenant": "acme", **_EXAMPLE}}
    )

    tenant: str = Field(description="The tenant's slug.")
