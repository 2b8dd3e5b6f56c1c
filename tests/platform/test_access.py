"""What opens a protected route, and what does not."""

from __future__ import annotations

import asyncio
import hmac
import json
import time
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from joserfc import jwt
from joserfc.jwk import RSAKey

from insula_platform.access import Requires
from insula_platform.oauth.tokens import InvalidToken, read_access_token
from tests.platform.conftest import Live

PROBE = "/api/v1/tenants/acme/probe"


@pytest.fixture(scope="module")
def token(live: Live) -> str:
    """A service client's access token for acme."""
    return live.token_request(live.service, grant_type="client_credentials").json()["access_token"]


def forge(live: Live, **changes: Any) -> str:
    """A token signed with the platform's own key, with some claims or header fields changed or removed."""
    key = live.platform.signing_keys.signing_key()
    now = int(time.time())
    claims = {
        "iss": live.url,
        "aud": f"{live.url}/api",
        "sub": live.service[0],
        "client_id": live.service[0],
        "tenant": "acme",
        "scope": "readings:read",
        "iat": now,
        "exp": now + 60,
        "jti": "1",
    }
    header = {"alg": "RS256", "kid": key.kid, "typ": "at+jwt"}
    for name, value in changes.items():
        part = header if name in {"typ", "kid"} else claims
        if value is None:
            del part[name]
        else:
            part[name] = value
    return jwt.encode(header, claims, key, ["RS256"], default_type=None)


def test_the_forged_token_of_these_tests_is_good_until_something_is_changed(live: Live):
    assert live.get(PROBE, forge(live)).status_code == 200


@pytest.mark.parametrize(
    "changes",
    [
        {"exp": 1_000_000_000},
        {"exp": None},
        {"iss": "https://other.example"},
        {"iss": None},
        {"aud": "insula-ui"},
        {"aud": None},
        {"typ": "JWT"},
        {"typ": None},
        {"kid": "unknown"},
        {"kid": None},
        {"tenant": None},
        {"tenant": ["acme"]},
        {"tenant": None, "scope": "tenants:read readings:read"},
        {"scope": "tenants:read readings:read"},
        {"scope": None},
        {"sub": None},
        {"client_id": None},
        {"jti": None},
        {"iat": None},
        {"iat": 4_000_000_000},
    ],
)
def test_one_wrong_claim_closes_the_door(live: Live, changes: dict[str, Any]):
    answer = live.get(PROBE, forge(live, **changes))
    assert answer.status_code == 401
    assert answer.json()["type"] == "/problems/not-authenticated"
    assert answer.headers["www-authenticate"].startswith('Bearer realm="insula", error="invalid_token"')


def part(token: str, index: int) -> dict[str, Any]:
    encoded = token.split(".")[index]
    return json.loads(urlsafe_b64decode(encoded + "=" * (-len(encoded) % 4)))


def encoded(value: dict[str, Any]) -> str:
    return urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()


def unsigned(live: Live, token: str) -> str:
    return f"{encoded(part(token, 0) | {'alg': 'none'})}.{token.split('.')[1]}."


def by_the_public_key_as_a_secret(live: Live, token: str) -> str:
    public = live.platform.signing_keys.signing_key().as_pem(private=False)
    # By hand: joserfc refuses to be misused so.
    signed = f"{encoded(part(token, 0) | {'alg': 'HS256'})}.{token.split('.')[1]}"
    mac = hmac.digest(public, signed.encode(), "sha256")
    return f"{signed}.{urlsafe_b64encode(mac).rstrip(b'=').decode()}"


def by_another_key(live: Live, token: str) -> str:
    return jwt.encode(part(token, 0), part(token, 1), RSAKey.generate_key(2048), ["RS256"])


def with_other_claims(live: Live, token: str) -> str:
    header, _, signature = token.split(".")
    return f"{header}.{encoded(part(token, 1) | {'tenant': 'globex'})}.{signature}"


def without_signature(live: Live, token: str) -> str:
    return token.rpartition(".")[0] + "."


@pytest.mark.parametrize(
    "attack",
    [unsigned, by_the_public_key_as_a_secret, by_another_key, with_other_claims, without_signature],
)
def test_a_tampered_token_opens_nothing(live: Live, token: str, attack: Callable[[Live, str], str]):
    assert live.get(PROBE, token).status_code == 200
    forged = attack(live, token)
    for tenant in ("acme", "globex"):
        assert live.get(f"/api/v1/tenants/{tenant}/probe", forged).status_code == 401


def test_an_id_token_is_no_access_token(live: Live):
    tokens = live.tokens_of("ada@example.com")
    assert live.get(PROBE, tokens["access_token"]).status_code == 200
    assert live.get(PROBE, tokens["id_token"]).status_code == 401
    assert live.get(PROBE, tokens["refresh_token"]).status_code == 401


@settings(max_examples=200, deadline=None)
@given(st.text() | st.from_regex(r"[A-Za-z0-9_-]*\.[A-Za-z0-9_-]*\.[A-Za-z0-9_-]*", fullmatch=True))
def test_garbage_is_an_invalid_token_and_never_a_fault(live: Live, garbage: str):
    with pytest.raises(InvalidToken):
        asyncio.run(read_access_token(live.settings, live.platform.signing_keys, garbage))


@pytest.mark.parametrize("header", [{}, {"alg": "RS256"}, {"alg": 1}, {"crit": ["x"], "alg": "RS256"}, []])
def test_a_strange_header_is_an_invalid_token(live: Live, token: str, header: Any):
    forged = f"{encoded(header)}.{token.split('.', 1)[1]}"
    assert live.get(PROBE, forged).status_code == 401


def test_without_a_token_the_answer_says_how_to_send_one(live: Live, token: str):
    with live.client() as client:
        for headers in ({}, {"Authorization": "Basic abc"}, {"Authorization": "Bearer"}):
            answer = client.get(PROBE, headers=headers)
            assert answer.status_code == 401
            assert answer.headers["www-authenticate"] == 'Bearer realm="insula"'
        assert client.get(PROBE, params={"access_token": token}).status_code == 401
        assert client.get(PROBE, headers={"Authorization": f"bearer {token}"}).status_code == 200


def test_a_neighbours_tenant_looks_like_one_that_does_not_exist(live: Live, token: str):
    assert live.get(PROBE, token).status_code == 200
    bodies = []
    for slug in ("globex", "nowhere"):
        answer = live.get(f"/api/v1/tenants/{slug}/probe", token)
        assert answer.status_code == 404
        assert "www-authenticate" not in answer.headers
        bodies.append(answer.text.replace(slug, "…"))
    assert bodies[0] == bodies[1]
    # A tenant that was there when the token was signed, and is no more, says the same words.
    gone = live.get("/api/v1/tenants/nowhere/probe", forge(live, tenant="nowhere"))
    assert (gone.status_code, gone.text.replace("nowhere", "…")) == (404, bodies[0])


def test_a_missing_scope_is_named_and_hides_nothing_of_other_tenants(live: Live, token: str):
    answer = live.get("/api/v1/tenants/acme/members-probe", token)
    assert answer.status_code == 403
    assert answer.json()["type"] == "/problems/insufficient-scope"
    assert 'error="insufficient_scope", scope="members:read"' in answer.headers["www-authenticate"]
    assert live.get("/api/v1/tenants/globex/members-probe", token).status_code == 404
    owner = live.tokens_of("ada@example.com")["access_token"]
    assert live.get("/api/v1/tenants/acme/members-probe", owner).status_code == 200


def test_a_route_can_only_require_scopes_that_exist():
    with pytest.raises(ValueError, match="readings:raed"):
        Requires("readings:raed")


def test_the_document_lists_the_scopes_of_each_operation(live: Live):
    document = live.get("/openapi.json").json()
    operation = document["paths"]["/api/v1/tenants/{tenant}/probe"]["get"]
    assert operation["security"] == [{"OAuth2": ["readings:read"]}]
    flows = document["components"]["securitySchemes"]["OAuth2"]["flows"]
    assert set(flows) == {"authorizationCode", "clientCredentials"}
    assert flows["authorizationCode"]["tokenUrl"] == "/oauth/token"
    assert "openid" not in flows["clientCredentials"]["scopes"]
    for status in ("401", "403", "404", "422", "503"):
        schema = operation["responses"][status]["content"]["application/problem+json"]["schema"]
        assert schema == {"$ref": "#/components/schemas/Problem"}
    assert "HTTPValidationError" not in document["components"]["schemas"]
    assert "FieldProblem" in document["components"]["schemas"]
