"""What kind of thing each of a file's is, and of which of today's classes."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from importlib.resources import files

from insula_tenants.brick.classes import VERSION, is_subclass
from insula_tenants.brick.forward import Forward, forward, replacements, vocabulary_name
from insula_tenants.brick.statements import Statements, short
from insula_tenants.brick.vocabulary import Relation
from insula_tenants.building_model.keys import check_iri, local_name
from insula_tenants.building_model.kinds import CLASSES, Kind
from insula_tenants.errors import InvalidInput

Kinds = dict[str, Kind]
"""The kind of each thing that is taken in."""
Classes = dict[str, str]
"""Its class."""


_TAKEN_FOR_STOREY = "the file gives it no class: taken for a Storey, since rooms are part of it"


def find_kinds(said: Statements) -> tuple[Kinds, Classes]:
    """What each thing is. What has no class, two that exclude each other, or no name of its own is told."""
    kinds: Kinds = {}
    classes: Classes = {}
    wholes_of_rooms = {
        whole
        for relation, one, whole in said.relations
        if relation is Relation.PART_OF and whole not in said.types and _kind_by_types(said, one) == "space"
    }
    for thing in said.things():
        if not _has_name(said, thing):
            continue
        if thing not in said.types:
            # Brick lets places alone have rooms for parts.
            if thing in wholes_of_rooms:
                said.tell(thing, "brick_class", _TAKEN_FOR_STOREY)
                kinds[thing], classes[thing] = "storey", "Storey"
            continue
        found = [one for iri in said.types[thing] if (one := _class_of(said, iri)) is not None]
        by_kind = {kind: one for one in found if (kind := kind_of(one.name)) is not None}
        if len(by_kind) == 1:
            kinds[thing] = next(iter(by_kind))
            classes[thing] = _told_by_tags(said, thing, _narrowest(said, thing, found))
        elif by_kind:
            said.tell(
                thing, "brick_class", f"it is said to be {' and '.join(sorted(by_kind))}: it can be one"
            )
        else:
            names = ", ".join(short(iri) for iri in said.types[thing])
            said.tell(thing, "brick_class", f"a model has no place for what is {names} in Brick {VERSION}")
    _tell_those_without_class(said, kinds)
    return kinds, classes


@cache
def kind_of(brick_class: str) -> Kind | None:
    """The kind of thing that is of this class; None for what a model has no place for."""
    for kind, roots in CLASSES.items():
        if any(is_subclass(brick_class, root) for root in roots):
            return kind
    return None


@cache
def tags_of(brick_class: str) -> frozenset[str]:
    """The tags that the class says already."""
    return tags().get(brick_class, frozenset())


@cache
def tags() -> dict[str, frozenset[str]]:
    """By class the tags that say the same; `tags.txt` is made from the ontology as `classes.txt` is."""
    lines = (files(__package__) / "tags.txt").read_text(encoding="ascii").splitlines()
    return {name: frozenset(tags) for name, *tags in (line.split() for line in lines)}


def narrowed(brick_class: str, said: frozenset[str]) -> str:
    """The kind of the class that these tags say; the class itself where they say none, or more than one.

    Files of Brick 1.0 say `VAV` and the tag `Reheat` of what is a `Variable_Air_Volume_Box_With_Reheat`.
    """
    found = [(len(more), one) for one, more in _kinds_by_tags(brick_class) if said.issuperset(more)]
    most = max((number for number, _ in found), default=0)
    best = [one for number, one in found if number == most]
    return best[0] if len(best) == 1 else brick_class


@cache
def _kinds_by_tags(brick_class: str) -> tuple[tuple[str, frozenset[str]], ...]:
    """The narrower classes, and the tags that each has besides those of the class and its own name."""
    kinds = [one for one in tags() if is_subclass(one, brick_class)]
    implied = frozenset().union(*(tags_of(one) for one in kinds if is_subclass(brick_class, one)))
    found = (
        (one, frozenset(tag for tag in tags_of(one) - implied if not is_subclass(one, tag)))
        for one in kinds
        if not is_subclass(brick_class, one) and one not in replacements()
    )
    return tuple((one, more) for one, more in found if more)


def _told_by_tags(said: Statements, thing: str, brick_class: str) -> str:
    own = frozenset(local_name(str(one)) for one in said.facts.get((thing, "hasTag"), ()))
    found = narrowed(brick_class, own) if own - tags_of(brick_class) else brick_class
    if found != brick_class:
        said.tell(thing, "brick_class", f"its tags say which {brick_class} it is: kept as {found}")
    return found


def _has_name(said: Statements, thing: str) -> bool:
    if thing.startswith("_:"):
        types = ", ".join(short(iri) for iri in said.types.get(thing, ()))
        if types:
            said.tell(thing, "iri", f"a thing of {types} without an IRI: give it one, to know it again")
        return False
    if thing.startswith("https://relative.invalid/"):
        said.tell(thing, "iri", "a relative IRI: give the file a @base, or the thing an absolute IRI")
        return False
    try:
        check_iri(thing)
    except InvalidInput as error:
        said.tell(thing[:200], "iri", error.detail)
        return False
    return True


def _kind_by_types(said: Statements, thing: str) -> Kind | None:
    found = (_class_of(said, iri) for iri in said.types.get(thing, ()))
    return next((kind for one in found if one is not None and (kind := kind_of(one.name))), None)


def _class_of(said: Statements, iri: str) -> Forward | None:
    """Today's class for one of the file; for one that it declares itself, that of what it is a kind of."""
    ahead, seen = [iri], {iri}
    while ahead:
        each = ahead.pop(0)
        name = vocabulary_name(each)
        if name is not None and (each == iri or each not in said.own_classes) and (found := forward(name)):
            if each == iri:
                return found
            return Forward(found.name, f"{short(iri)} is the file's own class, kept as {found.name}")
        above = [one for one in said.own_classes.get(each, ()) if one not in seen]
        ahead += above
        seen.update(above)
    return None


def _narrowest(said: Statements, thing: str, found: Iterable[Forward]) -> str:
    """Of several classes of a kind the narrowest; another that it does not imply is told."""
    by_name = {one.name: one for one in sorted(found, key=lambda one: one.reason or "", reverse=True)}
    names = sorted(by_name)
    narrow = [one for one in names if not any(_is_narrower(other, one) for other in names)]
    chosen = by_name[narrow[0]]
    if chosen.reason is not None:
        said.tell(thing, "brick_class", chosen.reason)
    for other in narrow[1:]:
        if not is_subclass(chosen.name, other):
            said.tell(thing, "brick_class", f"it is {chosen.name} and {other}: kept as the first")
    return chosen.name


def _is_narrower(one: str, other: str) -> bool:
    return is_subclass(one, other) and not is_subclass(other, one)


def _tell_those_without_class(said: Statements, kinds: Kinds) -> None:
    for thing in said.things():
        if thing not in kinds and thing not in said.types and not thing.startswith("_:"):
            said.tell(
                thing,
                "brick_class",
                "the file gives it no class, and its use does not say which: give it one",
            )
