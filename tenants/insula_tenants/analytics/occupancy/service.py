"""Read what tells about the use of spaces, and judge each."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np
from psycopg import AsyncConnection
from psycopg.rows import DictRow

from insula_tenants.analytics.cadence import cadences_of
from insula_tenants.analytics.completeness import Completeness, complete
from insula_tenants.analytics.measured import MeasuredPoint
from insula_tenants.analytics.occupancy.held import read_held
from insula_tenants.analytics.occupancy.judgement import INFERRED_FROM, TELLING, Buckets, SpaceUse, judge
from insula_tenants.analytics.occupancy.use import Times, clock_of
from insula_tenants.analytics.quantities import Quantity
from insula_tenants.analytics.series import Loaded, Series, load_series
from insula_tenants.analytics.spaces import MeasuredSpace
from insula_tenants.telemetry.aggregates import Aggregate
from insula_tenants.telemetry.buckets import DAY, Microseconds, Width, instant, microseconds
from insula_tenants.telemetry.digests import read_digests
from insula_tenants.telemetry.read import Buckets as ReadBuckets

FINE, COARSE = 900, 3600
"""Seconds of a bucket."""
MOST_FINE = 400_000
"""Values, of all the points, up to which buckets are fine: a month of 130 points, or a year of eleven."""
AROUND = DAY
"""Microseconds before and after a time in which the model looks."""
COMPARED = 31 * DAY
"""For how long, at the end, a sensor is compared with the model: a year of it would be most of the time."""


@dataclass(frozen=True, slots=True)
class Uses:
    """The use of some spaces, and what it rests on."""

    spaces: list[SpaceUse]
    """In the order in which the spaces were given."""
    bucket_seconds: int
    complete_until: datetime


async def read_use(
    connection: AsyncConnection[DictRow],
    spaces: Sequence[MeasuredSpace],
    points: Sequence[MeasuredPoint],
    starting: datetime,
    ending: datetime,
) -> Uses:
    """The use of the spaces in `[starting, ending)`; of the points, those in them that tell are read.

    The connection is one of `AsyncDatabases.snapshot`. Raises as `load_series`.
    """
    inside = {space.id for space in spaces}
    telling = [point for point in points if point.space in inside and point.quantity in TELLING]
    digested = await read_digests(
        connection, [point.id for point in telling], [(starting, ending)], timedelta(days=1)
    )
    until = min(ending, digested.complete_until) if telling else ending
    cadences = await cadences_of(connection, telling, starting, ending, digested.digests)
    begins, ends = microseconds(starting), microseconds(until)
    completeness = {
        point.id: complete(digested.digests[point.id], cadences[point.id], begins, ends) for point in telling
    }
    read_points = [
        point for point in telling if len(digested.digests[point.id]) or cadences[point.id].source == "events"
    ]
    # What reports when somebody comes or goes holds until it reports again (`held.py`); others are read again
    # and again.
    events = [
        point.id
        for point in read_points
        if cadences[point.id].source == "events" and point.quantity == Quantity.OCCUPANCY
    ]
    sensed = {point.space for point in read_points if point.quantity not in INFERRED_FROM}
    means = [point.id for point in read_points if point.id not in set(events)]
    compared = [
        point.id for point in read_points if point.quantity in INFERRED_FROM and point.space in sensed
    ]
    counters = [point.id for point in read_points if point.quantity == Quantity.OCCUPANCY_COUNT]
    width = bucket_width(len(read_points), until - starting)
    # Whole buckets: what retention dropped is there by quarters of an hour alone.
    grid = _Grid.around(begins, ends, width * 1_000_000)
    whole = [point for point in means if point not in set(compared)]
    since = max(grid.first, grid.ending - COMPARED)
    loaded = await _load(connection, whole, grid.first, grid.last, width, "mean")
    beside = await _load(connection, compared, since, grid.last, width, "mean")
    seen = await _load(connection, events, grid.starting, grid.ending, width, "time_weighted_mean")
    peaks = await _load(connection, counters, grid.starting, grid.ending, width, "max")
    told = await read_held(connection, seen.series, starting, digested.digests, cadences)
    series = {**loaded.series, **beside.series, **told}
    judged = await asyncio.to_thread(_judged, spaces, telling, grid, series, peaks.series, completeness)
    return Uses(judged, width, digested.complete_until if telling else ending)


def bucket_width(points: int, span: timedelta) -> int:
    """Seconds: fine as long as that is not too many values."""
    return FINE if points * span.total_seconds() / FINE <= MOST_FINE else COARSE


async def _load(
    connection: AsyncConnection[DictRow],
    points: Sequence[int],
    starting: Microseconds,
    ending: Microseconds,
    width: int,
    aggregate: Aggregate,
) -> Loaded:
    if not points or starting >= ending:
        return Loaded({}, instant(ending), ())
    buckets = ReadBuckets(Width(width), aggregate, "UTC")
    return await load_series(connection, points, instant(starting), instant(ending), buckets)


@dataclass(frozen=True, slots=True)
class _Grid:
    """Whole buckets: those asked about, from `starting` to `ending`, and some around."""

    starting: Microseconds
    ending: Microseconds
    first: Microseconds
    last: Microseconds
    width: Microseconds

    @classmethod
    def around(cls, starting: Microseconds, ending: Microseconds, width: Microseconds) -> _Grid:
        begins, ends = starting // width * width, -(-max(starting, ending) // width) * width
        return cls(begins, ends, begins - AROUND, ends + AROUND, width)

    def between(self, starting: Microseconds, ending: Microseconds) -> Times:
        return np.arange(starting, ending, self.width, dtype=np.int64)


def _judged(
    spaces: Sequence[MeasuredSpace],
    points: Sequence[MeasuredPoint],
    grid: _Grid,
    series: Mapping[int, Series],
    peaks: Mapping[int, Series],
    completeness: Mapping[int, Completeness],
) -> list[SpaceUse]:
    by_space: dict[int | None, list[MeasuredPoint]] = defaultdict(list)
    for point in points:
        by_space[point.space].append(point)
    asked, around = grid.between(grid.starting, grid.ending), grid.between(grid.first, grid.last)
    zones = {space.time_zone for space in spaces}
    buckets = {zone: Buckets(clock_of(asked, grid.width, zone), around, series, peaks) for zone in zones}
    return [judge(space, by_space[space.id], buckets[space.time_zone], completeness) for space in spaces]
