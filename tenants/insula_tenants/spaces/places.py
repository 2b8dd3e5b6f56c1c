"""Parts of a tenant that a grant may be bound to: some sites, buildings, storeys or spaces."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, LiteralString

from psycopg import AsyncConnection
from psycopg.rows import DictRow
from sqlalchemy.orm import Session

from insula_tenants.errors import InvalidInput

KINDS = ("sites", "buildings", "storeys", "spaces")
"""What ids may be of, from the largest to the smallest."""

MOST = 500
"""Ids of all kinds together."""


@dataclass(frozen=True, slots=True)
class Places:
    """Everything that stands in any of these. An id of something that is gone covers nothing."""

    sites: frozenset[int] = frozenset()
    buildings: frozenset[int] = frozenset()
    storeys: frozenset[int] = frozenset()
    spaces: frozenset[int] = frozenset()

    @classmethod
    def of(cls, told: Mapping[str, Any] | None) -> Places | None:
        """What the registry keeps as JSON; None, for the whole tenant, only where it keeps nothing."""
        if told is None:
            return None
        return cls(**{kind: _ids(told.get(kind)) for kind in KINDS})

    @property
    def told(self) -> dict[str, list[int]]:
        """The same as JSON, in the same order each time."""
        return {kind: sorted(getattr(self, kind)) for kind in KINDS if getattr(self, kind)}

    @property
    def parameters(self) -> dict[str, list[int]]:
        """The same for the statements of this module."""
        return {kind: sorted(getattr(self, kind)) for kind in KINDS}


def _ids(told: Any) -> frozenset[int]:
    """A bundle may bring anything: what is no id covers nothing."""
    return frozenset(one for one in told if type(one) is int) if isinstance(told, list) else frozenset()


_COVERED: LiteralString = """
SELECT spaces.id
FROM spaces
JOIN storeys ON storeys.id = spaces.storey_id
JOIN buildings ON buildings.id = storeys.building_id
WHERE spaces.id = ANY(%(spaces)s::bigint[])
   OR storeys.id = ANY(%(storeys)s::bigint[])
   OR buildings.id = ANY(%(buildings)s::bigint[])
   OR buildings.site_id = ANY(%(sites)s::bigint[])
"""

_MISSING: LiteralString = """
SELECT 'sites' AS kind, id FROM unnest(%(sites)s::bigint[]) AS id WHERE id NOT IN (SELECT id FROM sites)
UNION ALL
SELECT 'buildings', id FROM unnest(%(buildings)s::bigint[]) AS id WHERE id NOT IN (SELECT id FROM buildings)
UNION ALL
SELECT 'storeys', id FROM unnest(%(storeys)s::bigint[]) AS id WHERE id NOT IN (SELECT id FROM storeys)
UNION ALL
SELECT 'spaces', id FROM unnest(%(spaces)s::bigint[]) AS id WHERE id NOT IN (SELECT id FROM spaces)
"""


def covered_spaces(session: Session, places: Sequence[Places]) -> frozenset[int]:
    """The ids of the spaces that stand in all of these at once; `places` has at least one."""
    connection = session.connection()
    found = [
        frozenset(row[0] for row in connection.exec_driver_sql(_COVERED, each.parameters)) for each in places
    ]
    return frozenset.intersection(*found)


async def covered_spaces_async(
    connection: AsyncConnection[DictRow], places: Sequence[Places]
) -> frozenset[int]:
    """`covered_spaces` on a connection of `AsyncDatabases.tenant`."""
    cursors = [await connection.execute(_COVERED, each.parameters) for each in places]
    return frozenset.intersection(
        *[frozenset(row["id"] for row in await cursor.fetchall()) for cursor in cursors]
    )


def check_places(session: Session, places: Places, *, field: str = "places") -> None:
    """`InvalidInput` naming `field` when the tenant lacks one of these, or when they are none or too many."""
    count = sum(map(len, places.parameters.values()))
    if not 0 < count <= MOST:
        raise InvalidInput(field, f"name 1 to {MOST} {', '.join(KINDS[:-1])} or {KINDS[-1]}")
    missing = session.connection().exec_driver_sql(_MISSING, places.parameters).first()
    if missing is not None:
        raise InvalidInput(field, f"there is no such place: {missing.kind} {missing.id}")
