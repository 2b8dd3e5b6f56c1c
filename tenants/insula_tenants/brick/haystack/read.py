"""From a grid of Haystack's to a building model.

A grid is said as a Brick graph first, so that what holds for Brick files holds for these: levels that are
missing are made, circles cut, what cannot be kept is told. A thing's IRI is `urn:haystack:` and its id.

Haystack's *site* is a single facility: a building here, on a site of its own.
"""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import quote

from rdflib import RDF, RDFS, BNode, Graph, Literal, URIRef

from insula_tenants.brick.haystack.grids import Row, read_grid
from insula_tenants.brick.haystack.tags import (
    SPACES,
    equipment_class,
    point_class,
    time_zone_of,
    unit_of,
)
from insula_tenants.brick.read import Reading, read_brick
from insula_tenants.brick.units import QUDT
from insula_tenants.brick.vocabulary import BRICK, INSULA, REC
from insula_tenants.building_model.upsert import Problem
from insula_tenants.errors import InvalidInput

NAMESPACE = "urn:haystack:"

_UPSTREAM = frozenset(
    {
        "ahuRef",
        "airRef",
        "boilerRef",
        "chilledWaterRef",
        "chillerRef",
        "condenserWaterRef",
        "elecRef",
        "hotWaterRef",
        "steamRef",
        "vavRef",
    }
)
"""References to the equipment that serves a thing."""
_NO_NEWS = frozenset({"dis", "navName", "id", "mod", "kind", "tz", "disMacro", "ver"})
"""Tags that say how a thing is shown or stored."""
_KINDS = ("point", "equip", "floor", "space", "site")
"""Markers of what a model has, the narrowest first: older grids mark a floor as a space too."""
_AREA_UNITS: Mapping[str, str] = {"m**2": "M2", "ft**2": "FT2"}


def read_haystack(content: bytes) -> Reading:
    """The building model that a grid describes. Raises `InvalidInput` for what is no grid."""
    rows = read_grid(content)
    grid = _Grid(rows)
    if not grid.rows:
        raise InvalidInput("body", "there is no row with an id that is a site, space, floor, equip or point")
    for row in grid.rows.values():
        grid.say(row)
    reading = read_brick(grid.graph)
    problems = sorted({*grid.problems, *reading.problems}, key=lambda one: (one.key, one.field, one.detail))
    return Reading(reading.document, tuple(problems))


class _Grid:
    """The graph that a grid comes to."""

    def __init__(self, rows: list[Row]) -> None:
        self.graph = Graph(bind_namespaces="none")
        self.problems: list[Problem] = []
        self.rows: dict[str, Row] = {}
        for row in rows:
            if row.id is None:
                self._tell(f"row {row.number}", "id", "a row without an id: give it one, to know it again")
            elif row.id in self.rows:
                self._tell(_iri(row.id), "id", f"row {row.number} has it again: the first is kept")
            elif not row.markers.intersection(_KINDS):
                marked = ", ".join(sorted(row.markers)) or "nothing"
                self._tell(_iri(row.id), "markers", f"a model has no place for what is marked {marked[:200]}")
            else:
                self.rows[row.id] = row

    def say(self, row: Row) -> None:
        """Say what a row says."""
        thing = URIRef(_iri(row.id or ""))
        name = row.texts.get("dis") or row.texts.get("navName")
        if name:
            self.graph.add((thing, RDFS.label, Literal(name)))
        kind = next(one for one in _KINDS if one in row.markers)
        used = {
            "site": self._site,
            "floor": self._floor,
            "space": self._space,
            "equip": self._equip,
            "point": self._point,
        }[kind](row, thing)
        self._tell_unused(row, used | {kind})

    def _site(self, row: Row, thing: URIRef) -> set[str]:
        site = URIRef(f"{thing}_site")
        self.graph.add((thing, RDF.type, BRICK.Building))
        self.graph.add((site, RDF.type, BRICK.Site))
        self.graph.add((thing, BRICK.isPartOf, site))
        if label := self.graph.value(thing, RDFS.label):
            self.graph.add((site, RDFS.label, label))
        if (where := row.coordinates.get("geoCoord")) is not None:
            self.graph.add((site, BRICK.latitude, Literal(where.latitude)))
            self.graph.add((site, BRICK.longitude, Literal(where.longitude)))
        if (zone := row.texts.get("tz")) is not None:
            known = time_zone_of(zone)
            if known is None:
                self._tell(str(thing), "time_zone", f"{zone[:80]!r} is no time zone that is known")
            else:
                self.graph.add((thing, INSULA.timeZone, Literal(known)))
        self._area(row, thing, BRICK.grossArea)
        return {"geoCoord", "area"}

    def _floor(self, row: Row, thing: URIRef) -> set[str]:
        self.graph.add((thing, RDF.type, BRICK.Floor))
        self._link(row, thing, BRICK.isPartOf, "siteRef")
        if (level := row.numbers.get("floorNum")) is not None and level.value.is_integer():
            self.graph.add((thing, REC.levelNumber, Literal(int(level.value))))
        return {"siteRef", "floorNum", "space"}

    def _space(self, row: Row, thing: URIRef) -> set[str]:
        marker = next((one for one in SPACES if one in row.markers), None)
        self.graph.add((thing, RDF.type, BRICK[SPACES[marker]] if marker else BRICK.Space))
        self._link(row, thing, BRICK.isPartOf, "spaceRef", "floorRef", "siteRef")
        self._area(row, thing, BRICK.netArea)
        self._upstream(row, thing)
        return {"siteRef", "spaceRef", "floorRef", "area", *_UPSTREAM, *({marker} if marker else ())}

    def _equip(self, row: Row, thing: URIRef) -> set[str]:
        name, said = equipment_class(row.markers)
        if name == "Equipment":
            self._tell(str(thing), "brick_class", "its markers do not say which equipment: kept as Equipment")
        self.graph.add((thing, RDF.type, BRICK[name]))
        self._link(row, thing, BRICK.hasLocation, "spaceRef", "floorRef", "siteRef")
        self._link(row, thing, BRICK.isPartOf, "equipRef")
        self._upstream(row, thing)
        return {"siteRef", "spaceRef", "floorRef", "equipRef", *_UPSTREAM, *said}

    def _point(self, row: Row, thing: URIRef) -> set[str]:
        name, said = point_class(row.markers)
        if name in {"Point", "Sensor", "Setpoint", "Command"}:
            self._tell(str(thing), "brick_class", f"its markers say no more than that it is a {name}")
        self.graph.add((thing, RDF.type, BRICK[name]))
        self._link(row, thing, BRICK.isPointOf, "equipRef", "spaceRef", "floorRef", "siteRef")
        if symbol := row.texts.get("unit"):
            unit = unit_of(symbol)
            if unit is None:
                self._tell(str(thing), "unit", f"{symbol[:80]!r} is no unit that is known: left out")
            else:
                self.graph.add((thing, INSULA.unit, Literal(unit)))
        return {"siteRef", "spaceRef", "floorRef", "equipRef", "unit", *said}

    def _link(self, row: Row, thing: URIRef, predicate: URIRef, *tags: str) -> None:
        """Say the first of these references that leads to something; those after it follow in Haystack."""
        for tag in tags:
            if (to := row.refs.get(tag)) is None:
                continue
            if to in self.rows:
                self.graph.add((thing, predicate, URIRef(_iri(to))))
                return
            self._tell(str(thing), tag, f"{to[:80]!r} is not in the grid, or not taken in")

    def _upstream(self, row: Row, thing: URIRef) -> None:
        for tag in sorted(_UPSTREAM & row.refs.keys()):
            self._link(row, thing, BRICK.isFedBy, tag)

    def _area(self, row: Row, thing: URIRef, predicate: URIRef) -> None:
        if (area := row.numbers.get("area")) is None:
            return
        unit = unit_of(area.unit) if area.unit is not None else "m**2"
        if unit is None or unit not in _AREA_UNITS:
            self._tell(str(thing), "area", f"{str(area.unit)[:40]!r} is not ft² or m²: left out")
            return
        node = BNode()
        self.graph.add((thing, predicate, node))
        self.graph.add((node, BRICK.value, Literal(area.value)))
        self.graph.add((node, BRICK.hasUnit, URIRef(f"{QUDT}{_AREA_UNITS[unit]}")))

    def _tell_unused(self, row: Row, used: set[str]) -> None:
        there = row.markers | row.others | {*row.refs, *row.texts, *row.numbers, *row.coordinates}
        left = sorted(there - used - _NO_NEWS)
        if left:
            self._tell(_iri(row.id or ""), "tags", f"a model does not keep {', '.join(left)[:500]}")

    def _tell(self, key: str, field: str, detail: str) -> None:
        self.problems.append(Problem(key, field, detail))


def _iri(row_id: str) -> str:
    return NAMESPACE + quote(row_id, safe="-._~:@")
