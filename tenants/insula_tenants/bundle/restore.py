"""Make a tenant from a bundle: on any engine, under the same or another slug, whole or not at all.

::

    verify     the bundle, before anything is written
    register   the registry's row, in status `creating`: nobody finds the tenant
    prepare    role, schema and tables, as for a new tenant
    load       every row, in one transaction of the tenant's database, compared with the manifest at its end
    publish    members, version, status `active`: in one transaction of the registry

Each step may be repeated: an import that failed or was killed is begun again with the same call.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from uuid import UUID, uuid4

import psycopg
from psycopg import sql
from sqlalchemy import Connection, text
from sqlalchemy.exc import DataError, IntegrityError

from insula_tenants import audit
from insula_tenants.administration import Administration
from insula_tenants.audit import SYSTEM, Actor
from insula_tenants.bundle.archive import Bundle, open_bundle
from insula_tenants.bundle.export import Progress, no_progress
from insula_tenants.bundle.manifest import (
    MEMBERS,
    OLDEST,
    TABLES,
    BundleRefused,
    Manifest,
    check_names,
    month_of,
    rows_member,
)
from insula_tenants.bundle.readings import copy_in, rebuild_latest, totals_of
from insula_tenants.bundle.rows import advance_identities, insert_lines
from insula_tenants.errors import Conflict, InvalidInput
from insula_tenants.migrate import head, publish_version, revisions_since
from insula_tenants.names import OWNER_ROLE, check_slug, schema_of
from insula_tenants.registry.creation import build_schema
from insula_tenants.settings import MAIN

KEY_PREFIX = "import:"
"""The registry's `creation_key` of a tenant that an import is making begins so."""
OF_DEVICES = ("desired_outbox", "device_presence", "device_health")
"""Tables that refer to devices and do not travel."""


_MAX_NAME = 200


@dataclass(frozen=True, slots=True)
class Imported:
    """What an import made."""

    tenant_id: UUID
    slug: str
    readings: int
    devices: int
    members: tuple[str, ...]
    """E-mail addresses of those who have an account here and are members again."""
    without_account: tuple[str, ...]
    """Those who have none here: invite them."""


def import_bundle(
    admins: Administration,
    path: Path,
    slug: str | None = None,
    *,
    name: str | None = None,
    database: str = MAIN,
    plan: str = "standard",
    progress: Progress = no_progress,
    actor: Actor = SYSTEM,
) -> Imported:
    """Make the tenant `slug` (else that of the bundle) from the bundle at `path`.

    Its plan is the one given here: a bundle may come from anywhere, so limits in it are for information. What
    is in it is restored whole, even where the plan allows less: a backup that does not come back is none.
    Then nothing new fits in until there is room.

    The hashes of the devices' passwords come back, so devices go on as before where the slug is the same and
    the broker asks the registry; another broker has to be told new passwords.

    Raises `BundleRefused` for a damaged, hostile or foreign bundle, `InvalidInput` for a bad slug, name,
    database or plan, `Conflict` when the slug is taken or the import is under way.
    """
    progress("verifying", 0, 0)
    with open_bundle(path) as bundle:
        manifest = bundle.manifest
        slug = check_slug(slug if slug is not None else manifest.tenant.slug)
        name = _check_name(name if name is not None else manifest.tenant.name)
        _check_version(manifest)
        home = admins.database(database)
        with _alone(admins, slug):
            tenant_id = _register(admins, slug, name, database, plan)
            progress("preparing", 0, manifest.readings.rows)
            build_schema(admins, database, schema_of(slug))
            with home.begin() as connection:
                _load(connection, slug, bundle, progress)
            progress("publishing", manifest.readings.rows, manifest.readings.rows)
            devices = next(entry.rows for entry in manifest.members if entry.name == rows_member("devices"))
            with admins.core() as core:
                members, without_account = _publish(core.connection(), tenant_id, slug, bundle)
                detail = {
                    "from": manifest.tenant.slug,
                    "database": database,
                    "plan": plan,
                    "devices": devices,
                    "readings": manifest.readings.rows,
                    "members": members,
                }
                audit.record(core, actor, "tenant.imported", tenant=tenant_id, target=slug, detail=detail)
    return Imported(tenant_id, slug, manifest.readings.rows, devices, members, without_account)


def _check_name(name: str) -> str:
    name = name.strip()
    if not 1 <= len(name) <= _MAX_NAME or not name.isprintable():
        raise InvalidInput("name", f"give a name of 1 to {_MAX_NAME} printable characters")
    return name


def _check_version(manifest: Manifest) -> None:
    """A bundle of this release has all tables, an older one may lack those that were added since."""
    versions = revisions_since("tenant", OLDEST)
    if manifest.schema_version not in versions:
        raise BundleRefused(
            f"it is of schema version {manifest.schema_version!r}, this release reads {versions[-1]} to "
            f"{versions[0]}: export it anew from a deployment of such a release"
        )
    if manifest.schema_version == versions[0]:
        check_names(manifest, TABLES)


@contextmanager
def _alone(admins: Administration, slug: str) -> Iterator[None]:
    """One import of a slug at a time. The lock ends with its connection, however the import ends."""
    with admins.registry.connect() as connection:
        taken = connection.scalar(
            text("SELECT pg_try_advisory_lock(hashtextextended(:name, 0))"), {"name": f"{KEY_PREFIX}{slug}"}
        )
        connection.commit()
        if not taken:
            raise Conflict(f"an import of tenant {slug!r} is under way")
        yield


def _register(admins: Administration, slug: str, name: str, database: str, plan: str) -> UUID:
    key = f"{KEY_PREFIX}{slug}"
    values = {"id": uuid4(), "slug": slug, "name": name, "database": database, "plan": plan, "key": key}
    with admins.registry.begin() as connection:
        if connection.scalar(text("SELECT 1 FROM insula.plans WHERE name = :plan"), values) is None:
            raise InvalidInput("plan", f"there is no plan {plan!r}")
        connection.execute(
            text(
                "INSERT INTO insula.tenants (id, slug, name, database, plan, status, creation_key)"
                " VALUES (:id, :slug, :name, :database, :plan, 'creating', :key)"
                " ON CONFLICT (slug) DO UPDATE SET name = excluded.name, plan = excluded.plan"
                " WHERE tenants.status = 'creating' AND tenants.creation_key = excluded.creation_key"
            ),
            values,
        )
        row = connection.execute(
            text("SELECT id, database, status, creation_key FROM insula.tenants WHERE slug = :slug"), values
        ).one()
        if row.status != "creating" or row.creation_key != key:
            raise Conflict(f"there is a tenant {slug!r} already")
        if row.database != database:
            raise Conflict(
                f"an import of {slug!r} was begun in the database {row.database!r}: repeat it there"
            )
    return UUID(str(row.id))


def _load(prepared: Connection, slug: str, bundle: Bundle, progress: Progress) -> None:
    schema = schema_of(slug)
    connection = prepared.connection.driver_connection
    assert isinstance(connection, psycopg.Connection)  # noqa: S101 - the one driver there is
    connection.execute("SELECT set_config('statement_timeout', '0', true)")
    # What an earlier attempt left is gone before the first row is written, with what refers to it.
    _act_as(connection, OWNER_ROLE, schema)
    tables = sql.SQL(", ").join(map(sql.Identifier, (*TABLES, "latest", "readings", *OF_DEVICES)))
    connection.execute(sql.SQL("TRUNCATE {} CASCADE").format(tables))
    # The bundle's rows are written with the tenant's rights: they reach its own tables and nothing else.
    _act_as(connection, schema, schema)
    older = bundle.manifest.schema_version != head("tenant")
    for table in TABLES:
        progress(table, 0, bundle.manifest.readings.rows)
        insert_lines(connection, table, bundle.lines(rows_member(table)), older=older)
    _load_readings(connection, bundle, progress)
    _act_as(connection, OWNER_ROLE, schema)
    advance_identities(connection)
    # Nothing is rolled up: the worker begins at the beginning, and until then answers come from raw readings.
    connection.execute("UPDATE rollup_state SET complete_until = '2000-01-01T00:00:00Z', raw_from = NULL")
    _begin_control(connection)
    _act_as(connection, "none", "")


def _begin_control(connection: psycopg.Connection) -> None:
    """The broker here has none of the desired states; and what was under way elsewhere is over."""
    connection.execute(
        "INSERT INTO desired_outbox (device_id, version)"
        " SELECT device_id, desired_version FROM twins WHERE desired_version > 0"
    )
    connection.execute(
        "UPDATE commands SET state = 'cancelled', ended_at = now(), error = 'its tenant came from elsewhere'"
        " WHERE state IN ('waiting', 'sent')"
    )


def _load_readings(connection: psycopg.Connection, bundle: Bundle, progress: Progress) -> None:
    total, done = bundle.manifest.readings.rows, 0
    for entry in bundle.manifest.months:

        def stored(rows: int, name: str = entry.name) -> None:
            nonlocal done
            done += rows
            progress(name, done, total)

        month = month_of(entry.name)
        try:
            connection.execute(
                "SELECT ensure_readings_range(%s, %s)", (month, month + timedelta(microseconds=1))
            )
            copy_in(connection, bundle.batches(entry), stored)
        except (psycopg.DataError, psycopg.IntegrityError, psycopg.errors.RaiseException) as error:
            raise BundleRefused(f"{entry.name}: {error.diag.message_primary}") from None
    progress("comparing", total, total)
    if totals_of(connection) != (total, bundle.manifest.readings.checksum):
        raise BundleRefused("the readings are not those of the manifest (checksum differs)")
    rebuild_latest(connection)


def _publish(
    connection: Connection, tenant_id: UUID, slug: str, bundle: Bundle
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    members: list[str] = []
    without_account: list[str] = []
    for person in bundle.rows(MEMBERS):
        try:
            with connection.begin_nested():
                found = connection.execute(_MEMBERSHIP, {"tenant": tenant_id, "person": json.dumps(person)})
        except (DataError, IntegrityError):
            raise BundleRefused(f"a line of {MEMBERS} is no member of a tenant") from None
        (members if found.rowcount else without_account).append(str(person.get("email")))
    publish_version(connection, slug)
    connection.execute(
        text("UPDATE insula.tenants SET status = 'active', creation_key = NULL WHERE id = :id"),
        {"id": tenant_id},
    )
    return tuple(members), tuple(without_account)


_MEMBERSHIP = text(
    "INSERT INTO insula.memberships (account_id, tenant_id, role, places, created_at)"
    " SELECT accounts.id, :tenant, person.role, person.places, person.created_at"
    " FROM jsonb_to_record(CAST(:person AS jsonb))"
    " AS person (email text, role text, places jsonb, created_at timestamptz)"
    " JOIN insula.accounts ON accounts.email = person.email"
    " ON CONFLICT (account_id, tenant_id) DO UPDATE SET role = excluded.role, places = excluded.places"
)


def _act_as(connection: psycopg.Connection, role: str, schema: str) -> None:
    path = f'"{schema}"' if schema else ""
    connection.execute(
        "SELECT set_config('role', %s, true), set_config('search_path', %s, true)", (role, path)
    )
