"""What a rollup holds, and the SQL that makes it: the same on every engine.

::

    readings ──► readings_15m ──► readings_1h ──► readings_1d     buckets begin on UTC quarters, hours, days

    point_id     integer
    time         timestamptz          start of the bucket
    count        bigint               readings in it
    sum, min, max, first, last        double precision
    first_time, last_time             timestamptz, of the first and the last reading
    area         double precision     Σ vᵢ·(tᵢ₊₁ − tᵢ) over consecutive readings in the bucket: value·seconds
    fall_count   integer              pairs of consecutive readings with next < previous / 2, previous > 0
    falls        double precision[]   those pairs, {previous, next, …}, in no order; '{}' when more than four

`area` with the first and last readings and their times gives exact time-weighted means of any run of buckets,
a value holding until the next one. A *fall* is what a counter's reset or rollover looks like: with the falls
kept, a run of buckets gives exact consumption. A gauge falls more often, and nobody asks for its consumption.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import LiteralString

from psycopg import sql
from sqlalchemy import Connection

from insula_tenants.roles import execute

RAW = "readings"


@dataclass(frozen=True, slots=True)
class Rollup:
    """One level: its relation, the width of its buckets, and the relation it is made from."""

    name: LiteralString
    width: timedelta
    source: LiteralString


ROLLUPS = (
    Rollup("readings_15m", timedelta(minutes=15), RAW),
    Rollup("readings_1h", timedelta(hours=1), "readings_15m"),
    Rollup("readings_1d", timedelta(days=1), "readings_1h"),
)
"""Every level, finest first: the order in which they are made anew."""

TABLE_COLUMNS: LiteralString = """
    point_id integer NOT NULL, time timestamptz NOT NULL, count bigint NOT NULL,
    sum double precision NOT NULL, min double precision NOT NULL, max double precision NOT NULL,
    first double precision NOT NULL, first_time timestamptz NOT NULL,
    last double precision NOT NULL, last_time timestamptz NOT NULL,
    area double precision NOT NULL, fall_count integer NOT NULL, falls double precision[] NOT NULL,
    PRIMARY KEY (point_id, time)
"""
"""The columns of a rollup where it is a table, in the order of `rollup_query`."""


def rollup_query(rollup: Rollup, bucket: sql.Composable, where: sql.Composable | None = None) -> sql.Composed:
    """`SELECT` of a level's rows from its source; `bucket` is the expression for a row's bucket.

    Each array is written as often as it is used: PostgreSQL computes equal aggregates once.
    """
    columns = _FROM_READINGS if rollup.source == RAW else _FROM_ROLLUP
    return sql.SQL("SELECT point_id, {bucket} AS time, {columns} FROM {source} {where} GROUP BY 1, 2").format(
        bucket=bucket,
        columns=sql.SQL(columns),
        source=sql.Identifier(rollup.source),
        where=where or sql.SQL(""),
    )


_FROM_READINGS = """
    count(*) AS count, sum(value) AS sum, min(value) AS min, max(value) AS max,
    (array_agg(value ORDER BY time))[1] AS first, min(time) AS first_time,
    (array_agg(value ORDER BY time))[count(*)] AS last, max(time) AS last_time,
    insula_functions.area(
        array_agg(value ORDER BY time), array_agg(time ORDER BY time), array_agg(time ORDER BY time)) AS area,
    cardinality(insula_functions.falls(array_agg(value ORDER BY time), array_agg(value ORDER BY time))) / 2
        AS fall_count,
    insula_functions.at_most_four(
        insula_functions.falls(array_agg(value ORDER BY time), array_agg(value ORDER BY time))) AS falls
"""

_FROM_ROLLUP = """
    sum(count)::bigint AS count, sum(sum) AS sum, min(min) AS min, max(max) AS max,
    (array_agg(first ORDER BY time))[1] AS first, min(first_time) AS first_time,
    (array_agg(last ORDER BY time))[count(*)] AS last, max(last_time) AS last_time,
    sum(area) + insula_functions.area(
        array_agg(last ORDER BY time), array_agg(last_time ORDER BY time),
        array_agg(first_time ORDER BY time)) AS area,
    sum(fall_count)::integer + cardinality(insula_functions.falls(
        array_agg(last ORDER BY time), array_agg(first ORDER BY time))) / 2 AS fall_count,
    CASE WHEN max(fall_count) > 4 THEN '{}'::double precision[]
         ELSE insula_functions.at_most_four(insula_functions.concat(falls) || insula_functions.falls(
            array_agg(last ORDER BY time), array_agg(first ORDER BY time))) END AS falls
"""

_FUNCTIONS = (
    # Σ of each value until the next begins. Neighbours are readings, or buckets by their ends and beginnings.
    """
    CREATE OR REPLACE FUNCTION insula_functions.area(
        lasts double precision[], ends timestamptz[], beginnings timestamptz[]
    ) RETURNS double precision LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE AS $$
    DECLARE
        total double precision := 0;
    BEGIN
        FOR i IN 1 .. cardinality(lasts) - 1 LOOP
            total := total + lasts[i] * date_part('epoch', beginnings[i + 1] - ends[i]);
        END LOOP;
        RETURN total;
    END
    $$
    """,
    """
    CREATE OR REPLACE FUNCTION insula_functions.falls(lasts double precision[], firsts double precision[])
    RETURNS double precision[] LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE AS $$
    DECLARE
        found double precision[] := '{}';
    BEGIN
        FOR i IN 1 .. cardinality(lasts) - 1 LOOP
            IF firsts[i + 1] < lasts[i] / 2 AND lasts[i] > 0 THEN
                found := found || ARRAY[lasts[i], firsts[i + 1]];
            END IF;
        END LOOP;
        RETURN found;
    END
    $$
    """,
    """
    CREATE OR REPLACE FUNCTION insula_functions.at_most_four(pairs double precision[])
    RETURNS double precision[] LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN CASE WHEN cardinality(pairs) > 8 THEN '{}'::double precision[] ELSE pairs END
    """,
    """
    CREATE OR REPLACE AGGREGATE insula_functions.concat(double precision[]) (
        sfunc = array_cat, stype = double precision[], initcond = '{}', parallel = safe
    )
    """,
)


def create_rollup_functions(connection: Connection) -> None:
    """Create what the rollups' queries call, in `insula_functions`."""
    for statement in _FUNCTIONS:
        execute(connection, statement)
