"""Devices' health: what speaks, what has fallen silent and why, and whose clock is wrong."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime
from html import escape

import pandas as pd  # type: ignore[import-untyped] # ships no type information
import streamlit as st

from insula_analytics_ui.api.diagnostics import Diagnostics, diagnostics
from insula_analytics_ui.freshness import NEVER_SEEN, ONLINE, SILENT, STALE, device_state
from insula_analytics_ui.places import Room
from insula_analytics_ui.theme import STATE_INK
from insula_analytics_ui.views.elements import address, dot, empty, link, remembered, write
from insula_analytics_ui.views.frame import Shown, frame, live
from insula_analytics_ui.views.parts import table
from insula_analytics_ui.words import _, number_text

REFRESH_SECONDS = 15

EXPLAINED = 20
"""Devices that the platform is asked to explain at once: each is a question of its own."""

EXPLAINED_SECONDS = 60

STATES = {state.word: state for state in (ONLINE, STALE, SILENT, NEVER_SEEN)}


def page() -> None:
    """The page; it keeps itself up to date."""
    shown = frame(
        _("Devices' health"),
        levels=("building",),
        period=False,
        what=_("Here you will see your devices: where each is, what it measures, whether it still speaks."),
    )
    if shown:
        live(shown, _draw, every=REFRESH_SECONDS)


def _draw(shown: Shown) -> None:
    rooms = devices_table(shown.place.rooms, shown.now)
    if rooms.empty:
        empty(
            _("Here you will see your devices: where each is, what it measures, whether it still speaks."),
            _("No device stands here yet. Bring one in by the API or the command line."),
            link=_("All buildings"),
            url=address("devices", building=None),
        )
        return
    _one(shown)
    found = _filtered(rooms)
    if found.empty:
        empty(
            _("No device matches."),
            _("Clear the filter to see them all."),
            link=_("Show all devices"),
            url=address("devices", building=None),
        )
        return
    _show(shown, found, _explained(shown, found))


def devices_table(rooms: Sequence[Room], now: datetime) -> pd.DataFrame:
    """One row a device: `state` (in English), `name`, `id`, `space`, `points`, `last_seen` (aware UTC).

    The worst come first.
    """
    rows = [
        {
            "state": device_state(device, now).word,
            "name": device.name,
            "id": device.id,
            "space": f"{room.space.building} · {room.name}" if room.space.building else room.name,
            "points": ", ".join(sorted(point.name for point in room.points if point.device == device.id)),
            "last_seen": device.last_seen,
        }
        for room in rooms
        for device in room.devices
    ]
    found = pd.DataFrame(rows, columns=["state", "name", "id", "space", "points", "last_seen"])
    found["last_seen"] = pd.to_datetime(found["last_seen"], utc=True)
    found["rank"] = [-STATES[word].rank for word in found["state"]]
    return found.sort_values(["rank", "space", "name"], kind="stable", ignore_index=True)


def _filtered(rows: pd.DataFrame) -> pd.DataFrame:
    """The rows that the filter leaves; the filter is in the address, so that it can be shared."""
    counts = Counter(rows["state"])
    present = [word for word in STATES if counts[word]]
    asked = st.query_params.get("state")
    find, choose, explain = st.columns([2, 2, 2], vertical_alignment="center")
    with explain:
        _choose_one(rows)
    with find:
        text = st.text_input(
            _("Filter"),
            value=st.query_params.get("find", ""),
            key="filter",
            placeholder=_("Filter by name, room or point"),
            icon=":material/search:",
            label_visibility="collapsed",
        )
    with choose:
        word = st.pills(
            _("State"),
            present,
            default=asked if asked in present else None,
            format_func=lambda word: f"{STATES[word].dot} {_(word)} {counts[word]}",
            key="state",
            label_visibility="collapsed",
        )
    write({"find": text, "state": word})
    if word:
        rows = rows[rows["state"] == word]
    columns = rows[["name", "id", "space", "points"]].agg(" ".join, axis=1) if len(rows) else rows["name"]
    return rows[columns.str.contains(text, case=False, regex=False)] if text else rows


def _choose_one(rows: pd.DataFrame) -> None:
    """A box in which to choose the device that is explained above; it is in the address."""
    names = dict(zip(rows["id"], rows["name"], strict=True))
    asked = st.query_params.get("device")
    st.session_state["device"] = asked if asked in names else None
    st.selectbox(
        _("Explain a device"),
        list(names),
        format_func=names.__getitem__,
        key="device",
        on_change=lambda: write({"device": st.session_state["device"]}),
        placeholder=_("Explain a device"),
        label_visibility="collapsed",
    )


def _explained(shown: Shown, rows: pd.DataFrame) -> Mapping[str, Diagnostics]:
    """What the platform says of the devices, of those first that do not speak as they should."""
    ids = list(rows["id"])[:EXPLAINED]
    return remembered(
        shown.api.session,
        f"diagnostics {','.join(ids)}",
        EXPLAINED_SECONDS,
        lambda: diagnostics(shown.api, ids),
    )


def _show(shown: Shown, rows: pd.DataFrame, explained: Mapping[str, Diagnostics]) -> None:
    zone = shown.place.zone
    said = rows.assign(
        state=[f"{STATES[word].dot} {_(word)}" for word in rows["state"]],
        reason=[_why(explained.get(each)) for each in rows["id"]],
        skew=[explained[each].clock_offset if each in explained else None for each in rows["id"]],
        last_seen=rows["last_seen"].dt.tz_convert(zone),
    )
    ink = dict(zip(said["state"], [STATES[word].colour for word in rows["state"]], strict=True))
    names = {
        "name": _("Device"),
        "space": _("Room"),
        "state": _("State"),
        "last_seen": _("Last seen"),
        "reason": _("Why"),
        "skew": _("Clock late by, s"),
        "points": _("Points"),
        "id": _("Identifier"),
    }
    said = said[list(names)].rename(columns=names)
    theme = st.context.theme.type or "light"
    table(
        shown.report,
        "devices",
        said,
        ink={names["state"]: lambda text: STATE_INK[theme][ink[text]]},
        columns={
            names["name"]: st.column_config.TextColumn(width=205),
            names["state"]: st.column_config.TextColumn(width=105),
            names["last_seen"]: st.column_config.DatetimeColumn(
                format="YYYY-MM-DD HH:mm:ss", timezone=zone.key, width=155
            ),
            names["reason"]: st.column_config.TextColumn(width=250),
            names["skew"]: st.column_config.NumberColumn(format="%.1f", width=115),
            names["space"]: st.column_config.TextColumn(width=170),
        },
    )
    note = _("Times of {zone}. A clock that is late by less than 0 s is ahead.").format(zone=zone.key)
    if len(rows) > EXPLAINED:
        note += " " + _("Causes and clocks of the first {number} devices: filter for others.").format(
            number=EXPLAINED
        )
    st.html(f'<p class="in-quiet">{escape(note)}</p>')


def _why(found: Diagnostics | None) -> str:
    """What is the matter, in the platform's words; nothing where all is well."""
    return found.verdict.summary if found and found.verdict.code != "well" else ""


def _one(shown: Shown) -> None:
    """The device that the address names: everything that is known of its way to the platform."""
    asked = st.query_params.get("device", "")
    device = shown.estate.devices.get(asked)
    if device is None:
        return
    found = diagnostics(shown.api, [device.id]).get(device.id)
    if found is None:
        return
    room = shown.estate.room_of_device.get(device.id)
    facts = [dot(device_state(device, shown.now)), escape(found.verdict.summary)]
    if found.verdict.to_do:
        facts.append(f"<strong>{escape(found.verdict.to_do)}</strong>")
    if found.clock_offset is not None:
        said = (
            _("Its clock is {seconds} s late.")
            if found.clock_offset >= 0
            else _("Its clock is {seconds} s ahead.")
        )
        facts.append(escape(said.format(seconds=number_text(abs(found.clock_offset), 1))))
    facts += [escape(f"{each.reason} ({each.letters}): {each.detail}") for each in found.dead_letters]
    where = link(room.name, address("space", space=room.key)) if room else ""
    close = link(_("Close"), address("devices", device=None), name="close")
    st.html(
        f'<section class="in-device"><h3>{escape(device.name)}</h3>{where}'
        f"<ul class='in-list'>{''.join(f'<li>{fact}</li>' for fact in facts)}</ul>"
        f"{close}</section>"
    )
