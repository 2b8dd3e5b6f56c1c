"""Check a graph against the shapes of the Brick ontology (SHACL), with pyshacl.

It is thorough and slow: half a minute for a building of 1 700 things, most of it the engine's. So it is what
one asks for at a terminal; what is taken in is checked by `read_brick`, which tells each class and each
relationship that Brick does not allow, in a fraction of a second.
"""

from __future__ import annotations

from functools import cache
from importlib.resources import files

from rdflib import RDF, Graph, Namespace, URIRef
from rdflib.namespace import SH

from insula_tenants.brick.classes import VERSION
from insula_tenants.brick.statements import short
from insula_tenants.brick.units import QUDT, UNITS
from insula_tenants.building_model.upsert import Problem

_QUDT_SCHEMA = Namespace("http://qudt.org/schema/qudt/")


def check_shapes(graph: Graph) -> tuple[Problem, ...]:
    """What of a graph in today's Brick the ontology's shapes forbid, in order; warnings do not count."""
    from pyshacl import validate

    shapes = _ontology()
    data = Graph()
    data += graph
    for unit in UNITS:
        # Brick takes units from QUDT, which brickschema does not carry.
        data.add((URIRef(f"{QUDT}{unit}"), RDF.type, _QUDT_SCHEMA.Unit))
    conforms, report, text = validate(
        data, shacl_graph=shapes, ont_graph=shapes, allow_warnings=True, do_owl_imports=False
    )
    if conforms:
        return ()
    if not isinstance(report, Graph):
        raise TypeError(text)
    found = set()
    for result in report.subjects(RDF.type, SH.ValidationResult):
        if report.value(result, SH.resultSeverity) != SH.Violation:
            continue
        path = report.value(result, SH.resultPath)
        messages = sorted(str(one) for one in report.objects(result, SH.resultMessage))
        focus = str(report.value(result, SH.focusNode))
        found.add(
            Problem(focus, short(str(path)) if isinstance(path, URIRef) else "", " ".join(messages)[:300])
        )
    return tuple(sorted(found, key=lambda one: (one.key, one.field, one.detail)))


@cache
def _ontology() -> Graph:
    return Graph().parse(str(files("brickschema") / "ontologies" / VERSION / "Brick.ttl"), format="turtle")
