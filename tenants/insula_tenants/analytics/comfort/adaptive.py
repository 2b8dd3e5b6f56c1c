"""Adaptive comfort: what people who can open a window find comfortable follows the weather of past days."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from insula_tenants.analytics.comfort.categories import Bands

Values = NDArray[np.float64]

DAYS = 7
"""Days before that a running mean looks back."""

_WEIGHTS = np.array([1.0, 0.8, 0.6, 0.5, 0.4, 0.3, 0.2])
_ENOUGH = 0.5
"""Share of the weights whose days must be known."""


def running_means(daily: Values) -> Values:
    """The running mean outdoor temperature (°C) of each day, from daily means; both of shape (days,).

    EN 16798-1:2019, annex B: (θ₋₁ + 0.8 θ₋₂ + 0.6 θ₋₃ + 0.5 θ₋₄ + 0.4 θ₋₅ + 0.3 θ₋₆ + 0.2 θ₋₇) / 3.8, with
    θ₋₁ yesterday's mean. Days without one (NaN) are left out, and the rest weighed as if they were all; NaN
    where less than half the weight is left.
    """
    padded = np.concatenate([np.full(DAYS, np.nan), daily])
    # Row by row the days before: yesterday first.
    before = np.stack([padded[DAYS - back : len(padded) - back] for back in range(1, DAYS + 1)])
    known = ~np.isnan(before)
    weights = (_WEIGHTS[:, None] * known).sum(axis=0)
    sums = (_WEIGHTS[:, None] * np.where(known, before, 0.0)).sum(axis=0)
    enough = weights >= _ENOUGH * _WEIGHTS.sum()
    means: Values = np.divide(sums, weights, out=np.full(len(daily), np.nan), where=enough)
    return means


def adaptive_bands(running_mean: Values) -> Bands:
    """Operative temperatures (°C) by EN 16798-1:2019, annex B: 0.33 θrm + 18.8, and around it

    +2 and -3 K for category I, +3 and -4 K for II, +4 and -5 K for III, where θrm is from 10 to 30 °C. There
    is no category IV; here it has III's limits. NaN outside.
    """
    fit = (running_mean >= 10) & (running_mean <= 30)
    comfort = np.where(fit, 0.33 * running_mean + 18.8, np.nan)
    return (
        comfort - np.array([3.0, 4.0, 5.0, 5.0])[:, None],
        comfort + np.array([2.0, 3.0, 4.0, 4.0])[:, None],
    )


def ashrae_bands(running_mean: Values) -> Bands:
    """Operative temperatures (°C) by ASHRAE 55-2020, 5.4: 0.31 t + 17.8, ±2.5 K for 90 % and ±3.5 K for 80 %.

    Of shape (2, hours), 90 % first; where the prevailing mean outdoor temperature t, for which the running
    mean is taken, is from 10 to 33.5 °C. NaN outside. For still air: ASHRAE 55 allows more where a fan blows.
    """
    fit = (running_mean >= 10) & (running_mean <= 33.5)
    comfort = np.where(fit, 0.31 * running_mean + 17.8, np.nan)
    width = np.array([2.5, 3.5])[:, None]
    return comfort - width, comfort + width
