"""How often a point is expected to be read: as somebody said, as its readings tell, or never by the clock.

A thermometer reports each minute, a door contact when the door moves: a day without a reading is a gap of the
one and a quiet day of the other. What a device is expected to send holds for a point that reports states only
where the point's own readings come as regularly as that.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal, LiteralString

import numpy as np
from numpy.typing import NDArray
from psycopg import AsyncConnection
from psycopg.rows import DictRow

from insula_tenants.analytics.measured import MeasuredPoint
from insula_tenants.telemetry.buckets import Microseconds, microseconds
from insula_tenants.telemetry.digests import Digests

Source = Literal["stated", "estimated", "events", "unknown"]
"""Somebody said the interval; its own readings tell it; it reports when something happens; nobody knows."""

SAMPLE = 200
"""Readings of a point, the newest of the period, that tell its interval."""
FEWEST = 8
"""Intervals that tell anything."""
REGULAR = 0.6
"""Share of intervals within half and one and a half times their median, of a point that keeps to a clock."""

EVENT_CLASSES = frozenset(
    {"Contact_Sensor", "Motion_Sensor", "PIR_Sensor", "On_Off_Status", "Open_Close_Status"}
)
"""Brick classes of what reports when something happens."""


@dataclass(frozen=True, slots=True)
class Cadence:
    """What may be expected of a point's readings."""

    interval: float | None
    """Seconds between two; None where nothing is expected by the clock."""
    source: Source
    begins: Microseconds
    """From when on readings are expected: it was made then, or was first read before that."""
    ends: Microseconds
    """Until when: its device went out of use then."""


_POINTS: LiteralString = """
SELECT points.id, points.created_at, points.expected_interval IS NOT NULL AS own, devices.decommissioned_at,
    points.created_at > %(starting)s AND EXISTS (
        SELECT FROM readings_1d AS day
        WHERE day.point_id = points.id AND day.time < %(starting)s AND day.first_time < %(starting)s
    ) AS read_before
FROM points
JOIN devices ON devices.id = points.device_id
WHERE points.id = ANY(%(points)s::integer[])
"""

_SAMPLES: LiteralString = """
SELECT point.id, array_agg(date_part('epoch', reading.time) ORDER BY reading.time) AS times
FROM unnest(%(points)s::integer[]) AS point (id)
CROSS JOIN LATERAL (
    SELECT readings.time
    FROM readings
    WHERE readings.point_id = point.id AND readings.time >= %(starting)s AND readings.time < %(ending)s
    ORDER BY readings.time DESC
    LIMIT %(sample)s
) AS reading
GROUP BY point.id
"""


async def cadences_of(
    connection: AsyncConnection[DictRow],
    points: Sequence[MeasuredPoint],
    starting: datetime,
    ending: datetime,
    digests: Mapping[int, Digests],
) -> dict[int, Cadence]:
    """The cadence of each point in `[starting, ending)`, by its id. `digests` are of the days in it."""
    ids = [point.id for point in points]
    cursor = await connection.execute(_POINTS, {"points": ids, "starting": starting})
    known = {row["id"]: row for row in await cursor.fetchall()}
    asked = [point.id for point in points if not _is_said(point, own=known[point.id]["own"])]
    samples: dict[int, NDArray[np.float64]] = {}
    if asked:
        parameters = {"points": asked, "starting": starting, "ending": ending, "sample": SAMPLE}
        cursor = await connection.execute(_SAMPLES, parameters)
        samples = {row["id"]: np.asarray(row["times"], np.float64) for row in await cursor.fetchall()}
    return {
        point.id: _cadence(point, known[point.id], samples.get(point.id), digests[point.id], starting)
        for point in points
    }


def _is_said(point: MeasuredPoint, *, own: bool) -> bool:
    return own or (point.expected_interval is not None and not _may_be_events(point))


def _may_be_events(point: MeasuredPoint) -> bool:
    return point.states is not None or point.brick_class in EVENT_CLASSES


def _cadence(
    point: MeasuredPoint,
    known: DictRow,
    sample: NDArray[np.float64] | None,
    digests: Digests,
    starting: datetime,
) -> Cadence:
    begins = microseconds(known["created_at"])
    # What was brought in afterwards is older than its point.
    if known["read_before"]:
        begins = min(begins, microseconds(starting))
    elif len(digests):
        begins = min(begins, int(digests.firsts[0]))
    gone = known["decommissioned_at"]
    ends = microseconds(gone) if gone is not None else 2**62
    interval: float | None = point.expected_interval
    if _is_said(point, own=known["own"]):
        return Cadence(interval, "stated", begins, ends)
    typical = interval_of(sample) if sample is not None else interval_of_days(digests)
    if typical is None:
        source: Source = "events" if _may_be_events(point) else "unknown"
        return Cadence(None, source, begins, ends)
    # A sensor that tells its state by the clock is held to what its device is said to do.
    if interval is not None and typical <= interval:
        return Cadence(interval, "stated", begins, ends)
    return Cadence(typical, "estimated", begins, ends)


def interval_of(times: NDArray[np.float64]) -> float | None:
    """The median seconds between readings at these times (seconds, in order), where they keep to a clock.

    None for too few, and for those that come when something happens. Gaps, as they are few, change nothing.
    """
    steps = np.diff(times)
    steps = steps[steps > 0]
    if len(steps) < FEWEST:
        return None
    median = float(np.median(steps))
    regular = np.mean((steps >= median / 2) & (steps <= median * 1.5))
    return median if regular >= REGULAR else None


def interval_of_days(digests: Digests) -> float | None:
    """The same from days alone, where retention dropped the readings: of the days between first and last."""
    several = digests.counts > FEWEST
    if not several.any():
        return None
    seconds = (digests.lasts[several] - digests.firsts[several]) / 1e6
    steps = seconds / (digests.counts[several] - 1)
    median = float(np.median(steps))
    regular = np.mean((steps >= median / 2) & (steps <= median * 1.5))
    return median if regular >= REGULAR else None
