"""Bring the core and every tenant to the schema of this release.

Each step is one transaction under the owner's role: it is there whole or not at all, and running it again
continues where it stopped.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib import resources

from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
from psycopg import sql
from sqlalchemy import Connection, Engine, NullPool, create_engine, make_url, text

from insula_tenants import roles
from insula_tenants.names import CORE_SCHEMA, OWNER_ROLE
from insula_tenants.storage import detect_engine
from insula_tenants.storage.engine import FUNCTIONS_SCHEMA, install_extension

log = logging.getLogger(__name__)

_LOCK = 0x1A501A  # one migration at a time in a database, whoever starts it


@dataclass(frozen=True, slots=True)
class MigrationReport:
    """What a run of `migrate` did."""

    engine: str
    engine_version: str
    core_version: str
    migrated: list[str] = field(default_factory=list)
    """Slugs of the tenants that are now at this release's version."""
    failed: dict[str, str] = field(default_factory=dict)
    """Slugs of the tenants that are not, with the reason."""


def admin_engine(admin_url: str) -> Engine:
    """An engine for the administrator's URL: no pool, and a lock timeout so that nobody waits long."""
    return create_engine(
        make_url(admin_url).set(drivername="postgresql+psycopg"),
        poolclass=NullPool,
        hide_parameters=True,
        connect_args={
            "prepare_threshold": None,
            "application_name": "insula-migrate",
            "options": "-c lock_timeout=5s -c timezone=UTC",
        },
    )


def head(tree: str) -> str:
    """The newest revision of a tree, `core` or `tenant`."""
    revision = ScriptDirectory.from_config(_config(tree)).get_current_head()
    assert revision is not None, f"the {tree} tree has no revision"  # noqa: S101 - a broken package, not input
    return revision


def migrate(admin_url: str, service_url: str) -> MigrationReport:
    """Prepare roles, then upgrade the core and, one by one, every tenant."""
    engine = admin_engine(admin_url)
    with engine.begin() as connection:
        connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _LOCK})
        install_extension(connection)
        _prepare_roles(connection, service_url)
        storage = detect_engine(connection)
        report = MigrationReport(storage.name, storage.version(connection), head("core"))
        upgrade_schema(connection, "core", CORE_SCHEMA)
    with engine.begin() as connection:
        tenants = connection.execute(
            text("SELECT slug, 'tenant_' || replace(slug, '-', '_') FROM insula.tenants ORDER BY slug")
        ).all()
    for slug, schema in tenants:
        try:
            with engine.begin() as connection:
                upgrade_tenant(connection, slug, schema)
            report.migrated.append(slug)
        except Exception as error:
            log.exception("tenant %s could not be migrated", slug)
            report.failed[slug] = str(error).splitlines()[0]
    return report


def upgrade_tenant(connection: Connection, slug: str, schema: str) -> None:
    """Upgrade one tenant's schema and write its version into the registry, in the caller's transaction."""
    upgrade_schema(connection, "tenant", schema)
    connection.execute(
        text("UPDATE insula.tenants SET schema_version = :version WHERE slug = :slug"),
        {"version": head("tenant"), "slug": slug},
    )


def upgrade_schema(connection: Connection, tree: str, schema: str) -> None:
    """Upgrade `schema` to the head of `tree`, as the owner, in the caller's transaction."""
    with _acting_as_owner(connection, schema):
        config = _config(tree)
        config.attributes.update(connection=connection, schema=schema)
        command.upgrade(config, "head")
        roles.execute(
            connection,
            sql.SQL("REVOKE INSERT, UPDATE, DELETE ON schema_version FROM {}").format(sql.Identifier(schema)),
        )


@contextmanager
def _acting_as_owner(connection: Connection, schema: str) -> Iterator[None]:
    settings = text("SELECT set_config('role', :role, true), set_config('search_path', :path, true)")
    connection.execute(settings, {"role": OWNER_ROLE, "path": f'"{schema}"'})
    yield
    # Not in a `finally`: after an error the transaction is dead and takes both settings with it.
    connection.execute(settings, {"role": "none", "path": ""})


def _prepare_roles(connection: Connection, service_url: str) -> None:
    roles.ensure_role(connection, OWNER_ROLE)
    roles.ensure_role(connection, CORE_SCHEMA)
    login = roles.ensure_service_login(connection, service_url)
    roles.grant_membership(connection, CORE_SCHEMA, login)
    roles.ensure_schema(connection, CORE_SCHEMA)
    functions = sql.Identifier(FUNCTIONS_SCHEMA)
    roles.execute(
        connection,
        sql.SQL("CREATE SCHEMA IF NOT EXISTS {} AUTHORIZATION {}").format(
            functions, sql.Identifier(OWNER_ROLE)
        ),
    )
    roles.execute(connection, sql.SQL("GRANT USAGE ON SCHEMA {} TO PUBLIC").format(functions))


def _config(tree: str) -> Config:
    config = Config()
    scripts = resources.files("insula_tenants") / "migrations" / tree
    config.set_main_option("script_location", str(scripts).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    return config
