"""The tenant's rooms with the points in them, in the order in which pages show them."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from insula_analytics_ui.api import Device, Point, Space
from insula_analytics_ui.quantities import in_order, quantity

UNPLACED = Space(id=0, name="Not in a room")


@dataclass(frozen=True)
class Room:
    """A space and the points of the devices in it, by quantity."""

    space: Space
    points: tuple[Point, ...]

    @property
    def building(self) -> str:
        """The building's name."""
        return self.space.building or UNPLACED.name

    @property
    def place(self) -> str:
        """Where the room is, in words."""
        return " · ".join(part for part in (self.space.storey, self.space.building, self.space.site) if part)

    @property
    def zone(self) -> ZoneInfo:
        """The time zone of the room's building; UTC when the platform names one that is unknown here."""
        try:
            return ZoneInfo(self.space.time_zone)
        except (ZoneInfoNotFoundError, ValueError):
            return ZoneInfo("UTC")


def rooms_of(spaces: Iterable[Space], devices: Iterable[Device], points: Iterable[Point]) -> list[Room]:
    """The rooms in the order of a walk through the buildings, and last the points that are in no room."""
    known = {space.id: space for space in spaces}
    place = {device.id: device.space_id for device in devices}
    inside: dict[int, list[Point]] = {}
    for point in points:
        space_id = place.get(point.device)
        inside.setdefault(space_id if space_id in known and space_id else UNPLACED.id, []).append(point)
    rooms = [Room(space, tuple(in_order(inside.get(space.id, [])))) for space in _walk(known.values())]
    if UNPLACED.id in inside:
        rooms.append(Room(UNPLACED, tuple(in_order(inside[UNPLACED.id]))))
    return rooms


def labels(points: Sequence[Point]) -> dict[int, str]:
    """What to call each point of one room: its quantity, and its device where two measure the same."""
    names = Counter(quantity(point).name for point in points)
    return {
        point.id: quantity(point).name
        if names[quantity(point).name] == 1
        else f"{quantity(point).name} ({point.device})"
        for point in points
    }


def _walk(spaces: Collection[Space]) -> list[Space]:
    """Spaces by site, building, storey (in the order they were made), and Room 2 before Room 10."""
    storeys: dict[tuple[str | None, str | None], int] = {}
    for space in spaces:
        storey = (space.building, space.storey)
        storeys[storey] = min(space.id, storeys.get(storey, space.id))

    def order(space: Space) -> tuple[str, str, int, list[tuple[int, str]]]:
        parts = [part for part in re.split(r"(\d+)", space.name.casefold()) if part]
        name = [(int(part), "") if part.isdigit() else (0, part) for part in parts]
        return space.site or "", space.building or "", storeys[space.building, space.storey], name

    return sorted(spaces, key=order)
