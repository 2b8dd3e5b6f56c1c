"""Resolve, list and create tenants."""

from __future__ import annotations

from functools import cache
from uuid import UUID, uuid4

from sqlalchemy import select, text
from sqlalchemy.orm import Session

from insula_tenants import context, roles
from insula_tenants.administration import Administration
from insula_tenants.context import TenantContext
from insula_tenants.errors import Conflict, InvalidInput, NotFound, TenantUnavailable
from insula_tenants.migrate import head, publish_version, upgrade_schema
from insula_tenants.names import check_slug, is_slug, schema_of
from insula_tenants.registry.models import Tenant
from insula_tenants.settings import MAIN


def resolve_tenant(core: Session, slug: str) -> TenantContext:
    """The context of the tenant named `slug`.

    Raises `NotFound` when there is none, `TenantUnavailable` when its schema is at a version that this
    release does not know.
    """
    tenant = core.scalar(select(Tenant).where(Tenant.slug == slug)) if is_slug(slug) else None
    return _context(tenant, slug)


def resolve_tenant_by_id(core: Session, tenant_id: UUID) -> TenantContext:
    """The context of the tenant with this id; errors as `resolve_tenant`."""
    return _context(core.get(Tenant, tenant_id), str(tenant_id))


def list_tenants(core: Session) -> list[Tenant]:
    """All tenants, by slug."""
    return list(core.scalars(select(Tenant).order_by(Tenant.slug)))


def create_tenant(admins: Administration, slug: str, name: str, *, database: str = MAIN) -> UUID:
    """Create a tenant: registry row, role, schema and tables.

    PostgreSQL's DDL is transactional, roles included, so the schema is made in one transaction of the
    tenant's database. Until the registry says that it is there, the tenant is not found by anybody.
    Raises `InvalidInput` for a bad slug, name or database and `Conflict` when the slug is taken.
    """
    schema = schema_of(check_slug(slug))
    if not name.strip():
        raise InvalidInput("name", "the name is empty: give the tenant a name that people know it by")
    home = admins.database(database)
    tenant_id = uuid4()
    with admins.registry.begin() as connection:
        inserted = connection.execute(
            text(
                "INSERT INTO insula.tenants (id, slug, name, database, status)"
                " VALUES (:id, :slug, :name, :database, 'creating') ON CONFLICT (slug) DO NOTHING"
            ),
            {"id": tenant_id, "slug": slug, "name": name.strip(), "database": database},
        )
        if inserted.rowcount == 0:
            raise Conflict(f"there is a tenant {slug!r} already")
    with home.begin() as connection:
        roles.ensure_role(connection, schema)
        for login in roles.service_logins(connection):
            roles.grant_membership(connection, schema, login)
        roles.ensure_schema(connection, schema)
        upgrade_schema(connection, "tenant", schema)
    with admins.registry.begin() as connection:
        publish_version(connection, slug)
        connection.execute(
            text("UPDATE insula.tenants SET status = 'active' WHERE id = :id"), {"id": tenant_id}
        )
    return tenant_id


@cache
def _known_version() -> str:
    return head("tenant")


def _context(tenant: Tenant | None, called: str) -> TenantContext:
    if tenant is None or tenant.schema_version is None:
        raise NotFound(f"there is no tenant {called!r}")
    if tenant.schema_version != _known_version():
        raise TenantUnavailable(
            f"tenant {tenant.slug!r} is at schema version {tenant.schema_version}, this release needs "
            f"{_known_version()}: run `insula migrate`"
        )
    return context._mint(
        id=tenant.id, slug=tenant.slug, schema=schema_of(tenant.slug), database=tenant.database
    )
