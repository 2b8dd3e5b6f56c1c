"""Grids as JSON, in the encoding of Haystack 4 (`{"_kind": "marker"}`) and in that of version 3 (`"m:"`).

https://project-haystack.org/doc/docHaystack/Json describes both.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from insula_tenants.brick.files import decode, load_json
from insula_tenants.errors import InvalidInput


class Marker(NamedTuple):
    """What says something by being there."""


class Ref(NamedTuple):
    """A reference to a row."""

    id: str
    dis: str | None
    """Its name."""


class Quantity(NamedTuple):
    """A number with its unit."""

    value: float
    unit: str | None


class Coordinates(NamedTuple):
    """Degrees of WGS 84."""

    latitude: float
    longitude: float


Value = Marker | Ref | Quantity | Coordinates | str | None
"""None for dates, lists and whatever else a model has no place for."""


@dataclass(slots=True)
class Row:
    """What a row of a grid says, by kind of value."""

    number: int
    """From 1."""
    id: str | None = None
    markers: set[str] = field(default_factory=set)
    refs: dict[str, str] = field(default_factory=dict)
    texts: dict[str, str] = field(default_factory=dict)
    numbers: dict[str, Quantity] = field(default_factory=dict)
    coordinates: dict[str, Coordinates] = field(default_factory=dict)
    others: set[str] = field(default_factory=set)

    def put(self, tag: str, value: Value) -> None:
        """Note what a tag says."""
        match value:
            case Marker():
                self.markers.add(tag)
            case Ref() if tag == "id":
                self.id = value.id
                if value.dis:
                    self.texts.setdefault("dis", value.dis)
            case Ref():
                self.refs[tag] = value.id
            case Quantity():
                self.numbers[tag] = value
            case Coordinates():
                self.coordinates[tag] = value
            case str():
                self.texts[tag] = value
            case None:
                self.others.add(tag)


def read_grid(content: bytes) -> list[Row]:
    """The rows of a grid, of an array of dicts, or of one dict; `InvalidInput` says what is none."""
    given = load_json(decode(content))
    rows = given.get("rows", [given]) if isinstance(given, dict) else given
    if not isinstance(rows, list) or not all(isinstance(one, dict) for one in rows):
        raise InvalidInput("body", 'send a grid: {"meta": …, "cols": […], "rows": [{…}, …]}')
    newer = _has_kind(given) or any(_has_kind(value) for one in rows for value in one.values())
    return [_row(number, one, _newer if newer else _older) for number, one in enumerate(rows, 1)]


def _has_kind(value: Any) -> bool:
    return isinstance(value, dict) and "_kind" in value


def _row(number: int, given: Mapping[str, Any], parse: Callable[[Any], Value]) -> Row:
    row = Row(number)
    for tag, value in given.items():
        try:
            if tag != "_kind":
                row.put(tag, parse(value))
        except (TypeError, ValueError, KeyError, OverflowError):
            shown = str(value)[:80]
            raise InvalidInput("body", f"row {number}: {shown!r} is no value for {tag[:40]!r}") from None
    return row


def _newer(value: Any) -> Value:
    """A value in the encoding of Haystack 4."""
    if isinstance(value, dict):
        read = _BY_KIND.get(str(value.get("_kind")))
        return read(value) if read is not None else None
    return _plain(value)


def _older(value: Any) -> Value:
    """A value in that of version 3: a letter and a colon say what a text is."""
    if isinstance(value, str) and value[1:2] == ":":
        read = _BY_LETTER.get(value[0])
        return read(value[2:]) if read is not None else None
    return _plain(value)


def _plain(value: Any) -> Value:
    if isinstance(value, str):
        return value
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return Quantity(float(value), None) if is_number else None


def _words(text: str) -> tuple[str, str | None]:
    """The first word, and the rest."""
    first, _, rest = text.partition(" ")
    return first, rest or None


def _text(value: Any) -> str | None:
    if value is not None and not isinstance(value, str):
        raise TypeError
    return value


def _quantity(text: str) -> Quantity:
    number, unit = _words(text)
    return Quantity(float(number), unit)


def _coordinates(text: str) -> Coordinates:
    latitude, longitude = text.split(",")
    return Coordinates(float(latitude), float(longitude))


_BY_KIND: Mapping[str, Callable[[dict[str, Any]], Value]] = {
    "marker": lambda _: Marker(),
    "ref": lambda value: Ref(str(value["val"]), _text(value.get("dis"))),
    "number": lambda value: Quantity(float(value["val"]), _text(value.get("unit"))),
    "coord": lambda value: Coordinates(float(value["lat"]), float(value["lng"])),
    "uri": lambda value: str(value["val"]),
    "symbol": lambda value: str(value["val"]),
}
_BY_LETTER: Mapping[str, Callable[[str], Value]] = {
    "m": lambda _: Marker(),
    "r": lambda text: Ref(*_words(text)),
    "n": _quantity,
    "c": _coordinates,
    "s": str,
    "u": str,
}
