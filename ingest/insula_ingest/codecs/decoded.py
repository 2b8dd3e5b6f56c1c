"""What every codec returns."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import NamedTuple

from insula_tenants.telemetry.reasons import EARLIEST, LARGEST, MAX_AHEAD, Reason

__all__ = [
    "EARLIEST",
    "LARGEST",
    "MAX_AHEAD",
    "MOST_REJECTIONS",
    "Decoded",
    "Microseconds",
    "Reason",
    "Rejected",
    "Value",
    "number",
    "plausible",
    "shown",
    "storable",
]

Microseconds = int
"""Whole microseconds since the epoch."""


class Value(NamedTuple):
    """One value of one point. `time` is None when the message named none."""

    point: str
    time: Microseconds | None
    value: float


class Told(NamedTuple):
    """What a Sparkplug birth tells of a metric; `alias` is None where it has none, `datatype` 0 likewise."""

    name: str
    alias: int | None
    datatype: int


class Pending(NamedTuple):
    """A Sparkplug value that only its device's births can read: they know its name, its datatype, or both."""

    where: str
    name: str | None
    alias: int
    """0 when it has a name."""
    time: Microseconds | None
    field: str
    """The field of the metric that holds the value, such as `int_value`."""
    datatype: int
    """0 when the metric does not say."""
    value: float
    historical: bool


@dataclass(slots=True)
class Metrics:
    """What a Sparkplug payload has for its device's births, and what it needs of them."""

    told_at: Microseconds
    """The time of the payload."""
    told: list[Told] = field(default_factory=list)
    pending: list[Pending] = field(default_factory=list)


class Rejected(NamedTuple):
    """One thing that could not be read; `detail` names the field and the fix."""

    reason: Reason
    detail: str


MOST_REJECTIONS = 20
"""Rejections of one payload that are kept: a payload of garbage may have half a million."""


@dataclass(slots=True)
class Decoded:
    """What a payload held: good values beside what was rejected."""

    values: list[Value] = field(default_factory=list)
    rejected: list[Rejected] = field(default_factory=list)
    not_kept: int = 0
    """Further rejections that were only counted."""
    metrics: Metrics | None = None
    """Of a Sparkplug payload alone."""

    @property
    def counted(self) -> int:
        """What the limits of values count. What is no value took its time, too, where there is much of it."""
        if self.metrics is None:
            return len(self.values) + self.not_kept
        return max(len(self.values) + len(self.metrics.pending), len(self.metrics.told)) + self.not_kept

    def reject(self, reason: Reason, detail: str) -> None:
        """Note something that could not be read."""
        if len(self.rejected) < MOST_REJECTIONS:
            self.rejected.append(Rejected(reason, detail))
        else:
            self.not_kept += 1


def number(value: object) -> float | None:
    """`value` as a finite float; booleans are 0 and 1; None for anything else."""
    if not isinstance(value, (int, float)):
        return None
    try:
        converted = float(value)
    except OverflowError:
        return None
    return converted if math.isfinite(converted) else None


def storable(value: object) -> float | None:
    """`value` as a float of at most `LARGEST`; booleans are 0 and 1; None for anything else."""
    converted = number(value)
    return converted if converted is not None and abs(converted) <= LARGEST else None


def shown(value: object, limit: int = 60) -> str:
    """A value as an error message quotes it: short, and in printable ASCII."""
    try:
        text = ascii(value)
    except RecursionError:
        return "something nested too deep"
    except ValueError:  # more digits than Python prints
        return "a number of thousands of digits"
    return text if len(text) <= limit else text[: limit - 1] + "…"


def plausible(
    microseconds: float, received_at: Microseconds, decoded: Decoded, where: str, given: object
) -> Microseconds | None:
    """The time in whole microseconds, or None with a rejection when no sensor can have measured then."""
    if not math.isfinite(microseconds):
        decoded.reject(Reason.IMPLAUSIBLE_TIME, f"{where}: {shown(given)} is no time of this world")
        return None
    time = round(microseconds)
    if EARLIEST <= time <= received_at + MAX_AHEAD:
        return time
    hint = "a day or more ahead" if time > received_at else "before 2000"
    if EARLIEST <= time * 1000 <= received_at + MAX_AHEAD:
        hint += "; it looks like seconds, send milliseconds"
    decoded.reject(Reason.IMPLAUSIBLE_TIME, f"{where}: {shown(given)} is {hint}; set the device's clock")
    return None
