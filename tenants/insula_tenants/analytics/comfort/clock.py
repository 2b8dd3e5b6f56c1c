"""Hours by a building's clock, and which of them are occupied."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from zoneinfo import ZoneInfo

import numpy as np
from numpy.typing import NDArray

from insula_tenants.errors import InvalidInput
from insula_tenants.telemetry.buckets import Width, bucket_starts, microseconds

HOUR = Width(3600)


@dataclass(frozen=True, slots=True)
class LocalHours:
    """The hours of a period in order; all arrays have one element an hour."""

    begins: NDArray[np.int64]
    """Microseconds since the epoch (UTC); of the first one that may be before the period."""
    lengths: NDArray[np.float64]
    """How much of the hour lies in the period, in hours."""
    hours: NDArray[np.int64]
    """What the building's clock shows, 0 to 23."""
    weekdays: NDArray[np.int64]
    """1 is Monday, 7 is Sunday."""
    days: NDArray[np.int64]
    """Local days, as `date.toordinal`."""
    months: NDArray[np.int64]
    """1 to 12."""

    def __len__(self) -> int:
        """How many."""
        return len(self.begins)

    def where(self, mask: NDArray[np.bool_]) -> LocalHours:
        """Some of the hours."""
        return LocalHours(
            self.begins[mask],
            self.lengths[mask],
            self.hours[mask],
            self.weekdays[mask],
            self.days[mask],
            self.months[mask],
        )

    def in_summer(self, *, southern: bool) -> NDArray[np.bool_]:
        """Whether it is May to September; south of the equator November to March."""
        if southern:
            return (self.months >= 11) | (self.months <= 3)
        return (self.months >= 5) & (self.months <= 9)


def local_hours(time_zone: str, starting: datetime, ending: datetime) -> LocalHours:
    """The hours of `[starting, ending)`: a day on which summer time begins has 23, one when it ends 25."""
    first, last = microseconds(starting), microseconds(ending)
    edges = bucket_starts(HOUR, time_zone, first, last) if first < last else []
    zone = ZoneInfo(time_zone)
    local = [datetime.fromtimestamp(edge // 1_000_000, zone) for edge in edges]
    bounds = np.array([*edges, last], dtype=np.int64)
    bounds[0] = first
    return LocalHours(
        begins=np.array(edges, dtype=np.int64),
        lengths=np.diff(bounds) / 3.6e9,
        hours=np.array([time.hour for time in local], dtype=np.int64),
        weekdays=np.array([time.isoweekday() for time in local], dtype=np.int64),
        days=np.array([time.toordinal() for time in local], dtype=np.int64),
        months=np.array([time.month for time in local], dtype=np.int64),
    )


@dataclass(frozen=True, slots=True)
class Schedule:
    """When spaces are taken to be occupied: from one hour to another of some days of the week, local time."""

    from_hour: int = 8
    until_hour: int = 18
    days: frozenset[int] = frozenset({1, 2, 3, 4, 5})

    @classmethod
    def of(cls, hours: str, days: str) -> Schedule:
        """From `8-18` and `12345`; `InvalidInput` for hours that are none."""
        begins, ends = (int(hour) for hour in hours.split("-"))
        if not 0 <= begins < ends <= 24:
            raise InvalidInput("hours", f"{hours!r} is no time of a day: use one like 8-18, or 0-24 for all")
        return cls(begins, ends, frozenset(int(day) for day in days))

    def covers(self, hours: LocalHours) -> NDArray[np.bool_]:
        """Which of the hours are occupied."""
        named = np.isin(hours.weekdays, sorted(self.days))
        return named & (hours.hours >= self.from_hour) & (hours.hours < self.until_hour)
