"""The things of a building model as lists show them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, NamedTuple

from sqlalchemy import BigInteger, literal, select
from sqlalchemy.orm import Session

from insula_tenants.building_model.coverage import Coverage
from insula_tenants.building_model.kinds import FED, MODELS, PLACES, Kind, Row, column_of, words_of
from insula_tenants.building_model.models import Equipment, Feed, ModelPoint, Zone, ZoneSpace
from insula_tenants.devices.models import Device, Point
from insula_tenants.errors import NotFound
from insula_tenants.spaces.models import Building, Site, Space, Storey
from insula_tenants.spaces.service import SpaceView, list_spaces


class Reference(NamedTuple):
    """What equipment feeds, where it stands, or what a point tells about."""

    kind: Kind
    id: int


class SiteView(NamedTuple):
    """A site."""

    id: int
    name: str
    iri: str | None
    latitude: float | None
    longitude: float | None


class BuildingView(NamedTuple):
    """A building, with the name of its site."""

    id: int
    name: str
    iri: str | None
    brick_class: str
    site_id: int
    site: str
    time_zone: str
    area: float | None


class StoreyView(NamedTuple):
    """A storey, with the name of its building."""

    id: int
    name: str
    iri: str | None
    brick_class: str
    building_id: int
    building: str
    level: int


class ZoneView(NamedTuple):
    """A zone and the ids of its spaces."""

    id: int
    name: str
    iri: str | None
    brick_class: str
    spaces: list[int]


class EquipmentView(NamedTuple):
    """An equipment, where it stands, what it belongs to and what it serves."""

    id: int
    name: str
    iri: str | None
    brick_class: str
    location: Reference | None
    part_of_id: int | None
    feeds: list[Reference]


class ModelPointView(NamedTuple):
    """A point of the model, what it tells about, and which device's point brings its values."""

    id: int
    name: str
    iri: str | None
    brick_class: str
    unit: str | None
    of: Reference | None
    point_id: int | None
    device: str | None
    point: str | None


View = SiteView | BuildingView | StoreyView | SpaceView | ZoneView | EquipmentView | ModelPointView


def list_things(
    session: Session,
    kind: Kind,
    *,
    coverage: Coverage | None = None,
    where: Mapping[str, int | None] | None = None,
    after: int | None = None,
    limit: int = 100,
) -> list[Any]:
    """Things of this kind by id, those after `after`, at most `limit`, as its view.

    `where` are columns and what they must be, None for anything; `coverage` leaves what a grant covers.
    """
    model = MODELS[kind]
    query = select(model).order_by(model.id).limit(limit)
    for column, value in (where or {}).items():
        if value is not None:
            query = query.where(getattr(model, column) == value)
    if coverage is not None:
        query = query.where(model.id.in_(coverage.seen[kind]))
    if after is not None:
        query = query.where(model.id > literal(after, BigInteger))  # a cursor may hold more than an id can
    return views_of(session, kind, session.scalars(query).all(), coverage=coverage)


def find_thing(session: Session, kind: Kind, row_id: int, *, coverage: Coverage | None = None) -> Any:
    """The thing of this kind and id, as its view; `NotFound` when there is none, or none that is covered."""
    if coverage is not None:
        coverage.check_seen(kind, row_id)
    row = session.get(MODELS[kind], row_id)
    if row is None:
        raise NotFound(f"there is no {words_of(kind)} {row_id}")
    session.refresh(row)
    return views_of(session, kind, [row], coverage=coverage)[0]


def views_of(
    session: Session, kind: Kind, rows: Sequence[Any], *, coverage: Coverage | None = None
) -> list[Any]:
    """The views of these rows, in their order. What a grant does not cover is left out of them."""
    return _VIEWS[kind](session, rows, coverage)


def reference_of(kind: Kind, row: Row) -> Reference | None:
    """What the row names of `PLACES`: where it stands, or what it tells about."""
    for each in PLACES[kind]:
        if (row_id := getattr(row, column_of(each))) is not None:
            return Reference(each, row_id)
    return None


def _sites(_session: Session, rows: Sequence[Site], _coverage: Coverage | None) -> list[SiteView]:
    return [SiteView(row.id, row.name, row.iri, row.latitude, row.longitude) for row in rows]


def _buildings(session: Session, rows: Sequence[Building], _coverage: Coverage | None) -> list[BuildingView]:
    names = _names(session, Site, {row.site_id for row in rows})
    return [
        BuildingView(
            row.id,
            row.name,
            row.iri,
            row.brick_class,
            row.site_id,
            names[row.site_id],
            row.time_zone,
            row.area,
        )
        for row in rows
    ]


def _storeys(session: Session, rows: Sequence[Storey], _coverage: Coverage | None) -> list[StoreyView]:
    names = _names(session, Building, {row.building_id for row in rows})
    return [
        StoreyView(
            row.id, row.name, row.iri, row.brick_class, row.building_id, names[row.building_id], row.level
        )
        for row in rows
    ]


def _spaces(session: Session, rows: Sequence[Space], _coverage: Coverage | None) -> list[SpaceView]:
    found = {one.id: one for one in list_spaces(session, within=[row.id for row in rows])}
    return [found[row.id] for row in rows]


def _zones(session: Session, rows: Sequence[Zone], coverage: Coverage | None) -> list[ZoneView]:
    query = select(ZoneSpace.zone_id, ZoneSpace.space_id).order_by(ZoneSpace.space_id)
    if coverage is not None:
        query = query.where(ZoneSpace.space_id.in_(coverage.seen["space"]))
    members: defaultdict[int, list[int]] = defaultdict(list)
    for zone_id, space_id in session.execute(query.where(ZoneSpace.zone_id.in_([row.id for row in rows]))):
        members[zone_id].append(space_id)
    return [ZoneView(row.id, row.name, row.iri, row.brick_class, members[row.id]) for row in rows]


def _equipment(session: Session, rows: Sequence[Equipment], coverage: Coverage | None) -> list[EquipmentView]:
    fed: defaultdict[int, list[Reference]] = defaultdict(list)
    query = select(Feed).where(Feed.equipment_id.in_([row.id for row in rows]))
    for feed in session.scalars(query):
        for kind, column in FED.items():
            row_id = getattr(feed, column)
            if row_id is not None and (coverage is None or row_id in coverage.seen[kind]):
                fed[feed.equipment_id].append(Reference(kind, row_id))
    return [
        EquipmentView(
            row.id,
            row.name,
            row.iri,
            row.brick_class,
            reference_of("equipment", row),
            row.part_of_id if coverage is None or row.part_of_id in coverage.seen["equipment"] else None,
            sorted(fed[row.id]),
        )
        for row in rows
    ]


def _model_points(
    session: Session, rows: Sequence[ModelPoint], coverage: Coverage | None
) -> list[ModelPointView]:
    """A device that stands where the grant does not reach is not told of."""
    query = (
        select(Point.id, Device.slug, Point.name)
        .join(Device, Device.id == Point.device_id)
        .where(Point.id.in_([row.point_id for row in rows if row.point_id is not None]))
    )
    if coverage is not None:
        query = query.where(Device.space_id.in_(coverage.seen["space"]))
    found = {row[0]: (row[0], row[1], row[2]) for row in session.execute(query)}
    return [
        ModelPointView(
            row.id,
            row.name,
            row.iri,
            row.brick_class,
            row.unit,
            reference_of("model-point", row),
            *found.get(row.point_id or 0, (None, None, None)),
        )
        for row in rows
    ]


def _names(session: Session, model: type[Site | Building], ids: Collection[int]) -> dict[int, str]:
    query = select(model.id, model.name).where(model.id.in_(ids))
    return {row.id: row.name for row in session.execute(query)}


_VIEWS: Mapping[Kind, Callable[[Session, Sequence[Any], Coverage | None], list[Any]]] = {
    "site": _sites,
    "building": _buildings,
    "storey": _storeys,
    "space": _spaces,
    "zone": _zones,
    "equipment": _equipment,
    "model-point": _model_points,
}
