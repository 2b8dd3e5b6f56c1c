"""How comfort is drawn: spaces by category, and the hours of one space within its band."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import altair as alt
import pandas as pd  # type: ignore[import-untyped] # ships no type information

from insula_analytics_ui.axes import ON_COLOUR, day_lines, fitted, number_labels, span, time_axis, value_axis
from insula_analytics_ui.comfort.data import CATEGORIES, PMV_BANDS, category_name
from insula_analytics_ui.theme import BLUISH_GREEN, GREY, ORANGE, REDDISH_PURPLE, SKY_BLUE, VERMILLION
from insula_analytics_ui.words import _

COLOURS = dict(zip(CATEGORIES, (BLUISH_GREEN, SKY_BLUE, ORANGE, VERMILLION, REDDISH_PURPLE), strict=True))
"""Of each category; the chart's key is drawn by the page, where it wraps on a narrow screen."""

BAR_STEP = 26
HOURS_HEIGHT = 190
STRIP = 6
"""Height of the strip that marks occupied hours, under the plot."""


@dataclass(frozen=True)
class Window:
    """The interval that a chart of hours shows (milliseconds), and the marks on its axis."""

    begin: float
    end: float
    marks: Mapping[float, str]


def category_chart(rows: pd.DataFrame, spaces: Sequence[str]) -> alt.LayerChart:
    """A bar for each of `spaces`, in their order: the share of its judged hours in each category."""
    names = [category_name(category) for category in CATEGORIES]
    x = alt.X(
        "begin:Q",
        title=_("% of the occupied hours"),
        scale=alt.Scale(domain=[0, 100], nice=False),
        axis=alt.Axis(domain=False, ticks=False, tickCount=5, labelExpr=number_labels()),
    )
    y = alt.Y(
        "space:N",
        sort=list(spaces),
        title=None,
        axis=alt.Axis(domain=False, ticks=False, labelPadding=8, labelLimit=220),
    )
    colour = alt.Color(
        "category:N",
        scale=alt.Scale(domain=names, range=[COLOURS[category] for category in CATEGORIES]),
        legend=None,
    )
    tooltip = [
        alt.Tooltip("space:N", title=_("Room")),
        alt.Tooltip("category:N", title=_("Category")),
        alt.Tooltip("hours:N", title=_("Occupied hours")),
    ]
    base = alt.Chart(rows).encode(y=y, tooltip=tooltip)
    bars = base.mark_bar(height=18, stroke=None).encode(x=x, x2="end", color=colour)
    middle = base.transform_calculate(middle="(datum.begin + datum.end) / 2")
    # Where a bar is narrow there is no room: the table beneath has the number.
    texts = middle.mark_text(
        fontSize=11, color=ON_COLOUR, opacity=alt.ExprRef(expr="width >= 420 ? 1 : 0")
    ).encode(x=alt.X("middle:Q"), text="shown:N")
    return fitted([bars, texts], BAR_STEP * max(len(spaces), 1))


def band_chart(
    window: Window,
    rows: pd.DataFrame,
    bands: pd.DataFrame,
    outside: pd.DataFrame,
    occupied: pd.DataFrame,
    *,
    unit: str,
    name: str,
    colour: str,
) -> alt.LayerChart:
    """The hours of a space (`rows`) over its band; occupied hours `outside` it have a mark of their own."""
    x, y = time_axis(window.marks), value_axis(unit)
    band = (
        alt.Chart(bands)
        .mark_rect(color=BLUISH_GREEN, opacity=0.14)
        .encode(x=x, x2="until", y=alt.Y("low:Q"), y2="high")
    )
    layers = [span(window.begin, window.end, x), day_lines(window.marks, x), band]
    layers += _lines(rows, x, y, unit=name, colour=colour)
    layers += [_outside(outside, x, y, name), _occupied(occupied, x, HOURS_HEIGHT)]
    return fitted(layers, HOURS_HEIGHT)


def pmv_chart(window: Window, rows: pd.DataFrame, occupied: pd.DataFrame, *, ink: str) -> alt.LayerChart:
    """The predicted mean vote hour by hour, over the bands of the four categories."""
    x, y = time_axis(window.marks), value_axis("PMV")
    edges = pd.DataFrame(
        [
            (window.begin, window.end, -width, width, category, window.end)
            for category, width in PMV_BANDS.items()
        ],
        columns=["time", "until", "low", "high", "category", "edge"],
    )
    bands = (
        alt.Chart(edges)
        .mark_rect(color=BLUISH_GREEN, opacity=0.09)
        .encode(x=x, x2="until", y=alt.Y("low:Q"), y2="high")
    )
    labels = alt.Chart(edges).mark_text(align="right", baseline="top", dx=-4, dy=2, fontSize=10, color=ink)
    neutral = alt.Chart(pd.DataFrame({"value": [0.0]})).mark_rule(color=GREY, strokeDash=[2, 3]).encode(y=y)
    layers = [
        span(window.begin, window.end, x),
        day_lines(window.marks, x),
        bands,
        neutral,
        labels.encode(x=alt.X("edge:T"), y=alt.Y("high:Q"), text="category:N"),
        *_lines(rows, x, y, unit=_("Predicted mean vote"), colour=VERMILLION),
        _occupied(occupied, x, HOURS_HEIGHT),
    ]
    return fitted(layers, HOURS_HEIGHT)


def limit_chart(
    window: Window,
    rows: pd.DataFrame,
    occupied: pd.DataFrame,
    limits: Mapping[str, float],
    *,
    unit: str,
    name: str,
    ink: str,
) -> alt.LayerChart:
    """The CO2 of a space hour by hour, under a line for the limit of each category."""
    x, y = time_axis(window.marks), value_axis(unit)
    edges = pd.DataFrame(
        [(category_name(category), limit, window.end) for category, limit in limits.items()],
        columns=["category", "value", "time"],
    )
    rules = alt.Chart(edges).mark_rule(color=GREY, strokeDash=[4, 3]).encode(y=y)
    labels = alt.Chart(edges).mark_text(
        align="right", baseline="bottom", dx=-4, dy=-2, fontSize=10, color=ink
    )
    layers = [
        span(window.begin, window.end, x),
        day_lines(window.marks, x),
        rules,
        labels.encode(x=x, y=y, text="category:N"),
        *_lines(rows, x, y, unit=name, colour=REDDISH_PURPLE),
        _occupied(occupied, x, HOURS_HEIGHT),
    ]
    return fitted(layers, HOURS_HEIGHT)


def _lines(rows: pd.DataFrame, x: alt.X, y: alt.Y, *, unit: str, colour: str) -> list[alt.Chart]:
    """A line with gaps, and what a pointer over it is told."""
    tooltip = [alt.Tooltip("at:N", title=_("Time")), alt.Tooltip("shown:N", title=unit)]
    base = alt.Chart(rows).encode(x=x, y=y)
    return [
        base.mark_line(strokeWidth=1.75, strokeJoin="round", color=colour),
        base.transform_filter("isValid(datum.value)")
        .mark_point(size=50, opacity=0, filled=True, color=colour)
        .encode(tooltip=tooltip),
    ]


def _outside(rows: pd.DataFrame, x: alt.X, y: alt.Y, name: str) -> alt.Chart:
    shape = alt.Shape(
        "side:N",
        scale=alt.Scale(domain=["below", "above"], range=["triangle-down", "triangle-up"]),
        legend=None,
    )
    drawn: alt.Chart = (
        alt.Chart(rows)
        .mark_point(size=36, filled=True, color=REDDISH_PURPLE, opacity=0.9)
        .encode(
            x=x,
            y=y,
            shape=shape,
            tooltip=[alt.Tooltip("at:N", title=_("Time")), alt.Tooltip("value:Q", title=name)],
        )
    )
    return drawn


def _occupied(rows: pd.DataFrame, x: alt.X, height: int) -> alt.Chart:
    """A strip at the foot of the plot where the space counts as occupied."""
    drawn: alt.Chart = (
        alt.Chart(rows)
        .mark_rect(height=STRIP, color=GREY, opacity=0.7)
        .encode(x=x, x2="until", y=alt.value(height - STRIP / 2))
    )
    return drawn
