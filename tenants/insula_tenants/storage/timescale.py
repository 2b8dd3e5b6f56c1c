"""TimescaleDB: a hypertable per tenant."""

from __future__ import annotations

from psycopg import sql
from sqlalchemy import Connection, text

from insula_tenants.roles import execute
from insula_tenants.storage.engine import CREATE_TIME_INDEX, SHORT_BUCKET
from insula_tenants.storage.rollups import ROLLUPS, rollup_query

_CHUNKS = {"readings_15m": "28 days", "readings_1h": "112 days", "readings_1d": "1120 days"}
"""What a chunk of a rollup spans: some ten thousand rows a point and a dozen chunks a year at most."""


class TimescaleEngine:
    """Readings in a hypertable, one chunk per week."""

    name = "timescaledb"

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

    def _schema(self, connection: Connection) -> str:
        query = "SELECT extnamespace::regnamespace::text FROM pg_extension WHERE extname = 'timescaledb'"
        return str(connection.scalar(text(query)))


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
