"""Days of usage in pages, and what a tenant has at the moment."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import NamedTuple
from uuid import UUID

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from insula_platform.paging import decode_cursor, encode_cursor
from insula_tenants.context import TenantContext
from insula_tenants.database import Databases
from insula_tenants.devices import Device, Point
from insula_tenants.errors import InvalidInput
from insula_tenants.quotas import Quotas, TenantQuotas, tenant_quotas
from insula_tenants.usage import DayOfUse, UsageGauge, UsagePosition, read_usage

_USUAL = timedelta(days=31)


class UseView(NamedTuple):
    """What there is of what is limited; None where nobody has measured yet."""

    devices: int | None
    points: int | None
    storage_bytes: int | None
    measured_at: datetime | None


class QuotasView(NamedTuple):
    """A tenant's limits, and what it uses of them."""

    plan: str
    of_plan: dict[str, int | None]
    own: dict[str, int | None]
    limits: Quotas
    use: UseView


class UsagePage(NamedTuple):
    """Days of usage, and where the next page begins."""

    days: list[DayOfUse]
    next_cursor: str | None


def present_quotas(databases: Databases, context: TenantContext) -> QuotasView:
    """A tenant's limits; devices and points are counted now, storage is as it was last measured."""
    with databases.core() as core:
        view = measured_quotas(core, context.slug)
    with databases.tenant(context) as session:
        devices = session.scalar(select(func.count()).select_from(Device)) or 0
        points = session.scalar(select(func.count()).select_from(Point)) or 0
    return view._replace(use=view.use._replace(devices=devices, points=points))


def measured_quotas(core: Session, slug: str) -> QuotasView:
    """A tenant's limits, and what it had when last measured; `NotFound` when there is no such tenant."""
    return with_use(core, tenant_quotas(core, slug))


def with_use(core: Session, quotas: TenantQuotas) -> QuotasView:
    """The limits, and what the tenant had when it was last measured."""
    query = select(UsageGauge).where(UsageGauge.tenant_id == quotas.tenant_id)
    last = core.scalar(query.order_by(UsageGauge.day.desc()).limit(1))
    use = UseView(None, None, None, None)
    if last is not None:
        use = UseView(last.devices, last.points, last.storage_bytes, last.measured_at)
    return QuotasView(quotas.plan, quotas.of_plan, quotas.own, quotas.effective, use)


def usage_page(
    databases: Databases,
    starting: date | None,
    ending: date | None,
    *,
    tenant_id: UUID | None = None,
    cursor: str | None = None,
    limit: int = 100,
) -> UsagePage:
    """Days from `starting` to before `ending`, of one tenant or of all, by tenant and day.

    Left out, `ending` is tomorrow and `starting` 31 days before `ending`. Raises `InvalidInput` for a cursor
    of another list, or when the interval is empty.
    """
    ending = ending or datetime.now(UTC).date() + timedelta(days=1)
    if starting is None:
        starting = date.min if ending - date.min < _USUAL else ending - _USUAL
    if starting >= ending:
        raise InvalidInput("from", f"from {starting} to {ending} there is no day: give an earlier from")
    after = _position(cursor) if cursor else None
    with databases.core() as core:
        days = read_usage(core, starting, ending, tenant_id=tenant_id, after=after, limit=limit + 1)
    last = days[limit - 1] if len(days) > limit else None
    return UsagePage(days[:limit], encode_cursor(last.tenant, last.day.isoformat()) if last else None)


def _position(cursor: str) -> UsagePosition:
    tenant, day = decode_cursor(cursor, str, str)
    try:
        return UsagePosition(tenant, date.fromisoformat(day))
    except ValueError:
        raise InvalidInput(
            "cursor", "this is no cursor of this list: use next_cursor of the page before"
        ) from None
