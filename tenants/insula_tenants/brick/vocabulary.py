"""Words of graphs: Brick's and RealEstateCore's relationships, and the few facts that a model keeps."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum

from rdflib import Namespace

from insula_tenants.brick.classes import NAMESPACE

BRICK = Namespace(NAMESPACE)
REC = Namespace("https://w3id.org/rec#")
REF = Namespace("https://brickschema.org/schema/Brick/ref#")
INSULA = Namespace("urn:insula:vocabulary#")
"""For what neither Brick nor RealEstateCore has a word: `timeZone`, `comfortCategory`, `unit`."""


class Relation(StrEnum):
    """How two things have to do with each other; problems name it as their field."""

    PART_OF = "isPartOf"
    LOCATION = "hasLocation"
    POINT_OF = "isPointOf"
    FEEDS = "feeds"


RELATIONS: Mapping[str, tuple[Relation, bool]] = {
    "isPartOf": (Relation.PART_OF, False),
    "hasPart": (Relation.PART_OF, True),
    "rec:isPartOf": (Relation.PART_OF, False),
    "rec:hasPart": (Relation.PART_OF, True),
    "rec:includes": (Relation.PART_OF, True),
    "hasLocation": (Relation.LOCATION, False),
    "isLocationOf": (Relation.LOCATION, True),
    "rec:locatedIn": (Relation.LOCATION, False),
    "rec:isLocationOf": (Relation.LOCATION, True),
    "isLocatedIn": (Relation.LOCATION, False),
    "contains": (Relation.LOCATION, True),
    "isPointOf": (Relation.POINT_OF, False),
    "hasPoint": (Relation.POINT_OF, True),
    "rec:isPointOf": (Relation.POINT_OF, False),
    "rec:hasPoint": (Relation.POINT_OF, True),
    "feeds": (Relation.FEEDS, False),
    "isFedBy": (Relation.FEEDS, True),
    "rec:feeds": (Relation.FEEDS, False),
    "rec:isFedBy": (Relation.FEEDS, True),
}
"""By the word of the file: what it says, and whether the other way round. `isLocatedIn` and `contains` are
BrickFrame's, of Brick 1.0."""

FACTS: Mapping[str, str] = {
    "http://www.w3.org/2000/01/rdf-schema#label": "label",
    "http://www.w3.org/2004/02/skos/core#prefLabel": "prefLabel",
    str(BRICK.latitude): "latitude",
    str(BRICK.longitude): "longitude",
    str(BRICK.coordinates): "coordinates",
    str(BRICK.area): "area",
    str(BRICK.netArea): "netArea",
    str(BRICK.grossArea): "grossArea",
    str(BRICK.value): "value",
    str(BRICK.hasUnit): "hasUnit",
    str(BRICK.hasTag): "hasTag",
    str(BRICK.timeseries): "timeseries",
    str(BRICK.hasTimeseriesId): "hasTimeseriesId",
    str(REF.hasExternalReference): "hasExternalReference",
    str(REF.hasTimeseriesId): "hasTimeseriesId",
    str(REC.levelNumber): "levelNumber",
    str(REC.capacity): "capacity",
    str(REC.maxOccupancy): "maxOccupancy",
    str(INSULA.timeZone): "timeZone",
    str(INSULA.comfortCategory): "comfortCategory",
    str(INSULA.unit): "unit",
}
"""Predicates that are read, and what they are called here and in problems."""

VALUES = frozenset({"area", "netArea", "grossArea", "capacity", "coordinates"})
"""Facts whose object is a node with the value on it; so are references to where a point's values are."""

REFERENCES = frozenset({"hasExternalReference", "timeseries"})
