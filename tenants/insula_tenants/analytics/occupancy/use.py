"""The use of a space, from how much of each bucket it was in use. Pure: arrays in, figures out."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from zoneinfo import ZoneInfo

import numpy as np
from numpy.typing import NDArray

from insula_tenants.telemetry.buckets import DAY, instant

HOUR = DAY // 24
OBSERVED_LONG = 24.0
"""Hours of observation from which on a space that was never in use is called so."""

Floats = NDArray[np.float64]
Times = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Clock:
    """Buckets in time, and what a clock in the building shows at their beginnings. One element a bucket."""

    begins: Times
    """Microseconds since the epoch, in order."""
    width: int
    """Microseconds."""
    local: Times
    """Microseconds since the local epoch: 1 January 1970, by the building's clock."""

    @property
    def weekdays(self) -> Times:
        """0 is Monday: 1 January 1970 was a Thursday."""
        return (self.local // DAY + 3) % 7

    @property
    def hours(self) -> Times:
        """Of the local day, 0 to 23."""
        return self.local % DAY // HOUR


def clock_of(begins: Times, width: int, time_zone: str) -> Clock:
    """The clock of a building in this IANA zone at the beginnings of buckets."""
    zone = ZoneInfo(time_zone)
    local = begins.copy()
    # Most days have one offset: those in which it changes are looked at bucket by bucket.
    for day in np.unique(begins // DAY) * DAY:
        inside = slice(*np.searchsorted(begins, (day, day + DAY)))
        before, after = _offset(zone, int(day)), _offset(zone, int(day) + DAY - 1)
        if before == after:
            local[inside] += before
        else:
            local[inside] += np.array([_offset(zone, int(one)) for one in begins[inside]], np.int64)
    return Clock(begins, width, local)


def _offset(zone: ZoneInfo, time: int) -> int:
    offset = instant(time).astimezone(zone).utcoffset()
    return int(offset.total_seconds()) * 1_000_000 if offset is not None else 0


@dataclass(frozen=True, slots=True)
class DayOfUse:
    """One local day."""

    day: date
    hours_observed: float
    hours_in_use: float
    first_use: datetime | None
    """The beginning of the first bucket in use, UTC."""
    last_use: datetime | None
    """The end of the last bucket in use, UTC."""
    peak_people: float | None


@dataclass(frozen=True, slots=True)
class WeekOfHours:
    """Hours by weekday (from Monday) and hour of the local day: 7 × 24."""

    observed: Floats
    in_use: Floats

    def shares(self) -> list[list[float | None]]:
        """Of the observed time that in use; None where nothing was observed."""
        return [
            [round(float(used / seen), 4) if seen > 0 else None for used, seen in zip(*rows, strict=True)]
            for rows in zip(self.in_use, self.observed, strict=True)
        ]


def all_weeks(weeks: Iterable[WeekOfHours]) -> WeekOfHours:
    """The same of several spaces together."""
    observed, in_use = np.zeros((7, 24)), np.zeros((7, 24))
    for one in weeks:
        observed += one.observed
        in_use += one.in_use
    return WeekOfHours(observed, in_use)


def week_of(clock: Clock, shares: Floats) -> WeekOfHours:
    """Where in the week the space was in use. `shares` are of each bucket, NaN where nothing tells."""
    known = np.isfinite(shares)
    cells = (clock.weekdays * 24 + clock.hours)[known]
    hours = clock.width / HOUR
    observed = np.asarray(np.bincount(cells, minlength=168) * hours, np.float64)
    in_use = np.asarray(np.bincount(cells, weights=shares[known], minlength=168) * hours, np.float64)
    return WeekOfHours(observed.reshape(7, 24), in_use.reshape(7, 24))


def days_of(clock: Clock, shares: Floats, people: Floats | None = None) -> list[DayOfUse]:
    """The local days of which anything is known. `people`: the most in each bucket, where counted."""
    days = clock.local // DAY
    hours = clock.width / HOUR
    found = []
    for day in np.unique(days[np.isfinite(shares)]):
        inside = slice(*np.searchsorted(days, (day, day + 1)))
        some = shares[inside]
        used = np.flatnonzero(some > 0)
        most = people[inside] if people is not None else np.empty(0)
        counted = most[np.isfinite(most)]
        found.append(
            DayOfUse(
                day=instant(int(day) * DAY).date(),
                hours_observed=float(np.isfinite(some).sum() * hours),
                hours_in_use=float(np.nansum(some) * hours),
                first_use=instant(int(clock.begins[inside][used[0]])) if len(used) else None,
                last_use=instant(int(clock.begins[inside][used[-1]]) + clock.width) if len(used) else None,
                peak_people=float(counted.max()) if len(counted) else None,
            )
        )
    return found


def days_in_use(clock: Clock, shares: Floats) -> int:
    """Local days on which the space was in use."""
    return len(np.unique(clock.local[shares > 0] // DAY))


def middle_time(clock: Clock, shares: Floats, *, last: bool) -> str | None:
    """The median over the days in use of the first (or last) use, `HH:MM` by the building's clock.

    24:00 is the end of a day whose last bucket was in use.
    """
    used = np.flatnonzero(shares > 0)
    if not len(used):
        return None
    days = clock.local[used] // DAY
    _, firsts = np.unique(days, return_index=True)
    if last:
        firsts = np.append(firsts[1:], len(days)) - 1
    at = clock.local[used[firsts]] % DAY + (clock.width if last else 0)
    minutes = round(float(np.median(at)) / 60_000_000)
    return f"{minutes // 60:02}:{minutes % 60:02}"


@dataclass(frozen=True, slots=True)
class People:
    """How many people there were, where they are counted."""

    average: float | None
    """Over the time in use: person-hours by hours in use."""
    peak: float
    peak_at: datetime | None
    average_share: float | None
    """Of the capacity."""
    peak_share: float | None


def people_of(
    clock: Clock, means: Floats, most: Floats, shares: Floats, capacity: int | None
) -> People | None:
    """From each bucket's mean and largest number of people; None where there is none."""
    if not np.isfinite(most).any():
        return None
    used = np.nansum(shares)
    average = float(np.nansum(means) / used) if used > 0 else None
    place = int(np.nanargmax(most))
    peak = float(most[place])
    return People(
        average=average,
        peak=peak,
        peak_at=instant(int(clock.begins[place])) if peak > 0 else None,
        average_share=average / capacity if capacity and average is not None else None,
        peak_share=peak / capacity if capacity else None,
    )


@dataclass(frozen=True, slots=True)
class Comparison:
    """How the model does where a sensor tells as well: buckets in which each said so."""

    variant: str
    seen_and_inferred: int
    seen_only: int
    inferred_only: int
    neither: int

    @property
    def compared(self) -> int:
        """Buckets that have both."""
        return self.seen_and_inferred + self.seen_only + self.inferred_only + self.neither

    @property
    def agreement(self) -> float:
        """Share of them in which both said the same."""
        return (self.seen_and_inferred + self.neither) / self.compared


def compare(variant: str, seen: Floats, inferred: Floats) -> Comparison | None:
    """Both are shares of buckets, in use from half of one on; None where no bucket has both."""
    both = np.isfinite(seen) & np.isfinite(inferred)
    if not both.any():
        return None
    one, other = seen[both] >= 0.5, inferred[both] >= 0.5
    return Comparison(
        variant,
        int(np.sum(one & other)),
        int(np.sum(one & ~other)),
        int(np.sum(~one & other)),
        int(np.sum(~one & ~other)),
    )


def largest(several: Sequence[Floats]) -> Floats:
    """In each bucket the largest of those that tell; NaN where none does."""
    told: Floats = np.fmax.reduce(np.stack(several))
    return told


def average(several: Sequence[Floats]) -> Floats:
    """In each bucket the mean of those that tell; NaN where none does."""
    stacked = np.stack(several)
    known = np.isfinite(stacked).sum(axis=0)
    total = np.nansum(stacked, axis=0)
    return np.where(known > 0, total / np.maximum(known, 1), np.nan)
