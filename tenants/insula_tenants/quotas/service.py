"""Resolve a tenant's limits: its plan's, with the tenant's own over them."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, fields
from typing import Self
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import Session

from insula_tenants.errors import NotFound
from insula_tenants.registry.models import Plan, Tenant


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


def effective_quotas(core: Session, tenant_id: UUID) -> Quotas:
    """The limits that count for the tenant; `NotFound` when there is none."""
    query = (
        select(Plan.quotas, Tenant.quotas).join(Plan, Plan.name == Tenant.plan).where(Tenant.id == tenant_id)
    )
    row = core.execute(query).one_or_none()
    if row is None:
        raise NotFound(f"there is no tenant {tenant_id}")
    return Quotas.of(row[0], row[1])


def quotas_of(core: Session, tenant_ids: Collection[UUID]) -> dict[UUID, Quotas]:
    """The limits of many tenants, by id; those that do not exist are left out."""
    query = (
        select(Tenant.id, Plan.quotas, Tenant.quotas)
        .join(Plan, Plan.name == Tenant.plan)
        .where(Tenant.id.in_(tenant_ids))
    )
    return {tenant_id: Quotas.of(plan, own) for tenant_id, plan, own in core.execute(query)}
