"""What comfort takes to be so because nobody measured or said it: each answer lists it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from insula_tenants.analytics.comfort.by_hour import Climate
from insula_tenants.analytics.comfort.categories import NORMAL, OUTDOOR_CO2, Category
from insula_tenants.analytics.comfort.clock import LocalHours
from insula_tenants.analytics.comfort.thermal import AIR_SPEED, HUMIDITY, METABOLIC_RATE

Values = NDArray[np.float64]

Assumed = Literal[
    "humidity",
    "radiant_temperature",
    "air_speed",
    "clothing",
    "metabolic_rate",
    "outdoor_temperature",
    "outdoor_co2",
    "category",
    "adaptive_category",
    "season",
    "occupied_hours",
    "unit",
]


@dataclass(frozen=True, slots=True)
class Assumption:
    """What was taken instead of something, in how many of the hours, and why."""

    what: Assumed
    value: str | None
    unit: str | None
    hours: float
    detail: str


def assumptions(climate: Climate, hours: LocalHours, stated: Category | None) -> list[Assumption]:
    """What the hours' comfort rests on besides readings. `stated` is the space's category, if it has one."""
    total = float(hours.lengths.sum())
    found: list[Assumption] = []
    if climate.air is not None:
        found += _of_heat(climate, hours, total)
        found += _of_weather(climate, hours, total)
    if climate.co2 is not None:
        detail = "CO2 is judged by how much it is above outdoor air, of which nobody measures it"
        found.append(Assumption("outdoor_co2", f"{OUTDOOR_CO2:.0f}", "ppm", total, detail))
    if stated is None:
        detail = "nobody said which category the space is meant to keep to"
        found.append(Assumption("category", NORMAL, None, total, detail))
    if stated == "IV" and climate.running_mean is not None:
        detail = "the adaptive method has no category IV: the limits of III are used"
        found.append(Assumption("adaptive_category", "III", None, total, detail))
    return found


def _of_heat(climate: Climate, hours: LocalHours, total: float) -> list[Assumption]:
    """What PMV needs and sensors don't tell."""
    found = [
        Assumption("air_speed", f"{AIR_SPEED:g}", "m/s", total, "no sensor tells the speed of the air"),
        Assumption("metabolic_rate", f"{METABOLIC_RATE:g}", "met", total, "people are taken to sit"),
        Assumption(
            "clothing",
            "0.5 to 1.0",
            "clo",
            total,
            "1.0 in winter, 0.5 in summer; in between where the running mean outdoor temperature is from 10 "
            "to 15 °C",
        ),
    ]
    if lacking := _lacking(climate.humidity, climate, hours):
        detail = "humidity is not measured" if climate.humidity is None else "humidity was not read then"
        found.append(Assumption("humidity", f"{HUMIDITY:.0f}", "%", lacking, detail))
    if lacking := _lacking(climate.radiant, climate, hours):
        detail = "taken to be that of the air: " + (
            "it is not measured" if climate.radiant is None else "it was not read then"
        )
        found.append(Assumption("radiant_temperature", "air temperature", None, lacking, detail))
    return found


def _of_weather(climate: Climate, hours: LocalHours, total: float) -> list[Assumption]:
    outdoors = climate.running_mean
    unknown = total if outdoors is None else float(hours.lengths[np.isnan(outdoors)].sum())
    found = []
    if outdoors is None:
        detail = (
            "no outdoor temperature is known for the building: adaptive comfort and CIBSE TM52 cannot be told"
        )
        found.append(Assumption("outdoor_temperature", None, None, total, detail))
    if unknown:
        value = "November to March" if climate.southern else "May to September"
        detail = "summer by the calendar, as the outdoor temperature of the days before is not known"
        found.append(Assumption("season", value, None, unknown, detail))
    return found


def _lacking(values: Values | None, climate: Climate, hours: LocalHours) -> float:
    """The hours that have an air temperature and not this."""
    if climate.air is None:
        return 0.0
    there = ~np.isnan(climate.air)
    if values is not None:
        there &= np.isnan(values)
    return float(hours.lengths[there].sum())
