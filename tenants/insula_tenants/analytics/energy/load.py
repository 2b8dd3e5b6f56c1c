"""Loads: base load, peak, the week, typical days. kW of kWh by hour, or m³/h of m³ by hour.

A gap is no load: hours in which the meter said nothing are left out, though what it counted meanwhile is
spread over them and is in every consumption.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from insula_tenants.analytics.energy.hours import Hours

NEAR_BASE = 2.5
"""Percentile."""
FEWEST_HOURS = 18
"""Measured hours that a day needs to have a base load."""
LOW, HIGH = 10, 90
"""Percentiles of a typical day's band."""


@dataclass(frozen=True, slots=True)
class Load:
    """What hourly loads tell."""

    hours: int
    """That were measured."""
    mean: float | None
    base: float | None
    base_share: float | None
    """What the base load all the time would be of what was consumed in the measured hours."""
    peak: float | None
    """The highest mean of an hour."""
    peak_at: int | None
    """When that hour began, microseconds since the epoch."""


@dataclass(frozen=True, slots=True)
class TypicalHour:
    """An hour of a typical day."""

    hour: int
    """By the clock, 0 to 23."""
    days: int
    """How many were measured."""
    mean: float | None
    low: float | None
    median: float | None
    high: float | None


def loads_of(
    consumption: NDArray[np.float64], measured: NDArray[np.bool_], hours: Hours
) -> NDArray[np.float64]:
    """The mean load of each hour, NaN in those that were not measured.

    A cut hour of less than half is left out too: a peak must not come of a few minutes.
    """
    usable = measured & (hours.length >= 0.5)
    return np.where(usable, consumption / hours.length, np.nan)


def load_of(loads: NDArray[np.float64], hours: Hours) -> Load:
    """Base load, mean and peak of hourly loads, NaN where not measured.

    The base load is the median over the days of each day's near-base load, the 2.5th percentile of its loads:
    P. Price, "Methods for Analyzing Electric Load Shape and its Variability", LBNL-3713E (2010). A day with
    fewer than 18 measured hours has none.
    """
    known = ~np.isnan(loads)
    if not known.any():
        return Load(0, None, None, None, None, None)
    bases = _by_group(loads, hours.day, lambda day: float(np.percentile(day, NEAR_BASE)), FEWEST_HOURS)
    base = float(np.median(list(bases.values()))) if bases else None
    mean = float(np.average(loads[known], weights=hours.length[known]))
    top = int(np.nanargmax(loads))
    return Load(
        hours=int(known.sum()),
        mean=mean,
        base=base,
        base_share=base / mean if base is not None and mean > 0 else None,
        peak=float(loads[top]),
        peak_at=int(hours.starts[top]),
    )


def week_of(loads: NDArray[np.float64], hours: Hours) -> list[list[float | None]]:
    """The mean load by weekday, Monday first, and hour of the clock; None where nothing was measured."""
    place = (hours.weekday - 1) * 24 + hours.hour
    known = ~np.isnan(loads)
    count = np.bincount(place[known], minlength=168)
    total = np.bincount(place[known], weights=loads[known], minlength=168)
    means = [float(total[one] / count[one]) if count[one] else None for one in range(168)]
    return [means[day * 24 : (day + 1) * 24] for day in range(7)]


def typical_day(loads: NDArray[np.float64], hours: Hours, days: NDArray[np.bool_]) -> list[TypicalHour]:
    """The 24 hours of a typical day, of those that `days` marks; the band holds four days of five."""
    found = []
    for hour in range(24):
        values = loads[days & (hours.hour == hour) & ~np.isnan(loads)]
        if len(values):
            low, median, high = (float(one) for one in np.percentile(values, (LOW, 50, HIGH)))
            found.append(TypicalHour(hour, len(values), float(values.mean()), low, median, high))
        else:
            found.append(TypicalHour(hour, 0, None, None, None, None))
    return found


def daily_peaks(loads: NDArray[np.float64], hours: Hours) -> dict[int, float]:
    """The highest load of each local day that has one."""
    return _by_group(loads, hours.day, lambda day: float(day.max()), 1)


def _by_group(
    values: NDArray[np.float64],
    groups: NDArray[np.int64],
    of: Callable[[NDArray[np.float64]], float],
    fewest: int,
) -> dict[int, float]:
    """`of` the known values of each group that has `fewest`; groups come in order."""
    known = ~np.isnan(values)
    names, begins = np.unique(groups[known], return_index=True)
    parts = np.split(values[known], begins[1:])
    return {int(name): of(part) for name, part in zip(names, parts, strict=False) if len(part) >= fewest}
