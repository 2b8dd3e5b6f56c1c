"""What stands in the demo's two tenants, as data."""

from __future__ import annotations

from typing import NamedTuple


class Room(NamedTuple):
    """A room with its place."""

    slug: str
    name: str
    storey: str
    level: int


class DemoTenant(NamedTuple):
    """A tenant, its building, and who works there: `(email, name, role)`."""

    slug: str
    name: str
    site: str
    building: str
    time_zone: str
    rooms: tuple[Room, ...]
    people: tuple[tuple[str, str, str], ...]


class Sensor(NamedTuple):
    """One kind of sensor program, and the device type that has its point."""

    kind: str
    name: str
    type: str


MARIA = ("maria@facility.example", "Maria Lind")
"""Works for both tenants: she chooses one when she signs in."""

TENANTS = (
    DemoTenant(
        slug="acme",
        name="Acme",
        site="Brussels",
        building="Forum",
        time_zone="Europe/Brussels",
        rooms=(
            Room("reception", "Reception", "Ground floor", 0),
            Room("open-office", "Open office", "Ground floor", 0),
            Room("meeting-room-1", "Meeting room 1", "First floor", 1),
            Room("meeting-room-2", "Meeting room 2", "First floor", 1),
        ),
        people=(("anna@acme.example", "Anna Peeters", "owner"), (*MARIA, "engineer")),
    ),
    DemoTenant(
        slug="globex",
        name="Globex",
        site="Lisbon",
        building="Harbour House",
        time_zone="Europe/Lisbon",
        rooms=(
            Room("workshop", "Workshop", "Ground floor", 0),
            Room("canteen", "Canteen", "Ground floor", 0),
            Room("studio", "Studio", "First floor", 1),
            Room("library", "Library", "First floor", 1),
        ),
        people=(("gil@globex.example", "Gil Soares", "owner"), (*MARIA, "viewer")),
    ),
)

SENSORS = (
    Sensor("temperature", "Temperature", "temperature-sensor"),
    Sensor("light", "Light", "light-sensor"),
    Sensor("presence", "Presence", "presence-sensor"),
    Sensor("door", "Door", "door-contact"),
)

TRY_OUT = "my-first-device"
"""A device of the first tenant that sends nothing yet: the one to try mosquitto_pub with."""
