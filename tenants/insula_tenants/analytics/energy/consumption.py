"""What meters counted, hour by hour."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

import numpy as np
from numpy.typing import NDArray
from psycopg import AsyncConnection
from psycopg.rows import DictRow

from insula_tenants.analytics.completeness import Completeness, completeness_of
from insula_tenants.analytics.energy.hours import HOUR, Hours, hours_of
from insula_tenants.analytics.energy.load import loads_of
from insula_tenants.analytics.series import Series, load_series
from insula_tenants.energy.meters import MeterView
from insula_tenants.energy.units import Unit, factor_of, unit_of
from insula_tenants.errors import InvalidInput
from insula_tenants.telemetry.read import Buckets
from insula_tenants.telemetry.registers import read_registers

NO_COMPLETENESS = Completeness(0, 0)


@dataclass(frozen=True, slots=True)
class Metered:
    """A meter's hours, in kWh or m³."""

    meter: MeterView
    hours: Hours
    consumption: NDArray[np.float64]
    """By hour: what was counted between two readings is spread evenly over the time between. NaN before the
    first and after the last."""
    measured: NDArray[np.bool_]
    """By hour: whether there was a reading in it."""
    completeness: Completeness
    problem: str | None = None
    """Why there is no consumption, where the meter itself is wrong."""

    @property
    def unit(self) -> Unit:
        """Of the consumption."""
        return unit_of(self.meter.carrier)

    @property
    def total(self) -> float | None:
        """All that was counted; None where nothing was."""
        return total_of(self.consumption)

    @property
    def loads(self) -> NDArray[np.float64]:
        """By hour, NaN where it was not measured."""
        return loads_of(self.consumption, self.measured, self.hours)


@dataclass(frozen=True, slots=True)
class AllMetered:
    """Some meters in a period."""

    meters: Sequence[Metered]
    complete_until: datetime
    """All readings before it that were stored when asked are in."""


async def load_metered(
    connection: AsyncConnection[DictRow], meters: Sequence[MeterView], starting: datetime, ending: datetime
) -> AllMetered:
    """What the meters counted in `[starting, ending)`, in the order of the meters.

    Exact across resets, rollovers and gaps (`telemetry.read`). Each building's hours follow its own clock.
    The connection is one of `AsyncDatabases.snapshot`. Raises as `load_series`.
    """
    factors, problems = _factors(meters)
    good = [meter for meter in meters if meter.id in factors]
    points = [meter.measured_point for meter in good]
    complete = await completeness_of(connection, points, starting, ending)
    hours: dict[str, Hours] = {}
    counted: dict[int, NDArray[np.float64]] = {}
    measured: dict[int, NDArray[np.bool_]] = {}
    complete_until = ending
    for zone in {_zone(meter) for meter in meters}:
        of = hours[zone] = await asyncio.to_thread(hours_of, starting, ending, zone)
        ids = [meter.point_id for meter in good if _zone(meter) == zone]
        if not ids:
            continue
        readings = await load_series(connection, ids, starting, ending, Buckets(HOUR, "count", zone))
        complete_until = min(complete_until, readings.complete_until)
        measured |= {point: ~np.isnan(placed_by_hour(of, one)) for point, one in readings.series.items()}
        counted |= await _counted(connection, ids, starting, ending, of)
    nothing = {zone: np.full(len(of), np.nan) for zone, of in hours.items()}
    return AllMetered(
        [
            Metered(
                meter,
                hours[zone := _zone(meter)],
                counted.get(meter.point_id, nothing[zone]) * factors.get(meter.id, 1.0),
                measured.get(meter.point_id, np.zeros(len(hours[zone]), np.bool_)),
                complete.get(meter.point_id, NO_COMPLETENESS),
                problems.get(meter.id),
            )
            for meter in meters
        ],
        complete_until,
    )


async def _counted(
    connection: AsyncConnection[DictRow],
    points: Sequence[int],
    starting: datetime,
    ending: datetime,
    of: Hours,
) -> dict[int, NDArray[np.float64]]:
    """By point, what it counted in each hour, in its own unit."""
    registers = await read_registers(connection, points, starting, ending, of.buckets.tolist())
    if registers is not None:
        return {point: one.spread(of.edges) for point, one in registers.items()} if len(of) else {}
    loaded = await load_series(
        connection, points, starting, ending, Buckets(HOUR, "consumption", of.time_zone)
    )
    return {point: placed_by_hour(of, one) for point, one in loaded.series.items()}


def placed_by_hour(hours: Hours, series: Series) -> NDArray[np.float64]:
    """A value for each hour; NaN for those of which the series has none."""
    values = np.full(len(hours), np.nan)
    values[np.searchsorted(hours.buckets, series.times)] = series.values
    return values


def total_of(consumption: NDArray[np.float64]) -> float | None:
    """The sum; None where no hour is known."""
    known = ~np.isnan(consumption)
    return float(consumption[known].sum()) if known.any() else None


def added(metered: Iterable[Metered]) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """The consumption of some meters of the same hours together, and the hours that all of them measured.

    An hour of which one of them knows nothing has what the others counted. There is one at least.
    """
    parts = list(metered)
    stacked = np.stack([one.consumption for one in parts])
    known = ~np.isnan(stacked)
    together = np.where(known.any(axis=0), np.where(known, stacked, 0.0).sum(axis=0), np.nan)
    return together, np.logical_and.reduce([one.measured for one in parts])


def _zone(meter: MeterView) -> str:
    return meter.time_zone or "UTC"


def _factors(meters: Iterable[MeterView]) -> tuple[Mapping[int, float], Mapping[int, str]]:
    """What one of each counter's unit is, by meter, and why there is none for the others."""
    factors, problems = {}, {}
    for meter in meters:
        if meter.kind != "counter":
            problems[meter.id] = f"point {meter.point_id} is no counter any more: change its kind back"
            continue
        try:
            factors[meter.id] = factor_of(meter.carrier, meter.unit, meter.calorific_value)
        except InvalidInput as error:
            problems[meter.id] = error.detail
    return factors, problems
