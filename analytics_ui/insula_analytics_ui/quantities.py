"""What points measure, in words, units and colours that are the same on every page."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from insula_analytics_ui.api.model import Point
from insula_analytics_ui.theme import (
    BLUE,
    BLUISH_GREEN,
    ORANGE,
    PALETTE,
    REDDISH_PURPLE,
    SKY_BLUE,
    VERMILLION,
    YELLOW,
)
from insula_analytics_ui.words import N_, _, number_text


@dataclass(frozen=True)
class Quantity:
    """A quantity's name in English, its preferred colour, and where it stands among the others on a page."""

    english: str
    colour: str | None
    rank: int

    @property
    def name(self) -> str:
        """Its name in the language of the page."""
        return _(self.english)


_AIR_TEMPERATURE = Quantity(N_("Air temperature"), VERMILLION, 0)
_ILLUMINANCE = Quantity(N_("Illuminance"), ORANGE, 1)
_HUMIDITY = Quantity(N_("Relative humidity"), SKY_BLUE, 2)
_CO2 = Quantity(N_("CO₂"), REDDISH_PURPLE, 3)
_POWER = Quantity(N_("Electrical power"), BLUE, 5)
_ELECTRICITY = Quantity(N_("Electrical energy"), BLUE, 6)
_PRESENCE = Quantity(N_("Presence"), BLUISH_GREEN, 20)

_KNOWN = {
    "Zone_Air_Temperature_Sensor": _AIR_TEMPERATURE,
    "Average_Zone_Air_Temperature_Sensor": _AIR_TEMPERATURE,
    "Air_Temperature_Sensor": _AIR_TEMPERATURE,
    "Temperature_Sensor": Quantity(N_("Temperature"), VERMILLION, 0),
    "Outside_Air_Temperature_Sensor": Quantity(N_("Outdoor temperature"), BLUE, 4),
    "Outside_Air_Humidity_Sensor": Quantity(N_("Outdoor humidity"), SKY_BLUE, 5),
    "Illuminance_Sensor": _ILLUMINANCE,
    "Humidity_Sensor": _HUMIDITY,
    "Zone_Air_Humidity_Sensor": _HUMIDITY,
    "Relative_Humidity_Sensor": _HUMIDITY,
    "CO2_Sensor": _CO2,
    "CO2_Level_Sensor": _CO2,
    "Zone_CO2_Level_Sensor": _CO2,
    "PM2.5_Level_Sensor": Quantity(N_("Fine dust (PM2.5)"), YELLOW, 4),
    "Electric_Power_Sensor": _POWER,
    "Active_Power_Sensor": _POWER,
    "Power_Sensor": _POWER,
    "Electrical_Energy_Usage_Sensor": _ELECTRICITY,
    "Electric_Energy_Sensor": _ELECTRICITY,
    "Energy_Usage_Sensor": Quantity(N_("Energy"), BLUE, 6),
    "Thermal_Energy_Usage_Sensor": Quantity(N_("Heat"), VERMILLION, 7),
    "Natural_Gas_Usage_Sensor": Quantity(N_("Gas"), ORANGE, 8),
    "Water_Usage_Sensor": Quantity(N_("Water"), SKY_BLUE, 9),
    "Occupancy_Count_Sensor": Quantity(N_("People"), BLUISH_GREEN, 9),
    "Occupancy_Sensor": _PRESENCE,
    "PIR_Sensor": Quantity(N_("Motion"), BLUISH_GREEN, 20),
    "Motion_Sensor": Quantity(N_("Motion"), BLUISH_GREEN, 20),
    "Contact_Sensor": Quantity(N_("Door"), REDDISH_PURPLE, 21),
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
    "m**3": "m³",
    "m**3/h": "m³/h",
    "meter ** 3 / hour": "m³/h",
    "ug/m**3": "µg/m³",
}

_STATES = (N_("closed"), N_("open"), N_("free"), N_("occupied"), N_("off"), N_("on"))
"""Names of states that devices bring and that we have a word for in each language."""


def quantity(point: Point) -> Quantity:
    """What a point measures; of a class we have no word for, the class or the point's own name."""
    known = _KNOWN.get(point.brick_class or "")
    if known is None:
        name = (point.brick_class or point.name).removesuffix("_Sensor").replace("_", " ")
        return Quantity(name[:1].upper() + name[1:].lower(), None, 19 if has_states(point) else 10)
    if known.english == "Door" and "door" not in point.name.lower():
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
    """The names of a point's states 0, 1, …, in the language of the page where we have a word for them."""
    return tuple(_(name) if name in _STATES else name for name in point.states or ("off", "on"))


def value_text(point: Point, value: float) -> str:
    """A value as people write it, without its unit: three figures that matter, or a state's name."""
    if has_states(point):
        names = state_names(point)
        index = round(value)
        return names[index] if 0 <= index < len(names) else f"{value:g}"
    return number_text(value, 0 if abs(value) >= 100 else 1)


def in_order(points: Iterable[Point]) -> list[Point]:
    """Points as every page lists them: by quantity, then by the order in which they were made."""
    return sorted(points, key=lambda point: (quantity(point).rank, quantity(point).name, point.id))


def colours(points: Iterable[Point]) -> dict[int, str]:
    """A colour for each point of one space. It depends on the points made before, so it never changes.

    Two points of one quantity stand on one chart and never share a colour, nor does a point with one of
    another quantity as long as there are colours left.
    """
    chosen: dict[int, str] = {}
    used: dict[str, list[str]] = {}
    for point in sorted(points, key=lambda point: point.id):
        own = quantity(point)
        beside = used.setdefault(own.english, [])
        free = [colour for colour in PALETTE if colour not in chosen.values()]
        apart = [colour for colour in PALETTE if colour not in beside]
        wished = [colour for candidates in (free, apart) for colour in candidates if colour == own.colour]
        candidates = [*wished, *free, *apart] if wished and wished[0] in free else [*free, *wished, *apart]
        chosen[point.id] = candidates[0] if candidates else PALETTE[len(beside) % len(PALETTE)]
        beside.append(chosen[point.id])
    return chosen
