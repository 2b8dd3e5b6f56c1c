"""From the platform's answers about data quality to the rows that charts and tables show."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta

import pandas as pd  # type: ignore[import-untyped] # ships no type information

from insula_analytics_ui.api.quality import Day, PointQuality
from insula_analytics_ui.theme import BLUISH_GREEN, ORANGE, VERMILLION
from insula_analytics_ui.times import MARKS, day_text, duration_text, milliseconds
from insula_analytics_ui.words import N_, _, number_text, share_text


@dataclass(frozen=True)
class Verdict:
    """How bad something is: its word, the colour of its dot, and its rank: the higher, the worse."""

    word: str
    colour: str
    rank: int

    @property
    def dot(self) -> str:
        """Filled while all is well, half for what is minor, empty for what is serious."""
        return "●◐○"[self.rank]


GOOD = Verdict(N_("good"), BLUISH_GREEN, 0)
MINOR = Verdict(N_("minor"), ORANGE, 1)
SERIOUS = Verdict(N_("serious"), VERMILLION, 2)
VERDICTS = (GOOD, MINOR, SERIOUS)

DAY = 86_400_000.0
"""Milliseconds of a day of UTC."""

PROBLEMS: Mapping[str, tuple[str, str]] = {
    "silent": (
        N_("Silent"),
        N_("See whether the device has power and reaches its gateway; then look at its diagnostics."),
    ),
    "incomplete": (
        N_("Incomplete"),
        N_("Compare the expected interval with what the device is set to, then check its radio."),
    ),
    "gap": (
        N_("Gaps"),
        N_("See the device's diagnostics for that time: its battery, its radio and its gateway."),
    ),
    "stuck": (
        N_("Stuck"),
        N_("Warm, light or move the sensor and see whether its value follows; if it does not, replace it."),
    ),
    "out_of_range": (
        N_("Out of range"),
        N_("Check the sensor and its wiring, and whether the point's unit and limits are right."),
    ),
    "clock_ahead": (
        N_("Clock ahead"),
        N_("Set the device's clock, or let it keep time by NTP or by its gateway."),
    ),
    "clock_behind": (
        N_("Clock behind"),
        N_("Set the device's clock, or let it keep time by NTP or by its gateway."),
    ),
    "interval_unknown": (
        N_("Interval unknown"),
        N_("Say how often the device reports, so that missing readings can be counted."),
    ),
}
"""What can be wrong with a point's data, by the platform's name: what people call it, and what to do."""


def problem_name(kind: str) -> str:
    """What people call a problem."""
    return _(PROBLEMS[kind][0]) if kind in PROBLEMS else kind.replace("_", " ").capitalize()


def verdict(point: PointQuality) -> Verdict:
    """How bad a point's data is: as bad as the worst of its problems."""
    severities = {problem.severity for problem in point.problems}
    if "serious" in severities:
        return SERIOUS
    return MINOR if severities else GOOD


def how_much(point: PointQuality, kind: str, unit: str) -> str:
    """How much of a problem there is, in figures."""
    tell = _FIGURES.get(kind)
    return tell(point, unit) if tell else ""


def _share(point: PointQuality, _unit: str) -> str:
    share = point.completeness.share
    return "" if share is None else _("{share} % of the readings").format(share=number_text(100 * share, 1))


def _gaps(point: PointQuality, _unit: str) -> str:
    return _("{count} gaps, the longest {longest}").format(
        count=number_text(point.gaps.count, 0), longest=seconds_text(point.gaps.longest)
    )


def _stuck(point: PointQuality, unit: str) -> str:
    longest = max(point.stuck, key=lambda each: each.seconds, default=None)
    if longest is None:
        return ""
    value = "" if longest.value is None else f"{number_text(longest.value, 1)} {unit}".strip()
    return _("{value} for {time}").format(value=value, time=seconds_text(longest.seconds))


def _out_of_range(point: PointQuality, unit: str) -> str:
    out = point.out_of_range
    if out is None:
        return ""
    text = _("{lowest} to {highest} {unit}").format(
        lowest=number_text(out.lowest, 1), highest=number_text(out.highest, 1), unit=unit
    )
    return text.strip()


def _clock(point: PointQuality, _unit: str) -> str:
    return "" if point.clock_offset is None else seconds_text(abs(point.clock_offset))


_FIGURES: Mapping[str, Callable[[PointQuality, str], str]] = {
    "silent": _share,
    "incomplete": _share,
    "gap": _gaps,
    "stuck": _stuck,
    "out_of_range": _out_of_range,
    "clock_ahead": _clock,
    "clock_behind": _clock,
}


def percent(share: float | None) -> float | None:
    """A share of complete data as percent, rounded down: what lacks a little is not complete."""
    return None if share is None else int(share * 1000 + 1e-9) / 10


def seconds_text(seconds: float) -> str:
    """A length of time in its largest unit."""
    return duration_text(timedelta(seconds=seconds))


@dataclass(frozen=True)
class Task:
    """One thing to do, and the points that need it, the worst first."""

    kind: str
    points: tuple[PointQuality, ...]

    @property
    def name(self) -> str:
        """What is wrong."""
        return problem_name(self.kind)

    @property
    def todo(self) -> str:
        """What to do."""
        return _(PROBLEMS[self.kind][1]) if self.kind in PROBLEMS else ""


def tasks(points: Iterable[PointQuality]) -> list[Task]:
    """What there is to do: one task for each kind of problem, the one with the most serious points first."""
    found: dict[str, list[PointQuality]] = {}
    for point in points:
        for kind in dict.fromkeys(problem.kind for problem in point.problems):
            found.setdefault(kind, []).append(point)
    ordered = sorted(found, key=lambda kind: (-max(point.score for point in found[kind]), _order(kind)))
    return [Task(kind, tuple(sorted(found[kind], key=lambda point: -point.score))) for kind in ordered]


def _order(kind: str) -> int:
    """Where a kind stands among those of points that are as bad."""
    return list(PROBLEMS).index(kind) if kind in PROBLEMS else len(PROBLEMS)


def calendar_rows(
    days: Sequence[Day], points: Sequence[tuple[str, PointQuality]], *, everything: str
) -> pd.DataFrame:
    """Rows `time`, `until`, `name`, `share` (%), `shown`, `whole`, `at`: `everything` and each point, by day.

    Days are those of UTC, in which the platform counts them. A day of which nothing was expected is left out.
    """
    series: list[tuple[str, Sequence[float | None]]] = [(everything, [day.share for day in days])]
    series += [(name, point.days) for name, point in points]
    rows = []
    for name, shares in series:
        for day, share in zip(days, shares, strict=False):
            if share is not None:
                begin = _utc(day.day)
                # What lacks a little is not complete: round down.
                whole = number_text(int(share * 100 + 1e-9), 0)
                rows.append((begin, begin + DAY, name, 100 * share, share_text(share), whole, _day(day.day)))
    columns = ["time", "until", "name", "share", "shown", "whole", "at"]
    return pd.DataFrame(rows, columns=columns).astype(
        {"time": "float64", "until": "float64", "share": "float64"}
    )


def day_marks(days: Sequence[Day]) -> dict[float, str]:
    """What stands under the days: under the middle of one, and of so few that the labels stand apart."""
    return {_utc(day.day) + DAY / 2: _day(day.day) for day in days[:: max(1, -(-len(days) // MARKS))]}


def _utc(day: date) -> float:
    return milliseconds(datetime.combine(day, time(), tzinfo=UTC))


def _day(day: date) -> str:
    return day_text(datetime.combine(day, time()))
