"""Sensors that move away: from the others in their room, or from their own past."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from insula_tenants.analytics.anomaly.episodes import Episode
from insula_tenants.analytics.anomaly.robust import spread_of
from insula_tenants.analytics.forecast.hours import DAY, HOUR, Hours

DAYS = 28
"""Days over which a drift is looked for."""
LEAST_DAYS = 14
"""Of which so many must have values."""
CERTAIN = 0.01
"""Probability that a series without any trend looks as steady as this one."""
NOISES = 3.0
"""What it moved by must be so many times what its days scatter by."""
OF_RANGE = 0.5
"""And this share of the range that it goes through anyway."""
OWN_SHARE = 0.5
"""Share of the distance that the point itself must have gone: else it is the others that moved."""
_HALF_A_DAY = DAY // 2


def drifting(
    hours: Hours, neighbours: Sequence[NDArray[np.float64]], *, against_past: bool = True
) -> Episode | None:
    """Whether a point moves away from its neighbours; where it has none, from its own past.

    `neighbours` are values of points of the same quantity in the same room, each of shape (n,), as `hours`.
    The trend of daily medians is the slope of Theil ("A rank-invariant method of linear and polynomial
    regression analysis", 1950) and Sen ("Estimates of the regression coefficient based on Kendall's tau",
    JASA 63, 1968), tested by Mann (1945) and Kendall (1975).

    With one neighbour, or where one of two has gone astray, the distance does not say who moved: it is the
    one whose own values went that way. Against the past it takes more, as seasons move rooms too: values must
    have left the range of the four weeks before for good.
    """
    if neighbours:
        with np.errstate(all="ignore"):
            known = np.isfinite(np.stack(neighbours)).any(axis=0)
            others = np.full(len(hours), np.nan)
            others[known] = np.nanmedian(np.stack(neighbours)[:, known], axis=0)
        return _from_neighbours(hours, others)
    return _from_past(hours) if against_past else None


def _from_neighbours(hours: Hours, others: NDArray[np.float64]) -> Episode | None:
    apart = _daily_medians(hours.values - others)[-DAYS:]
    trend = _trend(apart)
    if trend is None:
        return None
    slope, noise = trend
    own = _daily_medians(hours.values)[-DAYS:]
    own_trend = _slope(own)
    if own_trend * np.sign(slope) < OWN_SHARE * abs(slope):
        return None
    if abs(slope) * DAYS < OF_RANGE * _range_without(hours, slope):
        return None
    known = np.flatnonzero(np.isfinite(apart))
    before = float(np.median(apart[known[:7]]))
    last = int(known[-1])
    beside = float(_daily_medians(others)[-DAYS:][last]) + before
    return Episode(
        "drifting",
        "warning",
        "neighbours",
        begins=_day_of_departure(hours, apart, before, slope),
        ends=_end_of_day(hours, last - len(apart)),
        over=False,
        value=float(own[last]),
        low=beside - NOISES * noise,
        high=beside + NOISES * noise,
        per_day=slope,
    )


def _from_past(hours: Hours) -> Episode | None:
    medians = _daily_medians(hours.values)
    if len(medians) < 2 * DAYS:
        return None
    past, recent = medians[-2 * DAYS : -DAYS], medians[-DAYS:]
    trend = _trend(recent)
    if trend is None or np.isfinite(past).sum() < LEAST_DAYS:
        return None
    slope, _noise = trend
    low, high = float(np.nanmin(past)), float(np.nanmax(past))
    margin = OF_RANGE * max(high - low, _range_without(hours, slope))
    week = recent[-7:][np.isfinite(recent[-7:])]
    left = week > high + margin if slope > 0 else week < low - margin
    if not week.size or not left.all():
        return None
    outside = recent > high if slope > 0 else recent < low
    last = int(np.flatnonzero(np.isfinite(recent))[-1])
    return Episode(
        "drifting",
        "info",
        "past",
        begins=_end_of_day(hours, int(np.flatnonzero(outside)[0]) - len(recent) - 1),
        ends=_end_of_day(hours, last - len(recent)),
        over=False,
        value=float(recent[last]),
        low=low,
        high=high,
        per_day=slope,
    )


def _daily_medians(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Shape (whole days,): of the 24 hours up to the end of the history, and those before."""
    days = len(values) // DAY
    blocks = values[len(values) - days * DAY :].reshape(days, DAY)
    enough = np.isfinite(blocks).sum(axis=1) >= _HALF_A_DAY
    medians = np.full(days, np.nan)
    medians[enough] = np.nanmedian(blocks[enough], axis=1)
    return medians


def _trend(days: NDArray[np.float64]) -> tuple[float, float] | None:
    """Slope a day and scatter of the days around it; None where there is no trend to speak of."""
    from scipy.stats import kendalltau  # with scikit-learn

    known = np.flatnonzero(np.isfinite(days))
    if len(known) < LEAST_DAYS or np.ptp(days[known]) == 0:
        return None
    if kendalltau(known, days[known]).pvalue >= CERTAIN:
        return None
    slope = _slope(days)
    noise = spread_of(days[known] - slope * known)
    return (slope, noise) if abs(slope) * DAYS >= NOISES * noise else None


def _slope(days: NDArray[np.float64]) -> float:
    from scipy.stats import theilslopes

    known = np.flatnonzero(np.isfinite(days))
    return float(theilslopes(days[known], known).slope) if len(known) > 1 else 0.0


def _range_without(hours: Hours, slope: float) -> float:
    """What the point goes through in four weeks, the drift taken out: from its 10 to its 90 % quantile."""
    values = hours.values[-DAYS * DAY :]
    low, high = np.nanquantile(values - slope / DAY * np.arange(len(values)), (0.1, 0.9))
    return float(high - low)


def _day_of_departure(hours: Hours, apart: NDArray[np.float64], before: float, slope: float) -> int:
    """When the first day began from which on all days lay on the drift's side."""
    known = np.flatnonzero(np.isfinite(apart))
    away = (apart[known] - before) * np.sign(slope) > 0
    still = np.flatnonzero(~away)
    first = known[still[-1] + 1] if still.size and still[-1] + 1 < len(known) else known[0]
    return _end_of_day(hours, int(first) - len(apart) - 1)


def _end_of_day(hours: Hours, back: int) -> int:
    """The end of a day that is counted from the end of the history: -1 is the last one."""
    return hours.end + (back + 1) * DAY * HOUR
