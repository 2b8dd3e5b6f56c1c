"""A tenant's admins make their own clients: what they may be, who may make them, and how secrets change."""

from __future__ import annotations

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import httpx
import pytest
from sqlalchemy import text
from typer.testing import CliRunner

from insula_platform.cli import app as command_line
from insula_platform.people import add_member, create_account
from insula_tenants.devices import NewPoint, create_device
from insula_tenants.errors import InvalidInput, NotFound
from insula_tenants.spaces import ensure_space
from tests.platform.conftest import PASSWORD, Live

SCOPES = "clients:read clients:write devices:read readings:read audit:read"
REPORT = {"name": "Nightly report", "scopes": ["devices:read", "readings:read"]}
APP = {
    "name": "Floor plan",
    "scopes": ["openid", "profile", "readings:read"],
    "grant_types": ["authorization_code", "refresh_token"],
    "redirect_uris": ["https://plan.example/callback"],
}


@dataclass
class Admin:
    """Somebody with a token, at the clients of their tenant."""

    http: httpx.Client
    tenant: str

    def call(self, method: str, path: str = "", json: Any = None, **headers: str) -> httpx.Response:
        return self.http.request(
            method, f"/api/v1/tenants/{self.tenant}/clients{path}", json=json, headers=headers
        )

    def make(self, **changes: Any) -> dict[str, Any]:
        answer = self.call("POST", json=REPORT | changes)
        assert answer.status_code == 201, answer.text
        return answer.json()


def admin_of(live: Live, email: str, tenant: str, scope: str = SCOPES) -> Admin:
    token = live.tokens_of(email, tenant=tenant, scope=scope)["access_token"]
    http = live.client()
    http.headers["Authorization"] = f"Bearer {token}"
    return Admin(http, tenant)


@pytest.fixture(scope="module")
def gus(live: Live) -> Iterator[Admin]:
    """An admin of globex."""
    with live.deployment.databases.core() as core:
        account = create_account(core, "gus@example.com", "Gus", PASSWORD)
        add_member(core, account, live.deployment.globex, "admin")
    admin = admin_of(live, "gus@example.com", "globex")
    with admin.http:
        yield admin


@pytest.fixture(scope="module")
def ada(live: Live) -> Iterator[Admin]:
    """The owner of acme."""
    admin = admin_of(live, "ada@example.com", "acme")
    with admin.http:
        yield admin


def token_of(live: Live, client: dict[str, Any], secret: str | None = None) -> httpx.Response:
    auth = (client["client_id"], secret or client["client_secret"])
    return live.token_request(auth, grant_type="client_credentials")


def test_a_service_client_works_from_its_first_answer_on(live: Live, ada: Admin):
    made = ada.call("POST", json=REPORT)
    assert made.status_code == 201
    assert made.headers["cache-control"] == "no-store"
    client = made.json()
    assert made.headers["location"] == f"/api/v1/tenants/acme/clients/{client['client_id']}"
    assert client["grant_types"] == ["client_credentials"]
    assert client["created_by"].startswith("person ")
    tokens = token_of(live, client).json()
    assert tokens["scope"] == "devices:read readings:read"
    assert live.get("/api/v1/tenants/acme/probe", tokens["access_token"]).json()["tenant"] == "acme"
    assert live.get("/api/v1/tenants/globex/probe", tokens["access_token"]).status_code == 404


def test_the_list_goes_by_name_page_by_page_and_tells_no_secret(ada: Admin):
    made = [ada.make(name=name) for name in ("Beta", "Alpha", "Beta")]
    found: list[dict[str, Any]] = []
    cursor: str | None = ""
    while cursor is not None:
        page = ada.call("GET", f"?limit=2{cursor and '&cursor=' + cursor}").json()
        assert len(page["items"]) <= 2
        found += page["items"]
        cursor = page["next_cursor"]
    positions = [(client["name"], client["client_id"]) for client in found]
    assert positions == sorted(set(positions))
    assert {client["client_id"] for client in made} <= {client["client_id"] for client in found}
    assert all("client_secret" not in client for client in found)
    assert not any(client["client_secret"] in str(found) for client in made)


def test_a_key_makes_one_client_however_often_it_is_sent(live: Live, ada: Admin):
    with ThreadPoolExecutor(4) as pool:
        sent = [
            pool.submit(ada.call, "POST", "", REPORT | {"name": "Once"}, **{"Idempotency-Key": "once"})
            for _ in range(4)
        ]
        answers = [each.result() for each in sent]
    assert sorted(answer.status_code for answer in answers) == [200, 200, 200, 201]
    assert len({answer.json()["client_id"] for answer in answers}) == 1
    secrets = [answer.json()["client_secret"] for answer in answers]
    assert len([secret for secret in secrets if secret]) == 1, "a secret is told once"
    other = ada.call("POST", json=REPORT | {"name": "Another"}, **{"Idempotency-Key": "once"})
    assert (other.status_code, other.json()["type"]) == (409, "/problems/conflict")
    with live.deployment.databases.core() as core:
        kept = core.scalars(text("SELECT k::text FROM idempotency_keys k")).all()
    assert not any(secret in row for secret in secrets if secret for row in kept)


def test_two_admins_may_choose_the_same_key(ada: Admin, gus: Admin):
    answers = [admin.call("POST", json=REPORT, **{"Idempotency-Key": "same"}) for admin in (ada, gus)]
    assert [answer.status_code for answer in answers] == [201, 201]


def test_a_change_needs_to_have_seen_what_it_changes(live: Live, ada: Admin):
    client = ada.make()
    path = f"/{client['client_id']}"
    seen = ada.call("GET", path).headers["etag"]
    changed = ada.call("PATCH", path, {"scopes": ["readings:read"]}, **{"If-Match": seen})
    assert (changed.status_code, changed.json()["scopes"]) == (200, ["readings:read"])
    assert changed.json()["name"] == "Nightly report"
    late = ada.call("PATCH", path, {"name": "Late"}, **{"If-Match": seen})
    assert late.status_code == 412
    assert ada.call("GET", path).json()["name"] == "Nightly report"
    assert token_of(live, client).json()["scope"] == "readings:read"
    assert ada.call("GET", path).headers["etag"] == changed.headers["etag"], "use is no change"


def test_a_disabled_client_is_refused_at_once_and_works_again(live: Live, ada: Admin):
    client = ada.make()
    path, token = f"/{client['client_id']}", token_of(live, client).json()["access_token"]
    assert ada.call("PATCH", path, {"disabled": True}).json()["disabled_at"] is not None
    assert token_of(live, client).json()["error"] == "invalid_client"
    assert live.get("/api/v1/tenants/acme/probe", token).status_code == 401
    assert ada.call("PATCH", path, {"disabled": False}).json()["disabled_at"] is None
    assert token_of(live, client).status_code == 200
    assert live.get("/api/v1/tenants/acme/probe", token).status_code == 200


def test_a_scope_that_is_taken_away_counts_for_the_token_that_is_out(live: Live, ada: Admin):
    client = ada.make()
    token = token_of(live, client).json()["access_token"]
    ada.call("PATCH", f"/{client['client_id']}", {"scopes": ["devices:read"]})
    assert live.get("/api/v1/tenants/acme/probe", token).status_code == 403


def test_a_deleted_client_is_gone(live: Live, ada: Admin):
    client = ada.make()
    token = token_of(live, client).json()["access_token"]
    assert ada.call("DELETE", f"/{client['client_id']}").status_code == 204
    assert token_of(live, client).json()["error"] == "invalid_client"
    assert live.get("/api/v1/tenants/acme/probe", token).status_code == 401
    assert ada.call("GET", f"/{client['client_id']}").status_code == 404
    assert ada.call("DELETE", f"/{client['client_id']}").status_code == 404


def test_a_neighbours_client_looks_like_none_in_every_path(live: Live, ada: Admin, gus: Admin):
    theirs = gus.make(name="Theirs")
    secret = theirs["secrets"][0]["id"]
    requests: list[tuple[str, str, Any]] = [
        ("GET", "", None),
        ("PATCH", "", {"name": "Mine"}),
        ("PATCH", "", {"disabled": True}),
        ("DELETE", "", None),
        ("POST", "/secrets", {"overlap_seconds": 0}),
        ("DELETE", f"/secrets/{secret}", None),
    ]
    for method, rest, body in requests:
        answers = [
            ada.call(method, f"/{client_id}{rest}", body)
            for client_id in (theirs["client_id"], "globex-000000000000")
        ]
        assert [answer.status_code for answer in answers] == [404, 404], (method, rest)
        told = [
            answer.text.replace(theirs["client_id"], "…").replace("globex-000000000000", "…")
            for answer in answers
        ]
        assert told[0] == told[1]
    assert gus.call("GET", f"/{theirs['client_id']}").json()["name"] == "Theirs"
    assert token_of(live, theirs).status_code == 200
    # The platform's own client belongs to no tenant, and so to nobody here.
    assert ada.call("GET", "/insula-ui").status_code == 404
    assert ada.call("DELETE", "/insula-ui").status_code == 404


def test_a_secret_is_good_in_its_own_client_alone(ada: Admin):
    one, other = ada.make(), ada.make()
    answer = ada.call("DELETE", f"/{one['client_id']}/secrets/{other['secrets'][0]['id']}")
    assert answer.status_code == 404
    assert len(ada.call("GET", f"/{other['client_id']}").json()["secrets"]) == 1


def test_secrets_overlap_for_as_long_as_was_chosen(live: Live, ada: Admin):
    client = ada.make()
    path, old = f"/{client['client_id']}", client["client_secret"]
    assert client["secrets"][0]["last_used_at"] is None
    assert token_of(live, client).status_code == 200
    made = ada.call("POST", f"{path}/secrets", {"overlap_seconds": 3600})
    assert (made.status_code, made.headers["cache-control"]) == (201, "no-store")
    new = made.json()["client_secret"]
    assert token_of(live, client, old).status_code == token_of(live, client, new).status_code == 200
    newest, oldest = ada.call("GET", path).json()["secrets"]
    assert (newest["id"], newest["expires_at"]) == (made.json()["id"], None)
    assert oldest["expires_at"] is not None
    assert oldest["last_used_at"] is not None
    assert newest["last_used_at"] is not None
    with live.deployment.databases.core() as core:
        core.execute(
            text("UPDATE oauth_client_secrets SET expires_at = now() WHERE id = :id"), {"id": oldest["id"]}
        )
    assert token_of(live, client, old).json()["error"] == "invalid_client"
    assert token_of(live, client, new).status_code == 200


def test_a_secret_ends_at_once_by_rotation_without_overlap_and_by_revocation(live: Live, ada: Admin):
    client = ada.make()
    path, old = f"/{client['client_id']}", client["client_secret"]
    new = ada.call("POST", f"{path}/secrets", {"overlap_seconds": 0}).json()
    assert token_of(live, client, old).status_code == 401
    assert token_of(live, client, new["client_secret"]).status_code == 200
    assert ada.call("DELETE", f"{path}/secrets/{new['id']}").status_code == 204
    assert token_of(live, client, new["client_secret"]).status_code == 401
    assert ada.call("GET", path).json()["secrets"] == []
    fresh = ada.call("POST", f"{path}/secrets", {}).json()
    assert token_of(live, client, fresh["client_secret"]).status_code == 200


def test_no_more_than_a_few_secrets_are_good_at_once(ada: Admin):
    client = ada.make()
    path = f"/{client['client_id']}/secrets"
    made = [ada.call("POST", path, {}) for _ in range(3)]
    assert [answer.status_code for answer in made] == [201, 201, 409]
    assert "revoke one" in made[-1].json()["detail"]
    assert ada.call("DELETE", f"{path}/{client['secrets'][0]['id']}").status_code == 204
    assert ada.call("POST", path, {}).status_code == 201


def test_a_rotation_that_is_sent_twice_rotates_once(ada: Admin):
    client = ada.make()
    path = f"/{client['client_id']}/secrets"
    first, second = (ada.call("POST", path, {}, **{"Idempotency-Key": "turn"}) for _ in range(2))
    assert (first.status_code, second.status_code) == (201, 200)
    assert second.json() == first.json() | {"client_secret": None}


def test_a_client_can_do_no_more_than_its_maker(live: Live, ada: Admin):
    """Neither by being made, nor by being changed, nor by a new secret for one that can do more."""
    beyond = ada.call("POST", json=REPORT | {"scopes": ["members:write"]})
    assert (beyond.status_code, beyond.json()["type"]) == (403, "/problems/not-allowed")
    assert "members:write" in beyond.json()["detail"]
    strong = ada.make(scopes=["audit:read"])
    maker = ada.make(name="Maker", scopes=["clients:write", "clients:read", "readings:read"])
    with live.client() as http:
        http.headers["Authorization"] = f"Bearer {token_of(live, maker).json()['access_token']}"
        program = Admin(http, "acme")
        assert program.make(scopes=["readings:read"])["created_by"] == f"client {maker['client_id']}"
        assert program.call("POST", json=REPORT | {"scopes": ["audit:read"]}).status_code == 403
        path = f"/{strong['client_id']}"
        assert program.call("POST", f"{path}/secrets", {}).status_code == 403
        assert program.call("PATCH", path, {"scopes": ["readings:read"]}).status_code == 403
        weak = f"/{program.make(scopes=['readings:read'])['client_id']}"
        assert program.call("PATCH", weak, {"scopes": ["audit:read"]}).status_code == 403
        # To turn one off takes no more than the scope for it; to turn it on again is to have it.
        assert program.call("PATCH", path, {"disabled": True}).status_code == 200
        assert program.call("PATCH", path, {"disabled": False}).status_code == 403


def test_a_program_may_be_bound_to_a_building(live: Live, ada: Admin):
    with live.deployment.databases.tenant(live.deployment.acme) as session:
        where = {"time_zone": "Europe/Brussels", "storey": "Ground floor", "level": 0, "name": "Hall"}
        here = ensure_space(session, site="North", building="Here", **where)
        there = ensure_space(session, site="North", building="There", **where)
        building = session.scalars(text("SELECT id FROM buildings WHERE name = 'Here'")).one()
        create_device(session, "here", name="Here", space_id=here, points=[NewPoint("power")])
        create_device(session, "there", name="There", space_id=there, points=[NewPoint("power")])
    bound, free = ada.make(places={"buildings": [building]}), ada.make()
    assert (bound["places"]["buildings"], free["places"]) == ([building], None)
    for client, seen in ((bound, {"here"}), (free, {"here", "there"})):
        token = token_of(live, client).json()["access_token"]
        found = live.get("/api/v1/tenants/acme/devices", token).json()["items"]
        assert {device["id"] for device in found} == seen
    for changes, field in (
        ({"places": {"buildings": [999]}}, "places"),
        ({"places": {}}, "places"),
        ({"places": {"buildings": [building]}, "scopes": ["audit:read"]}, "scopes"),
        (APP | {"places": {"buildings": [building]}}, "places"),
    ):
        assert ada.call("POST", json=REPORT | changes).json()["errors"][0]["field"] == field


def test_only_who_may_write_clients_makes_them(live: Live):
    with admin_of(live, "victor@example.com", "acme", "readings:read").http as http:
        viewer = Admin(http, "acme")
        assert viewer.call("GET").status_code == 403
        assert viewer.call("POST", json=REPORT).status_code == 403


@pytest.mark.parametrize(
    ("changes", "field", "advice"),
    [
        ({"name": " "}, "name", "what the program does"),
        ({"scopes": ["everything"]}, "scopes", "readings:read"),
        ({"scopes": ["openid"]}, "scopes", "readings:read"),
        ({"scopes": ["tenants:read"]}, "scopes", "readings:read"),
        ({"grant_types": ["refresh_token"]}, "grant_types", "authorization_code"),
        ({"grant_types": ["authorization_code"]}, "redirect_uris", "come back to"),
        ({"redirect_uris": ["https://a.example/"]}, "redirect_uris", "nobody signs in"),
        ({"token_endpoint_auth_method": "none"}, "token_endpoint_auth_method", "native"),
        (
            {"token_endpoint_auth_method": "none", "application_type": "native"},
            "grant_types",
            "no client_credentials",
        ),
        ({"token_endpoint_auth_method": "private_key_jwt"}, "jwks", "public keys"),
        ({"jwks": {"keys": []}}, "jwks", "private_key_jwt"),
        (
            APP | {"redirect_uris": ["https://a.example/", "https://a.example/#"]},
            "redirect_uris.1",
            "fragment",
        ),
        (APP | {"redirect_uris": ["http://127.0.0.1/"]}, "redirect_uris.0", "native"),
    ],
)
def test_what_a_client_cannot_be_is_told_by_field(
    ada: Admin, changes: dict[str, Any], field: str, advice: str
):
    answer = ada.call("POST", json=REPORT | changes)
    assert answer.status_code == 422, answer.text
    problem = answer.json()["errors"][0]
    assert problem["field"] == field
    assert advice in problem["detail"]


@pytest.mark.parametrize("name", ["grant_types", "token_endpoint_auth_method", "client_id", "first_party"])
def test_what_is_not_to_be_changed_is_refused(ada: Admin, name: str):
    answer = ada.call("PATCH", f"/{ada.make()['client_id']}", {name: "x"})
    assert answer.json()["errors"][0]["field"] == f"body.{name}"
    assert ada.call("POST", json=REPORT | {"first_party": True}).status_code == 422


def test_everything_is_in_the_audit_log_and_no_secret_is(live: Live, ada: Admin):
    client = ada.make(name="Watched")
    path = f"/{client['client_id']}"
    rotated = ada.call("POST", f"{path}/secrets", {}).json()
    ada.call("DELETE", f"{path}/secrets/{rotated['id']}")
    ada.call("PATCH", path, {"disabled": True})
    ada.call("DELETE", path)
    entries = ada.http.get("/api/v1/tenants/acme/audit?limit=1000").json()["items"]
    about = [entry["action"] for entry in entries if entry["target"] == client["client_id"]]
    assert about == [
        "client.deleted",
        "client.changed",
        "client.secret_revoked",
        "client.secret_rotated",
        "client.created",
    ]
    with live.deployment.databases.core() as core:
        kept = str(core.scalars(text("SELECT a::text FROM audit_log a")).all())
    assert client["client_secret"] not in kept
    assert rotated["client_secret"] not in kept


def test_the_operator_does_the_same_at_a_terminal(live: Live, ada: Admin, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("INSULA_DATABASE_URL", live.deployment.service_url)

    def insula(*words: str) -> Any:
        done = CliRunner().invoke(command_line, ["client", *words], catch_exceptions=False)
        assert done.exit_code == 0, done.output
        return json.loads(done.output) if "--json" in words else done.output

    made = insula("create", "acme", "Meter reader", "--scope", "readings:read", "--json")
    client_id = made["client_id"]
    assert token_of(live, made).json()["scope"] == "readings:read"
    rotated = insula("rotate", "acme", client_id, "--overlap-hours", "1", "--json")
    assert token_of(live, made).status_code == token_of(live, rotated).status_code == 200
    (listed,) = [each for each in insula("list", "acme", "--json") if each["client_id"] == client_id]
    assert [bool(secret["expires_at"]) for secret in listed["secrets"]] == [False, True]
    assert client_id not in [each["client_id"] for each in insula("list", "globex", "--json")]
    insula("revoke", "acme", client_id, listed["secrets"][1]["id"])
    assert token_of(live, made).status_code == 401
    insula("disable", "acme", client_id)
    assert token_of(live, rotated).status_code == 401
    (listed,) = [each for each in insula("list", "acme", "--json") if each["client_id"] == client_id]
    assert listed["disabled_at"] is not None
    assert "Meter" in insula("list", "acme")
    insula("enable", "acme", client_id)
    assert token_of(live, rotated).status_code == 200
    with pytest.raises(NotFound):
        insula("delete", "globex", client_id)
    insula("delete", "acme", client_id)
    assert token_of(live, rotated).status_code == 401
    with pytest.raises(InvalidInput, match="no scope"):
        insula("create", "acme", "Wrong", "--scope", "tenants:read")
    entries = ada.http.get("/api/v1/tenants/acme/audit?limit=1000").json()["items"]
    mine = [entry for entry in entries if entry["target"] == client_id]
    assert {entry["actor_kind"] for entry in mine} == {"operator"}
    assert mine[-1]["action"] == "client.created"
