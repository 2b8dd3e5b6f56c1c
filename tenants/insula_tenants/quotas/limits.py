"""Which limits there are, and what may be said of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, Self

from insula_tenants.errors import InvalidInput


@dataclass(frozen=True, slots=True)
class Quotas:
    """Limits of one tenant. None is unlimited."""

    devices: int | None = None
    points: int | None = None
    tenant_messages_per_second: int | None = None
    """MQTT messages of all devices together."""
    device_messages_per_second: int | None = None
    """MQTT messages of each device."""
    tenant_values_per_second: int | None = None
    device_values_per_second: int | None = None
    api_requests_per_minute: int | None = None
    retention_days: int | None = None
    """Days that raw readings are kept; rollups stay."""
    storage_bytes: int | None = None

    @classmethod
    def of(cls, *limits: Mapping[str, int | None]) -> Self:
        """The limits in these mappings; of one that several name, the last counts, and null lifts it."""
        merged: dict[str, int | None] = {}
        for each in limits:
            merged |= each
        return cls(**{name: merged.get(name) for name in QUOTA_NAMES})


QUOTA_NAMES = tuple(field.name for field in fields(Quotas))
"""Every limit there is, as plans and tenants name them."""

MOST: dict[str, int] = {
    "devices": 1_000_000,
    "points": 100_000_000,
    "tenant_messages_per_second": 1_000_000,
    "device_messages_per_second": 1_000_000,
    "tenant_values_per_second": 100_000_000,
    "device_values_per_second": 100_000_000,
    "api_requests_per_minute": 10_000_000,
    "retention_days": 36_500,
    "storage_bytes": 2**60,
}
"""The largest limit of each name: beyond it, a typing error is likelier than a wish."""


def check_quotas(limits: Mapping[str, Any], *, field: str = "quotas") -> dict[str, int | None]:
    """`limits` when each has a known name and is a whole number from 1 to `MOST`, or None for unlimited.

    Raises `InvalidInput` with the field as `<field>.<name>`.
    """
    checked: dict[str, int | None] = {}
    for name, limit in limits.items():
        if name not in MOST:
            raise InvalidInput(
                f"{field}.{name}", f"there is no limit {name!r}: use one of {', '.join(QUOTA_NAMES)}"
            )
        # bool is an int to Python, and 1.0 equals 1: neither is what one means by a limit.
        if limit is not None and (type(limit) is not int or not 1 <= limit <= MOST[name]):
            raise InvalidInput(
                f"{field}.{name}",
                f"{name} cannot be {limit!r}: use a whole number from 1 to {MOST[name]}, "
                "or null for unlimited",
            )
        checked[name] = limit
    return checked
