"""From the platform's answers about comfort to the rows that charts and tables show."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import timedelta
from zoneinfo import ZoneInfo

import pandas as pd  # type: ignore[import-untyped] # ships no type information

from insula_analytics_ui.api.comfort import Comfort, Hour, Judged, SpaceComfort
from insula_analytics_ui.times import local_text, milliseconds
from insula_analytics_ui.words import N_, _, number_text

CATEGORIES = ("I", "II", "III", "IV", "beyond")
"""Of EN 16798-1, from the best; `beyond` keeps none."""

VIEWS = {
    "temperature": N_("Temperature"),
    "pmv": N_("Predicted mean vote"),
    "adaptive": N_("Adaptive"),
    "co2": N_("CO₂"),
}
"""What comfort is judged by, as addresses and people name it."""

PMV_BANDS = {"I": 0.2, "II": 0.5, "III": 0.7, "IV": 1.0}
"""EN 16798-1:2019, Table B.1: the predicted mean vote keeps within this of 0."""

CO2_LIMITS = {"I": 550.0, "II": 800.0, "III": 1350.0}
"""EN 16798-1:2019, Table B.9: ppm above outdoor air. Category IV has the limit of III."""

HOUR = timedelta(hours=1)


def judged(space: SpaceComfort, view: str) -> Judged | None:
    """What a space comes to in this view; None where it has no sensor for it, or no hour could be judged."""
    found: Judged | None = getattr(space, view)
    return found if found is not None and found.hours > 0 else None


def category_name(category: str) -> str:
    """`Category II`, or `Beyond all`."""
    return _("Beyond all") if category == "beyond" else _("Category {name}").format(name=category)


def worst_first(spaces: Iterable[SpaceComfort], view: str) -> list[tuple[SpaceComfort, Judged]]:
    """The spaces that can be judged in this view, those most out of their band first."""
    found = [(space, each) for space in spaces if (each := judged(space, view))]
    return sorted(found, key=lambda pair: (-(pair[1].out_of_band or 0), pair[0].name))


def category_rows(spaces: Sequence[tuple[SpaceComfort, Judged]]) -> pd.DataFrame:
    """Rows `space`, `category`, `begin`, `end` (% of the judged hours), `shown`, `hours`: parts of bars."""
    rows = []
    for space, each in spaces:
        begin = 0.0
        for category in CATEGORIES:
            hours = each.by_category.get(category, 0.0)
            share = 100 * hours / each.hours
            if hours > 0:
                shown = f"{number_text(share, 0)} %" if share >= 7 else ""
                told = f"{number_text(hours, 0)} h · {number_text(share, 1)} %"
                rows.append((space.name, category_name(category), begin, begin + share, shown, told))
            begin += share
    return pd.DataFrame(rows, columns=["space", "category", "begin", "end", "shown", "hours"])


def hours_of(comfort: Comfort, view: str) -> tuple[float, float]:
    """Of all spaces together: judged hours in this view, and those out of their band."""
    found = [each for space in comfort.spaces if (each := judged(space, view))]
    return sum(each.hours for each in found), sum(each.below + each.above for each in found)


def hour_rows(hours: Sequence[Hour], field: str, zone: ZoneInfo, *, unit: str, decimals: int) -> pd.DataFrame:
    """Rows `time`, `value`, `occupied`, `at`, `shown`; an hour without a value is a gap in the line."""
    rows = [
        (
            milliseconds(hour.time),
            value,
            hour.occupied,
            local_text(milliseconds(hour.time), zone),
            "" if value is None else f"{number_text(value, decimals)} {unit}".strip(),
        )
        for hour in hours
        for value in [getattr(hour, field)]
    ]
    return pd.DataFrame(rows, columns=["time", "value", "occupied", "at", "shown"]).astype(
        {"time": "float64", "value": "float64"}
    )


def outside_rows(hours: Sequence[Hour], field: str, low: str, high: str, zone: ZoneInfo) -> pd.DataFrame:
    """Rows `time`, `value`, `side`, `at`: the occupied hours under or over their band."""
    rows = []
    for hour in hours:
        value, lower, upper = getattr(hour, field), getattr(hour, low), getattr(hour, high)
        if not hour.occupied or value is None or lower is None or upper is None or lower <= value <= upper:
            continue
        at = milliseconds(hour.time)
        rows.append((at, value, "below" if value < lower else "above", local_text(at, zone)))
    return pd.DataFrame(rows, columns=["time", "value", "side", "at"]).astype(
        {"time": "float64", "value": "float64"}
    )


def band_rows(hours: Sequence[Hour], low: str, high: str) -> pd.DataFrame:
    """Rows `time`, `until`, `low`, `high`: stretches of hours with the same band."""
    length = HOUR.total_seconds() * 1000
    rows: list[list[float]] = []
    for hour in hours:
        lower, upper = getattr(hour, low), getattr(hour, high)
        if lower is None or upper is None:
            continue
        begin = milliseconds(hour.time)
        if rows and rows[-1][1:] == [begin, lower, upper]:
            rows[-1][1] = begin + length
        else:
            rows.append([begin, begin + length, lower, upper])
    return pd.DataFrame(rows, columns=["time", "until", "low", "high"], dtype="float64")


def occupied_rows(hours: Sequence[Hour]) -> pd.DataFrame:
    """Rows `time`, `until`: stretches of occupied hours."""
    length = HOUR.total_seconds() * 1000
    rows: list[list[float]] = []
    for hour in hours:
        begin = milliseconds(hour.time)
        if hour.occupied:
            if rows and rows[-1][1] == begin:
                rows[-1][1] = begin + length
            else:
                rows.append([begin, begin + length])
    return pd.DataFrame(rows, columns=["time", "until"], dtype="float64")
