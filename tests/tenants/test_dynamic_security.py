"""Granting and revoking by Mosquitto's dynamic-security plugin."""

from __future__ import annotations

import json
import signal
import ssl
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from insula_tenants.broker import (
    CONTROL,
    INGEST,
    BrokerRefused,
    BrokerUnreachable,
    DeviceGrant,
    Drift,
    Login,
    broker_access,
    new_password,
)
from insula_tenants.broker.access import RegistryReader
from insula_tenants.broker.dynamic_security import DynamicSecurity
from insula_tenants.errors import ConfigurationError, InvalidInput
from insula_tenants.settings import TenantsSettings
from tests.servers.certificates import server_files
from tests.servers.mosquitto import MosquittoServer, SecuredMosquitto, free_port
from tests.servers.mqtt import MqttClient
from tests.waiting import eventually

OWN = "tenants/acme/devices/meter-1"


@pytest.fixture
def mosquitto(tmp_path: Path) -> Iterator[SecuredMosquitto]:
    server = SecuredMosquitto(tmp_path).start()
    yield server
    server.stop()


def test_two_hundred_devices_are_granted_over_one_connection(mosquitto: SecuredMosquitto):
    grants = [DeviceGrant("acme", f"sensor-{number}", new_password()) for number in range(200)]
    mosquitto.access.grant_many(grants)
    for one in (grants[0], grants[57], grants[199]):
        with MqttClient(mosquitto.port, f"{one.tenant}/{one.device}", one.password) as client:
            assert client.publish(f"tenants/acme/devices/{one.device}/telemetry", "1") == "taken"
            assert client.publish("tenants/acme/devices/sensor-1/telemetry", "1") == "refused"


@pytest.mark.parametrize("crash", [False, True])
def test_grants_survive_a_restart_of_the_broker(mosquitto: SecuredMosquitto, crash: bool):
    kept, gone, password = new_password(), new_password(), new_password()
    mosquitto.access.grant("acme", "meter-1", password)
    mosquitto.access.grant("acme", "meter-1", kept)
    mosquitto.access.grant("acme", "meter-2", gone)
    mosquitto.access.revoke("acme", "meter-2")
    mosquitto.stop(signal.SIGKILL if crash else signal.SIGTERM)
    mosquitto.passwords = {INGEST: new_password(), CONTROL: new_password()}
    mosquitto.start()
    with MqttClient(mosquitto.port, "acme/meter-1", kept) as client:
        assert client.publish(f"{OWN}/telemetry", "1") == "taken"
        assert client.publish("tenants/acme/devices/meter-2/telemetry", "1") == "refused"
    for username, wrong in (("acme/meter-1", password), ("acme/meter-2", gone)):
        stranger = MqttClient(mosquitto.port, username, wrong)
        assert not stranger.connect()
        stranger.close()
    mosquitto.access.grant("acme", "meter-2", gone)
    with MqttClient(mosquitto.port, "acme/meter-2", gone):
        pass


def test_a_device_can_be_taken_away_again_and_again(mosquitto: SecuredMosquitto):
    """Mosquitto 2.0.11 dies of a role that is deleted while a login has it, within some five times."""
    for _ in range(7):
        mosquitto.access.grant("acme", "meter-1", new_password())
        mosquitto.access.grant("acme", "meter-1", new_password(), "acme/meter-1/2")
        mosquitto.access.revoke("acme", "meter-1")
    mosquitto.access.grant("acme", "meter-2", password := new_password())
    with MqttClient(mosquitto.port, "acme/meter-2", password):
        pass


@pytest.mark.parametrize("whole_tenant", [False, True])
def test_orders_to_a_device_that_was_are_not_there_for_the_next_of_its_name(
    mosquitto: SecuredMosquitto, whole_tenant: bool
):
    """They wait in its session, which outlives the login: also for another tenant that gets the name."""
    former, later = new_password(), new_password()
    mosquitto.access.grant("acme", "meter-1", former)
    with MqttClient(mosquitto.port, CONTROL, mosquitto.passwords[CONTROL], client_id="control") as control:
        with MqttClient(mosquitto.port, "acme/meter-1", former, persistent=True) as device:
            assert device.subscribe(f"{OWN}/commands/+")
        assert control.publish(f"{OWN}/commands/unlock", "old") == "taken"
        if whole_tenant:
            mosquitto.access.forget_tenant("acme")
        else:
            mosquitto.access.revoke("acme", "meter-1")
        mosquitto.access.grant("acme", "meter-1", later)
        with MqttClient(mosquitto.port, "acme/meter-1", later, persistent=True) as device:
            assert control.publish(f"{OWN}/commands/unlock", "unheard") == "taken", "it is not subscribed"
            assert device.subscribe(f"{OWN}/commands/+")
            assert control.publish(f"{OWN}/commands/unlock", "new") == "taken"
            device.wait_for("new")
            assert [one.payload for one in device.received] == ["new"]


def test_ingest_shares_its_subscription_among_its_processes(mosquitto: SecuredMosquitto):
    password = new_password()
    mosquitto.access.grant("acme", "meter-1", password)
    workers = [
        MqttClient(mosquitto.port, INGEST, mosquitto.passwords[INGEST], client_id=f"ingest-{number}")
        for number in range(2)
    ]
    for worker in workers:
        assert worker.connect()
        assert worker.subscribe("$share/ingest/tenants/+/devices/+/telemetry")
        assert not worker.subscribe("$share/other/tenants/+/devices/+/telemetry")
    with MqttClient(mosquitto.port, "acme/meter-1", password) as device:
        for number in range(10):
            assert device.publish(f"{OWN}/telemetry", f"{number}") == "taken"
    eventually(lambda: sum(len(worker.received) for worker in workers) == 10, what="all ten readings")
    assert all(worker.received for worker in workers)
    for worker in workers:
        worker.close()


def test_a_device_that_comes_back_finds_no_desired_state_of_its_former_self(mosquitto: SecuredMosquitto):
    mosquitto.access.grant("acme", "meter-1", new_password())
    with MqttClient(mosquitto.port, CONTROL, mosquitto.passwords[CONTROL]) as control:
        control.publish(f"{OWN}/desired", "old", retain=True)
        mosquitto.access.revoke("acme", "meter-1")
        password = new_password()
        mosquitto.access.grant("acme", "meter-1", password)
        with MqttClient(mosquitto.port, "acme/meter-1", password) as device:
            assert device.subscribe(f"{OWN}/desired")
            control.publish(f"{OWN}/desired", "new")
            device.wait_for("new")
            assert [one.payload for one in device.received] == ["new"]


def test_two_logins_of_a_device_are_good_until_one_is_withdrawn(mosquitto: SecuredMosquitto):
    old, new = new_password(), new_password()
    mosquitto.access.grant("acme", "meter-1", old)
    mosquitto.access.grant("acme", "meter-1", new, "acme/meter-1/2")
    for username, password in (("acme/meter-1", old), ("acme/meter-1/2", new)):
        with MqttClient(mosquitto.port, username, password, client_id="acme/meter-1") as device:
            assert device.publish(f"{OWN}/telemetry", "1") == "taken"
    live = MqttClient(mosquitto.port, "acme/meter-1", old)
    assert live.connect()
    mosquitto.access.withdraw("acme", "meter-1", "acme/meter-1")
    live.wait_closed()
    live.close()
    stale = MqttClient(mosquitto.port, "acme/meter-1", old)
    assert not stale.connect()
    stale.close()
    with MqttClient(mosquitto.port, "acme/meter-1/2", new, client_id="acme/meter-1") as device:
        assert device.publish(f"{OWN}/telemetry", "1") == "taken"
    mosquitto.access.withdraw("acme", "meter-1", "acme/meter-1")  # again: nothing is left to take


def test_revoking_a_device_takes_all_its_logins_and_no_other_devices(mosquitto: SecuredMosquitto):
    password = new_password()
    logins = [("meter-1", None), ("meter-1", "acme/meter-1/2"), ("meter-1", "acme/meter-1/12")]
    for device, username in (*logins, ("meter-10", None)):
        mosquitto.access.grant("acme", device, password, username)
    live = MqttClient(mosquitto.port, "acme/meter-1/12", password, client_id="acme/meter-1")
    assert live.connect()
    mosquitto.access.revoke("acme", "meter-1")
    live.wait_closed()
    live.close()
    assert mosquitto.access.logins_of("acme") == ["acme/meter-10"]


def test_a_login_of_another_device_is_not_touched(mosquitto: SecuredMosquitto):
    mosquitto.access.grant("acme", "meter-2", new_password())
    for access in (mosquitto.access, RegistryReader()):
        for username in ("acme/meter-2", "globex/meter-1", "acme/meter-1/1", "acme/meter-1/x", ""):
            with pytest.raises(InvalidInput, match="no login of the device acme/meter-1"):
                access.grant("acme", "meter-1", new_password(), username)
            with pytest.raises(InvalidInput, match="no login of the device acme/meter-1"):
                access.withdraw("acme", "meter-1", username)
    assert mosquitto.access.logins_of("acme") == ["acme/meter-2"]


def test_what_drifted_from_the_registry_is_put_right_and_told(mosquitto: SecuredMosquitto):
    password = new_password()
    for device in ("well", "stray", "shut", "loose", "bent"):
        mosquitto.access.grant("acme", f"{device}-1", password)
    mosquitto.access.grant("acme", "well-1", password, "acme/well-1/2")
    mosquitto.access.grant("globex", "open-1", password)
    with MqttClient(mosquitto.port, CONTROL, mosquitto.passwords[CONTROL]) as control:
        for command in (
            {"command": "disableClient", "username": "acme/shut-1"},
            {"command": "modifyClient", "username": "acme/loose-1", "clientid": "acme/well-1"},
            {
                "command": "addRoleACL",
                "rolename": "device/acme/bent-1",
                "acltype": "publishClientSend",
                "topic": "tenants/#",
                "allow": True,
            },
            {"command": "createRole", "rolename": "device/acme/gone-1"},
        ):
            control.publish("$CONTROL/dynamic-security/v1", json.dumps({"commands": [command]}))
    wanted = [
        *(Login("acme", f"{one}-1", f"acme/{one}-1", False) for one in ("well", "shut", "loose", "bent")),
        Login("acme", "well-1", "acme/well-1/2", False),
        Login("acme", "lost-1", "acme/lost-1", False),
        Login("globex", "open-1", "globex/open-1", True),
    ]
    live = MqttClient(mosquitto.port, "globex/open-1", password)
    assert live.connect()
    drift = mosquitto.access.reconcile(lambda: wanted)
    live.wait_closed()
    live.close()
    assert drift == Drift(
        strays=("acme/stray-1",),
        missing=("acme/lost-1",),
        switched=("acme/shut-1", "globex/open-1"),
        altered=("acme/bent-1", "acme/loose-1"),
    )
    assert drift.repaired == 5
    for device in ("well", "shut", "loose", "bent"):
        with MqttClient(mosquitto.port, f"acme/{device}-1", password) as client:
            assert client.publish(f"tenants/acme/devices/{device}-1/telemetry", "1") == "taken"
            assert client.publish(f"{OWN}/telemetry", "1") == "refused"
    for username in ("acme/stray-1", "globex/open-1"):
        stranger = MqttClient(mosquitto.port, username, password)
        assert not stranger.connect()
        stranger.close()
    assert mosquitto.access.reconcile(lambda: wanted) == Drift(missing=("acme/lost-1",))


def test_a_login_that_is_granted_during_a_reconciliation_is_no_drift(mosquitto: SecuredMosquitto):
    mosquitto.access.grant("acme", "early-1", new_password())
    answers = [
        [Login("acme", "early-1", "acme/early-1", False)],
        [
            Login("acme", "early-1", "acme/early-1", False),
            Login("acme", "on-its-way-1", "acme/on-its-way-1", False),
        ],
    ]
    assert mosquitto.access.reconcile(lambda: answers.pop(0)) == Drift()
    assert answers == []


def test_administrators_at_work_together_get_their_own_answers(mosquitto: SecuredMosquitto):
    passwords = {f"lamp-{number}": new_password() for number in range(8)}
    failures: list[Exception] = []

    def provision(device: str) -> None:
        try:
            mosquitto.access.grant("acme", device, passwords[device])
        except Exception as error:
            failures.append(error)

    threads = [threading.Thread(target=provision, args=(device,)) for device in passwords]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures
    for device, password in passwords.items():
        with MqttClient(mosquitto.port, f"acme/{device}", password):
            pass


def test_a_service_can_be_granted_a_new_password(mosquitto: SecuredMosquitto):
    password = new_password()
    mosquitto.access.grant_service(INGEST, password)
    with MqttClient(mosquitto.port, INGEST, password, client_id="insula-ingest-0") as client:
        assert client.subscribe("tenants/+/devices/+/telemetry")
    stale = MqttClient(mosquitto.port, INGEST, mosquitto.passwords[INGEST])
    assert not stale.connect()
    stale.close()


def test_a_refused_administrator_is_told_which_settings_to_check(mosquitto: SecuredMosquitto):
    wrong = DynamicSecurity("127.0.0.1", mosquitto.port, CONTROL, "not-the-password")
    with pytest.raises(BrokerRefused, match="INSULA_BROKER_ADMIN_PASSWORD") as refusal:
        wrong.grant("acme", "meter-1", new_password())
    assert "not-the-password" not in str(refusal.value)
    powerless = DynamicSecurity("127.0.0.1", mosquitto.port, INGEST, mosquitto.passwords[INGEST])
    with pytest.raises(BrokerRefused, match="'insula-ingest'"):
        powerless.grant("acme", "meter-1", new_password())


def test_a_broker_that_is_away_or_has_no_plugin_is_said_to_be_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    with pytest.raises(BrokerUnreachable, match="cannot connect"):
        DynamicSecurity("127.0.0.1", free_port(), CONTROL, "x").grant("acme", "meter-1", new_password())
    monkeypatch.setattr("insula_tenants.broker.conversation.TIMEOUT", 0.3)
    server = MosquittoServer(tmp_path).start()
    with pytest.raises(BrokerUnreachable, match="does it run the dynamic-security plugin"):
        DynamicSecurity("127.0.0.1", server.port, CONTROL, "x").grant("acme", "meter-1", new_password())
    server.stop()


@pytest.mark.parametrize("bad", ["+", "#", "meter/1", "", "Meter", "meter-1/#"])
def test_a_name_that_is_no_slug_never_reaches_the_broker(bad: str):
    for access in (DynamicSecurity("127.0.0.1", free_port(), CONTROL, "x"), RegistryReader()):
        with pytest.raises(InvalidInput, match="device"):
            access.grant("acme", bad, new_password())
        with pytest.raises(InvalidInput, match="tenant"):
            access.revoke(bad, "meter-1")
        with pytest.raises(InvalidInput, match="insula-ingest"):
            access.grant_service(bad, new_password())


def test_the_settings_choose_the_access():
    assert isinstance(broker_access(TenantsSettings(broker_access="none")), RegistryReader)
    assert isinstance(
        broker_access(TenantsSettings(broker_access="dynamic-security", broker_admin_password="x")),
        DynamicSecurity,
    )
    with pytest.raises(ConfigurationError, match="INSULA_BROKER_ADMIN_PASSWORD"):
        broker_access(TenantsSettings(broker_access="dynamic-security"))


def test_devices_are_granted_and_speak_over_tls(tmp_path: Path):
    files = server_files(tmp_path / "certificates")
    server = SecuredMosquitto(tmp_path / "broker", files).start()
    settings = TenantsSettings(
        mqtt_port=server.tls_port,
        mqtt_tls=True,
        mqtt_ca_file=files.authority,
        broker_access="dynamic-security",
        broker_admin_password=server.passwords[CONTROL],
    )
    password = new_password()
    broker_access(settings).grant("acme", "meter-1", password)
    trusting = ssl.create_default_context(cafile=files.authority)
    with MqttClient(server.tls_port, "acme/meter-1", password, tls=trusting) as device:
        assert device.publish(f"{OWN}/telemetry", "1") == "taken"
        assert device.publish("tenants/acme/devices/meter-2/telemetry", "1") == "refused"
    server.stop()
