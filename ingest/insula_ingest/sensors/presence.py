"""A presence sensor: 1 while somebody is in the room, else 0.

Run it: `insula-sensor presence --tenant acme --device room-1-presence`.
"""

from __future__ import annotations

from datetime import datetime

import typer

from insula_ingest.device import options as mqtt
from insula_ingest.sensors import options
from insula_ingest.sensors.clock import ticks, until_stopped
from insula_ingest.sensors.room import Room, people


def reading(room: Room, at: datetime) -> dict[str, int]:
    """Whether somebody is in the room at an aware time, as 0 or 1."""
    return {"occupancy": int(people(room, at) > 0)}


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
    """Publish whether somebody is in the room, until Ctrl-C."""
    place = options.room_of(tenant, device, "presence", room, zone)
    sensor = mqtt.make_device(
        tenant, device, host=host, port=port, tls=tls, protocol=protocol, password_file=password_file
    )
    with mqtt.device_errors(), until_stopped() as stopped, sensor:
        for now in ticks(interval, stopped, once=once):
            sensor.publish(reading(place, now), at=now)


if __name__ == "__main__":
    typer.run(main)
