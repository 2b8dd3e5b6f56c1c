"""How the use of spaces is drawn."""

from __future__ import annotations

from collections.abc import Sequence

import altair as alt
import pandas as pd  # type: ignore[import-untyped] # ships no type information

from insula_analytics_ui.axes import fitted, number_labels
from insula_analytics_ui.occupancy.data import SOURCES
from insula_analytics_ui.theme import BLUE, BLUISH_GREEN, GREY, ORANGE
from insula_analytics_ui.words import _

COLOURS = dict(zip(SOURCES, (BLUISH_GREEN, BLUE, ORANGE, GREY), strict=True))
"""Of where it is known from whether a room is in use."""

BAR_STEP = 26
DAY_STEP = 16


def use_chart(rows: pd.DataFrame, spaces: Sequence[str], *, ink: str) -> alt.LayerChart:
    """A bar for each of `spaces`: % of the time in use; a tick stands at the busiest hour of its week."""
    x = alt.X(
        "value:Q",
        title=_("% of the time in use"),
        scale=alt.Scale(domain=[0, 100], nice=False),
        axis=alt.Axis(domain=False, ticks=False, tickCount=5, labelExpr=number_labels()),
    )
    y = alt.Y(
        "space:N",
        sort=list(spaces),
        title=None,
        axis=alt.Axis(domain=False, ticks=False, labelPadding=8, labelLimit=220),
    )
    sources = [_(source) for source in SOURCES.values()]
    colour = alt.Color(
        "source:N",
        scale=alt.Scale(domain=sources, range=[COLOURS[source] for source in SOURCES]),
        legend=None,
    )
    tooltip = [
        alt.Tooltip("space:N", title=_("Room")),
        alt.Tooltip("shown:N", title=_("In use")),
        alt.Tooltip("told:N", title=_("Hours")),
        alt.Tooltip("source:N", title=_("Source")),
    ]
    base = alt.Chart(rows).encode(y=y, tooltip=tooltip)
    bars = base.mark_bar(height=16).encode(x=x, color=colour)
    peaks = base.mark_tick(thickness=2, height=20, color=ink).encode(x=alt.X("peak:Q"))
    texts = base.mark_text(
        align="left", dx=5, fontSize=11, color=ink, opacity=alt.ExprRef(expr="width >= 300 ? 1 : 0")
    ).encode(x=x, text="shown:N")
    return fitted([bars, peaks, texts], BAR_STEP * max(len(spaces), 1))


def days_chart(rows: pd.DataFrame, days: Sequence[str]) -> alt.LayerChart:
    """From first to last use, a bar for each of the `days` of one space; one without use has none."""
    x = alt.X(
        "first:Q",
        title=_("Hour of the day"),
        scale=alt.Scale(domain=[0, 24], nice=False),
        axis=alt.Axis(
            domain=False, ticks=False, values=list(range(0, 25, 3)), labelExpr="datum.value + ':00'"
        ),
    )
    y = alt.Y(
        "day:N",
        scale=alt.Scale(domain=list(days)),
        title=None,
        axis=alt.Axis(domain=False, ticks=False, labelPadding=8, labelFlush=False, labelOverlap=False),
    )
    bars = (
        alt.Chart(rows)
        .mark_bar(height=10, color=BLUE, cornerRadius=2)
        .encode(
            x=x,
            x2="last",
            y=y,
            tooltip=[
                alt.Tooltip("day:N", title=_("Day")),
                alt.Tooltip("shown:N", title=_("From first to last use")),
                alt.Tooltip("used:N", title=_("In use")),
            ],
        )
    )
    return fitted([bars], DAY_STEP * max(len(days), 1))
