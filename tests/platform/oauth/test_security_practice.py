"""OAuth 2.0 Security Best Current Practice (RFC 9700), and the clauses of RFC 6749 it builds on."""

from __future__ import annotations

import logging
import re
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

import pytest

from insula_platform.oauth.clients import CLI_CLIENT_ID
from insula_platform.oauth.server import provider
from tests.platform.conftest import (
    PASSWORD,
    UI_CLIENT_ID,
    UI_SECRET,
    Authorization,
    Browser,
    Live,
    returned,
)

POSTED = ("/oauth/token", "/oauth/revoke", "/oauth/introspect", "/oauth/device_authorization")
FORM = {"Content-Type": "application/x-www-form-urlencoded"}


@pytest.mark.parametrize(
    "address",
    [
        "{ui}/auth/callback/",
        "{ui}/auth/callback#",
        "{ui}/auth/callback#fragment",
        "{ui}/auth/callback?",
        "{ui}/auth//callback",
        "{ui}/auth/./callback",
        "{ui}/auth/x/../callback",
        "{ui}/auth/%2e%2e/auth/callback",
        "{ui}/auth%2Fcallback",
        "{ui}/AUTH/callback",
        "{ui}/auth/callback\\..\\evil",
        "{ui}/auth/callback%0d%0aSet-Cookie:x=1",
        " {ui}/auth/callback",
        "http://{host}@evil.example/auth/callback",
        "http://evil.example@{host}/auth/callback",
        "http://{host}.evil.example/auth/callback",
        "http://evil.example/{ui}/auth/callback",
        "http://{hostname}:1/auth/callback",
        "http://{hostname}/auth/callback",
        "https://{host}/auth/callback",
        "HTTP://{host}/auth/callback",
        "http://LOCALHOST/auth/callback",
        "//{host}/auth/callback",
        "/auth/callback",
        "javascript:alert(1)//{host}/auth/callback",
        "data:text/html,{ui}/auth/callback",
    ],
)
def test_2_1_and_4_1_3_an_address_is_compared_character_by_character(live: Live, address: str):
    host = urlsplit(live.settings.ui_url)
    address = address.format(ui=live.settings.ui_url, host=host.netloc, hostname=host.hostname)
    assert address != live.settings.ui_redirect_uri
    with Browser(live) as browser:
        page = browser.open("/oauth/authorize", **Authorization(live, redirect_uri=address).parameters)
    assert page.status_code == 400
    assert "location" not in page.headers
    assert "set-cookie" not in page.headers
    assert "evil" not in page.text


@pytest.mark.parametrize("verifier", ["v" * 42, "v" * 129, "v" * 42 + "é", "v" * 42 + " ", "v" * 42 + "\n"])
def test_7636_4_1_a_verifier_has_43_to_128_plain_characters(live: Live, verifier: str):
    asked = Authorization(live)
    with Browser(live) as browser:
        code = browser.authorize(asked, "ada@example.com")["code"]
    form = {
        "grant_type": "authorization_code",
        "code": code,
        "redirect_uri": asked.parameters["redirect_uri"],
    }
    refused = live.token_request(**form, code_verifier=verifier)
    assert (refused.status_code, refused.json()["error"]) == (400, "invalid_request")
    challenge = asked.parameters["code_challenge"]
    refused = live.token_request(**form, code_verifier=challenge)
    assert refused.json()["error"] == "invalid_grant", "the challenge itself proves nothing: no plain"
    assert live.token_request(**form, code_verifier=asked.verifier).status_code == 200


def test_4_5_a_code_of_one_sign_in_is_no_good_in_another(live: Live):
    """Code injection: the attacker has the victim's code, and a request of their own at the same client."""
    victims, attackers = Authorization(live), Authorization(live)
    with Browser(live) as browser:
        code = browser.authorize(victims, "ada@example.com")["code"]
    form = {"redirect_uri": victims.parameters["redirect_uri"], "code": code}
    refused = live.token_request(grant_type="authorization_code", code_verifier=attackers.verifier, **form)
    assert refused.json()["error"] == "invalid_grant"


def test_4_4_2_every_answer_names_its_issuer_against_mix_up(live: Live):
    """RFC 9207, section 2: on success and on each kind of error."""
    with Browser(live) as browser:
        asked = Authorization(live)
        answers = [browser.open("/oauth/authorize", **Authorization(live, prompt="none").parameters)]
        answers.append(
            browser.sign_in(browser.open("/oauth/authorize", **asked.parameters), "ada@example.com")
        )
        wishes: list[dict[str, str]] = [
            {"scope": "everything"},
            {"response_type": "token"},
            {"code_challenge": ""},
            {"tenant": "nowhere"},
            {"request": "x"},
        ]
        answers += [
            browser.open("/oauth/authorize", **Authorization(live, **wish).parameters) for wish in wishes
        ]
    for answer in answers:
        issuers = [
            value for name, value in parse_qsl(urlsplit(answer.headers["location"]).query) if name == "iss"
        ]
        assert issuers == [live.url]
        assert answer.headers["cache-control"] == "no-store"


def test_4_7_the_state_comes_back_as_it_was_sent(live: Live):
    state = "a b&c=d#e/%41é\"'"
    with Browser(live) as browser:
        back = browser.authorize(Authorization(live, state=state), "ada@example.com")
        assert back["state"] == state
        back = returned(
            browser.open("/oauth/authorize", **Authorization(live, state=state, scope="x").parameters)
        )
        assert (back["state"], back["error"]) == (state, "invalid_scope")


def test_4_12_after_a_password_the_browser_is_sent_on_without_it(live: Live):
    """A redirect by 307 would send the password to the client."""
    with Browser(live) as browser:
        page = browser.open("/signin")
        (token,) = re.findall(r'name="form_token" value="([^"]+)"', page.text)
        form = {"form_token": token, "email": "ada@example.com", "password": PASSWORD}
        assert browser.http.post("/signin", data=form).status_code == 303


def test_session_fixation_a_session_that_was_planted_is_not_signed_in(live: Live):
    """OWASP ASVS 7.2.4: signing in makes a new session, whatever the browser held before."""
    planted = "an attacker's choice of forty-three characters"
    with Browser(live) as victim:
        victim.http.cookies.set("insula_session", planted, domain="127.0.0.1", path="/")
        victim.sign_in(victim.open("/signin"), "ada@example.com")
        held = {cookie.value for cookie in victim.http.cookies.jar if cookie.name == "insula_session"}
    assert planted not in held
    with Browser(live) as attacker:
        attacker.http.cookies.set("insula_session", planted, domain="127.0.0.1", path="/")
        assert "<h1>Sign in</h1>" in attacker.open("/oauth/authorize", **Authorization(live).parameters).text


def test_4_16_no_page_can_be_framed(live: Live):
    with Browser(live) as browser:
        browser.sign_in(browser.open("/signin"), "erin@example.com")
        pages = [
            browser.open("/signin"),
            browser.open("/oauth/authorize", **Authorization(live).parameters),
            browser.open("/oauth/authorize", client_id="unknown"),
            browser.open("/oauth/logout"),
            browser.open("/device"),
        ]
    for page in pages:
        assert "frame-ancestors 'none'" in page.headers["content-security-policy"]
        assert page.headers["x-frame-options"] == "DENY"
        assert page.headers["cache-control"] == "no-store"
        assert page.headers["referrer-policy"] == "same-origin"


@pytest.mark.parametrize("path", POSTED)
def test_6749_3_2_nothing_is_read_from_the_query(live: Live, path: str):
    """Authlib by itself takes `grant_type` from there."""
    form = {"token": "x", "client_id": CLI_CLIENT_ID, "scope": "openid"}
    with live.client() as http:
        for query in ({"grant_type": "client_credentials"}, {"client_id": UI_CLIENT_ID}, {"x": "y"}):
            answer = http.post(path, params=query, data=form, auth=live.service)
            assert (answer.status_code, answer.json()["error"]) == (400, "invalid_request")
        assert http.get(path, params=form).status_code == 405


@pytest.mark.parametrize("path", POSTED)
@pytest.mark.parametrize("name", ["grant_type", "client_id", "client_secret", "scope", "token", "code", "x"])
def test_6749_3_2_no_parameter_is_given_twice(live: Live, path: str, name: str):
    """Starlette would take the last one, and a proxy in between perhaps the first."""
    form = urlencode([("grant_type", "client_credentials"), (name, "a"), (name, "b")])
    with live.client() as http:
        answer = http.post(path, content=form, headers=FORM, auth=live.service)
    assert (answer.status_code, answer.json()["error"]) == (400, "invalid_request")


@pytest.mark.parametrize(
    "name", ["response_type", "client_id", "redirect_uri", "scope", "state", "code_challenge", "nonce"]
)
def test_6749_3_1_nor_at_the_authorization_endpoint(live: Live, name: str):
    parameters = [*Authorization(live).parameters.items(), (name, "https://evil.example/")]
    with live.client() as http:
        page = http.get("/oauth/authorize", params=parameters)
    assert (page.status_code, "location" in page.headers) == (400, False)
    assert "evil" not in page.text


def test_6749_2_3_one_client_one_proof(live: Live):
    client_id, secret = live.service
    form = {"grant_type": "client_credentials"}
    with live.client() as http:
        both = http.post("/oauth/token", data=form | {"client_secret": secret}, auth=live.service)
        assert both.json()["error"] == "invalid_request"
        another = http.post("/oauth/token", data=form | {"client_id": UI_CLIENT_ID}, auth=live.service)
        assert another.json()["error"] == "invalid_client"
        same = http.post("/oauth/token", data=form | {"client_id": client_id}, auth=live.service)
        assert same.status_code == 200
        public = {"client_id": CLI_CLIENT_ID, "scope": "openid"}
        for auth in ((CLI_CLIENT_ID, "guessed"), (UI_CLIENT_ID, "wrong")):
            failed = http.post("/oauth/device_authorization", data=public, auth=auth)
            assert (failed.status_code, failed.json()["error"]) == (401, "invalid_client")
            assert failed.headers["www-authenticate"].startswith("Basic ")
        assert http.post("/oauth/device_authorization", data=public).status_code == 200


def test_6749_5_1_no_answer_with_a_token_or_an_error_is_kept_by_a_cache(live: Live):
    tokens = live.tokens_of("ada@example.com")
    with live.client() as http:
        answers = [
            live.token_request(live.service, grant_type="client_credentials"),
            live.token_request(grant_type="password"),
            live.token_request(("unknown", "x"), grant_type="client_credentials"),
            http.post("/oauth/token", content="a=1&a=2", headers=FORM),
            http.post("/oauth/introspect", data={"token": "x"}, auth=live.service),
            http.post("/oauth/revoke", data={"token": "x"}, auth=live.service),
            http.post("/oauth/device_authorization", data={"client_id": CLI_CLIENT_ID}),
            live.get("/oauth/userinfo", tokens["access_token"]),
        ]
    for answer in answers:
        assert answer.headers["cache-control"] == "no-store", answer.request.url
        assert answer.headers["content-type"] == "application/json"


def test_4_14_2_a_refresh_token_is_bound_to_its_client_and_its_scope(live: Live):
    tokens = live.tokens_of("ada@example.com", scope="openid readings:read")
    form = {"grant_type": "refresh_token", "refresh_token": tokens["refresh_token"]}
    with live.client() as http:
        others = http.post("/oauth/token", data=form | {"client_id": CLI_CLIENT_ID})
    assert others.json()["error"] == "invalid_grant"
    for scope in ("readings:write", "openid readings:read members:write", "tenants:write", "READINGS:READ"):
        assert live.token_request(**form, scope=scope).json()["error"] == "invalid_scope"
    assert live.token_request(**form).json()["scope"] == "openid readings:read"


def test_the_adapter_makes_a_request_once(live: Live):
    """Authlib asks for it several times, and keeps what it found in the first."""
    with provider(live.platform) as server:
        request: Any = object()
        assert server.create_oauth2_request(request) is request


def test_not_even_the_most_talkative_log_has_a_token(live: Live, caplog: pytest.LogCaptureFixture):
    """Authlib logs whole tokens when it issues them, at DEBUG."""
    with caplog.at_level(logging.DEBUG):
        tokens = live.tokens_of("ada@example.com")
        again = live.token_request(grant_type="refresh_token", refresh_token=tokens["refresh_token"]).json()
        program = live.token_request(live.service, grant_type="client_credentials").json()
        with live.client() as http:
            codes = http.post("/oauth/device_authorization", data={"client_id": CLI_CLIENT_ID}).json()
            for token in (again["access_token"], again["refresh_token"]):
                http.post("/oauth/introspect", data={"token": token}, auth=(UI_CLIENT_ID, UI_SECRET))
                http.post("/oauth/revoke", data={"token": token}, auth=(UI_CLIENT_ID, UI_SECRET))
    ours = [record for record in caplog.records if not record.name.startswith("http")]
    written = "\n".join(record.getMessage() for record in ours)
    secrets = [codes["device_code"], codes["user_code"], UI_SECRET, live.service[1]]
    secrets += [
        answer[kind].rpartition(".")[2]
        for answer in (tokens, again, program)
        for kind in ("access_token", "refresh_token", "id_token")
        if kind in answer
    ]
    assert len(secrets) == 10
    assert [secret for secret in secrets if secret in written] == []
    caplog.clear()
    with caplog.at_level(logging.DEBUG, "authlib"):  # as it would be without our keeping it quiet
        program = live.token_request(live.service, grant_type="client_credentials").json()
    assert program["access_token"] in caplog.text
