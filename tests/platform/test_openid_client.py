"""A client library that knows nothing of us goes by the specifications alone, and arrives."""

from __future__ import annotations

from typing import Any

import httpx
import pytest
from joserfc.jwk import ECKey, OKPKey, RSAKey

from tests.platform.conftest import Browser, Live
from tests.servers.openid_client import OpenidClient

KEYS: dict[str, Any] = {
    "ES256": ECKey.generate_key("P-256", {"kid": "one"}),
    "PS256": RSAKey.generate_key(2048, {"kid": "one"}),
    "Ed25519": OKPKey.generate_key("Ed25519", {"kid": "one"}),
}


def register(live: Live, alg: str = "ES256", **wanted: Any) -> dict[str, Any]:
    """Make a client by the API; what `client.mjs` wants to know of it."""
    method = wanted.get("token_endpoint_auth_method", "client_secret_basic")
    if method == "private_key_jwt":
        wanted["jwks"] = {"keys": [KEYS[alg].as_dict(private=False)]}
    token = live.tokens_of("ada@example.com", scope="clients:write readings:read")["access_token"]
    with live.client() as http:
        made = http.post(
            "/api/v1/tenants/acme/clients",
            json={"name": "Foreign program", "scopes": ["readings:read"]} | wanted,
            headers={"Authorization": f"Bearer {token}"},
        )
    assert made.status_code == 201, made.text
    return {
        "issuer": live.url,
        "api": f"{live.url}/api/v1/tenants/acme/probe",
        "client_id": made.json()["client_id"],
        "method": method,
        "secret": made.json()["client_secret"],
        "jwk": KEYS[alg].as_dict(private=True),
        "alg": alg,
        "scope": "readings:read",
    }


@pytest.mark.parametrize(
    ("method", "application_type", "redirect_uri", "came_back_at"),
    [
        ("client_secret_basic", "web", "https://app.example/callback", None),
        ("private_key_jwt", "web", "https://app.example/callback", None),
        ("none", "native", "http://127.0.0.1/callback", "http://127.0.0.1:49152/callback"),
        ("none", "native", "com.example.app:/callback", None),
    ],
)
def test_it_signs_in_with_pkce_refreshes_revokes_and_signs_out(
    live: Live, method: str, application_type: str, redirect_uri: str, came_back_at: str | None
):
    asked = register(
        live,
        token_endpoint_auth_method=method,
        application_type=application_type,
        grant_types=["authorization_code", "refresh_token"],
        redirect_uris=[redirect_uri],
        post_logout_redirect_uris=[redirect_uri],
        scopes=["openid", "email", "readings:read"],
    )
    address = came_back_at or redirect_uri
    asked |= {"redirect_uri": address, "post_logout_redirect_uri": address}
    asked["scope"] = "openid email readings:read"
    with OpenidClient(**asked) as program, Browser(live) as browser:
        page = browser.sign_in(browser.open(program.step("authorize")["url"]), "ada@example.com")
        came = browser.submit(page, decision="allow").headers["location"]
        assert came.startswith(address)
        program.tell({"came": came})
        signed_in = program.step("signed in")
        assert signed_in["scope"] == "openid email readings:read"
        assert signed_in["claims"]["aud"] == asked["client_id"]
        assert signed_in["claims"]["tenant"] == "acme"
        assert signed_in["person"]["email"] == "ada@example.com"
        assert signed_in["api"] == 200
        assert program.step("refreshed") == {"step": "refreshed", "isAnother": True, "api": 200}
        assert program.step("revoked")["refused"] == "invalid_grant"
        left = browser.open(program.step("sign out")["url"])
        assert httpx.URL(left.headers["location"]).params["state"] == "bye"
        assert "<h1>Sign in</h1>" in browser.open("/account/consents").text


@pytest.mark.parametrize("alg", ["PS256", "Ed25519"])
def test_it_acts_for_itself_by_its_signature(live: Live, alg: str):
    with OpenidClient(**register(live, alg, token_endpoint_auth_method="private_key_jwt")) as program:
        assert program.step("done") == {"step": "done", "scope": "readings:read", "api": 200}
