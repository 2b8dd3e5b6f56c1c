"""The Brick ontology as the installed brickschema has it, and the lists that are made from it."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from importlib.resources import files

from rdflib import OWL, RDF, RDFS, Graph, Namespace, URIRef

from insula_tenants.brick.classes import NAMESPACE, VERSION, is_subclass

BRICK = Namespace(NAMESPACE)
REC = Namespace("https://w3id.org/rec#")


@cache
def ontology() -> Graph:
    """Parsed once a process: it takes seconds."""
    return Graph().parse(str(files("brickschema") / "ontologies" / VERSION / "Brick.ttl"), format="turtle")


def replaced() -> str:
    """A deprecated class of Brick, or `rec:` and a class of RealEstateCore, and the Brick class for it."""
    graph = ontology()
    lines = []
    counterparts: dict[URIRef, list[str]] = {}
    for old, new in graph.subject_objects(BRICK.isReplacedBy):
        if old in BRICK and new in BRICK and (new, RDF.type, OWL.Class) in graph:
            lines.append(f"{local(old)} {local(new)}")
        elif old in BRICK and new in REC and (old, RDF.type, OWL.Class) in graph:
            counterparts.setdefault(new, []).append(local(old))
        elif old in REC and new in BRICK:
            counterparts[old] = [local(new)]
    lines += [
        f"rec:{local(each)} {name}"
        for each in set(graph.subjects(RDF.type, RDFS.Class))
        if each in REC and (name := of_rec(each, counterparts))
    ]
    return "\n".join(sorted(lines)) + "\n"


def of_rec(name: URIRef, counterparts: dict[URIRef, list[str]]) -> str | None:
    """The Brick class that stands nearest to a class of RealEstateCore: its own, or that of one above it."""
    for above in breadth_first(name):
        if above in counterparts:
            return nearest_of(local(above), counterparts[above])
        if above in BRICK:
            return local(above)
    return None


def breadth_first(name: URIRef) -> Iterable[URIRef]:
    ahead, seen = [name], {name}
    while ahead:
        each = ahead.pop(0)
        yield each
        above = [one for one in sorted(ontology().objects(each, RDFS.subClassOf)) if isinstance(one, URIRef)]
        ahead += [one for one in above if one not in seen]
        seen |= set(above)


def nearest_of(name: str, counterparts: list[str]) -> str | None:
    """The one of this name, else the narrowest class that all of them are a kind of.

    A lone one of another name says too much: the ontology gives `rec:BackOffice` in place of
    `Janitor_Room`, but not every back office is the janitor's.
    """
    for one in counterparts:
        if one.replace("_", "").lower() == name.lower():
            return one
    above = [local(one) for one in breadth_first(BRICK[min(counterparts)]) if one in BRICK]
    shared = [one for one in above if all(is_subclass(each, one) for each in counterparts)]
    return min((one for one in shared if [one] != counterparts), key=shared.index, default=None)


def tags() -> str:
    """Each class of equipment, points and places, and the tags that say the same."""
    graph = ontology()
    lines = []
    for each in set(graph.subjects(BRICK.hasAssociatedTag)):
        if each in BRICK and any(
            is_subclass(local(each), root) for root in ("Equipment", "Point", "Location")
        ):
            names = sorted(local(tag) for tag in graph.objects(each, BRICK.hasAssociatedTag))
            lines.append(" ".join([local(each), *names]))
    return "\n".join(sorted(lines)) + "\n"


def local(iri: object) -> str:
    return str(iri).rpartition("#")[2]
