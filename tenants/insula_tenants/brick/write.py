"""From a building model to a Brick graph, as Turtle or JSON-LD."""

from __future__ import annotations

import json
from collections.abc import Iterable

from rdflib import RDF, RDFS, XSD, BNode, Graph, Literal, URIRef

from insula_tenants.brick.files import GraphFormat
from insula_tenants.brick.units import QUDT, qudt_of
from insula_tenants.brick.vocabulary import BRICK, INSULA, REC, REF
from insula_tenants.building_model.document import ModelDocument, PointNode

_PREFIXES = {
    "brick": str(BRICK),
    "insula": str(INSULA),
    "rdfs": str(RDFS),
    "rec": str(REC),
    "ref": str(REF),
    "unit": QUDT,
    "xsd": str(XSD),
}


def write_brick(document: ModelDocument, form: GraphFormat = "turtle") -> str:
    """The model as a file that `read_brick` makes the same model of. One model is always written the same."""
    graph = graph_of(document)
    if form == "turtle":
        return graph.serialize(format="turtle")
    # The context stands in the file: nobody has to fetch one to read it.
    given = json.loads(graph.serialize(format="json-ld", context=_PREFIXES))
    given["@graph"] = sorted(given.get("@graph", []), key=lambda one: str(one.get("@id")))
    return json.dumps(given, indent=2, sort_keys=True, ensure_ascii=False) + "\n"


def graph_of(document: ModelDocument) -> Graph:
    """The model as a Brick graph. Relationships are said once, from the part to the whole."""
    graph = Graph(bind_namespaces="none")
    for prefix, namespace in _PREFIXES.items():
        graph.bind(prefix, namespace)
    for site in document.sites:
        _thing(graph, site.key, site.brick_class, site.name)
        _literal(graph, site.key, BRICK.latitude, site.latitude)
        _literal(graph, site.key, BRICK.longitude, site.longitude)
    for number, building in enumerate(document.buildings):
        _thing(graph, building.key, building.brick_class, building.name)
        _link(graph, building.key, BRICK.isPartOf, building.site)
        _literal(graph, building.key, INSULA.timeZone, building.time_zone)
        _area(graph, building.key, BRICK.grossArea, building.area, BNode(f"gross-{number}"))
    for storey in document.storeys:
        _thing(graph, storey.key, storey.brick_class, storey.name)
        _link(graph, storey.key, BRICK.isPartOf, storey.building)
        _literal(graph, storey.key, REC.levelNumber, storey.level)
    for number, space in enumerate(document.spaces):
        _thing(graph, space.key, space.brick_class, space.name)
        _link(graph, space.key, BRICK.isPartOf, space.storey)
        _area(graph, space.key, BRICK.netArea, space.area, BNode(f"net-{number}"))
        _literal(graph, space.key, INSULA.comfortCategory, space.comfort_category)
        if space.capacity is not None:
            capacity = BNode(f"capacity-{number}")
            graph.add((URIRef(space.key), REC.capacity, capacity))
            graph.add((capacity, RDF.type, REC.ArchitectureCapacity))
            graph.add((capacity, REC.maxOccupancy, Literal(space.capacity)))
    for zone in document.zones:
        _thing(graph, zone.key, zone.brick_class, zone.name)
        _links(graph, zone.key, BRICK.hasPart, zone.spaces)
    for equipment in document.equipment:
        _thing(graph, equipment.key, equipment.brick_class, equipment.name)
        _link(graph, equipment.key, BRICK.hasLocation, equipment.location)
        _link(graph, equipment.key, BRICK.isPartOf, equipment.part_of)
        _links(graph, equipment.key, BRICK.feeds, equipment.feeds)
    for number, point in enumerate(document.points):
        _point(graph, point, BNode(f"series-{number}"))
    return graph


def _point(graph: Graph, point: PointNode, reference: BNode) -> None:
    _thing(graph, point.key, point.brick_class, point.name)
    _link(graph, point.key, BRICK.isPointOf, point.of)
    if point.unit is not None:
        if (unit := qudt_of(point.unit)) is not None:
            graph.add((URIRef(point.key), BRICK.hasUnit, URIRef(unit)))
        else:
            _literal(graph, point.key, INSULA.unit, point.unit)
    if point.series is not None:
        graph.add((URIRef(point.key), REF.hasExternalReference, reference))
        graph.add((reference, RDF.type, REF.TimeseriesReference))
        graph.add((reference, REF.hasTimeseriesId, Literal(point.series)))


def _thing(graph: Graph, key: str, brick_class: str, name: str) -> None:
    graph.add((URIRef(key), RDF.type, BRICK[brick_class]))
    graph.add((URIRef(key), RDFS.label, Literal(name)))


def _literal(graph: Graph, key: str, predicate: URIRef, value: float | str | None) -> None:
    if value is not None:
        graph.add((URIRef(key), predicate, Literal(value)))


def _link(graph: Graph, key: str, predicate: URIRef, to: str | None) -> None:
    if to is not None:
        graph.add((URIRef(key), predicate, URIRef(to)))


def _links(graph: Graph, key: str, predicate: URIRef, to: Iterable[str]) -> None:
    for one in to:
        graph.add((URIRef(key), predicate, URIRef(one)))


def _area(graph: Graph, key: str, predicate: URIRef, area: float | None, node: BNode) -> None:
    if area is not None:
        graph.add((URIRef(key), predicate, node))
        graph.add((node, BRICK.value, Literal(area)))
        graph.add((node, BRICK.hasUnit, URIRef(f"{QUDT}M2")))
