"""Plain PostgreSQL: the same table, range-partitioned by month."""

from __future__ import annotations

from psycopg import sql
from sqlalchemy import Connection, text

from insula_tenants.roles import execute
from insula_tenants.storage.engine import CREATE_TIME_INDEX, SHORT_BUCKET
from insula_tenants.storage.rollups import ROLLUPS, TABLE_COLUMNS


class PartitionEngine:
    """Readings in monthly range partitions, made when the first reading of a month arrives."""

    name = "postgresql"

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
