"""Limits and usage as the API shows them."""

from __future__ import annotations

from datetime import date, datetime
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field
from pydantic.config import JsonDict

LIMITS: JsonDict = {
    "devices": 25,
    "points": 250,
    "tenant_messages_per_second": 50,
    "device_messages_per_second": 5,
    "tenant_values_per_second": 500,
    "device_values_per_second": 50,
    "api_requests_per_minute": 300,
    "retention_days": 90,
    "storage_bytes": 1073741824,
}
USE: JsonDict = {
    "devices": 12,
    "points": 31,
    "storage_bytes": 104857600,
    "measured_at": "2026-11-23T07:19:00Z",
}
DAY: JsonDict = {
    "day": "2026-11-22",
    "messages": 14400,
    "values": 43200,
    "bytes": 1512000,
    "dead_letters": 3,
    "throttled": 0,
    "api_calls": 812,
    "devices_seen": 11,
    "devices": 12,
    "points": 31,
    "storage_bytes": 104857600,
    "measured_at": "2026-11-22T23:19:00Z",
}


class Limits(BaseModel):
    """The limits that count. Null is unlimited."""

    model_config = ConfigDict(from_attributes=True, json_schema_extra={"example": LIMITS})

    devices: int | None
    points: int | None
    tenant_messages_per_second: int | None = Field(description="MQTT messages of all devices together.")
    device_messages_per_second: int | None = Field(description="MQTT messages of each device.")
    tenant_values_per_second: int | None
    device_values_per_second: int | None
    api_requests_per_minute: int | None
    retention_days: int | None = Field(description="Days that raw readings are kept; rollups stay.")
    storage_bytes: int | None


class Use(BaseModel):
    """What there is of what is limited."""

    model_config = ConfigDict(from_attributes=True, json_schema_extra={"example": USE})

    devices: int | None = Field(description="The operator is told what was last measured.")
    points: int | None = Field(description="The operator is told what was last measured.")
    storage_bytes: int | None = Field(
        description="When it was last measured, which is done each hour; null before the first time."
    )
    measured_at: datetime | None


class TenantQuotas(BaseModel):
    """What a tenant may use, and what it uses."""

    model_config = ConfigDict(
        from_attributes=True,
        json_schema_extra={"example": {"plan": "trial", "limits": LIMITS, "use": USE}},
    )

    plan: str
    limits: Limits
    use: Use


class UsageDay(BaseModel):
    """What was used on one day (UTC), and what there was at its last measurement."""

    model_config = ConfigDict(from_attributes=True, json_schema_extra={"example": DAY})

    day: date
    messages: int = Field(description="MQTT messages that were taken in.")
    values: int = Field(description="Values that were stored.")
    bytes: int = Field(description="Bytes of the messages' payloads.")
    dead_letters: int
    throttled: int = Field(description="Messages over a limit by the second.")
    api_calls: int = Field(description="API requests that were admitted.")
    devices_seen: int = Field(description="Devices that sent something.")
    devices: int | None = Field(description="Devices there were; null when nothing was measured that day.")
    points: int | None
    storage_bytes: int | None
    measured_at: datetime | None


class TenantUsageDay(UsageDay):
    """The same, of one tenant among others."""

    model_config = ConfigDict(
        from_attributes=True,
        json_schema_extra={
            "example": {"tenant_id": "0b6f5c1e-6d0f-4b4e-9c0a-0f6f6f1f2a3b", "tenant": "acme", **DAY}
        },
    )

    tenant_id: UUID
    tenant: str = Field(description="The tenant's slug.")
