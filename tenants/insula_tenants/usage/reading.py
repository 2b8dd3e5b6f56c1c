"""Read what tenants used, a row for each tenant and day."""

from __future__ import annotations

from datetime import date, datetime
from typing import NamedTuple
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.orm import Session


class DayOfUse(NamedTuple):
    """What one tenant used on one day (UTC), and what it had."""

    tenant_id: UUID
    tenant: str
    day: date
    messages: int
    values: int
    bytes: int
    dead_letters: int
    throttled: int
    api_calls: int
    devices_seen: int
    """Devices that sent something that day."""
    devices: int | None
    """At the day's last measurement, as `points` and `storage_bytes`; None when none was made."""
    points: int | None
    storage_bytes: int | None
    measured_at: datetime | None


class UsagePosition(NamedTuple):
    """Where a page of usage ended."""

    tenant: str
    day: date


def read_usage(
    core: Session,
    starting: date,
    ending: date,
    *,
    tenant_id: UUID | None = None,
    after: UsagePosition | None = None,
    limit: int = 100,
) -> list[DayOfUse]:
    """Days from `starting` to before `ending`, by tenant and day: those after `after`, at most `limit`.

    Of one tenant, or of all. A day on which nothing was counted or measured is left out.
    """
    rows = core.execute(
        _PAGE,
        {
            "starting": starting,
            "ending": ending,
            "tenant": tenant_id,
            "after_tenant": after.tenant if after else "",
            "after_day": after.day if after else date.min,
            "limit": limit,
        },
    )
    return [DayOfUse(*row) for row in rows]


# The page is cut before anything is summed: what a page costs does not grow with what there is beside it.
_PAGE = text("""
WITH page AS (
    SELECT tenants.id, tenants.slug, days.day
      FROM tenants
     CROSS JOIN LATERAL (
           SELECT day FROM usage_daily WHERE tenant_id = tenants.id AND day >= :starting AND day < :ending
           UNION
           SELECT day FROM usage_gauges WHERE tenant_id = tenants.id AND day >= :starting AND day < :ending
     ) AS days
     WHERE (CAST(:tenant AS uuid) IS NULL OR tenants.id = :tenant)
       AND tenants.slug >= :after_tenant
       AND (tenants.slug, days.day) > (:after_tenant, CAST(:after_day AS date))
     ORDER BY tenants.slug, days.day
     LIMIT :limit
)
SELECT page.id, page.slug, page.day,
       counted.messages, counted.values, counted.bytes, counted.dead_letters, counted.throttled,
       counted.api_calls, seen.devices, had.devices, had.points, had.storage_bytes, had.measured_at
  FROM page
 CROSS JOIN LATERAL (
       SELECT CAST(coalesce(sum(amount) FILTER (WHERE metric = 'messages'), 0) AS bigint) AS messages,
              CAST(coalesce(sum(amount) FILTER (WHERE metric = 'values'), 0) AS bigint) AS values,
              CAST(coalesce(sum(amount) FILTER (WHERE metric = 'bytes'), 0) AS bigint) AS bytes,
              CAST(coalesce(sum(amount) FILTER (WHERE metric = 'dead_letters'), 0) AS bigint) AS dead_letters,
              CAST(coalesce(sum(amount) FILTER (WHERE metric = 'throttled'), 0) AS bigint) AS throttled,
              CAST(coalesce(sum(amount) FILTER (WHERE metric = 'api_calls'), 0) AS bigint) AS api_calls
         FROM usage_daily WHERE tenant_id = page.id AND day = page.day
 ) AS counted
 CROSS JOIN LATERAL (
       SELECT count(*) AS devices FROM usage_devices WHERE tenant_id = page.id AND day = page.day
 ) AS seen
  LEFT JOIN usage_gauges AS had ON had.tenant_id = page.id AND had.day = page.day
 ORDER BY page.slug, page.day
""")
