"""Signals whose next day is known, and the recorded rooms as hourly means."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import numpy as np
from numpy.typing import NDArray

from insula_tenants.analytics.forecast import HISTORY, Hours, hours_of
from insula_tenants.analytics.forecast.hours import HOUR
from insula_tenants.analytics.series import Series
from insula_tenants.telemetry.buckets import microseconds

BRUSSELS = "Europe/Brussels"
WEEKS = 8
COUNT = WEEKS * 7 * 24


def signal(
    of: Callable[[NDArray[np.int64]], NDArray[np.float64]],
    *,
    until: datetime = datetime(2026, 3, 2, tzinfo=UTC),
    missing: Iterable[slice] = (),
    time_zone: str = "UTC",
) -> Hours:
    """Eight weeks up to `until`: `of` gives the values by the number of the hour, 0 is the first."""
    values = of(np.arange(COUNT))
    for gap in missing:
        values[gap] = np.nan
    ending = microseconds(until)
    times = ending - HOUR * np.arange(COUNT, 0, -1)
    return hours_of(Series(times, values), ending - COUNT * HOUR, ending, time_zone)


def recorded(pattern: str, columns: Iterable[str]) -> dict[str, Hours]:
    """The eight weeks before the end of a recording in `../shared/data`, as hourly means by column."""
    rows: dict[int, list[list[float]]] = {}
    columns = list(columns)
    for path in sorted(_data().glob(pattern)):
        with path.open(newline="") as file:
            lines = csv.reader(file)
            header = next(lines)
            for line in lines:
                # Some files number their rows in a column without a name.
                row = dict(zip(header, line[-len(header) :], strict=True))
                time = datetime.fromisoformat(row["date"]).replace(tzinfo=ZoneInfo(BRUSSELS))
                hour = microseconds(time) // HOUR
                rows.setdefault(hour, []).append([float(row[column]) for column in columns])
    hours = np.array(sorted(rows))
    means = np.array([np.mean(rows[hour], axis=0) for hour in hours])
    ending = (int(hours[-1]) + 1) * HOUR
    starting = ending - HISTORY // timedelta(microseconds=1)
    return {
        column: hours_of(Series(hours * HOUR, means[:, place]), starting, ending, BRUSSELS)
        for place, column in enumerate(columns)
    }


def _data() -> Path:
    """`../shared/data` beside the project, wherever the checkout is."""
    for parent in Path(__file__).resolve().parents:
        if (found := parent / "shared" / "data").is_dir():
            return found
    raise AssertionError("the recorded data is not beside the project: ../shared/data")
