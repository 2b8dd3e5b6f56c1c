"""Back-tests with a rolling origin, intervals made of their errors, and scores."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from insula_tenants.analytics.forecast.hours import HORIZON, Hours

LEVEL = 0.9
"""Share of values that are to lie within the interval."""
CALIBRATION = 5
"""Folds whose errors make the first interval that is judged."""
_NEAR = 2
"""Hours before and after whose errors count as an hour's own."""

Predict = Callable[[Hours, int], NDArray[np.float64]]
"""A history and the place of the first hour to forecast → shape (HORIZON,)."""


@dataclass(frozen=True, slots=True)
class Scores:
    """How a forecast did; see `score`."""

    mae: float
    mase: float | None
    coverage: float | None
    pinball: float | None


def origins_of(hours: Hours, folds: int) -> NDArray[np.int64]:
    """The places at which the last `folds` whole days of the history begin, the oldest first."""
    return np.asarray(len(hours) - HORIZON * np.arange(folds, 0, -1), dtype=np.int64)


def roll(hours: Hours, predict: Predict, origins: NDArray[np.int64]) -> NDArray[np.float64]:
    """Shape (folds, HORIZON): each day from what was known before it.

    Rolling-origin evaluation: Tashman, "Out-of-sample tests of forecasting accuracy", International Journal
    of Forecasting 16 (2000).
    """
    return np.stack([predict(hours, int(origin)) for origin in origins])


def actual(hours: Hours, origins: NDArray[np.int64]) -> NDArray[np.float64]:
    """Shape (folds, HORIZON): what came; NaN where nothing did."""
    return np.asarray(hours.values[origins[:, None] + np.arange(HORIZON)], dtype=np.float64)


def interval_of(errors: NDArray[np.float64], level: float = LEVEL) -> NDArray[np.float64]:
    """Shape (2, HORIZON): how far below and above a forecast values may lie, from errors (folds, HORIZON).

    Split conformal prediction with the errors' own signs: the quantiles of the errors of the same hour of the
    day and the hours beside it, corrected for their number. Lei, G'Sell, Rinaldo, Tibshirani and Wasserman,
    "Distribution-free predictive inference for regression", JASA 113 (2018). Where an hour has no error yet,
    those of all hours count.
    """
    around = (np.arange(HORIZON)[:, None] + np.arange(-_NEAR, _NEAR + 1)) % HORIZON
    return np.array([_quantiles(errors[:, near], errors, level) for near in around]).T


def score(came: NDArray[np.float64], predicted: NDArray[np.float64], naive_error: float | None) -> Scores:
    """Scores of a forecast, all arrays (folds, HORIZON), over the hours that have a value.

    - MAE, and MASE: the same by `naive_error` (Hyndman and Koehler, "Another look at measures of forecast
      accuracy", International Journal of Forecasting 22, 2006).
    - Coverage of the interval: the share of values in it. Each day's is made of the errors of days before.
    - Pinball loss (Koenker and Bassett, "Regression quantiles", Econometrica 46, 1978), the mean of that of
      the two ends as the quantiles that they stand for.
    """
    errors = came - predicted
    mae = float(np.nanmean(np.abs(errors)))
    inside, losses = [], []
    for fold in range(CALIBRATION, len(errors)):
        known = np.isfinite(errors[fold])
        if not known.any() or not np.isfinite(errors[:fold]).any():
            continue
        error, (lower, upper) = errors[fold, known], interval_of(errors[:fold])[:, known]
        inside.append((lower <= error) & (error <= upper))
        tail = (1 - LEVEL) / 2
        losses += [_pinball(error - lower, tail), _pinball(error - upper, 1 - tail)]
    return Scores(
        mae,
        mae / naive_error if naive_error else None,
        float(np.concatenate(inside).mean()) if inside else None,
        float(np.concatenate(losses).mean()) if losses else None,
    )


def _quantiles(
    near: NDArray[np.float64], everywhere: NDArray[np.float64], level: float
) -> tuple[float, float]:
    errors = near[np.isfinite(near)]
    if not errors.size:
        errors = everywhere[np.isfinite(everywhere)]
    errors = np.sort(errors)
    count, tail = len(errors), (1 - level) / 2
    lower = max(int(np.floor((count + 1) * tail)), 1)
    upper = min(int(np.ceil((count + 1) * (1 - tail))), count)
    return float(errors[lower - 1]), float(errors[upper - 1])


def _pinball(over: NDArray[np.float64], quantile: float) -> NDArray[np.float64]:
    """The loss of a quantile that values lie `over` by."""
    return np.maximum(quantile * over, (quantile - 1) * over)
