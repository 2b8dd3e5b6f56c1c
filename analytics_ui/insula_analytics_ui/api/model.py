"""Spaces, devices and their points."""

from __future__ import annotations

from datetime import datetime

from insula_analytics_ui.api.client import Answer, Api


class Space(Answer):
    """A room, or another space that is measured; `time_zone` is its building's IANA name, `area` in m²."""

    id: int
    name: str
    storey: str | None = None
    building: str | None = None
    site: str | None = None
    time_zone: str = "UTC"
    storey_id: int | None = None
    building_id: int | None = None
    site_id: int | None = None
    area: float | None = None
    capacity: int | None = None


class Device(Answer):
    """A device; `last_seen` is the time of its last message, `expected_interval` seconds between two."""

    id: str
    name: str
    space_id: int | None = None
    last_seen: datetime | None = None
    presence: str | None = None
    state: str = "active"
    type: str | None = None
    expected_interval: int | None = None


class Point(Answer):
    """One measured quantity of a device; `states` names the values 0, 1, … of a point that has states."""

    id: int
    device: str
    name: str
    brick_class: str | None = None
    unit: str | None = None
    kind: str = "gauge"
    states: tuple[str, ...] | None = None


def spaces(api: Api) -> list[Space]:
    """All spaces of the tenant that the person may see."""
    return api.items(Space, "spaces")


def devices(api: Api) -> list[Device]:
    """All their devices."""
    return api.items(Device, "devices")


def points(api: Api) -> list[Point]:
    """All their points."""
    return api.items(Point, "points")
