"""A light sensor, in lux: daylight through the window, and the lamps while somebody is in the room.

Run it: `insula-sensor light --tenant acme --device room-1-light`.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from math import cos, radians, sin

import typer

from insula_ingest.device import options as mqtt
from insula_ingest.sensors import options
from insula_ingest.sensors.clock import ticks, until_stopped
from insula_ingest.sensors.room import Room, chance, local, people

LATITUDE = 50.8
"""Degrees north: Brussels."""


def reading(room: Room, at: datetime) -> dict[str, float]:
    """Illuminance on the desk at an aware time, in lux."""
    lamps = 320 + 160 * chance(room.seed, "lamps") if people(room, at) else 0.0
    noise = 1 + 0.02 * (chance(room.seed, "lux", at.timestamp()) - 0.5)
    return {"illuminance": round((daylight(room, at) + lamps) * noise, 1)}


def daylight(room: Room, at: datetime) -> float:
    """Daylight inside, in lux: 1 to 3 % (the daylight factor) of what sun and clouds leave outside."""
    factor = 0.01 + 0.02 * chance(room.seed, "window")
    return float(factor * 90_000 * sun(room, at) ** 1.2 * sky(room, at))


def sun(room: Room, at: datetime) -> float:
    """Sine of the sun's height over the horizon, 0 at night."""
    clock = local(room, at)
    noon = clock - (clock.dst() or timedelta())  # the sun keeps winter time
    hour_angle = radians(15 * (noon.hour + noon.minute / 60 - 12))
    declination = radians(-23.44 * cos(radians(360 / 365 * (clock.timetuple().tm_yday + 10))))
    latitude = radians(LATITUDE)
    return max(0.0, sin(latitude) * sin(declination) + cos(latitude) * cos(declination) * cos(hour_angle))


def sky(room: Room, at: datetime) -> float:
    """The share of the light that clouds let through, 0.15 to 0.85, drifting from hour to hour."""
    hour, past = divmod(at.timestamp() / 3600, 1)
    now, then = chance(room.zone, "sky", int(hour)), chance(room.zone, "sky", int(hour) + 1)
    return 0.15 + 0.7 * (now + (then - now) * past)


def main(
    *,
    tenant: mqtt.TenantName,
    device: mqtt.DeviceName,
    room: options.RoomName = None,
    zone: options.Zone = "Europe/Brussels",
    interval: options.Interval = 5.0,
    once: options.Once = False,
    host: mqtt.Host = "127.0.0.1",
    port: mqtt.Port = 1883,
    tls: mqtt.Tls = False,
    protocol: mqtt.MqttVersion = "5",
    password_file: mqtt.PasswordFile = None,
) -> None:
    """Publish a room's light in lux, until Ctrl-C."""
    place = options.room_of(tenant, device, "light", room, zone)
    sensor = mqtt.make_device(
        tenant, device, host=host, port=port, tls=tls, protocol=protocol, password_file=password_file
    )
    with mqtt.device_errors(), until_stopped() as stopped, sensor:
        for now in ticks(interval, stopped, once=once):
            sensor.publish(reading(place, now), at=now)


if __name__ == "__main__":
    typer.run(main)
