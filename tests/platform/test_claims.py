"""Claim codes: made for a batch, traded once for a device's login, worth nothing to who guesses."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from sqlalchemy import text

from insula_platform.signin import attempts
from insula_platform.worker.app import forget_expired
from insula_tenants.devices import find_device
from insula_tenants.enrolment.codes import ALPHABET, new_code, read_code
from insula_tenants.errors import InvalidInput
from insula_tenants.spaces import ensure_space
from tests.platform.conftest import Live
from tests.platform.test_devices_api import Program


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
    """No test waits for what another has guessed."""
    yield
    with live.deployment.databases.core() as core:
        core.execute(text("DELETE FROM signin_attempts"))


def make(program: Program, count: int = 1, **more: Any) -> dict[str, Any]:
    asked = {"name": "Delivery", "count": count, "prefix": f"d{new_code()[:4].lower()}", "expires_in": 3600}
    answer = program.ask("POST", "claim-batches", asked | more)
    assert answer.status_code == 201, answer.text
    made: dict[str, Any] = answer.json()
    return made


def claim(http: httpx.Client, code: str, **more: Any) -> httpx.Response:
    return http.post("/api/v1/claims", json={"code": code} | more)


def test_a_code_is_read_however_it_is_typed_and_mistypings_are_told():
    code = new_code()
    bare = code.replace("-", "")
    assert read_code(f" {code.lower()} ") == read_code(code.replace("-", " ")) == bare
    assert read_code(bare.replace("1", "l").replace("0", "o").replace("2", "z")) == bare
    for place, right in enumerate(bare):
        for wrong in ALPHABET:
            if wrong != right:
                with pytest.raises(InvalidInput):
                    read_code(bare[:place] + wrong + bare[place + 1 :])
    for place in range(len(bare) - 1):
        swapped = bare[:place] + bare[place + 1] + bare[place] + bare[place + 2 :]
        if swapped != bare:
            with pytest.raises(InvalidInput):
                read_code(swapped)


def test_a_code_becomes_a_device_of_its_batch(live: Live, acme: Program, http: httpx.Client):
    with live.deployment.databases.tenant(live.deployment.acme) as session:
        space = ensure_space(
            session, site="S", building="B", time_zone="UTC", storey="1", level=1, name="Lobby"
        )
    made = make(acme, 3, type="temperature-sensor", space_id=space)
    assert len(set(made["codes"])) == made["batch"]["codes"] == 3
    answer = claim(http, made["codes"][1], serial="A4C13800")
    assert answer.status_code == 201, answer.text
    told = answer.json()
    slug = f"{made['batch']['prefix']}-2"
    assert (told["tenant"], told["device"]) == ("acme", slug)
    assert told["credentials"]["username"] == f"acme/{slug}"
    assert told["credentials"]["password"] in told["snippets"]["mosquitto_pub"]
    assert answer.headers["cache-control"] == "no-store"
    with live.deployment.databases.tenant(live.deployment.acme) as session:
        device = find_device(session, slug)
    assert (device.space_id, device.type, device.serial) == (space, "temperature-sensor", "A4C13800")
    batch = f"claim-batches/{made['batch']['id']}"
    assert acme.ask("GET", batch).json()["claimed"] == 1
    claims = acme.ask("GET", f"{batch}/claims").json()["items"]
    assert [one["device"] for one in claims] == [None, slug, None]


def test_a_code_is_good_once_also_when_many_try_at_the_same_time(acme: Program, live: Live):
    code = make(acme)["codes"][0]

    def attempt(_: int) -> int:
        with live.client() as http:
            return claim(http, code).status_code

    with ThreadPoolExecutor(6) as pool:
        assert sorted(pool.map(attempt, range(6))) == [201, 404, 404, 404, 404, 404]


def test_unknown_used_expired_and_revoked_codes_are_told_apart_by_nobody(
    live: Live, acme: Program, http: httpx.Client
):
    used, expired, revoked = make(acme), make(acme), make(acme)
    assert claim(http, used["codes"][0]).status_code == 201
    with live.deployment.databases.core() as core:
        core.execute(
            text("UPDATE claim_batches SET expires_at = now() WHERE id = :id"), {"id": expired["batch"]["id"]}
        )
    assert acme.ask("DELETE", f"claim-batches/{revoked['batch']['id']}").status_code == 204
    answers = [
        claim(http, code) for code in (new_code(), used["codes"][0], expired["codes"][0], revoked["codes"][0])
    ]
    assert {answer.status_code for answer in answers} == {404}
    assert len({answer.json()["detail"] for answer in answers}) == 1


@pytest.mark.usefixtures("few_guesses")
def test_who_guesses_is_made_to_wait_also_with_the_right_code_then(acme: Program, http: httpx.Client):
    code = make(acme)["codes"][0]
    answers = [claim(http, new_code()).status_code for _ in range(6)]
    assert answers == [404] * 5 + [429]
    refused = claim(http, code)
    assert (refused.status_code, refused.json()["type"]) == (429, "/problems/too-many-guesses")
    assert int(refused.headers["retry-after"]) > 0


def test_no_two_batches_come_to_devices_of_the_same_names(acme: Program, globex: Program):
    asked = {"name": "Second", "count": 1, "prefix": make(acme)["batch"]["prefix"], "expires_in": 3600}
    refused = acme.ask("POST", "claim-batches", asked)
    assert (refused.status_code, refused.json()["errors"][0]["field"]) == (422, "prefix")
    assert globex.ask("POST", "claim-batches", asked).status_code == 201


def test_a_batch_is_its_tenants_alone(acme: Program, globex: Program):
    made = make(acme)
    path = f"claim-batches/{made['batch']['id']}"
    strange = "claim-batches/00000000-0000-0000-0000-000000000000"
    for method, of in (("GET", path), ("GET", f"{path}/claims"), ("DELETE", path)):
        answer = globex.ask(method, of)
        missing = globex.ask(method, of.replace(path, strange))
        assert answer.status_code == missing.status_code == 404
        assert answer.json()["detail"].replace(made["batch"]["id"], strange[-36:]) == missing.json()["detail"]
    assert made["batch"]["id"] not in globex.ask("GET", "claim-batches").text
    assert acme.ask("GET", path).json()["revoked_at"] is None


def test_codes_are_told_once_and_kept_by_nobody(live: Live, acme: Program):
    asked = {"name": "Once", "count": 2, "prefix": "once", "expires_in": 3600}
    first = acme.ask("POST", "claim-batches", asked, Idempotency_Key="once")
    again = acme.ask("POST", "claim-batches", asked, Idempotency_Key="once")
    assert (first.status_code, again.status_code) == (201, 200)
    assert again.json() == {"batch": first.json()["batch"], "codes": None}
    code = first.json()["codes"][0]
    with live.deployment.databases.core() as core:
        kept = "".join(str(row) for row in core.execute(text("SELECT * FROM claim_codes")))
        noted = "".join(str(row) for row in core.execute(text("SELECT * FROM audit_log")))
    for shape in (code, code.replace("-", "")):
        assert shape not in kept
        assert shape not in noted


def test_a_batch_that_is_long_over_is_forgotten_and_its_devices_stay(
    live: Live, acme: Program, http: httpx.Client
):
    old, revoked, recent = make(acme), make(acme), make(acme)
    device = claim(http, old["codes"][0]).json()["device"]
    with live.deployment.databases.core() as core:
        for made, days in ((old, 91), (recent, 89)):
            core.execute(
                text("UPDATE claim_batches SET expires_at = :at WHERE id = :id"),
                {"at": datetime.now(UTC) - timedelta(days=days), "id": made["batch"]["id"]},
            )
        core.execute(
            text("UPDATE claim_batches SET revoked_at = :at WHERE id = :id"),
            {"at": datetime.now(UTC) - timedelta(days=91), "id": revoked["batch"]["id"]},
        )
    forget_expired(live.deployment.databases, timedelta(days=1))
    paths = [f"claim-batches/{made['batch']['id']}" for made in (old, revoked, recent)]
    assert [acme.ask("GET", path).status_code for path in paths] == [404, 404, 200]
    assert acme.ask("GET", f"devices/{device}").json()["state"] == "active"
    assert claim(http, old["codes"][0]).json()["type"] == "/problems/claim-refused"


def test_a_suspended_tenants_codes_wait(live: Live, acme: Program, http: httpx.Client):
    code = make(acme)["codes"][0]
    tenant = {"id": live.deployment.acme.id}
    with live.deployment.databases.core() as core:
        core.execute(text("UPDATE tenants SET status = 'suspended' WHERE id = :id"), tenant)
    try:
        assert claim(http, code).json()["type"] == "/problems/tenant-suspended"
    finally:
        with live.deployment.databases.core() as core:
            core.execute(text("UPDATE tenants SET status = 'active' WHERE id = :id"), tenant)
    assert claim(http, code).status_code == 201


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"prefix": "UPPER"}, "prefix"),
        ({"prefix": "a" * 40}, "prefix"),
        ({"type": "no-such-type"}, "type"),
        ({"space_id": 2_000_000}, "space_id"),
    ],
)
def test_what_a_batch_cannot_be_is_named(acme: Program, changes: dict[str, Any], field: str):
    asked = {"name": "Bad", "count": 1, "prefix": "bad", "expires_in": 3600} | changes
    answer = acme.ask("POST", "claim-batches", asked)
    assert answer.status_code == 422
    assert field in answer.text
