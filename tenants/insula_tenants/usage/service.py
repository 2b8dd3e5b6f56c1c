"""Add to the counters of a tenant's days."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import date
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.orm import Session

METRICS = ("messages", "values", "bytes", "dead_letters", "throttled", "api_calls")
"""What is counted as it happens, and summed over the day."""

# FOR KEY SHARE: a tenant that is being erased is waited for, and then there is nobody to count for. The
# order of the rows is fixed, so that two processes that add to the same ones never wait for each other.
_ADD = text(
    "INSERT INTO usage_daily (tenant_id, day, metric, amount)"
    " SELECT tenant.id, :day, added.metric, added.amount"
    " FROM (SELECT id FROM tenants WHERE id = :tenant FOR KEY SHARE) AS tenant,"
    " unnest(CAST(:metrics AS text[]), CAST(:amounts AS bigint[])) AS added (metric, amount)"
    " ORDER BY added.metric"
    " ON CONFLICT (tenant_id, day, metric) DO UPDATE SET amount = usage_daily.amount + excluded.amount"
)
_SEEN = text(
    "INSERT INTO usage_devices (tenant_id, day, device_id)"
    " SELECT tenant.id, :day, seen.device_id"
    " FROM (SELECT id FROM tenants WHERE id = :tenant FOR KEY SHARE) AS tenant,"
    " unnest(CAST(:devices AS integer[])) AS seen (device_id)"
    " ORDER BY seen.device_id"
    " ON CONFLICT DO NOTHING"
)


def add_usage(
    core: Session,
    tenant_id: UUID,
    day: date,
    amounts: Mapping[str, int],
    devices: Collection[int] = (),
) -> None:
    """Add `amounts`, by the names in `METRICS`, to the tenant's `day` (UTC), and note the devices seen.

    Nothing is added for a tenant that is gone. Callers collect in memory and add every few seconds: what was
    not added yet is lost with the process. Who adds for several tenants in one transaction does so in the
    order of their ids, lest two processes wait for each other.

    Raises `ValueError` for a metric that there is none of.
    """
    if unknown := sorted(amounts.keys() - set(METRICS)):
        raise ValueError(f"no such metric: {', '.join(unknown)}")
    counted = {metric: amount for metric, amount in amounts.items() if amount}
    if devices and not counted:
        counted = {"messages": 0}  # a day of which nothing is counted is in no list
    if counted:
        core.execute(
            _ADD,
            {
                "tenant": tenant_id,
                "day": day,
                "metrics": list(counted),
                "amounts": list(counted.values()),
            },
        )
    if devices:
        core.execute(_SEEN, {"tenant": tenant_id, "day": day, "devices": list(devices)})
