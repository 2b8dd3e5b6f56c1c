"""How well a model fits, and how sure savings are: ASHRAE Guideline 14-2014.

In the Guideline's words: `n` measured values of the baseline period, `p` parameters of the model, `m` values
of the reporting period.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import inf, sqrt
from typing import Literal

import numpy as np
from numpy.typing import NDArray

LIMITS: dict[Literal["hour", "month"], tuple[float, float]] = {"hour": (0.30, 0.10), "month": (0.15, 0.05)}
"""Of CV(RMSE) and NMBE, for data by the hour and by the month: Guideline 14, of calibrated models."""
MOST_UNCERTAINTY = 0.5
"""Of the savings, at 68 % confidence: what Guideline 14 asks of whole-building approaches."""
CONFIDENCE = 0.68


@dataclass(frozen=True, slots=True)
class Fit:
    """How well a model says what was measured."""

    observations: int
    parameters: int
    cv_rmse: float | None
    """Of the mean: 0.15 is 15 %. None where nothing can be said."""
    nmbe: float | None
    """Of the mean; above 0 the model says less than was measured."""
    r_squared: float | None
    cv_rmse_limit: float
    nmbe_limit: float

    @property
    def meets_limits(self) -> bool:
        """Whether both are within the Guideline's limits."""
        if self.cv_rmse is None or self.nmbe is None:
            return False
        return self.cv_rmse <= self.cv_rmse_limit and abs(self.nmbe) <= self.nmbe_limit


def cv_rmse(measured: NDArray[np.float64], predicted: NDArray[np.float64], parameters: int) -> float | None:
    """Coefficient of variation of the root mean square error, of the mean.

    `sqrt(Σ (y - ŷ)² / (n - p)) / ȳ`: ASHRAE Guideline 14-2014, 5.2.11. None without
    degrees of freedom or where the mean is 0.
    """
    freedom, mean = len(measured) - parameters, _mean(measured)
    if freedom <= 0 or not mean:
        return None
    return sqrt(float(((measured - predicted) ** 2).sum()) / freedom) / mean


def nmbe(measured: NDArray[np.float64], predicted: NDArray[np.float64], parameters: int) -> float | None:
    """Normalized mean bias error, of the mean.

    `Σ (y - ŷ) / ((n - p) ȳ)`: ASHRAE Guideline 14-2014, 5.2.11. A linear model with an intercept has 0
    over the period that it was fitted on, whatever it is worth. None as for `cv_rmse`.
    """
    freedom, mean = len(measured) - parameters, _mean(measured)
    if freedom <= 0 or not mean:
        return None
    return float((measured - predicted).sum()) / (freedom * mean)


def fit_of(
    measured: NDArray[np.float64],
    predicted: NDArray[np.float64],
    parameters: int,
    by: Literal["hour", "month"],
) -> Fit:
    """Both, R², and the limits for data of this interval."""
    spread = float(((measured - _mean(measured)) ** 2).sum()) if len(measured) else 0.0
    error = float(((measured - predicted) ** 2).sum())
    return Fit(
        len(measured),
        parameters,
        cv_rmse(measured, predicted, parameters),
        nmbe(measured, predicted, parameters),
        1 - error / spread if spread > 0 else None,
        *LIMITS[by],
    )


def autocorrelation(residuals: NDArray[np.float64], follows: NDArray[np.bool_]) -> float:
    """Of residuals at lag 1, by Pearson; `follows` says of each whether the one before it is its neighbour.

    0 where that cannot be told.
    """
    later = np.flatnonzero(follows[1:]) + 1
    before, after = residuals[later - 1], residuals[later]
    if len(later) < 3 or not before.std() or not after.std():
        return 0.0
    return float(np.corrcoef(before, after)[0, 1])


def savings_uncertainty(
    fit: Fit, correlation: float, reported: int, predicted: float, confidence: float = CONFIDENCE
) -> float:
    """Half the width of the interval around savings, in their unit, at this two-sided confidence.

    `t · 1.26 · CV(RMSE) · sqrt(n / n' · (1 + 2 / n') / m) · E`, `n' = n (1 - ρ) / (1 + ρ)`: ASHRAE Guideline
    14-2014, Annex B, after A. Reddy and D. Claridge, "Uncertainty of 'measured' energy savings from
    statistical baseline models", HVAC&R Research 6 (2000). `E` is what the model predicts for the `reported`
    values together; divided by the savings, this is the fractional savings uncertainty. For hourly models it
    is known to come out too low (S. Touzani et al., Energy and Buildings 2019): take it for the least.

    Infinite where the fit says nothing.
    """
    freedom = fit.observations - fit.parameters
    if fit.cv_rmse is None or reported == 0:
        return inf
    from scipy.special import stdtrit

    independent = fit.observations * (1 - correlation) / (1 + correlation) if correlation > -1 else inf
    independent = min(max(independent, 1.0), fit.observations)
    spread = fit.observations / independent * (1 + 2 / independent) / reported
    t = float(stdtrit(freedom, (1 + confidence) / 2))
    return t * 1.26 * fit.cv_rmse * sqrt(spread) * abs(predicted)


def _mean(values: NDArray[np.float64]) -> float:
    return float(values.mean()) if len(values) else 0.0
