"""What every codec returns."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from enum import StrEnum
from typing import NamedTuple

EARLIEST = 946_684_800_000_000
"""2000-01-01 in microseconds: an earlier time is a clock that was never set."""

MAX_AHEAD = 86_400_000_000
"""One day in microseconds: a later time is a clock that runs wild."""

Microseconds = int
"""Whole microseconds since the epoch."""


class Reason(StrEnum):
    """Why something could not be stored. The list is closed: people filter and alert by it."""

    MALFORMED = "malformed"
    """The payload is not what its format demands."""
    TOO_LARGE = "too_large"
    """The payload is larger than ingest takes."""
    BAD_SHAPE = "bad_shape"
    """Well-formed, but neither telemetry nor SenML."""
    BAD_TIME = "bad_time"
    """The time is neither milliseconds since the epoch nor RFC 3339."""
    IMPLAUSIBLE_TIME = "implausible_time"
    """The time is before 2000 or more than a day ahead."""
    BAD_NAME = "bad_name"
    """The name of a point has characters that names do not have."""
    BAD_VALUE = "bad_value"
    """The value is not a finite number or a boolean."""
    TOO_MANY_POINTS = "too_many_points"
    """The device named more points than it may make."""
    BEYOND_RETENTION = "beyond_retention"
    """The reading is older than the tenant's readings are kept."""
    OVER_QUOTA = "over_quota"
    """The device or its tenant sends more than its plan has."""
    UNKNOWN_DEVICE = "unknown_device"
    """The registry has no such device."""
    SUSPENDED = "suspended"
    """The tenant is closed: suspended, or being deleted."""
    NOT_STORED = "not_stored"
    """The database refused it."""


class Value(NamedTuple):
    """One value of one point. `time` is None when the message named none."""

    point: str
    time: Microseconds | None
    value: float


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


def shown(value: object, limit: int = 60) -> str:
    """A value as an error message quotes it: short, and in printable ASCII."""
    try:
        text = ascii(value)
    except RecursionError:
        return "something nested too deep"
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
