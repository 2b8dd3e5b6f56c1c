"""Look at the storage of every tenant in few statements, and say whose turn it is."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple
from uuid import UUID

from psycopg import sql
from sqlalchemy import Connection, Engine, select, text
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.exc import DBAPIError, OperationalError
from sqlalchemy.orm import Session

from insula_tenants.administration import Administration
from insula_tenants.errors import InvalidInput
from insula_tenants.migrate import first_line, head
from insula_tenants.names import schema_of
from insula_tenants.registry.models import Tenant
from insula_tenants.registry.service import ACTIVE, SUSPENDED
from insula_tenants.rollups.models import StorageStatus
from insula_tenants.rollups.refresh import DISTANCE
from insula_tenants.rollups.slices import QUARTER, floor
from insula_tenants.rollups.upkeep import Figures
from insula_tenants.storage import detect_engine

log = logging.getLogger(__name__)

AGAIN_AFTER = timedelta(minutes=1)
"""A tenant that is sent late readings all the time is refreshed this often."""

TEND_AFTER = timedelta(hours=1)
"""Each tenant is looked through for what to drop and to compress this often."""

_AT_ONCE = 100
"""Schemas that one statement asks: it locks two tables of each for that long."""


class Due(NamedTuple):
    """A tenant whose storage has something to do."""

    slug: str
    lag: timedelta
    """How far its rollups are behind."""


class _Seen(NamedTuple):
    """What one schema says of itself."""

    schema: str
    complete_until: datetime
    raw_from: datetime | None
    now: datetime
    dirty_ranges: int
    dirty_seconds: float


def survey(admins: Administration) -> list[Due]:
    """Write down how every tenant's storage does; those with something to do, the furthest behind first.

    Suspended tenants are looked after like others. Left out are tenants that are being made or deleted, and
    those at another version of the schema. A database that is away leaves out its tenants, with a warning.
    """
    with admins.core() as core:
        query = (
            select(Tenant.id, Tenant.slug, Tenant.database)
            .where(Tenant.status.in_((ACTIVE, SUSPENDED)), Tenant.schema_version == head("tenant"))
            .order_by(Tenant.slug)
        )
        homes: dict[str, dict[str, tuple[UUID, str]]] = {}
        for tenant_id, slug, database in core.execute(query):
            homes.setdefault(database, {})[schema_of(slug)] = (tenant_id, slug)
    due = []
    for database, tenants in homes.items():
        try:
            engine, seen = _look(admins.database(database), list(tenants))
        except (OperationalError, InvalidInput) as error:
            told = error.detail if isinstance(error, InvalidInput) else first_line(error)
            log.warning("the storage of %d tenants was not looked at: %s", len(tenants), told)
            continue
        with admins.core() as core:
            found = _write_down(core, engine, {tenants[one.schema][0]: one for one in seen})
        due += [
            one
            for state in seen
            if (one := _due(tenants[state.schema][1], state, found.get(tenants[state.schema][0])))
        ]
    return sorted(due, key=lambda one: one.lag, reverse=True)


def is_to_be_tended(core: Session, tenant_id: UUID) -> bool:
    """Whether it is time to look the tenant through, for what to drop and to compress."""
    status = core.get(StorageStatus, tenant_id)
    return status is None or _is_to_be_tended(status.tended_at, datetime.now(UTC))


def note_refresh(core: Session, tenant_id: UUID, figures: Figures | None) -> None:
    """Write down that a tenant was refreshed and, with `figures`, that it was looked through."""
    status = core.get(StorageStatus, tenant_id)
    if status is None:
        return
    status.refreshed_at = datetime.now(UTC)
    if figures is not None:
        status.tended_at = status.refreshed_at
        status.readings, status.raw_bytes = figures.readings, figures.raw_bytes
        status.rollup_bytes, status.raw_from = figures.rollup_bytes, figures.raw_from


def _look(engine: Engine, schemas: Sequence[str]) -> tuple[str, list[_Seen]]:
    """The storage engine's name, and what the schemas say."""
    seen: list[_Seen] = []
    with engine.connect() as connection:
        name = detect_engine(connection).name
        connection.rollback()
        for first in range(0, len(schemas), _AT_ONCE):
            some = schemas[first : first + _AT_ONCE]
            try:
                seen += _ask(connection, some)
            except DBAPIError:  # one of them is locked or gone: the others tell when asked one at a time
                connection.rollback()
                seen += _ask_each(connection, some)
    return name, seen


def _ask_each(connection: Connection, schemas: Sequence[str]) -> Iterator[_Seen]:
    for schema in schemas:
        try:
            yield from _ask(connection, [schema])
        except DBAPIError:
            connection.rollback()


def _ask(connection: Connection, schemas: Sequence[str]) -> list[_Seen]:
    asked = sql.SQL(" UNION ALL ").join(
        sql.SQL(_STATE).format(name=sql.Literal(schema), schema=sql.Identifier(schema)) for schema in schemas
    )
    connection.execute(text("SET LOCAL lock_timeout = '100ms'"))
    rows = connection.exec_driver_sql(asked.as_string(), execution_options={"no_parameters": True})
    seen = [_Seen(*row) for row in rows]
    connection.rollback()
    return seen


def _write_down(core: Session, engine: str, seen: dict[UUID, _Seen]) -> dict[UUID, Any]:
    """Upsert what was seen; when each tenant was last refreshed and looked through."""
    # One that was erased meanwhile has no row to refer to. A lock on the others would stop their erasure.
    there = set(
        core.scalars(select(Tenant.id).where(Tenant.id.in_(seen)).with_for_update(read=True, key_share=True))
    )
    rows = [
        {
            "tenant_id": tenant_id,
            "engine": engine,
            "complete_until": one.complete_until,
            "raw_from": one.raw_from,
            "lag_seconds": _lag(one).total_seconds(),
            "dirty_ranges": one.dirty_ranges,
            "dirty_seconds": one.dirty_seconds,
            "checked_at": one.now,
        }
        for tenant_id, one in seen.items()
        if tenant_id in there
    ]
    if not rows:
        return {}
    statement = insert(StorageStatus)
    told = {name: statement.excluded[name] for name in rows[0] if name != "tenant_id"}
    core.execute(statement.on_conflict_do_update(index_elements=["tenant_id"], set_=told), rows)
    query = select(StorageStatus.tenant_id, StorageStatus.refreshed_at, StorageStatus.tended_at)
    return {row.tenant_id: row for row in core.execute(query)}


def _lag(seen: _Seen) -> timedelta:
    return max(floor(seen.now - DISTANCE, QUARTER) - seen.complete_until, timedelta())


def _due(slug: str, seen: _Seen, before: Any) -> Due | None:
    lag = _lag(seen)
    refreshed = before.refreshed_at if before else None
    tended = before.tended_at if before else None
    dirty = seen.dirty_ranges > 0 and (refreshed is None or seen.now - refreshed > AGAIN_AFTER)
    return Due(slug, lag) if lag or dirty or _is_to_be_tended(tended, seen.now) else None


def _is_to_be_tended(tended: datetime | None, now: datetime) -> bool:
    return tended is None or now - tended > TEND_AFTER


_STATE = """
SELECT {name}, state.complete_until, state.raw_from, now(), dirty.ranges, dirty.seconds
FROM {schema}.rollup_state AS state, (
    SELECT count(*) AS ranges, coalesce((
        SELECT sum(extract(epoch FROM upper(stretch) - lower(stretch)))
        FROM unnest(range_agg(tstzrange(starting, ending))) AS stretch
    ), 0)::double precision AS seconds
    FROM {schema}.dirty_ranges
) AS dirty
"""
