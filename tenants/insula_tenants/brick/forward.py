"""Names of classes as files have them, and those of today's Brick.

Brick has been published since 2016, under namespaces with and without its release (`…/1.0.2/Brick#`,
`…/Brick#`), and files outlive releases. A name that is gone is looked for, in this order:

1. in `replaced.txt`: what the ontology itself says has taken its place, and for classes of RealEstateCore,
   which Brick 1.4 began to take over, the Brick class (`rec:ConferenceRoom`, `Conference_Room`);
2. in `RENAMED`, for what went before the ontology began to say so;
3. with `_Sensor` after it: in Brick 1.0 a point could be of the class of what it measures;
4. without its first words: Brick 1.0 named what a point belongs to in the point's class
   (`AHU_Discharge_Air_Temperature_Sensor`), and a narrower class is one of a wider one in any case.

Deprecated classes of places (`Room`, in favour of `rec:Room`) stay as they are: Brick 1.5 still has them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from functools import cache
from importlib.resources import files
from typing import NamedTuple

from insula_tenants.brick.classes import VERSION, is_class

RENAMED: Mapping[str, str] = {
    # Brick 1.1 took the word of the rest of its detection alarms.
    "Smoke_Detected_Alarm": "Smoke_Detection_Alarm",
    "Discharge_Air_Smoke_Detected_Alarm": "Discharge_Air_Smoke_Detection_Alarm",
    "Supply_Air_Smoke_Detected_Alarm": "Supply_Air_Smoke_Detection_Alarm",
    # What moves at that speed is the fan that the point belongs to.
    "Fan_Speed_Reset_Command": "Speed_Reset_Command",
    "Fan_Speed_Reset": "Speed_Reset_Command",
    # A demand is a power; Brick 1.0 had the quantity alone.
    "Energy_Demand": "Demand_Sensor",
    "Power_Demand": "Demand_Sensor",
    # Words that were put in another order, or spelled otherwise.
    "CO2_High_Alarm": "High_CO2_Alarm",
    "Chilled_Water_Temperature_Differential_Sensor": "Chilled_Water_Differential_Temperature_Sensor",
    "Condensor": "Condensing_Unit",
    "Alarm_Delay_Setpoint": "Alarm_Delay_Parameter",
    # In 1.4 alone. The temperature of a colour is not that of a thing: no temperature sensor.
    "Lighting_Correlated_Color_Temperature_Sensor": "Sensor",
}
"""Classes that are gone without a trace in the ontology, and what they are called today. Names of 1.0 were
compared with the converter from 1.0.2 to 1.1 that Brick's repository had until 2023."""

_BRICK = re.compile(r"https?://brickschema\.org/schema/(?:[0-9]+(?:\.[0-9]+){0,2}/)?Brick(?:Frame)?#(.+)")
_REC = re.compile(r"https://w3id\.org/rec(?:/[a-z]+/)?[#/]?(.+)")
_POINT_WORDS = ("Sensor", "Setpoint", "Status", "Command", "Alarm", "Parameter", "Limit")
_MOST_WORDS = 20


class Forward(NamedTuple):
    """What a class is called today."""

    name: str
    """Of a class of today's Brick."""
    reason: str | None = None
    """Why it is not the one that the file has; None when it is."""


def brick_name(iri: str) -> str | None:
    """The local name, when the IRI is in one of Brick's namespaces for classes and relationships."""
    found = _BRICK.fullmatch(iri)
    return found[1] if found else None


def vocabulary_name(iri: str) -> str | None:
    """The same, and for RealEstateCore's with `rec:` before it; None for any other vocabulary's."""
    if name := brick_name(iri):
        return name
    found = _REC.fullmatch(iri)
    return f"rec:{found[1]}" if found else None


def forward(name: str) -> Forward | None:
    """Today's class for a class's local name, `rec:` before one of RealEstateCore's; None for no class."""
    new = name if is_class(name) else RENAMED.get(name, name)
    while new in replacements():
        new = replacements()[new]
    if not is_class(new):
        return next(_wider(name), None)
    if new == name or f"rec:{new.replace('_', '')}".lower() == name.lower():
        return Forward(new)
    if name.startswith("rec:"):
        return Forward(new, f"{name} is kept as {new}, the nearest that Brick {VERSION} has")
    return Forward(new, f"Brick {VERSION} has {new} in place of {name}")


@cache
def replacements() -> Mapping[str, str]:
    """What `replaced.txt` says, made from the ontology as `classes.txt` is."""
    lines = (files(__package__) / "replaced.txt").read_text(encoding="ascii").splitlines()
    return dict(line.split() for line in lines)


def _wider(name: str) -> Iterator[Forward]:
    words = name.split("_")[:_MOST_WORDS]
    says_kind = words[-1] in _POINT_WORDS
    for first in range(len(words)):
        rest = "_".join(words[first:])
        guesses = (rest, rest.replace("_Temperature", "_Air_Temperature", 1), f"{rest}_Sensor")
        for guess in guesses[:2] if says_kind else guesses:
            found = replacements().get(guess, guess)
            if is_class(found):
                yield Forward(found, f"{name} is kept as {found}, the nearest that Brick {VERSION} has")
