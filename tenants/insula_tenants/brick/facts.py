"""Names, areas, units and the other facts of things; what cannot be kept is told."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from rdflib import Literal
from rdflib.term import Node

from insula_tenants.brick.kinds import Classes, Kinds, tags_of
from insula_tenants.brick.places import Places
from insula_tenants.brick.statements import Statements, name_of, short
from insula_tenants.brick.units import unit_of
from insula_tenants.brick.vocabulary import REFERENCES
from insula_tenants.building_model.fields import check_field
from insula_tenants.building_model.keys import local_name
from insula_tenants.building_model.kinds import Kind
from insula_tenants.devices.units import registry
from insula_tenants.errors import InvalidInput
from insula_tenants.names import is_point_name, is_slug

_LONGEST_NAME = 200
_AREAS: Mapping[str, tuple[str, ...]] = {
    "netArea": ("netArea", "area", "grossArea"),
    "grossArea": ("grossArea", "area", "netArea"),
}
"""What is taken for it, the best first."""


class Facts:
    """The facts that a file says of its things."""

    def __init__(self, said: Statements, classes: Classes) -> None:
        """`classes` are what the things are."""
        self._said = said
        self._classes = classes
        self._names: dict[str, str] = {}

    def name_all(self, kinds: Kinds, places: Places) -> None:
        """Give each thing its name: of places that stand in the same, each another."""
        taken: set[tuple[Kind, str | None, str]] = set()
        for thing, kind in sorted(kinds.items()):
            name = self._own_name(thing, places)
            if kind in {"site", "building", "storey", "space"}:
                where = places.storey.get(thing) or places.building.get(thing) or places.site.get(thing)
                if (kind, where, name) in taken:
                    longer = f"{name[:100]} ({local_name(thing)[-90:]})"
                    self._said.tell(thing, "name", f"another is called {name!r} there: kept as {longer!r}")
                    name = longer
                taken.add((kind, where, name))
            self._names[thing] = name

    def name(self, thing: str) -> str:
        """The name of a thing."""
        return self._names[thing]

    def text(self, thing: str, fact: str) -> str | None:
        """A fact that is a text, where the field takes it."""
        field = {"timeZone": "time_zone", "comfortCategory": "comfort_category"}[fact]
        return next((one for one in self._said.texts(thing, fact) if self._check(thing, field, one)), None)

    def latitude(self, thing: str) -> float | None:
        """Degrees north."""
        return self._number(thing, "latitude", self._on(thing, "coordinates", "latitude"))

    def longitude(self, thing: str) -> float | None:
        """Degrees east."""
        return self._number(thing, "longitude", self._on(thing, "coordinates", "longitude"))

    def level(self, storey: str) -> int | None:
        """The number that the file gives it, or that its name ends with (`floor_4`)."""
        found = self._number(storey, "level", self._said.take(storey, "levelNumber"))
        if found is not None:
            return int(found)
        number = re.search(r"(?<![0-9])-?[0-9]{1,2}$", self._names[storey])
        return int(number[0]) if number else None

    def area(self, thing: str, which: str) -> float | None:
        """m², to a square centimetre where it was given in another unit."""
        for fact in _AREAS[which]:
            for node in self._said.take(thing, fact):
                value = self._number(thing, "area", self._said.take(name_of(node), "value"))
                unit = [unit_of(str(one)) for one in self._said.take(name_of(node), "hasUnit")]
                if value is None:
                    self._said.tell(thing, fact, "an area is a node with a brick:value: it has none")
                elif unit[:1] in ([], ["m**2"]):
                    return value
                elif unit[0] == "ft**2":
                    return round(float(registry().Quantity(value, "ft**2").to("m**2").magnitude), 4)
                else:
                    self._said.tell(thing, fact, "give areas in unit:M2 or unit:FT2")
        return None

    def capacity(self, thing: str) -> int | None:
        """People."""
        for node in self._said.take(thing, "capacity"):
            found = self._number(thing, "capacity", self._said.take(name_of(node), "maxOccupancy"))
            if found is not None:
                return int(found)
        return None

    def unit(self, point: str) -> str | None:
        """Of a point, as points have it."""
        for one in self._said.texts(point, "unit"):
            if unit := self._check(point, "unit", one):
                return str(unit)
        for node in self._said.take(point, "hasUnit"):
            unit = unit_of(str(node))
            if unit is None and isinstance(node, Literal):
                unit = self._check(point, "unit", str(node))
            if unit is not None:
                return str(unit)
            self._said.tell(point, "unit", f"{str(node)[:100]} has no name here: the unit is left out")
        return None

    def series(self, point: str) -> str | None:
        """`device/point`, by a reference to a time series."""
        found: list[str] = []
        for fact in sorted(REFERENCES):
            for node in self._said.take(point, fact):
                name = name_of(node)
                ids = self._said.texts(name, "hasTimeseriesId")
                if not ids:
                    types = ", ".join(short(iri) for iri in self._said.types.get(name, ["nothing"]))
                    self._said.tell(point, "series", f"a reference to {types} is not kept")
                found += ids
        good = [one for one in found if _is_series(one)]
        for one in found:
            if one not in good[:1]:
                why = "a model keeps one" if one in good else "no `device/point`"
                self._said.tell(point, "series", f"{one[:100]!r} is left out: {why}")
        return good[0] if good else None

    def tell_unused(self, kinds: Kinds) -> None:
        """Tell the facts that nobody asked for."""
        for thing, fact in self._said.unused():
            values = self._said.take(thing, fact)
            if fact == "hasTag":
                implied = tags_of(self._classes.get(thing, ""))
                values = [one for one in values if local_name(str(one)) not in implied]
            if values and (thing in kinds or fact not in {"label", "prefLabel"}):
                shown = ", ".join(local_name(str(one)) if fact == "hasTag" else str(one) for one in values)
                self._said.tell(thing, fact, f"a model does not keep it: {shown[:200]}")

    def _own_name(self, thing: str, places: Places) -> str:
        if thing in places.made:
            made = places.made[thing]
            return self._own_name(made, places) if made in self._classes else made
        labels = self._said.texts(thing, "label") + self._said.texts(thing, "prefLabel")
        for other in labels[1:]:
            if other != labels[0]:
                self._said.tell(thing, "name", f"a model keeps one name: {other[:100]!r} is left out")
        given = next(iter(labels), "") or local_name(thing)
        name = re.sub(r"\s+", " ", "".join(one if one.isprintable() else " " for one in given)).strip()
        name = name[:_LONGEST_NAME].strip() or local_name(thing)[:_LONGEST_NAME]
        if name != given:
            self._said.tell(
                thing, "name", f"a name is a line of up to {_LONGEST_NAME} characters: kept as {name!r}"
            )
        return name

    def _on(self, thing: str, via: str, fact: str) -> list[Node]:
        """The fact of a thing itself, or of the node that another fact of it leads to."""
        nodes = self._said.take(thing, via)
        return self._said.take(thing, fact) + [
            one for node in nodes for one in self._said.take(name_of(node), fact)
        ]

    def _number(self, thing: str, field: str, found: list[Node]) -> float | None:
        for node in found:
            try:
                value = float(int(str(node)) if field in {"level", "capacity"} else str(node))
                checked = self._check(thing, field, value)
            except (ValueError, OverflowError):
                self._said.tell(thing, field, f"{str(node)[:50]!r} is no number for it")
                continue
            if checked is not None:
                return value
        return None

    def _check(self, thing: str, field: str, value: Any) -> Any:
        try:
            return check_field(_KIND_OF_FIELD.get(field, "building"), field, value)
        except InvalidInput as error:
            self._said.tell(thing, field, error.detail)
            return None


_KIND_OF_FIELD: Mapping[str, Kind] = {"unit": "model-point", "capacity": "space", "comfort_category": "space"}


def _is_series(text: str) -> bool:
    device, slash, point = text.partition("/")
    return bool(slash) and is_slug(device) and is_point_name(point)
