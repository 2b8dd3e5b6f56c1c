"""Devices: what is installed where, and what has fallen silent."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime

import pandas as pd  # type: ignore[import-untyped] # ships no type information
import streamlit as st

from insula_analytics_ui.api import Api, Device, Point, Space
from insula_analytics_ui.backend import backend, current_session
from insula_analytics_ui.freshness import NEVER_SEEN, ONLINE, SILENT, STALE, device_state
from insula_analytics_ui.rooms import UNPLACED
from insula_analytics_ui.theme import STATE_INK
from insula_analytics_ui.views.elements import empty, problems_shown

REFRESH_SECONDS = 15
ROW_HEIGHT = 33
ROWS_SHOWN = 24
"""More rows than these scroll beneath the head, which stays."""

STATES = {state.word: state for state in (ONLINE, STALE, SILENT, NEVER_SEEN)}


def page() -> None:
    """The page; it keeps itself up to date."""
    st.fragment(run_every=REFRESH_SECONDS)(_live)()


def _live() -> None:
    st.html('<div class="in-head"><h2>Devices</h2></div>')
    with problems_shown():
        api = Api(backend(), current_session())
        devices, spaces, points = api.devices(), api.spaces(), api.points()
        if not devices:
            empty(
                "Here you will see your devices: where each is, what it measures, whether it still speaks.",
                "An operator adds the first one: insula device add",
                link="What the API tells of devices",
                url=f"{backend().settings.platform_url}/docs",
            )
            return
        table = devices_table(devices, spaces, points, datetime.now(UTC))
        _show(_filtered(table), spaces)


def devices_table(
    devices: list[Device], spaces: list[Space], points: list[Point], now: datetime
) -> pd.DataFrame:
    """One row a device: `state` (the word), `name`, `id`, `space`, `points`, `last_seen` (aware UTC)."""
    places = {space.id: space for space in spaces}
    measured: dict[str, list[str]] = {}
    for point in points:
        measured.setdefault(point.device, []).append(point.name)
    rows = [
        {
            "state": device_state(device.last_seen, now).word,
            "name": device.name,
            "id": device.id,
            "space": _place(places.get(device.space_id or UNPLACED.id)),
            "points": ", ".join(sorted(measured.get(device.id, []))),
            "last_seen": device.last_seen,
        }
        for device in devices
    ]
    table = pd.DataFrame(rows, columns=["state", "name", "id", "space", "points", "last_seen"])
    table["last_seen"] = pd.to_datetime(table["last_seen"], utc=True)
    return table.sort_values(["space", "name"], kind="stable", ignore_index=True)


def _place(space: Space | None) -> str:
    if space is None:
        return UNPLACED.name
    return f"{space.building} · {space.name}" if space.building else space.name


def _filtered(table: pd.DataFrame) -> pd.DataFrame:
    """The rows that the filter leaves; the filter is in the address, so that it can be shared."""
    counts = Counter(table["state"])
    present = [word for word in STATES if counts[word]]
    asked = st.query_params.get("state")
    find, choose = st.columns([2, 3], vertical_alignment="center")
    with find:
        text = st.text_input(
            "Filter",
            value=st.query_params.get("find", ""),
            key="filter",
            placeholder="Filter by name, room or point",
            icon=":material/search:",
            label_visibility="collapsed",
        )
    with choose:
        word = st.pills(
            "State",
            present,
            default=asked if asked in present else None,
            format_func=lambda word: f"{STATES[word].dot} {word} {counts[word]}",
            key="state",
            label_visibility="collapsed",
        )
    for name, value in (("find", text), ("state", word)):
        if value:
            st.query_params[name] = value
        else:
            st.query_params.pop(name, None)
    if word:
        table = table[table["state"] == word]
    columns = table[["name", "id", "space", "points"]].agg(" ".join, axis=1) if len(table) else table["name"]
    return table[columns.str.contains(text, case=False, regex=False)] if text else table


def _show(table: pd.DataFrame, spaces: list[Space]) -> None:
    if table.empty:
        empty(
            "No device matches.", "Clear the filter to see them all.", link="Show all devices", url="/devices"
        )
        return
    zones = {space.time_zone for space in spaces}
    zone = zones.pop() if len(zones) == 1 else "UTC"
    shown = table.assign(state=[f"{STATES[word].dot} {word}" for word in table["state"]])
    st.dataframe(
        shown.style.map(_ink, subset=["state"]),
        hide_index=True,
        height="content" if len(shown) <= ROWS_SHOWN else (ROWS_SHOWN + 1) * ROW_HEIGHT,
        row_height=ROW_HEIGHT,
        column_order=["name", "state", "last_seen", "space", "points", "id"],
        column_config={
            "name": st.column_config.TextColumn("Device", width=205),
            "state": st.column_config.TextColumn("State", width=85),
            "last_seen": st.column_config.DatetimeColumn(
                f"Last seen ({zone})", format="YYYY-MM-DD HH:mm:ss", timezone=zone, width=190
            ),
            "space": st.column_config.TextColumn("Room", width=195),
            "points": st.column_config.TextColumn("Points", width=125),
            "id": st.column_config.TextColumn("Identifier", width=175),
        },
    )


def _ink(text: str) -> str:
    state = STATES[text.partition(" ")[2]]
    return f"color: {STATE_INK[st.context.theme.type or 'light'][state.colour]}"
