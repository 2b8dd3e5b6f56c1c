"""Cut stretches of time into slices that take a few seconds each. Nothing here knows a database."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from time import monotonic
from typing import NamedTuple

QUARTER = timedelta(minutes=15)
HOUR = timedelta(hours=1)
DAY = timedelta(days=1)

_ORIGIN = datetime(2000, 1, 1, tzinfo=UTC)


class Stretch(NamedTuple):
    """A half-open interval."""

    starting: datetime
    ending: datetime


def floor(time: datetime, width: timedelta) -> datetime:
    """The last edge of UTC buckets of this width that is not after `time`."""
    return _ORIGIN + (time - _ORIGIN) // width * width


def ceiling(time: datetime, width: timedelta) -> datetime:
    """The first edge of UTC buckets of this width that is not before `time`."""
    return -(-(time - _ORIGIN) // width) * width + _ORIGIN


def merged(stretches: Iterable[Stretch], within: Stretch) -> list[Stretch]:
    """What the stretches cover `within` another, on edges of quarters, in order, without touching ones."""
    covered: list[Stretch] = []
    for each in sorted(stretches):
        starting = max(floor(each.starting, QUARTER), within.starting)
        ending = min(ceiling(each.ending, QUARTER), within.ending)
        if starting >= ending:
            continue
        if covered and starting <= covered[-1].ending:
            covered[-1] = Stretch(covered[-1].starting, max(ending, covered[-1].ending))
        else:
            covered.append(Stretch(starting, ending))
    return covered


def first_slice(stretch: Stretch, width: timedelta) -> Stretch:
    """The beginning of a stretch, about `width` long.

    It ends with the stretch, or else on the edge of a day where it can, so that whole buckets of every level
    are made once.
    """
    ending = stretch.starting + width
    if ending >= stretch.ending:
        return stretch
    for edge in (DAY, HOUR, QUARTER):
        if (aligned := floor(ending, edge)) > stretch.starting:
            return Stretch(stretch.starting, aligned)
    return Stretch(stretch.starting, min(floor(stretch.starting, QUARTER) + QUARTER, stretch.ending))


@dataclass(slots=True)
class Pace:
    """How long work goes on, and how much of it is done at a time: as much as takes about a second."""

    budget: timedelta
    width: timedelta = timedelta(hours=6)
    _began: float = field(default_factory=monotonic)

    @property
    def over(self) -> bool:
        """Whether the time is used up."""
        return monotonic() - self._began >= self.budget.total_seconds()

    @contextmanager
    def slice(self) -> Iterator[timedelta]:
        """The width for the slice that the block works on; the next one follows from how long it took."""
        began = monotonic()
        yield self.width
        took = monotonic() - began
        if took < 0.5:
            self.width = min(self.width * 4, _WIDEST)
        elif took > 2:
            self.width = max(self.width / 4, QUARTER)


_WIDEST = timedelta(days=64)
