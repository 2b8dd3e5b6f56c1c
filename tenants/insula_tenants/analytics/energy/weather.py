"""The outdoor temperature that a building's energy goes by."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import LiteralString

import numpy as np
from numpy.typing import NDArray
from psycopg import AsyncConnection
from psycopg.rows import DictRow

from insula_tenants.analytics.energy.consumption import placed_by_hour
from insula_tenants.analytics.energy.hours import Hours
from insula_tenants.analytics.measured import MeasuredPoint, Where, find_points
from insula_tenants.analytics.outdoors import find_outdoor
from insula_tenants.analytics.quantities import Quantity, in_unit_of
from insula_tenants.analytics.series import load_series
from insula_tenants.telemetry.buckets import Width, instant
from insula_tenants.telemetry.read import Buckets

_BUILDINGS: LiteralString = """
SELECT DISTINCT buildings.id, buildings.name, buildings.time_zone
FROM buildings
LEFT JOIN storeys ON storeys.building_id = buildings.id
LEFT JOIN spaces ON spaces.storey_id = storeys.id
WHERE (%(site)s::integer IS NULL OR buildings.site_id = %(site)s)
  AND (%(building)s::integer IS NULL OR buildings.id = %(building)s)
  AND (%(storey)s::integer IS NULL OR storeys.id = %(storey)s)
  AND (%(space)s::integer IS NULL OR spaces.id = %(space)s)
  AND (%(within)s::integer[] IS NULL OR spaces.id = ANY(%(within)s))
ORDER BY buildings.id
"""


@dataclass(frozen=True, slots=True)
class BuildingView:
    """A building, as far as its weather goes."""

    id: int
    name: str
    time_zone: str


async def find_buildings(connection: AsyncConnection[DictRow], where: Where) -> list[BuildingView]:
    """The buildings that a question is about, by id: those of which the grant covers a space."""
    parameters = {
        "site": where.site,
        "building": where.building,
        "storey": where.storey,
        "space": where.space,
        "within": list(where.within) if where.within is not None else None,
    }
    cursor = await connection.execute(_BUILDINGS, parameters)
    return [BuildingView(**row) for row in await cursor.fetchall()]


async def outdoor_of(
    connection: AsyncConnection[DictRow], where: Where, building: int | None
) -> MeasuredPoint | None:
    """Whose outdoor temperature is the building's (`outdoors.find_outdoor`), of what the grant covers."""
    anywhere = replace(where, site=None, building=None, storey=None, space=None)
    sensors = await find_points(connection, anywhere, {Quantity.OUTDOOR_TEMPERATURE})
    inside = await find_points(connection, replace(anywhere, building=building)) if building else []
    return find_outdoor([*inside, *sensors], building)


async def load_temperatures(
    connection: AsyncConnection[DictRow], outdoor: MeasuredPoint | None, hours: Hours
) -> NDArray[np.float64] | None:
    """Means by hour, °C, NaN where it said nothing; None without a sensor, or one that is no thermometer.

    The connection is one of `AsyncDatabases.snapshot`.
    """
    if outdoor is None or not len(hours):
        return None
    starting, ending = instant(int(hours.starts[0])), instant(int(hours.ends[-1]))
    buckets = Buckets(Width(3600), "mean", hours.time_zone)
    loaded = await load_series(connection, [outdoor.id], starting, ending, buckets)
    by_hour = placed_by_hour(hours, loaded.series[outdoor.id])
    try:
        return in_unit_of(Quantity.OUTDOOR_TEMPERATURE, by_hour, outdoor.unit)
    except ValueError:
        return None
