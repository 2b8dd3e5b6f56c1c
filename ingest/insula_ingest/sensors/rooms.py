"""All sensors of several rooms in one process, each with a connection of its own, and their past if wanted.

Run it: `insula-sensor rooms --tenant acme --credentials FILE.json --backfill 24h`, where the file says
`[{"device": "room-1-door", "kind": "door", "room": "Meeting room 1", "password": "…"}, …]`.
"""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Event, Thread
from typing import Annotated

import typer

from insula_ingest.device import Device, DeviceError
from insula_ingest.device import options as mqtt
from insula_ingest.sensors import options
from insula_ingest.sensors.clock import ticks, until_stopped
from insula_ingest.sensors.history import READINGS, values_between
from insula_ingest.sensors.room import Room

log = logging.getLogger(__name__)

HEARTBEAT = timedelta(seconds=30)
"""A door that does not move tells so at least this seldom, or at the interval when that is longer."""
ACKNOWLEDGED = 60.0
"""Seconds to wait for the broker before a backfill gives up."""
WAITING = 20
"""Messages of one device that a backfill lets wait."""
YEAR = timedelta(days=365)
OF_BUILDINGS = ("weather", "meter", "climate-meter")
"""Kinds that stand for a building, not for a room of it."""
EARLIER_STEP = timedelta(minutes=15)
_UNITS = {"m": "minutes", "h": "hours", "d": "days"}


@dataclass(frozen=True)
class Credential:
    """One entry of the credentials file."""

    device: str
    kind: str
    room: str
    password: str


@dataclass(frozen=True)
class Sensor:
    """A kind of sensor in a room, and its connection."""

    kind: str
    room: Room
    device: Device

    def read(self, at: datetime) -> Mapping[str, float]:
        """What it measures at an aware time, by point name."""
        return READINGS[self.kind](self.room, at)


def read_credentials(text: str) -> list[Credential]:
    """The entries of a credentials file; `ValueError` names the entry and the field, and quotes no value."""
    try:
        entries = json.loads(text)
    except json.JSONDecodeError as error:
        msg = f"it is no JSON: {error.msg} in line {error.lineno}"
        raise ValueError(msg) from None
    if not isinstance(entries, list) or not entries:
        msg = "it must hold a list with one object per device"
        raise ValueError(msg)
    credentials = [_credential(number, entry) for number, entry in enumerate(entries, 1)]
    seen: set[str] = set()
    for credential in credentials:
        if credential.device in seen:
            msg = f"device {credential.device} is in it twice"
            raise ValueError(msg)
        seen.add(credential.device)
    return credentials


def _credential(number: int, entry: object) -> Credential:
    fields = {}
    for field in ("device", "kind", "room", "password"):
        value = entry.get(field) if isinstance(entry, dict) else None
        if not isinstance(value, str) or not value:
            msg = f'entry {number} needs a text in "{field}"'
            raise ValueError(msg)
        fields[field] = value
    if fields["kind"] not in READINGS:
        msg = f'entry {number}: "kind" must be one of {", ".join(READINGS)}'
        raise ValueError(msg)
    return Credential(**fields)


def backfill(
    sensors: Sequence[Sensor], start: datetime, end: datetime, step: timedelta, stopped: Event
) -> int:
    """Publish what the sensors measured from `start` to before `end`, in time order.

    A message holds one sensor's hour. It returns the number of records when the broker has acknowledged them
    all, early when `stopped`; `DeviceError` as `Device.flush` has it.
    """
    count = 0
    hours = -((start - end) // timedelta(hours=1))
    for hour in range(hours):
        since = start + timedelta(hours=hour)
        until = min(since + timedelta(hours=1), end)
        for sensor in sensors:
            records = list(values_between(sensor.kind, sensor.room, since, until, step))
            sensor.device.flush(ACKNOWLEDGED, down_to=WAITING)
            sensor.device.publish_many(records)
            count += len(records)
        if stopped.is_set():
            break
    for sensor in sensors:
        sensor.device.flush(ACKNOWLEDGED)
    return count


def earlier(sensors: Sequence[Sensor], before: datetime, past: timedelta, stopped: Event) -> int:
    """Publish what the sensors measured in `past` up to `before`, day by day, the latest first.

    A message holds one sensor's day. What stands for a whole building tells of a year at least, as a year is
    what energy is judged by. It returns the number of records, early when `stopped`.
    """
    count = 0
    for day in range(max(past, YEAR).days):
        until = before - timedelta(days=day)
        for sensor in sensors:
            if day >= past.days and sensor.kind not in OF_BUILDINGS:
                continue
            if stopped.is_set():
                return count
            records = list(
                values_between(sensor.kind, sensor.room, until - timedelta(days=1), until, EARLIER_STEP)
            )
            sensor.device.flush(ACKNOWLEDGED, down_to=WAITING)
            sensor.device.publish_many(records)
            count += len(records)
    return count


@contextmanager
def telling_of(
    sensors: Sequence[Sensor], before: datetime, past: timedelta, stopped: Event
) -> Iterator[None]:
    """`earlier`, beside what the block does; it ends with the block."""

    def work() -> None:
        try:
            log.info("%d earlier readings published", earlier(sensors, before, past, stopped))
        except DeviceError as error:  # whoever looks at the devices is told by what they publish now
            log.warning("the earlier readings ended before their time: %s", error)

    thread = Thread(target=work)
    thread.start()
    try:
        yield
    finally:
        thread.join()


def live(sensors: Sequence[Sensor], interval: float, stopped: Event) -> None:
    """Publish each sensor's reading every `interval` seconds, and a door's change within a second."""
    begin = datetime.now(UTC)
    # Spread over the interval, so that the readings don't come in bursts.
    due = [begin + timedelta(seconds=interval * n / len(sensors)) for n in range(len(sensors))]
    told: dict[int, Mapping[str, float]] = {}
    pause = timedelta(seconds=interval)
    for now in ticks(min(1.0, interval), stopped):
        for n, sensor in enumerate(sensors):
            if sensor.kind == "door":
                values = sensor.read(now)
                if now < due[n] and told.get(n, values) == values:
                    continue
                told[n], due[n] = values, now + max(pause, HEARTBEAT)
            elif now >= due[n]:
                values, due[n] = sensor.read(now), max(due[n] + pause, now)
            else:
                continue
            sensor.device.publish(values, at=now)


@contextmanager
def connected(devices: Sequence[Device]) -> Iterator[None]:
    """Open all devices, and close them at the end: at once, as a broker that is away makes each one wait."""
    with ThreadPoolExecutor(len(devices)) as pool:
        opened = [pool.submit(device.open) for device in devices]
    try:
        for attempt in opened:
            attempt.result()
        yield
    except BaseException:
        _close(devices)
        raise
    if errors := _close(devices):
        raise errors[0]


def _close(devices: Sequence[Device]) -> list[DeviceError]:
    def close(device: Device) -> DeviceError | None:
        try:
            device.close()
        except DeviceError as error:
            log.warning("%s", error)
            return error
        return None

    with ThreadPoolExecutor(len(devices)) as pool:
        return [error for error in pool.map(close, devices) if error is not None]


def _duration(text: str) -> timedelta:
    found = re.fullmatch(r"(\d{1,4})([mhd])", text)
    if not found:
        raise typer.BadParameter(f"{text!r} is no duration: write 90m, 24h or 7d")
    return timedelta(**{_UNITS[found[2]]: int(found[1])})


def main(
    *,
    tenant: mqtt.TenantName,
    credentials: Annotated[
        Path, typer.Option(exists=True, dir_okay=False, help="JSON file: devices, kinds, rooms, passwords.")
    ],
    past: Annotated[
        timedelta | None,
        typer.Option("--backfill", parser=_duration, metavar="DURATION", help="Past to publish first."),
    ] = None,
    before: Annotated[
        timedelta | None,
        typer.Option(
            "--history",
            parser=_duration,
            metavar="DURATION",
            help="Past before that, published a quarter of an hour apart while the sensors work already.",
        ),
    ] = None,
    zone: options.Zone = "Europe/Brussels",
    interval: options.Interval = 5.0,
    host: mqtt.Host = "127.0.0.1",
    port: mqtt.Port = 1883,
    tls: mqtt.Tls = False,
    protocol: mqtt.MqttVersion = "5",
) -> None:
    """Publish for all sensors of several rooms, until Ctrl-C."""
    try:
        entries = read_credentials(credentials.read_text(encoding="utf-8"))
    except ValueError as error:
        raise typer.BadParameter(f"{credentials}: {error}") from None
    sensors = []
    for entry in entries:
        device = mqtt.make_device(
            tenant, entry.device, password=entry.password, host=host, port=port, tls=tls, protocol=protocol
        )
        sensors.append(Sensor(entry.kind, Room(f"{tenant}/{entry.room}", zone), device))
    with mqtt.device_errors(), until_stopped() as stopped, connected([sensor.device for sensor in sensors]):
        now = datetime.now(UTC)
        if past:
            step = timedelta(minutes=1 if past <= timedelta(days=2) else 5)
            count = backfill(sensors, now - past, now, step, stopped)
            log.info("%d sensors of %s: %d past readings published", len(sensors), tenant, count)
        with ExitStack() as also:
            if before:
                begun = now - (past or timedelta())
                also.enter_context(telling_of(sensors, begun, before, stopped))
            live(sensors, interval, stopped)


if __name__ == "__main__":
    typer.run(main)
