"""Readings of a room's sensors, laid out hour by hour."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

import numpy as np
from numpy.typing import NDArray

from insula_tenants.analytics.comfort.adaptive import running_means
from insula_tenants.analytics.comfort.assumptions import Assumption
from insula_tenants.analytics.comfort.by_hour import Climate
from insula_tenants.analytics.comfort.clock import LocalHours, Schedule, local_hours
from insula_tenants.analytics.comfort.rooms import LOOK_BACK, OCCUPIED, Read, Room
from insula_tenants.analytics.measured import MeasuredPoint
from insula_tenants.analytics.quantities import Quantity, in_unit_of
from insula_tenants.analytics.series import EMPTY, Series
from insula_tenants.telemetry.buckets import instant

Values = NDArray[np.float64]
Mask = NDArray[np.bool_]

ENOUGH_OF_A_DAY = 0.75
"""Share of a day's hours that an outdoor mean of the day must rest on: nights alone are too cold."""


@dataclass(frozen=True, slots=True)
class Occupied:
    """Which hours of a room count."""

    mask: Mask
    measured: bool
    """Whether sensors say so."""
    by_schedule: Mask
    """Hours of which the schedule says it, because sensors that were to do not."""


def climate_of(room: Room, read: Read, hours: LocalHours, weather: Values | None) -> Climate:
    """What was measured in the room. `weather` is its running mean outdoor temperature in each hour."""

    def of(quantity: Quantity) -> Values | None:
        points = usable(room.points.get(quantity, ()))
        return _mean(points, read, hours) if points else None

    return Climate(
        air=of(Quantity.AIR_TEMPERATURE),
        radiant=of(Quantity.RADIANT_TEMPERATURE),
        humidity=of(Quantity.HUMIDITY),
        co2=of(Quantity.CO2),
        running_mean=weather,
        southern=room.southern,
    )


def running_mean_of(series: Series, point: MeasuredPoint, hours: LocalHours, time_zone: str) -> Values | None:
    """The running mean outdoor temperature (°C) in each hour, of its local day; NaN where unknown.

    `series` begins `LOOK_BACK` before the hours. None where the point's unit is no temperature.
    """
    if not usable([point]):
        return None
    if not len(hours):
        return np.empty(0)
    first, last = (instant(int(one)) for one in hours.begins[[0, -1]])
    whole = local_hours(time_zone, first - LOOK_BACK, last + timedelta(hours=1))
    values = _in_unit(point, _placed(series, whole))
    start = int(whole.days[0])
    known = ~np.isnan(values)
    days = whole.days - start
    sums = np.bincount(days[known], weights=(values * whole.lengths)[known], minlength=days[-1] + 1)
    lengths = np.bincount(days[known], weights=whole.lengths[known], minlength=days[-1] + 1)
    enough = lengths >= ENOUGH_OF_A_DAY * np.bincount(days, weights=whole.lengths)
    daily = np.divide(sums, lengths, out=np.full(len(sums), np.nan), where=enough & (lengths > 0))
    return running_means(daily)[hours.days - start]


def occupied_of(room: Room, read: Read, hours: LocalHours, schedule: Schedule, *, measured: bool) -> Occupied:
    """Which hours count: the schedule's, or with `measured` those in which the room's sensors saw somebody.

    Hours without a reading of such a sensor go by the schedule.
    """
    planned = schedule.covers(hours)
    points = [point for quantity in OCCUPIED for point in room.points.get(quantity, ())]
    if not measured:
        return Occupied(planned, measured=False, by_schedule=np.zeros(len(hours), bool))
    if not points:
        return Occupied(planned, measured=False, by_schedule=planned)
    seen = np.stack([_placed(read.series.get(point.id, EMPTY), hours) for point in points])
    silent = np.isnan(seen).all(axis=0)
    somebody = (np.nan_to_num(seen) > 0).any(axis=0)
    return Occupied(np.where(silent, planned, somebody), measured=True, by_schedule=silent & planned)


def usable(points: Sequence[MeasuredPoint]) -> list[MeasuredPoint]:
    """Those whose unit is one of what they measure."""
    return [point for point in points if _fits(point)]


def left_out(room: Room, hours: LocalHours) -> list[Assumption]:
    """A note on each sensor whose unit is none of what it measures."""
    total = float(hours.lengths.sum())
    points = room.measured(occupancy=False)
    return [
        Assumption(
            "unit",
            None,
            point.unit,
            total,
            f"{point.device}/{point.name} is in {point.unit}, no unit of {point.quantity}: it is left out",
        )
        for point in points
        if not _fits(point)
    ]


def _fits(point: MeasuredPoint) -> bool:
    try:
        _in_unit(point, np.array([1.0]))
    except ValueError:
        return False
    return True


def _in_unit(point: MeasuredPoint, values: Values) -> Values:
    if point.quantity is None:
        raise ValueError(f"nobody knows what {point.name} measures")
    return in_unit_of(point.quantity, values, point.unit)


def _mean(points: Sequence[MeasuredPoint], read: Read, hours: LocalHours) -> Values:
    """The mean of those sensors that have a reading in the hour."""
    sums, counts = np.zeros(len(hours)), np.zeros(len(hours))
    for point in points:
        values = _in_unit(point, _placed(read.series.get(point.id, EMPTY), hours))
        known = ~np.isnan(values)
        sums[known] += values[known]
        counts += known
    means: Values = np.divide(sums, counts, out=np.full(len(hours), np.nan), where=counts > 0)
    return means


def _placed(series: Series, hours: LocalHours) -> Values:
    """A value for each hour; NaN where the series has none."""
    values = np.full(len(hours), np.nan)
    places = np.searchsorted(hours.begins, series.times)
    inside = places < len(hours)
    places, times = places[inside], series.times[inside]
    same = hours.begins[places] == times
    values[places[same]] = series.values[inside][same]
    return values
