"""The quality of points, rolled up to the places in which they stand."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, LiteralString

from psycopg import AsyncConnection
from psycopg.rows import DictRow

from insula_tenants.analytics.completeness import Completeness, together
from insula_tenants.analytics.quality.assessment import PointQuality

Kind = Literal["tenant", "building", "storey", "space"]
KINDS: tuple[Kind, ...] = ("tenant", "building", "storey", "space")

_NAMES: LiteralString = """
SELECT 'building' AS kind, id, name FROM buildings WHERE id = ANY(%(building)s::integer[])
UNION ALL
SELECT 'storey', id, name FROM storeys WHERE id = ANY(%(storey)s::integer[])
UNION ALL
SELECT 'space', id, name FROM spaces WHERE id = ANY(%(space)s::integer[])
"""

Place = tuple[Kind, int | None]


@dataclass(frozen=True, slots=True)
class PlaceQuality:
    """The points of a place together."""

    kind: Kind
    id: int | None
    """None for the tenant."""
    name: str | None
    points: int
    with_problems: int
    """Points that have any."""
    score: float
    """The mean of its points'."""
    completeness: Completeness


async def places_of(
    connection: AsyncConnection[DictRow], points: Sequence[PointQuality]
) -> list[PlaceQuality]:
    """Each place that these points stand in: tenant, buildings, storeys, spaces; the worst first of each."""
    inside: dict[Place, list[PointQuality]] = defaultdict(list)
    for point in points:
        measured = point.measured
        inside["tenant", None].append(point)
        for kind, number in (
            ("building", measured.building),
            ("storey", measured.storey),
            ("space", measured.space),
        ):
            if number is not None:
                inside[kind, number].append(point)  # type: ignore[index] # a kind
    ids: dict[str, list[int | None]] = {
        kind: [number for one, number in inside if one == kind] for kind in KINDS
    }
    cursor = await connection.execute(_NAMES, ids)
    names: dict[Place, str] = {(row["kind"], row["id"]): row["name"] for row in await cursor.fetchall()}
    found = [_place(place, names.get(place), some) for place, some in inside.items()]
    return sorted(found, key=lambda one: (KINDS.index(one.kind), -one.score, one.id or 0))


def _place(place: Place, name: str | None, points: Sequence[PointQuality]) -> PlaceQuality:
    kind, number = place
    return PlaceQuality(
        kind=kind,
        id=number,
        name=name,
        points=len(points),
        with_problems=sum(1 for one in points if one.problems),
        score=sum(one.score for one in points) / len(points),
        completeness=together(one.completeness for one in points),
    )
