"""Read latest values and readings, page by page, on an asynchronous connection in a tenant's transaction.

A question for buckets is planned (`plan.py`): which stretch of it comes from which rollup, and which from raw
readings. What was planned is one statement; a page takes as many as fill it. All must see the same state of
the tenant's readings, marks and rollups: open the transaction with `AsyncDatabases.snapshot`.
"""

from __future__ import annotations

import asyncio
from bisect import bisect_left, bisect_right
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from itertools import pairwise
from typing import Any

from psycopg import AsyncConnection, sql
from psycopg.rows import DictRow, tuple_row

from insula_tenants.errors import InvalidInput
from insula_tenants.telemetry.aggregates import FLOWS, SIMPLE, Aggregate
from insula_tenants.telemetry.buckets import (
    EARLIEST,
    Microseconds,
    Width,
    bucket_starts,
    instant,
    microseconds,
)
from insula_tenants.telemetry.plan import WIDTHS, Coverage, Relation, Stretch, merged, plan
from insula_tenants.telemetry.sql import statement
from insula_tenants.telemetry.stretches import (
    arrays_of,
    bounds_of,
    by_relation,
    items_of,
    read_coverage,
    within_bounds,
)

Row = tuple[int, datetime, float]
"""A point, the reading's time (UTC) or its bucket's beginning, and the value."""

Position = tuple[int, datetime]
"""Where a page ended: the point and the time of its last row."""

START: Position = (0, datetime(1970, 1, 1, tzinfo=UTC))

FEWEST_AT_ONCE, MOST_AT_ONCE = 500, 50_000
"""Buckets, over all points, that a statement computes: what a page lacks, more where readings are sparse."""


@dataclass(frozen=True, slots=True)
class ReadingsQuery:
    """Readings of some points in the half-open interval `[starting, ending)`, by point and time."""

    points: Sequence[int]
    starting: datetime
    ending: datetime
    after: Position = START
    limit: int = 1000


@dataclass(frozen=True, slots=True)
class Buckets:
    """How readings are brought together: the width of buckets, aligned to local time of an IANA zone."""

    width: Width
    aggregate: Aggregate
    time_zone: str


@dataclass(frozen=True, slots=True)
class Answer:
    """Some rows, by point and time, and what they rest on."""

    rows: list[Row]
    complete_until: datetime
    """They take in all readings before it that were stored when asked."""
    served_from: tuple[Relation, ...]
    """The relations that answered, the coarsest rollup first."""


async def read_latest(
    connection: AsyncConnection[DictRow],
    *,
    device: str | None = None,
    space: int | None = None,
    points: Sequence[int] | None = None,
    within: Collection[int] | None = None,
    after: int = 0,
    limit: int = 1000,
) -> list[DictRow]:
    """The newest reading of each point: rows of point, device, name, time, value, in_range, by point.

    With `within` only of devices in these spaces. `in_range` says whether the value lies in the point's
    range; None when nobody said what that is.
    """
    parameters = {
        "device": device,
        "space": space,
        "points": points,
        "within": list(within) if within is not None else None,
        "after": after,
        "limit": limit,
    }
    cursor = await connection.execute(statement("latest"), parameters)
    return await cursor.fetchall()


async def read_places(connection: AsyncConnection[DictRow], points: Sequence[int]) -> list[DictRow]:
    """Where these points belong: rows of point, device, name, space."""
    cursor = await connection.execute(statement("places"), {"points": points})
    return await cursor.fetchall()


async def read_readings(
    connection: AsyncConnection[DictRow], query: ReadingsQuery, buckets: Buckets | None = None
) -> Answer:
    """Readings as stored, or one value a bucket, with the bucket's beginning as its time.

    Raises `InvalidInput` for the consumption of a point that is no counter, `RawDropped` when the question
    needs raw readings that the tenant's retention dropped.
    """
    starting, until = (within_bounds(time) for time in (query.starting, query.ending))
    coverage, asked_at = await read_coverage(connection, starting, until)
    ending = until
    points = sorted(set(query.points))
    if buckets is None:
        served = plan(starting, ending, None, coverage)
        rows = await _read_stored(connection, points, starting, ending, query.after, query.limit)
    else:
        if buckets.aggregate == "consumption":
            await _check_counters(connection, points)
        if buckets.aggregate == "time_weighted_mean":
            ending = min(ending, microseconds(asked_at))  # no value holds longer than until now
        reader = _BucketReader(connection, buckets, coverage)
        # Half a million buckets take half a second, in which everybody else would wait for the event loop.
        edges, served = await asyncio.to_thread(_planned, buckets, starting, ending, coverage)
        rows = await reader.page(points, [*edges, ending], starting, query.after, query.limit)
        if reader.coverage is not coverage:  # rows of rollups turned out unfit
            served = await asyncio.to_thread(plan, starting, ending, edges, reader.coverage)
    relations = {stretch.relation for stretch in served}
    return Answer(
        rows,
        complete_until=min(instant(until), asked_at),
        served_from=tuple(one for one in (*WIDTHS, "raw") if one in relations),
    )


def _planned(
    buckets: Buckets, starting: Microseconds, ending: Microseconds, coverage: Coverage
) -> tuple[list[Microseconds], list[Stretch]]:
    """The buckets' beginnings, and what answers where."""
    edges = bucket_starts(buckets.width, buckets.time_zone, starting, ending) if starting < ending else []
    return edges, plan(starting, ending, edges, coverage)


async def _check_counters(connection: AsyncConnection[DictRow], points: Sequence[int]) -> None:
    cursor = await connection.execute(statement("counters"), {"points": points})
    if gauge := await cursor.fetchone():
        raise InvalidInput(
            "aggregate",
            f"point {gauge['id']} ({gauge['name']!r}) is no counter, so it has no consumption: ask for its "
            "`mean` or `time_weighted_mean`, or leave the point out",
        )


async def _read_stored(
    connection: AsyncConnection[DictRow],
    points: list[int],
    starting: Microseconds,
    ending: Microseconds,
    after: Position,
    limit: int,
) -> list[Row]:
    """Raw readings behind `after`: first the rest of the point at which the page before ended."""
    place = bisect_left(points, after[0])
    questions = [(points[place:], starting)]
    if place < len(points) and points[place] == after[0]:
        questions = [([after[0]], max(starting, microseconds(after[1]) + 1)), (points[place + 1 :], starting)]
    rows: list[Row] = []
    cursor = connection.cursor(row_factory=tuple_row, binary=True)
    for some, begins in questions:
        if some and begins < ending and len(rows) < limit:
            parameters = {
                "points": some,
                "starting": instant(begins),
                "ending": instant(ending),
                "limit": limit - len(rows),
            }
            await cursor.execute(statement("readings"), parameters)
            rows += await cursor.fetchall()
    return rows


class _BucketReader:
    """Reads buckets of one question; learns on the way which rows of rollups do not serve it."""

    def __init__(self, connection: AsyncConnection[DictRow], buckets: Buckets, coverage: Coverage) -> None:
        self._connection = connection
        self._buckets = buckets
        self.coverage = coverage

    async def page(
        self,
        points: list[int],
        edges: list[Microseconds],
        starting: Microseconds,
        after: Position,
        limit: int,
    ) -> list[Row]:
        """Rows behind `after`; `edges` are all the buckets' beginnings and, last, the end of the question."""
        rows: list[Row] = []
        place, first, count = bisect_left(points, after[0]), 0, len(edges) - 1
        if place < len(points) and points[place] == after[0]:
            first = bisect_right(edges, microseconds(after[1]), hi=count)
        at_once = max(limit, FEWEST_AT_ONCE)
        while count and place < len(points) and len(rows) < limit:
            last = min(first + at_once, count)
            # Some buckets of one point, or all buckets of some points.
            some = points[place : place + (1 if first or last < count else -(-at_once // count))]
            asked, before = len(some) * (last - first), len(rows)
            if first < count:
                rows += await self._read(some, edges[first : last + 1], starting, limit - before)
            place, first = (place, last) if last < count else (place + len(some), 0)
            sparse = len(rows) - before < asked / 2
            at_once = min(2 * at_once, MOST_AT_ONCE) if sparse else max(limit - len(rows), FEWEST_AT_ONCE)
        return rows

    async def _read(
        self, points: list[int], edges: list[Microseconds], starting: Microseconds, limit: int
    ) -> list[Row]:
        """The buckets between the edges, in one statement; again where rows of a rollup turn out unfit."""
        times = [instant(edge) for edge in edges]
        cuts = [max(edges[0], starting), *edges[1:]]
        parameters = {
            "points": points,
            "cuts": [instant(cuts[0]), *times[1:]],
            "buckets": len(edges) - 1,
            "raw_from": instant(self.coverage.raw_from) if self.coverage.raw_from else EARLIEST,
            "limit": limit,
        }
        cursor = self._connection.cursor(row_factory=tuple_row, binary=True)
        while True:
            stretches = plan(cuts[0], cuts[-1], cuts, self.coverage)
            if not stretches:
                return []
            relations = by_relation(stretches)
            bounds = bounds_of(relations)
            if whole := self._whole(stretches, cuts if cuts[0] == edges[0] else []):
                await cursor.execute(whole, parameters | bounds)
                return await cursor.fetchall()
            await cursor.execute(self._statement(relations), parameters | bounds)
            rows = await cursor.fetchall()
            if not any(unfit for *_, unfit in rows):
                return [(point, times[bucket - 1], value) for point, bucket, value, _ in rows]
            await self._learn_unfit(relations, parameters)

    def _whole(self, stretches: Sequence[Stretch], edges: Sequence[Microseconds]) -> sql.Composed | None:
        """The statement for buckets that are rows of one rollup, and need no neighbours; None for others."""
        aggregate = SIMPLE.get(self._buckets.aggregate)
        width = WIDTHS.get(stretches[0].relation)
        if aggregate is None or len(stretches) > 1 or not edges or edges[0] % (width or 1):
            return None
        if any(later - earlier != width for earlier, later in pairwise(edges)):
            return None
        return sql.SQL(statement("whole")).format(
            items=items_of(stretches[0].relation, 1), value=sql.SQL(aggregate.of_item)
        )

    def _statement(self, relations: Mapping[Relation, Sequence[Stretch]]) -> sql.Composed:
        items = sql.SQL(" UNION ALL ").join(
            items_of(relation, len(stretches)) for relation, stretches in relations.items()
        )
        aggregate = self._buckets.aggregate
        if (flow := FLOWS.get(aggregate)) is None:
            return sql.SQL(statement("aggregated")).format(
                items=items, aggregate=sql.SQL(SIMPLE[aggregate].of_items)
            )
        return sql.SQL(statement("spread")).format(
            items=items,
            before=sql.SQL(statement("before")).format(),
            after=sql.SQL(statement(flow.after)).format(),
            within=sql.SQL(flow.within),
            between=sql.SQL(flow.between),
            value=sql.SQL(flow.value),
            unfit=sql.SQL(flow.unfit),
        )

    async def _learn_unfit(
        self, relations: Mapping[Relation, Sequence[Stretch]], parameters: Mapping[str, Any]
    ) -> None:
        """Note which of the rows that were read kept too many falls: a finer relation has to answer there."""
        unfit = dict(self.coverage.unfit)
        bounds = bounds_of(relations)
        for relation in relations:
            if relation != "raw":
                begins, ends = arrays_of(relation)
                query = sql.SQL(statement("unfit")).format(
                    begins=begins, ends=ends, rollup=sql.Identifier(f"readings_{relation}")
                )
                cursor = await self._connection.execute(query, {**parameters, **bounds})
                times = [microseconds(row["time"]) for row in await cursor.fetchall()]
                rows = [(time, time + WIDTHS[relation]) for time in times]
                unfit[relation] = merged((*unfit.get(relation, ()), *rows))
        self.coverage = replace(self.coverage, unfit=unfit)
