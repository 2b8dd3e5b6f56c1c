"""Tokens called back (RFC 7009), and what is told of them (RFC 7662)."""

from __future__ import annotations

from datetime import timedelta

import httpx
import pytest
from sqlalchemy import text

from insula_platform.oauth.clients import CLI_CLIENT_ID, create_service_client
from insula_platform.worker.app import forget_expired
from insula_tenants.audit import list_entries
from tests.platform.conftest import UI_CLIENT_ID, UI_SECRET, Authorization, Browser, Live

UI = (UI_CLIENT_ID, UI_SECRET)
PROBE = "/api/v1/tenants/acme/probe"


def ask(live: Live, endpoint: str, auth: tuple[str, str] | None, **form: str) -> httpx.Response:
    with live.client() as client:
        return client.post(f"/oauth/{endpoint}", data=form, auth=auth or httpx.USE_CLIENT_DEFAULT)


def revoke(live: Live, token: str, auth: tuple[str, str] | None = UI, **form: str) -> httpx.Response:
    return ask(live, "revoke", auth, token=token, **form)


def introspect(live: Live, token: str, auth: tuple[str, str] | None = UI, **form: str) -> httpx.Response:
    return ask(live, "introspect", auth, token=token, **form)


def is_active(live: Live, token: str, auth: tuple[str, str] = UI) -> bool:
    return introspect(live, token, auth).json()["active"]


def refresh(live: Live, refresh_token: str) -> httpx.Response:
    return live.token_request(grant_type="refresh_token", refresh_token=refresh_token)


def service_token(live: Live, auth: tuple[str, str] | None = None) -> str:
    return live.token_request(auth or live.service, grant_type="client_credentials").json()["access_token"]


@pytest.fixture
def neighbour(live: Live) -> tuple[str, str]:
    """A service client of globex."""
    with live.deployment.databases.core() as core:
        return create_service_client(core, live.deployment.globex, "neighbour", "readings:read")


def test_7009_2_1_a_refresh_token_ends_its_grant_and_the_access_tokens_with_it(live: Live):
    first = live.tokens_of("ada@example.com")
    second = refresh(live, first["refresh_token"]).json()
    assert revoke(live, second["refresh_token"]).status_code == 200
    assert refresh(live, second["refresh_token"]).json()["error"] == "invalid_grant"
    for tokens in (first, second):
        assert not is_active(live, tokens["access_token"])
        assert live.get("/oauth/userinfo", tokens["access_token"]).status_code == 401
        assert live.get(PROBE, tokens["access_token"]).status_code == 401
    with live.deployment.databases.core() as core:
        entry = list_entries(core)[0]
        assert (entry.action, entry.actor, entry.target) == ("grant.revoked", UI_CLIENT_ID, UI_CLIENT_ID)


def test_7009_2_1_an_access_token_ends_its_grant_and_the_refresh_tokens_with_it(live: Live):
    tokens, other = live.tokens_of("ada@example.com"), live.tokens_of("ada@example.com")
    assert live.get("/oauth/userinfo", tokens["access_token"]).status_code == 200
    assert revoke(live, tokens["access_token"]).status_code == 200
    assert not is_active(live, tokens["access_token"])
    assert live.get("/oauth/userinfo", tokens["access_token"]).status_code == 401
    assert live.get(PROBE, tokens["access_token"]).status_code == 401
    assert refresh(live, tokens["refresh_token"]).json()["error"] == "invalid_grant"
    assert refresh(live, other["refresh_token"]).status_code == 200, "another sign-in is another grant"


def test_7009_2_1_a_programs_access_token_ends_alone(live: Live):
    token, other = service_token(live), service_token(live)
    assert is_active(live, token, live.service)
    for _ in range(2):
        assert revoke(live, token, live.service).status_code == 200
    assert not is_active(live, token, live.service)
    assert live.get(PROBE, token).status_code == 401
    assert live.get(PROBE, other).status_code == 200
    assert is_active(live, other, live.service)
    with live.deployment.databases.core() as core:
        actions = [entry.action for entry in list_entries(core, limit=2)]
        assert actions[0] == "access_token.revoked"
        assert actions[1] != "access_token.revoked", "the second time changes nothing"


def test_7009_2_1_a_wrong_hint_does_not_matter(live: Live):
    tokens = live.tokens_of("ada@example.com")
    for kind, hint in (("access_token", "refresh_token"), ("refresh_token", "access_token")):
        assert introspect(live, tokens[kind], token_type_hint=hint).json()["active"]
        assert introspect(live, tokens[kind], token_type_hint="unheard_of").json()["active"]
    assert revoke(live, tokens["refresh_token"], token_type_hint="access_token").status_code == 200
    assert not is_active(live, tokens["access_token"])


def test_7009_2_2_what_is_no_token_is_revoked_already(live: Live):
    id_token = live.tokens_of("ada@example.com")["id_token"]
    for token in ("unknown", id_token, "a.b.c", "%00"):
        assert revoke(live, token).status_code == 200


def test_7009_2_1_the_token_of_another_client_is_refused_and_stays_good(live: Live):
    tokens = live.tokens_of("ada@example.com")
    for kind in ("access_token", "refresh_token"):
        assert revoke(live, tokens[kind], live.service).json()["error"] == "invalid_grant"
        assert revoke(live, tokens[kind], (UI_CLIENT_ID, "wrong")).status_code == 401
        assert revoke(live, tokens[kind], None, client_id=CLI_CLIENT_ID).json()["error"] == "invalid_grant"
        assert revoke(live, tokens[kind], None, client_id=UI_CLIENT_ID).status_code == 401
    assert is_active(live, tokens["access_token"])
    assert refresh(live, tokens["refresh_token"]).status_code == 200


def test_7662_2_1_only_a_client_that_proves_itself_may_ask(live: Live):
    token = service_token(live)
    for auth, form in ((None, {}), ((UI_CLIENT_ID, "wrong"), {}), (None, {"client_id": CLI_CLIENT_ID})):
        refused = introspect(live, token, auth, **form)
        assert (refused.status_code, refused.json()["error"]) == (401, "invalid_client")
    assert ask(live, "introspect", live.service).json()["error"] == "invalid_request"


def test_7662_2_2_a_program_is_told_of_the_tokens_of_its_own_tenant(live: Live):
    token = live.tokens_of("ada@example.com", scope="openid readings:read")["access_token"]
    answer = introspect(live, token, live.service)
    assert answer.headers["cache-control"] == "no-store"
    told = answer.json()
    assert told.pop("exp") > 0
    assert told.pop("jti")
    assert told.pop("sub")
    assert told == {
        "active": True,
        "iss": live.url,
        "aud": f"{live.url}/api",
        "client_id": UI_CLIENT_ID,
        "scope": "openid readings:read",
        "token_type": "Bearer",
        "tenant": "acme",
    }


def test_7662_2_2_and_4_of_all_others_it_is_told_nothing(live: Live, neighbour: tuple[str, str]):
    tokens = live.tokens_of("ada@example.com")
    for token in (tokens["access_token"], service_token(live), tokens["refresh_token"], "unknown"):
        assert introspect(live, token, neighbour).json() == {"active": False}
    assert introspect(live, service_token(live, neighbour), live.service).json() == {"active": False}
    assert introspect(live, service_token(live, neighbour), neighbour).json()["tenant"] == "globex"
    assert introspect(live, tokens["refresh_token"], live.service).json() == {"active": False}
    assert introspect(live, tokens["id_token"]).json() == {"active": False}


def test_7662_2_2_a_refresh_token_is_told_to_its_client_until_it_is_used(live: Live):
    token = live.tokens_of("ada@example.com", scope="openid readings:read")["refresh_token"]
    told = introspect(live, token).json()
    assert (told["active"], told["scope"], told["tenant"]) == (True, "openid readings:read", "acme")
    assert "token_type" not in told, "RFC 6749, section 5.1, gives it none"
    refresh(live, token)
    assert introspect(live, token).json() == {"active": False}


def test_7662_4_who_left_the_tenant_or_whose_tenant_is_closed_has_no_active_token(live: Live):
    tokens = live.tokens_of("erin@example.com", tenant="globex")
    closed = text("UPDATE tenants SET status = :status, status_reason = 'bill' WHERE slug = 'globex'")
    with live.deployment.databases.core() as core:
        core.execute(closed, {"status": "suspended"})
    assert not is_active(live, tokens["access_token"])
    assert not is_active(live, tokens["refresh_token"])
    with live.deployment.databases.core() as core:
        core.execute(closed, {"status": "active"})
    assert is_active(live, tokens["access_token"])
    leave = text("DELETE FROM memberships WHERE tenant_id = :tenant RETURNING account_id, role")
    with live.deployment.databases.core() as core:
        account, role = core.execute(leave, {"tenant": live.deployment.globex.id}).one()
    assert not is_active(live, tokens["access_token"])
    assert not is_active(live, tokens["refresh_token"])
    assert live.get("/oauth/userinfo", tokens["access_token"]).status_code == 401
    back = text("INSERT INTO memberships (account_id, tenant_id, role) VALUES (:account, :tenant, :role)")
    with live.deployment.databases.core() as core:
        core.execute(back, {"account": account, "tenant": live.deployment.globex.id, "role": role})


def test_9700_4_14_a_code_used_twice_ends_access_tokens_too_and_the_audit_log_says_why(live: Live):
    asked = Authorization(live)
    with Browser(live) as browser:
        code = browser.authorize(asked, "ada@example.com")["code"]
    form = {
        "grant_type": "authorization_code",
        "code": code,
        "redirect_uri": asked.parameters["redirect_uri"],
        "code_verifier": asked.verifier,
    }
    token = live.token_request(**form).json()["access_token"]
    assert is_active(live, token)
    assert live.token_request(**form).json()["error"] == "invalid_grant"
    assert not is_active(live, token)
    with live.deployment.databases.core() as core:
        entry = list_entries(core)[0]
        assert (entry.action, entry.detail["why"]) == (
            "grant.revoked",
            "its authorization code was used twice",
        )


def test_the_worker_forgets_what_ended_and_nothing_else(live: Live):
    dead, alive = live.tokens_of("ada@example.com"), live.tokens_of("ada@example.com")
    revoke(live, dead["refresh_token"])
    token = service_token(live)
    revoke(live, token, live.service)
    with live.deployment.databases.core() as core:
        core.execute(text("UPDATE oauth_grants SET created_at = created_at - interval '2 days'"))
        core.execute(text("UPDATE oauth_grants SET revoked_at = revoked_at - interval '2 days'"))
    forget_expired(live.deployment.databases, timedelta(days=1))
    assert not is_active(live, token, live.service), "it is not over yet"
    with live.deployment.databases.core() as core:
        core.execute(text("UPDATE revoked_tokens SET expires_at = now()"))
    forget_expired(live.deployment.databases, timedelta(days=1))
    assert is_active(live, alive["access_token"])
    with live.deployment.databases.core() as core:
        assert core.scalar(text("SELECT count(*) FROM revoked_tokens")) == 0
        assert core.scalar(text("SELECT count(*) FROM oauth_grants WHERE revoked_at IS NOT NULL")) == 0
    assert not is_active(live, dead["access_token"]), "a grant that is named must be there"
