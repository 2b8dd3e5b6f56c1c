"""Where buckets of readings begin: in local time of a zone, across its changes of offset.

Buckets are aligned in local time to midnight of Monday 3 January 2000, or for widths in months to 1 January
2000. Those shorter than a day keep the two hours apart that have the same name when summer time ends; one
that a change of the clock would cut in two ends at the change. Times are whole microseconds since the epoch.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from itertools import pairwise
from zoneinfo import ZoneInfo

Microseconds = int

DAY: Microseconds = 86_400_000_000
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
EARLIEST = datetime(2000, 1, 1, tzinfo=UTC)
"""No reading is older: ingest refuses it, and the storage has no room for it."""
LATEST = datetime(2100, 1, 1, tzinfo=UTC)
"""No bucket is looked for from here on."""

_LOCAL_EPOCH = datetime(1970, 1, 1)  # noqa: DTZ001 - local time, of whichever zone
_MONDAY: Microseconds = 10_959 * DAY
"""3 January 2000, in local time."""


@dataclass(frozen=True, slots=True)
class Width:
    """A bucket's width: seconds, or else whole months."""

    seconds: int = 0
    months: int = 0


def microseconds(time: datetime) -> Microseconds:
    """An aware time as microseconds since the epoch, exactly."""
    return (time - EPOCH) // timedelta(microseconds=1)


def instant(time: Microseconds) -> datetime:
    """Microseconds since the epoch as aware UTC."""
    return EPOCH + timedelta(microseconds=time)


def bucket_starts(
    width: Width, time_zone: str, starting: Microseconds, ending: Microseconds
) -> list[Microseconds]:
    """The beginnings of all buckets that meet `[starting, ending)`, the first at or before `starting`.

    Bounds must be within `EARLIEST` and `LATEST`. `ZoneInfoNotFoundError` for a zone that is none.
    """
    zone = ZoneInfo(time_zone)
    if width.months or width.seconds >= DAY // 1_000_000:
        return list(_long(width, zone, starting, ending))
    return list(_short(width.seconds * 1_000_000, zone, starting, ending))


def _short(
    width: Microseconds, zone: ZoneInfo, starting: Microseconds, ending: Microseconds
) -> Iterator[Microseconds]:
    """Buckets within stretches of one offset: aligned by its clock, begun anew where the clock changes."""
    for begins, ends, offset in _stretches(zone, starting - width, ending):
        first = _floor(begins + offset, width) - offset
        # A change of the clock that leaves the run of buckets as it is begins no bucket.
        before = _offset(zone, begins - 1)
        if first != _floor(begins - 1 + before, width) - before:
            first = max(first, begins)
        edge = first if first >= begins else _next(first, width, offset)
        while edge < ends:
            following = min(_next(edge, width, offset), ends)
            if following > starting:
                yield edge
            edge = following


def _next(edge: Microseconds, width: Microseconds, offset: Microseconds) -> Microseconds:
    return _floor(edge + offset, width) + width - offset


def _floor(local: Microseconds, width: Microseconds) -> Microseconds:
    return (local - _MONDAY) // width * width + _MONDAY


def _long(
    width: Width, zone: ZoneInfo, starting: Microseconds, ending: Microseconds
) -> Iterator[Microseconds]:
    """Buckets of days or months: the first instants of their local days."""
    number = _number(width, starting + _offset(zone, starting))
    edge = _first_instant(zone, _beginning(width, number))
    while edge < ending:
        yield edge
        number += 1
        edge = _first_instant(zone, _beginning(width, number))


def _number(width: Width, local: Microseconds) -> int:
    """Which bucket, counted from 2000, holds a local time."""
    if not width.months:
        return (local - _MONDAY) // (width.seconds * 1_000_000)
    date = _LOCAL_EPOCH + timedelta(microseconds=local)
    return ((date.year - 2000) * 12 + date.month - 1) // width.months


def _beginning(width: Width, number: int) -> Microseconds:
    """The local time at which a bucket begins."""
    if not width.months:
        return number * width.seconds * 1_000_000 + _MONDAY
    months = number * width.months
    first = datetime(2000 + months // 12, months % 12 + 1, 1)  # noqa: DTZ001 - local time
    return (first - _LOCAL_EPOCH) // timedelta(microseconds=1)


def _first_instant(zone: ZoneInfo, local: Microseconds) -> Microseconds:
    """The first instant at which clocks of the zone show `local` or more."""
    named = _LOCAL_EPOCH + timedelta(microseconds=local)
    found = microseconds(named.replace(tzinfo=zone))
    if found + _offset(zone, found) != local:  # skipped by the clock: it is the change itself
        return _change_between(zone, microseconds(named.replace(tzinfo=zone, fold=1)) - 1, found)
    return found


def _stretches(
    zone: ZoneInfo, starting: Microseconds, ending: Microseconds
) -> Iterator[tuple[Microseconds, Microseconds, Microseconds]]:
    """The stretches of one offset that make up `[starting, ending)`: begin, end, offset.

    The first may begin earlier than asked: at the change before, when that is in the same year.
    """
    years = range(instant(starting).year, instant(ending).year + 1)
    changes = [change for year in years for change in _changes(zone.key, year)]
    bounds = [starting, *(change for change in changes if starting < change < ending), ending]
    for begins, ends in pairwise(bounds):
        yield begins, ends, _offset(zone, begins)


@lru_cache(maxsize=2000)
def _changes(zone_name: str, year: int) -> tuple[Microseconds, ...]:
    """When clocks of the zone change in a year (UTC). Found by looking at each day: zones list no changes."""
    zone = ZoneInfo(zone_name)
    first = microseconds(datetime(year, 1, 1, tzinfo=UTC))
    last = microseconds(datetime(year + 1, 1, 1, tzinfo=UTC))
    changes = []
    before = _offset(zone, first)
    for day in range(first, last, DAY):
        after = _offset(zone, day + DAY)
        if after != before:
            changes.append(_change_between(zone, day, day + DAY))
        before = after
    return tuple(changes)


def _change_between(zone: ZoneInfo, earlier: Microseconds, later: Microseconds) -> Microseconds:
    """The instant from which the offset is the one at `later`, which differs from that at `earlier`."""
    after = _offset(zone, later)
    while later - earlier > 1:
        middle = (earlier + later) // 2
        if _offset(zone, middle) == after:
            later = middle
        else:
            earlier = middle
    return later


def _offset(zone: ZoneInfo, time: Microseconds) -> Microseconds:
    """How far clocks of the zone are ahead of UTC."""
    offset = instant(time).astimezone(zone).utcoffset()
    return offset // timedelta(microseconds=1) if offset is not None else 0
