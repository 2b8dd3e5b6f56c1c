"""Spaces with sensors that tell of comfort: find them, and read what the pure functions need."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import LiteralString

from psycopg import AsyncConnection
from psycopg.rows import DictRow

from insula_tenants.analytics.cadence import cadences_of
from insula_tenants.analytics.comfort.categories import CATEGORIES, Category
from insula_tenants.analytics.comfort.clock import HOUR
from insula_tenants.analytics.measured import MeasuredPoint, Where, find_points
from insula_tenants.analytics.occupancy.held import read_held
from insula_tenants.analytics.outdoors import find_outdoor
from insula_tenants.analytics.quantities import Quantity
from insula_tenants.analytics.series import Series, load_series
from insula_tenants.telemetry.digests import read_digests
from insula_tenants.telemetry.read import Buckets

INDOORS = (Quantity.AIR_TEMPERATURE, Quantity.RADIANT_TEMPERATURE, Quantity.HUMIDITY, Quantity.CO2)
OCCUPIED = (Quantity.OCCUPANCY, Quantity.OCCUPANCY_COUNT)
TELLING = frozenset({Quantity.AIR_TEMPERATURE, Quantity.CO2})
"""A space that measures one of these has a comfort."""
LOOK_BACK = timedelta(days=9)
"""Time before a question that its running means may rest on: seven local days, and what a zone is off."""


@dataclass(frozen=True, slots=True)
class Room:
    """A space, its sensors, and the sensor of its building's outdoor temperature."""

    space: int
    name: str
    storey: str
    building: str
    time_zone: str
    stated: Category | None
    southern: bool
    points: Mapping[Quantity, Sequence[MeasuredPoint]]
    outdoor: MeasuredPoint | None

    def measured(self, *, occupancy: bool) -> list[MeasuredPoint]:
        """The points that its comfort rests on."""
        quantities = (*INDOORS, *OCCUPIED) if occupancy else INDOORS
        found = [point for quantity in quantities for point in self.points.get(quantity, ())]
        return [*found, self.outdoor] if self.outdoor else found


@dataclass(frozen=True, slots=True)
class Read:
    """Hourly means by point, in the point's unit; hours are local ones of the room's building."""

    series: Mapping[int, Series]
    outdoors: Mapping[tuple[int, str], Series]
    """By point and time zone, from `LOOK_BACK` before the question."""
    complete_until: datetime


_SPACES: LiteralString = """
SELECT spaces.id AS space, spaces.name, storeys.name AS storey, buildings.id AS building_id,
    buildings.name AS building, buildings.time_zone, spaces.comfort_category, sites.latitude
FROM spaces
JOIN storeys ON storeys.id = spaces.storey_id
JOIN buildings ON buildings.id = storeys.building_id
JOIN sites ON sites.id = buildings.site_id
WHERE spaces.id = ANY(%(spaces)s::integer[])
ORDER BY sites.name, buildings.name, storeys.level, storeys.name, spaces.name, spaces.id
"""


async def find_rooms(connection: AsyncConnection[DictRow], where: Where) -> list[Room]:
    """The spaces in these places that measure air temperature or CO2, by site, building, storey and name.

    Outdoor temperature may come from anywhere in the tenant that `where.within` covers.
    """
    indoors = await find_points(connection, where, {*INDOORS, *OCCUPIED})
    outdoors = await find_points(connection, Where(within=where.within), {Quantity.OUTDOOR_TEMPERATURE})
    by_space: dict[int, dict[Quantity, list[MeasuredPoint]]] = defaultdict(lambda: defaultdict(list))
    for point in indoors:
        if point.space is not None and point.quantity is not None:
            by_space[point.space][point.quantity].append(point)
    spaces = [space for space, found in by_space.items() if TELLING & found.keys()]
    cursor = await connection.execute(_SPACES, {"spaces": spaces})
    known = [*indoors, *outdoors]
    rows = await cursor.fetchall()
    outdoor = {one: find_outdoor(known, one) for one in {row["building_id"] for row in rows}}
    return [
        Room(
            space=row["space"],
            name=row["name"],
            storey=row["storey"],
            building=row["building"],
            time_zone=row["time_zone"],
            stated=_category(row["comfort_category"]),
            southern=(row["latitude"] or 0) < 0,
            points=by_space[row["space"]],
            outdoor=outdoor[row["building_id"]],
        )
        for row in rows
    ]


async def read_rooms(
    connection: AsyncConnection[DictRow],
    rooms: Iterable[Room],
    starting: datetime,
    ending: datetime,
    *,
    occupancy: bool,
) -> Read:
    """What the rooms' sensors read in `[starting, ending)`; with `occupancy` also who was there.

    Raises as `load_series`. The connection is one of `AsyncDatabases.snapshot`.
    """
    read = Read({}, {}, min(ending, datetime.now(UTC)).astimezone(UTC))
    series: dict[int, Series] = {}
    outdoors: dict[tuple[int, str], Series] = {}
    by_zone: dict[str, list[Room]] = defaultdict(list)
    for room in rooms:
        by_zone[room.time_zone].append(room)
    for zone, some in by_zone.items():
        buckets = Buckets(HOUR, "mean", zone)
        weather = sorted({room.outdoor.id for room in some if room.outdoor})
        points = {point.id for room in some for point in room.measured(occupancy=occupancy)}
        inside = sorted(points - set(weather))
        loaded = await load_series(connection, inside, starting, ending, buckets)
        series |= loaded.series
        read = replace(read, complete_until=min(read.complete_until, loaded.complete_until))
        if occupancy:
            series |= await _who_was_there(connection, some, starting, ending, zone)
        if weather:
            before = await load_series(connection, weather, starting - LOOK_BACK, ending, buckets)
            outdoors |= {(point, zone): found for point, found in before.series.items()}
    return replace(read, series=series, outdoors=outdoors)


async def _who_was_there(
    connection: AsyncConnection[DictRow],
    rooms: Iterable[Room],
    starting: datetime,
    ending: datetime,
    zone: str,
) -> dict[int, Series]:
    """How much of each hour somebody was there, of sensors that report when somebody comes or goes."""
    sensors = [point for room in rooms for point in room.points.get(Quantity.OCCUPANCY, ())]
    ids = [point.id for point in sensors]
    digests = (await read_digests(connection, ids, [(starting, ending)], timedelta(days=1))).digests
    cadences = await cadences_of(connection, sensors, starting, ending, digests)
    events = [point for point in ids if cadences[point].source == "events"]
    if not events:
        return {}
    buckets = Buckets(HOUR, "time_weighted_mean", zone)
    loaded = await load_series(connection, events, starting, ending, buckets)
    return await read_held(connection, loaded.series, starting, digests, cadences)


def _category(stated: str | None) -> Category | None:
    return stated if stated in CATEGORIES else None
