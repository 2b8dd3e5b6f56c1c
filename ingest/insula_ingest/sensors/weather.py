"""A weather station: temperature outside in °C and relative humidity in %.

Run it: `insula-sensor weather --tenant acme --device roof-weather`.
"""

from __future__ import annotations

from datetime import datetime
from math import cos, pi

import typer

from insula_ingest.device import options as mqtt
from insula_ingest.sensors import options
from insula_ingest.sensors.clock import ticks, until_stopped
from insula_ingest.sensors.room import Room, chance, local
from insula_ingest.sensors.temperature import outside


def reading(room: Room, at: datetime) -> dict[str, float]:
    """Temperature in °C and relative humidity in % outside, at an aware time."""
    noise = 0.1 * (chance(room.seed, "outside", at.timestamp()) - 0.5)
    return {"temperature": round(outside(room, at) + noise, 2), "humidity": round(humidity(room, at), 1)}


def humidity(room: Room, at: datetime) -> float:
    """Relative humidity outside in %: damp mornings, and weather that drifts from day to day."""
    clock = local(room, at)
    day = 8 * cos(2 * pi * (clock.hour + clock.minute / 60 - 5) / 24)
    days, past = divmod(at.timestamp() / 86_400, 1)
    today, tomorrow = chance(room.zone, "damp", int(days)), chance(room.zone, "damp", int(days) + 1)
    return 74 + day + 22 * (today + (tomorrow - today) * past - 0.5)


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
    """Publish the temperature outside in °C and the relative humidity in %, until Ctrl-C."""
    place = options.room_of(tenant, device, "weather", room, zone)
    sensor = mqtt.make_device(
        tenant, device, host=host, port=port, tls=tls, protocol=protocol, password_file=password_file
    )
    with mqtt.device_errors(), until_stopped() as stopped, sensor:
        for now in ticks(interval, stopped, once=once):
            sensor.publish(reading(place, now), at=now)


if __name__ == "__main__":
    typer.run(main)
