"""Resolve, list and create tenants."""

from __future__ import annotations

from functools import cache
from uuid import UUID, uuid4

from sqlalchemy import Engine, select, text
from sqlalchemy.orm import Session

from insula_tenants import context, roles
from insula_tenants.context import TenantContext
from insula_tenants.errors import Conflict, InvalidInput, NotFound, TenantUnavailable
from insula_tenants.migrate import head, upgrade_tenant
from insula_tenants.names import check_slug, is_slug, schema_of
from insula_tenants.registry.models import Tenant


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


def create_tenant(admin: Engine, slug: str, name: str) -> UUID:
    """Create a tenant: registry row, role, schema and tables, in one transaction.

    PostgreSQL's DDL is transactional, roles included, so nothing half-made is ever visible.
    Raises `InvalidInput` for a bad slug or name and `Conflict` when the slug, or the schema name it maps to,
    is taken.
    """
    schema = schema_of(check_slug(slug))
    if not name.strip():
        raise InvalidInput("name", "the name is empty: give the tenant a name that people know it by")
    tenant_id = uuid4()
    with admin.begin() as connection:
        # Serialized: two slugs may map to one schema name (a-b-c and a-b_c cannot both be slugs, but the
        # check and the insert must see the same registry).
        connection.execute(text("LOCK TABLE insula.tenants IN SHARE ROW EXCLUSIVE MODE"))
        if connection.scalar(text("SELECT 1 FROM insula.tenants WHERE slug = :slug"), {"slug": slug}):
            raise Conflict(f"there is a tenant {slug!r} already")
        connection.execute(
            text("INSERT INTO insula.tenants (id, slug, name) VALUES (:id, :slug, :name)"),
            {"id": tenant_id, "slug": slug, "name": name.strip()},
        )
        roles.ensure_role(connection, schema)
        for login in roles.service_logins(connection):
            roles.grant_membership(connection, schema, login)
        roles.ensure_schema(connection, schema)
        upgrade_tenant(connection, slug, schema)
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
