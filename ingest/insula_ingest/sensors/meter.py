"""Electricity meters of a building: a running total in kWh and the power of the moment in kW.

Run it: `insula-sensor meter --tenant acme --device forum-meter --load all`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from typing import Annotated, Literal

import typer

from insula_ingest.device import options as mqtt
from insula_ingest.sensors import options
from insula_ingest.sensors.clock import ticks, until_stopped
from insula_ingest.sensors.room import Room, attendance, chance, local, midnight
from insula_ingest.sensors.temperature import outside

INSTALLED = date(2025, 1, 1)
"""When its total stood at 0."""
QUARTER = 900
"""Seconds for which the power is taken to be the same."""
IDLE = 1.6
"""kW that computers, lifts and lamps of escape routes take all the time."""
DESKS = 5.5
"""kW of lamps and desks in the fullest hour."""
FAN = 0.9
"""kW of the ventilation while it runs."""
HEATING, COOLING = 0.38, 0.45
"""kW that the heat pump takes for each K below 15 °C, or above 20 °C, outside."""

Load = Literal["all", "climate"]


def reading(room: Room, at: datetime, load: Load = "all") -> dict[str, float]:
    """The total in kWh and the power in kW at an aware time; `room` stands for the building."""
    day = local(room, at).date()
    past = at.timestamp() - midnight(room, day)
    quarters = quarterly(room, day, load)
    whole, part = divmod(past, QUARTER)
    done = sum(quarters[: int(whole)]) * QUARTER + quarters[int(whole)] * part
    return {
        "energy_import": round(before(room, day, load) + done / 3600, 3),
        "power": round(quarters[int(whole)], 3),
    }


@lru_cache(maxsize=8192)
def before(room: Room, day: date, load: Load) -> float:
    """What the meter shows when a local day begins, in kWh."""
    days = range(max(0, (day - INSTALLED).days))
    return sum(consumed(room, INSTALLED + timedelta(days=past), load) for past in days)


@lru_cache(maxsize=8192)
def consumed(room: Room, day: date, load: Load) -> float:
    """What a local day takes, in kWh."""
    return sum(quarterly(room, day, load)) * QUARTER / 3600


@lru_cache(maxsize=128)
def quarterly(room: Room, day: date, load: Load) -> tuple[float, ...]:
    """The power in each quarter of an hour of a local day, in kW; two days of a year have 92 or 100."""
    begin, end = midnight(room, day), midnight(room, day + timedelta(days=1))
    power = POWER[load]
    return tuple(
        power(room, datetime.fromtimestamp(second, UTC)) for second in range(int(begin), int(end), QUARTER)
    )


def climate(room: Room, at: datetime) -> float:
    """What heat pump and ventilation take, in kW: on working days from 5:00 to 20:00, a third of it else."""
    clock = local(room, at)
    celsius = outside(room, at)
    pump = HEATING * max(0.0, 15 - celsius) + COOLING * max(0.0, celsius - 20)
    runs = clock.weekday() < 5 and 5 <= clock.hour < 20
    return pump + FAN if runs else pump / 3


def everything(room: Room, at: datetime) -> float:
    """What the whole building takes, in kW. Somebody leaves the lamps on, about every fifth evening."""
    clock = local(room, at)
    share = attendance(clock.hour + clock.minute / 60) if clock.weekday() < 5 else 0.0
    if clock.hour >= 20 and chance(room.seed, "lamps left on", clock.date()) < 0.2:
        share = max(share, 0.3)
    wobble = 1 + 0.1 * (chance(room.seed, "kilowatt", int(at.timestamp()) // QUARTER) - 0.5)
    return (IDLE + DESKS * share + climate(room, at)) * wobble


POWER: Mapping[Load, Callable[[Room, datetime], float]] = {"all": everything, "climate": climate}
"""kW at an aware time, by what the meter measures."""


def main(
    *,
    tenant: mqtt.TenantName,
    device: mqtt.DeviceName,
    load: Annotated[Load, typer.Option(help="The whole building, or its heating, cooling and air.")] = "all",
    building: Annotated[
        str | None,
        typer.Option(help="Meters of one building agree. Else told by the name of the device."),
    ] = None,
    zone: options.Zone = "Europe/Brussels",
    interval: options.Interval = 5.0,
    once: options.Once = False,
    host: mqtt.Host = "127.0.0.1",
    port: mqtt.Port = 1883,
    tls: mqtt.Tls = False,
    protocol: mqtt.MqttVersion = "5",
    password_file: mqtt.PasswordFile = None,
) -> None:
    """Publish a meter's total in kWh and its power in kW, until Ctrl-C."""
    place = options.room_of(tenant, device, "meter", building, zone)
    sensor = mqtt.make_device(
        tenant, device, host=host, port=port, tls=tls, protocol=protocol, password_file=password_file
    )
    with mqtt.device_errors(), until_stopped() as stopped, sensor:
        for now in ticks(interval, stopped, once=once):
            sensor.publish(reading(place, now, load), at=now)


if __name__ == "__main__":
    typer.run(main)
