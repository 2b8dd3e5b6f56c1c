"""The seasonal naive forecast: it will be as it was. What any model has to beat."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from insula_tenants.analytics.forecast.hours import DAY, HORIZON, WEEK, Hours

SEASONS = (DAY, WEEK)
_FURTHEST = 4
"""Seasons to go back for a value before giving up."""


def seasonal_naive(hours: Hours, origin: int, season: int) -> NDArray[np.float64]:
    """Shape (HORIZON,): for each hour from place `origin` on, the value one season before by local clocks.

    Where that hour has no value, a season earlier still; the mean of the history where there is none either.
    A week's season falls back on the day's. Hyndman and Athanasopoulos, "Forecasting: principles and
    practice" (3rd ed., 2021), section 5.2.
    """
    found = np.full(HORIZON, np.nan)
    for width in (season, DAY) if season != DAY else (DAY,):
        for back in range(1, _FURTHEST + 1):
            empty = np.isnan(found)
            found[empty] = _lagged(hours, np.arange(origin, origin + HORIZON), back * width, origin)[empty]
    known = hours.values[:origin]
    known = known[np.isfinite(known)]
    return np.where(np.isnan(found), known.mean() if known.size else np.nan, found)


def naive_error(hours: Hours, season: int) -> float | None:
    """Mean absolute error of the naive forecast within the history, by which MASE scales.

    None where there is none, or it is 0: a value that never changes.
    """
    places = np.arange(len(hours))
    errors = np.abs(hours.values - _lagged(hours, places, season, len(hours)))
    errors = errors[np.isfinite(errors)]
    mean = float(errors.mean()) if errors.size else 0.0
    return mean or None


def _lagged(hours: Hours, places: NDArray[np.int64], lag: int, known: int) -> NDArray[np.float64]:
    """Values `lag` hours before by local clocks, NaN for those that are not before the place `known`."""
    earlier = places - lag
    inside = earlier >= 0
    # Where clocks were changed in between, the same hour of the day is one hour nearer or further.
    earlier[inside] += hours.offsets[places[inside]] - hours.offsets[earlier[inside]]
    inside &= (earlier >= 0) & (earlier < known)
    # The hour that clocks skip in spring was not there: what is beside it is another's.
    of_day = hours.of_week % DAY
    inside[inside] = of_day[places[inside]] == of_day[earlier[inside]]
    values = np.full(len(places), np.nan)
    values[inside] = hours.values[earlier[inside]]
    return values
