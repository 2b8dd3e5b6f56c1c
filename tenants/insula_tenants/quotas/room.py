"""Whether there is room for one more: devices and points are counted when they are made.

Each check takes the tenant's lock until its transaction ends and counts what is committed. So of two that
would take the last place, the second waits, counts again and finds none.
"""

from __future__ import annotations

from sqlalchemy import func, select, text
from sqlalchemy.orm import Session

from insula_tenants.devices.models import Device, Point
from insula_tenants.errors import NotAllowed
from insula_tenants.quotas.service import Allowance

_LOCK = text("SELECT pg_advisory_xact_lock(hashtextextended('quotas of ' || current_schema(), 0))")


class QuotaExceeded(NotAllowed):
    """A quota of the tenant is used up."""

    type = "quota-exceeded"

    def __init__(self, quota: str, limit: int, used: int, asked: int = 0) -> None:
        """`quota` is one of `QUOTA_NAMES`; `used` is there already, `asked` would come to it."""
        more = f" and {asked} more are asked for" if asked else ""
        super().__init__(
            f"the quota {quota} is {limit}, {used} are in use{more}: remove some, or ask the platform's "
            "operator for a larger quota"
        )
        self.members = {"quota": quota, "limit": limit, "used": used}


def claim_room(session: Session, allowance: Allowance, *, devices: int = 0, points: int = 0) -> None:
    """See that so many devices and points may be added in this transaction of the tenant.

    Raises `QuotaExceeded` when they would not all fit, or when the tenant's storage is over its quota.
    """
    quotas = allowance.quotas
    if quotas.storage_bytes is not None and (allowance.storage_bytes or 0) > quotas.storage_bytes:
        raise QuotaExceeded("storage_bytes", quotas.storage_bytes, allowance.storage_bytes or 0)
    # A decommissioned device takes no place; its points do, as their readings are kept.
    in_use = select(func.count()).where(Device.state != "decommissioned")
    if quotas.devices is None and quotas.points is None:
        return
    session.execute(_LOCK)
    for name, counted, limit, asked in (
        ("devices", in_use, quotas.devices, devices),
        ("points", select(func.count()).select_from(Point), quotas.points, points),
    ):
        if limit is not None and asked:
            used = session.scalar(counted) or 0
            if used + asked > limit:
                raise QuotaExceeded(name, limit, used, asked)


def room_for_points(session: Session, allowance: Allowance, wanted: int) -> int:
    """How many of `wanted` points may be added in this transaction of the tenant.

    This is for telemetry that names new points. Ask only when there are new ones, and remember for a while
    those that found no room: then nothing is asked for a message.
    """
    quotas = allowance.quotas
    if quotas.storage_bytes is not None and (allowance.storage_bytes or 0) > quotas.storage_bytes:
        return 0
    if quotas.points is None:
        return wanted
    session.execute(_LOCK)
    used = session.scalar(select(func.count()).select_from(Point)) or 0
    return max(0, min(wanted, quotas.points - used))
