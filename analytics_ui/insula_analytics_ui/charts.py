"""The charts of a room: one quantity a chart, with the room's states as strips beneath its lines.

What changes from one refresh to the next is in the data; the specification changes with the marks on the time
axis alone, so that a refresh moves the lines and does not draw the chart anew.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

import altair as alt
import pandas as pd  # type: ignore[import-untyped] # ships no type information

from insula_analytics_ui.theme import BLUISH_GREEN, GREY
from insula_analytics_ui.words import _

LINES_HEIGHT = 150
STRIP_HEIGHT = 8
STRIP_STEP = 17
STRIPS_TOP = LINES_HEIGHT + 14
COMPLETE_HEIGHT = 4
ZOOM = "zoom"
"""The name of the selection that a brush makes."""
SHORT_NAME = 10
"""Letters of a state's name that fit into the gutter; where one is longer, all stand above their strips."""
GUTTER = 56
"""Pixels left of the plot: the same on every chart, so that their times stand under one another."""


@dataclass(frozen=True)
class TimeFrame:
    """What all charts of a page share: the interval they show, and the marks on its axis."""

    begin: datetime
    end: datetime
    ticks: Mapping[float, str]


def line_chart(
    frame: TimeFrame,
    lines: pd.DataFrame,
    strips: pd.DataFrame,
    *,
    unit: str,
    points: Sequence[str],
    states: Sequence[str],
    colours: Mapping[str, str],
    comfort: tuple[float, float] | None,
    ink: str,
    complete: pd.DataFrame | None = None,
    zoom: bool = False,
) -> alt.LayerChart:
    """A chart of `lines` over `strips` (as `series` makes them), in the width it is given.

    `points` and `states` name what to draw and in which order; `colours` has one for each, and `ink`
    is that of quiet text. `complete` are the cells of a strip beneath it all. With `zoom`, a stretch of time
    can be brushed: the selection `ZOOM` of the chart. The time axis is `frame`'s even where there is nothing
    to draw.
    """
    x = _time_axis(frame)
    y = _value_axis(unit)
    scale = alt.Scale(domain=[*points, *states], range=[colours[name] for name in [*points, *states]])
    colour = alt.Color("point:N", scale=scale, legend=None)
    tooltip = [
        alt.Tooltip("at:N", title=_("Time")),
        alt.Tooltip("point:N", title=_("Point")),
        alt.Tooltip("shown:N", title=unit or _("Value")),
    ]
    base = alt.Chart(lines).encode(x=x, y=y, color=colour, detail="point:N")
    step = STRIP_STEP if all(len(name) <= SHORT_NAME for name in states) else 2 * STRIP_STEP
    height = STRIPS_TOP + step * len(states)
    line = base.mark_line(strokeWidth=1.75, strokeJoin="round")
    if zoom:
        line = line.add_params(alt.selection_interval(name=ZOOM, encodings=["x"]))
    layers = [
        _grid(frame, height, x),
        _frame(frame, comfort, x, y),
        line,
        base.mark_point(size=50, opacity=0, filled=True).encode(tooltip=tooltip),
    ]
    for index, name in enumerate(states):
        top = STRIPS_TOP + (index + 1) * step - STRIP_STEP
        layers += _strip(strips, name, top, x=x, colour=colour, ink=ink, above=step > STRIP_STEP)
    if complete is not None and len(complete):
        layers.append(_completeness(complete, height, x))
    # Only the width is given: what is beside and beneath the plot comes on top of its height.
    return alt.LayerChart(layer=layers).properties(
        height=height, autosize=alt.AutoSizeParams(type="fit-x", contains="padding")
    )


def _time_axis(frame: TimeFrame) -> alt.X:
    """The time axis; its labels are written here, for a browser knows its own time zone and UTC alone."""
    labels = {str(int(instant)): text for instant, text in frame.ticks.items()}
    return alt.X(
        "time:T",
        title=None,
        scale=alt.Scale(type="utc", nice=False),
        axis=alt.Axis(
            # An expression, for the interpreter that Streamlit uses takes a bare number for a year.
            values=alt.ExprRef(expr=json.dumps([int(instant) for instant in frame.ticks])),
            labelExpr=f"({json.dumps(labels, ensure_ascii=False)})[toString(+datum.value)]",
            grid=False,
            domain=False,
            ticks=False,
            labelPadding=8,
            labelOverlap=True,
        ),
    )


def _value_axis(unit: str) -> alt.Y:
    return alt.Y(
        "value:Q",
        title=unit or None,
        scale=alt.Scale(zero=False, nice=False, padding=8, range=[LINES_HEIGHT, 0]),
        axis=alt.Axis(
            tickCount=4,
            domain=False,
            ticks=False,
            minExtent=GUTTER,
            maxExtent=GUTTER,
            titleAngle=0,
            titleAlign="left",
            titleX=-GUTTER,
            titleY=-2,
        ),
    )


def _grid(frame: TimeFrame, height: int, x: alt.X) -> alt.Chart:
    """Lines at the marks of the time axis; its own grid would end at the height of the value axis."""
    marks = alt.Chart(pd.DataFrame({"time": list(frame.ticks)}, dtype="float64"))
    grid: alt.Chart = marks.mark_rule(color=GREY, opacity=0.25).encode(
        x=x, y=alt.value(0), y2=alt.value(height)
    )
    return grid


def _frame(frame: TimeFrame, comfort: tuple[float, float] | None, x: alt.X, y: alt.Y) -> alt.Chart:
    """The interval shown, which holds the time axis in place, shaded where people feel well."""
    interval = {"time": [frame.begin.timestamp() * 1000], "until": [frame.end.timestamp() * 1000]}
    shown: alt.Chart
    if comfort is None:
        shown = alt.Chart(pd.DataFrame(interval)).mark_rect(opacity=0).encode(x=x, x2="until")
        return shown
    low, high = comfort
    band = alt.Chart(pd.DataFrame(interval | {"value": [low], "high": [high]}))
    shown = band.mark_rect(opacity=0.1, color=BLUISH_GREEN).encode(x=x, x2="until", y=y, y2="high")
    return shown


def _completeness(cells: pd.DataFrame, height: int, x: alt.X) -> alt.Chart:
    """A thin strip: the paler, the less of the data is there."""
    share = alt.Opacity("share:Q", scale=alt.Scale(domain=[0, 1], range=[0.08, 0.9]), legend=None)
    tooltip = [
        alt.Tooltip("at:N", title=_("Time")),
        alt.Tooltip("share:Q", title=_("Complete"), format=".0%"),
    ]
    strip: alt.Chart = (
        alt.Chart(cells)
        .mark_rect(height=COMPLETE_HEIGHT, color=GREY)
        .encode(x=x, x2="until", y=alt.value(height - COMPLETE_HEIGHT / 2), opacity=share, tooltip=tooltip)
    )
    return strip


def _strip(
    strips: pd.DataFrame, name: str, top: int, *, x: alt.X, colour: alt.Color, ink: str, above: bool
) -> list[alt.Chart]:
    middle = alt.value(top + STRIP_HEIGHT / 2)
    tooltip = [
        alt.Tooltip("at:N", title=_("Time")),
        alt.Tooltip("point:N", title=_("Point")),
        alt.Tooltip("state:N", title=_("State")),
    ]
    label = alt.Chart(pd.DataFrame({"label": [name]}))
    if above:
        label = label.mark_text(align="left", baseline="middle", fontSize=11, color=ink)
        label = label.encode(x=alt.value(0), y=alt.value(top - STRIP_HEIGHT), text="label:N")
    else:
        label = label.mark_text(align="right", baseline="middle", fontSize=11, color=ink)
        label = label.encode(x=alt.value(-8), y=middle, text="label:N")
    return [
        alt.Chart(strips[strips["point"] == name])
        .mark_rect(height=STRIP_HEIGHT)
        .encode(
            x=x,
            x2="until",
            y=middle,
            color=colour,
            opacity=alt.Opacity("level:Q", scale=alt.Scale(domain=[0, 1], range=[0.16, 1]), legend=None),
            tooltip=tooltip,
        ),
        label,
    ]
