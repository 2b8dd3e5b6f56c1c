"""Sensors that do not move any more, or hardly."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from insula_tenants.analytics.anomaly.episodes import Episode
from insula_tenants.analytics.forecast.hours import DAY, WEEK, Hours

LEAST_STUCK = DAY
"""Hours of one value below which nobody calls it stuck."""
TIMES_LONGER = 3.0
"""How many times as long as it ever stood still before."""
LEAST_PAST = 2 * WEEK
"""Hours with a value before it: a weekend must have been seen."""
WINDOW = 2 * DAY
"""Hours over which movement is measured."""
SHARE = 0.1
"""A flat sensor moves by less than this share of what is usual."""
LEAST_WINDOWS = 7
_MOST_MISSING = 0.25


def stuck(hours: Hours, lowest: NDArray[np.float64], highest: NDArray[np.float64]) -> Episode | None:
    """Whether the point gives one value again and again, for much longer than it ever did.

    `lowest` and `highest`, shape (n,), are the least and greatest reading of each hour. Exact repetition is
    the "persistence" check of meteorology (Zahumenský, "Guidelines on quality control procedures for data
    from automatic weather stations", WMO, 2004), with the limit taken from the point's own past: a door may
    stay closed for a week.
    """
    places = np.flatnonzero(np.isfinite(lowest) & np.isfinite(highest))
    if not places.size:
        return None
    still = lowest[places] == highest[places]
    same = still[1:] & still[:-1] & (lowest[places][1:] == lowest[places][:-1])
    runs = np.split(places, np.flatnonzero(~same) + 1)
    last = runs[-1]
    lasting = int(last[-1] - last[0]) + 1
    if not still[-1] or lasting < LEAST_STUCK or len(last) < lasting / 2:
        return None
    before = places[: -len(last)]
    longest = max((int(run[-1] - run[0]) + 1 for run in runs[:-1]), default=0)
    if before.size and lasting < TIMES_LONGER * longest:
        return None
    past = hours.values[before] if before.size else hours.values[last]
    low, high = np.nanquantile(past, (0.05, 0.95))
    return Episode(
        "stuck",
        "critical" if lasting >= WEEK else "warning",
        "past",
        begins=hours.time_of(int(last[0])),
        ends=hours.time_of(int(last[-1]) + 1),
        over=False,
        value=float(lowest[last[-1]]),
        low=float(low),
        high=float(high),
        only_lasts=before.size < LEAST_PAST,
    )


def flat(hours: Hours, lowest: NDArray[np.float64], highest: NDArray[np.float64]) -> Episode | None:
    """Whether the point still moves, but by less than `SHARE` of what is usual, and less than it ever did.

    Movement is the range of readings over `WINDOW` hours. What is usual is its upper quartile over the
    history, so that a line that has been flat for weeks does not become what is usual.
    """
    count = len(lowest) // WINDOW
    if count <= LEAST_WINDOWS:
        return None
    begin = len(lowest) - count * WINDOW
    low, high = (side[begin:].reshape(count, WINDOW) for side in (lowest, highest))
    known = np.isfinite(low) & np.isfinite(high)
    measured = np.flatnonzero(known.mean(axis=1) >= 1 - _MOST_MISSING)
    if len(measured) <= LEAST_WINDOWS:
        return None
    moved = np.nanmax(high[measured], axis=1) - np.nanmin(low[measured], axis=1)
    limit = SHARE * float(np.quantile(moved, 0.75))
    quiet = moved <= limit
    lively = np.flatnonzero(~quiet)
    first = int(lively[-1]) + 1 if lively.size else 0
    if first == len(moved) or moved[-1] == 0.0:
        return None
    past = moved[:first]
    # It has been as quiet before: on holidays, or in a room that nobody uses.
    if len(past) < LEAST_WINDOWS or (past <= 2 * limit).any():
        return None
    usual = np.quantile(past, (0.1, 0.9))
    return Episode(
        "flat",
        "warning",
        "past",
        begins=hours.time_of(begin + int(measured[first]) * WINDOW),
        ends=hours.time_of(len(lowest)),
        over=False,
        value=float(moved[-1]),
        low=float(usual[0]),
        high=float(usual[1]),
    )
