"""What comfort rests on, in words for people."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import pandas as pd  # type: ignore[import-untyped] # ships no type information
from babel.dates import get_day_names

from insula_analytics_ui.api.comfort import Assumption, Occupied
from insula_analytics_ui.words import N_, _, language, ngettext, number_text

ASSUMED: Mapping[str, str] = {
    "humidity": N_("Relative humidity"),
    "radiant_temperature": N_("Mean radiant temperature"),
    "air_speed": N_("Air speed"),
    "clothing": N_("Clothing"),
    "metabolic_rate": N_("Metabolic rate"),
    "outdoor_temperature": N_("Outdoor temperature"),
    "outdoor_co2": N_("CO₂ of the outdoor air"),
    "category": N_("Category of the room"),
    "adaptive_category": N_("Category of the adaptive limits"),
    "season": N_("Season"),
    "occupied_hours": N_("Occupied hours"),
}
VALUES: Mapping[str, str] = {
    "air temperature": N_("the air temperature"),
    "May to September": N_("May to September"),
    "November to March": N_("November to March"),
}

TITLES: Mapping[str, tuple[str, str]] = {
    "temperature": (
        N_("Operative temperature in {room}, with the band of category {category}"),
        N_("Operative temperature"),
    ),
    "pmv": (
        N_("Predicted mean vote in {room} (\u22123 cold, +3 hot), with the bands of all categories"),
        N_("Predicted mean vote"),
    ),
    "adaptive": (
        N_("Operative temperature in {room}, with the adaptive band of category {category}"),
        N_("Operative temperature"),
    ),
    "co2": (N_("CO₂ in {room}, with the limits of the categories"), N_("CO₂")),
}
"""Of each view the title of the chart of hours, and the name of what it shows."""


def occupied_text(occupied: Occupied) -> str:
    """Which hours count, in a sentence."""
    days = days_text(occupied.days)
    hours = f"{occupied.from_hour}:00\u2013{occupied.until_hour}:00"
    if occupied.by == "measured":
        return _(
            "Hours in which a room's own sensors saw somebody; of a room without one, {days} {hours} by the "
            "building's clock."
        ).format(days=days, hours=hours)
    return _("Occupied hours are {days} {hours}, by the building's clock.").format(days=days, hours=hours)


def days_text(days: Sequence[int]) -> str:
    """Days of the week (1 is Monday): `Mon–Fri`, or one by one where they don't follow each other."""
    names = dict(get_day_names("abbreviated", context="format", locale=language()))
    found = sorted(set(days))
    if len(found) > 2 and found == list(range(found[0], found[-1] + 1)):
        return f"{names[found[0] - 1]}\u2013{names[found[-1] - 1]}"
    return ", ".join(names[day - 1] for day in found)


def assumption_rows(assumed: Iterable[Assumption]) -> pd.DataFrame:
    """What was assumed, of how many rooms and in how many of their hours: a row for each thing and value."""
    groups: dict[tuple[str, str], list[float]] = {}
    for each in assumed:
        groups.setdefault((each.what, value_text(each)), []).append(each.hours)
    rows = [
        {
            _("What"): _(ASSUMED.get(what, what)),
            _("Taken as"): value,
            _("Rooms"): ngettext("{number} room", "{number} rooms", len(hours)).format(number=len(hours)),
            _("Occupied hours"): number_text(sum(hours), 0),
        }
        for (what, value), hours in sorted(groups.items(), key=lambda item: (-len(item[1]), item[0]))
    ]
    return pd.DataFrame(rows)


def value_text(assumed: Assumption) -> str:
    """What was taken, with its unit; a dash where nothing can be."""
    if assumed.value is None:
        return "\u2013"
    return f"{_localized(assumed.value)} {assumed.unit or ''}".strip()


def _localized(value: str) -> str:
    """A value as the page's language writes it: `0.5 to 1.0`, in French `0,5 à 1,0`."""
    if value in VALUES:
        return _(VALUES[value])
    low, to, high = value.partition(" to ")
    if to:
        return _("{low} to {high}").format(low=_localized(low), high=_localized(high))
    try:
        return number_text(float(value), len(value.partition(".")[2]))
    except ValueError:
        return value.replace("_", " ")


def outdoor_co2(assumed: Iterable[Assumption]) -> float | None:
    """Ppm that were assumed of the outdoor air; None where that was measured."""
    for each in assumed:
        if each.what == "outdoor_co2" and each.value:
            try:
                return float(each.value)
            except ValueError:
                return None
    return None
