"""Devices that announce themselves: held, decided on, let in once, and no further than their key says."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from typing import Any

import httpx
import pytest
from sqlalchemy import text

from insula_platform.broker.device_logins import DeviceLogins
from insula_platform.signin import attempts
from insula_tenants.broker import BrokerUnreachable
from insula_tenants.broker.access import DeviceGrant, RegistryReader
from insula_tenants.devices import find_device
from insula_tenants.spaces import ensure_space
from tests.platform.conftest import Live
from tests.platform.test_devices_api import Program

_numbers = count(1)


@pytest.fixture(scope="module")
def http(live: Live) -> Iterator[httpx.Client]:
    with live.client() as client:
        yield client


@pytest.fixture(scope="module")
def acme(live: Live, http: httpx.Client) -> Program:
    return Program(live, http, "acme")


@pytest.fixture(scope="module")
def globex(live: Live, http: httpx.Client) -> Program:
    return Program(live, http, "globex")


@pytest.fixture
def few_guesses(monkeypatch: pytest.MonkeyPatch) -> None:
    """Five in place of a hundred, to save time."""
    monkeypatch.setattr(attempts, "PER_ADDRESS", attempts.PER_ADDRESS._replace(most=5))


@pytest.fixture(autouse=True)
def forgiven(live: Live) -> Iterator[None]:
    yield
    with live.deployment.databases.core() as core:
        core.execute(text("DELETE FROM signin_attempts"))


class Fleet:
    """Devices that carry the same key."""

    def __init__(self, http: httpx.Client, program: Program, **more: Any) -> None:
        self._http = http
        self.prefix = f"fleet{next(_numbers)}"
        answer = program.ask("POST", "provisioning-keys", {"name": "Fleet", "prefix": self.prefix} | more)
        assert answer.status_code == 201, answer.text
        self.id, self.secret = answer.json()["key"]["id"], answer.json()["secret"]

    def announce(self, serial: str, **more: Any) -> httpx.Response:
        return self._http.post("/api/v1/enrolments", json={"serial": serial} | more, headers=self._headers)

    def fetch(self, announced: dict[str, Any]) -> httpx.Response:
        path = f"/api/v1/enrolments/{announced['enrolment']}/login"
        return self._http.post(path, json={"secret": announced["secret"]}, headers=self._headers)

    @property
    def _headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.secret}"}


def approve(program: Program, announced: dict[str, Any], device: str, **more: Any) -> httpx.Response:
    return program.ask("POST", f"enrolments/{announced['enrolment']}/approve", {"device": device} | more)


def may_sign_in(live: Live, username: str, password: str) -> bool:
    logins = DeviceLogins(live.deployment.databases)
    return asyncio.run(logins.verify(username, password)) is not None


def test_a_device_waits_until_it_is_approved_and_gets_its_login_once(
    live: Live, acme: Program, http: httpx.Client
):
    fleet = Fleet(http, acme)
    answer = fleet.announce("S-1", type="temperature-sensor", name="By the window")
    assert answer.status_code == 202
    announced = answer.json()
    assert (announced["tenant"], announced["state"]) == ("acme", "waiting")
    assert fleet.fetch(announced).status_code == 202
    waiting = acme.ask("GET", "enrolments?state=waiting").json()["items"]
    assert [one["serial"] for one in waiting if one["id"] == announced["enrolment"]] == ["S-1"]
    assert approve(acme, announced, "window-1").json()["state"] == "approved"
    login = fleet.fetch(announced)
    assert login.status_code == 201, login.text
    told = login.json()
    assert told["device"] == "window-1"
    assert may_sign_in(live, **_login(told))
    with live.deployment.databases.tenant(live.deployment.acme) as session:
        device = find_device(session, "window-1")
    assert (device.name, device.serial, device.type) == ("By the window", "S-1", "temperature-sensor")
    assert fleet.fetch(announced).status_code == 409


def test_a_rule_lets_known_serial_numbers_in_and_no_others(acme: Program, http: httpx.Client):
    fleet = Fleet(http, acme, approved_serials=["AB-1*"])
    known = fleet.announce("AB-100").json()
    assert known["state"] == "approved"
    assert fleet.fetch(known).json()["device"] == f"{fleet.prefix}-ab-100"
    assert fleet.announce("AB-200").json()["state"] == "waiting"
    assert fleet.announce("xAB-1").json()["state"] == "waiting"


def test_a_rule_lets_in_where_the_space_of_its_key_is_gone(live: Live, acme: Program, http: httpx.Client):
    with live.deployment.databases.tenant(live.deployment.acme) as session:
        place = {"site": "S", "building": "B", "time_zone": "UTC", "storey": "0", "level": 0}
        spaces = [ensure_space(session, **place, name=name) for name in ("Stays", "Goes")]
    fleets = [Fleet(http, acme, approved_serials=["AB*"], space_id=space) for space in spaces]
    assert acme.ask("DELETE", f"spaces/{spaces[1]}").status_code == 204
    for fleet, space in zip(fleets, (spaces[0], None), strict=True):
        known = fleet.announce("AB-1").json()
        assert known["state"] == "approved"
        device = fleet.fetch(known).json()["device"]
        assert acme.ask("GET", f"devices/{device}").json()["space_id"] == space


def test_no_rule_hands_over_a_device_that_is_there(live: Live, acme: Program, http: httpx.Client):
    fleet = Fleet(http, acme, approved_serials=["*"])
    first = fleet.fetch(fleet.announce("S-1").json()).json()
    thief = fleet.announce("S-1").json()
    assert thief["state"] == "waiting"
    assert fleet.fetch(thief).status_code == 202
    assert may_sign_in(live, **_login(first))
    assert approve(acme, thief, "another-name").status_code == 409
    assert approve(acme, thief, first["device"]).status_code == 200
    second = fleet.fetch(thief).json()
    assert may_sign_in(live, **_login(second))
    assert not may_sign_in(live, **_login(first))


def test_an_approval_is_for_the_announcement_that_was_seen(acme: Program, http: httpx.Client):
    fleet = Fleet(http, acme)
    seen = fleet.announce("S-1").json()
    approve(acme, seen, "seen-1")
    later = fleet.announce("S-1").json()
    assert later["enrolment"] == seen["enrolment"]
    assert fleet.fetch(seen).status_code == 404
    assert fleet.fetch(later).status_code == 202


def test_a_rejected_device_may_not_ask_again(acme: Program, http: httpx.Client):
    fleet = Fleet(http, acme)
    announced = fleet.announce("S-1").json()
    assert acme.ask("POST", f"enrolments/{announced['enrolment']}/reject").json()["state"] == "rejected"
    for answer in (fleet.announce("S-1"), fleet.fetch(announced)):
        assert (answer.status_code, answer.json()["type"]) == (403, "/problems/enrolment-rejected")


def test_a_login_is_made_once_also_when_it_is_fetched_many_times_at_once(
    live: Live, acme: Program, http: httpx.Client
):
    fleet = Fleet(http, acme, approved_serials=["*"])
    announced = fleet.announce("S-1").json()

    def fetch(_: int) -> int:
        with live.client() as own:
            path = f"/api/v1/enrolments/{announced['enrolment']}/login"
            headers = {"Authorization": f"Bearer {fleet.secret}"}
            return own.post(path, json={"secret": announced["secret"]}, headers=headers).status_code

    with ThreadPoolExecutor(5) as pool:
        assert sorted(pool.map(fetch, range(5))) == [201, 409, 409, 409, 409]


def test_a_device_that_was_made_meanwhile_is_not_handed_over(live: Live, acme: Program, http: httpx.Client):
    fleet = Fleet(http, acme)
    announced = fleet.announce("S-1").json()
    assert approve(acme, announced, f"{fleet.prefix}-lobby").status_code == 200
    made = acme.ask("POST", "devices", {"id": f"{fleet.prefix}-lobby", "name": "Lobby"}).json()
    refused = fleet.fetch(announced)
    assert (refused.status_code, "made meanwhile" in refused.json()["detail"]) == (409, True)
    login = made["credentials"]
    assert may_sign_in(live, login["username"], login["password"])
    assert fleet.fetch(announced).status_code == 202
    assert approve(acme, announced, f"{fleet.prefix}-lobby").status_code == 409
    assert approve(acme, announced, f"{fleet.prefix}-hall").status_code == 200
    assert fleet.fetch(announced).json()["device"] == f"{fleet.prefix}-hall"


def test_of_two_that_were_approved_by_the_same_name_one_is_it(live: Live, acme: Program, http: httpx.Client):
    fleet = Fleet(http, acme)
    name = f"{fleet.prefix}-lobby"
    first, second = fleet.announce("S-1").json(), fleet.announce("S-2").json()
    assert approve(acme, first, name).status_code == 200
    with live.deployment.databases.tenant(live.deployment.acme) as session:  # as two at a time do
        session.execute(
            text("UPDATE enrolments SET state = 'approved', device = :name WHERE id = :id"),
            {"name": name, "id": second["enrolment"]},
        )
    login = fleet.fetch(first).json()
    assert fleet.fetch(second).status_code == 409
    assert may_sign_in(live, **_login(login))


def test_a_rejection_is_not_lost_on_a_device_that_fetches_its_login(
    live: Live, acme: Program, http: httpx.Client
):
    fleet = Fleet(http, acme)
    announced = fleet.announce("S-1").json()
    approve(acme, announced, f"{fleet.prefix}-lobby")
    rejections: list[int] = []

    class Rejecting(RegistryReader):
        """Somebody rejects the device while it is being let in; the broker is away then."""

        def grant_many(self, grants: Iterable[DeviceGrant]) -> None:
            rejections.append(acme.ask("POST", f"enrolments/{announced['enrolment']}/reject").status_code)
            if len(rejections) == 1:
                raise BrokerUnreachable("it is away")
            super().grant_many(grants)

    before = live.platform.broker
    object.__setattr__(live.platform, "broker", Rejecting())
    try:
        assert fleet.fetch(announced).status_code == 503
        assert fleet.fetch(announced).status_code == 201
    finally:
        object.__setattr__(live.platform, "broker", before)
    assert rejections == [409, 409]
    assert fleet.fetch(announced).status_code == 409


def test_a_key_lets_so_many_in_of_these_types_until_it_is_revoked(acme: Program, http: httpx.Client):
    fleet = Fleet(http, acme, most_devices=1, types=["temperature-sensor"])
    assert "temperature-sensor" in fleet.announce("S-1", type="door-sensor").json()["detail"]
    announced = fleet.announce("S-1", type="temperature-sensor").json()
    assert fleet.announce("S-2", type="temperature-sensor").status_code == 409
    assert fleet.announce("S-1", type="temperature-sensor").status_code == 202
    assert acme.ask("DELETE", f"provisioning-keys/{fleet.id}").status_code == 204
    for answer in (fleet.announce("S-1", type="temperature-sensor"), fleet.fetch(announced)):
        assert (answer.status_code, answer.json()["type"]) == (401, "/problems/provisioning-key-refused")


def test_the_other_tenant_sees_and_decides_nothing(acme: Program, globex: Program, http: httpx.Client):
    fleet = Fleet(http, acme)
    announced = fleet.announce("S-1").json()
    assert announced["enrolment"] not in globex.ask("GET", "enrolments").text
    assert fleet.id not in globex.ask("GET", "provisioning-keys").text
    assert approve(globex, announced, "stolen-1").status_code == 404
    assert globex.ask("POST", f"enrolments/{announced['enrolment']}/reject").status_code == 404
    assert globex.ask("DELETE", f"provisioning-keys/{fleet.id}").status_code == 404
    other = Fleet(http, globex)
    assert other.fetch(announced).status_code == 404
    assert fleet.fetch(announced).status_code == 202


@pytest.mark.usefixtures("few_guesses")
def test_guessing_keys_is_throttled(acme: Program, http: httpx.Client):
    fleet = Fleet(http, acme)
    good, fleet.secret = fleet.secret, "isp_guessed"
    answers = [fleet.announce("S-1").status_code for _ in range(6)]
    assert answers == [401] * 5 + [429]
    fleet.secret = good
    assert fleet.announce("S-1").status_code == 429


def test_a_key_opens_nothing_but_enrolment(acme: Program, http: httpx.Client):
    fleet = Fleet(http, acme)
    headers = {"Authorization": f"Bearer {fleet.secret}"}
    assert http.get("/api/v1/tenants/acme/devices", headers=headers).status_code == 401
    assert http.post("/api/v1/enrolments", json={"serial": "S-1"}).status_code == 401


def _login(told: dict[str, Any]) -> dict[str, str]:
    return {name: told["credentials"][name] for name in ("username", "password")}
