"""Desired states, commands, presence and diagnostics: from HTTP through a broker to devices, and back."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from sqlalchemy import text

from insula_platform.link import BrokerLink
from insula_platform.worker.control import bring_everywhere, check_everywhere, look_everywhere
from insula_tenants.broker import CONTROL, PLATFORM
from insula_tenants.devices import create_device
from tests.platform.conftest import Live
from tests.platform.control import Control, controlled
from tests.platform.onboarding import audited
from tests.servers.mqtt import MqttClient, unique
from tests.waiting import eventually

OF_ACME = "tenants/acme/devices"


@pytest.fixture(scope="module")
def control(live: Live, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Control]:
    with controlled(live, tmp_path_factory.mktemp("control")) as running:
        running.add("lamp", "fan", "valve", "door", "blind", "radio")
        running.add("lamp", tenant="globex")
        yield running


@pytest.fixture
def link(control: Control) -> BrokerLink:
    link = control.live.platform.link
    assert link is not None
    return link


def desired(control: Control, device: str, patch: Any, **headers: str) -> dict[str, Any]:
    answer = control.ask("PATCH", f"devices/{device}/twin", {"desired": patch}, **headers)
    assert answer.status_code == 200, answer.text
    told: dict[str, Any] = answer.json()
    return told


def test_a_device_hears_what_it_is_to_be_and_says_what_it_is(control: Control) -> None:
    first = desired(control, "lamp", {"on": True, "colour": {"red": 1, "blue": 2}})
    assert (first["desired_version"], first["published"]) == (1, True)
    with control.client("lamp") as lamp:
        assert lamp.subscribe(f"{OF_ACME}/lamp/desired")
        kept = json.dumps({"version": 1, "state": first["desired"]}, separators=(",", ":"))
        lamp.wait_for(kept)  # the broker has kept it
        lamp.publish(f"{OF_ACME}/lamp/attributes", '{"on": true, "colour": {"red": 1, "blue": 3}}')
        eventually(lambda: control.twin("lamp")["reported_version"])
        twin = control.twin("lamp")
        assert twin["reported"]["colour"] == {"red": 1, "blue": 3}
        assert twin["delta"] == {"colour": {"blue": 2}}
        second = desired(control, "lamp", {"colour": {"blue": None}})
        assert second["desired"] == {"on": True, "colour": {"red": 1}}
        assert second["delta"] == {}
        lamp.wait_for('{"version":2,"state":{"on":true,"colour":{"red":1}}}')
    entries = [entry for entry in audited(control.live, "lamp") if entry[0] == "device.desired_changed"]
    assert len(entries) == 2


def test_nobody_overwrites_a_desired_state_unseen(control: Control) -> None:
    path = "devices/fan/twin"
    tag = control.ask("GET", path).headers["ETag"]
    assert control.ask("PATCH", path, {"desired": {"speed": 1}}, If_Match=tag).status_code == 200
    late = control.ask("PATCH", path, {"desired": {"speed": 2}}, If_Match=tag)
    assert (late.status_code, late.json()["type"].rpartition("/")[2]) == (412, "precondition-failed")
    assert control.twin("fan")["desired"] == {"speed": 1}
    same = desired(control, "fan", {"speed": 1})
    assert same["desired_version"] == 1, "what changes nothing is no new version"


BOMBS: dict[str, Any] = {
    "too large": {"a": "x" * 40_000},
    "too deep": json.loads('{"a":' * 20 + "1" + "}" * 20),
    "NUL": {"a": "\0"},
    "a large integer": {"a": 2**60},
}


@pytest.mark.parametrize("name", BOMBS)
def test_a_state_is_bounded(control: Control, name: str) -> None:
    for path, body in (
        ("devices/valve/twin", {"desired": BOMBS[name]}),
        ("devices/valve/commands", {"name": "set", "payload": BOMBS[name]}),
    ):
        method = "PATCH" if path.endswith("twin") else "POST"
        answer = control.ask(method, path, body)
        assert answer.status_code == 422, answer.text
        assert answer.json()["type"].endswith("invalid-input")
    assert control.twin("valve")["desired_version"] == 0


def test_what_the_broker_missed_the_worker_brings(control: Control, link: BrokerLink) -> None:
    """Without its link the API keeps everything in the outbox."""
    live, databases = control.live, control.live.deployment.databases
    object.__setattr__(live.platform, "link", None)
    try:
        state = desired(control, "blind", {"position": 10})
        state = desired(control, "blind", {"position": 20})
        command = control.command("blind")
    finally:
        object.__setattr__(live.platform, "link", link)
    assert (state["published"], command["state"]) == (False, "waiting")
    with control.client("blind") as blind:
        assert blind.subscribe(f"{OF_ACME}/blind/desired")
        assert blind.subscribe(f"{OF_ACME}/blind/commands/+")
        bring_everywhere(databases, link)
        blind.wait_for('{"version":2,"state":{"position":20}}')
        eventually(lambda: [one for one in blind.received if one.topic.endswith(command["id"])])
        assert not [one for one in blind.received if '"version":1' in one.payload], "the newest alone"
    assert control.twin("blind")["published"] is True
    assert control.state_of(command) == "sent"


def test_the_broker_is_put_right(control: Control, link: BrokerLink) -> None:
    """It lost one state, keeps an old one, and one of a device that is to have none."""
    databases = control.live.deployment.databases
    for device in ("radio", "door"):
        desired(control, device, {"a": 1})
    strange = f"{OF_ACME}/stranger/desired"
    with MqttClient(
        control.broker.port, CONTROL, control.broker.passwords[CONTROL], client_id=unique("control")
    ) as operator:
        operator.publish(f"{OF_ACME}/radio/desired", "", retain=True)
        operator.publish(f"{OF_ACME}/door/desired", '{"version": 0, "state": {}}', retain=True)
        operator.publish(strange, '{"version": 7, "state": {}}', retain=True)
    check_everywhere(databases, link)
    assert control.twin("radio")["published"] is False
    bring_everywhere(databases, link)
    kept = link.retained(f"{OF_ACME}/+/desired")
    assert kept[f"{OF_ACME}/radio/desired"] == b'{"version":1,"state":{"a":1}}'
    assert kept[f"{OF_ACME}/door/desired"] == b'{"version":1,"state":{"a":1}}'
    assert strange not in kept


def test_a_command_and_its_result(control: Control) -> None:
    with control.client("lamp") as lamp:
        assert lamp.subscribe(f"{OF_ACME}/lamp/commands/+")
        command = control.command("lamp", payload={"times": 3}, timeout=30)
        assert command["state"] == "sent"
        [heard] = eventually(lambda: [m for m in lamp.messages if m.topic.endswith(command["id"])])
        document = json.loads(heard.payload)
        assert (document["name"], document["payload"]) == ("blink", {"times": 3})
        assert 0 < heard.properties.MessageExpiryInterval <= 30
        topic = f"{OF_ACME}/lamp/commands/{command['id']}/result"
        assert lamp.publish(topic, '{"status": "succeeded", "result": {"blinked": 3}}') == "taken"
        eventually(lambda: control.state_of(command) == "succeeded")
    listed = control.ask("GET", "devices/lamp/commands?state=succeeded").json()["items"]
    assert [one["result"] for one in listed if one["id"] == command["id"]] == [{"blinked": 3}]
    assert ("command.given", command["id"]) in [
        (action, json.loads(detail).get("id")) for action, detail in audited(control.live, "lamp")
    ]


def test_a_command_waits_for_a_device_that_is_away(control: Control) -> None:
    with control.client("fan", persistent=True) as fan:
        assert fan.subscribe(f"{OF_ACME}/fan/commands/+")
        fan.publish(f"{OF_ACME}/fan/status", "offline", retain=True)
        presence = "devices/fan/presence"
        eventually(lambda: control.ask("GET", presence).json()["state"] == "offline")
    waits = control.command("fan", deliver_when_back=True)
    assert (waits["state"], waits["expires_at"]) == ("sent", None)
    with control.client("fan", persistent=True) as fan:
        [heard] = eventually(lambda: [m for m in fan.messages if m.topic.endswith(waits["id"])])
        assert not hasattr(heard.properties, "MessageExpiryInterval")
        fan.publish(f"{OF_ACME}/fan/status", "online", retain=True)
        fan.publish(f"{OF_ACME}/fan/commands/{waits['id']}/result", '{"status": "failed", "error": "jammed"}')
        eventually(lambda: control.state_of(waits) == "failed")


def test_a_command_that_nobody_would_hear(control: Control, link: BrokerLink) -> None:
    """`valve` was never here: for now it fails, and for later it waits until the device comes."""
    now, later = control.command("valve"), control.command("valve", deliver_when_back=True)
    assert (now["state"], later["state"]) == ("failed", "waiting")
    assert "not connected" in now["error"]
    databases = control.live.deployment.databases
    bring_everywhere(databases, link)
    assert control.state_of(later) == "waiting"
    with control.client("valve") as valve:
        assert valve.subscribe(f"{OF_ACME}/valve/commands/+")
        valve.publish(f"{OF_ACME}/valve/status", "online", retain=True)
        eventually(lambda: control.ask("GET", "devices/valve/presence").json()["state"] == "online")
        bring_everywhere(databases, link)
        eventually(lambda: [m for m in valve.messages if m.topic.endswith(later["id"])])
    assert control.state_of(later) == "sent"


def test_commands_end_in_time_and_can_be_taken_back(control: Control) -> None:
    live = control.live
    with control.client("door") as door:
        assert door.subscribe(f"{OF_ACME}/door/commands/+")
        late, taken_back = control.command("door", timeout=1), control.command("door")
        path = f"devices/door/commands/{taken_back['id']}/cancel"
        assert control.ask("POST", path).json()["state"] == "cancelled"
        assert control.ask("POST", path).status_code == 409
        with live.deployment.databases.tenant(live.deployment.acme) as session:
            session.execute(text("UPDATE commands SET expires_at = now() WHERE timeout = 1"))
        assert control.state_of(late) == "timed_out", "before the worker has come by"
        look_everywhere(live.deployment.databases)
        topic = f"{OF_ACME}/door/commands/{late['id']}/result"
        door.publish(topic, '{"status": "succeeded"}')
        view = f"devices/door/commands/{late['id']}"
        eventually(lambda: control.ask("GET", view).json()["result_at"])
        told = control.ask("GET", view).json()
        assert (told["state"], told["late"]) == ("timed_out", True)


def test_a_key_gives_one_command(control: Control) -> None:
    path, body, key = "devices/radio/commands", {"name": "tune"}, unique("key")
    first, second = (control.ask("POST", path, body, Idempotency_Key=key) for _ in range(2))
    assert (first.status_code, second.status_code) == (202, 200)
    assert first.json()["id"] == second.json()["id"]
    assert len(control.ask("GET", path).json()["items"]) == 1
    assert control.ask("POST", path, {"name": "mute"}, Idempotency_Key=key).status_code == 409


def test_who_may_only_look_gives_no_commands(control: Control) -> None:
    viewer = control.live.tokens_of("victor@example.com")["access_token"]
    tokens, control.tokens = control.tokens, {"acme": viewer}
    try:
        assert control.ask("GET", "devices/lamp/twin").status_code == 200
        assert control.ask("PATCH", "devices/lamp/twin", {"desired": {}}).status_code == 403
        assert control.ask("POST", "devices/lamp/commands", {"name": "x"}).status_code == 403
    finally:
        control.tokens = tokens
    neighbours = control.ask("GET", "devices/lamp/commands", tenant="globex").json()["items"]
    assert neighbours == [], "its lamp is another"


def test_a_device_says_nothing_for_another(control: Control) -> None:
    """Neither for a neighbour's nor for one of its own tenant; and it hears of none."""
    command = control.command("lamp", deliver_when_back=True)
    for tenant in ("globex", "acme"):
        slug = "lamp" if tenant == "globex" else "radio"
        for topic in (
            f"{OF_ACME}/lamp/attributes",
            f"{OF_ACME}/lamp/status",
            f"{OF_ACME}/lamp/commands/{command['id']}/result",
            f"{OF_ACME}/lamp/desired",
        ):
            with control.client(slug, tenant=tenant) as stranger:
                assert stranger.publish(topic, '{"status": "succeeded"}') in ("refused", "closed")
        with control.client(slug, tenant=tenant) as stranger:
            assert not stranger.subscribe(f"{OF_ACME}/lamp/desired")
            assert not stranger.subscribe(f"{OF_ACME}/lamp/commands/+")
    assert control.state_of(command) in ("sent", "waiting")
    with MqttClient(
        control.broker.port, PLATFORM, control.broker.passwords[PLATFORM], client_id=unique("platform")
    ) as platform:
        assert not platform.subscribe(f"{OF_ACME}/+/attributes"), "the platform's login hears no device"


def test_a_last_will_makes_a_device_offline(control: Control) -> None:
    status = f"{OF_ACME}/radio/status"
    radio = control.client("radio", will=(status, "offline"))
    assert radio.connect()
    radio.publish(status, "online", retain=True)
    presence = "devices/radio/presence"
    eventually(lambda: control.ask("GET", presence).json()["state"] == "online")
    radio.vanish()
    eventually(lambda: control.ask("GET", presence).json()["state"] == "offline")
    changes = control.ask("GET", f"{presence}/changes?limit=1").json()
    assert changes["items"][0]["state"] == "offline"
    older = control.ask("GET", f"{presence}/changes?cursor={changes['next_cursor']}").json()
    assert [change["state"] for change in older["items"]] == ["online"]
    devices = control.ask("GET", "devices").json()["items"]
    assert {device["id"]: device["presence"] for device in devices}["radio"] == "offline"


def test_a_silent_device_is_stale(control: Control) -> None:
    live = control.live
    with live.deployment.databases.tenant(live.deployment.acme) as session:
        create_device(session, "mute", name="Mute")
        session.execute(text("UPDATE devices SET expected_interval = 60 WHERE slug = 'mute'"))
        session.execute(
            text(
                "INSERT INTO device_health (device_id, last_message_at)"
                " SELECT id, now() - interval '170 seconds' FROM devices WHERE slug = 'mute'"
            )
        )
    path = "devices/mute/presence"
    assert control.ask("GET", path).json()["state"] == "online"
    with live.deployment.databases.tenant(live.deployment.acme) as session:
        session.execute(
            text(
                "UPDATE device_health SET last_message_at = now() - interval '181 seconds'"
                " WHERE device_id = (SELECT id FROM devices WHERE slug = 'mute')"
            )
        )
    assert control.ask("GET", path).json()["state"] == "stale"
    for _ in range(2):
        look_everywhere(live.deployment.databases)
    assert [one["state"] for one in control.ask("GET", f"{path}/changes").json()["items"]] == ["stale"]
    verdict = control.ask("GET", "devices/mute/diagnostics").json()["verdict"]
    assert verdict["code"] == "stale"
    with live.deployment.databases.tenant(live.deployment.acme) as session:
        session.execute(
            text(
                "UPDATE device_health SET last_message_at = now()"
                " WHERE device_id = (SELECT id FROM devices WHERE slug = 'mute')"
            )
        )
    look_everywhere(live.deployment.databases)
    changes = control.ask("GET", f"{path}/changes").json()["items"]
    assert [one["state"] for one in changes] == ["online", "stale"]


def test_a_denied_publish_is_visible_to_the_tenant(control: Control) -> None:
    """Why is my device silent?"""
    control.add("chatty")
    control.add("chatty", tenant="globex")
    path = "devices/chatty/diagnostics"
    before = control.ask("GET", path).json()
    assert before["verdict"]["code"] == "never_connected"
    with control.client("chatty") as chatty:
        chatty.publish(f"{OF_ACME}/chatty/status", "online", retain=True)
        chatty.send("tele/chatty/SENSOR", '{"t": 21}')
        chatty.wait_closed()

    def told() -> Any:
        control.ingest.service._health.flush()
        return control.ask("GET", path).json()

    eventually(lambda: told()["last_refusal"])
    now = told()
    assert now["last_refusal"]["what"] == "publish"
    assert now["verdict"]["code"] == "publish_refused"
    assert "topics" in now["verdict"]["to_do"]
    assert now["presence"]["connected_at"] is not None
    neighbour = control.ask("GET", "devices/chatty/diagnostics", tenant="globex").json()
    assert neighbour["last_refusal"] is None


def test_dead_letters_are_part_of_the_verdict(control: Control) -> None:
    control.add("confused")
    with control.client("confused") as confused:
        confused.publish(f"{OF_ACME}/confused/telemetry", "21.5 degrees")
        confused.publish(f"{OF_ACME}/confused/attributes", "[]")
        path = "devices/confused/diagnostics"
        eventually(lambda: len(control.ask("GET", path).json()["dead_letters"]) == 2)
    now = control.ask("GET", path).json()
    assert now["verdict"]["code"] == "dead_letters"
    assert {one["reason"] for one in now["dead_letters"]} == {"malformed", "bad_shape"}
    assert now["logins"][0]["state"] == "good"
    assert control.ask("GET", "devices/nobody/diagnostics").status_code == 404
