"""What is wrong with a point's data, how much, and what to do."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from insula_tenants.analytics.cadence import Cadence
from insula_tenants.analytics.completeness import Completeness
from insula_tenants.analytics.quality.detection import Gaps, OutOfRange, Stuck
from insula_tenants.diagnostics.verdict import CLOCK_TOLERANCE

Kind = Literal[
    "silent",
    "incomplete",
    "gap",
    "stuck",
    "out_of_range",
    "clock_ahead",
    "clock_behind",
    "interval_unknown",
]
Severity = Literal["serious", "minor"]

INCOMPLETE = 0.95
"""Share of the expected readings below which something is wrong."""
VERY_INCOMPLETE = 0.8
LONG_GAP = 6 * 3600.0
"""Seconds: a morning is missing."""


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong."""

    kind: Kind
    severity: Severity
    detail: str
    what_to_do: str


@dataclass(frozen=True, slots=True)
class Evidence:
    """What is known of a point's data in a period."""

    seconds: float
    """How long the point could be read in the period."""
    readings: int
    cadence: Cadence
    completeness: Completeness
    gaps: Gaps
    stuck: Sequence[Stuck]
    out_of_range: OutOfRange | None
    clock_offset: float | None
    """Seconds that the device's clock is behind; below zero it is ahead."""


def problems_of(found: Evidence) -> list[Problem]:
    """Everything that is wrong, the serious first."""
    if not found.readings:
        return _silent(found)
    told = [
        *_incomplete(found),
        *_gap(found),
        *_stuck(found),
        *_out_of_range(found),
        *_clock(found),
        *_unknown(found),
    ]
    return sorted(told, key=lambda one: one.severity != "serious")


def score_of(found: Evidence) -> float:
    """0 is faultless, 1 is useless: what is left of the data after each fault has taken its share, from 1.

    Missing readings take theirs, values that are stuck the share of the time that they last, readings out
    of range that of the days that have any, a wrong clock a fifth, an interval that nobody knows a twentieth.
    """
    if not found.readings:
        return 0.05 if found.cadence.source == "events" else 1.0 if found.seconds > 0 else 0.0
    left = found.completeness.share if found.completeness.share is not None else 1.0
    if found.seconds > 0:
        left *= 1 - min(sum(one.seconds for one in found.stuck) / found.seconds, 1)
        if found.out_of_range is not None:
            left *= 1 - min(found.out_of_range.days / max(found.seconds / 86_400, 1), 1)
    if found.clock_offset is not None and abs(found.clock_offset) > CLOCK_TOLERANCE:
        left *= 0.8
    if found.cadence.source == "unknown":
        left *= 0.95
    return 1 - left


def _silent(found: Evidence) -> list[Problem]:
    if found.seconds <= 0:
        return []
    if found.cadence.source == "events":
        return [
            Problem(
                "silent",
                "minor",
                "Nothing came in all this time. It reports when something happens: perhaps nothing did.",
                "Make it happen once, such as open the door, and see whether it is reported.",
            )
        ]
    return [
        Problem(
            "silent",
            "serious",
            "Nothing came in all this time.",
            "Ask the device's diagnostics why it is silent; if it is gone for good, decommission it.",
        )
    ]


def _incomplete(found: Evidence) -> list[Problem]:
    share = found.completeness.share
    if share is None or share >= INCOMPLETE:
        return []
    missing = found.completeness.expected - found.completeness.present
    interval = found.cadence.interval or 0
    return [
        Problem(
            "incomplete",
            "serious" if share < VERY_INCOMPLETE else "minor",
            f"{share:.1%} of the readings are there: {missing:,} of {found.completeness.expected:,} are "
            f"missing, by one each {_duration(interval)}.",
            "Where it lacks a few all the time, see its radio or the limit on its messages, and whether the "
            "interval that is expected of it is right; where it lacks days, see its gaps.",
        )
    ]


def _gap(found: Evidence) -> list[Problem]:
    if not found.gaps.count:
        return []
    longest = max(found.gaps.items, key=lambda one: one.seconds)
    more = f", and {found.gaps.count - 1} more" if found.gaps.count > 1 else ""
    return [
        Problem(
            "gap",
            "serious" if found.gaps.longest > LONG_GAP else "minor",
            f"Nothing for {_duration(longest.seconds)} from {_moment(longest.starting)} on{more}.",
            "See what else was silent then: one device is its battery or radio, all of a gateway are the "
            "gateway or its network. What the device kept can be brought in by an upload of readings.",
        )
    ]


def _stuck(found: Evidence) -> list[Problem]:
    if not found.stuck:
        return []
    longest = max(found.stuck, key=lambda one: one.seconds)
    return [
        Problem(
            "stuck",
            "serious",
            f"It says {longest.value:g} for {_duration(longest.seconds)} from {_moment(longest.starting)} "
            "on: this does not stay the same for so long.",
            "Restart the sensor, and replace it if the value does not move. Or it was switched off behind a "
            "gateway that repeats the last value.",
        )
    ]


def _out_of_range(found: Evidence) -> list[Problem]:
    wrong = found.out_of_range
    if wrong is None:
        return []
    range_ = f"{_bound(wrong.minimum, 'no least')} to {_bound(wrong.maximum, 'no most')}"
    many = f"{wrong.readings:,} readings on" if wrong.readings is not None else "Readings on"
    return [
        Problem(
            "out_of_range",
            "serious",
            f"{many} {wrong.days} {'day' if wrong.days == 1 else 'days'} are out of {range_}: the lowest is "
            f"{wrong.lowest:g}, the highest {wrong.highest:g}.",
            "A value such as -127 or 65535 is a sensor that cannot read: see its wiring. If the values are "
            "right, correct the point's unit, or its minimum and maximum.",
        )
    ]


def _clock(found: Evidence) -> list[Problem]:
    offset = found.clock_offset
    if offset is None or abs(offset) <= CLOCK_TOLERANCE:
        return []
    ahead = offset < 0
    return [
        Problem(
            "clock_ahead" if ahead else "clock_behind",
            "serious" if abs(offset) > 3600 else "minor",
            f"The device's clock is {_duration(abs(offset))} {'ahead' if ahead else 'behind'}: its readings "
            "are there, at wrong times.",
            "Set the device's clock (NTP), or have it leave the time out: then the time of receipt counts.",
        )
    ]


def _unknown(found: Evidence) -> list[Problem]:
    if found.cadence.source != "unknown":
        return []
    return [
        Problem(
            "interval_unknown",
            "minor",
            "Nobody said how often it is to be read, and its readings are too few or too irregular to tell.",
            "Say the expected interval of the point or of its device.",
        )
    ]


def _bound(value: float | None, none: str) -> str:
    return f"{value:g}" if value is not None else none


def _moment(time: datetime) -> str:
    return f"{time:%Y-%m-%d %H:%M} UTC"


def _duration(seconds: float) -> str:
    """Words for a length of time: its two largest units."""
    parts = []
    rest = round(seconds)
    for width, unit in ((86_400, "d"), (3600, "h"), (60, "min"), (1, "s")):
        if rest >= width:
            parts.append(f"{rest // width} {unit}")
            rest %= width
    return " ".join(parts[:2]) or "0 s"
