"""Rooms: what each room measures now, and how it went."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from html import escape

import streamlit as st

from insula_analytics_ui.api import Api, Latest, Point, Reading
from insula_analytics_ui.backend import backend, current_session
from insula_analytics_ui.charts import Frame, line_chart
from insula_analytics_ui.freshness import SILENT, State, age, reading_state
from insula_analytics_ui.quantities import COMFORT, colours, has_states, quantity, unit, value_text
from insula_analytics_ui.rooms import Room, labels, rooms_of
from insula_analytics_ui.series import PERIODS, Period, lines, strips, ticks, window
from insula_analytics_ui.theme import QUIET_INK
from insula_analytics_ui.views.elements import dot, empty, plain, problems_shown, remembered

MODEL_SECONDS = 60
"""How long rooms, devices and points are held: they change when people change them."""

MANY_ROOMS = 14
"""From here on the list of rooms scrolls by itself and can be searched."""

_MARKDOWN_DOTS = (":green[●]", ":orange[◐]", ":red[○]")


def page() -> None:
    """The page; it keeps itself up to date without losing what was chosen."""
    asked = st.query_params.get("period", "")
    period = PERIODS.get(st.session_state.get("period") or asked) or PERIODS["24h"]
    st.fragment(run_every=period.refresh)(_live)(period)


def _live(period: Period) -> None:
    with problems_shown():
        session = current_session()
        api = Api(backend(), session)
        rooms = remembered(
            session, "rooms", MODEL_SECONDS, lambda: rooms_of(api.spaces(), api.devices(), api.points())
        )
        if not rooms:
            _no_rooms()
            return
        latest, now = api.latest(), datetime.now(UTC)
        left, right = st.columns([1, 4], gap="large")
        with left:
            room = _choose(rooms, latest, now)
        with right:
            _head(room, period)
            _values(room, latest, now)
            _charts(api, room, period, now)


def _no_rooms() -> None:
    st.html('<div class="in-head"><h2>Rooms</h2></div>')
    empty(
        "Here you will see the rooms of your building: what each measures now, and how it went.",
        "An operator adds the first device with its building and room: insula device add",
        link="What the API tells of spaces",
        url=f"{backend().settings.platform_url}/docs",
    )


def _choose(rooms: Sequence[Room], latest: Mapping[int, Latest], now: datetime) -> Room:
    """The list of a building's rooms, each with its state and what it measures first."""
    by_id = {str(room.space.id): room for room in rooms}
    asked = by_id.get(st.query_params.get("room", ""), rooms[0])
    building = _choose_building(rooms, asked)
    listed = [room for room in rooms if room.building == building]
    if len(listed) > MANY_ROOMS:
        wanted = st.text_input(
            "Find a room", key="find", placeholder="Find a room", label_visibility="collapsed"
        )
        listed = [room for room in listed if wanted.casefold() in room.space.name.casefold()] or listed
    keys = [str(room.space.id) for room in listed]
    with st.container(height=620 if len(listed) > MANY_ROOMS else "content", border=False, key="rooms"):
        key = st.radio(
            "Room",
            keys,
            index=keys.index(str(asked.space.id)) if str(asked.space.id) in keys else 0,
            format_func=lambda key: plain(by_id[key].space.name),
            captions=[_caption(room, latest, now) for room in listed],
            key="room",
            label_visibility="collapsed",
        )
    st.query_params["room"] = key
    return by_id[key]


def _choose_building(rooms: Sequence[Room], asked: Room) -> str:
    buildings = list(dict.fromkeys(room.building for room in rooms))
    if len(buildings) == 1:
        st.html(f'<div class="in-building"><strong>{escape(buildings[0])}</strong>{_site(rooms[0])}</div>')
        return buildings[0]
    return st.selectbox(
        "Building",
        buildings,
        index=buildings.index(asked.building),
        key="building",
        label_visibility="collapsed",
    )


def _site(room: Room) -> str:
    site = room.space.site
    return f'<br><span class="in-quiet">{escape(site)}</span>' if site and site != room.building else ""


def _state(points: Sequence[Point], latest: Mapping[int, Latest], now: datetime) -> State:
    """The worst state among a room's points."""
    states = [reading_state(latest[point.id].time if point.id in latest else None, now) for point in points]
    return max(states, key=lambda state: state.rank, default=SILENT)


def _caption(room: Room, latest: Mapping[int, Latest], now: datetime) -> str:
    if not room.points:
        return "no devices yet"
    state = _state(room.points, latest, now)
    first = next((point for point in room.points if point.id in latest and not has_states(point)), None)
    value = f" · {value_text(first, latest[first.id].value)} {unit(first)}" if first else ""
    return f"{_MARKDOWN_DOTS[state.rank]} {state.word}{value}"


def _head(room: Room, period: Period) -> None:
    """The room's name and place, and the choice of a period."""
    name, choice = st.columns([3, 2], vertical_alignment="center")
    with name:
        st.html(
            f'<div class="in-head"><h2>{escape(room.space.name)}</h2>'
            f'<span class="in-quiet">{escape(room.place)}</span></div>'
        )
    with choice, st.container(horizontal=True, horizontal_alignment="right"):
        key = st.segmented_control(
            "Period",
            list(PERIODS),
            default=period.key,
            format_func=lambda key: PERIODS[key].name,
            key="period",
            label_visibility="collapsed",
            required=True,
        )
    st.query_params["period"] = key
    if key != period.key:
        st.rerun()  # the whole page, for the pace of refreshing goes with the period


def _values(room: Room, latest: Mapping[int, Latest], now: datetime) -> None:
    """The last value of each point, with its unit, and how old it is."""
    if not room.points:
        empty(
            f"Here you will see what {room.space.name} measures.",
            "No device stands in this room yet. An operator adds one: insula device add",
            link="What the API tells of devices",
            url=f"{backend().settings.platform_url}/docs",
        )
        return
    chosen, names = colours(room.points), labels(room.points)
    cells = []
    for point in room.points:
        reading = latest.get(point.id)
        state = reading_state(reading.time if reading else None, now)
        value = escape(value_text(point, reading.value)) if reading else "\u2013"
        since = f" · {age(reading.time, now)} ago" if reading else ""
        title = escape(f"{point.device} · {point.name}")
        cells.append(
            f'<div class="in-value" title="{title}"><div><i style="background:{chosen[point.id]}"></i>'
            f"{escape(names[point.id])}</div>"
            f'<div class="in-number">{value} <small>{escape(unit(point))}</small></div>'
            f'<div class="in-quiet">{dot(state)}{since}</div></div>'
        )
    st.html(f'<div class="in-values">{"".join(cells)}</div>')


def _charts(api: Api, room: Room, period: Period, now: datetime) -> None:
    """A chart for each quantity, with the room's states beneath."""
    measured = [point for point in room.points if not has_states(point)]
    stateful = [point for point in room.points if has_states(point)]
    begin, end = window(period, now)

    def read(points: Sequence[Point], aggregate: str) -> list[Reading]:
        ids = [point.id for point in points]
        return api.readings(
            ids, begin, end, bucket=period.bucket, aggregate=aggregate, time_zone=room.zone.key
        )

    gauges = read([point for point in measured if point.kind != "counter"], "mean")
    gauges += read([point for point in measured if point.kind == "counter"], "last")
    names, chosen = labels(room.points), colours(room.points)
    frame = Frame(begin, end, ticks(begin, end, period, room.zone))
    state_rows = strips(
        stateful,
        read(stateful, "max"),
        read(stateful, "last"),
        bucket=period.bucket_length,
        end=now,
        zone=room.zone,
        names=names,
    )
    groups: dict[tuple[str, str], list[Point]] = {}
    for point in measured:
        groups.setdefault((quantity(point).name, unit(point)), []).append(point)
    for (name, sign), points in groups.items():
        comfort = COMFORT.get((points[0].brick_class or "", sign))
        _chart_head(name, points, names, chosen, comfort=comfort, sign=sign)
        st.altair_chart(
            line_chart(
                frame,
                lines(points, gauges, bucket=period.bucket_length, zone=room.zone, names=names),
                state_rows,
                unit=sign,
                points=[names[point.id] for point in points],
                states=[names[point.id] for point in stateful],
                colours={names[point.id]: chosen[point.id] for point in room.points},
                comfort=comfort,
                ink=QUIET_INK[st.context.theme.type or "light"],
            ),
            key=f"chart {room.space.id} {period.key} {name} {sign}",
            alt=f"{name} in {room.space.name}, last {period.name}",
        )


def _chart_head(
    name: str,
    points: Sequence[Point],
    names: Mapping[int, str],
    chosen: Mapping[int, str],
    *,
    comfort: tuple[float, float] | None,
    sign: str,
) -> None:
    """The quantity's name and, where there is more than one line or a band, the key to them."""
    keys = ""
    if len(points) > 1:
        keys = "".join(
            f'<span class="in-key in-quiet"><i style="background:{chosen[point.id]}"></i>'
            f"{escape(names[point.id])}</span>"
            for point in points
        )
    if comfort:
        band = f"comfort {comfort[0]:g} to {comfort[1]:g} {escape(sign)}"
        keys += f'<span class="in-key in-quiet"><b></b>{band}</span>'
    st.html(f'<div class="in-chart-head"><h3>{escape(name)}</h3>{keys}</div>')
