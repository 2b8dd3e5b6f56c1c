"""Which points tell about a place, and what each of them measures."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import LiteralString

from psycopg import AsyncConnection
from psycopg.rows import DictRow

from insula_tenants.analytics.quantities import CLASSES, Quantity, quantity_of


@dataclass(frozen=True, slots=True)
class Where:
    """Which places a question is about; what is None does not narrow it, and a space has all four."""

    site: int | None = None
    building: int | None = None
    storey: int | None = None
    space: int | None = None
    within: Collection[int] | None = None
    """Spaces that a grant covers; None: all, and what stands in no space besides."""


@dataclass(frozen=True, slots=True)
class MeasuredPoint:
    """A device's point, and where the device stands."""

    id: int
    device: str
    name: str
    brick_class: str | None
    unit: str | None
    kind: str
    """`gauge` or `counter`."""
    states: tuple[str, ...] | None
    minimum: float | None
    maximum: float | None
    expected_interval: int | None
    """Seconds between two readings: the point's own, else its device's; None where nobody said."""
    space: int | None
    storey: int | None
    building: int | None
    time_zone: str | None
    """Of the building, IANA."""
    site: int | None = None

    @property
    def quantity(self) -> Quantity | None:
        """What it measures, where analytics know."""
        return quantity_of(self.brick_class)


_POINTS: LiteralString = """
SELECT points.id, devices.slug AS device, points.name, points.brick_class, points.unit, points.kind,
    points.states, points.minimum, points.maximum,
    coalesce(points.expected_interval, devices.expected_interval) AS expected_interval,
    devices.space_id AS space, storeys.id AS storey, buildings.id AS building, buildings.time_zone,
    buildings.site_id AS site
FROM points
JOIN devices ON devices.id = points.device_id
LEFT JOIN spaces ON spaces.id = devices.space_id
LEFT JOIN storeys ON storeys.id = spaces.storey_id
LEFT JOIN buildings ON buildings.id = storeys.building_id
WHERE devices.state <> 'held'
  AND (%(site)s::integer IS NULL OR buildings.site_id = %(site)s)
  AND (%(building)s::integer IS NULL OR buildings.id = %(building)s)
  AND (%(storey)s::integer IS NULL OR storeys.id = %(storey)s)
  AND (%(space)s::integer IS NULL OR spaces.id = %(space)s)
  AND (%(within)s::integer[] IS NULL OR spaces.id = ANY(%(within)s))
  AND (%(classes)s::text[] IS NULL OR points.brick_class = ANY(%(classes)s))
ORDER BY points.id
"""


async def find_points(
    connection: AsyncConnection[DictRow], where: Where, quantities: Collection[Quantity] | None = None
) -> list[MeasuredPoint]:
    """The points of devices in these places, by id; none for a place that does not exist.

    With `quantities` only those that measure one of these.
    """
    parameters = {
        "classes": _classes_of(quantities) if quantities is not None else None,
        "site": where.site,
        "building": where.building,
        "storey": where.storey,
        "space": where.space,
        "within": list(where.within) if where.within is not None else None,
    }
    cursor = await connection.execute(_POINTS, parameters)
    return [
        MeasuredPoint(**row | {"states": tuple(row["states"]) if row["states"] else None})
        for row in await cursor.fetchall()
    ]


def _classes_of(quantities: Collection[Quantity]) -> list[str]:
    return [brick_class for brick_class, quantity in CLASSES.items() if quantity in quantities]
