"""What points measure, in words, units and colours that are the same on every page."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from insula_analytics_ui.api import Point
from insula_analytics_ui.theme import (
    BLUE,
    BLUISH_GREEN,
    ORANGE,
    PALETTE,
    REDDISH_PURPLE,
    SKY_BLUE,
    VERMILLION,
)


@dataclass(frozen=True)
class Quantity:
    """A quantity's name, its preferred colour, and where it stands among the others on a page."""

    name: str
    colour: str | None
    rank: int


_KNOWN = {
    "Zone_Air_Temperature_Sensor": Quantity("Air temperature", VERMILLION, 0),
    "Air_Temperature_Sensor": Quantity("Air temperature", VERMILLION, 0),
    "Temperature_Sensor": Quantity("Temperature", VERMILLION, 0),
    "Illuminance_Sensor": Quantity("Illuminance", ORANGE, 1),
    "Zone_Air_Humidity_Sensor": Quantity("Relative humidity", SKY_BLUE, 2),
    "Relative_Humidity_Sensor": Quantity("Relative humidity", SKY_BLUE, 2),
    "CO2_Sensor": Quantity("CO₂", REDDISH_PURPLE, 3),
    "CO2_Level_Sensor": Quantity("CO₂", REDDISH_PURPLE, 3),
    "Zone_CO2_Level_Sensor": Quantity("CO₂", REDDISH_PURPLE, 3),
    "Electrical_Power_Sensor": Quantity("Electrical power", BLUE, 5),
    "Electrical_Energy_Usage_Sensor": Quantity("Electrical energy", BLUE, 6),
    "Energy_Usage_Sensor": Quantity("Energy", BLUE, 6),
    "Occupancy_Sensor": Quantity("Presence", BLUISH_GREEN, 20),
    "Motion_Sensor": Quantity("Motion", BLUISH_GREEN, 20),
    "Contact_Sensor": Quantity("Door", REDDISH_PURPLE, 21),
}

_UNITS = {
    "ampere": "A",
    "bar": "bar",
    "decibel": "dB",
    "degC": "°C",
    "degF": "°F",
    "degree": "°",
    "degree_Celsius": "°C",
    "degree_Fahrenheit": "°F",
    "delta_degree_Celsius": "K",
    "dimensionless": "",
    "gram / meter ** 3": "g/m³",
    "hectopascal": "hPa",
    "hertz": "Hz",
    "kelvin": "K",
    "kilowatt": "kW",
    "kilowatt_hour": "kWh",
    "liter": "l",
    "lux": "lx",
    "lx": "lx",
    "meter ** 3": "m³",
    "meter / second": "m/s",
    "microgram / meter ** 3": "µg/m³",
    "pascal": "Pa",
    "percent": "%",
    "second": "s",
    "volt": "V",
    "watt": "W",
    "watt_hour": "Wh",
}

COMFORT = {("Zone_Air_Temperature_Sensor", "°C"): (20.0, 26.0)}
"""Comfort bands by Brick class and unit, of EN 16798-1:2019, category II: the coolest heated office and the
warmest cooled one."""


def quantity(point: Point) -> Quantity:
    """What a point measures; of a class we have no word for, the class or the point's own name."""
    known = _KNOWN.get(point.brick_class or "")
    if known is None:
        name = (point.brick_class or point.name).removesuffix("_Sensor").replace("_", " ")
        return Quantity(name[:1].upper() + name[1:].lower(), None, 19 if has_states(point) else 10)
    if known.name == "Door" and "door" not in point.name.lower():
        # Brick has one class for every contact; the point's name says what it sits on.
        return Quantity(point.name.replace("_", " ").capitalize(), known.colour, known.rank)
    return known


def unit(point: Point) -> str:
    """The sign of a point's unit; the unit's name where there is no sign."""
    name = point.unit or ""
    return _UNITS.get(name, name.replace("_", " "))


def has_states(point: Point) -> bool:
    """Whether a point's values name states, such as closed and open."""
    return point.states is not None or point.kind in {"state", "binary"}


def state_names(point: Point) -> tuple[str, ...]:
    """The names of a point's states 0, 1, …"""
    return point.states or ("off", "on")


def value_text(point: Point, value: float) -> str:
    """A value as people write it, without its unit: three figures that matter, or a state's name."""
    if has_states(point):
        names = state_names(point)
        index = round(value)
        return names[index] if 0 <= index < len(names) else f"{value:g}"
    decimals = 0 if abs(value) >= 100 else 1
    return f"{value:,.{decimals}f}".replace(",", "\u202f").replace("-", "\u2212")


def in_order(points: Iterable[Point]) -> list[Point]:
    """Points as every page lists them: by quantity, then by the order in which they were made."""
    return sorted(points, key=lambda point: (quantity(point).rank, quantity(point).name, point.id))


def colours(points: Iterable[Point]) -> dict[int, str]:
    """A colour for each point of one space. It depends on the points made before, so it never changes."""
    chosen: dict[int, str] = {}
    for point in sorted(points, key=lambda point: point.id):
        free = [colour for colour in PALETTE if colour not in chosen.values()] or list(PALETTE)
        wanted = quantity(point).colour
        chosen[point.id] = wanted if wanted in free and wanted else free[len(chosen) % len(free)]
    return chosen
