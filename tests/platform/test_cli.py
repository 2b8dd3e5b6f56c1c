"""The command line, as an operator uses it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner

from insula_platform.cli import app as command_line
from insula_tenants.broker import CONTROL
from tests.conftest import Deployment
from tests.servers.mosquitto import SecuredMosquitto
from tests.servers.mqtt import MqttClient


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SecuredMosquitto]:
    server = SecuredMosquitto(tmp_path_factory.mktemp("broker")).start()
    yield server
    server.stop()


@pytest.fixture(scope="module")
def environment(deployment: Deployment, broker: SecuredMosquitto) -> dict[str, str]:
    """What an operator has in the environment."""
    return {
        "INSULA_DATABASE_URL": deployment.service_url,
        "INSULA_DATABASE_ADMIN_URL": deployment.admin_url,
        "INSULA_MQTT_PORT": str(broker.port),
        "INSULA_BROKER_ACCESS": "dynamic-security",
        "INSULA_BROKER_ADMIN_PASSWORD": broker.passwords[CONTROL],
        "COLUMNS": "200",
    }


def insula(*arguments: str, env: dict[str, str]) -> subprocess.CompletedProcess[str]:
    """Run `insula` with these arguments."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("INSULA_")}
    return subprocess.run(
        [sys.executable, "-m", "insula_platform", *arguments],
        env=clean | env,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_a_tenant_is_created_and_listed(environment: dict[str, str]):
    made = insula("tenant", "create", "initech", "--name", "Initech", env=environment)
    assert made.returncode == 0, made.stderr
    listed = json.loads(insula("tenant", "list", "--json", env=environment).stdout)
    (tenant,) = [each for each in listed if each["slug"] == "initech"]
    assert tenant["name"] == "Initech"
    assert tenant["status"] == "active"
    assert "Initech" in insula("tenant", "list", env=environment).stdout


def test_a_mistake_is_one_line_with_the_fix_and_an_exit_code(environment: dict[str, str]):
    for arguments, expected in (
        (("tenant", "create", "ACME", "--name", "x"), "use 3 to 40 lower-case letters"),
        (("tenant", "create", "acme", "--name", "x"), "there is a tenant 'acme' already"),
        (("device", "add", "lamp", "--tenant", "nobody", "--name", "x"), "there is no tenant 'nobody'"),
        (
            ("device", "add", "lamp", "--tenant", "acme", "--name", "x", "--gateway", "none"),
            "register the gateway first",
        ),
        (
            ("device", "add", "lamp", "--tenant", "acme", "--name", "x", "--place", "here"),
            "site/building/storey",
        ),
    ):
        failed = insula(*arguments, env=environment)
        assert failed.returncode == 1, arguments
        assert expected in failed.stderr
        assert "Traceback" not in failed.stderr


def test_without_a_database_the_setting_is_named():
    failed = insula("migrate", env={})
    assert failed.returncode == 1
    assert "INSULA_DATABASE_ADMIN_URL is not set" in failed.stderr


def test_an_added_device_connects_with_what_was_told(environment: dict[str, str], broker: SecuredMosquitto):
    place = "Brussels/Forum/Ground floor/Lobby"
    added = insula(
        *("device", "add", "lobby-lamp", "--tenant", "acme", "--name", "Lamp", "--place", place, "--json"),
        env=environment,
    )
    assert added.returncode == 0, added.stderr
    told = json.loads(added.stdout)
    assert told["topic"] == "tenants/acme/devices/lobby-lamp/telemetry"
    assert told["broker"] == f"127.0.0.1:{broker.port}"
    with MqttClient(broker.port, told["username"], told["password"]) as client:
        assert client.publish(told["topic"], '{"on": true}') == "taken"


def test_a_lost_password_is_replaced(environment: dict[str, str], broker: SecuredMosquitto):
    def run(*words: str) -> dict[str, str]:
        done = insula("device", *words, "--tenant", "acme", "--json", env=environment)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    old = run("add", "gate-lamp", "--name", "Lamp")
    new = run("password", "gate-lamp")
    assert new["password"] != old["password"]
    assert not MqttClient(broker.port, old["username"], old["password"]).connect()
    with MqttClient(broker.port, new["username"], new["password"]) as client:
        assert client.publish(new["topic"], '{"on": true}') == "taken"


def test_a_devices_whole_life_at_a_terminal(environment: dict[str, str], broker: SecuredMosquitto):
    def run(*words: str) -> str:
        # In this process: a dozen of their own would take as many seconds.
        asked = ["device", *words, "--tenant", "acme"]
        done = CliRunner().invoke(command_line, asked, env=environment | {"COLUMNS": "200"})
        assert done.exit_code == 0, done.output
        return done.stdout

    types = {one["id"]: one for one in json.loads(run("types", "--json"))}
    assert types["shelly-ht"]["points"] == ["temperature", "humidity", "battery"]
    label = ("--type", "shelly-ht", "--label", "zone=east")
    first = json.loads(run("add", "hall-climate", "--name", "Climate", *label, "--json"))
    second = json.loads(run("rotate", "hall-climate", "--json"))
    assert second["username"] == "acme/hall-climate/2"
    assert second["others_end_at"] is not None
    for told in (first, second):
        with MqttClient(broker.port, told["username"], told["password"], client_id=told["client_id"]):
            pass
    assert "revoked" in run("revoke", "hall-climate", "1")
    assert not MqttClient(broker.port, first["username"], first["password"]).connect()
    shown = json.loads(run("show", "hall-climate", "--json"))
    assert (shown["type"], shown["labels"]) == ("shelly-ht", {"zone": "east"})
    assert [one["state"] for one in shown["credentials"]] == ["good", "revoked"]
    for word in ("hall-climate", "Zone_Air_Humidity_Sensor", "percent"):
        assert word in run("show", "hall-climate")
    run("decommission", "hall-climate")
    listed = json.loads(run("list", "--state", "decommissioned", "--json"))
    assert [one["id"] for one in listed] == ["hall-climate"]
    back = json.loads(run("reactivate", "hall-climate", "--json"))
    with MqttClient(broker.port, back["username"], back["password"], client_id=back["client_id"]) as client:
        assert client.publish(back["topic"], "{}") == "taken"


def test_migrate_and_doctor_say_what_this_stands_on(environment: dict[str, str], deployment: Deployment):
    migrated = json.loads(insula("migrate", "--json", env=environment).stdout)
    assert migrated["failed"] == {}
    assert {"acme", "globex"} <= set(migrated["migrated"])
    well = insula("doctor", env=environment)
    assert well.returncode == 0, well.stdout
    assert f"storage engine: {deployment.report.engine}" in well.stdout
    unwell = insula("doctor", env=environment | {"INSULA_MQTT_PORT": "1"})
    assert unwell.returncode == 1
    assert "127.0.0.1:1: Connection refused" in unwell.stdout


def test_a_secret_may_come_from_a_file(environment: dict[str, str], tmp_path: Path):
    file = tmp_path / "url"
    file.write_text(environment["INSULA_DATABASE_URL"] + "\n")
    env = {name: value for name, value in environment.items() if name != "INSULA_DATABASE_URL"}
    assert insula("tenant", "list", env=env | {"INSULA_DATABASE_URL_FILE": str(file)}).returncode == 0
