"""Write a tenant into a bundle: in bounded memory, from one snapshot, under the tenant's own role."""

from __future__ import annotations

import hashlib
import io
import json
import os
import zipfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psycopg
import pyarrow.parquet as pq
from sqlalchemy import text

from insula_tenants.bundle.manifest import (
    MANIFEST,
    MEMBERS,
    TABLES,
    Entry,
    Exported,
    Manifest,
    ReadingsEntry,
    TenantEntry,
    month_member,
    rows_member,
)
from insula_tenants.bundle.readings import SCHEMA, copy_out, months_of
from insula_tenants.bundle.rows import lines_of
from insula_tenants.context import TenantContext
from insula_tenants.database import Databases
from insula_tenants.errors import NotFound
from insula_tenants.storage import detect_engine

Progress = Callable[[str, int, int], object]
"""Told the step at hand, the readings that are done, and how many there are."""

_PEOPLE = text(
    "SELECT accounts.email, accounts.name, memberships.role, memberships.places, memberships.created_at"
    " FROM memberships JOIN accounts ON accounts.id = memberships.account_id"
    " WHERE memberships.tenant_id = :id ORDER BY accounts.email"
)
# How values look in JSON must not depend on how a server or a login is configured.
_SETTINGS = (
    "SELECT set_config('timezone', 'UTC', true), set_config('bytea_output', 'hex', true),"
    " set_config('datestyle', 'ISO', true), set_config('statement_timeout', '0', true)"
)


def no_progress(_step: str, _done: int, _total: int) -> None:
    """Nobody wants to know."""


def export_tenant(
    databases: Databases, context: TenantContext, target: Path, *, progress: Progress = no_progress
) -> Exported:
    """Write the tenant's bundle to `target`, which appears whole or not at all.

    All tables are read in one REPEATABLE READ transaction: what is written meanwhile is not in the bundle.
    The people are the registry's, read just before. The file is for its owner alone: it holds the hashes of
    the devices' passwords. Raises `NotFound` when the tenant went away, `OSError` when the disk is full.
    """
    progress("people", 0, 0)
    tenant, people = _read_registry(databases, context)
    target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    partial = target.with_name(f"{target.name}.part")
    partial.unlink(missing_ok=True)
    try:
        with os.fdopen(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED, allowZip64=True) as archive:
                manifest = _write(_Writer(archive), databases, context, tenant, people, progress)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(target)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise
    return Exported(path=target, bytes=target.stat().st_size, manifest=manifest)


def _read_registry(databases: Databases, context: TenantContext) -> tuple[TenantEntry, list[dict[str, Any]]]:
    with databases.core() as core:
        tenant = core.execute(
            text("SELECT slug, name, plan, quotas FROM tenants WHERE id = :id"), {"id": context.id}
        ).one_or_none()
        if tenant is None:
            raise NotFound(f"there is no tenant {context.slug!r}")
        people = [dict(row) for row in core.execute(_PEOPLE, {"id": context.id}).mappings()]
    return TenantEntry(slug=tenant.slug, name=tenant.name, plan=tenant.plan, quotas=tenant.quotas), people


def _write(
    writer: _Writer,
    databases: Databases,
    context: TenantContext,
    tenant: TenantEntry,
    people: list[dict[str, Any]],
    progress: Progress,
) -> Manifest:
    writer.add_lines(MEMBERS, (json.dumps(one, default=_iso).encode() + b"\n" for one in people))
    with databases.tenant(context) as session:
        snapshot = session.connection(
            execution_options={"isolation_level": "REPEATABLE READ", "postgresql_readonly": True}
        )
        connection = snapshot.connection.driver_connection
        assert isinstance(connection, psycopg.Connection)  # noqa: S101 - the one driver there is
        connection.execute(_SETTINGS)
        engine = detect_engine(snapshot)
        engine_version = engine.version(snapshot)
        schema_version = str(snapshot.scalar(text("SELECT version_num FROM schema_version")))
        for table in TABLES:
            progress(table, 0, 0)
            writer.add_lines(rows_member(table), lines_of(connection, table))
        readings = _write_readings(writer, connection, progress)
    manifest = Manifest(
        created_at=datetime.now(UTC),
        tenant=tenant,
        engine=engine.name,
        engine_version=engine_version,
        schema_version=schema_version,
        readings=readings,
        members=tuple(writer.entries),
    )
    writer.add_lines(MANIFEST, [manifest.to_bytes()])
    return manifest


def _write_readings(writer: _Writer, connection: psycopg.Connection, progress: Progress) -> ReadingsEntry:
    progress("counting", 0, 0)
    months = months_of(connection)
    total = sum(rows for _month, rows, _checksum in months)
    done = 0
    for month, _rows, _checksum in months:
        name = month_member(month)
        progress(name, done, total)
        with (
            writer.member(name) as member,
            pq.ParquetWriter(member, SCHEMA, compression="zstd", use_dictionary=["point_id"]) as parquet,
        ):
            for batch in copy_out(connection, month):
                parquet.write_batch(batch)
                member.rows += batch.num_rows
                done += batch.num_rows
                progress(name, done, total)
    return ReadingsEntry(rows=total, checksum=str(sum(checksum for *_, checksum in months)))


class _Member(io.RawIOBase):
    """A member being written: counts and hashes what goes through."""

    def __init__(self, target: Any) -> None:
        self._target = target
        self._bytes = 0
        self._digest = hashlib.sha256()
        self.rows = 0

    def writable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._bytes

    def write(self, data: Any) -> int:
        piece = memoryview(data).cast("B")
        self._target.write(piece)
        self._digest.update(piece)
        self._bytes += len(piece)
        return len(piece)

    def entry(self, name: str) -> Entry:
        return Entry(name=name, rows=self.rows, bytes=self._bytes, sha256=self._digest.hexdigest())


class _Writer:
    """Adds members to a zip, one after the other, straight into the file."""

    def __init__(self, archive: zipfile.ZipFile) -> None:
        self._archive = archive
        self.entries: list[Entry] = []

    @contextmanager
    def member(self, name: str) -> Iterator[_Member]:
        info = zipfile.ZipInfo(name, date_time=datetime.now(UTC).timetuple()[:6])
        info.external_attr = 0o600 << 16
        with self._archive.open(info, "w", force_zip64=True) as target:
            member = _Member(target)
            yield member
        self.entries.append(member.entry(name))

    def add_lines(self, name: str, lines: Iterable[bytes]) -> None:
        with self.member(name) as member:
            for line in lines:
                member.write(line)
                member.rows += 1


def _iso(value: datetime) -> str:
    return value.isoformat()
