"""The hours of a question, and what a clock in the building shows in each."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from zoneinfo import ZoneInfo

import numpy as np
from numpy.typing import NDArray

from insula_tenants.telemetry.buckets import (
    DAY,
    EARLIEST,
    EPOCH,
    LATEST,
    Width,
    bucket_starts,
    instant,
    microseconds,
)

HOUR = Width(3600)
_DAY = Width(86_400)
_MINUTE = 60_000_000


@dataclass(frozen=True, slots=True)
class Hours:
    """Hours in order of time, begun anew where the clock changes; arrays of one value an hour."""

    time_zone: str
    """IANA."""
    buckets: NDArray[np.int64]
    """Where the bucket of that hour begins, microseconds since the epoch: the first, perhaps before it."""
    starts: NDArray[np.int64]
    """Where the hour begins, microseconds since the epoch."""
    ends: NDArray[np.int64]
    """Where it ends; not included."""
    day: NDArray[np.int64]
    """The local day it begins on, in days since 1 January 1970."""
    weekday: NDArray[np.int64]
    """Of that day: 1 is Monday, 7 Sunday (ISO 8601)."""
    minute: NDArray[np.int64]
    """Minutes since local midnight by the clock, when it begins."""

    def __len__(self) -> int:
        """How many."""
        return len(self.starts)

    @property
    def edges(self) -> NDArray[np.int64]:
        """Where each begins, and the last one ends."""
        return np.append(self.starts, self.ends[-1:])

    @property
    def length(self) -> NDArray[np.float64]:
        """How long each is, in hours: 1, but where the question or a change of the clock cuts it."""
        return (self.ends - self.starts) / (60 * _MINUTE)

    @property
    def hour(self) -> NDArray[np.int64]:
        """By the clock, 0 to 23."""
        return self.minute // 60

    @property
    def days(self) -> NDArray[np.int64]:
        """The local days that they are in, each once."""
        return np.unique(self.day)


@lru_cache(maxsize=16)
def hours_of(starting: datetime, ending: datetime, time_zone: str) -> Hours:
    """The hours that meet `[starting, ending)`, cut to it, aligned to the clock of an IANA zone.

    The same question is asked again and again, and a year of hours takes 20 ms: some are kept.
    """
    first, last = (
        min(max(microseconds(time), microseconds(EARLIEST)), microseconds(LATEST))
        for time in (starting, ending)
    )
    edges = bucket_starts(HOUR, time_zone, first, last) if first < last else []
    buckets = np.array(edges, np.int64)
    starts = np.maximum(buckets, first)
    day, minute = _local(starts, time_zone)
    return Hours(
        time_zone=time_zone,
        buckets=buckets,
        starts=starts,
        ends=np.append(buckets[1:], last)[: len(buckets)],
        day=day,
        weekday=(day + 3) % 7 + 1,  # 1 January 1970 was a Thursday
        minute=minute,
    )


def day_shares(hours: Hours) -> dict[int, float]:
    """How much of each local day is in the question, 0 to 1, whether it has 23, 24 or 25 hours."""
    if not len(hours):
        return {}
    first, last = int(hours.starts[0]), int(hours.ends[-1])
    edges = bucket_starts(_DAY, hours.time_zone, first, last + 2 * DAY)
    days, _ = _local(np.array(edges, np.int64), hours.time_zone)
    return {
        int(day): (min(end, last) - max(start, first)) / (end - start)
        for day, start, end in zip(days[:-1], edges[:-1], edges[1:], strict=True)
        if start < last
    }


def _local(times: NDArray[np.int64], time_zone: str) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Day since 1970 and minute of the day by the zone's clock."""
    zone = ZoneInfo(time_zone)
    shown = [instant(time).astimezone(zone) for time in times.tolist()]
    day = np.fromiter((one.toordinal() for one in shown), np.int64, len(shown)) - EPOCH.toordinal()
    return day, np.fromiter((one.hour * 60 + one.minute for one in shown), np.int64, len(shown))
