"""Which stretches of the rollups a batch of readings makes wrong.

Rollups hold everything up to a time that stays well behind the clock, so readings of the last minutes, all of
live traffic, need no mark. Whatever is older may already be in a rollup, or missed by one: the writer notes
its stretch in `dirty_ranges`, in the transaction that stores it. Readers take raw readings there until the
stretch is rolled up anew.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from datetime import UTC, datetime

Range = tuple[int, int]
"""A half-open interval, in microseconds since the epoch."""

LATE_AFTER = 10 * 60_000_000
"""Microseconds after which a reading is late. Rollups stay further away from the clock than this."""

QUARTER = 15 * 60_000_000
"""Width of the finest rollup: marks begin and end on its buckets."""

_CLOSE = 4
"""Quarters: two stretches with a smaller gap between them are one mark."""

_MOST = 50
"""Marks that one batch of a tenant makes at most; a batch spread wider marks whole stretches of months."""


def late_ranges(times: Collection[int], now: int) -> list[Range]:
    """The stretches to mark for readings of these `times`, written at `now`, in order of time.

    `now` and times are microseconds since the epoch.
    """
    late = now - LATE_AFTER
    if not times or min(times) >= late:
        return []
    quarters = sorted({time // QUARTER for time in times if time < late})
    ranges = _merged(quarters)
    return ranges if len(ranges) <= _MOST else _by_month(ranges)


def _merged(quarters: Iterable[int]) -> list[Range]:
    ranges: list[Range] = []
    starting = ending = None
    for quarter in quarters:
        if starting is None or ending is None:
            starting = quarter
        elif quarter - ending >= _CLOSE:
            ranges.append((starting * QUARTER, ending * QUARTER))
            starting = quarter
        ending = quarter + 1
    if starting is not None and ending is not None:
        ranges.append((starting * QUARTER, ending * QUARTER))
    return ranges


def _by_month(ranges: Iterable[Range]) -> list[Range]:
    """One range for each month (UTC) in which ranges begin, from the first's beginning to the last's end."""
    months: dict[tuple[int, int], Range] = {}
    for starting, ending in ranges:
        month = datetime.fromtimestamp(starting / 1e6, UTC)
        key = (month.year, month.month)
        first, last = months.get(key, (starting, ending))
        months[key] = (min(first, starting), max(last, ending))
    return list(months.values())
