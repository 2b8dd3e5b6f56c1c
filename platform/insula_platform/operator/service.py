"""The operator's acts on a tenant: one function for each, which REST and command line share.

Each commits what it changes in the registry, then tells the broker. When that is away the act stands all the
same: the worker goes on telling it.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import NamedTuple
from uuid import UUID

from insula_tenants import audit
from insula_tenants.audit import Actor
from insula_tenants.broker import BrokerAccess
from insula_tenants.database import Databases
from insula_tenants.errors import NotFound
from insula_tenants.invitations import invite
from insula_tenants.lifecycle import (
    ErasureReceipt,
    cancel_deletion,
    request_deletion,
    resume_tenant,
    suspend_tenant,
    tell_broker,
)
from insula_tenants.registry import ACTIVE, Tenant, find_tenant, list_tenants


class TenantView(NamedTuple):
    """A tenant as its operator sees it."""

    id: UUID
    slug: str
    name: str
    status: str
    status_reason: str | None
    plan: str
    database: str
    schema_version: str | None
    created_at: datetime
    delete_after: datetime | None


class ReceiptView(NamedTuple):
    """What is left of an erased tenant."""

    tenant_id: UUID
    tenant_slug: str
    erased_at: datetime
    receipt: str


def show(databases: Databases, slug: str) -> TenantView:
    """The tenant; `NotFound` when there is none."""
    with databases.core() as core:
        return _view(find_tenant(core, slug))


def show_all(databases: Databases, *, after: str | None = None, limit: int | None = None) -> list[TenantView]:
    """Tenants by slug, those after `after`, at most `limit`."""
    with databases.core() as core:
        return [_view(tenant) for tenant in list_tenants(core, after=after, limit=limit)]


def suspend(
    databases: Databases, broker: BrokerAccess, slug: str, reason: str, *, actor: Actor
) -> TenantView:
    """See `suspend_tenant`; the broker's logins close too."""
    with databases.core() as core:
        view = _view(suspend_tenant(core, slug, reason, actor=actor))
    return _told(broker, view)


def resume(databases: Databases, broker: BrokerAccess, slug: str, *, actor: Actor) -> TenantView:
    """See `resume_tenant`; the broker's logins open too."""
    with databases.core() as core:
        view = _view(resume_tenant(core, slug, actor=actor))
    return _told(broker, view)


def delete(
    databases: Databases, broker: BrokerAccess, slug: str, grace: timedelta, *, actor: Actor
) -> TenantView:
    """See `request_deletion`; the broker's logins close too."""
    with databases.core() as core:
        view = _view(request_deletion(core, slug, grace, actor=actor))
    return _told(broker, view)


def keep(databases: Databases, broker: BrokerAccess, slug: str, *, actor: Actor) -> TenantView:
    """See `cancel_deletion`; the broker's logins open, unless the tenant was suspended before."""
    with databases.core() as core:
        view = _view(cancel_deletion(core, slug, actor=actor))
    return _told(broker, view)


def invite_owner(databases: Databases, slug: str, email: str, *, actor: Actor) -> str:
    """Invite an owner, in place of an open invitation to the same address; the token, shown this once."""
    with databases.core() as core:
        tenant = find_tenant(core, slug)
        token = invite(core, tenant.id, email, "owner")
        audit.record(
            core,
            actor,
            "member.invited",
            tenant=tenant.id,
            target=email.strip().lower(),
            detail={"role": "owner"},
        )
    return token


def receipt(databases: Databases, tenant_id: UUID) -> ReceiptView:
    """The receipt of an erased tenant; `NotFound` when there is none."""
    with databases.core() as core:
        found = core.get(ErasureReceipt, tenant_id)
        if found is None:
            raise NotFound(f"there is no erasure receipt of a tenant {str(tenant_id)!r}")
        return ReceiptView(found.tenant_id, found.tenant_slug, found.erased_at, found.receipt)


def _told(broker: BrokerAccess, view: TenantView) -> TenantView:
    tell_broker(broker, view.slug, closed=view.status != ACTIVE)
    return view


def _view(tenant: Tenant) -> TenantView:
    return TenantView(**{name: getattr(tenant, name) for name in TenantView._fields})
