"""Plain PostgreSQL: the same table, range-partitioned by month."""

from __future__ import annotations

from datetime import datetime, timedelta

from psycopg import sql
from sqlalchemy import Connection, text

from insula_tenants.roles import execute
from insula_tenants.storage.engine import CREATE_TIME_INDEX, SHORT_BUCKET, Piece
from insula_tenants.storage.rollups import RAW, ROLLUPS, TABLE_COLUMNS, Rollup, rollup_query


class PartitionEngine:
    """Readings in monthly range partitions, made when the first reading of a month arrives."""

    name = "postgresql"
    compresses = False

    def version(self, connection: Connection) -> str:
        """Version of the server."""
        return str(connection.scalar(text("SHOW server_version")))

    def create_functions(self, connection: Connection) -> None:
        """`time_bucket` as TimescaleDB aligns it, written on `date_bin` and on whole months."""
        execute(
            connection,
            sql.SQL("""
            CREATE OR REPLACE FUNCTION insula_functions.time_bucket(
                width interval, at timestamptz, time_zone text
            ) RETURNS timestamptz LANGUAGE sql IMMUTABLE PARALLEL SAFE
            RETURN CASE
                WHEN width < interval '1 day' THEN {short}
                WHEN extract(month FROM width) = 0 AND extract(year FROM width) = 0
                THEN date_bin(width, at AT TIME ZONE time_zone, timestamp '2000-01-03') AT TIME ZONE time_zone
                ELSE (timestamp '2000-01-01' + floor(
                        ((extract(year FROM at AT TIME ZONE time_zone) - 2000) * 12
                          + extract(month FROM at AT TIME ZONE time_zone) - 1)
                        / (extract(year FROM width) * 12 + extract(month FROM width))
                     ) * (extract(year FROM width) * 12 + extract(month FROM width)) * interval '1 month'
                ) AT TIME ZONE time_zone
            END
            """).format(short=sql.SQL(SHORT_BUCKET)),
        )

    def create_readings(self, connection: Connection) -> None:
        """A partitioned table; the function that adds partitions runs with its owner's rights.

        A service may write rows but not make tables. So the one thing it may ask for, the partitions of a
        plausible range, is a SECURITY DEFINER function with a pinned search path.
        """
        execute(
            connection,
            "CREATE TABLE readings (time timestamptz NOT NULL, point_id integer NOT NULL,"
            " value double precision NOT NULL, PRIMARY KEY (point_id, time)) PARTITION BY RANGE (time)",
        )
        schema = str(connection.scalar(text("SELECT current_schema()")))
        execute(connection, sql.SQL(_ENSURE_RANGE).format(schema=sql.Identifier(schema)))

    def create_rollups(self, connection: Connection) -> None:
        """A table for each level."""
        execute(connection, CREATE_TIME_INDEX)
        for rollup in ROLLUPS:
            names = {
                "name": sql.Identifier(rollup.name),
                "index": sql.Identifier(f"{rollup.name}_time"),
                "columns": sql.SQL(TABLE_COLUMNS),
            }
            execute(connection, sql.SQL("CREATE TABLE {name} ({columns})").format(**names))
            execute(connection, sql.SQL("CREATE INDEX {index} ON {name} USING brin (time)").format(**names))

    def refresh(self, connection: Connection, rollup: Rollup, starting: datetime, ending: datetime) -> None:
        """Delete and insert, in one transaction."""
        bucket = sql.SQL("date_bin({width}, time, timestamptz '2000-01-01T00:00:00Z')").format(
            width=sql.Literal(rollup.width)
        )
        stretch = sql.SQL("WHERE time >= {starting} AND time < {ending}").format(
            starting=sql.Literal(starting), ending=sql.Literal(ending)
        )
        # Statements that are sent together are one transaction.
        execute(
            connection,
            sql.SQL("DELETE FROM {name} {stretch}; INSERT INTO {name} {query}").format(
                name=sql.Identifier(rollup.name),
                stretch=stretch,
                query=rollup_query(rollup, bucket, stretch),
            ),
        )

    def pieces(self, connection: Connection) -> list[Piece]:
        """The monthly partitions; a rollup is one table."""
        rows = connection.exec_driver_sql(_PARTITIONS, execution_options={"no_parameters": True})
        return [Piece(**row, relation=RAW, compressed=False, partial=False) for row in rows.mappings()]

    def rollup_bytes(self, connection: Connection) -> int:
        """Bytes of the three tables."""
        query = text(
            "SELECT sum(pg_total_relation_size(to_regclass(name)))"
            " FROM unnest(CAST(:names AS text[])) AS name"
        )
        return int(connection.scalar(query, {"names": [rollup.name for rollup in ROLLUPS]}) or 0)

    def compress(self, connection: Connection, piece: Piece) -> None:
        """Plain PostgreSQL compresses no readings."""
        raise NotImplementedError

    def drop(self, connection: Connection, piece: Piece) -> None:
        """Drop the partition: when its turn to lock the table does not come soon, another time."""
        name = sql.Identifier(f"readings_{piece.starting:%Y_%m}")
        execute(connection, sql.SQL("DROP TABLE IF EXISTS {}").format(name))

    def resize(self, connection: Connection, span: timedelta) -> None:
        """Partitions are months."""


_PARTITIONS = """
SELECT format('%I.%I', n.nspname, c.relname) AS table,
       to_timestamp(right(c.relname, 7), 'YYYY_MM') AS starting,
       to_timestamp(right(c.relname, 7), 'YYYY_MM') + interval '1 month' AS ending,
       greatest(c.reltuples, 0)::bigint AS rows, pg_total_relation_size(c.oid) AS bytes
FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE i.inhparent = to_regclass('readings')
ORDER BY c.relname
"""

_ENSURE_RANGE = """
CREATE FUNCTION ensure_readings_range(starting timestamptz, ending timestamptz) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = {schema}, pg_temp SET timezone = 'UTC' AS $$
DECLARE
    month timestamptz := date_trunc('month', starting);
    partition text;
BEGIN
    IF starting < '2000-01-01' OR ending > now() + interval '2 years' THEN
        RAISE EXCEPTION 'readings are kept from 2000 to two years ahead, not % to %', starting, ending;
    END IF;
    WHILE month < ending LOOP
        partition := 'readings_' || to_char(month, 'YYYY_MM');
        IF to_regclass(format('%I', partition)) IS NULL THEN
            -- Two writers may meet at the turn of a month: the second waits, then finds it made.
            PERFORM pg_advisory_xact_lock(hashtext(current_schema() || partition));
            IF to_regclass(format('%I', partition)) IS NULL THEN
                -- Attached, not created as a partition: that would wait for every reader of the table.
                EXECUTE format('CREATE TABLE %I (LIKE readings INCLUDING ALL)', partition);
                EXECUTE format(
                    'ALTER TABLE readings ATTACH PARTITION %I FOR VALUES FROM (%L) TO (%L)',
                    partition, month, month + interval '1 month');
            END IF;
        END IF;
        month := month + interval '1 month';
    END LOOP;
END
$$
"""
