"""The tenant's places: rooms with the points in them, in the order in which pages show them."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from zoneinfo import ZoneInfo

from insula_analytics_ui.api.client import Api, together
from insula_analytics_ui.api.model import Device, Point, Space, devices, points, spaces
from insula_analytics_ui.quantities import in_order, quantity
from insula_analytics_ui.times import zone_of
from insula_analytics_ui.words import N_, _

UNPLACED = Space(id=0, name=N_("Not in a room"))


@dataclass(frozen=True)
class Room:
    """A space, the devices in it, and their points by quantity."""

    space: Space
    points: tuple[Point, ...]
    devices: tuple[Device, ...] = ()

    @property
    def name(self) -> str:
        """The space's name."""
        return _(UNPLACED.name) if self.space.id == UNPLACED.id else self.space.name

    @property
    def building(self) -> str:
        """The building's name."""
        return self.space.building or _(UNPLACED.name)

    @property
    def storey(self) -> str:
        """The storey's name."""
        return self.space.storey or ""

    @property
    def place(self) -> str:
        """Where the room is, in words."""
        return " · ".join(part for part in (self.space.storey, self.space.building, self.space.site) if part)

    @property
    def zone(self) -> ZoneInfo:
        """The time zone of the room's building; UTC when the platform names one that is unknown here."""
        return zone_of(self.space.time_zone)

    @property
    def key(self) -> str:
        """How addresses name the room."""
        return str(self.space.id)


@dataclass(frozen=True)
class Estate:
    """All places of a tenant that a person may see; `rooms` in the order of a walk through the buildings."""

    rooms: tuple[Room, ...]
    devices: Mapping[str, Device] = field(default_factory=dict)

    @cached_property
    def points(self) -> Mapping[int, Point]:
        """All points by id."""
        return {point.id: point for room in self.rooms for point in room.points}

    @cached_property
    def room_of(self) -> Mapping[int, Room]:
        """The room of each point, by the point's id."""
        return {point.id: room for room in self.rooms for point in room.points}

    @cached_property
    def room_of_device(self) -> Mapping[str, Room]:
        """The room of each device, by the device's id."""
        return {device.id: room for room in self.rooms for device in room.devices}

    def buildings(self) -> dict[str, list[Room]]:
        """The rooms of each building, by how addresses name it."""
        found: dict[str, list[Room]] = {}
        for room in self.rooms:
            found.setdefault(building_key(room.space), []).append(room)
        return found


def building_key(space: Space) -> str:
    """How addresses name a building: by its id, or by its name where the platform tells no id."""
    return str(space.building_id) if space.building_id else space.building or ""


def storey_key(space: Space) -> str:
    """How addresses name a storey."""
    return str(space.storey_id) if space.storey_id else space.storey or ""


def load_estate(api: Api) -> Estate:
    """The places, devices and points of a person's tenant, asked for at once."""
    found: list[list[Space] | list[Device] | list[Point]] = together(
        lambda: spaces(api), lambda: devices(api), lambda: points(api)
    )
    in_use = [
        device for device in found[1] if isinstance(device, Device) and device.state != "decommissioned"
    ]
    rooms = rooms_of(
        [space for space in found[0] if isinstance(space, Space)],
        in_use,
        [point for point in found[2] if isinstance(point, Point)],
    )
    return Estate(tuple(rooms), {device.id: device for device in in_use})


def rooms_of(spaces: Iterable[Space], devices: Iterable[Device], points: Iterable[Point]) -> list[Room]:
    """The rooms in the order of a walk through the buildings, and last what is in no room."""
    known = {space.id: space for space in spaces}
    standing: dict[int, list[Device]] = {}
    place: dict[str, int] = {}
    for device in devices:
        place[device.id] = device.space_id if device.space_id in known and device.space_id else UNPLACED.id
        standing.setdefault(place[device.id], []).append(device)
    inside: dict[int, list[Point]] = {}
    for point in points:
        inside.setdefault(place.get(point.device, UNPLACED.id), []).append(point)
    placed = [
        *_walk(known.values()),
        *([UNPLACED] if UNPLACED.id in inside or UNPLACED.id in standing else []),
    ]
    return [
        Room(space, tuple(in_order(inside.get(space.id, []))), tuple(standing.get(space.id, [])))
        for space in placed
    ]


def labels(points: Sequence[Point], devices: Mapping[str, Device] | None = None) -> dict[int, str]:
    """What to call each point of one room: its quantity, and its device where two measure the same.

    A device is called by its name where `devices` has it, and two points of one device by their own names.
    """
    names = Counter(quantity(point).name for point in points)
    twice = Counter((quantity(point).name, point.device) for point in points)
    found: dict[int, str] = {}
    for point in points:
        name = quantity(point).name
        if names[name] == 1:
            found[point.id] = name
            continue
        device = (devices or {}).get(point.device)
        which = device.name if device else point.device
        if twice[name, point.device] > 1:
            which = f"{which}, {point.name}"
        found[point.id] = f"{name} ({which})"
    return found


def _walk(spaces: Collection[Space]) -> list[Space]:
    """Spaces by site, building, storey from the lowest up, and Room 2 before Room 10.

    The platform answers them by the level of their storey.
    """
    storeys: dict[str, int] = {}
    for space in spaces:
        storeys.setdefault(_storey_of(space), len(storeys))

    def order(space: Space) -> tuple[str, str, int, list[tuple[int, str]]]:
        parts = [part for part in re.split(r"(\d+)", space.name.casefold()) if part]
        name = [(int(part), "") if part.isdigit() else (0, part) for part in parts]
        return space.site or "", space.building or "", storeys[_storey_of(space)], name

    return sorted(spaces, key=order)


def _storey_of(space: Space) -> str:
    """A storey among those of all buildings; two of a building may have one name."""
    return f"{building_key(space)}/{storey_key(space)}"
