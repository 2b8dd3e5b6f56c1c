"""Point explorer: any points together, by unit, with a brush to look closer and files to take away."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from html import escape
from itertools import count
from typing import Any
from urllib.parse import urlencode

import streamlit as st

from insula_analytics_ui.api.client import rfc3339
from insula_analytics_ui.api.model import Point
from insula_analytics_ui.charts import ZOOM
from insula_analytics_ui.periods import Period, asked_period, bucket_for
from insula_analytics_ui.places import Estate
from insula_analytics_ui.quantities import colours, has_states, quantity, unit
from insula_analytics_ui.report import Figure
from insula_analytics_ui.theme import PALETTE, QUIET_INK
from insula_analytics_ui.times import MILLISECONDS, duration_text
from insula_analytics_ui.traces import Traces, load_traces
from insula_analytics_ui.views.elements import write
from insula_analytics_ui.views.forecast import forecast_section
from insula_analytics_ui.views.frame import Shown, frame, live
from insula_analytics_ui.views.parts import chart_head, complete_text
from insula_analytics_ui.words import _

MOST_POINTS = 25
"""Points that are drawn together: more lines than these tell nobody anything."""

NARROWEST = timedelta(seconds=30)
"""The shortest stretch that a brush looks closer at."""


def page() -> None:
    """The page; it keeps itself up to date while nothing is zoomed."""
    shown = frame(
        _("Point explorer"),
        what=_("Here you will see any points together over time, and take their readings away as files."),
    )
    if not shown:
        return
    points = _choose(shown.estate)
    if not points:
        todo = _("Choose points above: by room, by what they measure, or by device.")
        st.html(f'<p class="in-quiet">{escape(todo)}</p>')
        return
    rooms = [shown.estate.room_of[point.id] for point in points]
    place = replace(shown.place, rooms=(rooms[0],))
    shown.report.place = ", ".join(dict.fromkeys(room.name for room in rooms))
    shown = replace(shown, place=place, period=zoomed(shown.period, st.query_params.get("zoom", "")))
    live(shown, lambda now: _draw(now, points))


def zoomed(period: Period, zoom: str) -> Period:
    """The stretch `zoom` of a period, written as ISO 8601 does: `begin/end`; the period where it is none."""
    begin, _slash, end = zoom.partition("/")
    inner = asked_period(None, begin, end, datetime.now(UTC))
    return inner if inner.preset is None else period


def _choose(estate: Estate) -> list[Point]:
    """A box in which to look for points; what is chosen is in the address."""
    asked = st.query_params.get("points", "").split(",")
    known = [int(each) for each in asked if each.isdecimal() and int(each) in estate.points]
    st.session_state["points"] = known[:MOST_POINTS]
    names = full_names(estate)
    st.multiselect(
        _("Points"),
        list(names),
        format_func=names.__getitem__,
        key="points",
        on_change=lambda: write({"points": ",".join(map(str, st.session_state["points"])), "zoom": None}),
        max_selections=MOST_POINTS,
        placeholder=_("Choose points"),
        label_visibility="collapsed",
    )
    return [estate.points[each] for each in st.session_state["points"]]


def full_names(estate: Estate) -> dict[int, str]:
    """What to call each point of a tenant: its room and quantity, and its device where two are alike."""
    found: dict[int, str] = {}
    for room in estate.rooms:
        for point in room.points:
            alike = [each for each in room.points if quantity(each).name == quantity(point).name]
            device = estate.devices.get(point.device)
            which = f" ({device.name if device else point.device})" if len(alike) > 1 else ""
            found[point.id] = f"{room.name} · {quantity(point).name}{which}"
    return found


def colours_together(estate: Estate, points: Sequence[Point]) -> dict[int, str]:
    """Each point's own colour; a point whose colour another one before it has gets a free one."""
    chosen: dict[int, str] = {}
    for point, number in zip(points, count(), strict=False):
        own = colours(estate.room_of[point.id].points)[point.id]
        free = [colour for colour in PALETTE if colour not in chosen.values()]
        chosen[point.id] = own if own in free or not free else free[0]
        if not free:
            chosen[point.id] = PALETTE[number % len(PALETTE)]
    return chosen


def _draw(shown: Shown, points: Sequence[Point]) -> None:
    traces = load_traces(
        shown.api,
        points,
        shown.period,
        zone=shown.place.zone,
        now=shown.now,
        names=full_names(shown.estate),
        colours=colours_together(shown.estate, points),
    )
    _resolution(shown, traces)
    groups = traces.by_unit()
    for index, ((_name, sign), inside) in enumerate(groups.items()):
        _panel(shown, traces, sign, inside, states=index == len(groups) - 1)
    if not groups:
        _panel(shown, traces, "", [], states=True)
    if len(points) == 1:
        forecast_section(
            shown, points[0], name=traces.names[points[0].id], colour=traces.colours[points[0].id]
        )
    _table(traces, points)
    _files(shown, points)


def _resolution(shown: Shown, traces: Traces) -> None:
    """How fine the charts are, and the way back out of a zoom."""
    width = duration_text(shown.period.bucket_length)
    text = _("One value per {width}; brush over a chart to look closer.").format(width=width)
    said, back = st.columns([4, 1], vertical_alignment="center")
    with said:
        st.html(f'<p class="in-quiet">{escape(text)} {escape(traces.zone.key)}</p>')
    with back:
        if st.query_params.get("zoom") and st.button(
            _("Whole period"), icon=":material/zoom_out_map:", key="unzoom"
        ):
            write({"zoom": None})
            st.rerun()  # the whole page: this is its live part, which was given the stretch


def _panel(shown: Shown, traces: Traces, sign: str, points: Sequence[Point], *, states: bool) -> None:
    """The points of one unit on an axis of their own; what is brushed goes into the address."""
    title = ", ".join(dict.fromkeys(quantity(point).name for point in points)) or _("States")
    chart = traces.chart(
        points, sign, ink=QUIET_INK[st.context.theme.type or "light"], states=states, zoom=True
    )
    note = complete_text(traces.complete(points).share)
    chart_head(title, [(traces.names[point.id], traces.colours[point.id]) for point in points], note)
    name = f"{title} {sign}"
    which = shown.period.preset.key if shown.period.preset else rfc3339(shown.period.begin)
    shown.report.add(
        name, Figure(f"{title} ({sign})" if sign else title, chart, note, partial(traces.table, points))
    )
    state: Any = st.vega_lite_chart(
        chart,
        key=f"chart {name} {which}",
        on_select="rerun",
        selection_mode=ZOOM,
        alt=f"{title}, {shown.period.words(traces.zone)}",
    )
    stretch = brushed(state)
    if stretch:
        write({"zoom": "/".join(rfc3339(each) for each in stretch)})
        st.rerun()


def brushed(state: Mapping[str, Any]) -> tuple[datetime, datetime] | None:
    """The stretch of time of a chart's brush; None when nothing, or next to nothing, is brushed."""
    edges = state.get("selection", {}).get(ZOOM, {}).get("time") or []
    if len(edges) != 2:
        return None
    begin, end = (datetime.fromtimestamp(edge / MILLISECONDS, tz=UTC) for edge in sorted(edges))
    return whole_buckets(begin, end) if end - begin >= NARROWEST else None


def whole_buckets(begin: datetime, end: datetime) -> tuple[datetime, datetime]:
    """A stretch, widened to the buckets in which it will be asked for, up to hours."""
    size = min(bucket_for(end - begin)[1], timedelta(hours=1)).total_seconds()
    edges = (begin.timestamp() // size * size, -(-end.timestamp() // size) * size)
    first, last = (datetime.fromtimestamp(edge, tz=UTC) for edge in edges)
    return first, last


def _table(traces: Traces, points: Sequence[Point]) -> None:
    measured = [point for point in points if not has_states(point)]
    rows = traces.table(measured)
    if rows.empty:
        return
    with st.expander(_("Table")):
        st.dataframe(rows, hide_index=True, row_height=33, height=400, key="table points")


def _files(shown: Shown, points: Sequence[Point]) -> None:
    """Files of the same points and period, in the API's own formats."""
    asked: list[tuple[str, str]] = [("point", str(point.id)) for point in points]
    asked += [("from", rfc3339(shown.period.begin)), ("to", rfc3339(shown.period.end))]
    buckets = [
        ("bucket", shown.period.bucket),
        ("aggregate", "consumption" if all(point.kind == "counter" for point in points) else "mean"),
        ("time_zone", shown.place.zone.key),
    ]
    width = duration_text(shown.period.bucket_length)
    links = "".join(
        f'<a href="/files/readings.{ending}?{escape(urlencode(asked + extra))}" download>{escape(text)}</a>'
        for ending, extra, text in (
            ("csv", [], _("CSV, as stored")),
            ("parquet", [], _("Parquet, as stored")),
            ("csv", buckets, _("CSV, one value per {width}").format(width=width)),
            ("parquet", buckets, _("Parquet, one value per {width}").format(width=width)),
        )
    )
    units = ", ".join(sorted({unit(point) for point in points if unit(point)}))
    said = _("Times in UTC, values in {units}.").format(units=units) if units else ""
    title = escape(_("Download"))
    names = full_names(shown.estate)
    named = _("In the column point: {numbers}.").format(
        numbers=", ".join(f"{point.id} = {names[point.id]}" for point in points)
    )
    st.html(
        f'<nav class="in-files"><strong>{title}</strong>{links}'
        f'<span class="in-quiet">{escape(said)} {escape(named)}</span></nav>'
    )
