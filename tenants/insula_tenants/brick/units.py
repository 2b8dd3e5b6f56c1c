"""Units as Brick has them, QUDT's (https://qudt.org/vocab/unit/), and as points have them: pint's names."""

from __future__ import annotations

import re
from collections.abc import Mapping

QUDT = "http://qudt.org/vocab/unit/"

UNITS: Mapping[str, str] = {
    "A": "A",
    "BAR": "bar",
    "BTU_IT": "Btu",
    "BTU_IT-PER-HR": "Btu/h",
    "CD": "candela",
    "CD-PER-M2": "candela/m**2",
    "DEG": "degree",
    "DEG_C": "degC",
    "DEG_F": "degF",
    "DeciB": "decibel",
    "FT2": "ft**2",
    "FT3": "ft**3",
    "FT3-PER-MIN": "ft**3/min",
    "GAL_US": "gallon",
    "GAL_US-PER-MIN": "gallon/min",
    "GM-PER-KiloGM": "g/kg",
    "GigaJ": "GJ",
    "HZ": "Hz",
    "HectoPA": "hPa",
    "HR": "hour",
    "IN_H2O": "inch_H2O_60F",
    "J": "J",
    "J-PER-KiloGM": "J/kg",
    "K": "K",
    "KiloGM": "kg",
    "KiloGM-PER-M3": "kg/m**3",
    "KiloGM-PER-SEC": "kg/s",
    "KiloJ": "kJ",
    "KiloJ-PER-KiloGM": "kJ/kg",
    "KiloPA": "kPa",
    "KiloV": "kV",
    "KiloV-A": "kV*A",
    "KiloV-A-HR": "kV*A*h",
    "KiloW": "kW",
    "KiloW-HR": "kWh",
    "L": "L",
    "L-PER-MIN": "L/min",
    "L-PER-SEC": "L/s",
    "LM": "lumen",
    "LUX": "lux",
    "M": "m",
    "M-PER-SEC": "m/s",
    "M2": "m**2",
    "M3": "m**3",
    "M3-PER-HR": "m**3/h",
    "M3-PER-SEC": "m**3/s",
    "MIN": "minute",
    "MegaJ": "MJ",
    "MegaW": "MW",
    "MegaW-HR": "MWh",
    "MicroGM-PER-M3": "ug/m**3",
    "MilliA": "mA",
    "MilliBAR": "mbar",
    "MilliGM-PER-M3": "mg/m**3",
    "MilliM": "mm",
    "MilliM-PER-HR": "mm/h",
    "MilliSEC": "ms",
    "MilliV": "mV",
    "PA": "Pa",
    "PERCENT": "percent",
    "PERCENT_RH": "percent",
    "PPM": "ppm",
    "PSI": "psi",
    "REV-PER-MIN": "rpm",
    "SEC": "s",
    "TON_FG": "refrigeration_ton",
    "UNITLESS": "dimensionless",
    "V": "V",
    "V-A": "V*A",
    "W": "W",
    "W-HR": "Wh",
    "W-PER-M2": "W/m**2",
    "W-PER-M2-K": "W/m**2/K",
}
"""Of what buildings measure. Where two say the same, the first is written."""

_OLDER: Mapping[str, str] = {"DEG-C": "DEG_C", "DEG-F": "DEG_F", "KiloWHR": "KiloW-HR", "NUM": "UNITLESS"}
"""Names that QUDT had before."""

_BY_NAME = {name: qudt for qudt, name in reversed(list(UNITS.items()))}
_IRI = re.compile(r"https?://qudt\.org/(?:[0-9.]+/)?vocab/unit[/#](.+)")


def unit_of(iri: str) -> str | None:
    """The name of QUDT's unit here; None for one that is not in the table."""
    found = _IRI.fullmatch(iri)
    return UNITS.get(_OLDER.get(found[1], found[1])) if found else None


def qudt_of(unit: str) -> str | None:
    """The IRI of a unit; None where QUDT has none by this name."""
    name = _BY_NAME.get(unit)
    return f"{QUDT}{name}" if name is not None else None
