"""Room: what a room measures now, how it went, and what stands in it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from html import escape

import streamlit as st

from insula_analytics_ui.api.model import Point
from insula_analytics_ui.api.readings import Latest, latest
from insula_analytics_ui.comfort_now import Comfort, band_of, comfort_of
from insula_analytics_ui.freshness import device_state, reading_state
from insula_analytics_ui.places import UNPLACED, Room, labels
from insula_analytics_ui.quantities import colours, quantity, unit, value_text
from insula_analytics_ui.report import Number, Numbers
from insula_analytics_ui.theme import QUIET_INK
from insula_analytics_ui.times import age_text, duration_text
from insula_analytics_ui.traces import Traces, load_traces
from insula_analytics_ui.views.elements import address, dot, empty, link, mark
from insula_analytics_ui.views.frame import Shown, frame, live
from insula_analytics_ui.views.parts import chart_head, figure
from insula_analytics_ui.words import _, ngettext, number_text


def page() -> None:
    """The page; it keeps itself up to date without losing what was chosen."""
    shown = frame(
        _("Room"),
        levels=("building", "storey", "space"),
        needed=("building", "space"),
        what=_("Here you will see a room: what it measures now, and how it went."),
    )
    if shown:
        live(shown, _draw)


def _draw(shown: Shown) -> None:
    room = shown.place.rooms[0]
    if not room.points:
        _nothing_measured(room)
        return
    found = latest(shown.api, space=room.space.id if room.space.id != UNPLACED.id else None)
    _head(room, comfort_of(room.points, found, shown.now))
    names = labels(room.points, shown.estate.devices)
    _values(shown, room, found, names)
    _charts(
        shown,
        load_traces(
            shown.api,
            room.points,
            shown.period,
            zone=room.zone,
            now=shown.now,
            names=names,
            colours=colours(room.points),
        ),
    )
    _standing(shown, room)


def _head(room: Room, comfort: Comfort) -> None:
    facts = [mark(comfort.word, comfort.colour, 0 if comfort.rank == 0 else 1)]
    if room.space.area:
        facts.append(escape(f"{number_text(room.space.area, 0)} m²"))
    if room.space.capacity:
        people = ngettext("for {number} person", "for {number} people", room.space.capacity)
        facts.append(escape(people.format(number=room.space.capacity)))
    st.html(f'<div class="in-head"><h3>{escape(room.name)}</h3><span>{" · ".join(facts)}</span></div>')


def _nothing_measured(room: Room) -> None:
    empty(
        _("Here you will see what {room} measures.").format(room=room.name),
        _("No device in this room has sent anything. Bring one in by the API or the command line."),
        link=_("Devices' health"),
        url=address("devices"),
    )


def _values(shown: Shown, room: Room, found: Mapping[int, Latest], names: Mapping[int, str]) -> None:
    """The last value of each point, with its unit, and how old it is."""
    chosen = colours(room.points)
    cells, numbers = [], []
    for point in room.points:
        reading = found.get(point.id)
        state = reading_state(reading.time if reading else None, shown.now)
        value = value_text(point, reading.value) if reading else "\u2013"
        since = age_text(reading.time, shown.now) if reading else ""
        note = f"{dot(state)} · {escape(since)}" if since else dot(state)
        if reading and reading.in_range is False:
            note += " · " + escape(_("cannot be right"))
        cells.append(
            f'<div class="in-value" title="{escape(f"{point.device} · {point.name}")}">'
            f'<div><i style="background:{chosen[point.id]}"></i><span>{escape(names[point.id])}</span></div>'
            f'<div class="in-number">{escape(value)} <small>{escape(unit(point))}</small></div>'
            f'<div class="in-quiet">{note}</div></div>'
        )
        said = " · ".join(part for part in (_(state.word), since) if part)
        numbers.append(Number(names[point.id], value, unit(point), said))
    st.html(f'<div class="in-values">{"".join(cells)}</div>')
    shown.report.add("values", Numbers(_("Now"), numbers))


def _charts(shown: Shown, traces: Traces) -> None:
    """A chart for each quantity, with the room's states beneath."""
    ink = QUIET_INK[st.context.theme.type or "light"]
    for (name, sign), points in traces.by_quantity().items():
        figure(
            shown.report,
            f"{shown.place.rooms[0].key} {name} {sign}",
            traces.chart(points, sign, ink=ink),
            title=name,
            note=_note(points, sign, traces),
            key=_key(points, traces),
            complete=traces.complete(points),
            rows=partial(traces.table, points),
            alt_text=_("{quantity} in {room}, {period}").format(
                quantity=name, room=shown.place.rooms[0].name, period=shown.period.words(traces.zone)
            ),
        )
    if traces.stateful and not traces.measured:
        chart_head(_("States"))
        chart = traces.chart([], "", ink=ink)
        figure(shown.report, "states", chart, title=", ".join(traces.names[p.id] for p in traces.stateful))


def _note(points: Sequence[Point], sign: str, traces: Traces) -> str:
    band = band_of(points[0])
    if band:
        low, high = (number_text(limit, 0) for limit in band)
        if quantity(points[0]).english == "CO₂":
            return _("shaded: good air, up to {high} {unit}").format(high=high, unit=sign)
        return _("shaded: comfortable, {low} to {high} {unit}").format(low=low, high=high, unit=sign)
    if points[0].kind == "counter":
        return _("per {length}").format(length=duration_text(traces.period.bucket_length))
    return ""


def _key(points: Sequence[Point], traces: Traces) -> list[tuple[str, str]]:
    if len(points) < 2:
        return []
    return [(traces.names[point.id], traces.colours[point.id]) for point in points]


def _standing(shown: Shown, room: Room) -> None:
    """The devices in the room, and the way to their health and to all their points together."""
    rows = "".join(
        f"<li>{link(device.name, address('devices', device=device.id), name=f'device-{device.id}')} "
        f'<span class="in-quiet">{dot(device_state(device, shown.now))}</span></li>'
        for device in room.devices
    )
    points = ",".join(str(point.id) for point in room.points)
    title = escape(_("What stands in it"))
    together = link(_("All its points together"), address("explorer", points=points), name="explore")
    st.html(f'<h3>{title}</h3><ul class="in-list">{rows}</ul>{together}')
