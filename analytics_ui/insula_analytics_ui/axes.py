"""Axes and marks that the charts of the analytic pages have in common.

Times are milliseconds; what stands at their marks is written here, for a browser knows its own time zone and
its own language alone. What changes with the theme is `Inks`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import altair as alt
import pandas as pd  # type: ignore[import-untyped] # ships no type information

from insula_analytics_ui.theme import GREY, QUIET_INK
from insula_analytics_ui.words import language

GUTTER = 56
"""Pixels left of a plot, so that charts with the same time axis stand under one another."""

ON_COLOUR = "#14171b"
"""Text on a bar: it reads on every colour of the palette (WCAG AA)."""


@dataclass(frozen=True)
class Inks:
    """Colours of a chart that differ between light and dark: text, quiet text, and the page beneath."""

    text: str
    quiet: str
    paper: str


INKS: Mapping[str, Inks] = {
    "light": Inks("#1b1f24", QUIET_INK["light"], "#ffffff"),
    "dark": Inks("#e6e9ed", QUIET_INK["dark"], "#14171b"),
}


def time_axis(marks: Mapping[float, str], field: str = "time") -> alt.X:
    """Instants (milliseconds) along the bottom, marked and labelled as `marks` says."""
    labels = {str(int(instant)): text for instant, text in marks.items()}
    return alt.X(
        f"{field}:T",
        title=None,
        scale=alt.Scale(type="utc", nice=False),
        axis=alt.Axis(
            # An expression, for the interpreter that Streamlit uses takes a bare number for a year.
            values=alt.ExprRef(expr=json.dumps([int(instant) for instant in marks])),
            labelExpr=f"({json.dumps(labels, ensure_ascii=False)})[toString(+datum.value)]",
            grid=False,
            domain=False,
            ticks=False,
            labelPadding=8,
            labelOverlap=True,
        ),
    )


def value_axis(
    unit: str,
    field: str = "value",
    *,
    zero: bool = False,
    domain: Sequence[float] | None = None,
    gutter: bool = True,
) -> alt.Y:
    """Values up the side, their unit above the axis."""
    scale = alt.Scale(zero=zero, nice=zero, padding=0 if zero else 8)
    if domain is not None:
        scale = alt.Scale(domain=list(domain), nice=False)
    extent: dict[str, Any] = {"minExtent": GUTTER, "maxExtent": GUTTER, "titleX": -GUTTER} if gutter else {}
    return alt.Y(
        f"{field}:Q",
        title=unit or None,
        scale=scale,
        axis=alt.Axis(
            tickCount=5,
            domain=False,
            ticks=False,
            titleAngle=0,
            titleAlign="left",
            titleY=-8,
            labelExpr=number_labels(),
            **extent,
        ),
    )


def number_labels() -> str:
    """The expression of an axis' labels: plain numbers, with the decimal mark of the language."""
    text = "format(datum.value, '~f')"
    return f"replace({text}, '.', ',')" if language() == "fr" else text


def span(begin: float, end: float, x: alt.X) -> alt.Chart:
    """The interval that a time axis shows, even where there is nothing to draw."""
    shown = alt.Chart(pd.DataFrame({"time": [begin], "until": [end]}))
    drawn: alt.Chart = shown.mark_rect(opacity=0).encode(x=x, x2="until")
    return drawn


def day_lines(marks: Mapping[float, str], x: alt.X) -> alt.Chart:
    """Lines up from the marks of the time axis."""
    at = alt.Chart(pd.DataFrame({"time": list(marks)}, dtype="float64"))
    drawn: alt.Chart = at.mark_rule(color=GREY, opacity=0.25).encode(x=x)
    return drawn


def fitted(layers: Sequence[alt.Chart], height: int) -> alt.LayerChart:
    """A chart of `layers` in the width that it is given, its plot `height` pixels high."""
    # Only the width is given: what is beside and beneath the plot comes on top of its height.
    autosize = alt.AutoSizeParams(type="fit-x", contains="padding")
    return alt.LayerChart(layer=list(layers)).properties(height=height, autosize=autosize)
