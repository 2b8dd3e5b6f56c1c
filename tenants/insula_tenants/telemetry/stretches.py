"""The SQL of a plan's stretches: what readers of one value a bucket and of digests have in common."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

from psycopg import AsyncConnection, sql
from psycopg.rows import DictRow

from insula_tenants.telemetry.buckets import EARLIEST, LATEST, Microseconds, instant, microseconds
from insula_tenants.telemetry.plan import Coverage, Relation, Stretch
from insula_tenants.telemetry.sql import statement

FEW_STRETCHES = 8
"""Stretches of a relation whose bounds the server's planner sees one by one: from each it can tell how many
rows to expect and where, but planning takes its time for each."""


def within_bounds(time: datetime) -> Microseconds:
    """The time, or the nearest one of which there can be readings."""
    return min(max(microseconds(time), microseconds(EARLIEST)), microseconds(LATEST))


async def read_coverage(
    connection: AsyncConnection[DictRow], starting: Microseconds, ending: Microseconds
) -> tuple[Coverage, datetime]:
    """What the rollups hold of the question's time, and the time at which this is so."""
    parameters = {"starting": instant(starting), "ending": instant(ending)}
    cursor = await connection.execute(statement("coverage"), parameters)
    row = await cursor.fetchone()
    if row is None:
        raise LookupError("the tenant's schema has no rollup_state")
    raw_from = microseconds(row["raw_from"]) if row["raw_from"] else None
    spans = zip(row["begins"] or (), row["ends"] or (), strict=True)
    # Marks of a time whose raw readings are gone change nothing: its rollups stay as they are.
    dirty = [(max(microseconds(begins), raw_from or 0), microseconds(ends)) for begins, ends in spans]
    coverage = Coverage(
        complete_until=microseconds(row["complete_until"]),
        raw_from=raw_from,
        dirty=[(begins, ends) for begins, ends in dirty if begins < ends],
    )
    return coverage, row["asked_at"]


def by_relation(stretches: Sequence[Stretch]) -> dict[Relation, list[Stretch]]:
    """The stretches of each relation, in the order in which they come."""
    found: dict[Relation, list[Stretch]] = {}
    for stretch in stretches:
        found.setdefault(stretch.relation, []).append(stretch)
    return found


def bounds_of(relations: Mapping[Relation, Sequence[Stretch]]) -> dict[str, list[datetime]]:
    """The parameters that say which stretches of a relation are meant."""
    bounds = {}
    for relation, stretches in relations.items():
        bounds[f"begins_{relation}"] = [instant(stretch.starting) for stretch in stretches]
        bounds[f"ends_{relation}"] = [instant(stretch.ending) for stretch in stretches]
    return bounds


def items_of(relation: Relation, stretches: int) -> sql.Composed:
    """The statement that gives the items of a relation's stretches."""
    text = sql.SQL(statement("items_raw" if relation == "raw" else "items_rollup"))
    rollup = sql.Identifier(f"readings_{relation}")
    begins, ends = arrays_of(relation)
    if stretches > FEW_STRETCHES:
        among = sql.SQL("unnest({}::timestamptz[], {}::timestamptz[]) AS stretch (begins, ends) CROSS JOIN ")
        return text.format(
            among=among.format(begins, ends),
            rollup=rollup,
            begins=sql.Identifier("stretch", "begins"),
            ends=sql.Identifier("stretch", "ends"),
        )
    one = sql.SQL("({}::timestamptz[])[{}]")
    places = range(1, stretches + 1)
    bounds = [{"begins": one.format(begins, place), "ends": one.format(ends, place)} for place in places]
    alone = sql.SQL("")
    return sql.SQL(" UNION ALL ").join(text.format(among=alone, rollup=rollup, **bound) for bound in bounds)


def arrays_of(relation: Relation) -> tuple[sql.Placeholder, sql.Placeholder]:
    """The parameters that `_bounds` makes for a relation."""
    return sql.Placeholder(f"begins_{relation}"), sql.Placeholder(f"ends_{relation}")
