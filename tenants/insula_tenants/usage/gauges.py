"""Measure what tenants have: devices and points by counting, bytes from catalogs, many tenants at a time."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import NamedTuple
from uuid import UUID

from psycopg import sql
from sqlalchemy import Connection, func, select, text
from sqlalchemy.dialects.postgresql import distinct_on, insert
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session

from insula_tenants import audit
from insula_tenants.administration import Administration
from insula_tenants.audit import SYSTEM
from insula_tenants.errors import InsulaError
from insula_tenants.names import schema_of
from insula_tenants.quotas.limits import Quotas
from insula_tenants.registry.models import Plan, Tenant
from insula_tenants.registry.service import CREATING
from insula_tenants.storage import detect_engine
from insula_tenants.usage.models import UsageGauge

log = logging.getLogger(__name__)

_AT_ONCE = 50
"""Tenants counted by one statement: it locks two tables of each for that long."""


class Gauges(NamedTuple):
    """What one tenant has."""

    devices: int
    points: int
    storage_bytes: int


def measure_tenants(admins: Administration) -> int:
    """Measure every tenant for today (UTC); how many were.

    A tenant that just goes, or whose database is away, is left out and measured the next time. Who passes
    the quota of storage, or comes back under it, gets an entry in the audit log.
    """
    with admins.core() as core:
        query = select(Tenant.database, Tenant.slug, Tenant.id).where(
            Tenant.status != CREATING, Tenant.schema_version.is_not(None)
        )
        tenants = core.execute(query.order_by(Tenant.database, Tenant.slug)).all()
    measured = 0
    for database in sorted({each.database for each in tenants}):
        ids = {schema_of(each.slug): each.id for each in tenants if each.database == database}
        try:
            with admins.database(database).connect() as connection:
                found = gauges_of(connection, list(ids))
        except (DBAPIError, InsulaError) as error:
            log.warning("tenants in database %s were not measured: %s", database, error)
            continue
        with admins.core() as core:
            _keep(core, {ids[schema]: gauges for schema, gauges in found.items()})
        measured += len(found)
    return measured


def gauges_of(connection: Connection, schemas: Sequence[str]) -> dict[str, Gauges]:
    """What is in these schemas, by schema; `connection` is an administrator's, its transaction is ended.

    Bytes are those of all tables with their indexes and TOAST, partitions, chunks and rollups included.
    """
    timescale = detect_engine(connection).name == "timescaledb"
    connection.rollback()
    found: dict[str, Gauges] = {}
    for first in range(0, len(schemas), _AT_ONCE):
        some = schemas[first : first + _AT_ONCE]
        sizes = {row.schema: int(row.bytes) for row in connection.execute(_TABLES, {"schemas": some})}
        if timescale:
            for row in connection.execute(_CHUNKS, {"schemas": some}):
                sizes[row.schema] = sizes.get(row.schema, 0) + int(row.bytes)
        connection.rollback()
        try:
            counted = _count(connection, some)
        except DBAPIError:  # one of them just goes, or is locked: ask one at a time
            counted = {}
            for schema in some:
                counted |= _count_unless_locked(connection, schema)
        found |= {
            schema: Gauges(devices, points, sizes.get(schema, 0))
            for schema, (devices, points) in counted.items()
        }
    return found


def _count_unless_locked(connection: Connection, schema: str) -> dict[str, tuple[int, int]]:
    try:
        return _count(connection, [schema])
    except DBAPIError:
        return {}


def _count(connection: Connection, schemas: Sequence[str]) -> dict[str, tuple[int, int]]:
    asked = sql.SQL(" UNION ALL ").join(
        sql.SQL(
            "SELECT {name}, (SELECT count(*) FROM {schema}.devices), (SELECT count(*) FROM {schema}.points)"
        ).format(name=sql.Literal(schema), schema=sql.Identifier(schema))
        for schema in schemas
    )
    try:
        connection.execute(text("SET LOCAL lock_timeout = '100ms'"))
        rows = connection.exec_driver_sql(asked.as_string(), execution_options={"no_parameters": True})
        return {str(schema): (int(devices), int(points)) for schema, devices, points in rows}
    finally:
        connection.rollback()


def _keep(core: Session, found: Mapping[UUID, Gauges]) -> None:
    newest = (
        select(UsageGauge.tenant_id, UsageGauge.storage_bytes)
        .ext(distinct_on(UsageGauge.tenant_id))
        .where(UsageGauge.tenant_id.in_(found))
        .order_by(UsageGauge.tenant_id, UsageGauge.day.desc())
    )
    before = dict(core.execute(newest).all())
    # Those that were erased since are not here any more; those that are stay until this is committed.
    there = core.execute(
        select(Tenant.id, Tenant.slug, Plan.quotas, Tenant.quotas)
        .join(Plan, Plan.name == Tenant.plan)
        .where(Tenant.id.in_(found))
        .order_by(Tenant.id)
        .with_for_update(of=Tenant, key_share=True, read=True)
    )
    today = datetime.now(UTC).date()
    for tenant_id, slug, of_plan, own in there.all():
        gauges = found[tenant_id]
        values = {**gauges._asdict(), "measured_at": func.now()}
        row = insert(UsageGauge).values(tenant_id=tenant_id, day=today, **values)
        core.execute(row.on_conflict_do_update(index_elements=["tenant_id", "day"], set_=values))
        _warn(core, tenant_id, slug, Quotas.of(of_plan, own).storage_bytes, before.get(tenant_id, 0), gauges)


def _warn(core: Session, tenant_id: UUID, slug: str, limit: int | None, before: int, gauges: Gauges) -> None:
    if limit is None or (before > limit) == (gauges.storage_bytes > limit):
        return
    over = gauges.storage_bytes > limit
    audit.record(
        core,
        SYSTEM,
        "tenant.storage_over_quota" if over else "tenant.storage_within_quota",
        tenant=tenant_id,
        target=slug,
        detail={"storage_bytes": gauges.storage_bytes, "quota": limit},
    )


_TABLES = text("""
SELECT n.nspname AS schema, sum(pg_total_relation_size(c.oid)) AS bytes
  FROM pg_class c
  JOIN pg_namespace n ON n.oid = c.relnamespace
 WHERE n.nspname = ANY(:schemas) AND c.relkind IN ('r', 'm')
 GROUP BY n.nspname
HAVING sum(pg_total_relation_size(c.oid)) IS NOT NULL
""")

# TimescaleDB keeps chunks, compressed chunks and what continuous aggregates hold in a schema of its own.
_CHUNKS = text("""
WITH plain AS (
    SELECT id, schema_name AS schema
      FROM _timescaledb_catalog.hypertable
     WHERE schema_name = ANY(:schemas)
     UNION ALL
    SELECT mat_hypertable_id, user_view_schema
      FROM _timescaledb_catalog.continuous_agg
     WHERE user_view_schema = ANY(:schemas)
), stored AS (
    SELECT id, schema FROM plain
     UNION ALL
    SELECT hypertable.compressed_hypertable_id, plain.schema
      FROM plain
      JOIN _timescaledb_catalog.hypertable AS hypertable USING (id)
     WHERE hypertable.compressed_hypertable_id IS NOT NULL
)
SELECT stored.schema, sum(pg_total_relation_size(c.oid)) AS bytes
  FROM stored
  JOIN _timescaledb_catalog.chunk ON chunk.hypertable_id = stored.id
  JOIN pg_namespace n ON n.nspname = chunk.schema_name
  JOIN pg_class c ON c.relnamespace = n.oid AND c.relname = chunk.table_name
 GROUP BY stored.schema
HAVING sum(pg_total_relation_size(c.oid)) IS NOT NULL
""")
