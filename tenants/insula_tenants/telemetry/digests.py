"""What is known of readings without reading them: a bucket's number, its extremes, its first and last time.

Rollups hold just this, so a year of two hundred points is some 70 000 rows. Planned as other questions are
(`plan.py`), so it is exact: raw readings answer where no rollup does.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from psycopg import AsyncConnection, sql
from psycopg.rows import DictRow, tuple_row

from insula_tenants.telemetry.buckets import EARLIEST, Microseconds, instant
from insula_tenants.telemetry.plan import WIDTHS, Coverage, Range, Relation, Stretch, merged, plan
from insula_tenants.telemetry.sql import statement
from insula_tenants.telemetry.stretches import bounds_of, by_relation, items_of, read_coverage, within_bounds


@dataclass(frozen=True, slots=True)
class Digests:
    """A point's buckets that have readings, in order of time. All arrays have one element a bucket."""

    begins: NDArray[np.int64]
    """Microseconds since the epoch; whole widths, so that a day is one of UTC."""
    counts: NDArray[np.int64]
    lows: NDArray[np.float64]
    highs: NDArray[np.float64]
    firsts: NDArray[np.int64]
    """The time of the first reading, microseconds since the epoch."""
    lasts: NDArray[np.int64]
    """The time of the last reading."""

    def __len__(self) -> int:
        """How many buckets."""
        return len(self.begins)


_NO_TIMES = np.empty(0, np.int64)
_NO_VALUES = np.empty(0, np.float64)
NO_DIGESTS = Digests(_NO_TIMES, _NO_TIMES, _NO_VALUES, _NO_VALUES, _NO_TIMES, _NO_TIMES)


@dataclass(frozen=True, slots=True)
class Digested:
    """The digests of some points, and what they rest on."""

    digests: Mapping[int, Digests]
    """By point; `NO_DIGESTS` for one without readings."""
    complete_until: datetime
    """All readings before it that were stored when asked are in."""
    served_from: tuple[Relation, ...]


async def read_digests(
    connection: AsyncConnection[DictRow],
    points: Sequence[int],
    spans: Iterable[tuple[datetime, datetime]],
    width: timedelta,
) -> Digested:
    """What the points' buckets of this width hold in some half-open stretches of time.

    The connection is one of `AsyncDatabases.snapshot`. Where retention dropped raw readings, a stretch begins
    and ends with a quarter of an hour.
    """
    asked = merged((within_bounds(starting), within_bounds(ending)) for starting, ending in spans)
    asked = [(starting, ending) for starting, ending in asked if starting < ending]
    if not asked:
        return Digested(dict.fromkeys(points, NO_DIGESTS), EARLIEST, ())
    until = asked[-1][1]
    coverage, asked_at = await read_coverage(connection, asked[0][0], until)
    step = width // timedelta(microseconds=1)
    stretches = await asyncio.to_thread(_planned, asked, step, coverage)
    relations = by_relation(stretches)
    digests: Mapping[int, Digests] = dict.fromkeys(points, NO_DIGESTS)
    if relations and points:
        cursor = connection.cursor(row_factory=tuple_row, binary=True)
        await cursor.execute(
            _statement(relations, step),
            {"points": sorted(set(points)), "width": width.total_seconds()} | bounds_of(relations),
        )
        digests = await asyncio.to_thread(_by_point, points, await cursor.fetchall())
    served = tuple(one for one in (*WIDTHS, "raw") if one in relations)
    return Digested(digests, min(instant(until), asked_at), served)


def _statement(relations: Mapping[Relation, Sequence[Stretch]], width: Microseconds) -> sql.Composed:
    """One row a bucket, in no order: a relation's where its rows are buckets, else brought together."""
    whole = {one: some for one, some in relations.items() if WIDTHS.get(one) == width}
    rest = {one: some for one, some in relations.items() if one not in whole}
    parts = [
        sql.SQL(statement(name)).format(
            items=sql.SQL(" UNION ALL ").join(items_of(one, len(some)) for one, some in those.items())
        )
        for name, those in (("digest_rows", whole), ("digest_items", rest))
        if those
    ]
    return sql.SQL(" UNION ALL ").join(parts)


def _planned(spans: Sequence[Range], width: Microseconds, coverage: Coverage) -> list[Stretch]:
    quarter = WIDTHS["15m"]
    dropped = coverage.raw_from or 0
    stretches: list[Stretch] = []
    for begins, ends in spans:
        starting = -(-begins // quarter) * quarter if begins < dropped else begins
        ending = ends // quarter * quarter if ends < dropped else ends
        edges = range(-(-starting // width) * width, ending, width)
        stretches += plan(starting, ending, edges, coverage)
    return stretches


def _by_point(points: Sequence[int], rows: Sequence[tuple[float, ...]]) -> dict[int, Digests]:
    """Rows come in no order; their times are seconds."""
    digests = dict.fromkeys(points, NO_DIGESTS)
    if not rows:
        return digests
    columns = np.array(rows, dtype=np.float64).T
    columns = columns[:, np.lexsort((columns[1], columns[0]))]
    ids, counts = columns[0].astype(np.int64), columns[2].astype(np.int64)
    begins, firsts, lasts = (np.rint(columns[place] * 1e6).astype(np.int64) for place in (1, 5, 6))
    lows, highs = columns[3], columns[4]
    cuts = [0, *(np.flatnonzero(np.diff(ids)) + 1).tolist(), len(ids)]
    for begin, end in pairwise(cuts):
        part = slice(begin, end)
        digests[int(ids[begin])] = Digests(
            begins[part], counts[part], lows[part], highs[part], firsts[part], lasts[part]
        )
    return digests
