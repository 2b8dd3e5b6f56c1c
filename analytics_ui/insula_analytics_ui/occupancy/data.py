"""From the platform's answers about occupancy to the rows that charts and tables show."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, time
from zoneinfo import ZoneInfo

import pandas as pd  # type: ignore[import-untyped] # ships no type information

from insula_analytics_ui.api.occupancy import DayOfUse, ModelCard, SpaceUse, Week
from insula_analytics_ui.times import day_text
from insula_analytics_ui.words import N_, _, number_text

SOURCES: Mapping[str, str] = {
    "counted": N_("counted"),
    "measured": N_("measured"),
    "inferred": N_("inferred"),
    "none": N_("no sensor"),
}
CONFIDENCES: Mapping[str, str] = {
    "high": N_("high"),
    "medium": N_("medium"),
    "low": N_("low"),
    "none": N_("none"),
}
VARIANTS: Mapping[str, str] = {
    "light_co2_temperature": N_("light, CO₂ and temperature"),
    "co2": N_("CO₂ alone"),
    "light": N_("light alone"),
}

INFERRED_SIGN = "≈"
"""Stands before what was inferred and not measured, on charts and in tables."""


def busiest_first(spaces: Iterable[SpaceUse]) -> list[SpaceUse]:
    """The spaces of which anything is known, those in use most of the time first."""
    known = [space for space in spaces if space.share_in_use is not None]
    return sorted(known, key=lambda space: (-(space.share_in_use or 0), space.name))


def percent(share: float | None, decimals: int = 0) -> float | None:
    """A share as percent, rounded as it is shown."""
    return None if share is None else round(100 * share, decimals)


def week_percent(week: Week) -> list[list[float | None]]:
    """A week's shares as percent."""
    return [[None if share is None else 100 * share for share in hours] for hours in week]


def peak_hour(week: Week) -> tuple[int, int, float] | None:
    """The day (0 is Monday), the hour, and the share of the week's busiest hour; None without any use."""
    found = [
        (share, -day, -hour)
        for day, hours in enumerate(week)
        for hour, share in enumerate(hours)
        if share is not None and share > 0
    ]
    if not found:
        return None
    share, day, hour = max(found)
    return -day, -hour, share


def use_rows(spaces: Sequence[SpaceUse]) -> pd.DataFrame:
    """Rows `space`, `source`, `value`, `peak` (% of the time; of the busiest hour), `shown`, `told`."""
    rows = []
    for space in spaces:
        peak = peak_hour(space.heat_map)
        value = 100 * (space.share_in_use or 0)
        sign = f"{INFERRED_SIGN} " if space.source == "inferred" else ""
        rows.append(
            (
                space.name,
                _(SOURCES.get(space.source, space.source)),
                value,
                None if peak is None else 100 * peak[2],
                f"{sign}{number_text(value, 0)} %",
                f"{number_text(space.hours_in_use, 0)} / {number_text(space.hours_observed, 0)} h",
            )
        )
    return pd.DataFrame(rows, columns=["space", "source", "value", "peak", "shown", "told"]).astype(
        {"value": "float64", "peak": "float64"}
    )


def day_name(day: DayOfUse) -> str:
    """A day as people say it."""
    return day_text(datetime.combine(day.day, time()))


def day_rows(days: Sequence[DayOfUse], zone: ZoneInfo) -> pd.DataFrame:
    """Rows `day`, `first`, `last` (local hours, 7.5 is half past seven), `shown`, `used`.

    A last use at midnight is at 24; a day without use is left out.
    """
    rows = []
    for day in days:
        if day.first_use is None or day.last_use is None:
            continue
        first, last = day.first_use.astimezone(zone), day.last_use.astimezone(zone)
        ends = 24.0 if last.date() > day.day else last.hour + last.minute / 60
        rows.append(
            (
                day_name(day),
                first.hour + first.minute / 60,
                ends,
                f"{first:%H:%M} \u2013 {last:%H:%M}",
                f"{number_text(day.hours_in_use, 1)} h",
            )
        )
    return pd.DataFrame(rows, columns=["day", "first", "last", "shown", "used"]).astype(
        {"first": "float64", "last": "float64"}
    )


def card_rows(card: ModelCard) -> pd.DataFrame:
    """How the model did on data that it was not trained on: a row for each variant and file."""
    rows = [
        {
            _("From"): _(VARIANTS.get(variant.name, variant.name)),
            _("Tested on"): score.data,
            _("Rows"): number_text(score.rows, 0),
            _("Right, %"): number_text(100 * score.accuracy, 1),
            _("Right when in use, %"): number_text(100 * score.sensitivity, 1),
            _("Right when empty, %"): number_text(100 * score.specificity, 1),
        }
        for variant in card.variants
        for score in variant.scores
    ]
    return pd.DataFrame(rows)
