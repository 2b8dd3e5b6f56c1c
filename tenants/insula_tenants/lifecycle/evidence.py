"""Look for what is left of a tenant: in the catalogs, in the registry, at the broker.

Nothing here trusts what the erasure did; it asks the systems themselves.
"""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID

from psycopg import sql
from sqlalchemy import Connection, text

from insula_tenants.broker.access import BrokerAccess
from insula_tenants.names import CORE_SCHEMA, schema_of
from insula_tenants.storage import detect_engine

MAY_STAY = frozenset({"audit_log", "erasure_receipts"})
"""Tables of the registry that tell of a tenant for ever."""


@dataclass(frozen=True, slots=True)
class DatabaseEvidence:
    """What the tenant's database has of it."""

    engine: str
    schemas: int
    relations: int
    """Tables, indexes, sequences and views in the schema."""
    chunks: int
    """TimescaleDB's chunks of hypertables in the schema, as its own catalog lists them."""
    aggregates: int
    """TimescaleDB's continuous aggregates of the schema, and tables of aggregates that nobody has."""
    privileges: int
    """Objects of this database that the role owns, or has rights on."""
    role: str
    """`absent`; `shared` when other databases of the server still give it rights; `present`."""

    @property
    def clean(self) -> bool:
        """Whether nothing of the tenant is left here."""
        return not (self.schemas or self.relations or self.chunks or self.aggregates or self.privileges) and (
            self.role != "present"
        )


def look_in_database(connection: Connection, slug: str) -> DatabaseEvidence:
    """Count what is left in the tenant's database; `connection` is an administrator's."""
    schema = schema_of(slug)
    storage = detect_engine(connection)
    counted = connection.execute(text(_CATALOG), {"schema": schema}).one()
    chunks = aggregates = 0
    if storage.name == "timescaledb":
        chunks = connection.scalar(text(_CHUNKS), {"schema": schema}) or 0
        aggregates = connection.scalar(text(_AGGREGATES), {"schema": schema}) or 0
    role = "absent"
    if counted.role:
        role = "shared" if counted.elsewhere else "present"
    return DatabaseEvidence(
        storage.name, counted.schemas, counted.relations, chunks, aggregates, counted.privileges, role
    )


def look_in_registry(connection: Connection, tenant_id: UUID) -> dict[str, int]:
    """Rows that name the tenant, by table of the registry; tables that may keep them are left out."""
    tables = connection.scalars(
        text(
            "SELECT c.table_name FROM information_schema.columns c"
            " JOIN information_schema.tables t USING (table_schema, table_name)"
            " WHERE c.table_schema = :schema AND c.column_name = 'tenant_id' AND t.table_type = 'BASE TABLE'"
            " ORDER BY c.table_name"
        ),
        {"schema": CORE_SCHEMA},
    ).all()
    columns = {"tenants": "id"} | {name: "tenant_id" for name in tables if name not in MAY_STAY}
    found = {}
    for table, column in columns.items():
        query = sql.SQL("SELECT count(*) FROM {} WHERE {} = {}").format(
            sql.Identifier(CORE_SCHEMA, table), sql.Identifier(column), sql.Literal(str(tenant_id))
        )
        found[table] = int(connection.exec_driver_sql(query.as_string()).scalar_one())
    return found


def look_at_broker(broker: BrokerAccess, slug: str) -> int:
    """Logins of the tenant's devices that the broker has."""
    return len(broker.logins_of(slug))


_CATALOG = """
SELECT
    (SELECT count(*) FROM pg_namespace WHERE nspname = :schema) AS schemas,
    (SELECT count(*) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
      WHERE n.nspname = :schema) AS relations,
    (SELECT count(*) FROM pg_roles WHERE rolname = :schema) AS role,
    (SELECT count(*) FROM pg_shdepend d JOIN pg_roles r ON r.oid = d.refobjid
      WHERE d.refclassid = 'pg_authid'::regclass AND r.rolname = :schema
        AND d.dbid = (SELECT oid FROM pg_database WHERE datname = current_database())) AS privileges,
    (SELECT count(*) FROM pg_shdepend d JOIN pg_roles r ON r.oid = d.refobjid
      WHERE d.refclassid = 'pg_authid'::regclass AND r.rolname = :schema
        AND d.dbid <> (SELECT oid FROM pg_database WHERE datname = current_database())) AS elsewhere
"""

_CHUNKS = "SELECT count(*) FROM timescaledb_information.chunks WHERE hypertable_schema = :schema"

_AGGREGATES = """
SELECT (SELECT count(*) FROM _timescaledb_catalog.continuous_agg WHERE user_view_schema = :schema)
     + (SELECT count(*) FROM _timescaledb_catalog.hypertable h
         WHERE h.table_name ~ '^_materialized_hypertable_' AND NOT EXISTS (
            SELECT FROM _timescaledb_catalog.continuous_agg a WHERE a.mat_hypertable_id = h.id))
     + (SELECT count(*) FROM pg_class c
         WHERE c.relname ~ '^_materialized_hypertable_[0-9]+$' AND c.relkind = 'r' AND NOT EXISTS (
            SELECT FROM _timescaledb_catalog.hypertable h WHERE h.table_name = c.relname))
"""
