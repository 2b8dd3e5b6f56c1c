"""The token endpoint besides codes: refresh, service clients, revocation, and who may call it."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest
from sqlalchemy import text

from insula_platform.oauth.clients import create_service_client, delete_service_client, service_clients
from insula_platform.oauth.models import fingerprint
from insula_platform.people import add_member
from insula_platform.people.models import Account
from insula_tenants.errors import InvalidInput, NotFound
from insula_tenants.migrate import admin_engine
from tests.platform.conftest import UI_CLIENT_ID, UI_SECRET, Live


def refresh(live: Live, refresh_token: str, **more: str) -> httpx.Response:
    return live.token_request(grant_type="refresh_token", refresh_token=refresh_token, **more)


def test_each_refresh_brings_the_next_token_and_a_second_use_ends_them_all(live: Live):
    first = live.tokens_of("ada@example.com")
    second = refresh(live, first["refresh_token"]).json()
    assert second["scope"] == first["scope"]
    assert live.get("/api/v1/tenants/acme/probe", second["access_token"]).status_code == 200
    third = refresh(live, second["refresh_token"]).json()
    reuse = refresh(live, first["refresh_token"])
    assert (reuse.status_code, reuse.json()["error"]) == (400, "invalid_grant")
    assert refresh(live, third["refresh_token"]).json()["error"] == "invalid_grant"


def test_reuse_ends_one_sign_in_and_leaves_the_others(live: Live):
    stolen, other = live.tokens_of("ada@example.com"), live.tokens_of("ada@example.com")
    refresh(live, stolen["refresh_token"])
    assert refresh(live, stolen["refresh_token"]).status_code == 400
    assert refresh(live, other["refresh_token"]).status_code == 200


def test_of_eight_parallel_refreshes_one_succeeds(live: Live):
    token = live.tokens_of("ada@example.com")["refresh_token"]
    with ThreadPoolExecutor(8) as pool:
        answers = [future.result() for future in [pool.submit(refresh, live, token) for _ in range(8)]]
    assert sorted(answer.status_code for answer in answers) == [200] + [400] * 7


def test_a_stolen_token_used_while_the_owner_refreshes_leaves_nothing_alive(live: Live):
    first = live.tokens_of("ada@example.com")["refresh_token"]
    second = refresh(live, first).json()["refresh_token"]
    admin = admin_engine(live.deployment.admin_url)
    waiting = text("SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'")
    with ThreadPoolExecutor(2) as pool:
        with live.deployment.databases.core() as core:
            core.execute(
                text(
                    "SELECT 1 FROM oauth_grants g JOIN oauth_refresh_tokens t ON t.grant_id = g.id"
                    " WHERE t.token_hash = :hash FOR UPDATE OF g"
                ),
                {"hash": fingerprint(second)},
            )
            answers = [pool.submit(refresh, live, token) for token in (second, first)]
            deadline = time.monotonic() + 20
            while True:
                with admin.connect() as connection:
                    if connection.scalar(waiting) == 2:
                        break
                assert time.monotonic() < deadline, "the two requests do not wait for the lock"
                time.sleep(0.01)
        bodies = [answer.result().json() for answer in answers]
    admin.dispose()
    assert bodies[1]["error"] == "invalid_grant"
    heir = bodies[0].get("refresh_token", second)
    assert refresh(live, heir).json()["error"] == "invalid_grant"


def test_a_refresh_may_ask_for_less_and_not_for_more(live: Live):
    token = live.tokens_of("ada@example.com", scope="openid readings:read devices:read")["refresh_token"]
    less = refresh(live, token, scope="readings:read").json()
    assert less["scope"] == "readings:read"
    assert refresh(live, less["refresh_token"], scope="members:read").json()["error"] == "invalid_scope"
    assert refresh(live, less["refresh_token"]).json()["scope"] == "openid readings:read devices:read"


def test_a_refresh_follows_the_role_of_this_moment(live: Live):
    with live.deployment.databases.core() as core:
        victor = core.query(Account).filter_by(email="victor@example.com").one()
        add_member(core, victor, live.deployment.acme, "engineer")
        identity = victor.id
    tokens = live.tokens_of("victor@example.com", scope="readings:read readings:write")
    assert tokens["scope"] == "readings:read readings:write"
    with live.deployment.databases.core() as core:
        add_member(core, core.get_one(Account, identity), live.deployment.acme, "viewer")
    tokens = refresh(live, tokens["refresh_token"]).json()
    assert tokens["scope"] == "readings:read"
    with live.deployment.databases.core() as core:
        core.execute(text("DELETE FROM memberships WHERE account_id = :id"), {"id": identity})
    assert refresh(live, tokens["refresh_token"]).json()["error"] == "invalid_grant"


def test_a_refresh_token_that_lay_too_long_is_refused(live: Live):
    token = live.tokens_of("ada@example.com")["refresh_token"]
    with live.deployment.databases.core() as core:
        core.execute(text("UPDATE oauth_refresh_tokens SET expires_at = now() WHERE used_at IS NULL"))
    assert refresh(live, token).json()["error"] == "invalid_grant"


def test_a_service_client_acts_in_its_own_tenant(live: Live):
    answer = live.token_request(live.service, grant_type="client_credentials")
    assert answer.status_code == 200, answer.text
    tokens = answer.json()
    assert "refresh_token" not in tokens
    assert tokens["scope"] == "readings:read devices:read"
    probe = live.get("/api/v1/tenants/acme/probe", tokens["access_token"])
    assert probe.json() == {"tenant": "acme", "subject": live.service[0], "client": live.service[0]}
    assert live.get("/api/v1/tenants/globex/probe", tokens["access_token"]).status_code == 404


def test_a_service_client_gets_no_scope_it_was_not_given(live: Live):
    def asked(scope: str) -> dict[str, str]:
        return live.token_request(live.service, grant_type="client_credentials", scope=scope).json()

    assert asked("readings:read members:read")["scope"] == "readings:read"
    assert asked("members:read")["error"] == "invalid_scope"
    assert asked("openid")["error"] == "invalid_scope"


def test_a_service_client_signs_nobody_in_and_the_ui_is_no_service(live: Live):
    refused = live.token_request(grant_type="client_credentials")
    assert refused.json()["error"] == "unauthorized_client"
    refused = live.token_request(live.service, grant_type="refresh_token", refresh_token="x")
    assert refused.json()["error"] == "unauthorized_client"


@pytest.mark.parametrize(
    "auth",
    [
        (UI_CLIENT_ID, "wrong"),
        ("unknown", UI_SECRET),
        (UI_CLIENT_ID, ""),
        ("nul\x00", "x"),
        None,
    ],
)
def test_a_wrong_secret_and_an_unknown_client_look_alike(live: Live, auth: tuple[str, str] | None):
    answer = live.token_request(auth, grant_type="client_credentials", client_id=UI_CLIENT_ID)
    assert answer.status_code == 401
    assert answer.json() == {"error": "invalid_client", "error_description": "Client authentication failed."}
    assert answer.headers["www-authenticate"].startswith("Basic ")


def test_the_secret_may_come_in_the_form_and_never_in_the_query(live: Live):
    client_id, secret = live.service
    form = {"grant_type": "client_credentials", "client_id": client_id, "client_secret": secret}
    with live.client() as client:
        assert client.post("/oauth/token", data=form).status_code == 200
        in_the_query = client.post("/oauth/token", params=form, data={"grant_type": "client_credentials"})
        assert in_the_query.json()["error"] == "invalid_client"
        no_form = client.post("/oauth/token", params=form)
        assert no_form.json()["error"] == "invalid_request"


@pytest.mark.parametrize(
    ("content", "content_type"),
    [
        (b"grant_type=client_credentials&grant_type=client_credentials", "application/x-www-form-urlencoded"),
        (b"grant_type=%ff", "application/x-www-form-urlencoded"),
        (b"grant_type=\xc3\xa9", "application/x-www-form-urlencoded"),
        (b'grant_type="', "application/x-www-form-urlencoded"),
        (b"state=%00", "application/x-www-form-urlencoded"),
        (b"a=" + b"a" * 70_000, "application/x-www-form-urlencoded"),
        (b'{"grant_type": "client_credentials"}', "application/json"),
    ],
)
def test_what_is_no_proper_form_is_an_invalid_request(live: Live, content: bytes, content_type: str):
    for path in ("/oauth/token", "/oauth/revoke"):
        with live.client() as client:
            answer = client.post(path, content=content, headers={"Content-Type": content_type})
        assert (answer.status_code, answer.json()["error"]) == (400, "invalid_request")


def test_an_authorization_header_of_garbage_is_a_failed_authentication(live: Live):
    for value in ("Basic /w==", "Basic %%%", "Basic", "Bearer x"):
        with live.client() as client:
            answer = client.post(
                "/oauth/token",
                data={"grant_type": "client_credentials"},
                headers={"Authorization": value},
            )
        assert (answer.status_code, answer.json()["error"]) == (401, "invalid_client")


def test_an_unknown_grant_type_is_unsupported(live: Live):
    answer = live.token_request(grant_type="password", username="ada@example.com", password="x")
    assert (answer.status_code, answer.json()["error"]) == (400, "unsupported_grant_type")


def revoke(live: Live, token: str, auth: tuple[str, str] = (UI_CLIENT_ID, UI_SECRET)) -> httpx.Response:
    with live.client() as client:
        return client.post("/oauth/revoke", data={"token": token}, auth=auth)


def test_revocation_ends_the_grant(live: Live):
    first = live.tokens_of("ada@example.com")
    second = refresh(live, first["refresh_token"]).json()
    assert revoke(live, second["refresh_token"]).status_code == 200
    assert refresh(live, second["refresh_token"]).json()["error"] == "invalid_grant"


def test_revocation_of_what_is_not_there_succeeds_and_of_anothers_does_not(live: Live):
    assert revoke(live, "unknown").status_code == 200
    tokens = live.tokens_of("ada@example.com")
    assert revoke(live, tokens["refresh_token"], live.service).json()["error"] == "invalid_grant"
    assert revoke(live, tokens["refresh_token"], (UI_CLIENT_ID, "wrong")).status_code == 401
    assert refresh(live, tokens["refresh_token"]).status_code == 200


def test_an_access_token_cannot_be_revoked_and_the_answer_says_so(live: Live):
    answer = revoke(live, live.tokens_of("ada@example.com")["access_token"])
    assert (answer.status_code, answer.json()["error"]) == (400, "unsupported_token_type")


def test_userinfo_needs_the_scope_openid_and_a_membership(live: Live):
    service = live.token_request(live.service, grant_type="client_credentials").json()["access_token"]
    assert live.get("/oauth/userinfo", service).status_code == 403
    assert live.get("/oauth/userinfo").status_code == 401
    token = live.tokens_of("erin@example.com", tenant="globex", scope="openid")["access_token"]
    assert live.get("/oauth/userinfo", token).json().keys() == {"sub", "tenant", "tenant_name", "role"}
    with live.deployment.databases.core() as core:
        core.execute(text("DELETE FROM memberships WHERE tenant_id = :id"), {"id": live.deployment.globex.id})
    assert live.get("/oauth/userinfo", token).status_code == 401


def test_nothing_secret_is_stored_in_the_clear(live: Live):
    tokens = live.tokens_of("ada@example.com")
    with live.deployment.databases.core() as core:
        stored = str(
            [
                core.execute(text(f"SELECT t::text FROM {table} t")).all()
                for table in (
                    "oauth_clients",
                    "oauth_codes",
                    "oauth_refresh_tokens",
                    "signing_keys",
                    "accounts",
                )
            ]
        )
    private = live.platform.signing_keys.signing_key().as_dict(private=True)
    for secret in (tokens["refresh_token"], UI_SECRET, live.service[1], private["d"]):
        assert secret not in stored
    assert "$argon2id$" in stored


def test_service_clients_are_made_listed_and_removed_in_their_tenant_alone(live: Live):
    acme, globex = live.deployment.acme, live.deployment.globex
    with live.deployment.databases.core() as core:
        client_id, secret = create_service_client(core, globex, "billing", "readings:read")
        assert [client.client_id for client in service_clients(core, globex)] == [client_id]
        assert client_id not in [client.client_id for client in service_clients(core, acme)]
        with pytest.raises(NotFound):
            delete_service_client(core, acme, client_id)
    assert live.token_request((client_id, secret), grant_type="client_credentials").status_code == 200
    with live.deployment.databases.core() as core:
        delete_service_client(core, globex, client_id)
    assert live.token_request((client_id, secret), grant_type="client_credentials").status_code == 401


@pytest.mark.parametrize(
    ("name", "scope", "field"), [("", "readings:read", "name"), ("x", "", "scope"), ("x", "openid", "scope")]
)
def test_a_service_client_needs_a_name_and_scopes_of_the_api(live: Live, name: str, scope: str, field: str):
    with live.deployment.databases.core() as core, pytest.raises(InvalidInput) as caught:
        create_service_client(core, live.deployment.acme, name, scope)
    assert caught.value.field == field
