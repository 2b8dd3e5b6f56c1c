"""What to call a point that an answer names: its quantity and its device, its place, its unit."""

from __future__ import annotations

from typing import Protocol

from insula_analytics_ui.places import Estate
from insula_analytics_ui.quantities import quantity, unit


class Named(Protocol):
    """A point as answers name it."""

    @property
    def point(self) -> int:
        """Its id."""

    @property
    def device(self) -> str:
        """Its device's id."""

    @property
    def name(self) -> str:
        """Its name at the device."""


def point_name(estate: Estate, named: Named) -> str:
    """Its quantity and its device's name; what the answer says, of a point that is no longer there."""
    point = estate.points.get(named.point)
    if point is None:
        return f"{named.device} · {named.name}"
    device = estate.devices.get(point.device)
    return f"{quantity(point).name} · {device.name if device else point.device}"


def point_place(estate: Estate, point: int) -> str:
    """The room of a point; empty when it is in none."""
    room = estate.room_of.get(point)
    return room.name if room else ""


def point_unit(estate: Estate, point: int, unit_name: str | None) -> str:
    """The sign of a point's unit."""
    known = estate.points.get(point)
    return unit(known) if known else unit_name or ""
