"""JWT access tokens: RFC 9068, clause by clause, and what else is a token and must not pass for one."""

from __future__ import annotations

import time
from typing import Any

import pytest
from joserfc import jwt
from joserfc.jwk import KeySet
from sqlalchemy import text

from tests.attacks.api import KEY_IDS, Attacker
from tests.platform.conftest import UI_CLIENT_ID, UI_SECRET, Browser, Live

PROBE = "/api/v1/tenants/acme/probe"


@pytest.fixture(scope="module")
def keys(live: Live) -> KeySet:
    return KeySet.import_key_set(live.get("/oauth/jwks.json").json())


def read(keys: KeySet, token: str) -> Any:
    return jwt.decode(token, keys, ["RS256"])


def test_2_1_it_is_signed_by_a_named_key_and_says_that_it_is_an_access_token(live: Live, keys: KeySet):
    header = read(keys, live.tokens_of("ada@example.com")["access_token"]).header
    assert set(header) == {"typ", "alg", "kid"}
    assert (header["typ"], header["alg"]) == ("at+jwt", "RS256")


def test_2_2_it_has_the_claims_that_are_required_one_audience_one_tenant_and_ten_minutes(
    live: Live, keys: KeySet
):
    now = int(time.time())
    claims = read(
        keys, live.tokens_of("ada@example.com", scope="openid readings:read")["access_token"]
    ).claims
    assert {"iss", "exp", "aud", "sub", "client_id", "iat", "jti"} <= set(claims)
    assert (claims["iss"], claims["aud"]) == (live.url, f"{live.url}/api")
    assert (claims["tenant"], claims["client_id"]) == ("acme", UI_CLIENT_ID)
    assert claims["exp"] - claims["iat"] == 600
    assert abs(claims["iat"] - now) < 60
    assert claims["scope"] == "openid readings:read", "section 2.2.3"


def test_2_2_1_when_and_how_the_person_proved_who_they_are_stays_the_same_when_it_is_refreshed(
    live: Live, keys: KeySet
):
    first = live.tokens_of("ada@example.com")
    with live.deployment.databases.core() as core:
        core.execute(text("UPDATE oauth_grants SET auth_time = auth_time - interval '1 hour'"))
    again = live.token_request(grant_type="refresh_token", refresh_token=first["refresh_token"]).json()
    before, after = (read(keys, tokens["access_token"]).claims for tokens in (first, again))
    assert before["amr"] == after["amr"] == ["pwd"]
    assert after["auth_time"] == before["auth_time"] - 3600, "the grant's, not the moment's"
    assert before["gid"] == after["gid"]
    assert before["jti"] != after["jti"]


def test_2_2_a_program_proves_no_person(live: Live, keys: KeySet):
    """Section 5: the subject of a program is never one that a person has, for theirs are UUIDs."""
    token = live.token_request(live.service, grant_type="client_credentials").json()["access_token"]
    claims = read(keys, token).claims
    assert claims["sub"] == claims["client_id"] == live.service[0]
    assert not {"auth_time", "amr", "acr", "gid"} & set(claims)
    assert claims["sub"].startswith("acme-")


@pytest.fixture
def attacker(live: Live) -> Any:
    with live.client() as http:
        yield Attacker(live, http, dict.fromkeys(("acme", "globex", None), live.service[0]))


def forged(attacker: Attacker, **header: Any) -> str:
    """A service client's token, with another header."""
    return attacker.token(header=header)


@pytest.mark.parametrize(
    ("typ", "status"),
    [
        ("at+jwt", 200),
        ("application/at+jwt", 200),
        ("JWT", 401),
        (None, 401),
        ("", 401),
        ("jwt", 401),
        ("logout+jwt", 401),
        ("erasure-receipt+jwt", 401),
        (["at+jwt"], 401),
    ],
)
def test_4_the_type_is_looked_at(live: Live, attacker: Attacker, typ: Any, status: int):
    """Authlib's own validator takes a token without a type."""
    assert live.get(PROBE, forged(attacker, typ=typ)).status_code == status


def introspected(live: Live, token: str) -> dict[str, Any]:
    with live.client() as http:
        return http.post("/oauth/introspect", data={"token": token}, auth=live.service).json()


@pytest.mark.parametrize("kid", KEY_IDS.values(), ids=KEY_IDS)
def test_8725_3_10_a_key_id_is_looked_up_and_nothing_else(live: Live, attacker: Attacker, kid: Any):
    """As a path, as SQL, with a NUL, huge: at every door where a token is read."""
    assert introspected(live, forged(attacker))["active"]
    token = forged(attacker, kid=kid)
    assert live.get(PROBE, token).status_code == 401
    assert live.get("/oauth/userinfo", token).status_code == 401
    assert introspected(live, token) == {"active": False}
    with live.client() as http:
        assert http.post("/oauth/revoke", data={"token": token}, auth=live.service).status_code == 200
        hint = attacker.token(header={"typ": "JWT", "kid": kid})
        assert http.get("/oauth/logout", params={"id_token_hint": hint}).status_code == 400


def test_8725_3_1_no_forgery_is_active_anywhere(live: Live, attacker: Attacker):
    """Other algorithms, other keys, other issuers and audiences: all that the API refuses is refused here."""
    for name, token in attacker.forgeries.items():
        assert introspected(live, token) == {"active": False}, name
        assert live.get("/oauth/userinfo", token).status_code == 401, name


def test_8725_3_12_no_token_passes_for_one_of_another_kind(live: Live):
    tokens = live.tokens_of("ada@example.com")
    for kind in ("id_token", "refresh_token"):
        assert live.get(PROBE, tokens[kind]).status_code == 401
        assert live.get("/oauth/userinfo", tokens[kind]).status_code == 401
    for kind in ("access_token", "id_token"):
        refused = live.token_request(grant_type="refresh_token", refresh_token=tokens[kind])
        assert refused.json()["error"] == "invalid_grant"
    with Browser(live) as browser:
        browser.sign_in(browser.open("/signin"), "ada@example.com")
        for kind in ("access_token", "refresh_token"):
            assert browser.open("/oauth/logout", id_token_hint=tokens[kind]).status_code == 400
        assert "insula_session" in browser.http.cookies


def test_the_token_of_a_client_secret_or_code_is_never_one_of_an_access_token(live: Live):
    """Random secrets and signed tokens share an alphabet, and no meaning."""
    for guess in (UI_SECRET, live.service[1], "null", "undefined", "."):
        assert live.get(PROBE, guess).status_code == 401
