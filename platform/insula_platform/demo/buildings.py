"""What stands in the demo's two tenants, as data."""

from __future__ import annotations

from typing import NamedTuple


class Room(NamedTuple):
    """A room with its place."""

    slug: str
    name: str
    storey: str
    level: int
    area: float
    """m²."""
    capacity: int
    """People."""
    brick_class: str = "Room"
    is_used: bool = True
    """Whether people work in it, and all kinds of sensors stand in it."""


class DemoTenant(NamedTuple):
    """A tenant, its building, and who works there: `(email, name, role)`."""

    slug: str
    name: str
    site: str
    building: str
    area: float
    """Gross floor area of the building, m²."""
    location: tuple[float, float]
    """Latitude and longitude, degrees."""
    time_zone: str
    rooms: tuple[Room, ...]
    people: tuple[tuple[str, str, str], ...]


class Sensor(NamedTuple):
    """One kind of sensor program, and the device type that has its point."""

    kind: str
    name: str
    type: str


_SERVICE = (
    Room("plant-room", "Plant room", "Basement", -1, 30.0, 0, "Mechanical_Room", is_used=False),
    Room("roof", "Roof", "Roof", 2, 200.0, 0, "Rooftop", is_used=False),
)

MARIA = ("maria@facility.example", "Maria Lind")
"""Works for both tenants: she chooses one when she signs in."""

TENANTS = (
    DemoTenant(
        slug="acme",
        name="Acme",
        site="Brussels",
        building="Forum",
        area=620.0,
        location=(50.846, 4.352),
        time_zone="Europe/Brussels",
        rooms=(
            Room("reception", "Reception", "Ground floor", 0, 46.0, 6, "Reception"),
            Room("open-office", "Open office", "Ground floor", 0, 140.0, 14, "Open_Office"),
            Room("meeting-room-1", "Meeting room 1", "First floor", 1, 24.0, 8, "Conference_Room"),
            Room("meeting-room-2", "Meeting room 2", "First floor", 1, 32.0, 10, "Conference_Room"),
            *_SERVICE,
        ),
        people=(("anna@acme.example", "Anna Peeters", "owner"), (*MARIA, "engineer")),
    ),
    DemoTenant(
        slug="globex",
        name="Globex",
        site="Lisbon",
        building="Harbour House",
        area=540.0,
        location=(38.708, -9.137),
        time_zone="Europe/Lisbon",
        rooms=(
            Room("workshop", "Workshop", "Ground floor", 0, 120.0, 10, "Workshop"),
            Room("canteen", "Canteen", "Ground floor", 0, 85.0, 40, "Cafeteria"),
            Room("studio", "Studio", "First floor", 1, 60.0, 8, "Studio"),
            Room("library", "Library", "First floor", 1, 70.0, 16, "Library"),
            *_SERVICE,
        ),
        people=(("gil@globex.example", "Gil Soares", "owner"), (*MARIA, "viewer")),
    ),
)

SENSORS = (
    Sensor("temperature", "Temperature", "temperature-sensor"),
    Sensor("light", "Light", "light-sensor"),
    Sensor("presence", "Presence", "presence-sensor"),
    Sensor("door", "Door", "door-contact"),
    Sensor("air", "Air", "air-sensor"),
)
"""What stands in every room that people use."""

SERVICE_SENSORS = {
    "plant-room": (
        Sensor("meter", "Main meter", "electricity-meter"),
        Sensor("climate-meter", "Heat pump and ventilation meter", "electricity-meter"),
    ),
    "roof": (Sensor("weather", "Weather station", "weather-station"),),
}
"""What stands for the whole building, by the room it hangs in."""


def sensors_of(room: Room) -> tuple[Sensor, ...]:
    """The sensors of a room."""
    return SENSORS if room.is_used else SERVICE_SENSORS[room.slug]


TRY_OUT = "my-first-device"
"""A device of the first tenant that sends nothing yet: the one to try mosquitto_pub with."""
