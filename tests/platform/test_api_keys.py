"""API keys: made by people, shown once, never more than they are."""

from __future__ import annotations

import base64
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from sqlalchemy import select

from insula_platform.api_keys.models import ApiKey
from insula_platform.oauth.clients import create_service_client
from insula_platform.oauth.models import fingerprint
from insula_tenants.audit import list_entries
from insula_tenants.spaces import ensure_space
from tests.platform.conftest import Live
from tests.servers.mqtt import unique

KEYS = "/api/v1/tenants/acme/api-keys"
ALL = "openid devices:read readings:read members:read clients:read clients:write usage:read audit:read"


@pytest.fixture(scope="module")
def owner(live: Live) -> str:
    return live.tokens_of("ada@example.com", scope=ALL)["access_token"]


def post(live: Live, token: str, body: Any, **headers: str) -> httpx.Response:
    with live.client() as client:
        return client.post(KEYS, json=body, headers={"Authorization": f"Bearer {token}"} | headers)


def make(live: Live, owner: str, *scopes: str, **more: Any) -> dict[str, Any]:
    answer = post(live, owner, {"name": unique("key"), "scopes": scopes or ["readings:read"], **more})
    assert answer.status_code == 201, answer.text
    return answer.json()


def test_a_key_is_shown_once_stored_hashed_and_opens_what_it_was_given(live: Live, owner: str):
    answer = post(live, owner, {"name": " Display ", "scopes": ["readings:read"]})
    assert (answer.status_code, answer.headers["cache-control"]) == (201, "no-store")
    made = answer.json()
    key = made.pop("key")
    assert key.startswith("isk_")
    assert made["hint"] == key[:8]
    assert (made["name"], made["scopes"], made["places"]) == ("Display", ["readings:read"], None)
    assert live.get(answer.headers["location"], owner).json() == made
    probe = live.get("/api/v1/tenants/acme/probe", key)
    assert probe.json() == {"tenant": "acme", "subject": made["id"], "client": made["id"]}
    assert live.get("/api/v1/tenants/acme/members-probe", key).status_code == 403
    assert key not in live.get(KEYS, owner).text
    with live.deployment.databases.core() as core:
        row = core.get_one(ApiKey, made["id"])
        assert row.key_hash == fingerprint(key)
        entry = list_entries(core, tenant=live.deployment.acme.id)[0]
        assert (entry.action, entry.target, entry.actor_kind) == ("api_key.created", made["id"], "person")
        assert key not in str(entry.detail)


def test_a_key_lives_ninety_days_and_a_year_at_most(live: Live, owner: str):
    lives = datetime.fromisoformat(make(live, owner)["expires_at"]) - datetime.now(UTC)
    assert timedelta(days=89) < lives <= timedelta(days=90)
    for wrong in (timedelta(seconds=-1), timedelta(days=367)):
        at = (datetime.now(UTC) + wrong).isoformat()
        refused = post(live, owner, {"name": "x", "scopes": ["readings:read"], "expires_at": at})
        assert (refused.status_code, refused.json()["errors"][0]["field"]) == (422, "expires_at")


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"scopes": ["readings:raed"]}, "scopes"),
        ({"scopes": ["devices:write"]}, "scopes"),  # an owner may, but this token may not
        ({"scopes": ["tenants:read"]}, "scopes"),
        ({"scopes": ["openid"]}, "scopes"),
        ({"scopes": ["usage:read"], "places": {"spaces": [1]}}, "places"),
        ({"scopes": []}, "body.scopes"),
        ({"name": " "}, "name"),
        ({"places": {}}, "places"),
        ({"places": {"buildings": [2**30]}}, "places"),
        ({"places": {"towers": [1]}}, "body.places.towers"),
    ],
)
def test_what_cannot_be_asked_for_is_named(live: Live, owner: str, body: dict[str, Any], field: str):
    refused = post(live, owner, {"name": "x", "scopes": ["readings:read"]} | body)
    assert (refused.status_code, refused.json()["errors"][0]["field"]) == (422, field)


def test_a_key_for_some_places_keeps_to_what_places_have(live: Live, owner: str):
    with live.deployment.databases.tenant(live.deployment.acme) as session:
        where = {"site": "S", "building": "B", "time_zone": "UTC", "storey": "G", "level": 0}
        space = ensure_space(session, **where, name="Placed")
        ensure_space(session, **where, name="Elsewhere")
    made = make(live, owner, "devices:read", places={"spaces": [space]})
    assert made["places"] == {"sites": [], "buildings": [], "storeys": [], "spaces": [space]}
    spaces = live.get("/api/v1/tenants/acme/spaces", made["key"]).json()["items"]
    assert [one["name"] for one in spaces] == ["Placed"]
    refused = post(live, owner, {"name": "x", "scopes": ["usage:read"], "places": {"spaces": [space]}})
    assert (refused.status_code, refused.json()["errors"][0]["field"]) == (422, "scopes")


def test_programs_make_no_keys(live: Live, owner: str):
    with live.deployment.databases.core() as core:
        client = create_service_client(core, live.deployment.acme, "maker", "clients:write readings:read")
    program = live.token_request(client, grant_type="client_credentials").json()["access_token"]
    key = make(live, owner, "clients:write", "readings:read")["key"]
    for token in (program, key):
        refused = post(live, token, {"name": "x", "scopes": ["readings:read"]})
        assert (refused.status_code, refused.json()["type"]) == (403, "/problems/not-allowed")
    viewer = live.tokens_of("victor@example.com")["access_token"]
    assert post(live, viewer, {"name": "x", "scopes": ["readings:read"]}).status_code == 403


def test_a_repeated_request_makes_no_second_key_and_shows_none(live: Live, owner: str):
    body = {"name": unique("once"), "scopes": ["readings:read"]}
    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(lambda _: post(live, owner, body, **{"Idempotency-Key": "again"}), range(4)))
    assert sorted(answer.status_code for answer in answers) == [200, 200, 200, 201]
    assert len({answer.json()["id"] for answer in answers}) == 1
    assert sum(answer.json()["key"] is not None for answer in answers) == 1
    other = post(live, owner, body | {"name": "another"}, **{"Idempotency-Key": "again"})
    assert other.status_code == 409
    assert post(live, owner, body, **{"Idempotency-Key": "\x7f"}).status_code == 422


def test_a_revoked_key_is_refused_at_the_next_request(live: Live, owner: str):
    made = make(live, owner)
    assert live.get("/api/v1/tenants/acme/probe", made["key"]).status_code == 200
    url = f"{KEYS}/{made['id']}"
    with live.client() as client:
        headers = {"Authorization": f"Bearer {owner}"}
        assert client.delete(url, headers=headers).status_code == 204
        assert client.delete(url, headers=headers).status_code == 404
    assert live.get("/api/v1/tenants/acme/probe", made["key"]).status_code == 401
    with live.deployment.databases.core() as core:
        entry = list_entries(core, tenant=live.deployment.acme.id)[0]
        assert (entry.action, entry.target) == ("api_key.revoked", made["id"])


def test_a_key_opens_its_own_tenant_alone_and_no_other_place_to_send_it(live: Live, owner: str):
    key = make(live, owner, "readings:read", "usage:read")["key"]
    told = [
        live.get(f"/api/v1/tenants/{slug}/probe", key).text.replace(slug, "…")
        for slug in ("globex", "nowhere", "NOWHERE")
    ]
    assert len({answer.lower() for answer in told}) == 1
    assert live.get("/api/v1/tenants/globex/probe", key).status_code == 404
    assert live.get("/api/v1/operator/tenants", key).status_code == 403
    assert live.get("/oauth/userinfo", key).status_code == 401
    basic = base64.b64encode(f"{key}:".encode()).decode()
    with live.client() as client:
        path = "/api/v1/tenants/acme/probe"
        for name in ("key", "api_key", "access_token"):
            assert client.get(path, params={name: key}).status_code == 401
        for headers in ({"Authorization": f"Basic {basic}"}, {"X-Api-Key": key}, {"Cookie": f"key={key}"}):
            assert client.get(path, headers=headers).status_code == 401
        assert client.post("/oauth/token", data={"grant_type": "client_credentials"}, auth=(key, "")).is_error
    unknown = live.get("/api/v1/tenants/acme/probe", key[:-1] + ("A" if key[-1] != "A" else "B"))
    assert (unknown.status_code, "no such API key" in unknown.json()["detail"]) == (401, True)


def test_last_used_is_written_at_most_once_a_minute(live: Live, owner: str):
    made = make(live, owner)

    def used() -> datetime | None:
        with live.deployment.databases.core() as core:
            return core.scalars(select(ApiKey.last_used_at).where(ApiKey.id == made["id"])).one()

    def back(seconds: int) -> None:
        with live.deployment.databases.core() as core:
            row = core.get_one(ApiKey, made["id"])
            row.last_used_at -= timedelta(seconds=seconds)

    assert used() is None
    live.get("/api/v1/tenants/acme/probe", made["key"])
    first = used()
    assert first is not None
    live.get("/api/v1/tenants/acme/probe", made["key"])
    assert used() == first
    back(61)
    live.get("/api/v1/tenants/acme/probe", made["key"])
    assert used() >= first
    assert live.get(f"{KEYS}/{made['id']}", owner).json()["last_used_at"] is not None


def test_the_list_comes_in_pages(live: Live, owner: str):
    mine = [make(live, owner)["id"] for _ in range(3)]
    found, cursor = [], ""
    while cursor is not None:
        page = live.get(f"{KEYS}?limit=2&cursor={cursor}" if cursor else f"{KEYS}?limit=2", owner).json()
        found += [one["id"] for one in page["items"]]
        cursor = page["next_cursor"]
    assert found[-3:] == mine
    assert len(found) == len(set(found))


def test_requests_with_a_key_count_against_its_tenant_and_a_wrong_key_tells_nothing_of_it(
    live: Live, owner: str
):
    key = make(live, owner)["key"]
    limited = live.get("/api/v1/tenants/acme/probe", key)
    assert "ratelimit" in limited.headers
    for tenant in ("acme", "nowhere"):
        wrong = live.get(f"/api/v1/tenants/{tenant}/probe", "isk_" + "A" * 43)
        assert wrong.status_code == 401
        assert "ratelimit" not in wrong.headers
