"""How much of what was expected is there: every analytic answer says so of the data it rests on."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np
from numpy.typing import NDArray
from psycopg import AsyncConnection
from psycopg.rows import DictRow

from insula_tenants.analytics.cadence import Cadence, cadences_of
from insula_tenants.analytics.measured import MeasuredPoint
from insula_tenants.telemetry.buckets import DAY, Microseconds, microseconds
from insula_tenants.telemetry.digests import Digests, read_digests


@dataclass(frozen=True, slots=True)
class Completeness:
    """Readings of some points in a period."""

    expected: int
    """Readings that should be there, by the points' intervals; 0 where none are expected by the clock: of a
    point that reports events, or of which nobody said and its readings don't tell."""
    present: int
    """Readings that are there, at most as many as are expected of each point."""
    estimated: bool = False
    """Whether the interval of any of them was taken from its own readings, as nobody said what it is."""

    @property
    def share(self) -> float | None:
        """Between 0 and 1; None where nothing was expected."""
        return self.present / self.expected if self.expected else None


def together(parts: Iterable[Completeness]) -> Completeness:
    """Of all the points of the parts."""
    kept = list(parts)
    return Completeness(
        sum(one.expected for one in kept),
        sum(one.present for one in kept),
        any(one.estimated for one in kept),
    )


async def completeness_of(
    connection: AsyncConnection[DictRow],
    points: Sequence[MeasuredPoint],
    starting: datetime,
    ending: datetime,
) -> dict[int, Completeness]:
    """How complete the readings of each of these points are in `[starting, ending)`, by the point's id.

    Counted from rollups where they hold the time, and exact. Nothing is expected of the future, nor of the
    time before a point was made or first read. The connection is one of `AsyncDatabases.snapshot`.
    """
    digested = await read_digests(
        connection, [point.id for point in points], [(starting, ending)], timedelta(days=1)
    )
    cadences = await cadences_of(connection, points, starting, ending, digested.digests)
    begins, ends = microseconds(starting), microseconds(min(ending, digested.complete_until))
    return {
        point.id: complete(digested.digests[point.id], cadences[point.id], begins, ends) for point in points
    }


def complete(
    digests: Digests, cadence: Cadence, starting: Microseconds, ending: Microseconds
) -> Completeness:
    """How complete a point's readings are in `[starting, ending)`; `digests` are of the days of that time."""
    days, expected, present = by_day(digests, cadence, starting, ending)
    if not len(days):
        return Completeness(0, 0)
    total = round(float(expected.sum()))
    there = float(expected.sum()) - _missing(expected, present)
    return Completeness(total, min(total, round(there)), cadence.source == "estimated")


def _missing(expected: NDArray[np.float64], present: NDArray[np.float64]) -> float:
    """How many readings are missing, of those expected and present day by day.

    A reading that comes a second before midnight is not one too many for its day and one too few for the
    next: days may be one ahead or one behind. More than that is not carried on, or a sensor that reports
    once more than it must on every day would hide the days on which it is silent.
    """
    if not np.any(present > expected):
        return float((expected - present).sum())
    ahead = missing = 0.0
    for more in (present - expected).tolist():
        ahead = min(ahead + more, 1.0)
        if ahead < -1:
            missing += -1 - ahead
            ahead = -1.0
    return missing + max(-ahead, 0.0)


def by_day(
    digests: Digests, cadence: Cadence, starting: Microseconds, ending: Microseconds
) -> tuple[NDArray[np.int64], NDArray[np.float64], NDArray[np.float64]]:
    """The beginnings of the UTC days of `[starting, ending)`, and of each how much is expected and present.

    Readings beyond what a day's are expected to be don't count: each has at most one more than is expected of
    it, as a clock that is a second off may bring. `digests` are of whole days.
    """
    if starting >= ending:
        return np.empty(0, np.int64), np.empty(0), np.empty(0)
    days = np.arange(starting // DAY * DAY, ending, DAY, dtype=np.int64)
    expected, counts = np.zeros(len(days)), np.zeros(len(days))
    places = np.searchsorted(days, digests.begins)
    inside = places < len(days)
    counts[places[inside]] = digests.counts[inside]
    if cadence.interval is not None:
        since = max(starting, cadence.begins)
        until = min(ending, cadence.ends)
        seconds = (np.minimum(days + DAY, until) - np.maximum(days, since)) / 1e6
        expected = np.maximum(seconds, 0) / cadence.interval
    return days, expected, np.where(expected > 0, np.minimum(counts, np.floor(expected) + 1), 0)
