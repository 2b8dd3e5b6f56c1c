"""Suspend and resume tenants.

The registry says it first, and API, token endpoint, sign-in and ingest follow what stands there. A broker
that keeps logins of its own is told next; while it cannot be reached the worker goes on telling it.
"""

from __future__ import annotations

import logging

from sqlalchemy.orm import Session

from insula_tenants import audit
from insula_tenants.audit import SYSTEM, Actor
from insula_tenants.broker.access import BrokerAccess, BrokerError
from insula_tenants.database import Databases
from insula_tenants.errors import Conflict, InvalidInput
from insula_tenants.registry.models import Tenant
from insula_tenants.registry.service import ACTIVE, DELETING, SUSPENDED, closed_tenants, find_tenant

log = logging.getLogger(__name__)

_MAX_REASON = 500


def suspend_tenant(core: Session, slug: str, reason: str, *, actor: Actor = SYSTEM) -> Tenant:
    """Close the tenant, telling everybody `reason`; suspending again changes the reason.

    Raises `NotFound`, `InvalidInput` for an unusable reason, `Conflict` when the tenant is being deleted.
    """
    reason = reason.strip()
    if not reason or len(reason) > _MAX_REASON or not reason.isprintable():
        raise InvalidInput(
            "reason",
            f"say why in 1 to {_MAX_REASON} characters on one line: the tenant's people will read it",
        )
    tenant = lock_tenant(core, slug)
    if tenant.status == DELETING:
        raise Conflict(f"tenant {slug!r} is being deleted, and closed already")
    if (tenant.status, tenant.status_reason) != (SUSPENDED, reason):
        tenant.status, tenant.status_reason = SUSPENDED, reason
        audit.record(
            core, actor, "tenant.suspended", tenant=tenant.id, target=slug, detail={"reason": reason}
        )
    return tenant


def resume_tenant(core: Session, slug: str, *, actor: Actor = SYSTEM) -> Tenant:
    """Open a suspended tenant; one that is open stays so.

    Raises `NotFound`, and `Conflict` when the tenant is being deleted.
    """
    tenant = lock_tenant(core, slug)
    if tenant.status == DELETING:
        raise Conflict(f"tenant {slug!r} is being deleted: cancel that first")
    if tenant.status == SUSPENDED:
        tenant.status, tenant.status_reason = ACTIVE, None
        audit.record(core, actor, "tenant.resumed", tenant=tenant.id, target=slug)
    return tenant


def tell_broker(broker: BrokerAccess, slug: str, *, closed: bool) -> None:
    """Close or open the tenant's logins, after its status is committed.

    When the broker is away it is worth a log line and no error: `align_broker` makes up for it.
    """
    try:
        if closed:
            broker.suspend_tenant(slug)
        else:
            broker.resume_tenant(slug)
    except BrokerError as error:
        what = "closed" if closed else "open"
        log.warning("the broker has not heard that tenant %s is %s: %s", slug, what, error.detail)


def align_broker(databases: Databases, broker: BrokerAccess) -> None:
    """Close the logins of all closed tenants at the broker, and open those of all others."""
    with databases.core() as core:
        closed = {tenant.slug for tenant in closed_tenants(core)}
    broker.align(closed)


def lock_tenant(core: Session, slug: str) -> Tenant:
    """The tenant's row, locked until the transaction ends; `NotFound` when there is none."""
    tenant = find_tenant(core, slug)
    core.refresh(tenant, with_for_update=True)
    return tenant
