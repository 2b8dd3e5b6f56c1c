"""How energy is drawn: consumption over time, the load over a day, weather, savings, buildings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import altair as alt
import pandas as pd  # type: ignore[import-untyped] # ships no type information

from insula_analytics_ui.axes import day_lines, fitted, number_labels, span, time_axis, value_axis
from insula_analytics_ui.theme import BLUE, BLUISH_GREEN, GREY, ORANGE, SKY_BLUE, VERMILLION
from insula_analytics_ui.words import _

HEIGHT = 200
GROUP_STEP = 44

CARRIER_COLOURS = {"electricity": BLUE, "heat": VERMILLION, "gas": ORANGE, "water": SKY_BLUE}


def consumption_chart(
    rows: pd.DataFrame, marks: Mapping[float, str], *, begin: float, end: float, unit: str, colour: str
) -> alt.LayerChart:
    """A column for each day, week or month; one that was measured in part is an outline with a pale fill."""
    x, y = time_axis(marks), value_axis(unit, zero=True)
    # A little air between neighbours, whatever their width: months are not all as long.
    inner = alt.Chart(rows).transform_calculate(
        left="datum.time + (datum.until - datum.time) * 0.1",
        right="datum.until - (datum.until - datum.time) * 0.1",
        zero="0",
    )
    tooltip = [
        alt.Tooltip("at:N", title=_("When")),
        alt.Tooltip("shown:N", title=_("Consumption")),
        alt.Tooltip("share:N", title=_("Measured")),
    ]
    columns = inner.mark_rect(stroke=colour, color=colour, strokeWidth=1).encode(
        x=time_axis(marks, "left"),
        x2="right",
        y=y,
        y2="zero",
        fillOpacity=alt.condition("datum.whole == 'whole'", alt.value(0.9), alt.value(0.15)),
        strokeDash=alt.condition("datum.whole == 'whole'", alt.value([1, 0]), alt.value([3, 2])),
        tooltip=tooltip,
    )
    return fitted([span(begin, end, x), columns], HEIGHT)


def profile_chart(
    rows: pd.DataFrame, *, unit: str, opens: float, closes: float, base: float | None, ink: str
) -> alt.LayerChart:
    """The load of a typical day, open and closed: its mean, and where eight of ten days lie."""
    x = alt.X(
        "hour:Q",
        title=_("Hour of the day"),
        scale=alt.Scale(domain=[0, 23], nice=False),
        axis=alt.Axis(
            domain=False,
            ticks=False,
            grid=False,
            values=list(range(0, 24, 3)),
            labelExpr="datum.value + ':00'",
        ),
    )
    y = value_axis(unit, "mean", zero=True)
    days = list(dict.fromkeys(rows["day"]))
    colour = alt.Color("day:N", scale=alt.Scale(domain=days, range=[BLUE, ORANGE]), legend=None)
    dash = alt.StrokeDash("day:N", scale=alt.Scale(domain=days, range=[[1, 0], [5, 3]]), legend=None)
    tooltip = [
        alt.Tooltip("at:N", title=_("When")),
        alt.Tooltip("day:N", title=_("Days")),
        alt.Tooltip("shown:N", title=_("Mean")),
    ]
    hours = alt.Chart(pd.DataFrame({"hour": [opens], "until": [min(closes, 23.0)]}))
    open_hours = hours.mark_rect(color=GREY, opacity=0.1).encode(x=x, x2="until")
    lines = alt.Chart(rows).encode(x=x, color=colour)
    layers = [
        open_hours,
        lines.mark_area(opacity=0.14).encode(y=alt.Y("low:Q"), y2="high"),
        lines.mark_line(strokeWidth=2, interpolate="monotone").encode(y=y, strokeDash=dash),
        lines.mark_point(size=60, opacity=0, filled=True).encode(y=y, tooltip=tooltip),
    ]
    if base is not None:
        level = alt.Chart(pd.DataFrame({"mean": [base], "name": [_("Base load")], "hour": [23]}))
        layers += [
            level.mark_rule(color=BLUISH_GREEN, strokeDash=[2, 2]).encode(y=y),
            level.mark_text(align="right", baseline="top", dy=3, fontSize=10, color=ink).encode(
                x=x, y=y, text="name:N"
            ),
        ]
    return fitted(layers, HEIGHT)


def degree_day_chart(rows: pd.DataFrame) -> alt.LayerChart:
    """Heating and cooling degree days beside each other, month by month."""
    months = list(dict.fromkeys(rows["month"]))
    kinds = [_("Heating"), _("Cooling")]
    x = alt.X(
        "month:N",
        sort=months,
        title=None,
        axis=alt.Axis(domain=False, ticks=False, labelAngle=0, labelOverlap=True),
    )
    columns = (
        alt.Chart(rows)
        .mark_bar()
        .encode(
            x=x,
            xOffset=alt.XOffset("kind:N", sort=kinds),
            y=value_axis("K·d", zero=True),
            color=alt.Color(
                "kind:N",
                scale=alt.Scale(domain=kinds, range=[VERMILLION, BLUE]),
                legend=None,
            ),
            tooltip=[
                alt.Tooltip("month:N", title=_("Month")),
                alt.Tooltip("kind:N", title=_("Degree days")),
                alt.Tooltip("shown:N", title=_("Value")),
                alt.Tooltip("missing:Q", title=_("Days not measured")),
            ],
        )
    )
    return fitted([columns], HEIGHT)


def baseline_chart(
    rows: pd.DataFrame, marks: Mapping[float, str], *, begin: float, end: float, unit: str
) -> alt.LayerChart:
    """What was consumed by day, and what the baseline says it would have been (dashed)."""
    x, y = time_axis(marks), value_axis(unit, zero=True)
    names = [_("Actual"), _("Expected")]
    base = alt.Chart(rows).encode(
        x=x,
        y=y,
        color=alt.Color("line:N", scale=alt.Scale(domain=names, range=[BLUE, GREY]), legend=None),
        strokeDash=alt.StrokeDash(
            "line:N", scale=alt.Scale(domain=names, range=[[1, 0], [5, 3]]), legend=None
        ),
    )
    tooltip = [
        alt.Tooltip("at:N", title=_("Day")),
        alt.Tooltip("line:N", title=_("Line")),
        alt.Tooltip("shown:N", title=_("Consumption")),
    ]
    points = (
        alt.Chart(rows).transform_filter("isValid(datum.value)").mark_point(size=50, opacity=0, filled=True)
    )
    layers = [
        span(begin, end, x),
        day_lines(marks, x),
        base.mark_line(strokeWidth=1.75),
        points.encode(x=x, y=y, tooltip=tooltip),
    ]
    return fitted(layers, HEIGHT)


def savings_chart(
    rows: pd.DataFrame, marks: Mapping[float, str], *, begin: float, end: float, unit: str
) -> alt.LayerChart:
    """What was saved since the period began (CUSUM); beneath the line of nothing, more was consumed."""
    x, y = time_axis(marks), value_axis(unit)
    zero = alt.Chart(pd.DataFrame({"value": [0.0]})).mark_rule(color=GREY).encode(y=y)
    base = alt.Chart(rows).encode(x=x, y=y)
    area = base.transform_calculate(zero="0").mark_area(opacity=0.15, color=BLUISH_GREEN).encode(y2="zero:Q")
    tooltip = [alt.Tooltip("at:N", title=_("Until")), alt.Tooltip("shown:N", title=_("Saved"))]
    layers = [
        span(begin, end, x),
        day_lines(marks, x),
        zero,
        area,
        base.mark_line(strokeWidth=1.75, color=BLUISH_GREEN),
        base.mark_point(size=50, opacity=0, filled=True).encode(tooltip=tooltip),
    ]
    return fitted(layers, HEIGHT - 60)


def comparison_chart(rows: pd.DataFrame, buildings: Sequence[str], *, unit: str, ink: str) -> alt.LayerChart:
    """Two bars for each of `buildings`: this period, and the one that it is compared with."""
    periods = [_("Now"), _("Before")]
    x = alt.X(
        "value:Q",
        title=unit,
        scale=alt.Scale(zero=True, nice=True),
        axis=alt.Axis(domain=False, ticks=False, tickCount=5, labelExpr=number_labels()),
    )
    y = alt.Y(
        "building:N",
        sort=list(buildings),
        title=None,
        axis=alt.Axis(domain=False, ticks=False, labelPadding=8, labelLimit=220),
    )
    offset = alt.YOffset("period:N", sort=periods)
    base = alt.Chart(rows).encode(
        x=x,
        y=y,
        yOffset=offset,
        tooltip=[
            alt.Tooltip("building:N", title=_("Building")),
            alt.Tooltip("period:N", title=_("Period")),
            alt.Tooltip("shown:N", title=unit),
        ],
    )
    bars = base.mark_bar().encode(
        color=alt.Color(
            "period:N",
            scale=alt.Scale(domain=periods, range=[BLUE, GREY]),
            legend=None,
        )
    )
    texts = base.mark_text(align="left", dx=4, fontSize=11, color=ink).encode(text="shown:N")
    return fitted([bars, texts], GROUP_STEP * max(len(buildings), 1))
