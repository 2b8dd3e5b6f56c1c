"""From Haystack's tags to Brick's classes, its unit symbols to units here, its time zones to IANA's."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from functools import cache

from insula_tenants.brick.classes import is_subclass
from insula_tenants.brick.kinds import tags
from insula_tenants.devices.units import check_unit
from insula_tenants.errors import InvalidInput
from insula_tenants.names import time_zones

EQUIPMENT: Mapping[str, str] = {
    "ahu": "AHU",
    "boiler": "Boiler",
    "chiller": "Chiller",
    "coolingTower": "Cooling_Tower",
    "crac": "CRAC",
    "damper": "Damper",
    "doas": "DOAS",
    "fan": "Fan",
    "fcu": "FCU",
    "heatExchanger": "Heat_Exchanger",
    "heatWheel": "Heat_Wheel",
    "mau": "MAU",
    "pump": "Pump",
    "rtu": "RTU",
    "thermostat": "Thermostat",
    "unitHeater": "Unit_Heater",
    "valve": "Valve",
    "vav": "VAV",
    "vfd": "VFD",
    "luminaire": "Luminaire",
    "panel": "Electrical_Equipment",
}
"""A marker of equipment that says all, and the class."""

METERS: Mapping[str, str] = {
    "elec": "Electrical_Meter",
    "gas": "Gas_Meter",
    "naturalGas": "Gas_Meter",
    "water": "Water_Meter",
    "chilled": "Chilled_Water_Meter",
    "thermal": "Thermal_Power_Meter",
}
"""What a meter measures."""

SPACES: Mapping[str, str] = {"room": "Room", "office": "Office", "lobby": "Lobby"}
"""A marker of a space that says all, and the class."""

_WORDS: Mapping[str, tuple[str, ...]] = {
    "sp": ("Setpoint",),
    "cmd": ("Command",),
    "temp": ("Temperature",),
    "elec": ("Electric", "Electrical"),
    "cooling": ("Cool",),
    "heating": ("Heat",),
    "discharge": ("Discharge", "Supply"),
    "leaving": ("Leaving",),
    "effective": ("Effective",),
    "occ": ("Occupied",),
    "occupied": ("Occupied", "Occupancy"),
    "unocc": ("Unoccupied",),
    "co2": ("CO2",),
    "humidity": ("Humidity", "Relative"),
    "illuminance": ("Illuminance",),
    "light": ("Luminance",),
    "run": ("Run", "On", "Off"),
    "naturalGas": ("Natural", "Gas"),
    "position": ("Position",),
    "concentration": ("Level",),
}
"""Brick's tags for what Haystack says in another way; else it is the same word with a capital."""

_ALSO: Mapping[frozenset[str], str] = {
    frozenset({"Air", "Point", "Setpoint", "Temperature", "Zone"}): "Target_Zone_Air_Temperature_Setpoint",
    frozenset({"Electric", "Energy", "Point", "Sensor"}): "Electrical_Energy_Usage_Sensor",
}
"""Sets of tags that mean one class alone in buildings, where Brick has a tag more."""

_UNITS: Mapping[str, str] = {
    "°C": "degC",
    "°F": "degF",
    "celsius": "degC",
    "fahrenheit": "degF",
    "%": "percent",
    "%RH": "percent",
    "cfm": "ft**3/min",
    "cph": "1/hour",
    "ft³": "ft**3",
    "ft²": "ft**2",
    "gal/min": "gallon/min",
    "inH₂O": "inch_H2O_60F",
    "kW": "kW",
    "L/s": "L/s",
    "lx": "lux",
    "m²": "m**2",
    "m³": "m**3",
    "m³/h": "m**3/h",
    "mg/m³": "mg/m**3",
    "µg/m³": "ug/m**3",
    "tonref": "refrigeration_ton",
    "tonrefh": "refrigeration_ton*hour",
    "BTU/h": "Btu/h",
    "W/m²": "W/m**2",
}
"""Symbols of Haystack's units that are not read as they stand."""


def point_class(markers: AbstractSet[str]) -> tuple[str, frozenset[str]]:
    """The narrowest class of points whose tags are all said, and the markers that have said it."""
    said: defaultdict[str, set[str]] = defaultdict(set)
    for marker in markers:
        for word in _WORDS.get(marker, (marker[:1].upper() + marker[1:],)):
            said[word].add(marker)
    best = max(
        ((len(words), name, words) for words, name in _points() if words <= said.keys()),
        default=(0, "Point", frozenset[str]()),
        key=lambda one: (one[0], one[1] in _ALSO.values(), [-ord(letter) for letter in one[1]]),
    )
    return best[1], frozenset(marker for word in best[2] for marker in said[word])


def equipment_class(markers: AbstractSet[str]) -> tuple[str, frozenset[str]]:
    """The class of equipment, and the markers that have said it."""
    if "meter" in markers:
        for marker, name in METERS.items():
            if marker in markers:
                return name, frozenset({"meter", marker})
        return "Meter", frozenset({"meter"})
    # A fan of a unit is marked with both in older grids: the part is the narrower.
    for marker in ("fan", "pump", "damper", "valve", *EQUIPMENT):
        if marker in markers:
            return EQUIPMENT[marker], frozenset({marker})
    return "Equipment", frozenset()


def unit_of(symbol: str) -> str | None:
    """The unit here for a symbol or name of Haystack's; None when there is none."""
    symbol = symbol.strip()
    try:
        return check_unit(_UNITS.get(symbol, symbol))
    except InvalidInput:
        return None


def time_zone_of(name: str) -> str | None:
    """The IANA zone of a name that is one, or of its city as Haystack has it; None where it is not clear."""
    if name in time_zones():
        return name
    return _cities().get(name)


@cache
def _cities() -> Mapping[str, str]:
    found: defaultdict[str, set[str]] = defaultdict(set)
    for zone in time_zones():
        found[zone.rpartition("/")[2]].add(zone)
    # `Europe/Brussels` and `posix/Europe/Brussels` are one; of continents the first by the alphabet.
    regions = ("Africa/", "America/", "Antarctica/", "Asia/", "Atlantic/", "Australia/", "Europe/", "Etc/")
    clear = {}
    for city, zones in found.items():
        there = sorted(zone for zone in zones if zone.startswith((*regions, "Indian/", "Pacific/")))
        if there:
            clear[city] = min(there, key=lambda zone: (zone.count("/"), zone))
    return clear


@cache
def _points() -> tuple[tuple[frozenset[str], str], ...]:
    return (
        *((words, name) for name, words in sorted(tags().items()) if is_subclass(name, "Point")),
        *_ALSO.items(),
    )
