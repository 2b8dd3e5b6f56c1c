"""From bucketed readings to what a chart draws: lines with gaps, strips of states, and how complete it is.

Instants are milliseconds since the epoch (float64), as in `times`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import groupby, pairwise
from statistics import fmean
from zoneinfo import ZoneInfo

import pandas as pd  # type: ignore[import-untyped] # ships no type information

from insula_analytics_ui.api.model import Point
from insula_analytics_ui.api.readings import Reading
from insula_analytics_ui.periods import Period
from insula_analytics_ui.quantities import state_names, value_text
from insula_analytics_ui.times import MILLISECONDS, local_text, milliseconds, span_text

LONGEST_CARRY = timedelta(hours=1)
"""How long a state is held to be unchanged when a sensor that reports changes alone says nothing."""

CELLS = 120
"""Pieces of a completeness strip."""


def _by_point(readings: Iterable[Reading]) -> dict[int, list[tuple[float, float]]]:
    found: dict[int, list[tuple[float, float]]] = {}
    for reading in readings:
        if reading.value is not None:
            found.setdefault(reading.point, []).append((milliseconds(reading.time), reading.value))
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
    size, stop = bucket.total_seconds() * MILLISECONDS, milliseconds(end)
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
                span_text(begin, until, zone),
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


@dataclass(frozen=True)
class Complete:
    """How much of a period is covered: `share` from 0 to 1, None where nothing can be; `cells` of the strip.

    `cells` has the columns `time`, `until`, `share` and `at`.
    """

    share: float | None
    cells: pd.DataFrame


def completeness(
    points: Sequence[Point], readings: Iterable[Reading], period: Period, *, now: datetime, zone: ZoneInfo
) -> Complete:
    """Which part of the period up to now is covered by the lines of the points, each counting the same.

    A line covers what lies between two neighbours that are not a gap, and a bucket after its last one.
    """
    begin, stop = milliseconds(period.begin), milliseconds(min(period.end, now))
    columns = ["time", "until", "share", "at"]
    if not points or stop <= begin:
        return Complete(None, pd.DataFrame(columns=columns))
    size = period.bucket_length.total_seconds() * MILLISECONDS
    covered = [_covered(pairs, size, begin, stop) for pairs in _series(points, readings)]
    width = (stop - begin) / CELLS
    shares = []
    for left in (begin + index * width for index in range(CELLS)):
        inside = sum(_overlap(stretches, left, left + width) for stretches in covered)
        shares.append(round(inside / width / len(points), 3))
    rows = []
    for share, cells in groupby(range(CELLS), key=shares.__getitem__):
        first, *others = cells
        left, right = begin + first * width, begin + (first + len(others) + 1) * width
        rows.append((left, right, share, span_text(left, right, zone)))
    return Complete(fmean(shares), pd.DataFrame(rows, columns=columns))


def _series(points: Sequence[Point], readings: Iterable[Reading]) -> list[list[float]]:
    found = _by_point(readings)
    return [[time for time, _value in found.get(point.id, [])] for point in points]


def _covered(times: Sequence[float], size: float, begin: float, stop: float) -> list[tuple[float, float]]:
    """Stretches of time without a gap."""
    gap = _gap(times, timedelta(milliseconds=size))
    stretches: list[tuple[float, float]] = []
    for time in times:
        if stretches and time - stretches[-1][1] <= gap - size:
            stretches[-1] = (stretches[-1][0], time + size)
        else:
            stretches.append((time, time + size))
    if stretches and stop - stretches[-1][1] <= gap - size:
        stretches[-1] = (stretches[-1][0], stop)
    if stretches and stretches[0][0] - begin <= gap - size:
        stretches[0] = (begin, stretches[0][1])
    return stretches


def _overlap(stretches: Sequence[tuple[float, float]], left: float, right: float) -> float:
    return sum(max(0.0, min(end, right) - max(begin, left)) for begin, end in stretches)
