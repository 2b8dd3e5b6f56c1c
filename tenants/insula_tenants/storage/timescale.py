"""TimescaleDB: a hypertable per tenant."""

from __future__ import annotations

from datetime import datetime, timedelta

from psycopg import sql
from sqlalchemy import Connection, text

from insula_tenants.roles import execute
from insula_tenants.storage.engine import CREATE_TIME_INDEX, SHORT_BUCKET, Piece
from insula_tenants.storage.rollups import RAW, ROLLUPS, Rollup, rollup_query

_CHUNKS = {"readings_15m": "28 days", "readings_1h": "112 days", "readings_1d": "1120 days"}
"""What a chunk of a rollup spans: some ten thousand rows a point and a dozen chunks a year at most."""


class TimescaleEngine:
    """Readings in a hypertable, one chunk per week."""

    name = "timescaledb"
    compresses = True

    def version(self, connection: Connection) -> str:
        """Version of the installed extension."""
        return str(
            connection.scalar(text("SELECT extversion FROM pg_extension WHERE extname = 'timescaledb'"))
        )

    def create_functions(self, connection: Connection) -> None:
        """`time_bucket` is the extension's own from a day on, under the name that both engines share."""
        execute(
            connection,
            sql.SQL(
                "CREATE OR REPLACE FUNCTION insula_functions.time_bucket"
                "(width interval, at timestamptz, time_zone text) RETURNS timestamptz"
                " LANGUAGE sql IMMUTABLE PARALLEL SAFE"
                " RETURN CASE WHEN width < interval '1 day' THEN {short}"
                " ELSE {extension_schema}.time_bucket(width, at, time_zone) END"
            ).format(short=sql.SQL(SHORT_BUCKET), extension_schema=sql.Identifier(self._schema(connection))),
        )

    def create_readings(self, connection: Connection) -> None:
        """A hypertable with a unique index on `(point_id, time)`."""
        execute(
            connection,
            "CREATE TABLE readings (time timestamptz NOT NULL, point_id integer NOT NULL,"
            " value double precision NOT NULL, PRIMARY KEY (point_id, time))",
        )
        extension = sql.Identifier(self._schema(connection))
        execute(
            connection,
            sql.SQL(
                "SELECT {x}.create_hypertable('readings', {x}.by_range('time', INTERVAL '7 days'),"
                " create_default_indexes => false)"
            ).format(x=extension),
        )
        execute(
            connection,
            "CREATE FUNCTION ensure_readings_range(starting timestamptz, ending timestamptz) RETURNS void"
            " LANGUAGE sql IMMUTABLE RETURN NULL",
        )

    def create_rollups(self, connection: Connection) -> None:
        """Continuous aggregates, each on the one before, that nobody refreshes but the worker."""
        execute(connection, CREATE_TIME_INDEX)
        execute(connection, sql.SQL(_COMPRESS).format(kind=sql.SQL("TABLE"), name=sql.Identifier("readings")))
        extension = sql.Identifier(self._schema(connection))
        for rollup in ROLLUPS:
            bucket = sql.SQL("{x}.time_bucket({width}, time)").format(
                x=extension, width=sql.Literal(rollup.width)
            )
            execute(
                connection,
                sql.SQL(_CREATE_AGGREGATE).format(
                    name=sql.Identifier(rollup.name),
                    chunk=sql.Literal(_CHUNKS[rollup.name]),
                    query=rollup_query(rollup, bucket),
                ),
            )
            execute(
                connection,
                sql.SQL(_COMPRESS).format(
                    kind=sql.SQL("MATERIALIZED VIEW"), name=sql.Identifier(rollup.name)
                ),
            )

    def refresh(self, connection: Connection, rollup: Rollup, starting: datetime, ending: datetime) -> None:
        """Let TimescaleDB do it, in transactions of its own.

        Forced: we know what is to be made anew. (Left to its own log of changes, an hour of one random
        history once came out different with 2.28.3; it did not happen again, and is not understood.) In one
        batch: by itself it takes a transaction a bucket, which is five times the work.
        """
        batched = connection.scalar(
            text("SELECT max(pronargs) > 4 FROM pg_proc WHERE proname = 'refresh_continuous_aggregate'")
        )
        statement = sql.SQL(
            "CALL {x}.refresh_continuous_aggregate({name}, {starting}, {ending}, force => true{options})"
        ).format(
            x=sql.Identifier(self._schema(connection)),
            name=sql.Literal(rollup.name),
            starting=sql.Literal(starting),
            ending=sql.Literal(ending),
            options=sql.SQL(_ONE_BATCH if batched else ""),
        )
        execute(connection, statement)

    def pieces(self, connection: Connection) -> list[Piece]:
        """Chunks of the hypertable and of the aggregates' own, with what is compressed of them."""
        rows = connection.exec_driver_sql(_PIECES, execution_options={"no_parameters": True})
        return [Piece(**row) for row in rows.mappings()]

    def rollup_bytes(self, connection: Connection) -> int:
        """Bytes of the aggregates' chunks."""
        return sum(piece.bytes for piece in self.pieces(connection) if piece.relation != RAW)

    def compress(self, connection: Connection, piece: Piece) -> None:
        """Compress the chunk; of a partly compressed one, what is not."""
        statement = sql.SQL("SELECT {x}.compress_chunk({table})").format(
            x=sql.Identifier(self._schema(connection)), table=sql.Literal(piece.table)
        )
        execute(connection, statement)

    def drop(self, connection: Connection, piece: Piece) -> None:
        """Drop the chunk, by its end: TimescaleDB drops nothing that reaches further."""
        statement = sql.SQL(
            "SELECT {x}.drop_chunks('readings', older_than => {ending}, newer_than => {starting})"
        ).format(
            x=sql.Identifier(self._schema(connection)),
            starting=sql.Literal(piece.starting),
            ending=sql.Literal(piece.ending),
        )
        execute(connection, statement)

    def resize(self, connection: Connection, span: timedelta) -> None:
        """The interval of the chunks to come; those that are there stay as they are."""
        query = text(
            "SELECT time_interval FROM timescaledb_information.dimensions"
            " WHERE hypertable_schema = current_schema() AND hypertable_name = 'readings'"
        )
        if connection.scalar(query) == span:
            return
        statement = sql.SQL("SELECT {x}.set_chunk_time_interval('readings', {span})").format(
            x=sql.Identifier(self._schema(connection)), span=sql.Literal(span)
        )
        execute(connection, statement)

    def _schema(self, connection: Connection) -> str:
        query = "SELECT extnamespace::regnamespace::text FROM pg_extension WHERE extname = 'timescaledb'"
        return str(connection.scalar(text(query)))


_ONE_BATCH = """, options => '{"buckets_per_batch": 0}'"""

_CREATE_AGGREGATE = """
CREATE MATERIALIZED VIEW {name} WITH (
    timescaledb.continuous, timescaledb.materialized_only = true, timescaledb.chunk_interval = {chunk}
) AS {query} WITH NO DATA
"""

_COMPRESS = """
ALTER {kind} {name} SET (
    timescaledb.compress, timescaledb.compress_segmentby = 'point_id', timescaledb.compress_orderby = 'time'
)
"""

_PIECES = """
WITH relations AS (
    SELECT 'readings' AS relation, current_schema() AS schema, 'readings'::name AS name
    UNION ALL
    SELECT view_name, materialization_hypertable_schema, materialization_hypertable_name
    FROM timescaledb_information.continuous_aggregates WHERE view_schema = current_schema()
)
SELECT format('%I.%I', c.chunk_schema, c.chunk_name) AS table, r.relation,
       c.range_start AS starting, c.range_end AS ending,
       (greatest(t.reltuples, 0) + coalesce(s.numrows_pre_compression, 0))::bigint AS rows,
       pg_total_relation_size(t.oid) + coalesce(pg_total_relation_size(to_regclass(
            quote_ident(packed.schema_name) || '.' || quote_ident(packed.table_name))), 0) AS bytes,
       c.is_compressed AS compressed, k.status & 8 <> 0 AS partial
FROM relations r
JOIN timescaledb_information.chunks c ON c.hypertable_schema = r.schema AND c.hypertable_name = r.name
JOIN _timescaledb_catalog.chunk k ON k.schema_name = c.chunk_schema AND k.table_name = c.chunk_name
JOIN pg_class t ON t.oid = format('%I.%I', c.chunk_schema, c.chunk_name)::regclass
LEFT JOIN _timescaledb_catalog.chunk packed ON packed.id = k.compressed_chunk_id
LEFT JOIN _timescaledb_catalog.compression_chunk_size s ON s.chunk_id = k.id
ORDER BY r.relation, c.range_start
"""
