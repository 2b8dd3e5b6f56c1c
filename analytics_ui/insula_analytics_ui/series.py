"""From bucketed readings to what a chart draws: lines with gaps, and strips of states.

Instants are milliseconds since the epoch (float64), which is how the charts take them; what people read
beside them is text in the building's time zone, so that a chart never depends on where its browser stands.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import pandas as pd  # type: ignore[import-untyped] # ships no type information

from insula_analytics_ui.api import Point, Reading
from insula_analytics_ui.quantities import state_names, value_text

MILLISECONDS = 1000.0
LONGEST_CARRY = timedelta(hours=1)
"""How long a state is held to be unchanged when a sensor that reports changes alone says nothing."""


@dataclass(frozen=True)
class Period:
    """A period to look back over, the bucket that fits a chart, and how often to look again (seconds)."""

    key: str
    name: str
    length: timedelta
    bucket: str
    bucket_length: timedelta
    refresh: int


PERIODS = {
    period.key: period
    for period in (
        Period("3h", "3 hours", timedelta(hours=3), "1m", timedelta(minutes=1), 5),
        Period("24h", "24 hours", timedelta(hours=24), "5m", timedelta(minutes=5), 15),
        Period("7d", "7 days", timedelta(days=7), "1h", timedelta(hours=1), 60),
    )
}


def window(period: Period, now: datetime) -> tuple[datetime, datetime]:
    """The half-open interval that ends with the bucket of `now`."""
    size = period.bucket_length.total_seconds()
    end = datetime.fromtimestamp((now.timestamp() // size + 1) * size, tz=now.tzinfo)
    return end - period.length, end


def _milliseconds(time: datetime) -> float:
    return time.timestamp() * MILLISECONDS


def _by_point(readings: Iterable[Reading]) -> dict[int, list[tuple[float, float]]]:
    found: dict[int, list[tuple[float, float]]] = {}
    for reading in readings:
        if reading.value is not None:
            found.setdefault(reading.point, []).append((_milliseconds(reading.time), reading.value))
    return {point: sorted(pairs) for point, pairs in found.items()}


def _gap(times: Sequence[float], bucket: timedelta) -> float:
    """The distance from which two neighbours are not joined: three times what is usual here."""
    distances = sorted(later - earlier for earlier, later in pairwise(times))
    usual = distances[len(distances) // 2] if distances else 0.0
    return max(3 * usual, 2.5 * bucket.total_seconds() * MILLISECONDS)


def lines(
    points: Sequence[Point],
    readings: Iterable[Reading],
    *,
    bucket: timedelta,
    zone: ZoneInfo,
    names: Mapping[int, str],
) -> pd.DataFrame:
    """Rows `time`, `point`, `value`, `at`, `shown`; a row without a value is a gap in its line."""
    found = _by_point(readings)
    rows: list[tuple[float, str, float | None, str, str]] = []
    for point in points:
        pairs = found.get(point.id, [])
        gap = _gap([time for time, _ in pairs], bucket)
        before: float | None = None
        for time, value in pairs:
            if before is not None and time - before > gap:
                rows.append((before + 1, names[point.id], None, "", ""))
            rows.append((time, names[point.id], value, local_text(time, zone), value_text(point, value)))
            before = time
    return pd.DataFrame(rows, columns=["time", "point", "value", "at", "shown"]).astype(
        {"time": "float64", "value": "float64"}
    )


def strips(
    points: Sequence[Point],
    highest: Iterable[Reading],
    last: Iterable[Reading],
    *,
    bucket: timedelta,
    end: datetime,
    zone: ZoneInfo,
    names: Mapping[int, str],
) -> pd.DataFrame:
    """Rows `time`, `until`, `point`, `level` (0 to 1), `state`, `at`: stretches of one state.

    A bucket shows the highest state it saw, so that a short visit is not lost; buckets without a reading show
    the state that the one before ended with, for `LONGEST_CARRY` at most.
    """
    tops, lasts = _by_point(highest), {key: dict(pairs) for key, pairs in _by_point(last).items()}
    size, stop = bucket.total_seconds() * MILLISECONDS, _milliseconds(end)
    carry = LONGEST_CARRY.total_seconds() * MILLISECONDS
    rows: list[tuple[float, float, str, float, str, str]] = []
    for point in points:
        pairs = tops.get(point.id, [])
        held = max(_gap([time for time, _ in pairs], bucket), carry)
        stretches: list[tuple[float, float, float]] = []
        for index, (time, value) in enumerate(pairs):
            following = pairs[index + 1][0] if index + 1 < len(pairs) else stop
            _extend(stretches, time, time + size, value)
            rest = min(following, time + held)
            if rest > time + size:
                _extend(stretches, time + size, rest, lasts.get(point.id, {}).get(time, value))
        most = max(len(state_names(point)) - 1, 1)
        rows += [
            (
                begin,
                until,
                names[point.id],
                min(max(value / most, 0), 1),
                value_text(point, value),
                _span(begin, until, zone),
            )
            for begin, until, value in stretches
        ]
    return pd.DataFrame(rows, columns=["time", "until", "point", "level", "state", "at"])


def _extend(stretches: list[tuple[float, float, float]], begin: float, end: float, value: float) -> None:
    """Add a stretch, or lengthen the last one when it touches and shows the same state."""
    if stretches and stretches[-1][1] == begin and stretches[-1][2] == value:
        stretches[-1] = (stretches[-1][0], end, value)
    else:
        stretches.append((begin, end, value))


def local_text(time: float, zone: ZoneInfo) -> str:
    """An instant as a person in the building reads it."""
    return datetime.fromtimestamp(time / MILLISECONDS, tz=zone).strftime("%a %-d %b %H:%M")


def _span(begin: float, end: float, zone: ZoneInfo) -> str:
    until = datetime.fromtimestamp(end / MILLISECONDS, tz=zone)
    return f"{local_text(begin, zone)} to {until:%H:%M}"


def ticks(begin: datetime, end: datetime, period: Period, zone: ZoneInfo) -> dict[float, str]:
    """Instants to mark on the time axis and what to write there: round times of the building's own clock."""
    step = {"3h": timedelta(minutes=30), "24h": timedelta(hours=3), "7d": timedelta(days=1)}[period.key]
    marks: dict[float, str] = {}
    local = begin.astimezone(zone).replace(hour=0, minute=0, second=0, microsecond=0, tzinfo=None)
    while True:
        instant = local.replace(tzinfo=zone)
        if instant >= end:
            return marks
        if instant >= begin:
            midnight = local.hour == local.minute == 0
            marks[_milliseconds(instant)] = f"{local:%a %-d %b}" if midnight else f"{local:%H:%M}"
        local += step  # wall time: a day of 23 or 25 hours still begins at its midnight
