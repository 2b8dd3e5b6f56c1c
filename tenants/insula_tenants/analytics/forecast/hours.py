"""A point's history as one value an hour, and which hour of the local week each is."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

import numpy as np
from numpy.typing import NDArray

from insula_tenants.analytics.series import Series
from insula_tenants.telemetry.buckets import instant

HOUR = 3_600_000_000
"""In microseconds."""
DAY = 24
WEEK = 7 * DAY
HORIZON = DAY
"""Hours that are forecast."""
HISTORY = timedelta(weeks=8)
"""What a forecast rests on: long enough for a profile of the week, short enough to follow the seasons."""
SHORT_GAP = 3
"""Hours without a value that are bridged by a line, for the model alone: errors are of real values."""


@dataclass(frozen=True, slots=True)
class Hours:
    """Values of hours that follow each other, up to the hour that is forecast first."""

    start: int
    """Beginning of the first hour: microseconds since the epoch, UTC."""
    values: NDArray[np.float64]
    """Shape (n,), in the point's unit; NaN where an hour has none."""
    offsets: NDArray[np.int64]
    """Shape (n + HORIZON,): whole hours that local clocks are ahead of UTC, the next day's too."""

    def __len__(self) -> int:
        """Hours of history."""
        return len(self.values)

    @property
    def end(self) -> int:
        """The time from which on is forecast."""
        return self.start + len(self) * HOUR

    @property
    def of_week(self) -> NDArray[np.int64]:
        """Shape (n + HORIZON,): the hour of the local week, 0 is midnight of Monday."""
        since_epoch = self.start // HOUR + np.arange(len(self.offsets))
        # The epoch was a Thursday.
        return np.asarray((since_epoch + self.offsets + 3 * DAY) % WEEK, dtype=np.int64)

    @property
    def present(self) -> NDArray[np.bool_]:
        """Shape (n,): which hours have a value."""
        return np.isfinite(self.values)

    def time_of(self, hour: int) -> int:
        """When an hour begins, by its place: microseconds since the epoch."""
        return self.start + hour * HOUR


def hours_of(series: Series, starting: int, ending: int, time_zone: str) -> Hours:
    """The hours of `[starting, ending)`, whole hours in microseconds, from the first that has a value."""
    values = hourly(series, starting, (ending - starting) // HOUR)
    first = int(np.argmax(np.isfinite(values))) if np.isfinite(values).any() else len(values)
    offsets = _offsets(time_zone, starting, len(values) + HORIZON)
    return Hours(starting + first * HOUR, values[first:], offsets[first:])


def hourly(series: Series, starting: int, count: int) -> NDArray[np.float64]:
    """Shape (count,): the series' value of each hour from `starting` on; NaN where it has none."""
    values = np.full(count, np.nan)
    place = (series.times - starting) // HOUR
    inside = (place >= 0) & (place < count) & np.isfinite(series.values)
    values[place[inside]] = series.values[inside]
    return values


def bridged(values: NDArray[np.float64], longest: int = SHORT_GAP) -> NDArray[np.float64]:
    """The values with gaps of at most `longest` hours filled by a line between their neighbours."""
    present = np.flatnonzero(np.isfinite(values))
    filled = values.copy()
    for before in np.flatnonzero((np.diff(present) > 1) & (np.diff(present) <= longest + 1)):
        left, right = present[before], present[before + 1]
        filled[left : right + 1] = np.linspace(values[left], values[right], right - left + 1)
    return filled


@lru_cache(maxsize=64)
def _offsets(time_zone: str, starting: int, hours: int) -> NDArray[np.int64]:
    """Of whole hours: half an hour more moves no profile, and nobody changes clocks by less than one."""
    zone = ZoneInfo(time_zone)
    found = (instant(starting + hour * HOUR).astimezone(zone).utcoffset() for hour in range(hours))
    offsets = np.array([(offset or timedelta()) // timedelta(hours=1) for offset in found], np.int64)
    offsets.flags.writeable = False  # it is shared by all points of the zone
    return offsets
