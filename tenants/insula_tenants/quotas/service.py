"""Resolve a tenant's limits: its plan's, with the tenant's own over them."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import Session

from insula_tenants.errors import NotFound
from insula_tenants.quotas.limits import Quotas
from insula_tenants.registry.models import Plan, Tenant
from insula_tenants.rollups.models import StorageStatus
from insula_tenants.telemetry.buckets import DAY, Microseconds, microseconds
from insula_tenants.usage.models import UsageGauge


@dataclass(frozen=True, slots=True)
class Allowance:
    """A tenant's limits, and what the worker has written down of its storage."""

    quotas: Quotas
    storage_bytes: int | None = None
    """As last measured; None before the first measurement."""
    raw_from: Microseconds = 0
    """Raw readings before it were dropped; since the epoch."""

    def kept_from(self, now: Microseconds) -> Microseconds:
        """The oldest time of which a reading can be taken.

        Where the limit was raised after readings were dropped, none from before `raw_from` can be: rollups of
        that time stay as they are, as there is nothing to make them anew from.
        """
        days = self.quotas.retention_days
        return self.raw_from if days is None else max(self.raw_from, now - days * DAY)


def effective_quotas(core: Session, tenant_id: UUID) -> Quotas:
    """The limits that count for the tenant; `NotFound` when there is none."""
    query = (
        select(Plan.quotas, Tenant.quotas).join(Plan, Plan.name == Tenant.plan).where(Tenant.id == tenant_id)
    )
    row = core.execute(query).one_or_none()
    if row is None:
        raise NotFound(f"there is no tenant {tenant_id}")
    return Quotas.of(row[0], row[1])


def allowance_of(core: Session, tenant_id: UUID) -> Allowance:
    """What `claim_room` and `room_for_points` go by; `NotFound` when there is no such tenant."""
    found = allowances_of(core, [tenant_id])
    if tenant_id not in found:
        raise NotFound(f"there is no tenant {tenant_id}")
    return found[tenant_id]


def allowances_of(core: Session, tenant_ids: Collection[UUID]) -> dict[UUID, Allowance]:
    """The allowances of many tenants, by id, in one statement; tenants that are not are left out.

    They may be kept for some seconds: limits and storage count with that delay, never the number of devices
    and points.
    """
    measured = (
        select(UsageGauge.storage_bytes)
        .where(UsageGauge.tenant_id == Tenant.id)
        .order_by(UsageGauge.day.desc())
        .limit(1)
        .scalar_subquery()
    )
    query = (
        select(Tenant.id, Plan.quotas, Tenant.quotas, measured, StorageStatus.raw_from)
        .join(Plan, Plan.name == Tenant.plan)
        .outerjoin(StorageStatus, StorageStatus.tenant_id == Tenant.id)
        .where(Tenant.id.in_(tenant_ids))
    )
    return {
        tenant_id: Allowance(Quotas.of(plan, own), storage, microseconds(raw_from) if raw_from else 0)
        for tenant_id, plan, own, storage, raw_from in core.execute(query)
    }
