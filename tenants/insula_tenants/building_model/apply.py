"""From a document of a building model to the tables of a tenant: what is new is made, what differs changed.

Nothing is ever taken away: what a document does not name stays, and so does what it does not say of a thing
(a field of None, a space that is no longer in a zone). So a document may be of one building, or by a tool
that knows half of what is known here.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial

from sqlalchemy import select
from sqlalchemy.orm import Session

from insula_tenants.building_model.changes import above, lock_model
from insula_tenants.building_model.document import (
    BuildingNode,
    EquipmentNode,
    ModelDocument,
    PointNode,
    ZoneNode,
)
from insula_tenants.building_model.keys import DEVICE_POINT
from insula_tenants.building_model.kinds import FED, PLACES, Kind, Row, column_of
from insula_tenants.building_model.models import Equipment, Feed, ModelPoint, ZoneSpace
from insula_tenants.building_model.read import RowKeys, device_points
from insula_tenants.building_model.upsert import Problem, Upserts
from insula_tenants.devices.models import Device, Point
from insula_tenants.spaces.models import Building


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a document: how many of its nodes, by kind (`space`, `model-point` …)."""

    created: Mapping[str, int]
    updated: Mapping[str, int]
    unchanged: Mapping[str, int]
    problems: tuple[Problem, ...]


def apply_model(session: Session, document: ModelDocument, *, dry_run: bool = False) -> Outcome:
    """Let the tenant's model be what the document says, as far as it says something.

    A node is the thing of its key: its IRI, or `urn:insula:{tenant}:{kind}:{id}` where it has none. Else it
    is one that has no IRI yet and the same name in the same place, which takes the key for its IRI. Else it
    is made. What cannot be so is left out and told in `problems`; the rest is taken all the same.

    With `dry_run` nothing is changed, and the outcome is the same.
    """
    lock_model(session)
    with session.begin_nested() as savepoint:
        upserts = Upserts(session)
        _take_places(upserts, document)
        _take_zones(upserts, document.zones)
        _take_equipment(upserts, document.equipment)
        _take_points(upserts, document.points)
        session.flush()
        if dry_run:
            savepoint.rollback()
    return Outcome(
        created=Counter(upserts.kinds_that_are("created")),
        updated=Counter(upserts.kinds_that_are("updated")),
        unchanged=Counter(upserts.kinds_that_are("unchanged")),
        problems=tuple(upserts.problems),
    )


def _take_places(upserts: Upserts, document: ModelDocument) -> None:
    for site in document.sites:
        upserts.take("site", site, {"latitude": site.latitude, "longitude": site.longitude}, {})
    upserts.session.flush()
    for building in document.buildings:
        there = upserts.parent(building.key, "site", building.site)
        if there is not None:
            _take_building(upserts, building, there.id)
    upserts.session.flush()
    for storey in document.storeys:
        there = upserts.parent(storey.key, "building", storey.building)
        if there is not None:
            place = {"building_id": there.id}
            upserts.take("storey", storey, {"level": storey.level}, place, defaults={"level": 0})
    upserts.session.flush()
    for space in document.spaces:
        there = upserts.parent(space.key, "storey", space.storey)
        if there is not None:
            facts = {name: getattr(space, name) for name in ("area", "capacity", "comfort_category")}
            upserts.take("space", space, facts, {"storey_id": there.id})
    upserts.session.flush()


def _take_building(upserts: Upserts, building: BuildingNode, site_id: int) -> None:
    """Where the document does not say its time zone, a new one has that of another on its site."""
    query = select(Building.time_zone).where(Building.site_id == site_id).order_by(Building.id).limit(1)
    zone = upserts.session.scalar(query) or "UTC"
    facts = {"time_zone": building.time_zone, "area": building.area}
    upserts.take("building", building, facts, {"site_id": site_id}, defaults={"time_zone": zone})
    if building.time_zone is None and upserts.is_new(building.key):
        upserts.report(building.key, "time_zone", f"the document does not say it: {zone} is taken")


def _take_zones(upserts: Upserts, zones: tuple[ZoneNode, ...]) -> None:
    taken = [(zone, upserts.take("zone", zone, {}, {})) for zone in zones]
    upserts.session.flush()
    members = {tuple(row) for row in upserts.session.execute(select(ZoneSpace.zone_id, ZoneSpace.space_id))}
    for zone, row in taken:
        for key in zone.spaces if row is not None else ():
            space = upserts.resolve(key, ("space",))
            if space is None:
                upserts.report(zone.key, "spaces", f"there is no space {key!r}")
            elif row is not None and (pair := (row.id, space[1].id)) not in members:
                members.add(pair)
                upserts.session.add(ZoneSpace(zone_id=pair[0], space_id=pair[1]))
                upserts.touch(zone.key)
    upserts.session.flush()


def _take_equipment(upserts: Upserts, equipment: tuple[EquipmentNode, ...]) -> None:
    taken = []
    for node in equipment:
        row = upserts.take("equipment", node, {}, _place(upserts, "equipment", node.key, node.location))
        if isinstance(row, Equipment):
            taken.append((node, row))
    upserts.session.flush()
    wholes = {row.id: row.part_of_id for row in upserts.session.scalars(select(Equipment))}
    fed = {
        (feed.equipment_id, column, getattr(feed, column))
        for feed in upserts.session.scalars(select(Feed))
        for column in FED.values()
    }
    for node, row in taken:
        if node.part_of is not None:
            _join(upserts, node, row, wholes)
        for key in node.feeds:
            _feed(upserts, node, row, key, fed)
    upserts.session.flush()


def _join(upserts: Upserts, node: EquipmentNode, row: Equipment, wholes: dict[int, int | None]) -> None:
    """Let the equipment be part of what the node says, unless that goes in a circle."""
    found = upserts.resolve(node.part_of or "", ("equipment",))
    if found is None:
        upserts.report(node.key, "part_of", f"there is no equipment {node.part_of!r}")
        return
    whole = found[1].id
    if row.id in above(whole, wholes):
        upserts.report(node.key, "part_of", f"{node.part_of!r} is part of this one, or is it")
    elif row.part_of_id != whole:
        row.part_of_id = wholes[row.id] = whole
        upserts.touch(node.key)


def _feed(
    upserts: Upserts, node: EquipmentNode, row: Equipment, key: str, fed: set[tuple[int, str, int]]
) -> None:
    found = upserts.resolve(key, FED)
    if found is None:
        upserts.report(node.key, "feeds", f"there is no equipment, zone or space {key!r}")
        return
    kind, other = found
    if (feed := (row.id, FED[kind], other.id)) not in fed:
        fed.add(feed)
        upserts.session.add(Feed(equipment_id=row.id, **{FED[kind]: other.id}))
        upserts.touch(node.key)


def _take_points(upserts: Upserts, points: tuple[PointNode, ...]) -> None:
    session = upserts.session
    with_values = select(ModelPoint).where(ModelPoint.point_id.is_not(None))
    named = {row.point_id: row for row in session.scalars(with_values)}
    series = {
        f"{row.slug}/{row.name}": row.id
        for row in session.execute(select(Point.id, Point.name, Device.slug).join(Device))
    }
    unnamed = device_points(session, RowKeys(session))
    for node in points:
        kind, row_id = upserts.keys.parse(node.key) or ("", 0)
        bound = series.get(node.series or "")
        if bound is None and node.series is not None:
            upserts.report(node.key, "series", f"no device's point is {node.series!r}: it has no values")
        if kind == DEVICE_POINT and row_id in unnamed and bound in {None, row_id}:
            bound = row_id
            if _agrees(node, unnamed[row_id]):
                upserts.leave("model-point", node.key)
                continue
        row = upserts.take(
            "model-point",
            node,
            {"unit": node.unit},
            _place(upserts, "model-point", node.key, node.of),
            row=named.get(bound),
            accept=partial(_takes, bound),
        )
        if isinstance(row, ModelPoint) and bound is not None:
            _bind(upserts, node, row, bound, named)
    session.flush()


def _takes(bound: int | None, row: Row) -> bool:
    """Whether a point of the model has no values yet, or those of the device's point of this id."""
    return isinstance(row, ModelPoint) and row.point_id in {None, bound}


def _bind(
    upserts: Upserts, node: PointNode, row: ModelPoint, bound: int, named: dict[int | None, ModelPoint]
) -> None:
    """Let the device's point of this id bring the values, unless another one of the model has it."""
    if row.point_id == bound:
        return
    if bound in named:
        upserts.report(node.key, "series", f"another point of the model has the values of {node.series!r}")
        return
    named.pop(row.point_id, None)
    row.point_id = bound
    named[bound] = row
    upserts.touch(node.key)


def _agrees(node: PointNode, there: PointNode) -> bool:
    """Whether the node says nothing else of a device's point than what is known of it."""
    said = ("name", "brick_class", "of", "unit")
    return all(getattr(node, name) in {None, getattr(there, name)} for name in said)


def _place(upserts: Upserts, kind: Kind, key: str, named: str | None) -> dict[str, int | None]:
    """The columns that say what a thing stands in or tells about; none where the document does not say."""
    if named is None:
        return {}
    field = "location" if kind == "equipment" else "of"
    found = upserts.resolve(named, PLACES[kind])
    if found is None:
        upserts.report(key, field, f"there is no {' or '.join(PLACES[kind])} {named!r}")
        return {}
    return {column_of(each): found[1].id if each == found[0] else None for each in PLACES[kind]}
