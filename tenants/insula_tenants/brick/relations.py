"""How equipment and points hang together with the rest.

What Brick's shapes allow of a relationship is what a model can hold; what they forbid and files of earlier
releases have, is kept as what it means where that is plain, and told.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field

from insula_tenants.brick.circles import cut_circles
from insula_tenants.brick.kinds import Kinds
from insula_tenants.brick.places import Places
from insula_tenants.brick.statements import Statements
from insula_tenants.brick.vocabulary import Relation
from insula_tenants.building_model.kinds import FED, PLACES, Kind, words_of

_NEAREST: tuple[Kind, ...] = ("equipment", "space", "zone", "storey", "building")
"""Of several that a point tells about, or in which equipment stands, the first of this order is kept."""


@dataclass(slots=True)
class Links:
    """By the keys of both."""

    location: dict[str, str] = field(default_factory=dict)
    """Of equipment."""
    part_of: dict[str, str] = field(default_factory=dict)
    """Of equipment."""
    owner: dict[str, str] = field(default_factory=dict)
    """What a point tells about."""
    feeds: dict[str, set[str]] = field(default_factory=lambda: defaultdict(set))
    """Of equipment."""


def find_links(said: Statements, kinds: Kinds, places: Places) -> Links:
    """Places equipment and points; what cannot be is told."""
    links = Links()
    found: dict[str, defaultdict[str, list[str]]] = {
        name: defaultdict(list) for name in ("location", "part_of", "owner")
    }
    for relation, one, other in sorted(said.relations - places.told):
        slot = _slot(said, relation, one, other, kinds)
        if slot == "feeds":
            links.feeds[one].add(other)
        elif slot is not None and other not in found[slot][one]:
            found[slot][one].append(other)
    cut_circles(said, found["part_of"])
    for name, by_thing in found.items():
        chosen = getattr(links, name)
        for thing, others in by_thing.items():
            if others:
                chosen[thing] = _nearest(said, thing, name, others, kinds, places)
    return links


def _slot(said: Statements, relation: Relation, one: str, other: str, kinds: Kinds) -> str | None:
    """What of the thing the relation says; None when nothing, which is told."""
    kind, whose = kinds.get(one), kinds.get(other)
    if kind is None or whose is None or one == other:
        _tell_absent(said, relation, one, other, kinds)
        return None
    if kind == "model-point" and whose in PLACES["model-point"] and relation is not Relation.FEEDS:
        if relation is not Relation.POINT_OF:
            said.tell(one, relation, f"a point has no place in Brick: kept as a point of {other}")
        return "owner"
    if kind == "equipment" and (slot := _slot_of_equipment(said, relation, one, other, whose)):
        return slot
    said.tell(
        one,
        relation,
        f"a {words_of(kind)} has none of this to do with a {words_of(whose)}: {other} is left out",
    )
    return None


def _slot_of_equipment(said: Statements, relation: Relation, one: str, other: str, whose: Kind) -> str | None:
    if relation is Relation.FEEDS:
        return "feeds" if whose in FED else None
    if relation is Relation.POINT_OF:
        return None
    if whose == "equipment":
        if relation is Relation.LOCATION:
            said.tell(one, relation, f"equipment stands in places alone: kept as part of {other}")
        return "part_of"
    if whose not in PLACES["equipment"]:
        return None
    if relation is Relation.PART_OF:
        said.tell(one, relation, f"equipment is part of equipment alone: kept as standing in {other}")
    return "location"


def _tell_absent(said: Statements, relation: Relation, one: str, other: str, kinds: Kinds) -> None:
    if one == other:
        said.tell(one, relation, "it has this to do with itself: left out")
    elif one not in kinds and other not in kinds:
        said.tell(one, relation, f"neither it nor {other} is taken in")
    elif one not in kinds:
        said.tell(other, relation, f"{one}, which has this to do with it, is not taken in")
    else:
        said.tell(one, relation, f"{other} is not taken in")


def _nearest(said: Statements, thing: str, name: str, others: list[str], kinds: Kinds, places: Places) -> str:
    """One of them; those that do not follow from it are told."""
    order: Mapping[Kind, int] = {kind: place for place, kind in enumerate(_NEAREST)}
    first, *rest = sorted(others, key=lambda one: (order[kinds[one]], one))
    for other in rest:
        if other not in places.above(first):
            said.tell(thing, name, f"a model keeps one: {first}; {other} is left out")
    return first
