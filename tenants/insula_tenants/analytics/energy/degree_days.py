"""Heating and cooling degree days.

Two methods, as CIBSE TM41, "Degree-days: theory and application" (2006), names them:

- *mean degree-hours*: the mean over a day's hours of what the temperature lacks of the base (or exceeds it
  by). The most exact; days that are cold by night and warm by day have both kinds.
- *daily mean temperature*: what the day's mean lacks of the base (or exceeds it by), as in the ASHRAE
  Handbook of Fundamentals, chapter 14, where however the mean is that of the day's extremes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from insula_tenants.analytics.energy.hours import Hours, day_shares

Method = Literal["hourly", "mean"]

METHOD_NAMES: dict[Method, str] = {
    "hourly": "mean degree-hours (CIBSE TM41)",
    "mean": "daily mean temperature (CIBSE TM41)",
}
HEATING_BASE = 15.5
"""°C: the United Kingdom's (CIBSE TM41)."""
COOLING_BASE = 18.3
"""°C: 65 °F, ASHRAE's."""
FEWEST_SHARE = 0.75
"""Of a day's hours that must be measured: a day of fewer has no degree days, for they would be a guess."""


@dataclass(frozen=True, slots=True)
class DegreeDay:
    """A local day."""

    day: int
    """Days since 1 January 1970."""
    hours: int
    """That were measured."""
    mean: float | None
    """°C; None, as the others, where too few hours were measured."""
    heating: float | None
    """K·d"""
    cooling: float | None
    """K·d"""


def degree_days(
    temperatures: NDArray[np.float64],
    hours: Hours,
    *,
    heating_base: float = HEATING_BASE,
    cooling_base: float = COOLING_BASE,
    method: Method = "hourly",
) -> list[DegreeDay]:
    """The degree days of each local day; `temperatures` are outdoors, °C, means by hour, NaN where missing.

    What is missing of a day that has enough is taken to be as the rest of it. A day of 23 or 25 hours counts
    as one, and of one that the question cuts, such as today, counts the share that is in it.
    """
    days, place, asked = np.unique(hours.day, return_inverse=True, return_counts=True)
    known = ~np.isnan(temperatures)

    def means(values: NDArray[np.float64]) -> NDArray[np.float64]:
        total = np.bincount(place[known], weights=values[known], minlength=len(days))
        return total / np.maximum(count, 1)

    count = np.bincount(place[known], minlength=len(days))
    mean = means(temperatures)
    if method == "hourly":
        heating = means(np.maximum(heating_base - temperatures, 0))
        cooling = means(np.maximum(temperatures - cooling_base, 0))
    else:
        heating, cooling = np.maximum(heating_base - mean, 0), np.maximum(mean - cooling_base, 0)
    shares = day_shares(hours)
    part = np.array([shares[int(day)] for day in days])
    heating, cooling = heating * part, cooling * part
    enough = count >= FEWEST_SHARE * asked
    return [
        DegreeDay(int(day), int(count[one]), float(mean[one]), float(heating[one]), float(cooling[one]))
        if enough[one]
        else DegreeDay(int(day), int(count[one]), None, None, None)
        for one, day in enumerate(days)
    ]
