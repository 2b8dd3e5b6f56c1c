"""Ask for a tenant's deletion, and think better of it.

From the request on the tenant is closed. When the grace period is over, `erasure.erase_tenant` begins, and
from its first step on there is no way back.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from sqlalchemy import Select, select
from sqlalchemy.orm import Session

from insula_tenants import audit
from insula_tenants.audit import SYSTEM, Actor
from insula_tenants.errors import Conflict, InvalidInput
from insula_tenants.lifecycle.models import TenantJob
from insula_tenants.lifecycle.suspension import lock_tenant
from insula_tenants.registry.models import Tenant
from insula_tenants.registry.service import ACTIVE, DELETING, SUSPENDED

GRACE = timedelta(days=30)
"""How long a deletion can be cancelled, when nobody says otherwise."""
_LONGEST_GRACE = timedelta(days=365)


def request_deletion(core: Session, slug: str, grace: timedelta = GRACE, *, actor: Actor = SYSTEM) -> Tenant:
    """Close the tenant, and have it erased when `grace` is over; asking again changes nothing.

    Raises `NotFound`, and `InvalidInput` for a grace period that is negative or longer than a year.
    """
    if not timedelta(0) <= grace <= _LONGEST_GRACE:
        raise InvalidInput("grace", f"use 0 to {_LONGEST_GRACE.days} days")
    tenant = lock_tenant(core, slug)
    if tenant.status != DELETING:
        tenant.status, tenant.delete_after = DELETING, datetime.now(UTC) + grace
        core.add(TenantJob(tenant_id=tenant.id, tenant_slug=slug, kind="delete"))
        audit.record(
            core,
            actor,
            "tenant.deletion_requested",
            tenant=tenant.id,
            target=slug,
            detail={"delete_after": tenant.delete_after.isoformat()},
        )
    return tenant


def cancel_deletion(core: Session, slug: str, *, actor: Actor = SYSTEM) -> Tenant:
    """Keep the tenant: it is what it was before, open or suspended.

    Raises `NotFound`, and `Conflict` when nobody asked for deletion or the erasure has begun.
    """
    tenant = lock_tenant(core, slug)
    if tenant.status != DELETING:
        raise Conflict(f"nobody asked for the deletion of tenant {slug!r}")
    job = core.scalars(deletion_of(tenant)).one()
    if job.state != "waiting":
        raise Conflict(f"the erasure of tenant {slug!r} has begun: there is no way back")
    core.delete(job)
    tenant.status = SUSPENDED if tenant.status_reason is not None else ACTIVE
    tenant.delete_after = None
    audit.record(core, actor, "tenant.deletion_cancelled", tenant=tenant.id, target=slug)
    return tenant


def deletion_of(tenant: Tenant) -> Select[TenantJob]:
    """The query for the tenant's deletion, locked."""
    query = select(TenantJob).where(TenantJob.tenant_id == tenant.id, TenantJob.kind == "delete")
    return query.with_for_update()
