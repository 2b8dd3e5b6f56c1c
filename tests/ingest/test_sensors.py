"""The sensor programs: rooms that agree with themselves, programs that start, publish and end well."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import chain, pairwise
from pathlib import Path
from statistics import mean
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from insula_ingest.sensors import door
from insula_ingest.sensors.history import READINGS, values_between
from insula_ingest.sensors.room import Room, people
from insula_ingest.sensors.rooms import Sensor, earlier, read_credentials
from tests.ingest.listener import DEADLINE, PASSWORD, broker, listening, locked_settings
from tests.servers.mosquitto import MosquittoServer, free_port

SCRIPT = str(Path(sys.executable).with_name("insula-sensor"))
BRUSSELS = ZoneInfo("Europe/Brussels")
MONDAY = datetime(2026, 1, 12, tzinfo=BRUSSELS)
MINUTE = timedelta(minutes=1)
ROOMS = [Room(f"acme/Room {n}") for n in range(4)]
POINTS = {
    "temperature": "temperature",
    "light": "illuminance",
    "presence": "occupancy",
    "door": "door",
    "air": "co2",
    "weather": "temperature",
    "meter": "energy_import",
    "climate-meter": "energy_import",
}
IN_ROOMS = ("temperature", "light", "presence", "door")
PROGRAMS = [kind for kind in READINGS if kind != "climate-meter"]
ENTRY = {"device": "bell-1", "kind": "door", "room": "r", "password": "s3cret"}


def at(room: Room, kind: str, moment: datetime) -> Any:
    return READINGS[kind](room, moment)[POINTS[kind]]


def minutes(first_day: int, last_day: int) -> list[datetime]:
    """Each minute of these days of the week, Monday being 0."""
    return [MONDAY + n * MINUTE for n in range(first_day * 1440, (last_day + 1) * 1440)]


@pytest.mark.parametrize("room", ROOMS, ids=lambda room: room.seed)
def test_the_lamps_are_on_exactly_while_somebody_is_there(room: Room) -> None:
    for moment in minutes(0, 6):
        if at(room, "presence", moment):
            assert at(room, "light", moment) >= 300
        elif not 7 <= moment.hour < 18:
            assert at(room, "light", moment) == 0


@pytest.mark.parametrize("room", ROOMS, ids=lambda room: room.seed)
def test_nobody_comes_or_goes_through_a_closed_door(room: Room) -> None:
    moments = [MONDAY + timedelta(seconds=n) for n in range(7 * 3600, 12 * 3600)]
    passages = [now for then, now in pairwise(moments) if people(room, then) != people(room, now)]
    assert passages
    assert all(at(room, "door", moment) for moment in passages)
    assert 0 < mean(at(room, "door", moment) for moment in moments) < 0.2


@pytest.mark.parametrize("room", ROOMS, ids=lambda room: room.seed)
def test_a_room_is_heated_in_office_hours_alone(room: Room) -> None:
    night = mean(at(room, "temperature", m) for m in minutes(1, 1) if m.hour == 4)
    noon = mean(at(room, "temperature", m) for m in minutes(1, 1) if 11 <= m.hour < 16)
    weekend = [at(room, "temperature", m) for m in minutes(5, 6)]
    assert 15 < night < 18
    assert 20.5 < noon < 24
    assert max(weekend) < 18.5


def test_people_warm_a_room_beyond_what_its_thermostat_asks_for() -> None:
    for room in ROOMS:
        working = [m for m in minutes(0, 4) if 10 <= m.hour < 17]
        busy = mean(at(room, "temperature", m) for m in working if people(room, m) > room.size / 2)
        quiet = mean(at(room, "temperature", m) for m in working if people(room, m) < room.size / 2)
        assert busy > quiet


def test_offices_fill_by_day_dip_at_lunch_and_are_empty_at_night_and_on_weekends() -> None:
    by_hour = {
        hour: mean(people(room, m) / room.size for room in ROOMS for m in minutes(0, 4) if m.hour == hour)
        for hour in (3, 10, 12, 15, 23)
    }
    assert by_hour[3] == by_hour[23] == 0
    assert min(by_hour[10], by_hour[15]) > 0.5
    assert by_hour[12] < 0.7 * by_hour[10]
    assert not any(people(room, m) for room in ROOMS for m in minutes(5, 6))


@pytest.mark.parametrize("month", [1, 3, 7, 10])  # the last Sundays of March and October have 23 and 25 hours
def test_a_temperature_does_not_jump_even_at_midnight(month: int) -> None:
    start = datetime(2026, month, 24, tzinfo=BRUSSELS).astimezone(UTC)
    trace = [at(ROOMS[0], "temperature", start + n * MINUTE) for n in range(5 * 1440)]
    assert max(abs(b - a) for a, b in pairwise(trace)) < 0.3


def test_rooms_differ_and_tenants_differ() -> None:
    week = [MONDAY + timedelta(hours=11, minutes=17 * n) for n in range(100)]
    seeds = ["acme/Room 1", "acme/Room 2", "globex/Room 1"]
    traces = [[people(Room(seed), moment) for moment in week] for seed in seeds]
    assert traces[0] != traces[1] != traces[2] != traces[0]


def test_a_room_is_the_same_in_every_process_and_release() -> None:
    # The programs of a room may be of different releases: change these knowingly.
    moment = datetime(2026, 1, 12, 9, 30, tzinfo=UTC)
    said = {kind: at(Room("acme/Meeting room 1"), kind, moment) for kind in READINGS}
    assert said == {
        "temperature": 21.14,
        "light": 605.7,
        "presence": 1,
        "door": False,
        "air": 624.2,
        "weather": 1.36,
        "meter": 38953.852,
        "climate-meter": 14616.219,
    }


@pytest.mark.parametrize("room", ROOMS, ids=lambda room: room.seed)
def test_people_breathe_and_a_night_airs_the_room(room: Room) -> None:
    night = [at(room, "air", m) for m in minutes(1, 1) if m.hour < 6]
    busy = [at(room, "air", m) for m in minutes(1, 1) if 10 <= m.hour < 12]
    assert max(night) < 430
    assert mean(busy) > 550
    assert all(20 < READINGS["air"](room, m)["humidity"] < 80 for m in minutes(1, 1)[::30])


@pytest.mark.parametrize("month", [1, 3, 7, 10])  # the last Sundays of March and October have 23 and 25 hours
def test_a_meter_never_runs_backwards_and_its_power_is_what_it_counts(month: int) -> None:
    start = datetime(2026, month, 24, tzinfo=BRUSSELS).astimezone(UTC)
    building, quarter = Room("acme/Forum"), timedelta(minutes=15)
    moments = [start + n * quarter for n in range(5 * 96)]
    for kind in ("meter", "climate-meter"):
        said = [READINGS[kind](building, moment) for moment in moments]
        counted = [after["energy_import"] - before["energy_import"] for before, after in pairwise(said)]
        assert min(counted) >= 0
        assert counted == pytest.approx([before["power"] / 4 for before in said[:-1]], abs=0.002)
    everything, climate = (READINGS[kind](building, start) for kind in ("meter", "climate-meter"))
    assert everything["energy_import"] > climate["energy_import"]


def test_a_cold_day_costs_more_than_a_mild_one_and_a_working_day_more_than_a_sunday() -> None:
    building = Room("acme/Forum")

    def kilowatt_hours(day: datetime) -> float:
        begin, end = (
            READINGS["meter"](building, moment)["energy_import"] for moment in (day, day + timedelta(days=1))
        )
        return end - begin

    january, may = MONDAY, datetime(2026, 5, 11, tzinfo=BRUSSELS)
    assert kilowatt_hours(january) > 1.2 * kilowatt_hours(may)
    assert kilowatt_hours(january) > 1.5 * kilowatt_hours(january - timedelta(days=1))


@dataclass
class Notebook:
    """A device that writes down what it is to publish."""

    batches: list[list[tuple[datetime, Mapping[str, float]]]] = field(default_factory=list)

    def publish_many(self, records: Iterable[tuple[datetime, Mapping[str, float]]]) -> None:
        self.batches.append(list(records))

    def flush(self, timeout: float, *, down_to: int = 0) -> None:
        pass


def test_the_past_of_rooms_is_told_in_days_the_latest_first_and_of_a_building_a_year() -> None:
    lamp: Any = Notebook()
    main_meter: Any = Notebook()
    room, building = ROOMS[0], Room("acme/Forum")
    sensors = [Sensor("light", room, lamp), Sensor("meter", building, main_meter)]
    count = earlier(sensors, MONDAY, timedelta(days=2), threading.Event())
    assert [batch[0][0] for batch in lamp.batches] == [MONDAY - timedelta(days=n) for n in (1, 2)]
    assert len(main_meter.batches) == 365
    assert count == sum(len(batch) for batch in (*lamp.batches, *main_meter.batches)) == 367 * 96
    moment, values = main_meter.batches[300][17]
    assert values == READINGS["meter"](building, moment)


def test_a_sensor_that_is_told_to_end_stops_telling_of_its_past() -> None:
    stopped = threading.Event()
    stopped.set()
    meter: Any = Notebook()
    assert earlier([Sensor("meter", ROOMS[0], meter)], MONDAY, timedelta(days=9), stopped) == 0


@pytest.mark.parametrize("kind", READINGS)
def test_history_is_what_the_sensor_would_have_said(kind: str) -> None:
    room, start, end = ROOMS[1], MONDAY, MONDAY + timedelta(days=1)
    records = list(values_between(kind, room, start, end, 5 * MINUTE))
    times = [moment for moment, _ in records]
    assert times == sorted(set(times))
    assert {start + n * 5 * MINUTE for n in range(288)} <= set(times)
    assert times[-1] < end
    assert all(values == READINGS[kind](room, moment) for moment, values in records)


def test_the_history_of_a_door_holds_every_change() -> None:
    room, end = ROOMS[1], MONDAY + timedelta(days=1)
    changes = door.changes(room, MONDAY, end)
    records = dict(values_between("door", room, MONDAY, end, timedelta(days=1)))
    assert len(changes) > 20
    assert list(records) == [MONDAY, *changes]
    assert [values["door"] for values in records.values()] == [n % 2 == 1 for n in range(len(records))]


@pytest.mark.parametrize("kind", READINGS)
def test_history_in_parts_is_history_in_one(kind: str) -> None:
    hours = [MONDAY + timedelta(hours=n) for n in range(25)]
    whole = list(values_between(kind, ROOMS[2], hours[0], hours[-1], 5 * MINUTE))
    parts = [values_between(kind, ROOMS[2], start, end, 5 * MINUTE) for start, end in pairwise(hours)]
    assert list(chain(*parts)) == whole


@pytest.fixture
def server(tmp_path: Path) -> Iterator[MosquittoServer]:
    with broker(tmp_path) as running:
        yield running


@contextmanager
def program(*command: str, port: int) -> Iterator[subprocess.Popen[str]]:
    """A running sensor program, killed at the end if it is still there."""
    process = subprocess.Popen(
        [*command, "--port", str(port)],
        env=os.environ | {"INSULA_DEVICE_PASSWORD": PASSWORD, "COLUMNS": "200"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def sensor(kind: str, *more: str) -> list[str]:
    arguments = ["--tenant", "acme", "--device", f"room-1-{kind}", "--interval", "0.2", *more]
    return [sys.executable, "-m", f"insula_ingest.sensors.{kind}", *arguments]


def rooms(directory: Path, *more: str) -> list[str]:
    """The command for two rooms with four sensors each."""
    path = directory / "credentials.json"
    entries = [
        {"device": f"room-{n}-{kind}", "kind": kind, "room": f"Room {n}", "password": PASSWORD}
        for n in (1, 2)
        for kind in IN_ROOMS
    ]
    path.write_text(json.dumps(entries))
    return [SCRIPT, "rooms", "--tenant", "acme", "--credentials", str(path), "--interval", "0.2", *more]


@pytest.mark.parametrize("kind", PROGRAMS)
def test_each_sensor_is_a_program_that_publishes_once_and_ends(server: MosquittoServer, kind: str) -> None:
    with listening(server.port) as listener:
        with program(*sensor(kind, "--once"), port=server.port) as process:
            output, _ = process.communicate(timeout=DEADLINE)
        assert process.returncode == 0, output
        [payload] = listener.wait("telemetry", len)
        listener.wait("status", lambda seen: seen == ["online", "offline"])
    assert f"tenants/acme/devices/room-1-{kind}/telemetry" in listener.topics()
    moment = datetime.fromtimestamp(payload["ts"] / 1000, UTC)
    said = READINGS[kind](Room("acme/room-1"), moment)  # its room goes by the device's name
    assert payload["values"] == pytest.approx(said, rel=0.05)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_sensor_that_is_told_to_end_says_offline_and_ends_well(
    server: MosquittoServer, number: signal.Signals
) -> None:
    with listening(server.port) as listener, program(*sensor("presence"), port=server.port) as process:
        listener.wait("telemetry", lambda seen: len(seen) >= 2)
        process.send_signal(number)
        assert process.wait(DEADLINE) == 0
        listener.wait("status", lambda seen: seen == ["online", "offline"])


def test_a_door_tells_when_it_has_not_moved_at_its_interval(server: MosquittoServer) -> None:
    with listening(server.port) as listener, program(*sensor("door"), port=server.port):
        seen = listener.wait("telemetry", lambda seen: len(seen) >= 3)
    assert {frozenset(payload["values"]) for payload in seen} == {frozenset({"door"})}


def test_a_sensor_with_a_wrong_password_says_so_and_fails(tmp_path: Path) -> None:
    settings = locked_settings(tmp_path, {"acme/somebody": "topic write #"})
    with broker(tmp_path, settings) as locked, program(*sensor("light"), port=locked.port) as process:
        output, _ = process.communicate(timeout=DEADLINE)
    assert process.returncode == 3
    assert "Error: the broker refused the connection of acme/room-1-light" in output
    assert PASSWORD not in output


@pytest.mark.parametrize(
    ("option", "value", "complaint"),
    [
        ("--password-file", os.devnull, "acme/room-1-light has no password"),
        ("--time-zone", "Europe/Atlantis", "'Europe/Atlantis' is no IANA time zone"),
        ("--device", "Room 1", "device 'Room 1' is no slug"),
    ],
)
def test_a_wrong_option_is_named(option: str, value: str, complaint: str) -> None:
    with program(*sensor("light", option, value), port=free_port()) as process:
        output, _ = process.communicate(timeout=DEADLINE)
    assert process.returncode == 2
    assert complaint in output


def test_rooms_publish_their_past_first_and_then_live(server: MosquittoServer, tmp_path: Path) -> None:
    started = datetime.now(UTC).timestamp()
    command = rooms(tmp_path, "--backfill", "3h")
    with listening(server.port) as listener, program(*command, port=server.port) as process:
        listener.wait("telemetry", lambda seen: len([p for p in seen if isinstance(p, dict)]) > 20)
        process.send_signal(signal.SIGTERM)
        assert process.wait(DEADLINE) == 0
        told = listener.wait("status", lambda seen: seen.count("offline") == 8)
        seen = listener.payloads("telemetry")
    assert told.count("online") == 8
    assert len(listener.topics()) == 8
    batches = [payload for payload in seen if isinstance(payload, list)]
    assert len(batches) == 8 * 3
    for topic in listener.topics():
        own = [payload for payload in listener.payloads(topic) if isinstance(payload, list)]
        times = [record["ts"] for batch in own for record in batch]
        assert times and times == sorted(times)  # noqa: PT018 - one order
    past = [record for batch in batches for record in batch]
    assert len([record for record in past if "temperature" in record["values"]]) == 2 * 180
    assert 2.9 < (started - min(record["ts"] for record in past) / 1000) / 3600 <= 3
    newest = max(record["ts"] for record in past)
    assert all(payload["ts"] >= newest for payload in seen if isinstance(payload, dict))


def test_rooms_end_soon_though_their_broker_is_away(server: MosquittoServer, tmp_path: Path) -> None:
    with listening(server.port) as listener, program(*rooms(tmp_path), port=server.port) as process:
        listener.wait("telemetry", lambda seen: len(seen) > 8)
        server.stop()
        process.send_signal(signal.SIGTERM)
        output, _ = process.communicate(timeout=DEADLINE)
    assert process.returncode in (0, 3), output  # 3 when a reading was on its way


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("{", "no JSON"),
        ("{}", "a list"),
        ("[]", "a list"),
        ("[7]", 'entry 1 needs a text in "device"'),
        (json.dumps([ENTRY | {"password": 7}]), 'entry 1 needs a text in "password"'),
        (json.dumps([ENTRY, ENTRY | {"kind": "bell"}]), 'entry 2: "kind" must be one of temperature, light'),
        (json.dumps([ENTRY, ENTRY]), "bell-1 is in it twice"),
    ],
)
def test_credentials_that_cannot_be_used_are_named_without_their_secrets(text: str, complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint) as error:
        read_credentials(text)
    assert "s3cret" not in str(error.value)
