"""Bring the core and every tenant to the schema of this release.

Each step is one transaction under the owner's role: it is there whole or not at all, and running it again
continues where it stopped. A tenant that fails is named and does not stop the others.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib import resources
from multiprocessing import get_context
from typing import NamedTuple

from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
from psycopg import sql
from sqlalchemy import Connection, Engine, NullPool, create_engine, make_url, text
from sqlalchemy.exc import SQLAlchemyError

from insula_tenants import roles
from insula_tenants.names import CORE_SCHEMA, OWNER_ROLE, schema_of
from insula_tenants.settings import MAIN
from insula_tenants.storage import detect_engine
from insula_tenants.storage.engine import FUNCTIONS_SCHEMA, install_extension

log = logging.getLogger(__name__)

_LOCK = 0x1A501A  # one migration at a time in a database, whoever starts it
_one_at_a_time = threading.Lock()  # Alembic keeps the migration it is at in globals of its modules
_WORTH_PROCESSES = 50
"""Tenants from which on it pays to start further processes."""


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


class _Step(NamedTuple):
    """One tenant to upgrade."""

    slug: str
    admin_url: str


def admin_engine(admin_url: str) -> Engine:
    """An engine for the administrator's URL: no pool, and time limits so that nobody waits long."""
    return create_engine(
        make_url(admin_url).set(drivername="postgresql+psycopg"),
        poolclass=NullPool,
        hide_parameters=True,
        connect_args={
            "prepare_threshold": None,
            "application_name": "insula-migrate",
            "options": "-c lock_timeout=5s -c statement_timeout=300s -c timezone=UTC",
        },
    )


def head(tree: str) -> str:
    """The newest revision of a tree, `core` or `tenant`."""
    revision = ScriptDirectory.from_config(_config(tree)).get_current_head()
    assert revision is not None, f"the {tree} tree has no revision"  # noqa: S101 - a broken package, not input
    return revision


def migrate(
    admin_urls: Mapping[str, str],
    service_urls: Mapping[str, str],
    *,
    workers: int = 2,
    progress: Callable[[int, int], object] = lambda _done, _total: None,
) -> MigrationReport:
    """Prepare roles in every database, then upgrade the core and every tenant.

    Both mappings are from a database's name to its URL; `main` holds the registry. `progress` is told how
    many tenants are done, of how many.
    """
    for name, admin_url in admin_urls.items():
        with _serialized(admin_url) as connection:
            install_extension(connection)
            _prepare_roles(connection, service_urls[name])
            upgrade_schema(connection, "core", CORE_SCHEMA) if name == MAIN else _prepare_functions(
                connection
            )
    registry = admin_engine(admin_urls[MAIN])
    with registry.begin() as connection:
        storage = detect_engine(connection)
        report = MigrationReport(storage.name, storage.version(connection), head("core"))
        tenants = connection.execute(
            text("SELECT slug, database, schema_version FROM insula.tenants ORDER BY slug")
        ).all()
    steps = []
    for slug, database, _version in tenants:
        if database in admin_urls:
            steps.append(_Step(slug, admin_urls[database]))
        else:
            report.failed[slug] = f"it lives in the database {database!r}, which is not configured"
    for done, (step, reason) in enumerate(_run(steps, workers), start=1):
        if reason is None:
            with registry.begin() as connection:
                publish_version(connection, step.slug)
            report.migrated.append(step.slug)
        else:
            log.error("tenant %s could not be migrated: %s", step.slug, reason)
            report.failed[step.slug] = reason
        progress(done, len(steps))
    return report


def publish_version(connection: Connection, slug: str) -> None:
    """Write into the registry that the tenant is at this release's version."""
    connection.execute(
        text("UPDATE insula.tenants SET schema_version = :version WHERE slug = :slug"),
        {"version": head("tenant"), "slug": slug},
    )


def upgrade_schema(connection: Connection, tree: str, schema: str) -> None:
    """Upgrade `schema` to the head of `tree`, as the owner, in the caller's transaction.

    One at a time: in a process, whose threads share Alembic's globals, and for a schema, in whichever process.
    """
    with _one_at_a_time, _acting_as_owner(connection, schema):
        connection.execute(
            text("SELECT pg_advisory_xact_lock(:lock, hashtext(:schema))"),
            {"lock": _LOCK, "schema": schema},
        )
        config = _config(tree)
        config.attributes.update(connection=connection, schema=schema)
        command.upgrade(config, "head")
        names = {"schema": sql.Identifier(schema), "role": sql.Identifier(schema)}
        for statement in (
            "REVOKE INSERT, UPDATE, DELETE ON schema_version FROM {role}",
            # PostgreSQL lets everybody call a new function, also one that runs with its owner's rights.
            "REVOKE EXECUTE ON ALL ROUTINES IN SCHEMA {schema} FROM PUBLIC",
            "GRANT EXECUTE ON ALL ROUTINES IN SCHEMA {schema} TO {role}",
        ):
            roles.execute(connection, sql.SQL(statement).format(**names))


def _run(steps: list[_Step], workers: int) -> Iterator[tuple[_Step, str | None]]:
    """Each step with the reason it failed, or None."""
    if len(steps) < _WORTH_PROCESSES or workers < 2:
        for step in steps:
            yield step, _upgrade_tenant(step)
        return
    # Processes, for threads would wait for one another.
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        yield from zip(steps, pool.map(_upgrade_tenant, steps, chunksize=8), strict=True)


def _upgrade_tenant(step: _Step) -> str | None:
    engine = admin_engine(step.admin_url)
    try:
        with engine.begin() as connection:
            upgrade_schema(connection, "tenant", schema_of(step.slug))
    except Exception as error:  # noqa: BLE001 - one tenant's failure must not stop the others
        told = error.orig if isinstance(error, SQLAlchemyError) and hasattr(error, "orig") else error
        return str(told).splitlines()[0]
    return None


@contextmanager
def _serialized(admin_url: str) -> Iterator[Connection]:
    with admin_engine(admin_url).begin() as connection:
        connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _LOCK})
        yield connection


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
    roles.forbid_temporary_objects(connection)
    roles.ensure_schema(connection, CORE_SCHEMA)
    functions = sql.Identifier(FUNCTIONS_SCHEMA)
    roles.execute(
        connection,
        sql.SQL("CREATE SCHEMA IF NOT EXISTS {} AUTHORIZATION {}").format(
            functions, sql.Identifier(OWNER_ROLE)
        ),
    )
    roles.execute(connection, sql.SQL("GRANT USAGE ON SCHEMA {} TO PUBLIC").format(functions))


def _prepare_functions(connection: Connection) -> None:
    """What the core tree makes in `main` and a database of tenants alone needs too."""
    with _acting_as_owner(connection, FUNCTIONS_SCHEMA):
        detect_engine(connection).create_functions(connection)


def _config(tree: str) -> Config:
    config = Config()
    scripts = resources.files("insula_tenants") / "migrations" / tree
    config.set_main_option("script_location", str(scripts).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    return config
