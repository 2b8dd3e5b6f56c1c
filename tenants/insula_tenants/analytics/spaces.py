"""Which spaces a question is about, and what the building model says of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import LiteralString

from psycopg import AsyncConnection
from psycopg.rows import DictRow

from insula_tenants.analytics.measured import Where


@dataclass(frozen=True, slots=True)
class MeasuredSpace:
    """A space, and where it is."""

    id: int
    name: str
    brick_class: str
    area: float | None
    """m²."""
    capacity: int | None
    storey: int
    building: int
    time_zone: str
    """Of the building, IANA."""


_SPACES: LiteralString = """
SELECT spaces.id, spaces.name, spaces.brick_class, spaces.area, spaces.capacity,
    storeys.id AS storey, buildings.id AS building, buildings.time_zone
FROM spaces
JOIN storeys ON storeys.id = spaces.storey_id
JOIN buildings ON buildings.id = storeys.building_id
WHERE spaces.id > %(after)s
  AND (%(site)s::integer IS NULL OR buildings.site_id = %(site)s)
  AND (%(building)s::integer IS NULL OR buildings.id = %(building)s)
  AND (%(storey)s::integer IS NULL OR storeys.id = %(storey)s)
  AND (%(space)s::integer IS NULL OR spaces.id = %(space)s)
  AND (%(within)s::integer[] IS NULL OR spaces.id = ANY(%(within)s))
ORDER BY spaces.id
LIMIT %(limit)s
"""


async def find_spaces(
    connection: AsyncConnection[DictRow], where: Where, *, after: int = 0, limit: int
) -> list[MeasuredSpace]:
    """The spaces in these places whose ids come behind `after`, by id; none for a place that is not there."""
    parameters = {
        "site": where.site,
        "building": where.building,
        "storey": where.storey,
        "space": where.space,
        "within": list(where.within) if where.within is not None else None,
        "after": after,
        "limit": limit,
    }
    cursor = await connection.execute(_SPACES, parameters)
    return [MeasuredSpace(**row) for row in await cursor.fetchall()]
