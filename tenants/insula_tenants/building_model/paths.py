"""Where things of a building model are, in words: `site/building/storey/space`."""

from __future__ import annotations

from collections.abc import Collection

from sqlalchemy import select
from sqlalchemy.orm import Session

from insula_tenants.building_model.kinds import ABOVE, MODELS, PARENTS, PLACES, Kind, Row, column_of


class Paths:
    """The ways to things, each read when it is asked for."""

    def __init__(self, session: Session) -> None:
        """Of the tenant of this session."""
        self._session = session
        self._found: dict[tuple[Kind, int], str] = {}
        self._kept: list[Row] = []
        """A session forgets the rows that nobody holds."""

    def within(self, kind: Kind, row: Row) -> str | None:
        """The way to what this stands in, or tells about; None for nothing."""
        if kind in PARENTS:
            return self.to(ABOVE[kind], getattr(row, PARENTS[kind]))
        for place in PLACES.get(kind, ()):
            if (row_id := getattr(row, column_of(place))) is not None:
                return self.to(place, row_id)
        return None

    def to(self, kind: Kind, row_id: int) -> str:
        """The way to the thing itself, its name at the end."""
        if (kind, row_id) not in self._found:
            row = self._session.get_one(MODELS[kind], row_id)
            within = self.within(kind, row)
            self._found[kind, row_id] = f"{within}/{row.name}" if within is not None else row.name
        return self._found[kind, row_id]

    def load(self, kind: Kind, ids: Collection[int]) -> dict[int, Row]:
        """Rows by id, and what they stand in ahead of its being asked for one by one."""
        model = MODELS[kind]
        rows = {row.id: row for row in self._session.scalars(select(model).where(model.id.in_(ids)))}
        self._kept += rows.values()
        above = ABOVE.get(kind)
        if above is not None and rows:
            self.load(above, {getattr(row, PARENTS[kind]) for row in rows.values()})
        for place in PLACES.get(kind, ()):
            ids = {getattr(row, column_of(place)) for row in rows.values()} - {None}
            if ids:
                self.load(place, ids)
        return rows
