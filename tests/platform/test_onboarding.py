"""One device, from nothing to a value in the API, and out again: over real TLS, at a real broker."""

from __future__ import annotations

import base64
import json
import re
import shlex
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import unquote

import pytest
import yaml
from sqlalchemy import text

from insula_platform.devices.withdrawals import WITHDRAW_TASK
from insula_tenants.broker import CONTROL
from insula_tenants.broker.dynamic_security import DynamicSecurity
from insula_tenants.devices import built_in_types
from tests.platform.conftest import Live
from tests.platform.onboarding import Site, audited, latest, run_in, site, taking_in, work
from tests.servers.mosquitto import INGEST, free_port
from tests.servers.mqtt import MqttClient, unique
from tests.waiting import eventually


@pytest.fixture(scope="module")
def acme(live: Live, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with site(live, tmp_path_factory.mktemp("site")) as made:
        yield made


@pytest.fixture(scope="module")
def ingest(acme: Site, tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with taking_in(acme, tmp_path_factory.mktemp("ingest")):
        yield


@pytest.mark.usefixtures("ingest")
@pytest.mark.parametrize("way", ["mosquitto_pub", "paho"])
def test_from_nothing_to_a_value_by_what_the_answer_says(acme: Site, tmp_path: Path, way: str):
    slug = f"desk-{way.partition('_')[0]}"
    told = acme.onboard(slug, type="temperature-sensor")
    snippet = told["snippets"][way]
    assert told["broker"]["tls"]
    command = snippet if way == "mosquitto_pub" else [sys.executable, "-c", snippet]
    done = run_in(tmp_path, command, told["broker"]["ca"])
    assert done.returncode == 0, done.stderr
    eventually(lambda: latest(acme, slug) == {"temperature": 21.5}, what="the value")
    point = acme.ask("GET", f"points?device={slug}").json()["items"][0]
    assert (point["brick_class"], point["unit"]) == ("Zone_Air_Temperature_Sensor", "degC")
    assert acme.ask("GET", f"devices/{slug}").json()["last_seen"] is not None
    # Who does not trust the authority sends nothing.
    refused = run_in(tmp_path / "other", command, acme.broker.files.key.read_text())  # type: ignore[union-attr]
    assert refused.returncode != 0


def test_a_password_is_told_once(acme: Site):
    asked = {"id": "once", "name": "Once", "type": "door-contact"}
    first = acme.ask("POST", "devices", asked, Idempotency_Key="k-1")
    again = acme.ask("POST", "devices", asked, Idempotency_Key="k-1")
    assert (first.status_code, again.status_code) == (201, 200)
    assert first.headers["cache-control"] == again.headers["cache-control"] == "no-store"
    assert first.headers["location"].endswith("/acme/devices/once")
    password = first.json()["credentials"]["password"]
    assert again.json()["credentials"] is None
    assert again.json()["qr"] is None
    assert again.json()["device"] == first.json()["device"]
    assert password not in again.text
    assert acme.admits(first.json()["credentials"])
    other = acme.ask("POST", "devices", asked | {"name": "Other"}, Idempotency_Key="k-1")
    assert (other.status_code, other.json()["type"]) == (409, "/problems/conflict")
    for path in ("devices/once", "devices/once/credentials", "devices/once/connection"):
        assert password not in acme.ask("GET", path).text
    assert [action for action, _ in audited(acme.live, "once")] == ["device.created"]
    assert not any(password in detail for _, detail in audited(acme.live, "once"))


def test_what_is_to_be_pasted_says_the_same_everywhere(acme: Site):
    told = acme.onboard("pasted", type="air-quality-sensor")
    secrets, topics = told["credentials"], told["topics"]
    names = ["co2", "temperature", "humidity", "pm2_5"]

    words = shlex.split(told["snippets"]["mosquitto_pub"])
    assert words[words.index("-i") + 1] == secrets["client_id"]
    assert list(json.loads(words[-1])) == names

    esphome = yaml.safe_load(told["snippets"]["esphome"])
    mqtt = esphome["mqtt"]
    assert (mqtt["broker"], mqtt["port"]) == (told["broker"]["host"], told["broker"]["port"])
    assert [mqtt[one] for one in ("username", "password", "client_id")] == [*secrets.values()]
    assert mqtt["certificate_authority"] == told["broker"]["ca"].strip()
    assert (mqtt["discovery"], mqtt["topic_prefix"], mqtt["log_topic"]) == (False, None, None)
    for message, payload in (("birth", "online"), ("will", "offline"), ("shutdown", "offline")):
        assert mqtt[f"{message}_message"] == {
            "topic": topics["status"], "payload": payload, "qos": 1, "retain": True
        }  # fmt: skip
    (action,) = esphome["interval"][0]["then"]
    assert action["mqtt.publish_json"]["topic"] == topics["telemetry"]
    lines = action["mqtt.publish_json"]["payload"].splitlines()
    assert lines == [f'root["{name}"] = id({name}).state;' for name in names]

    backlog, _, line = told["snippets"]["tasmota"].partition(" ")
    assert backlog == "Backlog"
    commands = dict(one.split(" ", 1) for one in line.split("; ")[:-2])
    assert commands == {
        "MqttHost": told["broker"]["host"],
        "MqttPort": str(told["broker"]["port"]),
        "MqttUser": secrets["username"],
        "MqttPassword": secrets["password"],
        "MqttClient": secrets["client_id"],
        "Topic": "pasted",
        "FullTopic": "tenants/acme/devices/%topic%/own/%prefix%/",
        "SetOption103": "1",
    }
    rule = line.split("; ")[-2].removeprefix("Rule1 ")
    parts = re.findall(r"ON (\S+#\S+) DO Publish (\S+) (\{.*?\}) ENDON", rule)
    assert " ".join(f"ON {a} DO Publish {b} {c} ENDON" for a, b, c in parts) == rule
    assert {topic for _, topic, _ in parts} == {topics["telemetry"]}
    assert [next(iter(json.loads(body.replace("%value%", "1")))) for _, _, body in parts] == names
    assert line.endswith("; Rule1 1")

    kind, _, data = told["qr"].partition(",")
    assert kind.startswith("data:image/svg+xml")
    svg = base64.b64decode(data).decode() if kind.endswith("base64") else unquote(data)
    assert svg.lstrip().startswith(("<svg", "<?xml"))


def test_tasmotas_own_topics_do_it_no_harm(acme: Site):
    """Its last will and its `tele/…` cannot be turned off; `FullTopic` sends them where nobody listens."""
    told = acme.onboard("sonoff", type="shelly-plug")
    with MqttClient(acme.broker.port, INGEST, acme.broker.passwords[INGEST], client_id="listener") as heard:
        assert heard.subscribe("tenants/acme/devices/sonoff/telemetry")
        will = ("tenants/acme/devices/sonoff/own/tele/LWT", "Offline")
        with acme.device(told["credentials"], protocol="3.1.1", will=will) as device:
            device.send_at_most_once(will[0], "Online")
            device.send_at_most_once(told["topics"]["telemetry"], '{"power":1}')
            heard.wait_for('{"power":1}')
        assert [one.payload for one in heard.received] == ['{"power":1}']


def test_a_rotation_overlaps_and_the_old_login_ends(acme: Site):
    """Both are good, then the worker takes the old one; the job waits in PostgreSQL, so any worker does."""
    old = acme.onboard("turned")["credentials"]
    answer = acme.ask("POST", "devices/turned/credentials", {"overlap": 600}, Idempotency_Key="r-1")
    assert answer.status_code == 201, answer.text
    new, ends = answer.json()["credentials"], answer.json()["others_end_at"]
    assert (new["username"], new["client_id"]) == ("acme/turned/2", "acme/turned")
    assert timedelta(seconds=590) < datetime.fromisoformat(ends) - datetime.now(UTC) <= timedelta(seconds=600)
    again = acme.ask("POST", "devices/turned/credentials", {"overlap": 600}, Idempotency_Key="r-1")
    assert (again.status_code, again.json()["credentials"], again.json()["number"]) == (200, None, 2)
    assert acme.admits(old)
    assert acme.admits(new)
    states = [one["state"] for one in acme.ask("GET", "devices/turned/credentials").json()["items"]]
    assert states == ["good", "expiring"]

    session = acme.device(old)
    assert session.connect()
    _let_time_pass(acme.live, "turned")
    work(acme)
    session.wait_closed()
    session.close()
    assert not acme.admits(old)
    with acme.device(new) as device:
        assert device.publish("tenants/acme/devices/turned/telemetry", "{}") == "taken"
    states = [one["state"] for one in acme.ask("GET", "devices/turned/credentials").json()["items"]]
    assert states == ["good", "revoked"]
    assert [action for action, _ in audited(acme.live, "turned")] == ["device.created", "credential.rotated"]


def test_a_rotation_without_overlap_shuts_the_old_login_out(acme: Site):
    old = acme.onboard("lost")["credentials"]
    with acme.device(old) as thief:
        new = acme.ask("POST", "devices/lost/credentials", {"overlap": 0}).json()["credentials"]
        thief.wait_closed()
    assert not acme.admits(old)
    assert acme.admits(new)


def test_revoked_means_disconnected_and_refused(acme: Site):
    one = acme.onboard("stolen")["credentials"]
    two = acme.ask("POST", "devices/stolen/credentials", {"overlap": 600}).json()["credentials"]
    with acme.device(one) as thief:
        assert acme.ask("DELETE", "devices/stolen/credentials/1").status_code == 204
        thief.wait_closed()
    assert not acme.admits(one)
    assert acme.admits(two)
    assert acme.ask("DELETE", "devices/stolen/credentials/1").status_code == 204
    assert acme.ask("DELETE", "devices/stolen/credentials/9").status_code == 404
    assert "credential.revoked" in [action for action, _ in audited(acme.live, "stolen")]
    with acme.live.deployment.databases.tenant(acme.live.deployment.acme) as session:
        kept = session.scalar(
            text(
                "SELECT octet_length(password_hash) FROM device_credentials c JOIN devices d"
                " ON d.id = device_id WHERE slug = 'stolen' AND number = 1"
            )
        )
    assert kept == 0, "a hash that nobody needs"


def test_a_broker_that_is_away_is_told_later(acme: Site):
    secrets = acme.onboard("offline")["credentials"]
    deaf = DynamicSecurity("127.0.0.1", free_port(), CONTROL, "x")
    object.__setattr__(acme.live.platform, "broker", deaf)
    try:
        failed = acme.ask("POST", "devices", {"id": "unmade", "name": "Unmade"})
        unturned = acme.ask("POST", "devices/offline/credentials", {"overlap": 0})
        revoked = acme.ask("DELETE", "devices/offline/credentials/1")
    finally:
        object.__setattr__(acme.live.platform, "broker", acme.broker.access)
    for answer in (failed, unturned):
        assert (answer.status_code, answer.json()["type"]) == (503, "/problems/broker-unavailable")
    assert acme.ask("GET", "devices/unmade").status_code == 404
    acme.onboard("unmade")
    assert revoked.status_code == 202
    assert acme.admits(secrets), "nobody could tell the broker"
    work(acme)
    assert not acme.admits(secrets)
    assert [one["state"] for one in acme.ask("GET", "devices/offline/credentials").json()["items"]] == [
        "revoked"
    ]


@pytest.mark.usefixtures("ingest")
def test_a_decommissioned_device_keeps_its_history_and_can_come_back(acme: Site):
    told = acme.onboard("retired", type="temperature-sensor")
    with acme.device(told["credentials"]) as device:
        assert device.publish(told["topics"]["telemetry"], '{"temperature": 19}') == "taken"
        eventually(lambda: latest(acme, "retired"), what="the value")
        assert acme.ask("DELETE", "devices/retired", If_Match='"other"').status_code == 412
        assert acme.ask("DELETE", "devices/retired").status_code == 204
        device.wait_closed()
    assert not acme.admits(told["credentials"])
    shown = acme.ask("GET", "devices/retired").json()
    assert (shown["state"], shown["decommissioned_at"] is None) == ("decommissioned", False)
    assert latest(acme, "retired") == {"temperature": 19}
    assert acme.ask("DELETE", "devices/retired").status_code == 204

    taken = acme.ask("POST", "devices", {"id": "retired", "name": "Another"})
    assert taken.status_code == 409, "its history would be another's"
    for method, path, body in (
        ("PATCH", "devices/retired", {"name": "New"}),
        ("POST", "devices/retired/credentials", {}),
    ):
        assert acme.ask(method, path, body).status_code == 409
    back = acme.ask("POST", "devices/retired/reactivate").json()
    assert back["credentials"]["username"] == "acme/retired/2"
    assert not acme.admits(told["credentials"])
    assert acme.admits(back["credentials"])
    assert latest(acme, "retired") == {"temperature": 19}
    assert acme.ask("POST", "devices/retired/reactivate").status_code == 409


@pytest.mark.usefixtures("ingest")
def test_a_device_that_moves_to_another_tenant_leaks_nothing_either_way(acme: Site):
    """The same thing with the same id: what acme left at the broker is not globex's, nor the other way."""
    ours, orders = acme.onboard("mover", type="temperature-sensor"), unique("order")
    topics = ours["topics"]
    with MqttClient(
        acme.broker.port, CONTROL, acme.broker.passwords[CONTROL], client_id=unique("control")
    ) as control:
        with acme.device(ours["credentials"], persistent=True) as device:
            for leaf in ("desired", "commands"):
                assert device.subscribe(topics[leaf])
            assert device.publish(topics["status"], "online", retain=True) == "taken"
            assert device.publish(topics["telemetry"], '{"temperature": 18}') == "taken"
        eventually(lambda: latest(acme, "mover"), what="the value")
        control.publish(topics["desired"], orders, retain=True)
        control.publish(topics["commands"].replace("+", "unlock"), orders)  # waits in the device's session
        assert acme.ask("DELETE", "devices/mover").status_code == 204

        theirs = acme.onboard("mover", tenant="globex")
        assert not acme.admits(ours["credentials"])
        with acme.device(theirs["credentials"], persistent=True) as device:
            for leaf in ("desired", "commands"):
                assert device.subscribe(theirs["topics"][leaf])
                assert not device.subscribe(topics[leaf])
            assert not device.subscribe("#")
        with acme.device(theirs["credentials"], persistent=True) as device:
            control.publish(theirs["topics"]["desired"], "mine")
            device.wait_for("mine")
            assert [one.payload for one in device.received] == ["mine"]
            assert device.publish(topics["telemetry"], '{"temperature": 99}') != "taken"
        with acme.device(theirs["credentials"]) as device:
            assert device.publish(theirs["topics"]["telemetry"], '{"temperature": 23}') == "taken"
    there = lambda: acme.ask("GET", "latest?device=mover", tenant="globex").json()["items"]  # noqa: E731
    assert [one["value"] for one in eventually(there, what="their value")] == [23]
    assert latest(acme, "mover") == {"temperature": 18}
    assert acme.ask("GET", "devices/mover", tenant="globex").json()["state"] == "active"
    assert acme.ask("GET", "devices/mover").json()["state"] == "decommissioned"

    # And back: what globex did meanwhile is not acme's, and the order to the device that was is void.
    assert acme.ask("DELETE", "devices/mover", tenant="globex").status_code == 204
    again = acme.ask("POST", "devices/mover/reactivate").json()
    with acme.device(again["credentials"], persistent=True) as device:
        assert device.subscribe(topics["desired"])
        with MqttClient(
            acme.broker.port, CONTROL, acme.broker.passwords[CONTROL], client_id=unique("control")
        ) as control:
            control.publish(topics["desired"], "now")
        device.wait_for("now")
        assert [one.payload for one in device.received] == ["now"]
    assert not acme.admits(theirs["credentials"])


def test_every_built_in_type_can_be_brought_in(acme: Site):
    for slug, view in built_in_types().items():
        told = acme.onboard(f"a-{slug}"[:40], type=slug)
        assert {point["name"] for point in told["points"]} == {point.name for point in view.points}
        assert told["device"]["expected_interval"] == view.expected_interval


def _let_time_pass(live: Live, device: str) -> None:
    """The overlap is over, and the waiting job's time is there."""
    with live.deployment.databases.tenant(live.deployment.acme) as session:
        session.execute(
            text(
                "UPDATE device_credentials SET expires_at = now() WHERE expires_at IS NOT NULL"
                " AND device_id = (SELECT id FROM devices WHERE slug = :device)"
            ),
            {"device": device},
        )
    with live.deployment.databases.core() as core:
        core.execute(
            text("UPDATE procrastinate_jobs SET scheduled_at = now() WHERE task_name = :task"),
            {"task": WITHDRAW_TASK},
        )
