"""A door contact: true while the door is open. It opens when somebody comes or goes.

Run it: `insula-sensor door --tenant acme --device room-1-door`.
"""

from __future__ import annotations

from bisect import bisect_right
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from math import inf

import typer

from insula_ingest.device import options as mqtt
from insula_ingest.sensors import options
from insula_ingest.sensors.clock import ticks, until_stopped
from insula_ingest.sensors.room import Room, chance, local, movements


def reading(room: Room, at: datetime) -> dict[str, bool]:
    """Whether the door is open at an aware time."""
    opened = openings(room, local(room, at).date())
    before = bisect_right(opened, (at.timestamp(), inf))
    return {"door": before > 0 and at.timestamp() < opened[before - 1][1]}


def changes(room: Room, start: datetime, end: datetime) -> list[datetime]:
    """When the door opens or closes, from `start` to before `end`, in order (aware UTC)."""
    day, last = local(room, start).date(), local(room, end).date()
    moments: list[float] = []
    while day <= last:
        moments += [moment for opening in openings(room, day) for moment in opening]
        day += timedelta(days=1)
    return [datetime.fromtimestamp(m, UTC) for m in moments if start.timestamp() <= m < end.timestamp()]


@lru_cache(maxsize=1024)
def openings(room: Room, day: date) -> tuple[tuple[float, float], ...]:
    """When the door is open on a local day: (from, until) in seconds since the epoch, apart and in order.

    It opens two seconds before somebody counts as in or out, and falls shut 4 to 20 seconds later.
    """
    found: list[tuple[float, float]] = []
    for moment, _ in movements(room, day):
        opened, closed = moment - 2, moment + 4 + int(16 * chance(room.seed, "door", moment))
        if found and opened <= found[-1][1]:
            opened, closed = found[-1][0], max(closed, found.pop()[1])
        found.append((opened, closed))
    return tuple(found)


def main(
    *,
    tenant: mqtt.TenantName,
    device: mqtt.DeviceName,
    room: options.RoomName = None,
    zone: options.Zone = "Europe/Brussels",
    interval: options.Interval = 30.0,
    once: options.Once = False,
    host: mqtt.Host = "127.0.0.1",
    port: mqtt.Port = 1883,
    tls: mqtt.Tls = False,
    protocol: mqtt.MqttVersion = "5",
    password_file: mqtt.PasswordFile = None,
) -> None:
    """Publish when the door opens and closes, and every so often that it still is as it was."""
    place = options.room_of(tenant, device, "door", room, zone)
    sensor = mqtt.make_device(
        tenant, device, host=host, port=port, tls=tls, protocol=protocol, password_file=password_file
    )
    with mqtt.device_errors(), until_stopped() as stopped, sensor:
        told, due = None, None
        for now in ticks(min(1.0, interval), stopped, once=once):
            values = reading(place, now)
            if values != told or due is None or now >= due:
                sensor.publish(values, at=now)
                told, due = values, now + timedelta(seconds=interval)


if __name__ == "__main__":
    typer.run(main)
