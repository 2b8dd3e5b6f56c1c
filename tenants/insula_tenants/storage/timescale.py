"""TimescaleDB: a hypertable per tenant."""

from __future__ import annotations

from psycopg import sql
from sqlalchemy import Connection, text

from insula_tenants.roles import execute
from insula_tenants.storage.engine import SHORT_BUCKET


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

    def _schema(self, connection: Connection) -> str:
        query = "SELECT extnamespace::regnamespace::text FROM pg_extension WHERE extname = 'timescaledb'"
        return str(connection.scalar(text(query)))
