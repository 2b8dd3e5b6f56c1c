"""Readings that lie far from what the days before let expect."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from insula_tenants.analytics.anomaly.episodes import AGAIN, SEVERITIES, Episode, Severity
from insula_tenants.analytics.anomaly.robust import spread_of
from insula_tenants.analytics.forecast.hours import HORIZON, HOUR, Hours
from insula_tenants.analytics.forecast.outlook import Rolled

LIMIT = 6.0
"""Spreads of the forecast's errors. Iglewicz and Hoaglin (1993) call what lies 3.5 off an outlier; errors of
rooms, where a window is opened or people come, have longer tails than normal ones."""
FAR = 2 * LIMIT
LEAST_ERRORS = 5 * HORIZON
"""Hours of a back-test without which nobody knows what an ordinary error is."""
_NEAR = 2
"""Hours of the day before and after whose errors count as an hour's own."""
_LASTING = 3
"""Hours from which on it is more than a blip."""


def unusual(hours: Hours, rolled: Rolled) -> list[Episode]:
    """Stretches of hours that lie `LIMIT` spreads off the forecast that the day before allowed.

    The spread is robust, that of the errors of the same time of the day, and at least a quarter of that of
    all errors: a night in which nothing ever happens must not make a trifle of the next one an event.
    """
    errors = rolled.came - rolled.predicted
    known = np.isfinite(errors)
    if known.sum() < LEAST_ERRORS:
        return []
    around = (np.arange(HORIZON)[:, None] + np.arange(-_NEAR, _NEAR + 1)) % HORIZON
    middle = np.array([_median(errors[:, near]) for near in around])
    spread = np.array([spread_of(errors[:, near]) for near in around])
    spread = np.maximum(spread, max(spread_of(errors) / 4, _step(hours.values)))
    if not spread.all():
        return []  # every error is 0, and so is the next one: or a bit is enough to be infinitely unusual
    low, high = rolled.predicted + middle - LIMIT * spread, rolled.predicted + middle + LIMIT * spread
    away = np.where(known, np.abs(errors - middle) / spread, 0.0).ravel()
    places = (rolled.origins[:, None] + np.arange(HORIZON)).ravel()
    last = int(places[known.ravel()].max())
    flagged = np.flatnonzero(away > LIMIT)
    soon = AGAIN["unusual"] // HOUR
    stretches = np.split(flagged, np.flatnonzero(np.diff(places[flagged]) > soon) + 1)
    return [
        _episode(hours, rolled, stretch, places, away, low.ravel(), high.ravel(), last)
        for stretch in stretches
        if stretch.size
    ]


def _episode(
    hours: Hours,
    rolled: Rolled,
    stretch: NDArray[np.int64],
    places: NDArray[np.int64],
    away: NDArray[np.float64],
    low: NDArray[np.float64],
    high: NDArray[np.float64],
    last: int,
) -> Episode:
    worst = stretch[int(np.argmax(away[stretch]))]
    first, final = int(places[stretch[0]]), int(places[stretch[-1]])
    return Episode(
        "unusual",
        _severity(len(stretch), float(away[worst])),
        "forecast",
        begins=hours.time_of(first),
        ends=hours.time_of(final + 1),
        over=last - final >= AGAIN["unusual"] // HOUR,
        value=float(rolled.came.ravel()[worst]),
        low=float(low[worst]),
        high=float(high[worst]),
    )


def _severity(lasting: int, away: float) -> Severity:
    grave = (lasting >= _LASTING) + (away >= FAR)
    return SEVERITIES[grave]


def _median(errors: NDArray[np.float64]) -> float:
    known = errors[np.isfinite(errors)]
    return float(np.median(known)) if known.size else 0.0


def _step(values: NDArray[np.float64]) -> float:
    """The least by which the value changed from hour to hour: what it can tell apart; 0: it never did."""
    steps = np.abs(np.diff(values[np.isfinite(values)]))
    steps = steps[steps > 1e-9]
    return float(steps.min()) if steps.size else 0.0
