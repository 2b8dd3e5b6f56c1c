"""What devices say of themselves: reported state, status and results, from a real broker to the tables."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from uuid import uuid4

import pytest
from sqlalchemy import text

from insula_ingest.settings import IngestSettings
from insula_tenants.audit import SYSTEM
from insula_tenants.commands import (
    CommandView,
    NewCommand,
    add_command,
    cancel_command,
    find_command,
    note_sent,
    orders_waiting,
)
from insula_tenants.context import TenantContext
from insula_tenants.devices import create_device
from insula_tenants.diagnostics.service import Findings, collect
from insula_tenants.presence import PresenceView, list_changes, presence_of
from insula_tenants.telemetry.dead_letters import LetterView, Which, list_letters
from insula_tenants.twins import TwinView, read_twin
from insula_tenants.twins.states import MAX_BYTES
from tests.conftest import Deployment
from tests.ingest.conftest import RunningIngest
from tests.servers.mosquitto import MosquittoServer
from tests.waiting import eventually

Publish = Callable[[str, bytes], None]


@pytest.fixture(scope="module")
def mosquitto(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MosquittoServer]:
    server = MosquittoServer(tmp_path_factory.mktemp("broker")).start()
    yield server
    server.stop()


@pytest.fixture(scope="module")
def devices(deployment: Deployment) -> Deployment:
    for context in (deployment.acme, deployment.globex):
        with deployment.databases.tenant(context) as session:
            for name in ("lamp", "fan", "valve", "door", "meter", "clock"):
                create_device(session, name + "-1", name=name.title(), points=())
    return deployment


@pytest.fixture(scope="module")
def running(devices: Deployment, mosquitto: MosquittoServer) -> Iterator[RunningIngest]:
    settings = IngestSettings(
        database_url=devices.service_url, mqtt_port=mosquitto.port, ingest_batch_seconds=0.05
    )
    ingest = RunningIngest(settings).start()
    yield ingest
    ingest.stop()


@pytest.fixture
def say(running: RunningIngest, publish: Publish) -> Callable[..., None]:
    """Publish as acme's device, or another tenant's, on a topic below its own."""

    def send(device: str, leaf: str, said: object, tenant: str = "acme") -> None:
        payload = said if isinstance(said, bytes) else json.dumps(said).encode()
        publish(f"tenants/{tenant}/devices/{device}/{leaf}", payload)

    return send


def twin(devices: Deployment, device: str, context: TenantContext | None = None) -> TwinView:
    with devices.databases.tenant(context or devices.acme) as session:
        return read_twin(session, device)


def presence(devices: Deployment, device: str) -> PresenceView:
    with devices.databases.tenant(devices.acme) as session:
        return presence_of(session, device)


def history(devices: Deployment, device: str) -> list[str]:
    with devices.databases.tenant(devices.acme) as session:
        return [change.state for change in list_changes(session, device)]


def letters(devices: Deployment, device: str) -> list[LetterView]:
    with devices.databases.tenant(devices.acme) as session:
        return list_letters(session, Which(device=device))


def command(devices: Deployment, device: str, name: str = "blink", **more: object) -> CommandView:
    with devices.databases.tenant(devices.acme) as session:
        return add_command(session, device, NewCommand(name, **more), actor=SYSTEM)  # type: ignore[arg-type]


def found(devices: Deployment, view: CommandView) -> CommandView:
    with devices.databases.tenant(devices.acme) as session:
        return find_command(session, view.device, view.id)


def test_reports_are_merged_in_their_order(devices: Deployment, say: Callable[..., None]) -> None:
    say("lamp-1", "attributes", {"on": True, "colour": {"red": 1, "blue": 2}})
    say("lamp-1", "attributes", {"colour": {"red": None, "green": 3}})
    say("lamp-1", "attributes", {"firmware": "1.2", "on": False})
    eventually(lambda: twin(devices, "lamp-1").reported.get("firmware"))
    now = twin(devices, "lamp-1")
    assert now.reported == {"on": False, "colour": {"blue": 2, "green": 3}, "firmware": "1.2"}
    assert now.reported_at is not None
    assert 1 <= now.reported_version <= 3
    neighbour = twin(devices, "lamp-1", devices.globex)
    assert (neighbour.reported, neighbour.reported_version) == ({}, 0), "the neighbour's of the same name"


def test_what_says_nothing_new_changes_no_version(devices: Deployment, say: Callable[..., None]) -> None:
    say("fan-1", "attributes", {"speed": 1})
    eventually(lambda: twin(devices, "fan-1").reported_version == 1)
    say("fan-1", "attributes", {"speed": 1.0})
    say("fan-1", "attributes", {"speed": True})
    eventually(lambda: twin(devices, "fan-1").reported["speed"] is True)
    assert twin(devices, "fan-1").reported_version == 2, "1.0 is 1 to JSON, and true is not"


BOMBS = {
    "no JSON": (b"{", "malformed"),
    "no UTF-8": (b'{"a": "\xff"}', "malformed"),
    "not a number": (b'{"a": NaN}', "bad_shape"),
    "infinite": (b'{"a": 1e999}', "bad_shape"),
    "a very long number": (b'{"a": ' + b"9" * 5000 + b"}", "malformed"),
    "a large integer": (b'{"a": 12345678901234567890}', "bad_shape"),
    "an array": (b"[1]", "bad_shape"),
    "deep": (b'{"a":' * 20 + b"1" + b"}" * 20, "bad_shape"),
    "deeper than any parser goes": (b'{"a":' * 9000 + b"1" + b"}" * 9000, "malformed"),
    "NUL": (b'{"a": "\\u0000"}', "bad_shape"),
    "NUL in a name": (b'{"\\u0000": 1}', "bad_shape"),
    "half a pair": (b'{"a": "\\ud800"}', "bad_shape"),
    "large": (b'{"a": "' + b"x" * MAX_BYTES + b'"}', "bad_shape"),
    "larger than is read": (b'{"a": "' + b"x" * 70_000 + b'"}', "too_large"),
}


def test_bombs_are_dead_letters_and_stop_nothing(devices: Deployment, say: Callable[..., None]) -> None:
    for payload, _ in BOMBS.values():
        say("valve-1", "attributes", payload)
    say("valve-1", "attributes", {"open": True})
    eventually(lambda: twin(devices, "valve-1").reported == {"open": True})
    kept = letters(devices, "valve-1")[::-1]
    assert [letter.reason for letter in kept] == [reason for _, reason in BOMBS.values()]
    assert all(letter.detail and letter.topic.endswith("/attributes") for letter in kept)


def test_many_small_reports_do_not_grow_without_end(devices: Deployment, say: Callable[..., None]) -> None:
    for number in range(4):
        say("meter-1", "attributes", {f"part{number}": "x" * 10_000})
    say("meter-1", "attributes", {"done": True})
    eventually(lambda: twin(devices, "meter-1").reported.get("done"))
    assert twin(devices, "meter-1").reported.keys() == {"part0", "part1", "part2", "done"}
    [letter] = letters(devices, "meter-1")
    assert letter.reason == "too_large"
    assert str(MAX_BYTES) in letter.detail


def test_status_makes_presence_and_its_history(devices: Deployment, say: Callable[..., None]) -> None:
    assert presence(devices, "door-1").state == "unknown"
    for status in (b"online", b"online", b"offline", b"online"):
        say("door-1", "status", status)
    eventually(lambda: history(devices, "door-1") == ["online", "offline", "online"])
    now = presence(devices, "door-1")
    assert now.state == "online"
    assert now.connected_at == now.since
    assert now.disconnected_at is not None
    assert now.connected_at is not None
    assert now.disconnected_at < now.connected_at
    say("door-1", "status", b"asleep")
    [letter] = eventually(lambda: letters(devices, "door-1"))
    assert letter.reason == "bad_shape"
    assert "`online` or `offline`" in letter.detail
    assert presence(devices, "door-1").state == "online"


def test_what_ingest_hears_again_after_it_was_away_changes_nothing(
    devices: Deployment, mosquitto: MosquittoServer, running: RunningIngest, publish: Publish
) -> None:
    """A status is retained, and so it comes again with each new subscription."""
    publish("tenants/acme/devices/fan-1/status", b"online")
    eventually(lambda: presence(devices, "fan-1").state == "online")
    before = presence(devices, "fan-1")
    publish("tenants/acme/devices/fan-1/status", b"online")
    publish("tenants/acme/devices/fan-1/attributes", b'{"seen": "after"}')
    eventually(lambda: twin(devices, "fan-1").reported.get("seen"))
    assert presence(devices, "fan-1").since == before.since
    assert history(devices, "fan-1") == ["online"]


def test_results(devices: Deployment, say: Callable[..., None]) -> None:
    good, bad = command(devices, "lamp-1"), command(devices, "lamp-1")
    say("lamp-1", f"commands/{good.id}/result", {"status": "succeeded", "result": {"blinked": 3}})
    say("lamp-1", f"commands/{bad.id}/result", {"status": "failed", "error": "no bulb"})
    eventually(lambda: found(devices, bad).state == "failed")
    assert found(devices, bad).error == "no bulb"
    done = found(devices, good)
    assert (done.state, done.result, done.late) == ("succeeded", {"blinked": 3}, False)
    assert done.ended_at == done.result_at
    say("lamp-1", f"commands/{good.id}/result", {"status": "failed"})  # the first one counts
    say("lamp-1", "attributes", {"after": 1})
    eventually(lambda: twin(devices, "lamp-1").reported.get("after"))
    assert found(devices, good).state == "succeeded"


def test_a_late_result_is_kept_as_late(devices: Deployment, say: Callable[..., None]) -> None:
    late = command(devices, "lamp-1")
    with devices.databases.tenant(devices.acme) as session:
        cancel_command(session, "lamp-1", late.id)
    say("lamp-1", f"commands/{late.id}/result", {"status": "succeeded", "result": 1})
    eventually(lambda: found(devices, late).result_at)
    now = found(devices, late)
    assert (now.state, now.late, now.result) == ("cancelled", True, 1)


def test_results_for_commands_of_others_are_refused(devices: Deployment, say: Callable[..., None]) -> None:
    others = command(devices, "lamp-1")
    for forged in (str(others.id), str(uuid4()), "x"):
        say("clock-1", f"commands/{forged}/result", {"status": "succeeded"})
    say("lamp-1", f"commands/{others.id}/result", {"status": "succeeded"}, "globex")
    kept = eventually(lambda: found_all if len(found_all := letters(devices, "clock-1")) == 3 else None)
    assert [letter.reason for letter in kept] == ["bad_shape", "unknown_command", "unknown_command"]
    with devices.databases.tenant(devices.globex) as session:
        [letter] = eventually(lambda: list_letters(session, Which(device="lamp-1")))
        assert letter.reason == "unknown_command"
    assert found(devices, others).state == "waiting"


def test_time_begins_when_the_device_is_back(devices: Deployment, say: Callable[..., None]) -> None:
    """What the broker may have forgotten by then is to be sent again, and its time begins with that."""
    say("clock-1", "status", b"offline")
    eventually(lambda: presence(devices, "clock-1").state == "offline")
    kept, forgotten = (command(devices, "clock-1", deliver_when_back=True, timeout=30) for _ in range(2))
    with devices.databases.tenant(devices.acme) as session:
        note_sent(session, [kept.id, forgotten.id])
        session.execute(
            text("UPDATE commands SET sent_at = now() - interval '2 hours' WHERE key = :key"),
            {"key": forgotten.id},
        )
    assert found(devices, kept).expires_at is None
    say("clock-1", "status", b"online")
    eventually(lambda: found(devices, kept).expires_at)
    assert (found(devices, kept).state, found(devices, forgotten).state) == ("sent", "waiting")
    assert found(devices, forgotten).expires_at is None
    with devices.databases.tenant(devices.acme) as session:
        assert [order.id for order in orders_waiting(session) if order.device == "clock-1"] == [forgotten.id]
        note_sent(session, [forgotten.id])
    assert found(devices, forgotten).expires_at is not None, "the device is there: its time begins now"


def test_unknown_devices_are_dead_letters(devices: Deployment, say: Callable[..., None]) -> None:
    say("ghost-1", "attributes", {"a": 1})
    say("ghost-1", "status", b"online")
    kept = eventually(lambda: all_ if len(all_ := letters(devices, "ghost-1")) == 2 else None)
    assert {letter.reason for letter in kept} == {"unknown_device"}


def test_clocks_are_told_by_what_comes_soonest(
    devices: Deployment, running: RunningIngest, say: Callable[..., None]
) -> None:
    """One clock is two hours ahead. The other is right, and its device sends something it kept back, too."""
    say("clock-1", "telemetry", {"ts": now_ms() + 7_200_000, "values": {"a": 1}})
    say("meter-1", "telemetry", {"ts": now_ms() - 3_600_000, "values": {"a": 1}})
    say("meter-1", "telemetry", {"ts": now_ms(), "values": {"a": 2}})
    routes = running.service._routes
    topics = [f"tenants/acme/devices/{device}/telemetry" for device in TELLING]
    eventually(lambda: all(topic in routes and routes[topic].lag < 60_000_000 for topic in topics))
    running.service._health.flush()
    ahead, right = (findings(devices, one) for one in TELLING)
    assert ahead.clock_offset is not None
    assert -7200 <= ahead.clock_offset < -7100
    assert right.clock_offset is not None
    assert 0 <= right.clock_offset < 60
    assert ahead.last_message_at is not None
    assert ahead.clock_offset_at == ahead.last_message_at


TELLING = ("clock-1", "meter-1")


def now_ms() -> int:
    return time.time_ns() // 1_000_000


def findings(devices: Deployment, device: str) -> Findings:
    with devices.databases.tenant(devices.acme) as session:
        return collect(session, "acme", device)
