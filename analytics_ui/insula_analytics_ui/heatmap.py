"""The heat map of a week: seven days down, 24 local hours across, each cell with its number."""

from __future__ import annotations

from collections.abc import Sequence

import altair as alt
import pandas as pd  # type: ignore[import-untyped] # ships no type information
from babel.dates import get_day_names

from insula_analytics_ui.axes import fitted
from insula_analytics_ui.theme import GREY
from insula_analytics_ui.words import _, language, number_text

ROW_HEIGHT = 26
HOURS = range(24)

RAMPS = {"light": ("#f1f5f9", "#7db7dc", "#00507f"), "dark": ("#1e252d", "#2c6d97", "#a5d8f6")}
"""From nothing to the most: one hue, Okabe and Ito's blue, so that darker (or, on dark, lighter) is more."""

NUMBERS_FROM = 620
"""Pixels of width from which the cells have room for their numbers."""


def weekday_text(day: int) -> str:
    """The short name of a day of the week; 0 is Monday."""
    return str(get_day_names("abbreviated", context="format", locale=language())[day])


def week_cells(week: Sequence[Sequence[float | None]], *, unit: str, decimals: int = 0) -> pd.DataFrame:
    """Rows `day`, `number` (1 is Monday), `hour`, `value`, `shown`, `at`, of seven lists of 24 values.

    A cell that nothing was measured for has no value.
    """
    rows = [
        (
            weekday_text(day),
            day + 1,
            hour,
            value,
            "" if value is None else number_text(value, decimals),
            f"{weekday_text(day)} {hour:02d}:00\u2013{hour + 1:02d}:00",
            _("not measured") if value is None else f"{number_text(value, decimals)} {unit}".strip(),
        )
        for day, hours in enumerate(week)
        for hour, value in enumerate(hours)
    ]
    columns = ["day", "number", "hour", "value", "shown", "at", "told"]
    return pd.DataFrame(rows, columns=columns).astype({"value": "float64"})


def week_table(cells: pd.DataFrame) -> pd.DataFrame:
    """The same as a table of text: a row a day, a column an hour."""
    table = cells.pivot_table(index=["number", "day"], columns="hour", values="shown", aggfunc="first")
    table = table.reset_index("number", drop=True).reset_index()
    return table.rename(columns={"day": _("Day")} | {hour: f"{hour:02d}" for hour in HOURS})


def week_chart(cells: pd.DataFrame, *, title: str, theme: str, most: float | None = None) -> alt.LayerChart:
    """The chart of `cells`. `most` is the value of the strongest colour, else that of the highest cell."""
    highest = cells["value"].max()
    top = most or (float(highest) if highest > 0 else 1.0)
    days = list(dict.fromkeys(cells["day"]))
    x = alt.X(
        "hour:O",
        title=_("Hour of the day"),
        axis=alt.Axis(
            labelAngle=0, ticks=False, domain=False, labelExpr="datum.value % 3 ? '' : datum.value + ':00'"
        ),
    )
    y = alt.Y(
        "day:N",
        sort=days,
        title=None,
        axis=alt.Axis(ticks=False, domain=False, labelPadding=8, labelFlush=False),
    )
    tooltip = [alt.Tooltip("at:N", title=_("When")), alt.Tooltip("told:N", title=title)]
    base = alt.Chart(cells).encode(x=x, y=y, tooltip=tooltip)
    measured = "isValid(datum.value)"
    scale = alt.Scale(domain=[0, top / 2, top], range=list(RAMPS[theme]), clamp=True, interpolate="lab")
    fill = (
        base.transform_filter(measured)
        .mark_rect(cornerRadius=2)
        .encode(color=alt.Color("value:Q", scale=scale, legend=None))
    )
    empty = base.transform_filter(f"!{measured}").mark_rect(
        fillOpacity=0, stroke=GREY, strokeOpacity=0.6, strokeDash=[2, 2], cornerRadius=2
    )
    # On the strong half of the ramp text is the other way round.
    strong, weak = ("#ffffff", "#1b1f24") if theme == "light" else ("#14171b", "#e6e9ed")
    numbers = (
        base.transform_filter(measured)
        .mark_text(fontSize=10, opacity=alt.ExprRef(expr=f"width >= {NUMBERS_FROM} ? 1 : 0"))
        .encode(
            text="shown:N",
            color=alt.condition(f"datum.value > {0.62 * top}", alt.value(strong), alt.value(weak)),
        )
    )
    return fitted([fill, empty, numbers], ROW_HEIGHT * max(len(days), 1))
