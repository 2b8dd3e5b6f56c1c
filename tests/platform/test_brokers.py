"""The broker that a deployment starts by itself: which one, its files, and how it behaves as a process."""

from __future__ import annotations

import json
import os
import signal
import socket
import stat
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from pydantic import SecretStr
from sqlalchemy import delete

from insula_platform.broker import amqtt_command, choose_broker, mosquitto_command, mosquitto_missing
from insula_platform.broker import mosquitto as mosquitto_module
from insula_tenants.broker import CONTROL, INGEST, new_password
from insula_tenants.devices import DeviceCredential, create_device, list_devices, set_password
from insula_tenants.devices.credentials import add_login, end_logins, note_revoked
from insula_tenants.errors import ConfigurationError
from tests.conftest import Deployment
from tests.servers.amqtt import AmqttServer
from tests.servers.mosquitto import SecuredMosquitto, free_port
from tests.servers.mqtt import MqttClient, unique
from tests.waiting import eventually

TELEMETRY = "tenants/+/devices/+/telemetry"
OWN = "tenants/acme/devices/meter-1"
SERVICES = {INGEST: SecretStr("ingest-secret"), CONTROL: SecretStr("control-secret")}


@pytest.fixture
def mosquitto(tmp_path: Path) -> Iterator[SecuredMosquitto]:
    server = SecuredMosquitto(tmp_path / "a folder with spaces").start()
    yield server
    server.stop()


@pytest.fixture
def password(deployment: Deployment) -> str:
    """The password of `acme/meter-1`, which is in the registry."""
    password = new_password()
    with deployment.databases.tenant(deployment.acme) as session:
        if not any(device.id == "meter-1" for device in list_devices(session)):
            create_device(session, "meter-1", name="Meter 1")
        set_password(session, "meter-1", password)
    return password


def test_each_login_of_a_device_is_good_until_its_own_end(
    amqtt: AmqttServer, deployment: Deployment, password: str
):
    """amqtt asks the registry: the old login of a rotation, the new one, and neither after its end."""
    with deployment.databases.tenant(deployment.acme) as session:
        number = add_login(session, "meter-1", newer := new_password())

    def connects(username: str, secret: str, client_id: str = "acme/meter-1") -> bool:
        client = MqttClient(amqtt.port, username, secret, protocol="3.1.1", client_id=client_id)
        try:
            return client.connect()
        finally:
            client.close()

    later = f"acme/meter-1/{number}"
    assert connects("acme/meter-1", password)
    assert connects(later, newer)
    assert not connects(later, password)
    assert not connects(later, newer, client_id=later), "the client id stays the device's"
    with deployment.databases.tenant(deployment.acme) as session:
        assert end_logins(session, "meter-1", datetime.now(UTC), but=number) == [1]
        note_revoked(session, "meter-1", [1])
    eventually(lambda: not connects("acme/meter-1", password), what="the end of the old login")
    assert connects(later, newer)
    with deployment.databases.tenant(deployment.acme) as session:
        session.execute(delete(DeviceCredential).where(DeviceCredential.number == number))


@pytest.fixture
def amqtt(tmp_path: Path, deployment: Deployment) -> Iterator[AmqttServer]:
    server = AmqttServer(tmp_path, deployment.service_url).start()
    yield server
    server.stop()


def amqtt_service(server: AmqttServer, name: str, **options: object) -> MqttClient:
    return MqttClient(server.port, name, server.passwords[name], protocol="3.1.1", **options)


# Which broker


def test_mosquitto_is_chosen_where_it_is_installed_with_its_plugin():
    assert mosquitto_missing() is None
    assert choose_broker() == "mosquitto"


def test_amqtt_is_chosen_where_mosquitto_is_missing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(mosquitto_module, "SEARCHED_BESIDE_PATH", ())
    assert choose_broker() == "amqtt"
    with pytest.raises(ConfigurationError, match="install the package `mosquitto`"):
        mosquitto_command(tmp_path, free_port(), SERVICES)
    monkeypatch.setattr("importlib.util.find_spec", lambda _name: None)
    with pytest.raises(ConfigurationError, match=r"insula\[demo\]"):
        choose_broker()


def test_a_mosquitto_without_its_plugin_is_not_used_and_the_reason_is_said(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    program = tmp_path / "sbin" / "mosquitto"
    program.parent.mkdir()
    program.touch(mode=0o755)
    monkeypatch.setenv("PATH", str(program.parent))
    assert choose_broker() == "amqtt"
    assert "mosquitto_dynamic_security.so" in (mosquitto_missing() or "")
    with pytest.raises(ConfigurationError, match="cannot keep tenants apart"):
        mosquitto_command(tmp_path, free_port(), SERVICES)
    plugin = tmp_path / "lib" / "aarch64-linux-gnu" / "mosquitto_dynamic_security.so"
    plugin.parent.mkdir(parents=True)
    plugin.touch()
    assert choose_broker() == "mosquitto"


# Mosquitto's files


def test_mosquittos_files_are_its_owners_alone_and_hold_no_password(tmp_path: Path):
    state = tmp_path / "broker"
    command = mosquitto_command(state, free_port(), SERVICES)
    assert stat.S_IMODE(state.stat().st_mode) == 0o700
    files = list(state.iterdir())
    assert {path.name for path in files} == {"mosquitto.conf", "logins.json"}
    for path in files:
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    written = " ".join([*command, *(path.read_text() for path in files)])
    assert not any(secret.get_secret_value() in written for secret in SERVICES.values())


@pytest.mark.parametrize("damaged", ["", "{", "[]", '{"clients": 1}', '{"clients": [1]}'])
def test_a_damaged_file_of_logins_is_left_alone_and_named(tmp_path: Path, damaged: str):
    logins = tmp_path / "logins.json"
    logins.write_text(damaged)
    with pytest.raises(ConfigurationError, match=str(logins)):
        mosquitto_command(tmp_path, free_port(), SERVICES)
    assert logins.read_text() == damaged


def test_each_start_renews_the_rules_of_devices_and_the_logins_of_services(mosquitto: SecuredMosquitto):
    password, former = new_password(), mosquitto.passwords[INGEST]
    mosquitto.access.grant("acme", "meter-1", password)
    mosquitto.stop()
    logins = mosquitto.directory / "state" / "logins.json"
    kept = json.loads(logins.read_text())
    for role in kept["roles"]:
        role["acls"] = []
    logins.write_text(json.dumps(kept))
    del mosquitto.passwords[INGEST]
    mosquitto.start()
    with MqttClient(mosquitto.port, "acme/meter-1", password) as device:
        assert device.publish(f"{OWN}/telemetry", "1") == "taken"
    stranger = MqttClient(mosquitto.port, INGEST, former)
    assert not stranger.connect()
    stranger.close()


def test_what_waits_for_ingest_outlives_a_crash_of_mosquitto(
    mosquitto: SecuredMosquitto, monkeypatch: pytest.MonkeyPatch
):
    mosquitto.stop()
    monkeypatch.setattr(mosquitto_module, "AUTOSAVE", 1)
    mosquitto.start()
    password, payload = new_password(), unique("reading")
    mosquitto.access.grant("acme", "meter-1", password)

    def ingest() -> MqttClient:
        return MqttClient(mosquitto.port, INGEST, mosquitto.passwords[INGEST], persistent=True)

    with ingest() as client:
        assert client.subscribe(f"$share/ingest/{TELEMETRY}")
    with MqttClient(mosquitto.port, "acme/meter-1", password) as device:
        for _ in range(1500):  # beyond Mosquitto's own limit of 1000 a queue
            device.send(f"{OWN}/telemetry", "early")
        assert device.publish(f"{OWN}/telemetry", payload) == "taken"
    saved = mosquitto.directory / "state" / "mosquitto.db"
    eventually(lambda: saved.exists() and payload.encode() in saved.read_bytes(), what="the saved queue")
    mosquitto.stop(signal.SIGKILL)
    mosquitto.start()
    with ingest() as client:
        client.wait_for(payload)
        assert len(client.received) == 1501


def test_a_packet_of_more_than_eight_mebibytes_is_not_taken(mosquitto: SecuredMosquitto):
    password = new_password()
    mosquitto.access.grant("acme", "meter-1", password)
    with MqttClient(mosquitto.port, "acme/meter-1", password) as device:
        assert device.publish(f"{OWN}/telemetry", "x" * (8 * 1024 * 1024 - 100)) == "taken"
        assert device.publish(f"{OWN}/telemetry", "x" * 8 * 1024 * 1024) == "closed"


def test_mosquitto_listens_on_loopback_alone_and_ends_on_sigterm(mosquitto: SecuredMosquitto):
    configuration = (mosquitto.directory / "state" / "mosquitto.conf").read_text()
    assert f"listener {mosquitto.port} 127.0.0.1\n" in configuration
    assert ("user root\n" in configuration) == (os.geteuid() == 0)
    # Mosquitto listens before it begins to work, and a signal in between is lost: wait for an answer.
    stranger = MqttClient(mosquitto.port, "nobody", "guessed-password")
    assert not stranger.connect()
    stranger.close()
    assert mosquitto.stop() == 0


# amqtt as a process


def test_amqtt_says_what_it_is_right_for_and_no_secret(
    amqtt: AmqttServer, deployment: Deployment, password: str
):
    with MqttClient(amqtt.port, "acme/meter-1", password, protocol="3.1.1") as device:
        device.publish(f"{OWN}/telemetry", "1")
        device.publish("tenants/globex/devices/meter-1/telemetry", "1")
    stranger = MqttClient(amqtt.port, "acme/meter-1", "guessed-password", protocol="3.1.1")
    assert not stranger.connect()
    stranger.close()
    with amqtt_service(amqtt, INGEST) as ingest:
        assert ingest.subscribe(TELEMETRY)
        assert amqtt.stop() == 0
        ingest.wait_closed()
    lines = amqtt.log.read_text().splitlines()
    assert len(lines) == 1, lines
    assert "right for a first look" in lines[0]
    assert "no shared subscriptions" in lines[0]
    assert amqtt_command()[1:] == ["-m", "insula_platform.broker.amqtt_broker"]


def test_amqtt_turns_mqtt_5_away_and_refuses_shared_subscriptions(amqtt: AmqttServer):
    modern = MqttClient(amqtt.port, INGEST, amqtt.passwords[INGEST], protocol="5")
    assert not modern.connect()
    modern.close()
    with amqtt_service(amqtt, INGEST) as ingest:
        assert not ingest.subscribe(f"$share/ingest/{TELEMETRY}")
        assert ingest.subscribe(TELEMETRY)


def test_amqtt_outlives_nonsense(amqtt: AmqttServer):
    for nonsense in (
        b"",
        b"GET / HTTP/1.1\r\n\r\n",
        b"\x10\x00",
        b"\x10\x04\x00\x04MQ",
        b"\x10\xff\xff\xff\xff\xff",
        b"\x10\x0c\x00\x04MQTT\x04\xc2\x00\x0a\xff\xff",
        b"\x30\x03\x00\x01a",
        b"\x10\xff\xff\xff\x7f",
    ):
        with socket.create_connection(("127.0.0.1", amqtt.port), timeout=5) as stranger:
            stranger.sendall(nonsense)
            stranger.shutdown(socket.SHUT_WR)
            while stranger.recv(1024):
                pass
    with amqtt_service(amqtt, INGEST):
        pass
    amqtt.stop()
    assert len(amqtt.log.read_text().splitlines()) == 1, amqtt.log.read_text()


def test_amqtt_sends_the_last_will_of_a_device_that_falls_silent(
    amqtt: AmqttServer, deployment: Deployment, password: str
):
    def string(text: str) -> bytes:
        return len(text).to_bytes(2, "big") + text.encode()

    keep_alive, will_and_login = (1).to_bytes(2, "big"), b"\xce"
    body = string("MQTT") + b"\x04" + will_and_login + keep_alive + string("acme/meter-1")
    body += string(f"{OWN}/status") + string("offline") + string("acme/meter-1") + string(password)
    packet = b"\x10" + bytes([len(body) % 128 | 128, len(body) // 128]) + body
    with amqtt_service(amqtt, INGEST) as ingest:
        assert ingest.subscribe("tenants/+/devices/+/status")
        with socket.create_connection(("127.0.0.1", amqtt.port), timeout=5) as device:
            device.sendall(packet)
            assert device.recv(4) == b"\x20\x02\x00\x00"
            assert ingest.wait_for("offline").topic == f"{OWN}/status"


def test_amqtt_without_its_registry_turns_devices_away_and_serves_services(tmp_path: Path):
    url = f"postgresql://insula_service:insula@127.0.0.1:{free_port()}/insula"
    server = AmqttServer(tmp_path, url).start()
    for _ in range(2):
        device = MqttClient(server.port, "acme/meter-1", new_password(), protocol="3.1.1")
        assert not device.connect()
        device.close()
    with amqtt_service(server, CONTROL) as control:
        assert control.publish(f"{OWN}/desired", "{}") == "taken"
    server.stop()
    assert server.log.read_text().count("the registry does not answer") == 1
