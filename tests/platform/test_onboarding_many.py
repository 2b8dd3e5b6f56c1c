"""Devices brought in by the many, from nothing to a value in the API: over real TLS, at a real broker."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from insula_tenants.spaces import ensure_space
from tests.platform.conftest import Live
from tests.platform.onboarding import Site, audited, latest, run_in, site, taking_in, work
from tests.servers.programs import program
from tests.waiting import eventually

PLACE = "HQ/Main/Ground floor/Lobby"


@pytest.fixture(scope="module")
def acme(live: Live, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with site(live, tmp_path_factory.mktemp("site")) as made:
        yield made


@pytest.fixture(scope="module", autouse=True)
def ingest(acme: Site, tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with taking_in(acme, tmp_path_factory.mktemp("ingest")):
        yield


@pytest.fixture(scope="module")
def lobby(live: Live) -> int:
    site, building, storey, name = PLACE.split("/")
    with live.deployment.databases.tenant(live.deployment.acme) as session:
        return ensure_space(
            session, site=site, building=building, time_zone="UTC", storey=storey, level=0, name=name
        )


def publish(acme: Site, directory: Path, told: dict[str, Any]) -> None:
    """As the answer says; whoever trusts another authority sends nothing."""
    assert told["broker"]["tls"]
    snippet = told["snippets"]["mosquitto_pub"]
    done = run_in(directory, snippet, told["broker"]["ca"])
    assert done.returncode == 0, done.stderr
    assert acme.broker.files is not None
    assert run_in(directory / "other", snippet, acme.broker.files.key.read_text()).returncode != 0


def is_in_the_lobby(acme: Site, device: str, lobby: int) -> bool:
    shown = acme.ask("GET", f"devices/{device}").json()
    return (shown["type"], shown["space_id"]) == ("temperature-sensor", lobby)


def test_by_file(acme: Site, lobby: int, tmp_path: Path):
    """Taken in by the API, done by a worker that finds the job in its queue."""
    rows = [f"sheet-{n},Sheet {n},temperature-sensor,{PLACE}\n" for n in range(120)]
    taken = acme.http.post(
        "/api/v1/tenants/acme/device-imports",
        content="device,name,type,space\n" + "".join(rows),
        headers={"Authorization": f"Bearer {acme.tokens['acme']}", "Content-Type": "text/csv"},
    )
    assert (taken.status_code, taken.json()["state"]) == (202, "waiting")
    where = taken.headers["location"].partition("/acme/")[2]
    assert acme.ask("GET", "devices/sheet-7").status_code == 404
    work(acme)
    shown = acme.ask("GET", where).json()
    assert (shown["state"], shown["done"], shown["has_credentials"]) == ("done", 120, True)
    answer = acme.ask("POST", f"{where}/credentials")
    assert acme.ask("POST", f"{where}/credentials").status_code == 409
    told = {one["device"]: one for one in csv.DictReader(io.StringIO(answer.text))}
    assert len(told) == 120

    login, other = told["sheet-7"], told["sheet-119"]
    assert login["tls"] == "true"
    command = [
        *(program("mosquitto_pub"), "-h", login["host"], "-p", login["port"], "--cafile", "insula-ca.pem"),
        *("-V", "5", "-q", "1", "-i", login["client_id"], "-u", login["username"], "-P", login["password"]),
        *("-t", login["telemetry_topic"], "-m", '{"temperature": 21.5}'),
    ]
    done = run_in(tmp_path, command, acme.ask("GET", "devices/sheet-7/connection").json()["broker"]["ca"])
    assert done.returncode == 0, done.stderr
    eventually(lambda: latest(acme, "sheet-7") == {"temperature": 21.5}, what="the value")
    assert is_in_the_lobby(acme, "sheet-7", lobby)
    assert acme.admits(other)
    assert not acme.admits(other | {"password": login["password"]})
    assert acme.ask("GET", "devices/sheet-7", tenant="globex").status_code == 404


def test_by_claim_code(acme: Site, lobby: int, tmp_path: Path):
    asked = {"name": "Boxes", "count": 2, "prefix": "box", "type": "temperature-sensor", "space_id": lobby}
    codes = acme.ask("POST", "claim-batches", asked).json()["codes"]
    answer = acme.http.post("/api/v1/claims", json={"code": codes[1].lower(), "serial": "A4C13800"})
    assert answer.status_code == 201, answer.text
    told = answer.json()
    assert (told["tenant"], told["device"]) == ("acme", "box-2")
    publish(acme, tmp_path, told)
    eventually(lambda: latest(acme, "box-2") == {"temperature": 21.5}, what="the value")
    assert is_in_the_lobby(acme, "box-2", lobby)
    assert [action for action, _ in audited(acme.live, "box-2")] == ["device.created", "device.claimed"]
    again = acme.http.post("/api/v1/claims", json={"code": codes[1]})
    assert (again.status_code, again.json()["type"]) == (404, "/problems/claim-refused")
    assert acme.admits(told["credentials"])


def test_by_announcement_and_approval(acme: Site, lobby: int, tmp_path: Path):
    made = acme.ask("POST", "provisioning-keys", {"name": "Fleet", "prefix": "fleet"}).json()
    carried = {"Authorization": f"Bearer {made['secret']}"}
    said = {"serial": "S-1", "type": "temperature-sensor"}
    announced = acme.http.post("/api/v1/enrolments", json=said, headers=carried).json()
    path = f"/api/v1/enrolments/{announced['enrolment']}/login"

    def ask() -> httpx.Response:
        return acme.http.post(path, json={"secret": announced["secret"]}, headers=carried)

    assert ask().json() == {"state": "waiting"}
    decision = f"enrolments/{announced['enrolment']}/approve"
    approval = {"device": "newcomer", "space_id": lobby}
    assert acme.ask("POST", decision, approval, tenant="globex").status_code == 404
    assert acme.ask("GET", "devices/newcomer").status_code == 404
    assert acme.ask("POST", decision, approval).status_code == 200
    answer = ask()
    assert answer.status_code == 201, answer.text
    publish(acme, tmp_path, answer.json())
    eventually(lambda: latest(acme, "newcomer") == {"temperature": 21.5}, what="the value")
    assert is_in_the_lobby(acme, "newcomer", lobby)
    assert ask().status_code == 409
