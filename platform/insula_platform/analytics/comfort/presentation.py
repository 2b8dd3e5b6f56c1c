"""From what was computed to what the API shows."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from math import isnan

import numpy as np
from numpy.typing import NDArray

from insula_platform.analytics.comfort import schemas
from insula_platform.analytics.comfort.schemas import Comfort, ComfortHours, HourComfort, SpaceComfort
from insula_platform.analytics.completeness import Completeness as ShownCompleteness
from insula_tenants.analytics.comfort.answers import Asked, HourlyComfort, RoomComfort
from insula_tenants.analytics.comfort.assumptions import Assumption
from insula_tenants.analytics.comfort.categories import CATEGORIES, GRADES, Bands, Grade, grades_of
from insula_tenants.analytics.completeness import Completeness, together
from insula_tenants.telemetry.buckets import instant

Complete = Mapping[int, Completeness]
"""By point."""

Column = list[float | None]


def comfort(found: Sequence[RoomComfort], complete: Complete, asked: Asked, until: datetime) -> Comfort:
    """The answer about some rooms."""
    return Comfort(
        spaces=[_space(one, complete, asked) for one in found],
        occupied=_occupied(asked),
        completeness=_shown(complete.values()),
        complete_until=until,
    )


def hours(found: HourlyComfort, complete: Complete, asked: Asked, until: datetime) -> ComfortHours:
    """The answer about one room, hour by hour."""
    return ComfortHours(
        space=found.room.space,
        name=found.room.name,
        time_zone=found.room.time_zone,
        category=found.category,
        hours=_hours(found),
        occupied=_occupied(asked),
        assumed=_assumed(found.assumed),
        completeness=_shown(complete.values()),
        complete_until=until,
    )


def no_hours(asked: Asked, until: datetime) -> ComfortHours:
    """The answer about a space that has no sensor which tells, or that is not there."""
    return ComfortHours(
        space=None,
        name=None,
        time_zone=None,
        category=None,
        hours=[],
        occupied=_occupied(asked),
        assumed=[],
        completeness=_shown(()),
        complete_until=until,
    )


def _space(found: RoomComfort, complete: Complete, asked: Asked) -> SpaceComfort:
    room, summary = found.room, found.summary
    points = {point.id for point in room.measured(occupancy=asked.measured)}
    of = schemas
    return SpaceComfort(
        space=room.space,
        name=room.name,
        storey=room.storey,
        building=room.building,
        time_zone=room.time_zone,
        category=found.category,
        occupied_by="measured" if found.measured else "schedule",
        hours=summary.hours,
        temperature=of.Temperature.model_validate(summary.temperature) if summary.temperature else None,
        pmv=of.Pmv.model_validate(summary.pmv) if summary.pmv else None,
        adaptive=of.Judged.model_validate(summary.adaptive) if summary.adaptive else None,
        adaptive_ashrae=(
            of.AdaptiveAshrae.model_validate(summary.adaptive_ashrae) if summary.adaptive_ashrae else None
        ),
        co2=of.Co2.model_validate(summary.co2) if summary.co2 else None,
        overheating=of.Overheating.model_validate(summary.overheating) if summary.overheating else None,
        assumed=_assumed(found.assumed),
        completeness=_shown(complete[point] for point in points),
    )


def _hours(found: HourlyComfort) -> list[HourComfort]:
    climate, warm, air = found.climate, found.thermal, found.air
    place, count = CATEGORIES.index(found.category), len(found.hours)
    nothing = np.full(count, np.nan)
    ungraded: list[Grade | None] = [None] * count

    def limits(bands: Bands | None) -> tuple[Column, Column]:
        lower, upper = bands or (np.full((4, count), np.nan),) * 2
        return _column(lower[place]), _column(upper[place])

    lower, upper = limits(warm.bands if warm else None)
    adaptive_lower, adaptive_upper = limits(warm.adaptive if warm else None)
    columns = {
        "time": [instant(time) for time in found.hours.begins.tolist()],
        "occupied": found.occupied.tolist(),
        "temperature": _column(warm.operative if warm else nothing),
        "humidity": _column(climate.humidity),
        "co2": _column(climate.co2),
        "outdoor_running_mean": _column(climate.running_mean),
        "clothing": _column(warm.clothing if warm else nothing),
        "lower": lower,
        "upper": upper,
        "temperature_category": _grades(warm.operative, warm.bands) if warm else ungraded,
        "pmv": _column(warm.votes if warm else nothing),
        "ppd": _column(warm.dissatisfied if warm else nothing),
        "pmv_category": _grades(warm.votes, warm.vote_bands) if warm else ungraded,
        "adaptive_lower": adaptive_lower,
        "adaptive_upper": adaptive_upper,
        "adaptive_category": _grades(warm.operative, warm.adaptive) if warm and warm.adaptive else ungraded,
        "co2_category": _grades(air.co2, air.bands) if air else ungraded,
    }
    filled = {name: column or [None] * count for name, column in columns.items()}
    return [HourComfort(**dict(zip(filled, row, strict=True))) for row in zip(*filled.values(), strict=True)]


def _column(values: NDArray[np.float64] | None) -> Column:
    """Empty for no sensor; None for no value."""
    if values is None:
        return []
    return [None if isnan(value) else value for value in values.tolist()]


def _grades(values: NDArray[np.float64], bands: Bands) -> list[Grade | None]:
    return [GRADES[grade] if grade >= 0 else None for grade in grades_of(values, bands).tolist()]


def _occupied(asked: Asked) -> schemas.Occupied:
    schedule = asked.schedule
    return schemas.Occupied(
        by="measured" if asked.measured else "schedule",
        from_hour=schedule.from_hour,
        until_hour=schedule.until_hour,
        days=sorted(schedule.days),
    )


def _assumed(found: Iterable[Assumption]) -> list[schemas.Assumption]:
    return [schemas.Assumption.model_validate(one) for one in found]


def _shown(parts: Iterable[Completeness]) -> ShownCompleteness:
    return ShownCompleteness.model_validate(together(parts))
