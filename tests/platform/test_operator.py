"""The operator's API and command line, and what a closed tenant's people and programs see."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx
import pytest
from joserfc import jwt
from typer.testing import CliRunner

from insula_platform.bundles.files import bundle_path
from insula_platform.cli import app as command_line
from insula_platform.oauth.clients import create_operator_client, create_service_client
from insula_platform.worker.lifecycle import erase_due
from insula_tenants.administration import Administration
from insula_tenants.broker import RegistryReader
from insula_tenants.registry import resolve_tenant
from tests.conftest import Deployment
from tests.platform.conftest import PASSWORD, Authorization, Browser, Live, returned

OPERATOR = "/api/v1/operator"
BOTH = "tenants:read tenants:write"


class Operator:
    """A program of the operator."""

    def __init__(self, live: Live, scope: str = BOTH) -> None:
        self.live = live
        with live.deployment.databases.core() as core:
            self.credentials = create_operator_client(core, "tests", scope)
        answer = live.token_request(self.credentials, grant_type="client_credentials")
        assert answer.status_code == 200, answer.text
        self.token = answer.json()["access_token"]

    def ask(self, method: str, path: str, body: Any = None, **headers: str) -> httpx.Response:
        with self.live.client() as client:
            return client.request(
                method,
                OPERATOR + path,
                json=body,
                headers={"Authorization": f"Bearer {self.token}"} | headers,
            )


@pytest.fixture(scope="module")
def operator(live: Live) -> Iterator[Operator]:
    """With a platform that may make tenants."""
    administration = Administration({"main": live.deployment.admin_url})
    object.__setattr__(live.platform, "administration", administration)
    yield Operator(live)
    administration.close()


@pytest.fixture
def open_again(operator: Operator) -> Iterator[None]:
    """Whatever a test does to acme, the next one finds it open."""
    yield
    operator.ask("POST", "/tenants/acme/resume")


def program(live: Live) -> tuple[str, str]:
    with live.deployment.databases.core() as core:
        return create_service_client(core, live.deployment.acme, "program", "readings:read audit:read")


def test_a_tenant_is_made_once_for_a_key_and_its_invitation_is_shown_once(operator: Operator):
    wanted = {"slug": "op-made", "name": "Made", "owner_email": "ada@example.com", "plan": "trial"}
    first = operator.ask("POST", "/tenants", wanted, **{"Idempotency-Key": "k1"})
    assert first.status_code == 201, first.text
    made = first.json()
    assert (made["status"], made["plan"], made["database"]) == ("active", "trial", "main")
    assert len(made["invitation"]) >= 43
    again = operator.ask("POST", "/tenants", wanted, **{"Idempotency-Key": "k1"})
    assert again.status_code == 200
    assert made["invitation_link"] == f"{operator.live.url}/invitation#{made['invitation']}"
    assert again.json() == made | {"invitation": None, "invitation_link": None}
    other = operator.ask("POST", "/tenants", wanted | {"name": "Other"}, **{"Idempotency-Key": "k1"})
    assert (other.status_code, other.json()["type"]) == (409, "/problems/conflict")
    # Another client's key is another key.
    foreign = Operator(operator.live).ask("POST", "/tenants", wanted, **{"Idempotency-Key": "k1"})
    assert (foreign.status_code, "already" in foreign.text) == (409, True)
    assert operator.ask("GET", first.headers["location"].removeprefix(OPERATOR)).json()["id"] == made["id"]
    invited = operator.ask("POST", "/tenants/op-made/owners", {"email": "ada@example.com"})
    assert invited.status_code == 201
    assert invited.json()["invitation"] != made["invitation"]


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"slug": "No"}, "slug"),
        ({"name": ""}, "name"),
        ({"owner_email": "x"}, "owner_email"),
        ({"plan": "golden"}, "plan"),
        ({"plan": "a\0b"}, "body.plan"),
        ({"database": "elsewhere"}, "database"),
        ({"nonsense": 1}, "body.nonsense"),
    ],
)
def test_a_bad_request_names_the_field(operator: Operator, changes: dict[str, Any], field: str):
    answer = operator.ask("POST", "/tenants", {"slug": "op-bad", "name": "Bad"} | changes)
    assert answer.status_code == 422, answer.text
    assert field in [error["field"] for error in answer.json()["errors"]]


def test_pages_of_tenants_go_through_all_of_them(operator: Operator):
    seen: list[str] = []
    cursor = ""
    while True:
        page = operator.ask("GET", f"/tenants?limit=1{cursor}").json()
        seen += [tenant["slug"] for tenant in page["items"]]
        if page["next_cursor"] is None:
            break
        cursor = f"&cursor={page['next_cursor']}"
    assert seen == sorted(seen)
    assert {"acme", "globex"} <= set(seen)


def test_an_operators_token_opens_no_tenant_and_a_tenants_token_nothing_of_the_operators(
    live: Live, operator: Operator
):
    assert operator.ask("GET", "/tenants/acme").status_code == 200
    nowhere = live.get("/api/v1/tenants/nowhere/audit", operator.token)
    acme = live.get("/api/v1/tenants/acme/audit", operator.token)
    assert (acme.status_code, acme.text) == (404, nowhere.text.replace("nowhere", "acme"))
    owner = live.tokens_of("ada@example.com", scope="openid audit:read tenants:read tenants:write")
    assert owner["scope"] == "openid audit:read"
    for path in ("/tenants", "/tenants/acme", "/audit"):
        answer = live.get(OPERATOR + path, owner["access_token"])
        assert (answer.status_code, answer.json()["type"]) == (403, "/problems/insufficient-scope")
    assert live.get(OPERATOR + "/tenants").status_code == 401
    reader = Operator(live, "tenants:read")
    assert reader.ask("GET", "/tenants/acme").status_code == 200
    assert reader.ask("POST", "/tenants/acme/suspend", {"reason": "x"}).status_code == 403
    claims = jwt.decode(operator.token, live.platform.signing_keys.public(), ["RS256"]).claims
    assert "tenant" not in claims


def test_a_suspended_tenants_tokens_are_refused_from_the_next_request_on_with_the_reason(
    live: Live, operator: Operator, open_again: None
):
    credentials = program(live)
    token = live.token_request(credentials, grant_type="client_credentials").json()["access_token"]
    person = live.tokens_of("ada@example.com")
    probe = "/api/v1/tenants/acme/probe"
    assert live.get(probe, token).status_code == 200
    suspended = operator.ask("POST", "/tenants/acme/suspend", {"reason": 'unpaid “since” "October"'})
    assert (suspended.status_code, suspended.json()["status"]) == (200, "suspended")
    for held in (token, person["access_token"]):
        refused = live.get(probe, held)
        assert (refused.status_code, refused.json()["type"]) == (403, "/problems/tenant-suspended")
        assert refused.json()["detail"] == "tenant 'acme' is suspended: unpaid “since” \"October\""
    # A stranger learns nothing of it.
    with live.deployment.databases.core() as core:
        globex = create_service_client(core, live.deployment.globex, "program", "readings:read")
    stranger = live.token_request(globex, grant_type="client_credentials").json()["access_token"]
    assert live.get(probe, stranger).status_code == 404

    for form, auth in (
        ({"grant_type": "client_credentials"}, credentials),
        ({"grant_type": "refresh_token", "refresh_token": person["refresh_token"]}, None),
    ):
        answer = live.token_request(auth, **form) if auth else live.token_request(**form)
        assert (answer.status_code, answer.json()["error"]) == (400, "invalid_grant")
        assert "is suspended: unpaid" in answer.json()["error_description"]
    assert operator.ask("POST", "/tenants/acme/resume").json()["status"] == "active"
    assert live.get(probe, token).status_code == 200
    refreshed = live.token_request(grant_type="refresh_token", refresh_token=person["refresh_token"])
    assert refreshed.status_code == 200  # the refusal did not use it up


def test_a_code_of_a_tenant_suspended_meanwhile_is_good_again_after_it(
    live: Live, operator: Operator, open_again: None
):
    asked = Authorization(live)
    with Browser(live) as browser:
        code = browser.authorize(asked, "ada@example.com")["code"]
    form = {
        "grant_type": "authorization_code",
        "code": code,
        "redirect_uri": asked.parameters["redirect_uri"],
        "code_verifier": asked.verifier,
    }
    operator.ask("POST", "/tenants/acme/suspend", {"reason": "unpaid"})
    assert live.token_request(**form).json()["error"] == "invalid_grant"
    operator.ask("POST", "/tenants/acme/resume")
    assert live.token_request(**form).status_code == 200


def test_the_sign_in_pages_say_why_instead_of_letting_in(live: Live, operator: Operator, open_again: None):
    operator.ask("POST", "/tenants/acme/suspend", {"reason": "unpaid <b>"})
    with Browser(live) as browser:
        page = browser.open("/oauth/authorize", **Authorization(live).parameters)
        page = browser.sign_in(page, "ada@example.com", PASSWORD)  # acme is her only tenant
        assert page.status_code == 200
        assert "is suspended: unpaid &lt;b&gt;" in page.text
        assert "/oauth/authorize?" not in page.text
        named = browser.open("/oauth/authorize", **Authorization(live, tenant="acme").parameters)
        assert "is suspended" in named.text
        silent = browser.open("/oauth/authorize", **Authorization(live, prompt="none").parameters)
        assert "code" not in returned(silent)
    with Browser(live) as browser:
        page = browser.open("/oauth/authorize", **Authorization(live).parameters)
        page = browser.sign_in(page, "erin@example.com", PASSWORD)  # she is in globex too
        assert "is suspended" in page.text
        assert "tenant=globex" in page.text
        assert "tenant=acme" not in page.text


def test_owners_read_their_tenants_audit_log_in_pages_and_viewers_do_not(live: Live, operator: Operator):
    for reason in ("one", "two"):
        operator.ask(
            "POST", "/tenants/acme/suspend", {"reason": reason}, **{"X-Request-Id": f"request-{reason}"}
        )
    operator.ask("POST", "/tenants/acme/resume")
    owner = live.tokens_of("ada@example.com", scope="openid audit:read")["access_token"]
    path = "/api/v1/tenants/acme/audit?limit=2"
    first = live.get(path, owner).json()
    second = live.get(f"{path}&cursor={first['next_cursor']}", owner).json()
    entries = [*first["items"], *second["items"]][:3]
    assert [entry["action"] for entry in entries] == [
        "tenant.resumed",
        "tenant.suspended",
        "tenant.suspended",
    ]
    assert [entry["detail"].get("reason") for entry in entries] == [None, "two", "one"]
    assert entries[2]["request_id"] == "request-one"
    assert {(entry["actor_kind"], entry["actor"], entry["address"]) for entry in entries} == {
        ("operator", operator.credentials[0], None)
    }
    seen = operator.ask("GET", f"/audit?tenant_id={live.deployment.acme.id}&limit=3").json()["items"]
    assert [entry["id"] for entry in seen] == [entry["id"] for entry in entries]
    assert seen[0]["address"] == "127.0.0.1"
    viewer = live.tokens_of("victor@example.com", scope="openid devices:read audit:read")["access_token"]
    assert live.get(path, viewer).status_code == 403
    assert live.get(path.replace("acme", "globex"), owner).status_code == 404


def test_a_tenant_is_deleted_with_a_receipt_that_the_platforms_keys_verify(
    live: Live, operator: Operator, tmp_path: Path
):
    made = operator.ask("POST", "/tenants", {"slug": "op-gone", "name": "Gone"}).json()
    assert operator.ask("DELETE", "/tenants/op-gone?confirm=acme").status_code == 422
    assert operator.ask("DELETE", "/tenants/op-gone").status_code == 422
    asked = operator.ask("DELETE", "/tenants/op-gone?confirm=op-gone")
    assert (asked.status_code, asked.json()["status"]) == (202, "deleting")
    kept = operator.ask("POST", "/tenants/op-gone/cancel-deletion").json()
    assert (kept["status"], kept["delete_after"]) == ("active", None)
    assert operator.ask("POST", "/tenants/op-gone/cancel-deletion").status_code == 409
    operator.ask("DELETE", "/tenants/op-gone?confirm=op-gone&grace_days=0")
    settings = live.settings.model_copy(
        update={
            "database_admin_url": type(live.settings.secret_key)(live.deployment.admin_url),
            "bundle_dir": tmp_path,
        }
    )
    path = f"/receipts/{made['id']}"
    assert operator.ask("GET", path).status_code == 404
    left, neighbours = (
        bundle_path(settings.bundle_dir, tenant_id, UUID(int=1))
        for tenant_id in (UUID(made["id"]), live.deployment.acme.id)
    )
    for bundle in (left, neighbours):
        bundle.parent.mkdir(parents=True)
        bundle.write_text("a bundle")
    assert erase_due(settings, live.deployment.databases, RegistryReader()) == [made["id"]]
    assert operator.ask("GET", "/tenants/op-gone").status_code == 404
    receipt = operator.ask("GET", path).json()
    assert receipt["tenant_slug"] == "op-gone"
    keys = live.get("/oauth/jwks.json").json()
    signed = jwt.decode(receipt["receipt"], jwt_keys(keys), ["RS256"])
    assert signed.header["typ"] == "erasure-receipt+jwt"
    assert (signed.claims["sub"], signed.claims["iss"]) == (made["id"], live.url)
    assert signed.claims["found"]["database"]["schemas"] == 0
    assert signed.claims["found"]["bundles"] == 0
    assert (left.parent.exists(), neighbours.exists()) == (False, True)
    # A receipt is no token.
    assert live.get("/api/v1/tenants/op-gone/audit", receipt["receipt"]).status_code == 401


def jwt_keys(document: dict[str, Any]) -> Any:
    from joserfc.jwk import KeySet

    return KeySet.import_key_set(document)


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("GET", "/tenants/nowhere", None),
        ("POST", "/tenants/nowhere/suspend", {"reason": "x"}),
        ("POST", "/tenants/nowhere/resume", None),
        ("POST", "/tenants/nowhere/cancel-deletion", None),
        ("POST", "/tenants/nowhere/owners", {"email": "a@example.com"}),
        ("DELETE", "/tenants/nowhere?confirm=nowhere", None),
        ("GET", "/tenants/%00", None),
        ("GET", "/receipts/00000000-0000-0000-0000-000000000000", None),
    ],
)
def test_what_is_not_there_is_not_found(operator: Operator, method: str, path: str, body: Any):
    answer = operator.ask(method, path, body)
    assert (answer.status_code, answer.json()["type"]) == (404, "/problems/not-found")


def test_without_an_administrators_url_the_api_says_how_to_create(live: Live, operator: Operator):
    administration = live.platform.administration
    object.__setattr__(live.platform, "administration", None)
    try:
        answer = operator.ask("POST", "/tenants", {"slug": "op-none", "name": "None"})
    finally:
        object.__setattr__(live.platform, "administration", administration)
    assert (answer.status_code, answer.json()["type"]) == (503, "/problems/cannot-create")
    assert "insula tenant create" in answer.json()["detail"]


@pytest.fixture
def insula(fresh_deployment: Deployment, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Run a command; its JSON."""
    monkeypatch.setenv("INSULA_DATABASE_URL", fresh_deployment.service_url)
    monkeypatch.setenv("INSULA_DATABASE_ADMIN_URL", fresh_deployment.admin_url)
    monkeypatch.setenv("INSULA_BROKER_ACCESS", "none")

    def run(*words: str) -> Any:
        result = CliRunner().invoke(command_line, [*words, "--json"], catch_exceptions=False)
        assert result.exit_code == 0, result.output
        return json.loads(result.stdout)

    return run


def test_the_command_line_does_the_same(fresh_deployment: Deployment, insula: Any):
    made = insula("tenant", "create", "op-cli", "--name", "By hand", "--owner-email", "ada@example.com")
    assert made["invitation_link"].endswith(f"/invitation#{made['invitation']}")
    invited = insula("tenant", "invite", "op-cli", "grace@example.com")
    assert invited["invitation_link"].endswith(f"/invitation#{invited['invitation']}")
    assert [row["slug"] for row in insula("tenant", "list")] == ["acme", "globex", "op-cli"]
    assert insula("tenant", "show", "op-cli")["name"] == "By hand"
    suspended = insula("tenant", "suspend", "op-cli", "--reason", "unpaid")
    assert (suspended["status"], suspended["status_reason"]) == ("suspended", "unpaid")
    assert insula("tenant", "resume", "op-cli")["status"] == "active"
    assert insula("tenant", "delete", "op-cli", "--confirm", "op-cli")["delete_after"]
    assert insula("tenant", "cancel-deletion", "op-cli")["status"] == "active"
    with fresh_deployment.databases.core() as core:
        assert str(resolve_tenant(core, "op-cli").id) == made["id"]
    client = insula("operator", "client", "automation")
    assert client["client_id"].startswith("operator-")
    assert client["client_secret"]
