"""Which of the things that are there a document means: by their keys, else by name and place."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from insula_tenants.building_model.keys import Keys
from insula_tenants.building_model.kinds import MODELS, PARENTS, PLACES, Kind, Row, column_of

Place = tuple[str, int] | None
"""Column and id of what a thing stands in; None for nothing."""


class Things:
    """What the tenant's model has, and what a document has added to it so far."""

    def __init__(self, session: Session, keys: Keys) -> None:
        """Reads all of it."""
        self._keys = keys
        self._by_iri: dict[str, tuple[Kind, Row]] = {}
        self._by_id: dict[tuple[str, int], Row] = {}
        self._named: dict[tuple[Kind, Place, str], Row] = {}
        self._nameless: defaultdict[tuple[Kind, Place, str], list[Row]] = defaultdict(list)
        """Those without an IRI, in the order of their ids."""
        self._claimed: set[int] = set()
        for kind, model in MODELS.items():
            for row in session.scalars(select(model).order_by(model.id)):
                self._by_id[kind, row.id] = row
                self.stand(kind, row)
                if row.iri is None:
                    self._nameless[kind, place_of(kind, row), row.name].append(row)

    def find(self, key: str) -> tuple[Kind, Row] | None:
        """The thing of this key, and what it is."""
        if key in self._by_iri:
            return self._by_iri[key]
        kind, row_id = self._keys.parse(key) or ("", 0)
        for each in MODELS:
            # What has an IRI is called by it and no more by the key that its id would make.
            if each == kind and (row := self._by_id.get((each, row_id))) is not None and row.iri is None:
                return each, row
        return None

    def find_nameless(self, kind: Kind, place: Place, name: str, accept: Callable[[Row], bool]) -> Row | None:
        """The first of this name and place without an IRI that the document has not named yet."""
        rows = self._nameless[kind, place, name]
        return next((row for row in rows if not self.is_claimed(row) and accept(row)), None)

    def claim(self, row: Row) -> None:
        """The document has named this one: a further node means another."""
        self._claimed.add(id(row))

    def is_claimed(self, row: Row) -> bool:
        """Whether the document has named this one already."""
        return id(row) in self._claimed

    def standing(self, kind: Kind, place: Place, name: str) -> Row | None:
        """Who has the name in this place, of the kinds whose names are taken once."""
        return self._named.get((kind, place, name))

    def stand(self, kind: Kind, row: Row) -> None:
        """Take up a row that is new, or has another name, place or IRI."""
        if row.iri is not None:
            self._by_iri[row.iri] = (kind, row)
        if kind in PARENTS or kind == "site":
            self._named[kind, place_of(kind, row), row.name] = row

    def leave(self, kind: Kind, row: Row) -> None:
        """Free the name that the row has in its place, before it gets another."""
        self._named.pop((kind, place_of(kind, row), row.name), None)


def place_of(kind: Kind, row: Row) -> Place:
    """What the thing stands in, or tells about."""
    columns = [PARENTS[kind]] if kind in PARENTS else [column_of(each) for each in PLACES.get(kind, ())]
    found: list[tuple[str, Any]] = [(column, getattr(row, column)) for column in columns]
    return next((each for each in found if each[1] is not None), None)
