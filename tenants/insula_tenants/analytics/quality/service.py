"""Read how good the data of many points is from rollups, and of one point from its readings."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import LiteralString

import numpy as np
from numpy.typing import NDArray
from psycopg import AsyncConnection
from psycopg.rows import DictRow

from insula_tenants.analytics.cadence import Cadence, cadences_of
from insula_tenants.analytics.measured import MeasuredPoint
from insula_tenants.analytics.quality.assessment import (
    Device,
    Period,
    PointQuality,
    Resolution,
    assess,
    lacking_days,
    look,
    refined,
)
from insula_tenants.analytics.series import Series, load_series
from insula_tenants.errors import RawDropped
from insula_tenants.telemetry.buckets import DAY, instant, microseconds
from insula_tenants.telemetry.digests import Digests, read_digests

MOST_REFINED = 31
"""Days of a point that are looked at by the hour: one that lacks some every day has no gaps to look for."""
MOST_ROWS = 60_000
"""Rows of hours that one page may take: a quarter of a second."""

_HEALTH: LiteralString = """
SELECT devices.slug, device_health.clock_offset, device_health.clock_offset_at
FROM device_health
JOIN devices ON devices.id = device_health.device_id
WHERE devices.slug = ANY(%(devices)s::text[])
"""


@dataclass(frozen=True, slots=True)
class Qualities:
    """How good the data of some points is, the worst first."""

    points: list[PointQuality]
    period: Period
    complete_until: datetime

    @property
    def days(self) -> NDArray[np.int64]:
        """The beginnings of the UTC days of the period."""
        return np.arange(self.period.starting // DAY * DAY, self.period.ending, DAY, dtype=np.int64)


async def read_quality(
    connection: AsyncConnection[DictRow],
    points: Sequence[MeasuredPoint],
    starting: datetime,
    ending: datetime,
) -> Qualities:
    """How good the data of these points is in `[starting, ending)`, by digests of days.

    The connection is one of `AsyncDatabases.snapshot`.
    """
    ids = [point.id for point in points]
    digested = await read_digests(connection, ids, [(starting, ending)], timedelta(days=1))
    cadences = await cadences_of(connection, points, starting, ending, digested.digests)
    health = await _health(connection, {point.device for point in points})
    until = min(ending, digested.complete_until) if points else ending
    period = Period(microseconds(starting), microseconds(until))
    assessed = await asyncio.to_thread(_assessed, points, digested.digests, cadences, health, period)
    return Qualities(assessed, period, until)


def _assessed(
    points: Sequence[MeasuredPoint],
    digests: Mapping[int, Digests],
    cadences: Mapping[int, Cadence],
    health: Mapping[str, Device],
    period: Period,
) -> list[PointQuality]:
    found = [
        assess(point, health.get(point.device, Device()), cadences[point.id], digests[point.id], period)
        for point in points
    ]
    return sorted(found, key=lambda one: one.rank)


async def _health(connection: AsyncConnection[DictRow], devices: Iterable[str]) -> dict[str, Device]:
    cursor = await connection.execute(_HEALTH, {"devices": list(devices)})
    return {
        row["slug"]: Device(row["clock_offset"], row["clock_offset_at"]) for row in await cursor.fetchall()
    }


async def refine(
    connection: AsyncConnection[DictRow], page: Sequence[PointQuality], period: Period
) -> list[PointQuality]:
    """The same points, those days on which some lack readings looked at by the hour.

    What would take too much stays as it is, and its `resolution` says so.
    """
    lacking = {one.measured.id: lacking_days(one, period) for one in page}
    wanted: list[int] = []
    days: set[int] = set()
    for one in page:
        mine = lacking[one.measured.id].tolist()
        together = days | set(mine)
        if 0 < len(mine) <= MOST_REFINED and 24 * len(together) * (len(wanted) + 1) <= MOST_ROWS:
            wanted.append(one.measured.id)
            days = together
    if not wanted:
        return list(page)
    spans = [
        (instant(max(day, period.starting)), instant(min(day + DAY, period.ending))) for day in sorted(days)
    ]
    finer = await read_digests(connection, wanted, spans, timedelta(hours=1))
    return [
        look(one, refined(one.digests, finer.digests[one.measured.id]), "1h", period)
        if one.measured.id in finer.digests
        else one
        for one in page
    ]


async def read_detail(
    connection: AsyncConnection[DictRow], point: MeasuredPoint, starting: datetime, ending: datetime
) -> Qualities:
    """One point's quality, from its readings as stored; by quarters of an hour where retention dropped them.

    Raises as `load_series`.
    """
    qualities = await read_quality(connection, [point], starting, ending)
    (known,) = qualities.points
    digests, resolution = await _finest(connection, point.id, starting, ending)
    seen = await asyncio.to_thread(look, known, digests, resolution, qualities.period)
    return Qualities([seen], qualities.period, qualities.complete_until)


async def _finest(
    connection: AsyncConnection[DictRow], point: int, starting: datetime, ending: datetime
) -> tuple[Digests, Resolution]:
    try:
        loaded = await load_series(connection, [point], starting, ending)
    except RawDropped:
        quarters = await read_digests(connection, [point], [(starting, ending)], timedelta(minutes=15))
        return quarters.digests[point], "15m"
    return one_by_one(loaded.series[point]), "raw"


def one_by_one(series: Series) -> Digests:
    """Digests of one reading each."""
    ones = np.ones(len(series), np.int64)
    return Digests(series.times, ones, series.values, series.values, series.times, series.times)
