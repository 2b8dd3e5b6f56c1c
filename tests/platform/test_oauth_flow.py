"""Authorization code with PKCE, end to end: what comes back, and what never does."""

from __future__ import annotations

import warnings
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest
from authlib.deprecate import AuthlibDeprecationWarning
from joserfc import jwt
from joserfc.jwk import KeySet
from sqlalchemy import text

from tests.platform.conftest import UI_CLIENT_ID, UI_SECRET, Authorization, Browser, Live, returned

with warnings.catch_warnings():
    warnings.simplefilter("ignore", AuthlibDeprecationWarning)  # it will want httpx2 one day
    from authlib.integrations.httpx_client import OAuth2Client


def redeem(live: Live, asked: Authorization, code: str, /, **changes: str) -> httpx.Response:
    form = {
        "grant_type": "authorization_code",
        "code": code,
        "redirect_uri": asked.parameters["redirect_uri"],
        "code_verifier": asked.verifier,
    } | changes
    return live.token_request(**{name: value for name, value in form.items() if value})


def test_a_person_signs_in_and_the_client_gets_tokens_for_their_tenant(live: Live):
    asked = Authorization(live)
    with Browser(live) as browser:
        back = browser.authorize(asked, "ada@example.com")
    assert back["state"] == asked.parameters["state"]
    assert back["iss"] == live.url
    answer = redeem(live, asked, back["code"])
    assert answer.status_code == 200, answer.text
    assert answer.headers["cache-control"] == "no-store"
    tokens = answer.json()
    assert tokens["token_type"] == "Bearer"
    assert tokens["expires_in"] == 600
    assert "readings:write" in tokens["scope"].split()

    keys = KeySet.import_key_set(live.get("/oauth/jwks.json").json())
    access = jwt.decode(tokens["access_token"], keys, ["RS256"])
    assert access.header["typ"] == "at+jwt"
    assert access.header["kid"] == keys.keys[0].kid
    assert access.claims["iss"] == live.url
    assert access.claims["aud"] == f"{live.url}/api"
    assert access.claims["tenant"] == "acme"
    assert access.claims["client_id"] == UI_CLIENT_ID
    assert access.claims["exp"] - access.claims["iat"] == 600
    identity = jwt.decode(tokens["id_token"], keys, ["RS256"]).claims
    assert identity["nonce"] == asked.parameters["nonce"]
    assert identity["aud"] == UI_CLIENT_ID
    assert identity["sub"] == access.claims["sub"]
    assert identity["tenant"] == "acme"
    assert abs(identity["auth_time"] - identity["iat"]) < 60

    who = live.get("/oauth/userinfo", tokens["access_token"]).json()
    assert who == {
        "sub": access.claims["sub"],
        "name": "Ada",
        "email": "ada@example.com",
        "email_verified": False,
        "tenant": "acme",
        "tenant_name": "Acme",
        "role": "owner",
    }
    probe = live.get("/api/v1/tenants/acme/probe", tokens["access_token"])
    assert probe.json() == {"tenant": "acme", "subject": access.claims["sub"], "client": UI_CLIENT_ID}


def test_authlibs_own_client_goes_through_the_flow_by_discovery(live: Live):
    about = live.get("/.well-known/openid-configuration").json()
    assert about == live.get("/.well-known/oauth-authorization-server").json()
    assert about["issuer"] == live.url
    client = OAuth2Client(
        UI_CLIENT_ID,
        UI_SECRET,
        redirect_uri=live.settings.ui_redirect_uri,
        scope="openid readings:read",
        code_challenge_method="S256",
        token_endpoint=about["token_endpoint"],
    )
    verifier = "v" * 64
    url, _state = client.create_authorization_url(about["authorization_endpoint"], code_verifier=verifier)
    with client, Browser(live) as browser:
        page = browser.open(url)
        location = browser.sign_in(page, "ada@example.com").headers["location"]
        tokens = client.fetch_token(authorization_response=location, code_verifier=verifier)
        assert tokens["scope"] == "openid readings:read"
        assert client.get(f"{live.url}/api/v1/tenants/acme/probe").status_code == 200
        again = client.refresh_token()
        assert again["refresh_token"] != tokens["refresh_token"]
        assert client.revoke_token(about["revocation_endpoint"], again["refresh_token"]).status_code == 200
        refused = live.token_request(grant_type="refresh_token", refresh_token=again["refresh_token"])
        assert refused.json()["error"] == "invalid_grant"


def test_scopes_are_cut_to_the_role(live: Live):
    assert live.tokens_of("victor@example.com")["scope"] == "openid profile email devices:read readings:read"
    with Browser(live) as browser:
        back = browser.authorize(Authorization(live, scope="members:read"), "victor@example.com")
    assert back["error"] == "invalid_scope"


def test_a_code_serves_once_and_its_replay_ends_what_came_of_it(live: Live):
    asked = Authorization(live)
    with Browser(live) as browser:
        code = browser.authorize(asked, "ada@example.com")["code"]
    tokens = redeem(live, asked, code).json()
    replay = redeem(live, asked, code)
    assert (replay.status_code, replay.json()["error"]) == (400, "invalid_grant")
    refresh = live.token_request(grant_type="refresh_token", refresh_token=tokens["refresh_token"])
    assert refresh.json()["error"] == "invalid_grant"


def test_of_eight_parallel_redemptions_one_succeeds(live: Live):
    asked = Authorization(live)
    with Browser(live) as browser:
        code = browser.authorize(asked, "ada@example.com")["code"]
    with ThreadPoolExecutor(8) as pool:
        answers = [future.result() for future in [pool.submit(redeem, live, asked, code) for _ in range(8)]]
    assert sorted(answer.status_code for answer in answers) == [200] + [400] * 7
    errors = {answer.json()["error"] for answer in answers if answer.status_code == 400}
    assert errors == {"invalid_grant"}


@pytest.mark.parametrize(
    "changes",
    [
        {"code_challenge": "", "code_challenge_method": ""},
        {"code_challenge_method": "plain"},
        {"code_challenge_method": ""},
        {"code_challenge": "short"},
    ],
)
def test_without_pkce_by_s256_there_is_no_code(live: Live, changes: dict[str, str]):
    asked = Authorization(live, **changes)
    with Browser(live) as browser:
        back = returned(browser.open("/oauth/authorize", **asked.parameters))
    assert back["error"] == "invalid_request"
    assert back["state"] == asked.parameters["state"]
    assert back["iss"] == live.url


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"code_verifier": ""}, "invalid_request"),
        ({"code_verifier": "w" * 64}, "invalid_grant"),
        ({"redirect_uri": "{ui}/other"}, "invalid_grant"),
        ({"redirect_uri": ""}, "invalid_grant"),
        ({"code": "guessed"}, "invalid_grant"),
        ({"code": ""}, "invalid_request"),
    ],
)
def test_a_code_needs_its_verifier_and_its_address(live: Live, changes: dict[str, str], error: str):
    asked = Authorization(live)
    with Browser(live) as browser:
        code = browser.authorize(asked, "ada@example.com")["code"]
    changes = {name: value.replace("{ui}", live.settings.ui_url) for name, value in changes.items()}
    refused = redeem(live, asked, code, **changes)
    assert (refused.status_code, refused.json()["error"]) == (400, error)
    assert redeem(live, asked, code).status_code == 200


def test_a_code_that_lay_too_long_is_refused(live: Live):
    asked = Authorization(live)
    with Browser(live) as browser:
        code = browser.authorize(asked, "ada@example.com")["code"]
    with live.deployment.databases.core() as core:
        core.execute(text("UPDATE oauth_codes SET expires_at = now() WHERE redeemed_at IS NULL"))
    assert redeem(live, asked, code).json()["error"] == "invalid_grant"


def test_a_code_belongs_to_its_client(live: Live):
    asked = Authorization(live)
    with Browser(live) as browser:
        code = browser.authorize(asked, "ada@example.com")["code"]
    with live.deployment.databases.core() as core:
        core.execute(
            text(
                "INSERT INTO oauth_clients (client_id, name, secret_hash, redirect_uris, grant_types, scope)"
                " SELECT 'other', name, secret_hash, redirect_uris, grant_types, scope FROM oauth_clients"
                " WHERE client_id = 'insula-ui'"
            )
        )
    refused = live.token_request(
        ("other", UI_SECRET),
        grant_type="authorization_code",
        code=code,
        redirect_uri=live.settings.ui_redirect_uri,
        code_verifier=asked.verifier,
    )
    assert refused.json()["error"] == "invalid_grant"
    assert redeem(live, asked, code).status_code == 200


@pytest.mark.parametrize(
    "changes",
    [
        {"redirect_uri": "https://evil.example/callback"},
        {"redirect_uri": "{ui}/auth/callback/.."},
        {"redirect_uri": "{ui}/auth/callback?x=1"},
        {"redirect_uri": ""},
        {"redirect_uri": 'http://é/"\\'},
        {"client_id": "unknown"},
        {"client_id": "nul\x00"},
        {"client_id": ""},
        {"client_id": "unknown", "response_type": "token"},
    ],
)
def test_an_address_that_is_not_registered_is_never_visited(live: Live, changes: dict[str, str]):
    changes = {name: value.replace("{ui}", live.settings.ui_url) for name, value in changes.items()}
    with Browser(live) as browser:
        page = browser.open("/oauth/authorize", **Authorization(live, **changes).parameters)
    assert page.status_code == 400
    assert "location" not in page.headers
    assert "This link does not work" in page.text
    assert "evil" not in page.text


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"response_type": "code token"}, "unsupported_response_type"),
        ({"response_type": "token"}, "unsupported_response_type"),
        ({"scope": "openid everything"}, "invalid_scope"),
        ({"prompt": "none"}, "login_required"),
    ],
)
def test_other_mistakes_go_back_to_the_client(live: Live, changes: dict[str, str], error: str):
    asked = Authorization(live, **changes)
    with Browser(live) as browser:
        answer = browser.open("/oauth/authorize", **asked.parameters)
    assert answer.headers["location"].startswith(live.settings.ui_redirect_uri + "?")
    back = returned(answer)
    assert (back["error"], back["state"], back["iss"]) == (error, asked.parameters["state"], live.url)


def test_a_parameter_given_twice_is_refused(live: Live):
    parameters = [*Authorization(live).parameters.items(), ("redirect_uri", "https://evil.example/")]
    with live.client() as client:
        page = client.get("/oauth/authorize", params=parameters)
    assert page.status_code == 400
    assert "location" not in page.headers


def test_one_who_belongs_nowhere_gets_no_code(live: Live):
    with Browser(live) as browser:
        back = browser.authorize(Authorization(live), "noah@example.com")
    assert back["error"] == "access_denied"
