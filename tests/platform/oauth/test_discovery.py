"""What the provider says of itself is what it does (RFC 8414; OpenID Connect Discovery 1.0; RFC 9207)."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest
from authlib.oauth2.rfc8414 import AuthorizationServerMetadata
from authlib.oidc.discovery import OpenIDProviderMetadata
from joserfc import jwt
from joserfc.jwk import ECKey, KeySet

from insula_platform.oauth.clients import create_operator_client, create_service_client
from insula_platform.oauth.device import DEVICE_GRANT
from insula_platform.oauth.models import Client, ClientSecret, fingerprint
from insula_platform.oauth.scopes import API_SCOPES, OPERATOR_SCOPES, join
from tests.platform.conftest import Authorization, Browser, Live, returned

KEY = ECKey.generate_key("P-256", {"kid": "discovery"})
SECRET = "a secret of a client that proves itself in every way"
METHODS = ("client_secret_basic", "client_secret_post", "private_key_jwt", "none")
ENDPOINTS = {"token": "token_endpoint", "revocation": "revocation_endpoint"}
ENDPOINTS |= {"introspection": "introspection_endpoint"}


@pytest.fixture
def about(live: Live) -> dict[str, Any]:
    return live.get("/.well-known/openid-configuration").json()


def test_8414_3_both_documents_are_one_and_are_what_their_specifications_want(
    live: Live, about: dict[str, Any]
):
    assert about == live.get("/.well-known/oauth-authorization-server").json()
    assert about["issuer"] == live.url
    AuthorizationServerMetadata(about).validate()
    OpenIDProviderMetadata(about).validate()


def test_8414_2_every_endpoint_is_there_and_is_the_issuers_own(live: Live, about: dict[str, Any]):
    endpoints = {name: url for name, url in about.items() if name.endswith(("_endpoint", "_uri"))}
    assert len(endpoints) == 8
    with live.client() as http:
        for name, url in endpoints.items():
            assert url.startswith(f"{live.url}/"), name
            method = "GET" if name in {"jwks_uri", "authorization_endpoint"} else "POST"
            assert http.request(method, url).status_code not in {404, 405}, name


def test_every_endpoint_and_grant_is_documented(live: Live, about: dict[str, Any]):
    page = (Path(__file__).parents[3] / "docs" / "oauth.md").read_text()
    for name, value in about.items():
        if name.endswith(("_endpoint", "_uri")):
            assert f"`{value.removeprefix(live.url)}`" in page, name
    for value in (*about["grant_types_supported"], *about["token_endpoint_auth_methods_supported"]):
        assert f"`{value}`" in page


def test_8414_2_each_grant_type_is_served_and_no_other(live: Live, about: dict[str, Any]):
    others = ("password", "implicit", "urn:ietf:params:oauth:grant-type:jwt-bearer")
    others += ("urn:ietf:params:oauth:grant-type:token-exchange", "Authorization_Code", "refresh_token ")
    for grant_type in (*about["grant_types_supported"], *others):
        error = live.token_request(grant_type=grant_type).json()["error"]
        assert (error == "unsupported_grant_type") == (grant_type in others), grant_type
    assert DEVICE_GRANT in about["grant_types_supported"]


@pytest.fixture(scope="module")
def clients(live: Live) -> dict[str, str]:
    """A client for each way to prove who it is."""
    made = {}
    with live.deployment.databases.core() as core:
        for method in METHODS:
            made[method] = f"proves-by-{method}"
            core.add(
                Client(
                    client_id=made[method],
                    tenant_id=live.deployment.acme.id,
                    name=method,
                    auth_method=method,
                    jwks={"keys": [KEY.as_dict(private=False)]} if method == "private_key_jwt" else None,
                    secrets=[ClientSecret(secret_hash=fingerprint(SECRET))] if "secret" in method else [],
                    grant_types=["refresh_token"] if method == "none" else ["client_credentials"],
                    scope="readings:read",
                )
            )
    return made


@pytest.mark.parametrize("endpoint", ENDPOINTS)
@pytest.mark.parametrize("method", METHODS)
def test_8414_2_clients_prove_themselves_as_is_said(
    live: Live, about: dict[str, Any], clients: dict[str, str], endpoint: str, method: str
):
    client_id = clients[method]
    form = {"grant_type": "refresh_token", "refresh_token": "unknown", "token": "unknown"}
    auth: Any = httpx.USE_CLIENT_DEFAULT
    if method == "client_secret_basic":
        auth = (client_id, SECRET)
    elif method == "client_secret_post":
        form |= {"client_id": client_id, "client_secret": SECRET}
    elif method == "none":
        form |= {"client_id": client_id}
    else:
        (algorithm,) = {"ES256"} & set(about[f"{endpoint}_endpoint_auth_signing_alg_values_supported"])
        claims = {"iss": client_id, "sub": client_id, "aud": live.url, "jti": uuid4().hex}
        claims |= {"exp": int(time.time()) + 60}
        form["client_assertion_type"] = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
        form["client_assertion"] = jwt.encode({"alg": algorithm, "kid": KEY.kid}, claims, KEY, [algorithm])
    with live.client() as http:
        answer = http.post(about[ENDPOINTS[endpoint]], data=form, auth=auth)
    is_listed = method in about[f"{endpoint}_endpoint_auth_methods_supported"]
    assert (answer.status_code != 401) == is_listed, answer.text


def test_8414_2_every_scope_can_be_had_by_somebody(live: Live, about: dict[str, Any]):
    with live.deployment.databases.core() as core:
        service = create_service_client(core, live.deployment.acme, "all", join(API_SCOPES))
        operator = create_operator_client(core, "all", join(OPERATOR_SCOPES))
    had = set(live.tokens_of("ada@example.com", scope="openid profile email")["scope"].split())
    for auth in (service, operator):
        had |= set(live.token_request(auth, grant_type="client_credentials").json()["scope"].split())
    assert had == set(about["scopes_supported"])


def test_oidc_discovery_3_every_claim_is_in_an_id_token_and_no_other(live: Live, about: dict[str, Any]):
    tokens = live.tokens_of("ada@example.com")
    keys = KeySet.import_key_set(live.get("/oauth/jwks.json").json())
    read = jwt.decode(tokens["id_token"], keys, about["id_token_signing_alg_values_supported"])
    assert set(read.claims) == set(about["claims_supported"])
    assert set(live.get("/oauth/userinfo", tokens["access_token"]).json()) <= set(read.claims)


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"response_mode": "fragment"}, "invalid_request"),
        ({"response_mode": "form_post"}, "invalid_request"),
        ({"code_challenge_method": "plain"}, "invalid_request"),
        ({"prompt": "create"}, "invalid_request"),
        ({"prompt": "none login"}, "invalid_request"),
        ({"request": "a.b.c"}, "request_not_supported"),
        ({"request_uri": "https://evil.example/request.jwt"}, "request_uri_not_supported"),
        ({"registration": "{}"}, "registration_not_supported"),
        ({"resource": "https://evil.example/api"}, "invalid_target"),
        ({"response_type": "id_token"}, "unsupported_response_type"),
        ({"response_type": "code id_token"}, "unsupported_response_type"),
        ({"response_type": "none"}, "unsupported_response_type"),
    ],
)
def test_what_is_not_listed_is_refused_and_9207_2_the_refusal_names_its_issuer(
    live: Live, about: dict[str, Any], changes: dict[str, str], error: str
):
    """OpenID Connect Core, 3.1.2.6; RFC 8707, 2; Multiple Response Types, 3."""
    asked = Authorization(live, **changes)
    with Browser(live) as browser:
        back = returned(browser.open("/oauth/authorize", **asked.parameters))
    assert (back["error"], back["state"], back["iss"]) == (error, asked.parameters["state"], about["issuer"])
    assert "code" not in back


@pytest.mark.parametrize("changes", [{"response_mode": "query"}, {"resource": "{url}/api"}])
def test_what_is_listed_is_taken(live: Live, about: dict[str, Any], changes: dict[str, str]):
    changes = {name: value.replace("{url}", live.url) for name, value in changes.items()}
    assert live.tokens_of("ada@example.com", **changes)["access_token"]
    assert about["response_modes_supported"] == ["query"]


def test_8707_2_2_a_token_for_another_resource_is_refused(live: Live):
    form = {"grant_type": "client_credentials", "resource": "https://evil.example/api"}
    assert live.token_request(live.service, **form).json()["error"] == "invalid_target"
    form["resource"] = live.settings.api_audience
    assert live.token_request(live.service, **form).status_code == 200
