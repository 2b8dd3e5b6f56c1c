"""Signing in and out: what ends with a session, and what does not."""

from __future__ import annotations

import time
from contextlib import closing
from http.cookies import SimpleCookie

import httpx
import pytest
import structlog
from joserfc import jwt
from joserfc.jwk import OctKey, RSAKey

from insula_analytics_ui.backend import build
from insula_analytics_ui.errors import PlatformAway, SignInRefused
from insula_analytics_ui.provider import Provider
from insula_analytics_ui.settings import UiSettings
from insula_analytics_ui.sign_in import local_path
from tests.analytics_ui.conftest import COOKIE, Ui, query_of
from tests.analytics_ui.fake_platform import ANNA, GIL, FakePlatform
from tests.servers.mosquitto import free_port


def test_signing_in_leads_back_to_the_page_asked_for_with_a_cookie_that_says_nothing(
    ui: Ui, platform: FakePlatform
):
    with ui.browser() as browser:
        answer = ui.sign_in(browser, page="/rooms?room=3&period=7d")
        assert (answer.status_code, answer.headers["location"]) == (303, "/rooms?room=3&period=7d")
        cookie = SimpleCookie(
            next(line for line in answer.headers.get_list("set-cookie") if line.startswith(COOKIE + "="))
        )
        attributes = cookie[COOKIE]
        assert attributes["httponly"]
        assert (attributes["samesite"], attributes["path"], attributes["max-age"]) == ("lax", "/", "43200")
        person = ui.session_of(browser).person
        assert (person.subject, person.tenant, person.tenant_name) == ("anna", "acme", "Acme")
        assert (person.name, person.email) == ("Anna Peeters", "anna@acme.example")
        sent = "".join(answer.headers.get_list("set-cookie"))
        assert not any(token in sent for token in [*platform.access_tokens, *platform.refresh_tokens])


def test_by_https_the_cookie_is_secure_and_bound_to_its_host(platform: FakePlatform):
    from insula_analytics_ui.cookies import is_secure, session_cookie

    settings = UiSettings(platform_url=platform.url, ui_url="https://ui.example", ui_client_secret="x")
    assert (is_secure(settings), session_cookie(settings)) == (True, "__Host-insula-ui")


def test_the_provider_is_asked_with_pkce_state_and_nonce(ui: Ui):
    with ui.browser() as browser:
        asked = query_of(browser.get("/auth/login").headers["location"])
    assert asked["response_type"] == "code"
    assert asked["scope"] == "openid profile email devices:read readings:read"
    assert asked["redirect_uri"] == f"{ui.url}/auth/callback"
    assert asked["code_challenge_method"] == "S256"
    assert len(asked["state"]) == len(asked["nonce"]) == len(asked["code_challenge"]) == 43


def test_an_answer_to_another_browsers_question_is_refused(ui: Ui):
    with ui.browser() as browser, ui.browser() as other:
        callback = ui.asks_provider(browser)
        assert other.get(callback).status_code == 400
        assert ui.session_of(other) is None
        assert browser.get(callback).status_code == 303


@pytest.mark.parametrize("wrong", ["state", "exp", "key"])
def test_what_a_browser_remembers_of_its_sign_in_cannot_be_changed_moved_or_kept(ui: Ui, wrong: str):
    def remember(state: str, seconds: int, key: OctKey) -> str:
        claims = {"state": state, "nonce": "n", "verifier": "v", "target": "/", "exp": time.time() + seconds}
        return jwt.encode({"alg": "HS256"}, claims, key)

    with ui.browser() as browser:
        callback = ui.asks_provider(browser)
        state = query_of(callback)["state"]
        [(name, genuine)] = browser.cookies.items()
    made_up = remember(
        "A" * 43 if wrong == "state" else state,
        -60 if wrong == "exp" else 60,
        OctKey.generate_key(256) if wrong == "key" else ui.signing_key,
    )
    with structlog.testing.capture_logs() as logged:
        assert httpx.get(callback, headers={"Cookie": f"{name}={made_up}"}).status_code == 400
        assert "the sign-in cookie is not good" in logged[0]["reason"]
    assert httpx.get(callback, headers={"Cookie": f"{name}={genuine}"}).status_code == 303


@pytest.mark.parametrize(
    "answer",
    [
        {"state": "A" * 43},
        {"state": "short"},
        {"iss": "https://evil.example"},
        {"iss": ""},
        {"code": "made-up"},
        {"error": "access_denied"},
    ],
    ids=lambda answer: next(iter(answer)) + " " + next(iter(answer.values()))[:8],
)
def test_a_callback_that_is_not_our_answer_begins_no_session(ui: Ui, platform: FakePlatform, answer):
    platform.faults["callback"] = answer
    with ui.browser() as browser:
        refused = ui.sign_in(browser)
        assert refused.status_code == 400
        assert "You could not be signed in." in refused.text
        assert ui.session_of(browser) is None

        platform.faults.clear()
        assert ui.sign_in(browser).status_code == 303


def test_a_callback_that_does_not_name_its_issuer_is_refused_where_the_provider_names_itself(ui: Ui):
    with ui.browser() as browser:
        url = httpx.URL(ui.asks_provider(browser))
        assert browser.get(url.copy_remove_param("iss")).status_code == 400
        assert ui.session_of(browser) is None


@pytest.mark.parametrize(
    "fault",
    [
        {"claims": {"nonce": "another"}},
        {"claims": {"nonce": None}},
        {"claims": {"iss": "https://evil.example"}},
        {"claims": {"aud": "another-client"}},
        {"claims": {"aud": "another-client", "azp": "insula-ui"}},
        {"claims": {"aud": ["insula-ui", "another"], "azp": "another"}},
        {"claims": {"exp": int(time.time()) - 3600}},
        {"claims": {"tenant": ""}},
        {"key": RSAKey.generate_key(2048, {"kid": "one"})},
        {"key": RSAKey.generate_key(2048, {"kid": "unknown"})},
    ],
    ids=[
        "nonce",
        "no nonce",
        "iss",
        "aud",
        "aud, azp ours",
        "azp",
        "exp",
        "tenant",
        "same kid, other key",
        "unknown key",
    ],
)
def test_an_id_token_that_cannot_be_trusted_begins_no_session(ui: Ui, platform: FakePlatform, fault):
    platform.faults |= fault
    with ui.browser() as browser:
        assert ui.sign_in(browser).status_code == 400
        assert ui.session_of(browser) is None

        platform.faults.clear()
        ui.sign_in(browser)
        assert ui.session_of(browser)


def test_an_id_token_signed_by_a_new_key_of_the_provider_is_accepted(ui: Ui, platform: FakePlatform):
    with ui.browser() as browser, ui.browser() as later:
        ui.sign_in(browser)
        platform.key = RSAKey.generate_key(2048, {"kid": "two"})
        ui.sign_in(later)
        assert ui.session_of(later)


@pytest.mark.parametrize(
    "path",
    [
        "//evil.example",
        "/\\evil.example",
        "https://evil.example/",
        "evil",
        "/a\r\nSet-Cookie: x",
        "/auth/logout",
        "",
    ],
)
def test_a_page_elsewhere_is_not_followed_after_signing_in(ui: Ui, path: str):
    assert local_path(path) == "/"
    with ui.browser() as browser:
        assert ui.sign_in(browser, page=path).headers["location"] == "/"


def test_without_next_the_page_it_came_from_is_where_signing_in_leads(ui: Ui):
    with ui.browser() as browser:
        ui.asks_provider(browser)
        for referer, target in (
            (f"{ui.url}/devices?state=silent", "/devices?state=silent"),
            ("https://evil.example/x", "/"),
        ):
            start = browser.get("/auth/login", headers={"Referer": referer})
            callback = httpx.get(start.headers["location"] + "&as=anna").headers["location"]
            assert browser.get(callback).headers["location"] == target
            browser.get("/auth/logout")


def test_a_cookie_laid_out_before_signing_in_is_not_the_sessions(ui: Ui):
    with ui.browser() as browser:
        browser.cookies.set(COOKIE, "laid-out-by-somebody", domain="127.0.0.1", path="/")
        ui.sign_in(browser)
        first = browser.cookies[COOKIE]
        assert first != "laid-out-by-somebody"
        ui.backend.sessions.end(ui.session_of(browser))
        ui.sign_in(browser, GIL)
        assert browser.cookies[COOKIE] != first
        assert ui.backend.sessions.find(first) is None


def test_two_tabs_can_sign_in_at_once(ui: Ui):
    with ui.browser() as browser:
        first, second = ui.asks_provider(browser, page="/one"), ui.asks_provider(browser, page="/two")
        assert browser.get(first).headers["location"] == "/one"
        assert browser.get(second).headers["location"] == "/two"


def test_a_callback_called_again_leads_home_and_changes_no_session(ui: Ui):
    with ui.browser() as browser:
        callback = ui.asks_provider(browser)
        browser.get(callback)
        session = ui.session_of(browser)
        assert browser.get(callback).headers["location"] == "/"
        assert ui.session_of(browser) is session


def test_signing_out_ends_the_session_here_and_at_the_provider(ui: Ui):
    with ui.browser() as browser:
        ui.sign_in(browser)
        session, cookie = ui.session_of(browser), browser.cookies[COOKIE]
        answer = browser.get("/auth/logout")
        assert answer.headers["location"].startswith(f"{ui.backend.settings.platform_url}/end-session?")
        assert query_of(answer.headers["location"]) == {
            "id_token_hint": session.tokens.id_token,
            "post_logout_redirect_uri": f"{ui.url}/",
        }
        assert ui.backend.sessions.find(cookie) is None
        assert COOKIE not in browser.cookies
        assert httpx.get(answer.headers["location"]).headers["location"] == f"{ui.url}/"


def test_another_site_cannot_sign_a_person_out(ui: Ui):
    with ui.browser() as browser:
        ui.sign_in(browser)
        answer = browser.get("/auth/logout", headers={"Sec-Fetch-Site": "cross-site"})
        assert answer.headers["location"] == "/"
        assert ui.session_of(browser)


def test_a_platform_that_is_away_or_another_is_said_and_not_trusted(platform: FakePlatform):
    secret = "not-to-be-seen"
    away = UiSettings(platform_url=f"http://127.0.0.1:{free_port()}", ui_client_secret=secret)
    other = UiSettings(platform_url="https://other.example", api_url=platform.url, ui_client_secret=secret)
    with closing(build(away).http) as http, pytest.raises(PlatformAway):
        Provider(away, http).metadata()
    with closing(build(other).http) as http, pytest.raises(SignInRefused) as refused:
        Provider(other, http).metadata()
    assert "INSULA_PLATFORM_URL is https://other.example" in refused.value.reason
    assert secret not in repr(other) + refused.value.reason


def test_the_server_reaches_the_platform_from_inside_and_browsers_from_outside(platform: FakePlatform):
    outside = platform.url
    settings = UiSettings(
        platform_url=outside, api_url=outside.replace("127.0.0.1", "localhost"), ui_client_secret="x"
    )
    with closing(build(settings).http) as http:
        metadata = Provider(settings, http).metadata()
    assert metadata.token_endpoint.startswith("http://localhost:")
    assert metadata.jwks_uri.startswith("http://localhost:")
    assert metadata.authorization_endpoint.startswith(outside)
    assert (metadata.end_session_endpoint or "").startswith(outside)


def test_a_person_is_who_the_provider_says_even_without_userinfo(ui: Ui, platform: FakePlatform):
    platform.faults["claims"] = {"name": "Anna P.", "email": "a@acme.example"}
    with ui.browser() as browser:
        ui.sign_in(browser, ANNA)
        assert ui.session_of(browser).person.name == "Anna P."
        assert platform.counts["userinfo"] == 0
