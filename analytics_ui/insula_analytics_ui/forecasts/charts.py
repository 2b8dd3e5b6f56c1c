"""How a forecast is drawn: what was measured, the next day with its interval, the naive one beside it."""

from __future__ import annotations

from collections.abc import Mapping

import altair as alt
import pandas as pd  # type: ignore[import-untyped] # ships no type information

from insula_analytics_ui.axes import day_lines, fitted, span, time_axis, value_axis
from insula_analytics_ui.theme import GREY
from insula_analytics_ui.words import _

HEIGHT = 190


def forecast_chart(
    measured: pd.DataFrame,
    forecast: pd.DataFrame,
    marks: Mapping[float, str],
    *,
    begin: float,
    end: float,
    unit: str,
    colour: str,
) -> alt.LayerChart:
    """`measured` as a line, `forecast` dashed in its shaded interval, the naive one dotted."""
    x, y = time_axis(marks), value_axis(unit)
    ahead = alt.Chart(forecast).encode(x=x)
    tooltip = [
        alt.Tooltip("at:N", title=_("Time")),
        alt.Tooltip("shown:N", title=_("Forecast")),
        alt.Tooltip("range:N", title=_("Interval")),
        alt.Tooltip("naive_shown:N", title=_("Naive")),
    ]
    before = alt.Chart(measured).encode(x=x, y=y)
    told = [alt.Tooltip("at:N", title=_("Time")), alt.Tooltip("shown:N", title=_("Measured"))]
    layers = [
        span(begin, end, x),
        day_lines(marks, x),
        ahead.mark_area(opacity=0.18, color=colour).encode(y=alt.Y("lower:Q"), y2="upper"),
        before.mark_line(strokeWidth=1.75, color=colour),
        before.transform_filter("isValid(datum.value)")
        .mark_point(size=50, opacity=0, filled=True)
        .encode(tooltip=told),
        ahead.mark_line(strokeWidth=1.5, strokeDash=[1, 3], color=GREY).encode(y=alt.Y("naive:Q")),
        ahead.mark_line(strokeWidth=1.75, strokeDash=[5, 3], color=colour).encode(y=y),
        ahead.mark_point(size=50, opacity=0, filled=True).encode(y=y, tooltip=tooltip),
    ]
    return fitted(layers, HEIGHT)
