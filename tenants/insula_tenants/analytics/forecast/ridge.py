"""A linear model of the next day: the profile of the week, and how what is off it dies away."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from insula_tenants.analytics.forecast.hours import DAY, HORIZON, WEEK, Hours, bridged

PENALTY = 300.0
"""Ridge penalty on deviations in units of their own spread. A model of a thousand rows that overlap by 23 of
24 hours knows about as much as one of fifty rows: it needs a firm hand."""
_PRIOR = 3.0
"""Weeks that the daily profile counts for against what the hour of the week says by itself."""
_ENOUGH = 0.75
"""Share of a day's hours that must have a value for the day to teach anything."""


@dataclass(frozen=True, slots=True)
class Fitted:
    """What was learned of a history."""

    profile: NDArray[np.float64]
    """Shape (WEEK,): what each hour of the week is like."""
    limit: float
    """Deviations beyond it count as if they were there."""
    spread: float
    """Standard deviation of what is off the profile; 1 where nothing is."""
    model: Any
    """A `sklearn.linear_model.Ridge` of what is off it; None where too few days taught anything."""

    def predict(self, hours: Hours, origin: int) -> NDArray[np.float64]:
        """Shape (HORIZON,): the hours from place `origin` on, from those before it alone."""
        profile = self.profile[hours.of_week[origin : origin + HORIZON]]
        # More than a week, so that what a gap at the beginning lacks does not matter.
        first = max(0, origin - WEEK - DAY)
        off = self._deviations(hours, first, origin)
        causes = _causes(off, np.array([len(off)]))
        if self.model is None:
            return profile
        return np.asarray(profile + self.model.predict(causes)[0] * self.spread, dtype=np.float64)

    def _deviations(self, hours: Hours, first: int, until: int) -> NDArray[np.float64]:
        off = bridged(hours.values[first:until]) - self.profile[hours.of_week[first:until]]
        return np.clip(off, -self.limit, self.limit) / self.spread


def fit(hours: Hours, until: int) -> Fitted:
    """Learn from the hours before place `until`.

    The profile is the mean of each hour of the day, moved towards the mean of the hour of the week by as much
    as there are weeks to know it from. What is off it follows by ridge regression (Hoerl and Kennard, "Ridge
    regression", Technometrics 12, 1970), one equation for each hour ahead: on the deviations of the last day,
    on their mean over a day and over a week, and on those of the same hours a week before.
    """
    values, of_week = bridged(hours.values[:until]), hours.of_week[:until]
    # One absurd value must not bend profile and model: it counts as a large one.
    usual = _medians(values, of_week % DAY)[of_week % DAY]
    limit = _limit(values - usual)
    profile = _profile(usual + np.clip(values - usual, -limit, limit), of_week)
    off = values - profile[of_week]
    limit = _limit(off)
    off = np.clip(off, -limit, limit)
    spread = float(np.nanstd(off)) or 1.0
    return Fitted(profile, limit, spread, _fit_off(off / spread))


def _limit(off: NDArray[np.float64]) -> float:
    """How far values may be off and count as they are: half as far again as all but one of 200 are."""
    return 1.5 * float(np.nanquantile(np.abs(off), 0.995))


def _medians(values: NDArray[np.float64], of_day: NDArray[np.int64]) -> NDArray[np.float64]:
    """Shape (DAY,): of each hour of the day, of all hours where it has no value."""
    groups = [values[(of_day == hour) & np.isfinite(values)] for hour in range(DAY)]
    overall = float(np.nanmedian(values))
    return np.array([float(np.median(group)) if group.size else overall for group in groups])


def _profile(values: NDArray[np.float64], of_week: NDArray[np.int64]) -> NDArray[np.float64]:
    """Shape (WEEK,): see `fit`."""
    overall = np.full(DAY, float(np.nanmean(values)))
    of_day = _means(values, of_week % DAY, around=overall, prior=0.0)
    return _means(values, of_week, around=np.tile(of_day, 7), prior=_PRIOR)


def _means(
    values: NDArray[np.float64], groups: NDArray[np.int64], *, around: NDArray[np.float64], prior: float
) -> NDArray[np.float64]:
    """The mean of each group, moved towards `around` as if `prior` values were there."""
    known = np.isfinite(values)
    number = np.bincount(groups[known], minlength=len(around)).astype(np.float64)
    total = np.bincount(groups[known], weights=values[known], minlength=len(around))
    return np.where(number > 0, (total + prior * around) / np.maximum(number + prior, 1), around)


def _fit_off(off: NDArray[np.float64]) -> Any:
    from sklearn.linear_model import Ridge  # seconds to import: only workers need it

    origins = np.arange(DAY, len(off) - HORIZON + 1)
    if not origins.size:
        return None
    days = np.lib.stride_tricks.sliding_window_view(off, HORIZON)[origins]
    teaches = np.isfinite(days).mean(axis=1) >= _ENOUGH
    if teaches.sum() < DAY:
        return None
    # Fifty equations are solved sooner by one thread than shared out; and jobs, not threads, fill the cores.
    with _blas().limit(limits=1):
        return Ridge(alpha=PENALTY).fit(_causes(off, origins[teaches]), np.nan_to_num(days[teaches]))


@cache
def _blas() -> Any:
    from threadpoolctl import ThreadpoolController  # with scikit-learn

    return ThreadpoolController().select(user_api="blas")


def _causes(off: NDArray[np.float64], origins: NDArray[np.int64]) -> NDArray[np.float64]:
    """Shape (m, 50): what is known of the hours before each origin; where nothing is, the profile stands."""
    known = np.concatenate([np.zeros(WEEK), np.nan_to_num(off), np.zeros(HORIZON)])
    windows = np.lib.stride_tricks.sliding_window_view(known, DAY)
    last_day = windows[origins + WEEK - DAY]
    week_before = windows[origins]  # `WEEK` zeros stand before the first hour
    sums = np.concatenate([[0.0], np.cumsum(known)])
    of_week = (sums[origins + WEEK] - sums[origins]) / WEEK
    return np.column_stack([last_day, last_day.mean(axis=1), of_week, week_before])
