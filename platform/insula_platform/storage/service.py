"""What the worker wrote down of tenants' storage."""

from __future__ import annotations

from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import Session

from insula_tenants.quotas import effective_quotas
from insula_tenants.registry import CREATING, Tenant
from insula_tenants.rollups import StorageStatus


class StorageView(NamedTuple):
    """A tenant's storage. All but the tenant is None until the worker has looked."""

    tenant: str
    engine: str | None
    compresses: bool | None
    complete_until: datetime | None
    raw_from: datetime | None
    lag_seconds: float | None
    dirty_ranges: int | None
    dirty_seconds: float | None
    checked_at: datetime | None
    refreshed_at: datetime | None
    tended_at: datetime | None
    readings: int | None
    raw_bytes: int | None
    rollup_bytes: int | None
    retention_days: int | None

    @property
    def bytes_per_reading(self) -> float | None:
        """Of the raw readings on disk; None when there are none."""
        return self.raw_bytes / self.readings if self.raw_bytes is not None and self.readings else None


def storage_of(core: Session, tenant_id: UUID) -> StorageView:
    """One tenant's storage."""
    slug = core.scalars(select(Tenant.slug).where(Tenant.id == tenant_id)).one()
    return _view(core, tenant_id, slug, core.get(StorageStatus, tenant_id))


def storage_of_all(core: Session, *, after: str | None = None, limit: int | None = None) -> list[StorageView]:
    """Tenants' storage by slug, those after `after`, at most `limit`."""
    query = (
        select(Tenant.id, Tenant.slug, StorageStatus)
        .outerjoin(StorageStatus, StorageStatus.tenant_id == Tenant.id)
        .where(Tenant.status != CREATING, Tenant.slug > (after or ""))
        .order_by(Tenant.slug)
        .limit(limit)
    )
    return [_view(core, tenant_id, slug, status) for tenant_id, slug, status in core.execute(query)]


def _view(core: Session, tenant_id: UUID, slug: str, status: StorageStatus | None) -> StorageView:
    names = set(StorageView._fields) - {"tenant", "compresses", "retention_days"}
    return StorageView(
        tenant=slug,
        compresses=status.engine == "timescaledb" if status else None,
        retention_days=effective_quotas(core, tenant_id).retention_days,
        **{name: getattr(status, name) if status else None for name in names},
    )
