"""Many devices, claim codes and enrolments at a terminal: the same acts as the API's."""

from __future__ import annotations

import csv
import io
import json
import stat
from collections.abc import Iterator
from itertools import count
from pathlib import Path

import pytest
from click.testing import Result
from typer.testing import CliRunner

from insula_platform.cli import app as command_line
from insula_tenants.audit import list_entries
from insula_tenants.broker import CONTROL
from insula_tenants.devices import find_device
from insula_tenants.enrolment import claims, holding
from insula_tenants.errors import InsulaError, NotFound
from insula_tenants.spaces import ensure_space
from tests.conftest import Deployment
from tests.servers.mosquitto import SecuredMosquitto, free_port
from tests.servers.mqtt import MqttClient

PLACE = "HQ/Main/Ground floor/Lobby"
_numbers = count(1)


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SecuredMosquitto]:
    server = SecuredMosquitto(tmp_path_factory.mktemp("broker")).start()
    yield server
    server.stop()


class Terminal:
    """An operator's, with acme's devices; each command runs in this process."""

    def __init__(self, deployment: Deployment, broker: SecuredMosquitto) -> None:
        self.deployment = deployment
        self.broker = broker
        self.environment = {
            "INSULA_DATABASE_URL": deployment.service_url,
            "INSULA_MQTT_PORT": str(broker.port),
            "INSULA_BROKER_ACCESS": "dynamic-security",
            "INSULA_BROKER_ADMIN_PASSWORD": broker.passwords[CONTROL],
            "COLUMNS": "200",
        }

    def type(self, *words: object, tenant: str = "acme", **environment: str) -> Result:
        """What came of `insula device …`."""
        asked = ["device", *map(str, words), "--tenant", tenant]
        return CliRunner().invoke(command_line, asked, env=self.environment | environment)

    def said(self, *words: object) -> str:
        """Standard output of a command that succeeds."""
        done = self.type(*words)
        assert done.exit_code == 0, (done.output, done.exception)
        return done.stdout

    def is_there(self, device: str) -> bool:
        with self.deployment.databases.tenant(self.deployment.acme) as session:
            try:
                find_device(session, device)
            except NotFound:
                return False
        return True

    def admits(self, login: dict[str, str]) -> bool:
        client = MqttClient(
            self.broker.port, login["username"], login["password"], client_id=login["client_id"]
        )
        try:
            return client.connect()
        finally:
            client.close()

    def audited(self, target: str) -> list[tuple[str, str]]:
        """Actions on it, and who did them."""
        with self.deployment.databases.core() as core:
            entries = list_entries(core, tenant=self.deployment.acme.id, limit=1000)
            return [(one.action, one.actor_kind) for one in entries if one.target == target]


@pytest.fixture(scope="module")
def terminal(deployment: Deployment, broker: SecuredMosquitto) -> Terminal:
    with deployment.databases.tenant(deployment.acme) as session:
        site, building, storey, name = PLACE.split("/")
        ensure_space(
            session, site=site, building=building, time_zone="UTC", storey=storey, level=0, name=name
        )
    return Terminal(deployment, broker)


@pytest.fixture
def prefix() -> str:
    return f"typed{next(_numbers)}"


@pytest.fixture
def sheet(tmp_path: Path, prefix: str) -> Path:
    """Two good rows, and one bad one between them."""
    file = tmp_path / "devices.csv"
    file.write_text(
        "device,name,type,space\n"
        f"{prefix}-1,One,temperature-sensor,{PLACE}\n"
        f"{prefix}-2,Two,[bold]no-type,{PLACE}\n"
        f"{prefix}-3,Three,,\n"
    )
    return file


def logins(written: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(written)))


def test_bad_rows_are_told_and_keep_the_others_out(terminal: Terminal, sheet: Path, prefix: str):
    for more in ((), ("--dry-run",)):
        refused = terminal.type("import", sheet, *more)
        assert refused.exit_code == 1
        assert f"{prefix}-2" in refused.output
        assert "there is no device type '[bold]no-type'" in refused.output
        assert "2 new, 0 unchanged, 1 bad" in refused.output
        assert "--on-error skip" in refused.output
    assert "2 new" in terminal.said("import", sheet, "--dry-run", "--on-error", "skip")
    assert not terminal.is_there(f"{prefix}-1")


def test_a_file_brings_devices_in_and_their_logins_are_for_its_owner(
    terminal: Terminal, sheet: Path, prefix: str, tmp_path: Path
):
    out = tmp_path / "logins.csv"
    said = terminal.said("import", sheet, "--on-error", "skip", "--credentials", out)
    told = logins(out.read_text())
    assert [one["device"] for one in told] == [f"{prefix}-1", f"{prefix}-3"]
    assert stat.S_IMODE(out.stat().st_mode) == 0o600
    assert all(terminal.admits(one) for one in told)
    assert told[0]["password"] not in said
    assert terminal.audited(f"{prefix}-1") == [("device.created", "operator")]
    # Again, nothing is new; and a file of logins is never written over.
    kept = out.read_text()
    assert terminal.said("import", sheet, "--on-error", "skip") == ""
    sheet.write_text(f"device,name\n{prefix}-4,Four\n")
    refused = terminal.type("import", sheet, "--credentials", out)
    assert isinstance(refused.exception, InsulaError)
    assert out.read_text() == kept
    assert not terminal.is_there(f"{prefix}-4")


def test_json_goes_in_and_logins_come_out_at_standard_output(terminal: Terminal, prefix: str, tmp_path: Path):
    file = tmp_path / "devices.json"
    file.write_text(json.dumps([{"device": f"{prefix}-1", "name": "One", "labels": {"a": "b"}}]))
    (told,) = logins(terminal.said("import", file))
    assert terminal.admits(told)


def test_a_broker_that_is_away_leaves_nothing_behind(terminal: Terminal, prefix: str, tmp_path: Path):
    file, out = tmp_path / "devices.csv", tmp_path / "logins.csv"
    file.write_text(f"device,name,gateway\n{prefix}-gw,Gateway,\n{prefix}-1,Child,{prefix}-gw\n")
    failed = terminal.type("import", file, "--credentials", out, INSULA_MQTT_PORT=str(free_port()))
    assert isinstance(failed.exception, InsulaError)
    assert not out.exists()
    assert not terminal.is_there(f"{prefix}-gw")
    assert terminal.audited(f"{prefix}-gw") == []
    terminal.said("import", file, "--credentials", out)
    assert all(terminal.admits(one) for one in logins(out.read_text()))


@pytest.mark.parametrize(
    ("name", "said"), [("devices.txt", ".csv or .json"), ("missing.csv", "No such file")]
)
def test_a_file_that_is_none_is_named(terminal: Terminal, tmp_path: Path, name: str, said: str):
    (tmp_path / "devices.txt").write_text("device,name\nlamp-1,Lamp\n")
    refused = terminal.type("import", tmp_path / name)
    assert isinstance(refused.exception, InsulaError)
    assert said in refused.exception.detail


def test_claim_codes_are_written_once_and_are_good(terminal: Terminal, prefix: str, tmp_path: Path):
    out = tmp_path / "codes.csv"
    words = ("claim-codes", "--name", "Boxes", "--count", "3", "--prefix", prefix, "--space", PLACE)
    assert terminal.said(*words, "--type", "temperature-sensor", "--out", out) == ""
    assert stat.S_IMODE(out.stat().st_mode) == 0o600
    codes = logins(out.read_text())
    assert [one["device"] for one in codes] == [f"{prefix}-{n}" for n in (1, 2, 3)]
    databases = terminal.deployment.databases
    with databases.core() as core:
        claimed = claims.claim(
            core, databases, terminal.broker.access, codes[1]["code"], serial="S-2", address="192.0.2.1"
        )
    assert claimed.device == f"{prefix}-2"
    with databases.tenant(terminal.deployment.acme) as session:
        assert find_device(session, f"{prefix}-2").space_id is not None
    assert terminal.audited("Boxes") == [("claim_batch.created", "operator")]
    refused = terminal.type(*words[:-1], "HQ/Nowhere/1/2", "--out", tmp_path / "none.csv")
    assert "site/building/storey/space" in str(refused.exception)
    assert not (tmp_path / "none.csv").exists()


def test_a_fleets_key_and_what_is_decided_on_its_devices(terminal: Terminal, prefix: str):
    said = terminal.said("provisioning-key", "--name", "Fleet", "--prefix", prefix, "--json")
    made = json.loads(said)
    databases = terminal.deployment.databases

    def announce(serial: str) -> holding.Announced:
        with databases.core() as core:
            return holding.announce(
                core,
                databases,
                made["secret"],
                serial=serial,
                device_type=None,
                name=None,
                address="192.0.2.1",
            )

    good, bad = announce(f"{prefix}-[red]A"), announce(f"{prefix}-B")
    ours = [one for one in json.loads(terminal.said("enrolments", "--json")) if one["id"] == str(good.id)]
    assert [one["state"] for one in ours] == ["waiting"]
    assert f"{prefix}-[red]A" in terminal.said("enrolments", "--state", "waiting")
    assert "approved" in terminal.said("approve", good.id, "--device", f"{prefix}-a", "--space", PLACE)
    assert "rejected" in terminal.said("reject", bad.id)
    assert f"{prefix}-B" not in terminal.said("enrolments", "--state", "waiting")
    assert isinstance(terminal.type("reject", good.id, tenant="globex").exception, NotFound)
    with databases.core() as core:
        fetched = holding.fetch_login(
            core,
            databases,
            terminal.broker.access,
            made["secret"],
            good.id,
            good.secret,
            address="192.0.2.1",
        )
    assert fetched.device == f"{prefix}-a"
