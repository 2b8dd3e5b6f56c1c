"""Add to the audit log, and read it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import Session

from insula_tenants.audit.models import AuditEntry

ActorKind = Literal["person", "client", "key", "operator", "system"]


@dataclass(frozen=True, slots=True)
class Actor:
    """Who does something, and from where."""

    kind: ActorKind
    id: str
    """The account's, client's or API key's id; for the system, the part of it that acts."""
    address: str | None = None
    """Where the request came from."""
    request_id: str | None = None


SYSTEM = Actor("system", "insula")
"""The platform itself: nobody asked."""


def record(
    core: Session,
    actor: Actor,
    action: str,
    *,
    tenant: UUID | None,
    target: str,
    detail: Mapping[str, Any] | None = None,
) -> None:
    """Note in the caller's transaction what it changes: both are there, or neither.

    `action` is a `thing.verb` such as `tenant.suspended`, `target` the name of what it was done to. `detail`
    must hold no secret: it is kept for ever.
    """
    core.add(
        AuditEntry(
            tenant_id=tenant,
            actor_kind=actor.kind,
            actor=actor.id,
            action=action,
            target=target,
            detail=dict(detail or {}),
            address=actor.address,
            request_id=actor.request_id,
        )
    )


def list_entries(
    core: Session, *, tenant: UUID | None = None, before: int | None = None, limit: int = 100
) -> list[AuditEntry]:
    """Entries, newest first: of one tenant, or of all; those older than the entry `before`."""
    query = select(AuditEntry)
    if tenant is not None:
        query = query.where(AuditEntry.tenant_id == tenant)
    if before is not None:
        query = query.where(AuditEntry.id < max(0, min(before, 2**63 - 1)))
    return list(core.scalars(query.order_by(AuditEntry.id.desc()).limit(limit)))
