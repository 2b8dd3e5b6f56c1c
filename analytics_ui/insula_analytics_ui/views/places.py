"""The chooser of a place: building, storey, space, as far as a page wants to know. It is in the address."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal
from zoneinfo import ZoneInfo

import streamlit as st

from insula_analytics_ui.api.client import Query
from insula_analytics_ui.comfort_now import band_of
from insula_analytics_ui.places import Estate, Room, building_key, storey_key
from insula_analytics_ui.views.elements import write
from insula_analytics_ui.words import _

Level = Literal["building", "storey", "space"]
LEVELS: tuple[Level, ...] = ("building", "storey", "space")


@dataclass(frozen=True)
class Place:
    """Where a page looks: its rooms, and what of it was chosen. The zone is that of its first room."""

    rooms: tuple[Room, ...]
    chosen: dict[Level, str]

    @property
    def zone(self) -> ZoneInfo:
        """The time zone in which the page tells times."""
        return self.rooms[0].zone if self.rooms else ZoneInfo("UTC")

    @property
    def words(self) -> str:
        """The place in words."""
        if not self.rooms or not self.chosen:
            return _("All buildings")
        room = self.rooms[0]
        names = {"building": room.building, "storey": room.storey, "space": room.name}
        return " · ".join(names[level] for level in LEVELS if level in self.chosen)

    def question(self) -> Query:
        """The place as the API's analytics take it: the narrowest of what was chosen."""
        if not self.rooms:
            return []
        space = self.rooms[0].space
        ids = {"space": space.id, "storey": space.storey_id, "building": space.building_id}
        return next(([(level, ids[level])] for level in ids if level in self.chosen and ids[level]), [])


KEYS: dict[Level, Callable[[Room], str]] = {
    "building": lambda room: building_key(room.space),
    "storey": lambda room: storey_key(room.space),
    "space": lambda room: room.key,
}
NAMES: dict[Level, Callable[[Room], str]] = {
    "building": lambda room: room.building,
    "storey": lambda room: room.storey,
    "space": lambda room: room.name,
}


def asked_place(estate: Estate, levels: Sequence[Level], needed: Sequence[Level]) -> Place:
    """The place that the address names, down to the last of `levels`; the first there is where `needed`.

    Of rooms it is the first that people feel well in or not: a basement comes before the offices.

    A space says by itself in which building and on which storey it is.
    """
    rooms = list(estate.rooms)
    asked = {level: st.query_params.get(level, "") for level in levels}
    if asked.get("space"):
        room = next((room for room in rooms if room.key == asked["space"]), None)
        asked = {level: KEYS[level](room) if room else "" for level in levels}
    chosen: dict[Level, str] = {}
    for level in levels:
        keys = {KEYS[level](room) for room in rooms}
        key = asked[level] if asked[level] in keys else ""
        if not key and rooms and level in needed:
            key = KEYS[level](_first(rooms) if level == "space" else rooms[0])
        if key:
            chosen[level] = key
            rooms = [room for room in rooms if KEYS[level](room) == key]
    return Place(tuple(rooms), chosen)


def _first(rooms: Sequence[Room]) -> Room:
    return next((room for room in rooms if any(map(band_of, room.points))), rooms[0])


def choose_place(estate: Estate, place: Place, levels: Sequence[Level], needed: Sequence[Level]) -> None:
    """A box for each level; what is chosen goes into the address."""
    rooms = list(estate.rooms)
    labels: dict[Level, str] = {"building": _("Building"), "storey": _("Storey"), "space": _("Room")}
    all_of: dict[Level, str] = {
        "building": _("All buildings"),
        "storey": _("All storeys"),
        "space": _("All rooms"),
    }
    for level in levels:
        # What is in no building is shown with all of them, and cannot be chosen.
        names = {KEYS[level](room): NAMES[level](room) for room in rooms if KEYS[level](room)}
        options = list(names) if level in needed else ["", *names]
        if len(options) > 1 or level == "building":
            st.session_state[f"place {level}"] = place.chosen.get(level, "")
            st.selectbox(
                labels[level],
                options,
                format_func=({"": all_of[level]} | names).__getitem__,
                key=f"place {level}",
                on_change=_chosen,
                args=(level,),
                label_visibility="collapsed",
                width=220,
            )
        if level in place.chosen:
            rooms = [room for room in rooms if KEYS[level](room) == place.chosen[level]]


def _chosen(level: Level) -> None:
    """The level that was changed goes into the address, and what was beneath it goes out."""
    beneath = LEVELS[LEVELS.index(level) + 1 :]
    write({level: st.session_state.get(f"place {level}"), **dict.fromkeys(beneath)})
