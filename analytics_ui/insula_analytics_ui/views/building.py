"""Building: floor by floor, each room a tile with what it measures now and whether it is comfortable."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime
from html import escape

import pandas as pd  # type: ignore[import-untyped] # ships no type information
import streamlit as st

from insula_analytics_ui.api.model import Point
from insula_analytics_ui.api.readings import Latest, latest
from insula_analytics_ui.comfort_now import Comfort, comfort_of, somebody_in
from insula_analytics_ui.freshness import ONLINE, SILENT, STALE, device_state, reading_state
from insula_analytics_ui.places import UNPLACED, Room
from insula_analytics_ui.quantities import quantity, unit, value_text
from insula_analytics_ui.report import Number, Table
from insula_analytics_ui.views.elements import address, mark
from insula_analytics_ui.views.frame import Shown, frame, live
from insula_analytics_ui.views.parts import numbers
from insula_analytics_ui.words import _, ngettext

REFRESH_SECONDS = 10
VALUES = 4
"""Values on a tile: the first is large."""


def page() -> None:
    """The page; it keeps itself up to date."""
    shown = frame(
        _("Building"),
        levels=("building", "storey"),
        needed=("building",),
        period=False,
        what=_("Here you will see a building floor by floor, with what each room measures."),
    )
    if shown:
        live(shown, _draw, every=REFRESH_SECONDS)


def _draw(shown: Shown) -> None:
    found = latest(shown.api)
    rooms = [room for room in shown.place.rooms if room.space.id != UNPLACED.id] or list(shown.place.rooms)
    comforts = {room.key: comfort_of(room.points, found, shown.now) for room in rooms}
    _summary(shown, rooms, comforts, found)
    storeys: dict[str, list[Room]] = {}
    for room in rooms:
        storeys.setdefault(room.storey, []).append(room)
    for storey, inside in reversed(storeys.items()):  # the top floor first, as the building stands
        said = escape(ngettext("{number} room", "{number} rooms", len(inside)).format(number=len(inside)))
        tiles = "".join(tile(room, comforts[room.key], found, shown.now) for room in inside)
        st.html(
            f'<section class="in-storey"><h3>{escape(storey)} <span class="in-quiet">{said}</span></h3>'
            f'<div class="in-tiles">{tiles}</div></section>'
        )
    shown.report.add("rooms", Table(_("Rooms"), rooms_table(rooms, comforts, found)))


def _summary(
    shown: Shown, rooms: Sequence[Room], comforts: Mapping[str, Comfort], found: Mapping[int, Latest]
) -> None:
    """The few numbers that answer whether everything is well."""
    counts = Counter(comfort.word for comfort in sorted(comforts.values(), key=lambda each: -each.rank))
    judged = [comfort for comfort in comforts.values() if comfort.rank not in {1, 2}]
    well = sum(comfort.rank == 0 for comfort in judged)
    others = ", ".join(f"{count} {word}" for word, count in counts.items() if word != _("comfortable"))
    devices = [device for room in rooms for device in room.devices]
    states = Counter(device_state(device, shown.now).word for device in devices)
    silent = len(devices) - states[ONLINE.word] - states[STALE.word]
    busy, counted = occupied(rooms, found, shown.now)
    numbers(
        shown.report,
        "summary",
        [
            Number(_("Comfortable rooms"), f"{well} / {len(judged)}", "", others),
            Number(_("Occupied rooms"), f"{busy} / {counted}" if counted else "\u2013", "", ""),
            Number(
                _("Devices online"),
                f"{states[ONLINE.word]} / {len(devices)}",
                "",
                ngettext("{number} silent", "{number} silent", silent).format(number=silent)
                if silent
                else "",
            ),
        ],
    )


def occupied(rooms: Sequence[Room], found: Mapping[int, Latest], now: datetime) -> tuple[int, int]:
    """How many rooms somebody is in, and of how many that is known at this moment."""
    known = [somebody_in(room.points, found, now) for room in rooms]
    return sum(each is True for each in known), sum(each is not None for each in known)


def tile(room: Room, comfort: Comfort, found: Mapping[int, Latest], now: datetime) -> str:
    """HTML of a room: its name as a link, its values, its comfort, and which of its devices are silent."""
    shown = shown_points(room.points, found)
    old = {point.id for point in shown if reading_state(found[point.id].time, now) is SILENT}
    values = "".join(
        f'<span class="in-tile-value{" in-old" if point.id in old else ""}" '
        f'title="{escape(quantity(point).name)}">'
        f"{escape(value_text(point, found[point.id].value))} <small>{escape(unit(point))}</small></span>"
        for point in shown
    )
    key = escape(room.key)
    url = escape(address("space", space=room.key, building=None, storey=None))
    return (
        f'<a class="in-tile in-go" id="in-room-{key}" href="{url}" target="_self" '
        f'style="--in-comfort:{comfort.colour}">'
        f"<strong>{escape(room.name)}</strong>"
        f'<span class="in-tile-values">{values}</span>'
        f'<span class="in-quiet">{mark(comfort.word, comfort.colour, 0 if comfort.rank == 0 else 1)}'
        f"{_silent(room, now)}</span></a>"
    )


def shown_points(points: Sequence[Point], found: Mapping[int, Latest]) -> list[Point]:
    """What a tile shows of a room: one point of each quantity that has a value, the most telling first."""
    chosen: dict[str, Point] = {}
    for point in points:
        if point.id in found and point.kind != "counter":
            chosen.setdefault(quantity(point).english, point)
    return list(chosen.values())[:VALUES]


def _silent(room: Room, now: datetime) -> str:
    """How many of the room's devices say nothing: one of them does not make the room silent."""
    silent = sum(device_state(device, now).rank == 2 for device in room.devices)
    if not silent:
        return ""
    said = ngettext("{number} of {all} devices silent", "{number} of {all} devices silent", silent)
    return " · " + escape(said.format(number=silent, all=len(room.devices)))


def rooms_table(
    rooms: Sequence[Room], comforts: Mapping[str, Comfort], found: Mapping[int, Latest]
) -> pd.DataFrame:
    """The tiles as a table of text, for the report."""
    return pd.DataFrame(
        [
            {
                _("Storey"): room.storey,
                _("Room"): room.name,
                _("Comfort"): comforts[room.key].word,
                _("Values"): ", ".join(
                    f"{quantity(point).name} {value_text(point, found[point.id].value)} {unit(point)}".strip()
                    for point in shown_points(room.points, found)
                ),
            }
            for room in rooms
        ]
    )
