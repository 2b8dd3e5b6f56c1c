"""When a building is open, and what is consumed while it is not."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from insula_tenants.analytics.energy.hours import Hours
from insula_tenants.errors import InvalidInput


@dataclass(frozen=True, slots=True)
class OpeningHours:
    """Local times of the week; public holidays are not known."""

    weekdays: frozenset[int]
    """On which days it opens: 1 is Monday, 7 Sunday."""
    opens: int
    """Minutes since midnight."""
    closes: int
    """Minutes since midnight; not included. 1440 is the day's end."""

    def opens_on(self, hours: Hours) -> NDArray[np.bool_]:
        """Whether each hour is on a day on which it opens."""
        return np.isin(hours.weekday, list(self.weekdays))

    def __post_init__(self) -> None:
        """Raises `InvalidInput` when it closes before it opens."""
        if self.closes <= self.opens:
            raise InvalidInput("closes", "`closes` is not after `opens`: use 24:00 for the end of the day")


@dataclass(frozen=True, slots=True)
class Closed:
    """Consumption while the building is closed, in the unit of what was given."""

    night: float
    """On days on which it opens, before it does and after."""
    weekend: float
    """On days on which it does not open."""
    share: float | None
    """Of all consumption, both together; None where nothing was consumed."""
    share_of_time: float
    """How much of the time it was closed: what a constant load would have for `share`."""


def open_share(hours: Hours, opening: OpeningHours) -> NDArray[np.float64]:
    """How much of each hour the building is open, 0 to 1."""
    begins, lasts = hours.minute, hours.length * 60
    overlap = np.minimum(begins + lasts, opening.closes) - np.maximum(begins, opening.opens)
    return np.where(opening.opens_on(hours), np.clip(overlap / lasts, 0, 1), 0.0)


def closed_consumption(consumption: NDArray[np.float64], hours: Hours, opening: OpeningHours) -> Closed:
    """What was consumed while it was closed; `consumption` is by hour, NaN where nobody knows.

    An hour in which it opens or closes is split by time.
    """
    known = ~np.isnan(consumption)
    closed = np.where(known, consumption, 0.0) * (1 - open_share(hours, opening))
    opens = opening.opens_on(hours)
    night, weekend = float(closed[opens].sum()), float(closed[~opens].sum())
    whole = float(np.nansum(consumption))
    lasts = hours.length
    open_time = float((open_share(hours, opening) * lasts).sum())
    return Closed(
        night=night,
        weekend=weekend,
        share=(night + weekend) / whole if whole > 0 else None,
        share_of_time=1 - open_time / float(lasts.sum()) if len(hours) else 0.0,
    )
