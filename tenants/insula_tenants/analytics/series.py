"""Readings as arrays: what analytics compute with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

import numpy as np
from numpy.typing import NDArray
from psycopg import AsyncConnection
from psycopg.rows import DictRow

from insula_tenants.errors import InvalidInput
from insula_tenants.telemetry.aggregates import SIMPLE
from insula_tenants.telemetry.buckets import microseconds
from insula_tenants.telemetry.packed import read_packed
from insula_tenants.telemetry.plan import Relation
from insula_tenants.telemetry.read import Buckets, ReadingsQuery, Row, read_readings

MOST_VALUES = 2_000_000
"""Values that one question may bring into memory: some 50 MB while they are read."""
MOST_PACKED = 4_000_000
"""The same where they come packed: a year of hours of 450 points."""
_PAGE = 50_000


@dataclass(frozen=True, slots=True)
class Series:
    """A point's readings, or its buckets that have a value, in order of time."""

    times: NDArray[np.int64]
    """Microseconds since the epoch (UTC): the reading's, or the bucket's beginning."""
    values: NDArray[np.float64]
    """In the point's own unit."""

    def __len__(self) -> int:
        """How many."""
        return len(self.times)


EMPTY = Series(np.empty(0, np.int64), np.empty(0, np.float64))


@dataclass(frozen=True, slots=True)
class Loaded:
    """The series of some points, and what they rest on."""

    series: Mapping[int, Series]
    """By point; `EMPTY` for one that has nothing."""
    complete_until: datetime
    """All readings before it that were stored when asked are in."""
    served_from: tuple[Relation, ...]


async def load_series(
    connection: AsyncConnection[DictRow],
    points: Sequence[int],
    starting: datetime,
    ending: datetime,
    buckets: Buckets | None = None,
) -> Loaded:
    """What the points read in `[starting, ending)`: one value a bucket, or as stored.

    The connection is one of `AsyncDatabases.snapshot`. Raises as `read_readings`, and `InvalidInput` when it
    is more than `MOST_VALUES`, or could be more than `MOST_PACKED`.
    """
    if buckets is not None and buckets.aggregate in SIMPLE:
        packed = await read_packed(connection, points, starting, ending, buckets, most=MOST_PACKED)
        found_at = {point: Series(*packed.points[point]) for point in packed.points}
        return Loaded(
            {point: found_at.get(point, EMPTY) for point in points}, packed.complete_until, packed.served_from
        )
    query = ReadingsQuery(sorted(set(points)), starting, ending, limit=_PAGE)
    found: list[Row] = []
    while True:
        answer = await read_readings(connection, query, buckets)
        found += answer.rows
        if len(answer.rows) < _PAGE:
            break
        if len(found) >= MOST_VALUES:
            raise InvalidInput(
                "from", f"this takes more than {MOST_VALUES:,} values: ask for fewer points or a shorter time"
            )
        query = replace(query, after=answer.rows[-1][:2])
    return Loaded(_by_point(points, found), answer.complete_until, answer.served_from)


def _by_point(points: Sequence[int], rows: Sequence[Row]) -> dict[int, Series]:
    """Rows come by point and time."""
    ids = np.fromiter((row[0] for row in rows), np.int64, len(rows))
    times = np.fromiter((microseconds(row[1]) for row in rows), np.int64, len(rows))
    values = np.fromiter((row[2] for row in rows), np.float64, len(rows))
    series = dict.fromkeys(points, EMPTY)
    for point in np.unique(ids):
        begin, end = np.searchsorted(ids, (point, point + 1))
        series[int(point)] = Series(times[begin:end], values[begin:end])
    return series
