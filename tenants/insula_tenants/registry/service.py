"""Resolve and list tenants.

A tenant that is still being made is found by nobody. One that is suspended or being deleted is closed: it
resolves for those who look after it, and for nobody who acts in it.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from functools import cache
from typing import Any, NamedTuple
from uuid import UUID

import psycopg
from sqlalchemy import select
from sqlalchemy.orm import Session

from insula_tenants import context
from insula_tenants.context import TenantContext
from insula_tenants.errors import (
    InsulaError,
    NotFound,
    TenantClosed,
    TenantDeleting,
    TenantSuspended,
    TenantUnavailable,
)
from insula_tenants.migrate import head
from insula_tenants.names import is_slug, schema_of
from insula_tenants.registry.models import Tenant

CREATING, ACTIVE, SUSPENDED, DELETING = "creating", "active", "suspended", "deleting"

_COLUMNS = ("id", "slug", "database", "schema_version", "status", "status_reason", "delete_after", "quotas")

_CLOSED_OF = "SELECT id, slug, status, status_reason, delete_after FROM tenants WHERE id = ANY(%s)"


class ResolvedTenant(NamedTuple):
    """A tenant to act in, and where its limits come from: `Quotas.of(*limits)` makes them."""

    context: TenantContext
    limits: tuple[Mapping[str, int | None], Mapping[str, int | None]]
    """Its plan's and its own."""


class ClosedTenant(NamedTuple):
    """A tenant that nobody may act in, and why."""

    id: UUID
    slug: str
    why: TenantClosed


def resolve_tenant(core: Session, slug: str) -> TenantContext:
    """The context of the tenant named `slug`, to act in it.

    Raises `NotFound` when there is none, `TenantSuspended` or `TenantDeleting` with the reason when it is
    closed, `TenantUnavailable` when its schema is at a version that this release does not know.
    """
    return _open(_find(core, slug), slug)


def resolve_tenant_by_id(core: Session, tenant_id: UUID) -> TenantContext:
    """The context of the tenant with this id; errors as `resolve_tenant`."""
    return _open(core.get(Tenant, tenant_id), str(tenant_id))


def resolve_closed_or_open(core: Session, slug: str) -> TenantContext:
    """The context of the tenant named `slug`, closed or not: for those who look after it.

    Errors as `resolve_tenant`, but for those of closed tenants.
    """
    return _mint(_find(core, slug), slug)


def resolve_many(
    core: Session, slugs: Collection[str]
) -> dict[str, TenantContext | NotFound | TenantUnavailable]:
    """The context of each of these tenants, closed or not, or why there is none; in one statement."""
    query = select(Tenant).where(Tenant.slug.in_([slug for slug in slugs if is_slug(slug)]))
    found = {tenant.slug: tenant for tenant in core.scalars(query)}
    resolved: dict[str, TenantContext | NotFound | TenantUnavailable] = {}
    for slug in slugs:
        try:
            resolved[slug] = _mint(found.get(slug), slug)
        except (NotFound, TenantUnavailable) as error:
            resolved[slug] = error
    return resolved


def opened(row: Mapping[str, Any] | None, slug: str) -> ResolvedTenant:
    """The tenant of a row with the columns of `tenants`, and `of_plan`; errors as `resolve_tenant`."""
    tenant = Tenant(**{name: row[name] for name in _COLUMNS}) if row else None
    context = _open(tenant, slug)
    return ResolvedTenant(context, (row["of_plan"], row["quotas"]) if row else ({}, {}))


async def why_closed_async(
    connection: psycopg.AsyncConnection[dict[str, Any]], tenant_ids: Sequence[UUID]
) -> dict[UUID, InsulaError]:
    """Which of these tenants nobody may act in any more, and why; on `AsyncDatabases.core`'s connection."""
    cursor = await connection.execute(_CLOSED_OF, (list(tenant_ids),))
    found = {row["id"]: Tenant(**row) for row in await cursor.fetchall()}
    closed: dict[UUID, InsulaError] = {}
    for tenant_id in tenant_ids:
        tenant = found.get(tenant_id)
        why = why_closed(tenant) if tenant else NotFound("the tenant is gone")
        if why is not None:
            closed[tenant_id] = why
    return closed


def closed_tenants(core: Session) -> list[ClosedTenant]:
    """The tenants that are suspended or being deleted, by slug."""
    query = select(Tenant).where(Tenant.status.in_((SUSPENDED, DELETING))).order_by(Tenant.slug)
    return [
        ClosedTenant(tenant.id, tenant.slug, why)
        for tenant in core.scalars(query)
        if (why := why_closed(tenant)) is not None
    ]


def why_closed(tenant: Tenant) -> TenantClosed | None:
    """What to answer who wants to act in this tenant; None when they may."""
    if tenant.status == SUSPENDED:
        return TenantSuspended(f"tenant {tenant.slug!r} is suspended: {tenant.status_reason}")
    if tenant.status == DELETING:
        day = f" after {tenant.delete_after:%Y-%m-%d %H:%M} UTC" if tenant.delete_after else ""
        return TenantDeleting(
            f"tenant {tenant.slug!r} is to be deleted{day}: until then its operator can cancel that"
        )
    return None


def find_tenant(core: Session, slug: str, *, for_update: bool = False) -> Tenant:
    """The tenant's row; `NotFound` when there is none, or when it is still being made."""
    tenant = _find(core, slug)
    if tenant is None or tenant.schema_version is None:
        raise NotFound(f"there is no tenant {slug!r}")
    if for_update:
        core.refresh(tenant, with_for_update={"key_share": True})
    return tenant


def list_tenants(core: Session, *, after: str | None = None, limit: int | None = None) -> list[Tenant]:
    """Tenants by slug, those after `after`, at most `limit`. Those still being made are left out."""
    query = select(Tenant).where(Tenant.status != CREATING, Tenant.schema_version.is_not(None))
    if after is not None:
        query = query.where(Tenant.slug > after)
    return list(core.scalars(query.order_by(Tenant.slug).limit(limit)))


def _find(core: Session, slug: str) -> Tenant | None:
    return core.scalar(select(Tenant).where(Tenant.slug == slug)) if is_slug(slug) else None


@cache
def _known_version() -> str:
    return head("tenant")


def _open(tenant: Tenant | None, called: str) -> TenantContext:
    minted = _mint(tenant, called)
    if tenant is not None and (closed := why_closed(tenant)):
        raise closed
    return minted


def _mint(tenant: Tenant | None, called: str) -> TenantContext:
    if tenant is None or tenant.schema_version is None or tenant.status == CREATING:
        raise NotFound(f"there is no tenant {called!r}")
    if tenant.schema_version != _known_version():
        raise TenantUnavailable(
            f"tenant {tenant.slug!r} is at schema version {tenant.schema_version}, this release needs "
            f"{_known_version()}: run `insula migrate`"
        )
    return context._mint(
        id=tenant.id, slug=tenant.slug, schema=schema_of(tenant.slug), database=tenant.database
    )
