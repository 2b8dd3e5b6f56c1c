"""From the tables of a tenant to a document of its building model."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from insula_tenants.brick.classes import is_subclass
from insula_tenants.building_model.document import (
    BuildingNode,
    EquipmentNode,
    ModelDocument,
    PointNode,
    SiteNode,
    SpaceNode,
    StoreyNode,
    ZoneNode,
)
from insula_tenants.building_model.keys import DEVICE_POINT, Keys
from insula_tenants.building_model.kinds import FED, MODELS, PLACES, Kind, column_of, words_of
from insula_tenants.building_model.models import Equipment, Feed, ModelPoint, Zone, ZoneSpace
from insula_tenants.devices.models import Device, Point
from insula_tenants.errors import NotFound
from insula_tenants.spaces.models import Building, Site, Space, Storey


def read_model(session: Session, *, building: int | None = None) -> ModelDocument:
    """The tenant's building model, or what of it is a building's: see `within_building`.

    Points of devices in use are part of it, where no model point names them already. Each kind comes by key.
    Raises `NotFound` for a building that is none.
    """
    keys = RowKeys(session)
    document = ModelDocument(
        sites=_sorted(
            SiteNode(keys.of("site", row.id), row.name, latitude=row.latitude, longitude=row.longitude)
            for row in session.scalars(select(Site))
        ),
        buildings=_sorted(
            BuildingNode(
                keys.of("building", row.id),
                row.name,
                keys.of("site", row.site_id),
                row.brick_class,
                row.time_zone,
                row.area,
            )
            for row in session.scalars(select(Building))
        ),
        storeys=_sorted(
            StoreyNode(
                keys.of("storey", row.id),
                row.name,
                keys.of("building", row.building_id),
                row.level,
                row.brick_class,
            )
            for row in session.scalars(select(Storey))
        ),
        spaces=_sorted(
            SpaceNode(
                keys.of("space", row.id),
                row.name,
                keys.of("storey", row.storey_id),
                row.brick_class,
                row.area,
                row.capacity,
                row.comfort_category,
            )
            for row in session.scalars(select(Space))
        ),
        zones=_sorted(_zones(session, keys)),
        equipment=_sorted(_equipment(session, keys)),
        points=_sorted([*_model_points(session, keys), *device_points(session, keys).values()]),
    )
    if building is None:
        return document
    return within_building(document, keys.of("building", building))


def within_building(document: ModelDocument, building: str) -> ModelDocument:
    """What of a document is the building's: its site, storeys and spaces, and what serves or measures them.

    Zones come with those of their spaces that are in it. Equipment that stands nowhere comes where it feeds,
    belongs to, or consists of something that is in it. Whatever refers to something outside loses the
    reference.
    """
    buildings = tuple(one for one in document.buildings if one.key == building)
    storeys = tuple(one for one in document.storeys if one.building == building)
    floors = {one.key for one in storeys}
    spaces = tuple(one for one in document.spaces if one.storey in floors)
    rooms = {one.key for one in spaces}
    zones = tuple(
        replace(zone, spaces=tuple(key for key in zone.spaces if key in rooms))
        for zone in document.zones
        if rooms.intersection(zone.spaces)
    )
    inside = {building} | floors | rooms | {zone.key for zone in zones}
    serving = _serving(document.equipment, inside)
    inside |= serving
    return ModelDocument(
        sites=tuple(one for one in document.sites if one.key in {each.site for each in buildings}),
        buildings=buildings,
        storeys=storeys,
        spaces=spaces,
        zones=zones,
        equipment=tuple(
            replace(
                one,
                part_of=one.part_of if one.part_of in inside else None,
                feeds=tuple(key for key in one.feeds if key in inside),
            )
            for one in document.equipment
            if one.key in serving
        ),
        points=tuple(one for one in document.points if one.of in inside),
    )


def device_points(session: Session, keys: RowKeys) -> dict[int, PointNode]:
    """Points of devices in use that no model point names, by id, as a model has them."""
    query = (
        select(Point.id, Point.name, Point.brick_class, Point.unit, Device.slug, Device.space_id)
        .join(Device, Device.id == Point.device_id)
        .outerjoin(ModelPoint, ModelPoint.point_id == Point.id)
        .where(Device.state == "active", ModelPoint.id.is_(None))
    )
    return {
        row.id: PointNode(
            keys.keys.key(DEVICE_POINT, row.id),
            row.name,
            # Devices may bring names that Brick does not have.
            row.brick_class if is_subclass(row.brick_class or "", "Point") else "Point",
            keys.of("space", row.space_id) if row.space_id is not None else None,
            row.unit,
            f"{row.slug}/{row.name}",
        )
        for row in session.execute(query)
    }


class RowKeys:
    """The key of each thing that the tenant has, by kind and id."""

    def __init__(self, session: Session) -> None:
        """Reads all of them."""
        self.keys = Keys(session)
        self._found = {
            (kind, row.id): self.keys.key(kind, row.id, row.iri)
            for kind, model in MODELS.items()
            for row in session.execute(select(model.id, model.iri))
        }

    def of(self, kind: Kind, row_id: int) -> str:
        """The key; `NotFound` when there is no such thing."""
        if (kind, row_id) not in self._found:
            raise NotFound(f"there is no {words_of(kind)} {row_id}")
        return self._found[kind, row_id]

    def named_by(self, kind: Kind, row: Equipment | ModelPoint) -> str | None:
        """The key of what the row names of `PLACES`; None when it names nothing."""
        for place in PLACES[kind]:
            if (row_id := getattr(row, column_of(place))) is not None:
                return self.of(place, row_id)
        return None


def _zones(session: Session, keys: RowKeys) -> Iterator[ZoneNode]:
    members: defaultdict[int, list[str]] = defaultdict(list)
    for row in session.execute(select(ZoneSpace.zone_id, ZoneSpace.space_id)):
        members[row.zone_id].append(keys.of("space", row.space_id))
    for zone in session.scalars(select(Zone)):
        spaces = tuple(sorted(members[zone.id]))
        yield ZoneNode(keys.of("zone", zone.id), zone.name, zone.brick_class, spaces)


def _equipment(session: Session, keys: RowKeys) -> Iterator[EquipmentNode]:
    fed: defaultdict[int, list[str]] = defaultdict(list)
    for feed in session.scalars(select(Feed)):
        for kind, column in FED.items():
            if (row_id := getattr(feed, column)) is not None:
                fed[feed.equipment_id].append(keys.of(kind, row_id))
    for row in session.scalars(select(Equipment)):
        yield EquipmentNode(
            keys.of("equipment", row.id),
            row.name,
            row.brick_class,
            location=keys.named_by("equipment", row),
            part_of=keys.of("equipment", row.part_of_id) if row.part_of_id is not None else None,
            feeds=tuple(sorted(fed[row.id])),
        )


def _model_points(session: Session, keys: RowKeys) -> Iterator[PointNode]:
    query = (
        select(ModelPoint, Device.slug, Point.name)
        .outerjoin(Point, Point.id == ModelPoint.point_id)
        .outerjoin(Device, Device.id == Point.device_id)
    )
    for row, device, point in session.execute(query):
        yield PointNode(
            keys.of("model-point", row.id),
            row.name,
            row.brick_class,
            of=keys.named_by("model-point", row),
            unit=row.unit,
            series=f"{device}/{point}" if row.point_id is not None else None,
        )


def _serving(equipment: tuple[EquipmentNode, ...], inside: set[str]) -> set[str]:
    """Keys of the equipment that is inside, or stands nowhere and has to do with what is."""
    found = {one.key for one in equipment if one.location in inside}
    while True:
        there = inside | found
        wholes = {one.part_of for one in equipment if one.key in found}
        more = {
            one.key
            for one in equipment
            if one.location is None
            and one.key not in found
            and (one.key in wholes or one.part_of in there or there.intersection(one.feeds))
        }
        if not more:
            return found
        found |= more


def _sorted(nodes: Iterable[Any]) -> tuple[Any, ...]:
    return tuple(sorted(nodes, key=lambda node: node.key))
