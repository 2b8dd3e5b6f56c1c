"""The charts of points over time: one unit a chart, with states as strips beneath its lines.

They are written as Vega-Lite itself. Altair would check each of some forty encodings against the schema, and
again at each refresh, which takes longer than all the rest of a page.

What changes from one refresh to the next is in the data; the specification changes with the marks on the time
axis alone, so that a refresh moves the lines and does not draw the chart anew.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import pandas as pd  # type: ignore[import-untyped] # ships no type information

from insula_analytics_ui.axes import number_labels
from insula_analytics_ui.theme import BLUISH_GREEN, GREY
from insula_analytics_ui.times import milliseconds
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

Spec = dict[str, Any]
"""A chart in Vega-Lite; its `datasets` are data frames by name."""


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
) -> Spec:
    """A chart of `lines` over `strips` (as `series` makes them), in the width it is given.

    `points` and `states` name what to draw and in which order; `colours` has one for each, and `ink`
    is that of quiet text. `complete` are the cells of a strip beneath it all. With `zoom`, a stretch of time
    can be brushed: the selection `ZOOM` of the chart. The time axis is `frame`'s even where there is nothing
    to draw.
    """
    x, y = _time_axis(frame), _value_axis(unit)
    shown = [*points, *states]
    colour = {
        "field": "point",
        "type": "nominal",
        "legend": None,
        "scale": {"domain": shown, "range": [colours[name] for name in shown]},
    }
    step = STRIP_STEP if all(len(name) <= SHORT_NAME for name in states) else 2 * STRIP_STEP
    height = STRIPS_TOP + step * len(states)
    datasets = {"frame": _interval(frame, comfort), "ticks": _ticks(frame), "lines": lines}
    layers = [_grid(height, x), _band(comfort, x, y), *_lines(unit, x, y, colour, zoom=zoom)]
    for index, name in enumerate(states):
        top = STRIPS_TOP + (index + 1) * step - STRIP_STEP
        datasets[f"strip {index}"] = strips[strips["point"] == name]
        layers.append(_strip(f"strip {index}", top, x, colour))
        layers.append(_strip_name(name, top, ink=ink, above=step > STRIP_STEP))
    if complete is not None and len(complete):
        datasets["complete"] = complete
        layers.append(_completeness(height, x))
    # Only the width is given: what is beside and beneath the plot comes on top of its height.
    return {
        "$schema": "https://vega.github.io/schema/vega-lite/v6.json",
        "height": height,
        "autosize": {"type": "fit-x", "contains": "padding"},
        "datasets": datasets,
        "layer": layers,
    }


def _time_axis(frame: TimeFrame) -> Spec:
    """The time axis; its labels are written here, for a browser knows its own time zone and UTC alone."""
    labels = {str(int(instant)): text for instant, text in frame.ticks.items()}
    return {
        "field": "time",
        "type": "temporal",
        "title": None,
        "scale": {"type": "utc", "nice": False},
        "axis": {
            # An expression, for the interpreter that Streamlit uses takes a bare number for a year.
            "values": {"expr": json.dumps([int(instant) for instant in frame.ticks])},
            "labelExpr": f"({json.dumps(labels, ensure_ascii=False)})[toString(+datum.value)]",
            "grid": False,
            "domain": False,
            "ticks": False,
            "labelPadding": 8,
            "labelOverlap": True,
        },
    }


def _value_axis(unit: str) -> Spec:
    return {
        "field": "value",
        "type": "quantitative",
        "title": unit or None,
        "scale": {"zero": False, "nice": False, "padding": 8, "range": [LINES_HEIGHT, 0]},
        "axis": {
            "tickCount": 4,
            "labelExpr": number_labels(),
            "domain": False,
            "ticks": False,
            "minExtent": GUTTER,
            "maxExtent": GUTTER,
            "titleAngle": 0,
            "titleAlign": "left",
            "titleX": -GUTTER,
            "titleY": -2,
        },
    }


def _interval(frame: TimeFrame, comfort: tuple[float, float] | None) -> pd.DataFrame:
    """The interval shown, which holds the time axis in place, and where people feel well."""
    low, high = comfort or (None, None)
    row = (milliseconds(frame.begin), milliseconds(frame.end), low, high)
    return pd.DataFrame([row], columns=["time", "until", "value", "high"]).astype("float64")


def _ticks(frame: TimeFrame) -> pd.DataFrame:
    return pd.DataFrame({"time": list(frame.ticks)}, dtype="float64")


def _grid(height: int, x: Spec) -> Spec:
    """Lines at the marks of the time axis; its own grid would end at the height of the value axis."""
    return {
        "data": {"name": "ticks"},
        "mark": {"type": "rule", "color": GREY, "opacity": 0.25},
        "encoding": {"x": x, "y": {"value": 0}, "y2": {"value": height}},
    }


def _band(comfort: tuple[float, float] | None, x: Spec, y: Spec) -> Spec:
    """The interval, shaded where people feel well."""
    encoding = {"x": x, "x2": {"field": "until"}}
    if comfort is not None:
        encoding |= {"y": y, "y2": {"field": "high"}}
    opacity = 0 if comfort is None else 0.1
    return {
        "data": {"name": "frame"},
        "mark": {"type": "rect", "color": BLUISH_GREEN, "opacity": opacity},
        "encoding": encoding,
    }


def _lines(unit: str, x: Spec, y: Spec, colour: Spec, *, zoom: bool) -> list[Spec]:
    """The lines, and on them points that nobody sees, for a pointer to find what is told there."""
    encoding = {"x": x, "y": y, "color": colour, "detail": {"field": "point", "type": "nominal"}}
    line: Spec = {
        "data": {"name": "lines"},
        "mark": {"type": "line", "strokeWidth": 1.75, "strokeJoin": "round"},
        "encoding": encoding,
    }
    if zoom:
        line["params"] = [{"name": ZOOM, "select": {"type": "interval", "encodings": ["x"]}}]
    told = [("at", _("Time")), ("point", _("Point")), ("shown", unit or _("Value"))]
    points = {
        "data": {"name": "lines"},
        "mark": {"type": "point", "size": 50, "opacity": 0, "filled": True},
        "encoding": encoding | {"tooltip": _tooltip(told)},
    }
    return [line, points]


def _tooltip(told: Sequence[tuple[str, str]]) -> list[Spec]:
    return [{"field": field, "type": "nominal", "title": title} for field, title in told]


def _completeness(height: int, x: Spec) -> Spec:
    """A thin strip: the paler, the less of the data is there."""
    told = _tooltip([("at", _("Time"))])
    told.append({"field": "share", "type": "quantitative", "title": _("Complete"), "format": ".0%"})
    return {
        "data": {"name": "complete"},
        "mark": {"type": "rect", "height": COMPLETE_HEIGHT, "color": GREY},
        "encoding": {
            "x": x,
            "x2": {"field": "until"},
            "y": {"value": height - COMPLETE_HEIGHT / 2},
            "opacity": _opacity("share", [0.08, 0.9]),
            "tooltip": told,
        },
    }


def _strip(dataset: str, top: int, x: Spec, colour: Spec) -> Spec:
    """Stretches of one state after another: the higher the state, the stronger."""
    return {
        "data": {"name": dataset},
        "mark": {"type": "rect", "height": STRIP_HEIGHT},
        "encoding": {
            "x": x,
            "x2": {"field": "until"},
            "y": {"value": top + STRIP_HEIGHT / 2},
            "color": colour,
            "opacity": _opacity("level", [0.16, 1]),
            "tooltip": _tooltip([("at", _("Time")), ("point", _("Point")), ("state", _("State"))]),
        },
    }


def _strip_name(name: str, top: int, *, ink: str, above: bool) -> Spec:
    """The name of a strip: left of it, or above it where it is long."""
    align, left, middle = (
        ("left", 0.0, top - STRIP_HEIGHT) if above else ("right", -8.0, top + STRIP_HEIGHT / 2)
    )
    return {
        "data": {"values": [{"label": name}]},
        "mark": {"type": "text", "align": align, "baseline": "middle", "fontSize": 11, "color": ink},
        "encoding": {
            "x": {"value": left},
            "y": {"value": middle},
            "text": {"field": "label", "type": "nominal"},
        },
    }


def _opacity(field: str, strength: Sequence[float]) -> Spec:
    """From pale to strong as `field` goes from 0 to 1."""
    scale = {"domain": [0, 1], "range": list(strength)}
    return {"field": field, "type": "quantitative", "scale": scale, "legend": None}
