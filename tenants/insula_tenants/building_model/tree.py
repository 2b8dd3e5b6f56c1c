"""The whole building model as a tree, with how much is in each part of it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from insula_tenants.building_model.coverage import Coverage
from insula_tenants.building_model.kinds import MODELS, PLACES, Kind, column_of
from insula_tenants.building_model.models import Zone
from insula_tenants.building_model.views import ZoneView, views_of
from insula_tenants.devices.models import Device, Point
from insula_tenants.spaces.models import Building, Site, Space, Storey


@dataclass(slots=True)
class Counts:
    """What is in a part of the tree, in all that stands in it included."""

    spaces: int = 0
    devices: int = 0
    """Those in use."""
    points: int = 0
    """Of these devices."""
    equipment: int = 0
    model_points: int = 0

    def add(self, other: Counts) -> None:
        """Count what is in the other as well."""
        self.spaces += other.spaces
        self.devices += other.devices
        self.points += other.points
        self.equipment += other.equipment
        self.model_points += other.model_points


@dataclass(frozen=True, slots=True)
class SpaceNode:
    """A space."""

    id: int
    name: str
    brick_class: str
    counts: Counts
    area: float | None
    """m²."""
    capacity: int | None
    comfort_category: str | None


@dataclass(frozen=True, slots=True)
class StoreyNode:
    """A storey and its spaces, by name."""

    id: int
    name: str
    brick_class: str
    counts: Counts
    level: int
    spaces: list[SpaceNode]


@dataclass(frozen=True, slots=True)
class BuildingNode:
    """A building and its storeys, by level."""

    id: int
    name: str
    brick_class: str
    counts: Counts
    time_zone: str
    area: float | None
    """m²."""
    storeys: list[StoreyNode]


@dataclass(frozen=True, slots=True)
class SiteNode:
    """A site and its buildings, by name."""

    id: int
    name: str
    brick_class: str
    counts: Counts
    buildings: list[BuildingNode]


@dataclass(frozen=True, slots=True)
class Tree:
    """All of it. What stands in no space, storey or building is in `counts` alone."""

    counts: Counts
    sites: list[SiteNode]
    zones: list[ZoneView]


def read_tree(session: Session, *, coverage: Coverage | None = None) -> Tree:
    """The model as it is; with `coverage` what a grant sees of it."""
    counted = _Counted(session, coverage)
    spaces: defaultdict[int, list[SpaceNode]] = defaultdict(list)
    for row in _seen(session, "space", coverage, Space.name):
        counts = counted.at("space", row.id, [Counts(spaces=1)])
        facts = (row.area, row.capacity, row.comfort_category)
        spaces[row.storey_id].append(SpaceNode(row.id, row.name, row.brick_class, counts, *facts))
    storeys: defaultdict[int, list[StoreyNode]] = defaultdict(list)
    for row in _seen(session, "storey", coverage, Storey.level, Storey.name):
        within = spaces[row.id]
        counts = counted.at("storey", row.id, (one.counts for one in within))
        storeys[row.building_id].append(
            StoreyNode(row.id, row.name, row.brick_class, counts, row.level, within)
        )
    buildings: defaultdict[int, list[BuildingNode]] = defaultdict(list)
    for row in _seen(session, "building", coverage, Building.name):
        floors = storeys[row.id]
        counts = counted.at("building", row.id, (one.counts for one in floors))
        buildings[row.site_id].append(
            BuildingNode(row.id, row.name, row.brick_class, counts, row.time_zone, row.area, floors)
        )
    sites = []
    for row in _seen(session, "site", coverage, Site.name):
        there = buildings[row.id]
        counts = counted.at("site", row.id, (one.counts for one in there))
        sites.append(SiteNode(row.id, row.name, "Site", counts, there))
    zones = views_of(session, "zone", _seen(session, "zone", coverage, Zone.name), coverage=coverage)
    return Tree(counted.total(sum(len(each) for each in spaces.values())), sites, zones)


class _Counted:
    """How much stands in each place itself, and how much there is."""

    def __init__(self, session: Session, coverage: Coverage | None) -> None:
        self._at: defaultdict[tuple[Kind, int], Counts] = defaultdict(Counts)
        self._total = Counts()
        query = (
            select(Device.space_id, func.count(Device.id.distinct()), func.count(Point.id))
            .outerjoin(Point, Point.device_id == Device.id)
            .where(Device.state != "decommissioned")
            .group_by(Device.space_id)
        )
        if coverage is not None:
            query = query.where(Device.space_id.in_(coverage.seen["space"]))
        for space_id, devices, points in session.execute(query):
            place: tuple[Kind, int] | None = ("space", space_id) if space_id is not None else None
            self._note(place, Counts(devices=devices, points=points))
        self._count(session, "equipment", coverage, lambda number: Counts(equipment=number))
        self._count(session, "model-point", coverage, lambda number: Counts(model_points=number))

    def at(self, kind: Kind, row_id: int, within: Iterable[Counts]) -> Counts:
        """What stands there itself, and in all that is within."""
        counts = self._at[kind, row_id]
        for each in within:
            counts.add(each)
        return counts

    def total(self, spaces: int) -> Counts:
        """Everything, standing somewhere or not."""
        self._total.spaces = spaces
        return self._total

    def _count(
        self, session: Session, kind: Kind, coverage: Coverage | None, counted: Callable[[int], Counts]
    ) -> None:
        model = MODELS[kind]
        columns = [getattr(model, column_of(place)) for place in PLACES[kind]]
        query = select(*columns, func.count()).group_by(*columns)
        if coverage is not None:
            query = query.where(model.id.in_(coverage.seen[kind]))
        for *ids, number in session.execute(query):
            named = zip(PLACES[kind], ids, strict=True)
            self._note(next((each for each in named if each[1] is not None), None), counted(number))

    def _note(self, place: tuple[Kind, int] | None, counts: Counts) -> None:
        self._total.add(counts)
        if place is not None:
            self._at[place].add(counts)


def _seen(session: Session, kind: Kind, coverage: Coverage | None, *order: Any) -> list[Any]:
    model = MODELS[kind]
    query = select(model).order_by(*order, model.id)
    if coverage is not None:
        query = query.where(model.id.in_(coverage.seen[kind]))
    return list(session.scalars(query))
