"""Bring the core and every tenant to the schema of this release.

Each step is one transaction under the owner's role: it is there whole or not at all, and running it again
continues where it stopped. A tenant that fails is named and does not stop the others; one that is at this
release's version already costs a share of one query.
"""

from __future__ import annotations

import logging
import multiprocessing
import os
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib import resources
from typing import NamedTuple

from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
from psycopg import sql
from sqlalchemy import Connection, Engine, NullPool, create_engine, make_url, text
from sqlalchemy.exc import OperationalError

from insula_tenants import roles
from insula_tenants.database import LINK
from insula_tenants.errors import ConfigurationError, Conflict
from insula_tenants.names import CORE_SCHEMA, OWNER_ROLE, schema_of
from insula_tenants.schema_versions import versions
from insula_tenants.settings import MAIN
from insula_tenants.storage import detect_engine
from insula_tenants.storage.engine import FUNCTIONS_SCHEMA, install_extension
from insula_tenants.storage.rollups import create_rollup_functions

log = logging.getLogger(__name__)

_LOCK = 0x1A501A
"""Advisory lock: one migration at a time in a database and, with a schema's hash, of a tenant."""
_one_at_a_time = threading.Lock()  # Alembic keeps the migration it is at in globals of its modules

WORKERS = min(4, os.cpu_count() or 1)
"""Processes that upgrade tenants at the same time, each on one connection."""


_WORTH_PROCESSES = 16
"""Tenants from which on it pays to start further processes: each takes most of a second to start."""


@dataclass(frozen=True, slots=True)
class MigrationReport:
    """What a run of `migrate` did."""

    engine: str
    engine_version: str
    core_version: str
    migrated: list[str] = field(default_factory=list)
    """Slugs of the tenants that are now at this release's version."""
    upgraded: list[str] = field(default_factory=list)
    """Those of them that were not before."""
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
        }
        | LINK,
    )


def head(tree: str) -> str:
    """The newest revision of a tree, `core` or `tenant`."""
    revision = ScriptDirectory.from_config(_config(tree)).get_current_head()
    assert revision is not None, f"the {tree} tree has no revision"  # noqa: S101 - a broken package, not input
    return revision


def revisions_since(tree: str, oldest: str) -> list[str]:
    """The revisions of a tree from `oldest` on, the newest first."""
    scripts = ScriptDirectory.from_config(_config(tree))
    return [script.revision for script in scripts.iterate_revisions("head", oldest, inclusive=True)]


def migrate(
    admin_urls: Mapping[str, str],
    service_urls: Mapping[str, str],
    *,
    workers: int = WORKERS,
    progress: Callable[[int, int], object] = lambda _done, _total: None,
) -> MigrationReport:
    """Prepare roles in every database, then upgrade the core and every tenant.

    Both mappings are from a database's name to its URL; `main` holds the registry. `progress` is told how
    many tenants are done, of how many. A tenant fails alone, and so does a database other than `main`: its
    tenants are reported. Raises `ConfigurationError` when a database has one URL of the two, `Conflict` when
    another migration is at work.
    """
    if unpaired := admin_urls.keys() ^ service_urls.keys():
        named = ", ".join(sorted(unpaired))
        raise ConfigurationError(f"of {named} only one URL is known: the services' or the administrator's")
    unprepared = prepare_databases(admin_urls, service_urls)
    with admin_engine(admin_urls[MAIN]).connect() as registry:
        storage = detect_engine(registry)
        report = MigrationReport(storage.name, storage.version(registry), head("core"))
        # A tenant that is being made comes into the world at this version, when its making is taken up again.
        tenants = registry.execute(
            text(
                "SELECT slug, database, schema_version FROM insula.tenants"
                " WHERE status <> 'creating' ORDER BY slug"
            )
        ).all()
        registry.commit()
        newest = head("tenant")
        homes: dict[str, list[str]] = {}
        published = {slug: version for slug, _, version in tenants}
        for slug, database, _ in tenants:
            if reason := _why_not(database, admin_urls, unprepared):
                report.failed[slug] = reason
            else:
                homes.setdefault(database, []).append(slug)
        progress(0, len(tenants))
        for slug, upgraded, reason in _upgrade_all(admin_urls, homes, workers):
            if reason is None:
                report.migrated.append(slug)
                if upgraded:
                    report.upgraded.append(slug)
                if published[slug] != newest:
                    publish_version(registry, slug)
                    registry.commit()
            else:
                log.error("tenant %s could not be migrated: %s", slug, reason)
                report.failed[slug] = reason
            progress(len(report.migrated) + len(report.failed), len(tenants))
    report.migrated.sort()
    return report


def prepare_databases(admin_urls: Mapping[str, str], service_urls: Mapping[str, str]) -> dict[str, str]:
    """Roles, extension and core in every database; the reasons why some could not be prepared.

    It has one connection at a time.
    """
    unprepared = {}
    for name, admin_url in admin_urls.items():
        try:
            with _serialized(admin_url) as connection:
                install_extension(connection)
                _prepare_roles(connection, service_urls[name])
                if name == MAIN:
                    upgrade_schema(connection, "core", CORE_SCHEMA)
                else:
                    _prepare_functions(connection)
        except OperationalError as error:
            if name == MAIN:
                raise
            unprepared[name] = first_line(error)
            log.error("the database %s could not be prepared: %s", name, unprepared[name])  # noqa: TRY400 - one line
    return unprepared


def _why_not(database: str, admin_urls: Mapping[str, str], unprepared: Mapping[str, str]) -> str | None:
    if database not in admin_urls:
        return f"it lives in the database {database!r}, which is not configured"
    if database in unprepared:
        return f"its database {database!r} could not be prepared: {unprepared[database]}"
    return None


def _upgrade_all(
    admin_urls: Mapping[str, str], homes: Mapping[str, list[str]], workers: int
) -> Iterator[tuple[str, bool, str | None]]:
    """Each tenant, whether it was upgraded, and the reason it is not at this release's version."""
    steps = []
    newest = head("tenant")
    for database, slugs in homes.items():
        with admin_engine(admin_urls[database]).connect() as connection:
            found = versions(connection, [schema_of(slug) for slug in slugs])
        for slug in slugs:
            if found.get(schema_of(slug)) == newest:
                yield slug, False, None
            else:
                steps.append(_Step(slug, admin_urls[database]))
    for step, reason in _run(steps, workers):
        yield step.slug, True, reason


def publish_version(connection: Connection, slug: str) -> None:
    """Write into the registry that the tenant is at this release's version."""
    connection.execute(
        text("UPDATE insula.tenants SET schema_version = :version WHERE slug = :slug"),
        {"version": head("tenant"), "slug": slug},
    )


def upgrade_schema(connection: Connection, tree: str, schema: str) -> None:
    """Upgrade `schema` to the head of `tree`, as the owner, in the caller's transaction.

    One at a time: in a process, whose threads share Alembic's globals, and for a schema, in whichever one.
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


def upgrade_tenant(connection: Connection, slug: str) -> None:
    """Upgrade one tenant's schema in the caller's transaction, while nobody else does."""
    schema = schema_of(slug)
    connection.execute(
        text("SELECT pg_advisory_xact_lock(:lock, hashtext(:schema))"), {"lock": _LOCK, "schema": schema}
    )
    upgrade_schema(connection, "tenant", schema)


def first_line(error: Exception) -> str:
    """What a database's error says, without the statement and its parameters."""
    told = getattr(error, "orig", None) or error
    return (str(told).splitlines() or [type(told).__name__])[0]


def _run(steps: Sequence[_Step], workers: int) -> Iterator[tuple[_Step, str | None]]:
    """Each step, as it ends, with the reason it failed or None."""
    if len(steps) < _WORTH_PROCESSES or workers < 2:
        for step in steps:
            yield step, _upgrade(step)
        _disconnect()
        return
    # Processes: Alembic keeps the migration it is at in module globals, so threads would mix them up.
    pool = ProcessPoolExecutor(
        workers, mp_context=multiprocessing.get_context("spawn"), initializer=_end_with_parent
    )
    try:
        asked = {pool.submit(_upgrade, step): step for step in steps}
        for future in as_completed(asked):
            try:
                yield asked[future], future.result()
            except BrokenProcessPool:
                yield asked[future], "a process of the migration was killed: run `insula migrate` again"
    finally:
        pool.shutdown(cancel_futures=True)


_connections: dict[str, Connection] = {}
"""This process's connections of `_upgrade`, by URL: connecting takes as long as a small step."""


def _upgrade(step: _Step) -> str | None:
    """Upgrade one tenant; the reason when that fails."""
    try:
        if step.admin_url not in _connections:
            _connections[step.admin_url] = admin_engine(step.admin_url).connect()
        connection = _connections[step.admin_url]
        with connection.begin():
            upgrade_tenant(connection, step.slug)
    except Exception as error:  # noqa: BLE001 - one tenant's failure must not stop the others
        _disconnect()
        return first_line(error)
    return None


def _disconnect() -> None:
    while _connections:
        _connections.popitem()[1].close()


def _end_with_parent() -> None:
    """A worker must not outlive a migration that was killed: it would wait for work forever."""
    parent = multiprocessing.parent_process()

    def watch() -> None:
        if parent is not None:
            parent.join()
            os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


@contextmanager
def _serialized(admin_url: str) -> Iterator[Connection]:
    with admin_engine(admin_url).begin() as connection:
        try:
            connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _LOCK})
        except OperationalError as error:
            if getattr(error.orig, "sqlstate", None) != "55P03":  # lock_not_available
                raise
            raise Conflict("another `insula migrate` is at work in this database: wait for its end") from None
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
    roles.grant_tenants(connection, login)
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
        create_rollup_functions(connection)


def _config(tree: str) -> Config:
    config = Config()
    scripts = resources.files("insula_tenants") / "migrations" / tree
    config.set_main_option("script_location", str(scripts).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    return config
