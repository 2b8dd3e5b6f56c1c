"""Look at one point: its forecast, and what is wrong with it. Pure; what it needs was read before."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

import numpy as np

from insula_tenants.analytics.analyses.models import ForecastState
from insula_tenants.analytics.anomaly import Episode, drifting, flat, stuck, unusual
from insula_tenants.analytics.forecast import HISTORY, Bounds, Hours, Outlook, hours_of, look_ahead
from insula_tenants.analytics.forecast.hours import hourly
from insula_tenants.analytics.measured import MeasuredPoint
from insula_tenants.analytics.quantities import Quantity
from insula_tenants.analytics.series import Series
from insula_tenants.telemetry.aggregates import Aggregate

_SLOW = {
    Quantity.AIR_TEMPERATURE,
    Quantity.RADIANT_TEMPERATURE,
    Quantity.HUMIDITY,
    Quantity.CO2,
}
"""What two sensors of a room agree on, and what stays where it was from month to month."""
_ON_OFF = {Quantity.OCCUPANCY, Quantity.OCCUPANCY_COUNT}


@dataclass(frozen=True, slots=True)
class History:
    """What was read of a point: one value an hour in each series, over `HISTORY` before `until`."""

    point: MeasuredPoint
    until: int
    """A full hour, microseconds since the epoch."""
    values: Series
    """As `aggregate_of` has it."""
    lowest: Series
    highest: Series
    neighbours: Sequence[Series] = ()


@dataclass(frozen=True, slots=True)
class Found:
    """What there is to say of a point."""

    state: ForecastState
    hours_expected: int
    hours_present: int
    outlook: Outlook | None
    """None where `state` is not `ready`."""
    episodes: Sequence[Episode] | None
    """None where nothing new came that could tell."""


def aggregate_of(point: MeasuredPoint) -> Aggregate:
    """How an hour of a point becomes one value."""
    if point.kind == "counter":
        return "consumption"
    # States are told when they change: what holds for an hour is no reading of it.
    return "time_weighted_mean" if point.states else "mean"


def are_neighbours(one: MeasuredPoint, other: MeasuredPoint) -> bool:
    """Whether two points should agree: the same quantity in the same room, by different devices."""
    return (
        one.space is not None
        and one.space == other.space
        and one.device != other.device
        and one.quantity in _SLOW
        and (one.quantity, one.unit, one.kind) == (other.quantity, other.unit, other.kind)
    )


def look(history: History) -> Found:
    """The forecast of a point, and what is wrong with it."""
    point, until = history.point, history.until
    starting = until - HISTORY // timedelta(microseconds=1)
    hours = hours_of(history.values, starting, until, point.time_zone or "UTC")
    outlook = look_ahead(hours, bounds_of(point))
    present = int(hours.present.sum())
    if isinstance(outlook, str):
        episodes = None if outlook == "silent" or not len(hours) else _wrong(history, hours, None)
        return Found(outlook, len(hours), present, None, episodes)
    return Found("ready", len(hours), present, outlook, _wrong(history, hours, outlook))


def bounds_of(point: MeasuredPoint) -> Bounds:
    """Between which values the point's hours can lie."""
    if point.kind == "counter":
        return Bounds(0.0)
    if point.states:
        return Bounds(0.0, float(len(point.states) - 1))
    lowest = point.minimum if point.minimum is not None else -np.inf
    highest = point.maximum if point.maximum is not None else np.inf
    if point.quantity in _ON_OFF or point.quantity is Quantity.ILLUMINANCE:
        lowest = max(lowest, 0.0)
    if point.quantity is Quantity.OCCUPANCY:
        highest = min(highest, 1.0)
    return Bounds(lowest, highest)


def _wrong(history: History, hours: Hours, outlook: Outlook | None) -> list[Episode]:
    point = history.point
    found: list[Episode | None] = list(unusual(hours, outlook.rolled)) if outlook is not None else []
    is_sensor = point.brick_class is None or point.brick_class.endswith("Sensor")
    if is_sensor and not point.states and point.quantity not in _ON_OFF:
        if point.kind == "counter":  # it stands still when it counts nothing
            found.append(stuck(hours, hours.values, hours.values))
        else:
            lowest, highest = (
                hourly(series, hours.start, len(hours)) for series in (history.lowest, history.highest)
            )
            found += [stuck(hours, lowest, highest), flat(hours, lowest, highest)]
    if point.quantity in _SLOW and point.kind == "gauge":
        others = [hourly(series, hours.start, len(hours)) for series in history.neighbours]
        found.append(drifting(hours, [one for one in others if np.isfinite(one).any()]))
    return [episode for episode in found if episode is not None]
