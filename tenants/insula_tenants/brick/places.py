"""Where the places of a file stand: sites, buildings, storeys, spaces and zones.

A model has all four levels, and a file may lack some. What is missing is made, once, with an IRI of its own,
and told; so the model that is exported later has them.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from insula_tenants.brick.circles import cut_circles
from insula_tenants.brick.kinds import Classes, Kinds
from insula_tenants.brick.statements import Statements
from insula_tenants.brick.vocabulary import Relation
from insula_tenants.building_model.keys import local_name
from insula_tenants.building_model.kinds import Kind, words_of

DEEPEST = 30
"""Spaces in spaces."""


@dataclass(slots=True)
class Places:
    """In what each place stands, by the keys of both."""

    site: dict[str, str] = field(default_factory=dict)
    """Of a building."""
    building: dict[str, str] = field(default_factory=dict)
    """Of a storey."""
    storey: dict[str, str] = field(default_factory=dict)
    """Of a space."""
    zones: dict[str, set[str]] = field(default_factory=lambda: defaultdict(set))
    """Spaces of a zone."""
    made: dict[str, str] = field(default_factory=dict)
    """Names of what the file does not have."""
    told: set[tuple[Relation, str, str]] = field(default_factory=set)
    """Relations that are used, or told already."""

    def above(self, thing: str) -> set[str]:
        """The storey, building and site around it."""
        found = set()
        here: str | None = thing
        while here is not None:
            here = self.storey.get(here) or self.building.get(here) or self.site.get(here)
            found |= {here} if here is not None else set()
        return found


def find_places(said: Statements, kinds: Kinds, classes: Classes) -> Places:
    """Where each place stands. Makes what is missing, in `kinds` and `classes` too."""
    places = Places()
    # Brick 1.0 says of rooms, too, that they are located in a floor.
    pairs = sorted(
        (one, whole, relation)
        for relation, one, whole in said.relations
        if relation is Relation.PART_OF or (relation is Relation.LOCATION and kinds.get(one) in _ALL_PLACES)
    )
    wholes: defaultdict[str, list[str]] = defaultdict(list)
    for one, whole, relation in pairs:
        if _holds(kinds.get(one), kinds.get(whole)):
            wholes[one].append(whole)
            places.told.add((relation, one, whole))
    cut_circles(said, wholes)
    _make_zones_of_divided_spaces(said, kinds, classes, wholes)
    _Standing(said, kinds, classes, places, wholes).find()
    return places


_ALL_PLACES: frozenset[Kind] = frozenset({"site", "building", "storey", "space", "zone"})


def _holds(one: Kind | None, whole: Kind | None) -> bool:
    """Whether a place of the first kind may be part of one of the other."""
    match one:
        case "space":
            return whole in {"zone", "space", "storey", "building"}
        case "storey":
            return whole == "building"
        case "building":
            return whole == "site"
        case _:
            return False


def _make_zones_of_divided_spaces(
    said: Statements, kinds: Kinds, classes: Classes, wholes: Mapping[str, list[str]]
) -> None:
    """A space that has spaces is kept as a zone of them: in a model only storeys have spaces."""
    divided = {
        whole
        for one, above in wholes.items()
        if kinds[one] == "space"
        for whole in above
        if kinds[whole] == "space"
    }
    for thing in sorted(divided):
        said.tell(thing, "brick_class", f"a {classes[thing]} that has spaces is kept as a Zone of them")
        kinds[thing], classes[thing] = "zone", "Zone"


class _Standing:
    """Finds where spaces, storeys and buildings stand."""

    def __init__(
        self,
        said: Statements,
        kinds: Kinds,
        classes: Classes,
        places: Places,
        wholes: Mapping[str, list[str]],
    ) -> None:
        self.said, self.kinds, self.classes = said, kinds, classes
        self.places, self.wholes = places, wholes
        self._taken = set(said.things())
        self._buildings, self._sites = self._of("building"), self._of("site")
        """Those of the file."""
        self._buildings, self._sites = self._of("building"), self._of("site")
        self._made: dict[tuple[Kind, str], str] = {}

    def find(self) -> None:
        for space in self._of("space"):
            around = self._around(space)
            for zone in around["zone"]:
                self.places.zones[zone].add(space)
            self.places.storey[space] = self._only(space, around["storey"]) or self._storey_for(around)
        for storey in self._of("storey"):
            if storey not in self.places.building:
                found = [one for one in self.wholes.get(storey, ()) if self.kinds[one] == "building"]
                self.places.building[storey] = self._only(storey, found) or self._building_for(storey)
        for building in self._of("building"):
            found = [one for one in self.wholes.get(building, ()) if self.kinds[one] == "site"]
            self.places.site[building] = self._only(building, found) or self._site_for(building)

    def _of(self, kind: Kind) -> list[str]:
        return sorted(thing for thing, each in self.kinds.items() if each == kind)

    def _around(self, space: str) -> Mapping[Kind, list[str]]:
        """What a space stands in, the nearest first, through the spaces that it is part of."""
        found: defaultdict[Kind, list[str]] = defaultdict(list)
        level, seen = [space], {space}
        for _ in range(DEEPEST):
            level = sorted({whole for one in level for whole in self.wholes.get(one, ())} - seen)
            seen.update(level)
            for whole in level:
                if self.kinds[whole] != "building" or not found["building"]:
                    found[self.kinds[whole]].append(whole)
            if not level:
                return found
        self.said.tell(
            space, Relation.PART_OF, f"spaces are nested deeper than {DEEPEST}: the rest is left out"
        )
        return found

    def _only(self, thing: str, found: Iterable[str]) -> str | None:
        """The first; others are told."""
        there = list(found)
        for other in there[1:]:
            self.said.tell(thing, Relation.PART_OF, f"it stands in {there[0]}: {other} is left out")
        return next(iter(there), None)

    def _storey_for(self, around: Mapping[Kind, list[str]]) -> str:
        building = next(iter(around["building"]), None) or self._building_for(None)
        storey = self._make("storey", building)
        self.places.building[storey] = building
        return storey

    def _building_for(self, storey: str | None) -> str:
        """The building of a storey for which the file names none: the only one there is."""
        if len(self._buildings) != 1:
            return self._make("building", "")
        (building,) = self._buildings
        if storey is not None:
            self.said.tell(storey, Relation.PART_OF, f"the file does not say of what: taken for {building}")
        return building

    def _site_for(self, building: str) -> str:
        return self._sites[0] if len(self._sites) == 1 else self._make("site", building)

    def _make(self, kind: Kind, inside: str) -> str:
        """A place of this kind that the file lacks, one for all that need it."""
        if (kind, inside) in self._made:
            return self._made[kind, inside]
        key = f"{inside}_{kind}" if inside else f"{self._base()}{kind}"
        while key in self._taken:
            key += "_"
        self._taken.add(key)
        self._made[kind, inside] = key
        self.kinds[key], self.classes[key] = kind, kind.capitalize()
        self.places.made[key] = self._made_name(kind, inside)
        self.said.tell(key, "iri", f"the file has no {words_of(kind)} for what stands in one: made")
        return key

    def _made_name(self, kind: Kind, inside: str) -> str:
        """The name of what is made; a key is that of what it is called like."""
        match kind:
            case "site":
                return inside
            case "building":
                return local_name(self._base().rstrip("#/:")) or "Building"
            case _:
                return kind.capitalize()

    def _base(self) -> str:
        """Where IRIs of a file's own begin."""
        base = self.said.base or re.sub(r"[^#/:]*$", "", min(self.kinds))
        return base if base.endswith(("#", "/", ":")) else f"{base}#"
