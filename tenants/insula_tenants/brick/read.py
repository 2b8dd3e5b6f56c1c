"""From a Brick graph to a building model."""

from __future__ import annotations

from typing import NamedTuple

from rdflib import Graph

from insula_tenants.brick.facts import Facts
from insula_tenants.brick.kinds import Classes, Kinds, find_kinds
from insula_tenants.brick.places import Places, find_places
from insula_tenants.brick.relations import Links, find_links
from insula_tenants.brick.statements import Statements, gather
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
from insula_tenants.building_model.kinds import Kind
from insula_tenants.building_model.upsert import Problem


class Reading(NamedTuple):
    """What a file comes to."""

    document: ModelDocument
    problems: tuple[Problem, ...]
    """What of it a model cannot hold, or holds in another way, thing by thing and in their order."""


def read_brick(graph: Graph) -> Reading:
    """The building model that a graph describes, in Brick of any release.

    Every statement of the graph is in the document, follows from it, or is told in the problems.
    """
    said = gather(graph)
    kinds, classes = find_kinds(said)
    places = find_places(said, kinds, classes)
    links = find_links(said, kinds, places)
    document = _document(said, kinds, classes, places, links)
    problems = sorted(said.problems, key=lambda one: (one.key, one.field, one.detail))
    return Reading(document, tuple(problems))


def _document(
    said: Statements, kinds: Kinds, classes: Classes, places: Places, links: Links
) -> ModelDocument:
    facts = Facts(said, classes)

    def of(kind: Kind) -> list[str]:
        return sorted(thing for thing, each in kinds.items() if each == kind)

    facts.name_all(kinds, places)
    document = ModelDocument(
        sites=tuple(
            SiteNode(one, facts.name(one), "Site", facts.latitude(one), facts.longitude(one))
            for one in of("site")
        ),
        buildings=tuple(
            BuildingNode(
                one,
                facts.name(one),
                places.site[one],
                classes[one],
                facts.text(one, "timeZone"),
                facts.area(one, "grossArea"),
            )
            for one in of("building")
        ),
        storeys=tuple(
            StoreyNode(one, facts.name(one), places.building[one], facts.level(one), classes[one])
            for one in of("storey")
        ),
        spaces=tuple(
            SpaceNode(
                one,
                facts.name(one),
                places.storey[one],
                classes[one],
                facts.area(one, "netArea"),
                facts.capacity(one),
                facts.text(one, "comfortCategory"),
            )
            for one in of("space")
        ),
        zones=tuple(
            ZoneNode(one, facts.name(one), classes[one], tuple(sorted(places.zones.get(one, ()))))
            for one in of("zone")
        ),
        equipment=tuple(
            EquipmentNode(
                one,
                facts.name(one),
                classes[one],
                links.location.get(one),
                links.part_of.get(one),
                tuple(sorted(links.feeds.get(one, ()))),
            )
            for one in of("equipment")
        ),
        points=tuple(
            PointNode(
                one, facts.name(one), classes[one], links.owner.get(one), facts.unit(one), facts.series(one)
            )
            for one in of("model-point")
        ),
    )
    facts.tell_unused(kinds)
    return document
