"""Create a tenant, in steps that can each be cut off and are then continued.

::

    register      registry: the row, `creating`; the job that remembers what was asked
    build_schema  the tenant's database: role, schema, tables, in one transaction
    publish       registry: `active`, its version, its owner's invitation, the audit entry

Until `publish` commits, the tenant is found by nobody. Each step may be done twice.
"""

from __future__ import annotations

import logging
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import select, text
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from insula_tenants import audit, roles
from insula_tenants.administration import Administration
from insula_tenants.audit import SYSTEM, Actor
from insula_tenants.errors import Conflict, InvalidInput
from insula_tenants.invitations import check_email, invite
from insula_tenants.lifecycle.models import TenantJob
from insula_tenants.migrate import head, upgrade_schema
from insula_tenants.names import check_slug, schema_of
from insula_tenants.registry.models import Plan, Tenant
from insula_tenants.registry.service import ACTIVE, CREATING
from insula_tenants.settings import MAIN

log = logging.getLogger(__name__)

ABANDONED_AFTER = timedelta(minutes=1)
"""A creation that has not moved for so long has lost its maker: others may continue it."""
_MAX_NAME, _MAX_KEY = 200, 200


@dataclass(frozen=True, slots=True)
class CreatedTenant:
    """A tenant that is there, whole."""

    id: UUID
    slug: str
    invitation: str | None
    """The token of its first owner's invitation, shown this once; None when nobody was invited, or when an
    earlier call has made it."""
    repeated: bool
    """Whether an earlier call with the same key had made the tenant already."""


@dataclass(frozen=True, slots=True)
class _Request:
    """What was asked for. A repeated call must ask for the same."""

    slug: str
    name: str
    database: str
    plan: str
    owner_email: str | None


def create_tenant(
    admins: Administration,
    slug: str,
    name: str,
    *,
    database: str = MAIN,
    plan: str = "standard",
    owner_email: str | None = None,
    key: str | None = None,
    actor: Actor = SYSTEM,
) -> CreatedTenant:
    """Create a tenant, whole or not at all.

    The same `key` (an Idempotency-Key) with the same request gives the same tenant; a call that was cut off
    is continued by repeating it. Raises `InvalidInput` for a bad slug, name, database, plan, address or key,
    and `Conflict` when the slug is taken or the key was used for another request.
    """
    request = _checked(admins, slug, name, database, plan, owner_email, key)
    tenant_id, is_there = register(admins, request, key, actor)
    if is_there:
        return CreatedTenant(tenant_id, slug, None, repeated=True)
    build_schema(admins, database, schema_of(slug))
    published, token = publish(admins, tenant_id, actor)
    if not published and key is None:
        raise _taken(slug)  # two without a key met: the other one was first
    return CreatedTenant(tenant_id, slug, token, repeated=not published)


def resume_creations(admins: Administration, *, abandoned_after: timedelta = ABANDONED_AFTER) -> list[str]:
    """Continue the creations that were cut off; the slugs of the tenants that are there now.

    One that fails again is logged and left for the next time.
    """
    with admins.core() as core:
        query = (
            select(Tenant.id, Tenant.slug, Tenant.database, TenantJob.parameters)
            .join(TenantJob, TenantJob.tenant_id == Tenant.id)
            .where(
                Tenant.status == CREATING,
                TenantJob.kind == "create",
                TenantJob.updated_at <= datetime.now(UTC) - abandoned_after,
            )
            .order_by(TenantJob.created_at)
        )
        waiting = core.execute(query).all()
    finished = []
    for tenant_id, slug, database, parameters in waiting:
        try:
            build_schema(admins, database, schema_of(slug))
            publish(admins, tenant_id, Actor(**parameters["actor"]))
        except Exception as error:
            log.exception("tenant %s is still not made", slug)
            _note_failure(admins, tenant_id, error)
        else:
            finished.append(slug)
    return finished


def register(admins: Administration, request: _Request, key: str | None, actor: Actor) -> tuple[UUID, bool]:
    """Take the slug; the tenant's id, and whether it is there already."""
    with admins.core() as core:
        if core.get(Plan, request.plan) is None:
            known = ", ".join(core.scalars(select(Plan.name).order_by(Plan.name)))
            raise InvalidInput("plan", f"there is no plan {request.plan!r}: use one of {known}")
        row = insert(Tenant).values(
            id=uuid4(),
            slug=request.slug,
            name=request.name,
            database=request.database,
            plan=request.plan,
            status=CREATING,
            creation_key=key,
        )
        tenant_id = core.scalar(row.on_conflict_do_nothing().returning(Tenant.id))
        if tenant_id is None:
            return _registered_before(core, request, key)
        core.add(
            TenantJob(
                tenant_id=tenant_id,
                tenant_slug=request.slug,
                kind="create",
                state="running",
                step="register",
                parameters={"request": asdict(request), "actor": asdict(actor)},
            )
        )
        return tenant_id, False


def build_schema(admins: Administration, database: str, schema: str) -> None:
    """Role, schema and tables, in one transaction of the tenant's database (roles are transactional too)."""
    with admins.database(database).begin() as connection:
        # Whoever continues the same creation waits here, and then finds it done.
        connection.execute(text("SELECT pg_advisory_xact_lock(hashtext(:schema))"), {"schema": schema})
        roles.ensure_role(connection, schema)
        for login in roles.service_logins(connection):
            roles.grant_membership(connection, schema, login)
        roles.ensure_schema(connection, schema)
        upgrade_schema(connection, "tenant", schema)


def publish(admins: Administration, tenant_id: UUID, actor: Actor) -> tuple[bool, str | None]:
    """Let the tenant be found. Whether this call did it, and the token of the owner's invitation."""
    with admins.core() as core:
        tenant = core.get_one(Tenant, tenant_id, with_for_update=True)
        if tenant.status != CREATING:
            return False, None
        job = core.scalars(_creation_of(tenant_id)).one()
        asked = job.parameters["request"]
        tenant.status, tenant.schema_version = ACTIVE, head("tenant")
        job.state, job.step, job.error = "done", "publish", None
        token = None
        if asked["owner_email"] is not None:
            token = invite(core, tenant_id, asked["owner_email"], "owner")
        detail = {name: asked[name] for name in ("name", "database", "plan", "owner_email")}
        audit.record(core, actor, "tenant.created", tenant=tenant_id, target=tenant.slug, detail=detail)
        return True, token


def _registered_before(core: Session, request: _Request, key: str | None) -> tuple[UUID, bool]:
    """The tenant that an earlier call registered, if that asked for the same."""
    mine = Tenant.creation_key == key if key is not None else Tenant.slug == request.slug
    tenant = core.scalar(select(Tenant).where(mine))
    if tenant is None:
        raise _taken(request.slug)
    asked = core.scalars(_creation_of(tenant.id)).first()
    same = asked is not None and asked.parameters["request"] == asdict(request)
    if key is not None and not same:
        raise Conflict("the Idempotency-Key was used for another request: give each request a key of its own")
    is_there = tenant.status != CREATING
    if key is None and (is_there or not same or tenant.creation_key is not None):
        raise _taken(request.slug)
    return tenant.id, is_there


def _note_failure(admins: Administration, tenant_id: UUID, error: Exception) -> None:
    with admins.core() as core:
        for job in core.scalars(_creation_of(tenant_id)):
            job.error = str(error).splitlines()[0][:500]


def _creation_of(tenant_id: UUID) -> Any:
    return select(TenantJob).where(TenantJob.tenant_id == tenant_id, TenantJob.kind == "create")


def _taken(slug: str) -> Conflict:
    return Conflict(f"there is a tenant {slug!r} already")


def _checked(
    admins: Administration,
    slug: str,
    name: str,
    database: str,
    plan: str,
    owner_email: str | None,
    key: str | None,
) -> _Request:
    check_slug(slug)
    name = name.strip()
    if not name or len(name) > _MAX_NAME or not name.isprintable():
        problem = "the name is empty" if not name else "the name is too long or has control characters"
        raise InvalidInput(
            "name", f"{problem}: give 1 to {_MAX_NAME} characters that people know the tenant by"
        )
    admins.database(database)
    if owner_email is not None:
        owner_email = check_email(owner_email, field="owner_email")
    if key is not None and not (0 < len(key) <= _MAX_KEY and key.isascii() and key.isprintable()):
        raise InvalidInput("Idempotency-Key", f"use 1 to {_MAX_KEY} printable ASCII characters")
    return _Request(slug, name, database, plan, owner_email)
