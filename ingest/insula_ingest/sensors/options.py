"""The options that the sensor programs share."""

from __future__ import annotations

from typing import Annotated
from zoneinfo import ZoneInfo

import typer

from insula_ingest.sensors.room import Room


def _zone(name: str) -> str:
    try:
        ZoneInfo(name)
    except (OSError, ValueError, KeyError):  # a folder, a path that leaves the data, an unknown name
        raise typer.BadParameter(f"{name!r} is no IANA time zone: give one like Europe/Brussels") from None
    return name


RoomName = Annotated[
    str | None,
    typer.Option(
        "--room", help="The room it is in; sensors of one room agree. Else told by the name of the device."
    ),
]
Zone = Annotated[str, typer.Option("--time-zone", callback=_zone, help="IANA time zone of the building.")]
Interval = Annotated[float, typer.Option(min=0.1, help="Seconds between two readings.")]
Once = Annotated[bool, typer.Option("--once", help="Publish one reading and end.")]


def room_of(tenant: str, device: str, kind: str, room: str | None, zone: str) -> Room:
    """The room that a sensor is in: without a name, `room-1-door` and `room-1-light` are both in `room-1`."""
    return Room(f"{tenant}/{room or device.removesuffix('-' + kind)}", zone)
