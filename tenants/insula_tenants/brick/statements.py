"""What a graph says, by kind of statement, and what of it was used: the rest is told, so nothing is lost."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from functools import lru_cache

from rdflib import OWL, RDF, RDFS, BNode, Graph, Literal, URIRef
from rdflib.term import Node

from insula_tenants.brick.classes import NAMESPACE
from insula_tenants.brick.forward import brick_name, vocabulary_name
from insula_tenants.brick.vocabulary import FACTS, REFERENCES, RELATIONS, VALUES, Relation
from insula_tenants.building_model.upsert import Problem
from insula_tenants.errors import InvalidInput

MOST_THINGS = 20_000
"""In a file: sites to points."""

_ALWAYS = frozenset({str(OWL.NamedIndividual), str(OWL.Thing), str(RDFS.Resource)})
"""Classes that say nothing."""
_OF_NO_THING = frozenset(
    {str(OWL.Ontology), str(OWL.Class), str(RDFS.Class), "http://qudt.org/schema/qudt/Unit"}
)


@dataclass(slots=True)
class Statements:
    """A graph's statements. Things go by the text of their IRI, nodes without one by `_:` and a number."""

    types: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))
    own_classes: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))
    """Classes that the file declares, and those that it says they are a kind of."""
    relations: set[tuple[Relation, str, str]] = field(default_factory=set)
    facts: dict[tuple[str, str], list[Node]] = field(default_factory=lambda: defaultdict(list))
    """By thing and fact."""
    base: str | None = None
    """IRI of the ontology that the file says to be."""
    problems: list[Problem] = field(default_factory=list)
    _used: set[tuple[str, str]] = field(default_factory=set)

    def tell(self, key: str, what: str, detail: str) -> None:
        """Note something that is not taken in as the file has it."""
        self.problems.append(Problem(key, f"{what}", detail))

    def take(self, thing: str, fact: str) -> list[Node]:
        """The objects of a fact, in order; they are used with that."""
        if (thing, fact) not in self.facts:
            return []
        self._used.add((thing, fact))
        return sorted(self.facts[thing, fact], key=str)

    def texts(self, thing: str, fact: str) -> list[str]:
        """The objects of a fact as texts, those without a language first, then English."""
        found = [one for one in self.take(thing, fact) if isinstance(one, Literal)]
        order = {None: 0, "en": 1}
        return [str(one) for one in sorted(found, key=lambda one: (order.get(one.language, 2), str(one)))]

    def things(self) -> list[str]:
        """What the file speaks of, in order; not its classes, its values or itself."""
        values = {
            name_of(one)
            for (_, fact), found in self.facts.items()
            if fact in VALUES | REFERENCES
            for one in found
        }
        found = {*self.types, *(thing for thing, _ in self.facts)}
        found |= {thing for _, one, other in self.relations for thing in (one, other)}
        things = sorted(
            one
            for one in found
            if one not in values
            and one not in self.own_classes
            and not _OF_NO_THING.intersection(self.types.get(one, ()))
        )
        if len(things) > MOST_THINGS:
            raise InvalidInput(
                "body",
                f"there are {len(things)} things: {MOST_THINGS} are taken at most, so send it in parts",
            )
        return things

    def unused(self) -> list[tuple[str, str]]:
        """Things and their facts that nobody took."""
        return sorted(one for one in self.facts if one not in self._used)


def gather(graph: Graph) -> Statements:
    """Sort a graph's statements. What no model could hold is told at once."""
    said = Statements()
    for subject, predicate, value in sorted(graph, key=lambda one: tuple(map(str, one))):
        thing, word = name_of(subject), str(predicate)
        fact, relation = _meaning(word)
        if isinstance(subject, Literal):
            said.tell(str(subject)[:100], word, "a text says nothing: a statement begins with an IRI")
        elif predicate == RDF.type:
            _gather_type(said, thing, value)
        elif predicate == RDFS.subClassOf and isinstance(value, URIRef):
            said.own_classes[thing].append(str(value))
        elif fact is not None:
            said.facts[thing, fact].append(value)
        elif relation is not None and not isinstance(value, Literal):
            which, reverse = relation
            ends = (name_of(value), thing) if reverse else (thing, name_of(value))
            said.relations.add((which, *ends))
        elif predicate == OWL.imports:
            if "//brickschema.org/" not in str(value):
                said.tell(thing, "owl:imports", f"{value} is not followed: put what it says into the file")
        else:
            said.tell(thing, short(word), f"a model does not keep it: {_shown(value)}")
    return said


@lru_cache(maxsize=1024)
def _meaning(predicate: str) -> tuple[str | None, tuple[Relation, bool] | None]:
    """The fact, or the relation, that a predicate is."""
    name = vocabulary_name(predicate) or ""
    return FACTS.get(predicate) or FACTS.get(f"{NAMESPACE}{name}"), RELATIONS.get(name)


def _gather_type(said: Statements, thing: str, value: Node) -> None:
    if value == OWL.Ontology and said.base is None and not thing.startswith("_:"):
        said.base = thing
    if str(value) not in _ALWAYS:
        said.types[thing].append(name_of(value))
    if value in {OWL.Class, RDFS.Class}:
        said.own_classes[thing] += []


def name_of(node: Node) -> str:
    """The text of an IRI; of a node without one `_:` and its name."""
    return f"_:{node}" if isinstance(node, BNode) else str(node)


def short(iri: str) -> str:
    """A predicate as problems name it: without the namespace where it is a known one."""
    return brick_name(iri) or vocabulary_name(iri) or iri[:200]


def _shown(value: Node) -> str:
    return name_of(value)[:100]
