"""Which meters make up a building's, a storey's or a space's consumption, none counted twice."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, LiteralString

from psycopg import AsyncConnection
from psycopg.rows import DictRow

from insula_tenants.analytics.measured import Where
from insula_tenants.energy.meters import MeterView
from insula_tenants.energy.models import Carrier

Kind = Literal["building", "storey", "space"]


@dataclass(frozen=True, slots=True)
class Place:
    """A building, storey or space, and the spaces in it."""

    kind: Kind
    id: int
    name: str
    area: float | None
    """m²: a building's gross area; else, as of a storey, the sum of its spaces' where all have one."""
    storeys: Mapping[int, frozenset[int]]
    """The storeys in it, or that it is or stands on, and their spaces in it."""
    building: int
    time_zone: str

    @property
    def spaces(self) -> frozenset[int]:
        """In it; a space is in itself."""
        return frozenset().union(*self.storeys.values())


@dataclass(frozen=True, slots=True)
class MeteredPlace:
    """A place's meters of one carrier."""

    place: Place
    carrier: Carrier
    meters: tuple[MeterView, ...]
    """Whose sum is the place's consumption: no two of them count the same."""
    whole: bool
    """Whether they count all of it (`is_whole`)."""


_PLACES: LiteralString = """
SELECT buildings.id AS building, buildings.name AS building_name, buildings.area AS building_area,
    buildings.time_zone, storeys.id AS storey, storeys.name AS storey_name,
    spaces.id AS space, spaces.name AS space_name, spaces.area
FROM buildings
LEFT JOIN storeys ON storeys.building_id = buildings.id
LEFT JOIN spaces ON spaces.storey_id = storeys.id
WHERE buildings.id = ANY(%(buildings)s::integer[])
ORDER BY buildings.id, storeys.level, storeys.id, spaces.id
"""


async def find_places(
    connection: AsyncConnection[DictRow], meters: Iterable[MeterView], where: Where
) -> list[Place]:
    """The buildings, storeys and spaces in which the meters are, as far as the question is about all of them.

    Asked for a storey, there is no sum of its building; and a grant for some spaces sees the places of
    which it covers every space.
    """
    buildings = sorted({meter.building for meter in meters if meter.building is not None})
    cursor = await connection.execute(_PLACES, {"buildings": buildings})
    rows = await cursor.fetchall()
    found: list[Place] = []
    if where.storey is None and where.space is None:
        found += _places(rows, "building")
    if where.space is None:
        found += _places([row for row in rows if where.storey in {None, row["storey"]}], "storey")
    found += _places(
        [
            row
            for row in rows
            if where.storey in {None, row["storey"]} and where.space in {None, row["space"]}
        ],
        "space",
    )
    if where.within is None:
        return found
    covered = frozenset(where.within)
    return [place for place in found if place.spaces and place.spaces <= covered]


def metered_places(places: Iterable[Place], meters: Sequence[MeterView]) -> list[MeteredPlace]:
    """The places that have meters, by place and carrier."""
    found = []
    for place in places:
        inside = [meter for meter in meters if getattr(meter, place.kind) == place.id]
        for carrier in dict.fromkeys(meter.carrier for meter in inside):
            of_carrier = [meter for meter in inside if meter.carrier == carrier]
            found.append(
                MeteredPlace(place, carrier, tuple(topmost(of_carrier)), is_whole(place, of_carrier))
            )
    return found


def topmost(meters: Collection[MeterView]) -> list[MeterView]:
    """Those whose consumption no other of them takes in, directly or through others."""
    there = {meter.id for meter in meters}
    return [meter for meter in meters if there.isdisjoint(meter.ancestors)]


def is_whole(place: Place, meters: Iterable[MeterView]) -> bool:
    """Whether the meters, of one carrier, count all of the place.

    One measures the place itself, or else one each of its storeys, or of a storey each of its spaces.
    """
    kept = list(meters)
    if any(getattr(meter, f"{place.kind}_id") == place.id for meter in kept):
        return True
    if place.kind == "space":
        return False
    storeys = {meter.storey_id for meter in kept}
    spaces = {meter.space_id for meter in kept}
    return bool(place.storeys) and all(
        storey in storeys or (inside and inside <= spaces) for storey, inside in place.storeys.items()
    )


def _places(rows: Iterable[DictRow], kind: Kind) -> list[Place]:
    by_id: dict[int, list[DictRow]] = {}
    for row in rows:
        if row[kind] is not None:
            by_id.setdefault(row[kind], []).append(row)
    return [
        Place(
            kind,
            place,
            some[0][f"{kind}_name"],
            _area(some, kind),
            _storeys(some),
            some[0]["building"],
            some[0]["time_zone"],
        )
        for place, some in by_id.items()
    ]


def _storeys(rows: Iterable[DictRow]) -> dict[int, frozenset[int]]:
    found: dict[int, set[int]] = {}
    for row in rows:
        if row["storey"] is not None:
            found.setdefault(row["storey"], set()).update([] if row["space"] is None else [row["space"]])
    return {storey: frozenset(spaces) for storey, spaces in found.items()}


def _area(rows: Sequence[Mapping[str, object]], kind: Kind) -> float | None:
    if kind == "building" and isinstance(gross := rows[0]["building_area"], float):
        return gross
    areas = [row["area"] for row in rows if row["space"] is not None]
    known = [area for area in areas if isinstance(area, float)]
    return sum(known) if known and len(known) == len(areas) else None
