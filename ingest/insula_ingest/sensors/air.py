"""An air sensor: carbon dioxide in ppm and relative humidity in %, of the air that people in a room breathe.

Run it: `insula-sensor air --tenant acme --device room-1-air`.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from math import exp

import typer

from insula_ingest.device import options as mqtt
from insula_ingest.sensors import options
from insula_ingest.sensors.clock import ticks, until_stopped
from insula_ingest.sensors.room import Room, chance, local, midnight, people
from insula_ingest.sensors.temperature import outside, temperatures
from insula_ingest.sensors.weather import humidity

FRESH = 420.0
"""ppm of carbon dioxide outside."""
BREATH = 18.0
"""Litres of carbon dioxide that one person at a desk gives off per hour: Persily and de Jonge, "Carbon
dioxide generation rates for building occupants", Indoor Air 27 (2017), table 4, at 1.2 met."""
VOLUME = 25.0
"""m³ of air for each person that the room is for."""
VAPOUR = 1.2
"""g/m³ of water that people add to the air of a full room."""


def reading(room: Room, at: datetime) -> dict[str, float]:
    """Carbon dioxide in ppm and relative humidity in % at an aware time."""
    day = local(room, at).date()
    minute, second = divmod(at.timestamp() - midnight(room, day), 60)
    trace, warmth = carbon_dioxide(room, day), temperatures(room, day)
    before, after = trace[int(minute)], trace[int(minute) + 1]
    noise = 6 * (chance(room.seed, "co2", at.timestamp()) - 0.5)
    water = humidity(room, at) / 100 * saturation(outside(room, at)) + VAPOUR * people(room, at) / room.size
    share = min(95.0, 100 * water / saturation(warmth[int(minute)]))
    return {
        "co2": round(before + (after - before) * second / 60 + noise, 1),
        "humidity": round(share + 0.4 * (chance(room.seed, "vapour", at.timestamp()) - 0.5), 1),
    }


@lru_cache(maxsize=64)
def carbon_dioxide(room: Room, day: date) -> tuple[float, ...]:
    """What is in the air at each minute of a local day, its end included, in ppm: a night airs the room."""
    begin = midnight(room, day)
    end = midnight(room, day + timedelta(days=1))
    ppm = FRESH
    trace = [ppm]
    for second in range(int(begin), int(end), 60):
        at = datetime.fromtimestamp(second, UTC)
        given = people(room, at) * BREATH / 1000 / (VOLUME * room.size) * 1_000_000
        ppm += (given - changes(room, at) * (ppm - FRESH)) / 60
        trace.append(ppm)
    return tuple(trace)


def changes(room: Room, at: datetime) -> float:
    """Air changes per hour: 0.9 to 2.7 while the ventilation runs, on working days from 6:00 to 20:00."""
    clock = local(room, at)
    runs = clock.weekday() < 5 and 6 <= clock.hour < 20
    return 0.9 + 1.8 * chance(room.seed, "ventilation") if runs else 0.5


def saturation(celsius: float) -> float:
    """Grams of water that a cubic metre of air can hold: Magnus' formula (WMO No. 8, 2018, annex 4.B)."""
    pascal = 611.2 * exp(17.62 * celsius / (243.12 + celsius))
    return 1000 * pascal / (461.5 * (celsius + 273.15))


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
    """Publish a room's carbon dioxide in ppm and relative humidity in %, until Ctrl-C."""
    place = options.room_of(tenant, device, "air", room, zone)
    sensor = mqtt.make_device(
        tenant, device, host=host, port=port, tls=tls, protocol=protocol, password_file=password_file
    )
    with mqtt.device_errors(), until_stopped() as stopped, sensor:
        for now in ticks(interval, stopped, once=once):
            sensor.publish(reading(place, now), at=now)


if __name__ == "__main__":
    typer.run(main)
