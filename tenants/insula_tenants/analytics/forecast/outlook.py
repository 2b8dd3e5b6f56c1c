"""The forecast of a point: the model where it beats the naive forecast, else that one."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from insula_tenants.analytics.forecast.backtest import (
    Scores,
    actual,
    interval_of,
    origins_of,
    roll,
    score,
)
from insula_tenants.analytics.forecast.hours import DAY, Hours
from insula_tenants.analytics.forecast.naive import SEASONS, naive_error, seasonal_naive
from insula_tenants.analytics.forecast.ridge import fit

MOST_FOLDS = 28
LEAST_FOLDS = 5
"""Days of a back-test below which it does not tell which forecast is better."""
LEARNING = 7
"""Days of history before the first day that a model is tested on."""
LEARNED_ANEW = 3
"""Days of the back-test after which the model is made anew."""
LEAST_DAYS = 3
"""Days of history without which nothing is forecast."""


@dataclass(frozen=True, slots=True)
class Bounds:
    """Between which values can be: a counter never counts backwards, a door is open or closed."""

    lowest: float = -np.inf
    highest: float = np.inf

    def clip(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """The values, those outside moved to the nearer bound."""
        return np.clip(values, self.lowest, self.highest)


@dataclass(frozen=True, slots=True)
class Rolled:
    """Days of the back-test: arrays of shape (folds, HORIZON)."""

    origins: NDArray[np.int64]
    """Shape (folds,): the places of the hours at which they begin."""
    came: NDArray[np.float64]
    """NaN where an hour has no value."""
    predicted: NDArray[np.float64]
    """By the forecast that is used."""


@dataclass(frozen=True, slots=True)
class Outlook:
    """The next `HORIZON` hours: arrays of that length, in the point's unit."""

    model: Literal["ridge", "seasonal_naive"]
    """What `expected` comes from."""
    expected: NDArray[np.float64]
    lower: NDArray[np.float64]
    upper: NDArray[np.float64]
    naive: NDArray[np.float64]
    season: int
    """Of the naive forecast, in hours: whichever did better."""
    scores: Scores | None
    """The model's; None where the history is too short for one."""
    naive_scores: Scores
    rolled: Rolled


def look_ahead(hours: Hours, bounds: Bounds | None = None) -> Outlook | Literal["too_short", "silent"]:
    """The forecast of the day after `hours`, or why there is none.

    `too_short`: less than `LEAST_DAYS` of history; `silent`: the last day has no value.
    """
    days = len(hours) // DAY
    if not hours.present[-DAY:].any():
        return "silent" if len(hours) else "too_short"
    if days < LEAST_DAYS:
        return "too_short"
    clip = (bounds or Bounds()).clip
    folds = min(MOST_FOLDS, days - LEARNING)
    is_long = folds >= LEAST_FOLDS
    origins = origins_of(hours, folds if is_long else days - LEAST_DAYS + 1)
    came = actual(hours, origins)
    if not np.isfinite(came).any():
        return "too_short"
    season, naive_rolled = _best_naive(hours, origins, came)
    scale = naive_error(hours, season)
    scores, naive_scores = None, score(came, naive_rolled, scale)
    naive = seasonal_naive(hours, len(hours), season)
    model: Literal["ridge", "seasonal_naive"] = "seasonal_naive"
    rolled, expected = naive_rolled, clip(naive)
    if is_long:
        tried = clip(_roll_model(hours, origins))
        scores = score(came, tried, scale)
        if scores.mae < naive_scores.mae:
            model, rolled, expected = "ridge", tried, clip(fit(hours, len(hours)).predict(hours, len(hours)))
    below, above = interval_of(came - rolled)
    return Outlook(
        model,
        expected,
        # An error that is always on one side moves the interval away from the forecast: it stays inside.
        clip(expected + np.minimum(below, 0)),
        clip(expected + np.maximum(above, 0)),
        naive,
        season,
        scores,
        naive_scores,
        Rolled(origins, came, rolled),
    )


def _roll_model(hours: Hours, origins: NDArray[np.int64]) -> NDArray[np.float64]:
    """The model's forecasts of the days of the back-test, learned anew now and then from what was before."""
    learned = {place: fit(hours, int(origins[place])) for place in range(0, len(origins), LEARNED_ANEW)}
    return np.stack(
        [
            learned[place - place % LEARNED_ANEW].predict(hours, int(origin))
            for place, origin in enumerate(origins)
        ]
    )


def _best_naive(
    hours: Hours, origins: NDArray[np.int64], came: NDArray[np.float64]
) -> tuple[int, NDArray[np.float64]]:
    """The season that did better, and its forecasts; the day where both did alike."""
    tried = {season: roll(hours, partial(seasonal_naive, season=season), origins) for season in SEASONS}
    season = min(SEASONS, key=lambda one: float(np.nanmean(np.abs(came - tried[one]))))
    return season, tried[season]
