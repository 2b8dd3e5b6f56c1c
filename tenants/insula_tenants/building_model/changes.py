"""Make and change the things of a building model, one at a time."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any

from psycopg.errors import LockNotAvailable
from sqlalchemy import delete, or_, select, text
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session

from insula_tenants.building_model.coverage import Coverage
from insula_tenants.building_model.fields import check_field
from insula_tenants.building_model.keys import Keys
from insula_tenants.building_model.kinds import (
    ABOVE,
    FED,
    MODELS,
    PARENTS,
    PLACES,
    Kind,
    Row,
    column_of,
    words_of,
)
from insula_tenants.building_model.models import Equipment, Feed, ModelPoint, ZoneSpace
from insula_tenants.building_model.views import Reference
from insula_tenants.devices.points import find_point
from insula_tenants.errors import Conflict, InvalidInput, NotAllowed, NotFound

_LOCK = text("SELECT pg_advisory_xact_lock(hashtextextended('building model of ' || current_schema(), 0))")
_WAIT = text("SELECT set_config('lock_timeout', :wait, true)")

PATIENCE = timedelta(seconds=1)
"""Who waits for the model holds connections that other tenants need, and an import takes many seconds."""

_RELATIONS = {"spaces", "feeds"}
"""Fields that are rows of other tables."""

_PLACE_FIELDS: Mapping[Kind, str] = {"equipment": "location", "model-point": "of"}
"""The field that names one of `PLACES`."""


def lock_model(session: Session) -> None:
    """Let nobody else change the tenant's model until the transaction ends: what was checked stays true.

    Raises `Conflict` when somebody else is at it for longer than `PATIENCE`.
    """
    before = session.scalar(text("SELECT current_setting('lock_timeout')"))
    session.execute(_WAIT, {"wait": f"{PATIENCE // timedelta(milliseconds=1)}ms"})
    try:
        session.execute(_LOCK)
    except OperationalError as error:
        if not isinstance(error.orig, LockNotAvailable):
            raise
        raise Conflict(
            "somebody else, or an import, is changing the model just now: try again when that is done"
        ) from None
    session.execute(_WAIT, {"wait": before})


def create_thing(
    session: Session, kind: Kind, facts: Mapping[str, Any], *, coverage: Coverage | None = None
) -> int:
    """Make a thing of this kind; returns its id.

    `facts` are its columns, and besides, by kind: `spaces` (ids), `location` and `of` (a `Reference`),
    `feeds` (of those a list). With `coverage` it must stand in what a grant covers.

    Raises `InvalidInput`, `Conflict` where the name in its place, the IRI or the device's point is taken,
    `NotFound` and `NotAllowed` for what a grant does not cover.
    """
    lock_model(session)
    if coverage is not None:
        _check_standing(kind, facts)
    row: Row = MODELS[kind]()
    _set(session, kind, row, _Checks(session, kind, coverage).of(facts))
    session.add(row)
    session.flush()
    _relate(session, kind, row.id, facts, coverage)
    return row.id


def change_thing(
    session: Session,
    kind: Kind,
    row_id: int,
    changes: Mapping[str, Any],
    *,
    coverage: Coverage | None = None,
) -> None:
    """Change what `changes` names of a thing, as `create_thing` takes it; the rest stays.

    Another parent is a move: what stands in it, devices and their readings too, goes with it.
    """
    lock_model(session)
    row = lock_thing(session, kind, row_id, coverage=coverage)
    if coverage is not None:
        _check_standing(kind, changes, changed=True)
    checks = _Checks(session, kind, coverage)
    _set(session, kind, row, checks.of(changes, row))
    session.flush()
    _relate(session, kind, row_id, changes, coverage)


def lock_thing(session: Session, kind: Kind, row_id: int, *, coverage: Coverage | None = None) -> Row:
    """The thing, which stays as it is until the transaction ends.

    `NotFound` where there is none or none that is covered, `NotAllowed` where the grant covers a part of it.
    """
    if coverage is not None:
        coverage.check_whole(kind, row_id)
    model = MODELS[kind]
    row: Row | None = session.scalar(select(model).where(model.id == row_id).with_for_update())
    if row is None:
        raise NotFound(f"there is no {words_of(kind)} {row_id}")
    return row


def above(equipment_id: int, wholes: Mapping[int, int | None]) -> list[int]:
    """The equipment and all that it is part of; `wholes` is what each is part of."""
    found: list[int] = []
    at: int | None = equipment_id
    while at is not None and at not in found:
        found.append(at)
        at = wholes.get(at)
    return found


def _check_standing(kind: Kind, facts: Mapping[str, Any], *, changed: bool = False) -> None:
    """Under a grant for some places nothing is put nowhere. With `changed` what is not named stays there."""
    if kind == "site" and not changed:
        raise NotAllowed("a site is the whole tenant's, and your grant covers a part of it: ask an admin")
    field = "spaces" if kind == "zone" else _PLACE_FIELDS.get(kind)
    if field is not None and not facts.get(field) and not (changed and field not in facts):
        raise InvalidInput(field, "say where it is: your grant covers some places")


class _Checks:
    """Of what is given for a thing of one kind."""

    def __init__(self, session: Session, kind: Kind, coverage: Coverage | None) -> None:
        self._session = session
        self._kind = kind
        self._coverage = coverage
        self._by_field: Mapping[str, Callable[[Any, Row | None], object]] = {
            "iri": self._iri,
            "spaces": self._spaces,
            "feeds": self._feeds,
            "part_of_id": self._part_of,
            "point_id": self._device_point,
        }

    def of(self, facts: Mapping[str, Any], row: Row | None = None) -> dict[str, Any]:
        """The columns that come of the facts; `row` is the thing as it is, None for a new one."""
        columns: dict[str, Any] = {}
        for field, value in facts.items():
            if field == PARENTS.get(self._kind):
                self._refer(ABOVE[self._kind], value, field)
            elif field == _PLACE_FIELDS.get(self._kind):
                columns |= self._place(field, value)
                continue
            elif field in self._by_field and value is not None:
                self._by_field[field](value, row)
            if field not in _RELATIONS:
                columns[field] = check_field(self._kind, field, value)
        return columns

    def _refer(self, kind: Kind, row_id: int, field: str) -> None:
        """Whether there is such a thing, that the grant covers whole."""
        if self._coverage is not None:
            self._coverage.check_whole(kind, row_id)
        elif self._session.get(MODELS[kind], row_id) is None:
            raise InvalidInput(field, f"there is no {words_of(kind)} {row_id}")

    def _see(self, kind: Kind, row_id: int, field: str) -> None:
        """Whether there is such a thing, of which the grant sees something."""
        if self._coverage is not None:
            self._coverage.check_seen(kind, row_id)
        else:
            self._refer(kind, row_id, field)

    def _spaces(self, ids: list[int], _row: Row | None) -> None:
        for space_id in ids:
            self._refer("space", space_id, "spaces")

    def _place(self, field: str, place: Reference | None) -> dict[str, int | None]:
        kinds = PLACES[self._kind]
        if place is not None:
            if place.kind not in kinds:
                raise InvalidInput(field, f"a {place.kind} cannot be named here: use {' or '.join(kinds)}")
            self._refer(place.kind, place.id, field)
        return {column_of(each): place.id if place and place.kind == each else None for each in kinds}

    def _feeds(self, feeds: list[Reference], _row: Row | None) -> None:
        for feed in feeds:
            if feed.kind not in FED:
                raise InvalidInput("feeds", f"a {feed.kind} is not fed: use {' or '.join(FED)}")
            self._see(feed.kind, feed.id, "feeds")

    def _part_of(self, whole: int, row: Row | None) -> None:
        self._see("equipment", whole, "part_of_id")
        found = self._session.execute(select(Equipment.id, Equipment.part_of_id))
        if row is not None and row.id in above(whole, {one.id: one.part_of_id for one in found}):
            raise InvalidInput("part_of_id", f"equipment {whole} is part of this one, or is it")

    def _device_point(self, point_id: int, row: Row | None) -> None:
        within = self._coverage.seen["space"] if self._coverage is not None else None
        try:
            find_point(self._session, point_id, within=within)
        except NotFound as error:
            if self._coverage is not None:
                raise
            raise InvalidInput("point_id", error.detail) from None
        query = select(ModelPoint).where(ModelPoint.point_id == point_id)
        other = self._session.scalar(query)
        if other is not None and other is not row:
            raise Conflict(
                f"point {point_id} brings the values of {self._told('model-point', other)} already"
            )

    def _iri(self, iri: str, row: Row | None) -> None:
        if Keys(self._session).is_own(iri):
            raise InvalidInput("iri", "this one is made of an id: give one of your own, or null")
        for kind, model in MODELS.items():
            other = self._session.scalar(select(model).where(model.iri == iri))
            if other is not None and other is not row:
                raise Conflict(f"the IRI {iri!r} is that of {self._told(kind, other)} already")

    def _told(self, kind: Kind, other: Row) -> str:
        """Which one has it, where the grant sees that."""
        if self._coverage is not None and other.id not in self._coverage.seen[kind]:
            return "another one"
        return f"{words_of(kind)} {other.id}"


def _set(session: Session, kind: Kind, row: Row, columns: Mapping[str, Any]) -> None:
    """Set the columns, where the name is free in the place that it will have."""
    if kind in PARENTS or kind == "site":
        model = MODELS[kind]
        name = columns.get("name", row.name)
        query = select(model.id).where(model.name == name, model.id != (row.id or 0))
        if kind in PARENTS:
            parent = PARENTS[kind]
            query = query.where(getattr(model, parent) == columns.get(parent, getattr(row, parent)))
        if session.scalar(query) is not None:
            where = f" in that {ABOVE[kind]}" if kind in ABOVE else ""
            raise Conflict(f"there is a {kind} {name!r}{where} already: choose another name")
    for column, value in columns.items():
        setattr(row, column, value)


def _relate(
    session: Session, kind: Kind, row_id: int, facts: Mapping[str, Any], coverage: Coverage | None
) -> None:
    """Let a zone have these spaces, and equipment feed these, and no others, where the facts say.

    What equipment feeds that a grant does not see stays: who does not see it did not mean it.
    """
    if kind == "zone" and "spaces" in facts:
        session.execute(delete(ZoneSpace).where(ZoneSpace.zone_id == row_id))
        session.add_all(ZoneSpace(zone_id=row_id, space_id=one) for one in sorted(set(facts["spaces"])))
    if kind == "equipment" and "feeds" in facts:
        seen = [
            column.is_not(None) if coverage is None else column.in_(coverage.seen[fed])
            for fed, column in ((fed, getattr(Feed, name)) for fed, name in FED.items())
        ]
        session.execute(delete(Feed).where(Feed.equipment_id == row_id, or_(*seen)))
        for fed in sorted(set(facts["feeds"])):
            session.add(Feed(equipment_id=row_id, **{FED[fed.kind]: fed.id}))
    session.flush()
