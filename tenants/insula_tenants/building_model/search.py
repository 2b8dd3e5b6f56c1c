"""Find things of a building model by name, class or IRI."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, NamedTuple, get_args

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Integer,
    Select,
    Text,
    func,
    literal,
    null,
    or_,
    select,
    tuple_,
    union_all,
)
from sqlalchemy.orm import InstrumentedAttribute, Session

from insula_tenants.brick.classes import kinds_of
from insula_tenants.building_model.coverage import Coverage
from insula_tenants.building_model.keys import Keys
from insula_tenants.building_model.kinds import KINDS, MODELS
from insula_tenants.building_model.paths import Paths
from insula_tenants.devices.models import Device, Point

FoundKind = Literal["site", "building", "storey", "space", "zone", "equipment", "model-point", "point"]
FOUND_KINDS: tuple[FoundKind, ...] = get_args(FoundKind)
"""In the order of a search's answers. `point` is a device's."""

Column = ColumnElement[Any] | InstrumentedAttribute[Any]

Position = tuple[int, str, int]
"""Where in the answers something stands: number of its kind, name, id."""


class Found(NamedTuple):
    """Something that a search found."""

    kind: FoundKind
    id: int
    name: str
    """Of a device's point `device/point`."""
    brick_class: str | None
    iri: str | None
    path: str | None
    """In what it stands: names from the site down, with slashes between; None for nothing."""

    @property
    def position(self) -> Position:
        """Where in the answers it stands."""
        return FOUND_KINDS.index(self.kind), self.name, self.id


def search(
    session: Session,
    words: str,
    *,
    kind: FoundKind | None = None,
    coverage: Coverage | None = None,
    after: Position | None = None,
    limit: int = 100,
) -> list[Found]:
    """What has `words` in its name, its class or its IRI, whatever the case, by kind, name and id.

    The name of a class, such as `HVAC_Equipment`, also finds what is of a kind of it. `coverage` leaves what
    a grant sees. At most `limit`, those after the position `after`.
    """
    kinds = [kind] if kind is not None else FOUND_KINDS
    matching = _Matching(session, words, coverage)
    found = union_all(*(matching.of(each) for each in kinds)).subquery()
    position = tuple_(found.c.rank, found.c.name, found.c.id)
    query = select(found).order_by(found.c.rank, found.c.name, found.c.id).limit(limit)
    if after is not None:
        rank, name, row_id = after
        query = query.where(
            position > tuple_(literal(rank, BigInteger), literal(name, Text), literal(row_id, BigInteger))
        )
    rows = session.execute(query).all()
    paths = _standing(session, rows)
    ranked = [(FOUND_KINDS[row.rank], row) for row in rows]
    return [
        Found(each, row.id, row.name, row.brick_class, row.iri, paths[each, row.id]) for each, row in ranked
    ]


class _Matching:
    """What a search is for."""

    def __init__(self, session: Session, words: str, coverage: Coverage | None) -> None:
        self._part = words.strip().lower()
        self._classes = kinds_of(words)
        self._key = Keys(session).parse(words.strip())
        self._coverage = coverage

    def of(self, kind: FoundKind) -> Select[*tuple[Any, ...]]:
        """Rank, id, name, class and IRI of what matches among the things of a kind."""
        if kind == "point":
            return self._device_points()
        model = MODELS[kind]
        brick_class = model.brick_class if kind != "site" else literal("Site", Text)
        query = select(_rank(kind), model.id, model.name, brick_class.label("brick_class"), model.iri).where(
            or_(
                self._in(model.name),
                self._in(model.iri),
                self._is_class(brick_class),
                model.id == (self._key[1] if self._key and self._key[0] == kind else 0),
            )
        )
        return query if self._coverage is None else query.where(model.id.in_(self._coverage.seen[kind]))

    def _device_points(self) -> Select[*tuple[Any, ...]]:
        name = (Device.slug + "/" + Point.name).label("name")
        query = (
            select(
                _rank("point"), Point.id, name, Point.brick_class.label("brick_class"), null().label("iri")
            )
            .join(Device, Device.id == Point.device_id)
            .where(
                Device.state != "decommissioned",
                or_(self._in(name), self._in(Device.name), self._is_class(Point.brick_class)),
            )
        )
        if self._coverage is not None:
            query = query.where(Device.space_id.in_(self._coverage.seen["space"]))
        return query

    def _in(self, column: Column) -> ColumnElement[bool]:
        return func.strpos(func.lower(column), self._part) > 0

    def _is_class(self, column: Column) -> ColumnElement[bool]:
        words = self._part.replace(" ", "_")
        return or_(func.strpos(func.lower(column), words) > 0, column.in_(self._classes))


def _rank(kind: FoundKind) -> ColumnElement[int]:
    return literal(FOUND_KINDS.index(kind), Integer).label("rank")


def _standing(session: Session, rows: Sequence[Any]) -> dict[tuple[FoundKind, int], str | None]:
    """The way to what each of these stands in."""
    paths = Paths(session)
    found: dict[tuple[FoundKind, int], str | None] = {}
    for kind in KINDS:
        ids = {row.id for row in rows if FOUND_KINDS[row.rank] == kind}
        for row_id, row in paths.load(kind, ids).items() if ids else ():
            found[kind, row_id] = paths.within(kind, row)
    points = {row.id for row in rows if FOUND_KINDS[row.rank] == "point"}
    standing = select(Point.id, Device.space_id).join(Device, Device.id == Point.device_id)
    of_points = {row[0]: row[1] for row in session.execute(standing.where(Point.id.in_(points)))}
    paths.load("space", {space_id for space_id in of_points.values() if space_id is not None})
    for point_id, space_id in of_points.items():
        found["point", point_id] = paths.to("space", space_id) if space_id is not None else None
    return found
