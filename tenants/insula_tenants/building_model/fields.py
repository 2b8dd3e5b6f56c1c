"""What the fields of a building model may hold."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from math import isfinite
from typing import Any

from insula_tenants.brick.classes import check_class
from insula_tenants.building_model.keys import check_iri
from insula_tenants.building_model.kinds import CLASSES, Kind
from insula_tenants.devices.service import check_name
from insula_tenants.devices.units import check_unit
from insula_tenants.errors import InvalidInput
from insula_tenants.names import time_zones

LEVELS = 1000
"""Storeys above the ground, and as many below."""

MOST_PEOPLE = 1_000_000
MOST_AREA = 1e9
"""m²: a thousand square kilometres."""

COMFORT_CATEGORIES = ("I", "II", "III", "IV")
"""Of EN 16798-1."""


def check_field(kind: Kind, field: str, value: Any) -> Any:
    """The value as it is kept; `InvalidInput`, of `field`, says what cannot be so and what can.

    None is left to the caller: it takes away what may be absent.
    """
    if value is None:
        return None
    if field == "brick_class":
        return check_class(value, of=CLASSES[kind])
    check = _CHECKS.get(field)
    return check(value) if check is not None else value


def check_time_zone(name: str) -> str:
    """The name of an IANA time zone; `InvalidInput` for any other."""
    if name not in time_zones():
        raise InvalidInput(
            "time_zone", f"{name[:80]!r} is not an IANA time zone: use one like Europe/Brussels"
        )
    return name


def _name(name: str) -> str:
    check_name(name)
    return name


def _area(area: float) -> float:
    if not isfinite(area) or not 0 < area <= MOST_AREA:
        raise InvalidInput("area", f"{area} m² is no floor area: give more than 0, in square metres")
    return area


def _capacity(people: int) -> int:
    if not 0 <= people <= MOST_PEOPLE:
        raise InvalidInput("capacity", f"{people} is no number of people: use 0 to {MOST_PEOPLE}")
    return people


def _comfort_category(category: str) -> str:
    if category not in COMFORT_CATEGORIES:
        raise InvalidInput(
            "comfort_category", f"{category[:20]!r} is no category of EN 16798-1: use I, II, III or IV"
        )
    return category


def _level(level: int) -> int:
    if abs(level) > LEVELS:
        raise InvalidInput("level", f"{level} is no level: 0 is the ground floor, use -{LEVELS} to {LEVELS}")
    return level


def _degrees(field: str, most: int) -> Callable[[float], float]:
    def check(degrees: float) -> float:
        if not isfinite(degrees) or abs(degrees) > most:
            raise InvalidInput(field, f"{degrees} is no {field}: use -{most} to {most} degrees of WGS 84")
        return degrees

    return check


_CHECKS: Mapping[str, Callable[[Any], Any]] = {
    "name": _name,
    "iri": check_iri,
    "time_zone": check_time_zone,
    "area": _area,
    "capacity": _capacity,
    "comfort_category": _comfort_category,
    "level": _level,
    "latitude": _degrees("latitude", 90),
    "longitude": _degrees("longitude", 180),
    "unit": check_unit,
}
