"""Find gaps, values that are stuck and values out of range. Pure: digests in, stretches out.

Digests may be of days, of hours, or of one reading each: then everything is exact to the reading. From wider
ones, a gap longer than a bucket is found, with its true ends, as is any that crosses from one bucket into the
next; a flat stretch is found when it fills a bucket, and is at least as long as is said.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

import numpy as np
from numpy.typing import NDArray

from insula_tenants.analytics.quantities import Quantity
from insula_tenants.telemetry.buckets import DAY, Microseconds, instant
from insula_tenants.telemetry.digests import Digests

GAP = 3.0
"""Intervals without a reading that are a gap: one or two messages may be lost on the air."""
MOST = 20
"""Stretches of a kind that are kept, the longest."""

HOURS = 3600.0
DAYS = 86_400.0


@dataclass(frozen=True, slots=True)
class Flatness:
    """How long a quantity may plausibly stay exactly the same."""

    seconds: float
    zero_too: bool = True
    """Whether that holds for 0 too: a dark room, an empty one and a machine that is off show it for long."""


FLATNESS: Mapping[Quantity, Flatness] = {
    Quantity.AIR_TEMPERATURE: Flatness(24 * HOURS),
    Quantity.RADIANT_TEMPERATURE: Flatness(24 * HOURS),
    Quantity.HUMIDITY: Flatness(24 * HOURS),
    Quantity.CO2: Flatness(12 * HOURS),
    Quantity.ILLUMINANCE: Flatness(24 * HOURS, zero_too=False),
    Quantity.OCCUPANCY: Flatness(24 * HOURS, zero_too=False),
    Quantity.OCCUPANCY_COUNT: Flatness(24 * HOURS, zero_too=False),
    Quantity.OUTDOOR_TEMPERATURE: Flatness(12 * HOURS),
    Quantity.OUTDOOR_HUMIDITY: Flatness(24 * HOURS),
    Quantity.ELECTRIC_ENERGY: Flatness(7 * DAYS),
    Quantity.POWER: Flatness(7 * DAYS, zero_too=False),
}
"""Of what changes by itself or by use. Heat, gas and water may stand still for a season."""


@dataclass(frozen=True, slots=True)
class Span:
    """A stretch of time, from a reading to a reading, or from or to an end of the period."""

    starting: datetime
    ending: datetime

    @property
    def seconds(self) -> float:
        """How long."""
        return (self.ending - self.starting).total_seconds()


@dataclass(frozen=True, slots=True)
class Stuck(Span):
    """A stretch in which every reading has the same value."""

    value: float


@dataclass(frozen=True, slots=True)
class Gaps:
    """The gaps of a point."""

    count: int
    seconds: float
    """Of all together."""
    longest: float
    items: tuple[Span, ...]
    """The longest of them, in order of time."""


@dataclass(frozen=True, slots=True)
class OutOfRange:
    """Readings that cannot be right."""

    minimum: float | None
    maximum: float | None
    lowest: float
    highest: float
    readings: int | None
    """How many; None where digests are of more than one reading."""
    days: int
    """UTC days with any."""


def find_gaps(digests: Digests, interval: float, starting: Microseconds, ending: Microseconds) -> Gaps:
    """Stretches of `[starting, ending)` without a reading, longer than `GAP` intervals (seconds)."""
    begins = np.concatenate([[starting], digests.lasts])
    ends = np.concatenate([digests.firsts, [ending]])
    seconds = (ends - begins) / 1e6
    found = np.flatnonzero(seconds > GAP * interval)
    spans = [Span(instant(int(begins[one])), instant(int(ends[one]))) for one in _longest(found, seconds)]
    return Gaps(
        count=len(found),
        seconds=float(seconds[found].sum()),
        longest=float(seconds[found].max()) if len(found) else 0.0,
        items=tuple(spans),
    )


def find_stuck(digests: Digests, flatness: Flatness, interval: float | None) -> tuple[Stuck, ...]:
    """Stretches of one value longer than that is plausible. A gap (as of `find_gaps`) ends a stretch."""
    flat = digests.lows == digests.highs
    if not flatness.zero_too:
        flat &= digests.lows != 0
    if not flat.any():
        return ()
    goes_on = flat[1:] & flat[:-1] & (digests.lows[1:] == digests.lows[:-1])
    if interval is not None:
        goes_on &= (digests.firsts[1:] - digests.lasts[:-1]) / 1e6 <= GAP * interval
    heads = np.flatnonzero(flat & ~np.concatenate([[False], goes_on]))
    tails = np.flatnonzero(flat & ~np.concatenate([goes_on, [False]]))
    seconds = (digests.lasts[tails] - digests.firsts[heads]) / 1e6
    found = np.flatnonzero(seconds > flatness.seconds)
    return tuple(
        Stuck(
            instant(int(digests.firsts[heads[one]])),
            instant(int(digests.lasts[tails[one]])),
            float(digests.lows[heads[one]]),
        )
        for one in _longest(found, seconds)
    )


def _longest(found: NDArray[np.intp], seconds: NDArray[np.float64]) -> list[int]:
    """The `MOST` longest, in order."""
    kept = found[np.argsort(-seconds[found], kind="stable")[:MOST]]
    return sorted(int(one) for one in kept)


def find_out_of_range(digests: Digests, minimum: float | None, maximum: float | None) -> OutOfRange | None:
    """Readings below the minimum or above the maximum; None where there are none, or nobody said either."""
    if not len(digests):
        return None
    below = digests.lows < (minimum if minimum is not None else -np.inf)
    above = digests.highs > (maximum if maximum is not None else np.inf)
    wrong = below | above
    if not wrong.any():
        return None
    each = bool(np.all(digests.counts == 1))
    return OutOfRange(
        minimum=minimum,
        maximum=maximum,
        lowest=float(digests.lows.min()),
        highest=float(digests.highs.max()),
        readings=int(wrong.sum()) if each else None,
        days=len(np.unique(digests.firsts[wrong] // DAY)),
    )
