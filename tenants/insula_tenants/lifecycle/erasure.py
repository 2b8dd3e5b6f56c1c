"""Erase a tenant, in steps that can each be cut off and done again, then look whether anything is left.

::

    begin            registry: from here on there is no way back
    close_broker     the devices' logins, their live sessions, what is retained for them
    close_registry   OAuth clients, grants, codes and refresh tokens, memberships, API keys, invitations, jobs
    forget_elsewhere what is kept beside databases and broker: each `Place` is told
    drop_data        the tenant's database: partitions and chunks in small bites, then the schema
    drop_role        its rights, then the role itself where no other database of the server uses it
    forget           registry: the tenant's row, and all that hangs on it
    certify          look; then the signed receipt, and the last job row goes

Whoever still works for the tenant meets a closed tenant, then a missing schema, then no tenant: each an error
that ingest and the worker live with.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any, NamedTuple, Protocol
from uuid import UUID

from psycopg import sql
from psycopg.errors import DependentObjectsStillExist
from sqlalchemy import delete, select, text
from sqlalchemy.exc import DBAPIError, SQLAlchemyError
from sqlalchemy.orm import Session

from insula_tenants import audit, roles
from insula_tenants.administration import Administration
from insula_tenants.audit import SYSTEM
from insula_tenants.broker.access import BrokerAccess
from insula_tenants.errors import Conflict, InsulaError
from insula_tenants.lifecycle import evidence
from insula_tenants.lifecycle.models import ErasureReceipt, TenantJob
from insula_tenants.names import schema_of
from insula_tenants.registry.models import Tenant
from insula_tenants.registry.service import DELETING

log = logging.getLogger(__name__)

Sign = Callable[[dict[str, Any]], str]
"""Makes the receipt of the claims: a JWS in compact form."""


class Place(Protocol):
    """Something outside of database and broker that keeps things of tenants, such as their bundles."""

    @property
    def name(self) -> str:
        """What the receipt calls it."""

    def forget(self, tenant_id: UUID) -> None:
        """Delete all it has of the tenant; nothing there is no error."""

    def count(self, tenant_id: UUID) -> int:
        """How many things of the tenant it has: looks, and trusts no earlier `forget`."""


_BITE = 20
"""Partitions dropped in one transaction: each takes several locks, of which the server has a fixed number."""


class ErasureIncomplete(InsulaError):
    """Something of an erased tenant is left."""

    type = "erasure-incomplete"


class Erasure(NamedTuple):
    """Which tenant goes, and where it lives."""

    job: UUID
    tenant_id: UUID
    slug: str
    database: str
    places: tuple[Place, ...] = ()


def due_erasures(core: Session) -> list[UUID]:
    """Ids of the tenants whose grace period is over, and of those whose erasure has begun."""
    due = (
        select(TenantJob.tenant_id)
        .outerjoin(Tenant, Tenant.id == TenantJob.tenant_id)
        .where(TenantJob.kind == "delete")
        .where((TenantJob.state != "waiting") | (Tenant.delete_after <= datetime.now(UTC)))
        .order_by(TenantJob.created_at)
    )
    return [tenant_id for tenant_id in core.scalars(due) if tenant_id is not None]


def erase_tenant(
    admins: Administration,
    broker: BrokerAccess,
    tenant_id: UUID,
    sign: Sign,
    places: Sequence[Place] = (),
) -> str:
    """Erase the tenant whose grace period is over, in `places` too; its receipt.

    Repeating it continues where it was cut off. Raises `Conflict` when the deletion is not due,
    `ErasureIncomplete` with what is left, `BrokerError`, and database errors: all leave it to be repeated.
    """
    with admins.core() as core:
        receipt = core.get(ErasureReceipt, tenant_id)
        if receipt is not None:
            return receipt.receipt
    erasure = begin(admins, tenant_id)._replace(places=tuple(places))
    try:
        for step in (close_broker, close_registry, forget_elsewhere, drop_data, drop_role, forget):
            _note(admins, erasure, step.__name__)
            step(admins, broker, erasure)
        return certify(admins, broker, erasure, sign)
    except Exception as error:
        _note(admins, erasure, None, _in_a_line(error))
        raise


def begin(admins: Administration, tenant_id: UUID) -> Erasure:
    """Mark the deletion as begun. What must be known after the tenant's row is gone, the job remembers."""
    with admins.core() as core:
        tenant = core.get(Tenant, tenant_id, with_for_update=True)
        query = select(TenantJob).where(TenantJob.tenant_id == tenant_id, TenantJob.kind == "delete")
        job = core.scalar(query.with_for_update())
        if job is None:
            raise Conflict(f"nobody asked for the deletion of tenant {tenant_id}")
        if job.state == "waiting":
            if tenant is None or tenant.status != DELETING or tenant.delete_after is None:
                raise Conflict(f"nobody asked for the deletion of tenant {tenant_id}")
            if tenant.delete_after > datetime.now(UTC):
                raise Conflict(
                    f"tenant {tenant.slug!r} is not to be deleted before {tenant.delete_after:%Y-%m-%d %H:%M}"
                )
            job.state, job.parameters = "running", {"database": tenant.database}
            audit.record(core, SYSTEM, "tenant.erasure_begun", tenant=tenant_id, target=tenant.slug)
        return Erasure(job.id, tenant_id, job.tenant_slug, job.parameters["database"])


def close_broker(_admins: Administration, broker: BrokerAccess, erasure: Erasure) -> None:
    """Take every login of the tenant's devices."""
    broker.forget_tenant(erasure.slug)


def close_registry(admins: Administration, _broker: BrokerAccess, erasure: Erasure) -> None:
    """Take what lets people and programs in; codes and refresh tokens go with their grants."""
    with admins.core() as core:
        for statement in _CLOSE:
            core.execute(text(statement), {"id": str(erasure.tenant_id), "slug": erasure.slug})


def forget_elsewhere(_admins: Administration, _broker: BrokerAccess, erasure: Erasure) -> None:
    """Have every place forget the tenant. A job that still writes there is found by `certify`."""
    for place in erasure.places:
        place.forget(erasure.tenant_id)


def drop_data(admins: Administration, _broker: BrokerAccess, erasure: Erasure) -> None:
    """Drop the schema with all that is in it."""
    schema = schema_of(erasure.slug)
    engine = admins.database(erasure.database)
    while True:
        with engine.begin() as connection:
            parts = connection.execute(text(_PARTS), {"schema": schema, "most": _BITE}).all()
            for part in parts:
                roles.execute(
                    connection,
                    sql.SQL("DROP TABLE IF EXISTS {} CASCADE").format(
                        sql.Identifier(part.nspname, part.relname)
                    ),
                )
        if not parts:
            break
    with engine.begin() as connection:
        roles.execute(connection, sql.SQL("DROP SCHEMA IF EXISTS {} CASCADE").format(sql.Identifier(schema)))


def drop_role(admins: Administration, _broker: BrokerAccess, erasure: Erasure) -> None:
    """Drop the tenant's role. It stays, without rights here, where another database still gives it some."""
    role = schema_of(erasure.slug)
    engine = admins.database(erasure.database)
    with engine.begin() as connection:
        if not connection.scalar(text("SELECT 1 FROM pg_roles WHERE rolname = :role"), {"role": role}):
            return
        roles.execute(connection, sql.SQL("DROP OWNED BY {} CASCADE").format(sql.Identifier(role)))
    try:
        with engine.begin() as connection:
            roles.execute(connection, sql.SQL("DROP ROLE IF EXISTS {}").format(sql.Identifier(role)))
    except DBAPIError as error:
        if not isinstance(error.orig, DependentObjectsStillExist):
            raise
        log.warning("role %s stays: other databases of the server give it rights", role)


def forget(admins: Administration, _broker: BrokerAccess, erasure: Erasure) -> None:
    """Take the tenant's row, and with it all that refers to it."""
    with admins.core() as core:
        core.execute(delete(Tenant).where(Tenant.id == erasure.tenant_id))


def certify(admins: Administration, broker: BrokerAccess, erasure: Erasure, sign: Sign) -> str:
    """Look for what is left, and keep a signed receipt that nothing was found."""
    logins = evidence.look_at_broker(broker, erasure.slug)
    elsewhere = {place.name: place.count(erasure.tenant_id) for place in erasure.places}
    with admins.database(erasure.database).begin() as connection:
        data = evidence.look_in_database(connection, erasure.slug)
    with admins.core() as core:
        core.execute(delete(TenantJob).where(TenantJob.tenant_id == erasure.tenant_id))
        registry = evidence.look_in_registry(core.connection(), erasure.tenant_id)
        found = {
            "broker": {"logins": logins},
            "database": {"name": erasure.database, **asdict(data)},
            "registry": registry,
            **elsewhere,
        }
        if logins or not data.clean or any(registry.values()) or any(elsewhere.values()):
            raise ErasureIncomplete(f"tenant {erasure.slug!r} is erased in part; left is {found}")
        erased_at = datetime.now(UTC)
        receipt = sign(
            {
                "sub": str(erasure.tenant_id),
                "tenant": erasure.slug,
                "erased_at": erased_at.isoformat(timespec="seconds"),
                "found": found,
            }
        )
        core.add(
            ErasureReceipt(
                tenant_id=erasure.tenant_id, tenant_slug=erasure.slug, erased_at=erased_at, receipt=receipt
            )
        )
        audit.record(
            core, SYSTEM, "tenant.erased", tenant=erasure.tenant_id, target=erasure.slug, detail=found
        )
    return receipt


def _note(admins: Administration, erasure: Erasure, step: str | None, error: str | None = None) -> None:
    try:
        with admins.core() as core:
            job = core.get(TenantJob, erasure.job)
            if job is not None:
                job.step, job.error = step or job.step, error
    except SQLAlchemyError:
        if error is None:
            raise
        log.warning("the failure of an erasure could not be noted: the database is away")


def _in_a_line(error: Exception) -> str:
    told = getattr(error, "orig", None) or error
    return (str(told).splitlines() or [type(error).__name__])[0][:500]


_CLOSE = (
    "DELETE FROM oauth_consents WHERE tenant_id = CAST(:id AS uuid)",
    "DELETE FROM oauth_grants WHERE tenant_id = CAST(:id AS uuid)",
    "DELETE FROM oauth_clients WHERE tenant_id = CAST(:id AS uuid)",
    "DELETE FROM memberships WHERE tenant_id = CAST(:id AS uuid)",
    "DELETE FROM invitations WHERE tenant_id = CAST(:id AS uuid)",
    "DELETE FROM letters WHERE tenant_id = CAST(:id AS uuid)",
    "DELETE FROM tenant_jobs WHERE tenant_id = CAST(:id AS uuid) AND kind <> 'delete'",
    "DELETE FROM idempotency_keys WHERE strpos(scope, :id) > 0 OR body::text LIKE '%' || :id || '%'",
    "DELETE FROM procrastinate_jobs WHERE status <> 'doing'"
    " AND (args->>'tenant' = :slug OR args->>'tenant_id' = :id)",
)

_PARTS = """
SELECT n.nspname, c.relname
  FROM pg_inherits i
  JOIN pg_class c ON c.oid = i.inhrelid AND c.relkind = 'r'
  JOIN pg_namespace n ON n.oid = c.relnamespace
  JOIN pg_class p ON p.oid = i.inhparent
  JOIN pg_namespace pn ON pn.oid = p.relnamespace
 WHERE pn.nspname = :schema
 LIMIT :most
"""
