"""A temperature sensor, in °C: a room between the weather, its thermostat and the people in it.

Run it: `insula-sensor temperature --tenant acme --device room-1-temperature`.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from math import cos, pi

import typer

from insula_ingest.device import options as mqtt
from insula_ingest.sensors import options
from insula_ingest.sensors.clock import ticks, until_stopped
from insula_ingest.sensors.light import sun
from insula_ingest.sensors.room import Room, chance, local, midnight, people

LEAK = 12.0
"""Hours in which an unheated room comes near the temperature outside."""
PERSON = 0.25
"""K per hour that one person adds."""
SUNSHINE = 0.5
"""K per hour that the sun at its highest adds."""
HEATER = 4.0
"""K per hour of the radiator when fully open; per K too cold it opens by a half."""


def reading(room: Room, at: datetime) -> dict[str, float]:
    """Air temperature at an aware time, in °C, with the noise of a small sensor."""
    day = local(room, at).date()
    minute, second = divmod(at.timestamp() - midnight(room, day), 60)
    trace = temperatures(room, day)
    before, after = trace[int(minute)], trace[int(minute) + 1]
    noise = 0.08 * (chance(room.seed, "celsius", at.timestamp()) - 0.5)
    return {"temperature": round(before + (after - before) * second / 60 + noise, 2)}


@lru_cache(maxsize=64)
def temperatures(room: Room, day: date) -> tuple[float, ...]:
    """°C at each minute of a local day, its end included. Two days before it forget the start."""
    two_days, one_day = day - timedelta(days=2), day - timedelta(days=1)
    start = simulate(room, one_day, simulate(room, two_days, 20.0)[-1])[-1]
    return tuple(simulate(room, day, start))


def simulate(room: Room, day: date, celsius: float) -> list[float]:
    """°C at each minute of a local day, from `celsius` at its start: a heat balance."""
    begin = midnight(room, day)
    end = midnight(room, day + timedelta(days=1))
    trace = [celsius]
    for second in range(int(begin), int(end), 60):
        at = datetime.fromtimestamp(second, UTC)
        gain = (outside(room, at) - celsius) / LEAK + SUNSHINE * sun(room, at) + PERSON * people(room, at)
        gain += HEATER * min(1.0, max(0.0, (setpoint(room, at) - celsius) / 2))
        gain -= max(0.0, celsius - 25.0)  # somebody opens a window
        celsius += gain / 60
        trace.append(celsius)
    return trace


def setpoint(room: Room, at: datetime) -> float:
    """What the thermostat wants, in °C: 21 to 22 on working days from 6:00 to 18:00, else 17."""
    clock = local(room, at)
    occupied = clock.weekday() < 5 and 6 <= clock.hour < 18
    return 21.0 + chance(room.seed, "setpoint") if occupied else 17.0


def outside(room: Room, at: datetime) -> float:
    """°C outside: the year, the day (coldest at about 4:00), and a few degrees of weather."""
    clock = local(room, at)
    year = -8 * cos(2 * pi * (clock.timetuple().tm_yday - 20) / 365)
    day = -4 * cos(2 * pi * (clock.hour + clock.minute / 60 - 4) / 24)
    days, past = divmod(at.timestamp() / 86_400, 1)
    today, tomorrow = chance(room.zone, "weather", int(days)), chance(room.zone, "weather", int(days) + 1)
    return 11 + year + day + 6 * (today + (tomorrow - today) * past - 0.5)


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
    """Publish a room's temperature in °C, until Ctrl-C."""
    place = options.room_of(tenant, device, "temperature", room, zone)
    sensor = mqtt.make_device(
        tenant, device, host=host, port=port, tls=tls, protocol=protocol, password_file=password_file
    )
    with mqtt.device_errors(), until_stopped() as stopped, sensor:
        for now in ticks(interval, stopped, once=once):
            sensor.publish(reading(place, now), at=now)


if __name__ == "__main__":
    typer.run(main)
