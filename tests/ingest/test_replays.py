"""Dead letters that are processed again: stored and gone in one transaction, or kept with the new reason."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from datetime import datetime, timedelta

import psycopg
import pytest
from sqlalchemy import text

from insula_ingest import replays as replays_module
from insula_ingest.messages import Message
from insula_ingest.settings import IngestSettings
from insula_tenants.context import TenantContext
from insula_tenants.devices import create_device
from insula_tenants.telemetry.dead_letters import Which, request_replay
from insula_tenants.telemetry.write import NewDeadLetter, TelemetryWriter, TenantBatch
from tests.conftest import Deployment
from tests.ingest.conftest import RunningIngest
from tests.ingest.test_pipeline import NOW, dead_letters, readings, telemetry
from tests.waiting import eventually

Publish = Callable[[str, bytes], None]
LAMP = "tenants/acme/devices/lamp/telemetry"
POKE = "insula/replay/acme"
RECEIVED = NOW - timedelta(hours=20)


def put_aside(deployment: Deployment, context: TenantContext, *letters: NewDeadLetter) -> None:
    with psycopg.connect(deployment.service_url, autocommit=True) as connection:
        TelemetryWriter(connection).write([TenantBatch(context, dead_letters=list(letters))])


def unknown(payload: bytes, *, topic: str = LAMP, at: datetime = RECEIVED) -> NewDeadLetter:
    device = topic.split("/")[-2]
    return NewDeadLetter(at, topic, device, "unknown_device", "it is not registered", payload)


def mark(deployment: Deployment, context: TenantContext, which: Which | None = None) -> int:
    with deployment.databases.tenant(context) as session:
        return len(request_replay(session, which or Which()))


def add_lamp(deployment: Deployment) -> None:
    with deployment.databases.tenant(deployment.acme) as session:
        create_device(session, "lamp", name="Lamp")


def test_what_can_be_stored_now_is_stored_with_the_time_it_was_received_and_is_gone(
    devices: Deployment, ingest: RunningIngest, publish: Publish
):
    last = RECEIVED + timedelta(hours=1)
    put_aside(
        devices,
        devices.acme,
        unknown(telemetry(1.5)),
        unknown(b'{"temperature": 2.5}'),
        unknown(b'{"temperature": 2.5}', at=last),
    )
    put_aside(devices, devices.globex, unknown(telemetry(9.0)))
    add_lamp(devices)
    assert mark(devices, devices.acme) == 2
    publish(POKE, b"")
    eventually(lambda: not dead_letters(devices, devices.acme))
    assert readings(devices, devices.acme) == [
        ("temperature", RECEIVED, 2.5),
        ("temperature", last, 2.5),
        ("temperature", NOW, 1.5),
    ]
    assert len(dead_letters(devices, devices.globex)) == 1
    assert readings(devices, devices.globex) == []


def test_only_what_is_marked_is_processed(devices: Deployment, ingest: RunningIngest, publish: Publish):
    put_aside(devices, devices.acme, unknown(telemetry(1.0)), unknown(telemetry(2.0), at=NOW))
    add_lamp(devices)
    assert mark(devices, devices.acme, Which(ending=NOW)) == 1
    publish(POKE, b"")
    eventually(lambda: len(dead_letters(devices, devices.acme)) == 1)
    assert [value for _, _, value in readings(devices, devices.acme)] == [1.0]


def test_what_fails_again_stays_with_its_new_reason_and_is_not_tried_for_ever(
    devices: Deployment, ingest: RunningIngest, publish: Publish
):
    put_aside(devices, devices.acme, unknown(b'{"temperature": "warm", "level": 3}'), unknown(b"?", at=NOW))
    put_aside(devices, devices.acme, unknown(telemetry(1.0), topic=LAMP.replace("lamp", "fan")))
    before = dead_letters(devices, devices.acme)
    add_lamp(devices)
    mark(devices, devices.acme)
    publish(POKE, b"")
    after = eventually(
        lambda: (
            [one for one in dead_letters(devices, devices.acme) if one.replays == 1]
            if len(dead_letters(devices, devices.acme)) == 3
            else []
        )
    )
    assert [(one.id, one.reason) for one in after] == [
        (before[0].id, "bad_value"),
        (before[1].id, "malformed"),
        (before[2].id, "unknown_device"),
    ]
    assert all(one.replay_requested_at is None for one in after)
    assert [(one.first_received_at, one.payload) for one in after] == [
        (one.first_received_at, one.payload) for one in before
    ]
    # Good values of a message are stored, whatever the bad ones come to.
    assert [value for _, _, value in readings(devices, devices.acme)] == [3.0]


def test_one_that_fails_as_another_did_counts_that_up(
    devices: Deployment, ingest: RunningIngest, publish: Publish
):
    put_aside(devices, devices.acme, unknown(b"?"), NewDeadLetter(NOW, LAMP, "lamp", "malformed", "?", b"?"))
    add_lamp(devices)
    mark(devices, devices.acme, Which(ending=NOW))
    publish(POKE, b"")
    (letter,) = eventually(lambda: found if len(found := dead_letters(devices, devices.acme)) == 1 else None)
    assert (letter.reason, letter.times, letter.replays) == ("malformed", 2, 1)
    assert (letter.first_received_at, letter.last_received_at) == (RECEIVED, NOW)


def test_what_is_older_than_readings_are_kept_is_not_stored(
    devices: Deployment, ingest_settings: IngestSettings, publish: Publish
):
    with devices.databases.core() as core:
        core.execute(text("UPDATE tenants SET quotas = '{\"retention_days\": 1}' WHERE slug = 'acme'"))
    put_aside(devices, devices.acme, unknown(b'{"temperature": 2.5}', at=NOW - timedelta(days=3)))
    add_lamp(devices)
    mark(devices, devices.acme)
    running = RunningIngest(ingest_settings).start()
    try:
        publish(POKE, b"")
        letter = eventually(
            lambda: next((one for one in dead_letters(devices, devices.acme) if one.replays), None)
        )
        assert letter.reason == "beyond_retention"
        assert readings(devices, devices.acme) == []
    finally:
        running.stop()


def test_a_request_waits_while_ingest_is_away(
    devices: Deployment, ingest_settings: IngestSettings, publish: Publish
):
    RunningIngest(ingest_settings).start().stop()  # the broker knows its session now
    put_aside(devices, devices.acme, unknown(telemetry(1.5)))
    add_lamp(devices)
    mark(devices, devices.acme)
    publish(POKE, b"")
    running = RunningIngest(ingest_settings).start()
    try:
        eventually(lambda: not dead_letters(devices, devices.acme))
        assert [value for _, _, value in readings(devices, devices.acme)] == [1.5]
    finally:
        running.stop()


@pytest.mark.parametrize("topic", ["insula/replay/nobody", "insula/replay/", "insula/replay/ACME"])
def test_requests_for_nobody_disturb_nothing(
    devices: Deployment, ingest: RunningIngest, publish: Publish, topic: str
):
    publish(topic, b"")
    put_aside(devices, devices.acme, unknown(telemetry(1.5)))
    add_lamp(devices)
    mark(devices, devices.acme)
    publish(POKE, b"")
    eventually(lambda: not dead_letters(devices, devices.acme))


def test_requests_without_end_take_no_room_from_others_messages(
    devices: Deployment, ingest: RunningIngest, publish: Publish, monkeypatch: pytest.MonkeyPatch
):
    begun, go = threading.Event(), threading.Event()
    work = ingest.service._replays._work

    def slowly(message: Message) -> None:
        begun.set()
        assert go.wait(20)
        work(message)

    monkeypatch.setattr(ingest.service._replays, "_work", slowly)
    source = ingest.service._source
    publish(POKE, b"")
    assert begun.wait(10)
    put_aside(devices, devices.acme, unknown(telemetry(1.5)))
    add_lamp(devices)
    mark(devices, devices.acme)
    before = source.acknowledged
    for _ in range(50):
        publish(POKE, b"")
    eventually(lambda: source.acknowledged - before == 49)
    assert source.in_flight == 2
    go.set()
    eventually(lambda: source.in_flight == 0)
    assert not dead_letters(devices, devices.acme)


def test_many_are_worked_off_by_several_processes_without_being_stored_twice(
    devices: Deployment, ingest_settings: IngestSettings, publish: Publish, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(replays_module, "LETTERS_AT_ONCE", 10)
    at = int(NOW.timestamp() * 1000)
    letters = [
        unknown(json.dumps({"ts": at - n * 1000, "values": {"temperature": n}}).encode()) for n in range(150)
    ]
    put_aside(devices, devices.acme, *letters)
    add_lamp(devices)
    mark(devices, devices.acme)
    running = [
        RunningIngest(ingest_settings.model_copy(update={"ingest_client_id": f"insula-ingest-{n}"})).start()
        for n in range(3)
    ]
    try:
        publish(POKE, b"")
        eventually(lambda: not dead_letters(devices, devices.acme), seconds=30)
    finally:
        for one in running:
            one.stop()
    assert sorted(value for _, _, value in readings(devices, devices.acme)) == [float(n) for n in range(150)]


def test_a_crash_in_the_middle_leaves_a_letter_or_its_readings_and_never_both(
    devices: Deployment, ingest: RunningIngest, publish: Publish, monkeypatch: pytest.MonkeyPatch
):
    """The connection is cut after the readings are written, before the letters are deleted."""
    settle, cut = replays_module.settle, threading.Event()

    def cut_once(connection: psycopg.Connection, *settled: object) -> None:
        if not cut.is_set():
            cut.set()
            connection.close()
        settle(connection, *settled)  # type: ignore[arg-type]

    monkeypatch.setattr(replays_module, "settle", cut_once)
    put_aside(devices, devices.acme, unknown(telemetry(1.5)))
    add_lamp(devices)
    mark(devices, devices.acme)
    publish(POKE, b"")
    assert cut.wait(10)
    eventually(lambda: not dead_letters(devices, devices.acme))
    assert [value for _, _, value in readings(devices, devices.acme)] == [1.5]
