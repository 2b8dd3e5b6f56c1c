"""The sign-in pages, as a browser meets them."""

from __future__ import annotations

import json
import re
from base64 import urlsafe_b64decode
from urllib.parse import urlencode

import pytest
from argon2 import PasswordHasher
from sqlalchemy import text

from insula_platform.oauth.models import fingerprint
from insula_platform.people import check_password, create_account, memberships_of
from insula_platform.settings import PlatformSettings
from insula_platform.signin.forms import own_return_to
from insula_platform.signin.sessions import cookie_name
from insula_platform.signin.throttle import MAX_PER_ACCOUNT, MAX_PER_ADDRESS, MAX_REMEMBERED, Throttle
from insula_tenants.errors import Conflict, InvalidInput
from tests.platform.conftest import PASSWORD, Authorization, Browser, Live, returned
from tests.servers.programs import chromium


def test_a_wrong_password_and_an_unknown_address_get_the_same_page(live: Live):
    pages = []
    with Browser(live) as browser:
        for email, password in (("ada@example.com", "wrong"), ("nobody@example.com", PASSWORD)):
            page = browser.sign_in(browser.open("/signin"), email, password)
            assert page.status_code == 403
            assert "insula_session" not in browser.http.cookies
            pages.append(page.text.replace(email, "…"))
    assert pages[0] == pages[1]
    assert "wrong" in pages[0]


def test_what_was_typed_comes_back_escaped_and_the_password_never(live: Live):
    with Browser(live) as browser:
        page = browser.sign_in(browser.open("/signin"), '"><script>', "hunter2hunter2")
    assert "<script>" not in page.text
    assert "hunter2" not in page.text


def test_signing_in_without_a_place_to_return_to_leads_to_the_ui(live: Live):
    with Browser(live) as browser:
        answer = browser.sign_in(browser.open("/signin"), " ADA@Example.com ")
    assert answer.headers["location"] == live.settings.ui_url


def test_a_session_is_opaque_unreadable_by_scripts_and_renewed_at_each_sign_in(live: Live):
    with Browser(live) as browser:
        answer = browser.sign_in(browser.open("/signin"), "ada@example.com")
        cookie = answer.headers["set-cookie"]
        assert "HttpOnly" in cookie
        assert "SameSite=lax" in cookie
        first = browser.http.cookies["insula_session"]
        browser.sign_in(browser.open("/signin"), "ada@example.com")
        second = browser.http.cookies["insula_session"]
        assert first != second
        browser.http.cookies.set("insula_session", first, domain="127.0.0.1", path="/")
        page = browser.open("/oauth/authorize", **Authorization(live).parameters)
        assert "<h1>Sign in</h1>" in page.text
    with live.deployment.databases.core() as core:
        stored = core.execute(text("SELECT id_hash FROM signin_sessions")).scalars().all()
    assert second not in stored


def test_a_session_remembers_the_browser_and_how_its_person_was_known(live: Live):
    with Browser(live) as browser:
        browser.http.headers["User-Agent"] = "Firefox/140"
        browser.sign_in(browser.open("/signin"), "ada@example.com")
        session_id = browser.http.cookies["insula_session"]
    code_grant = live.tokens_of("ada@example.com")
    with live.deployment.databases.core() as core:
        told = core.execute(
            text("SELECT user_agent, address, amr FROM signin_sessions WHERE id_hash = :id"),
            {"id": fingerprint(session_id)},
        ).one()
        assert told == ("Firefox/140", "127.0.0.1", ["pwd"])
    id_token = code_grant["id_token"].split(".")[1]
    assert json.loads(urlsafe_b64decode(id_token + "=="))["amr"] == ["pwd"]


def test_on_https_the_cookies_are_bound_to_the_host():
    key = "k" * 32
    plain = PlatformSettings(secret_key=key)
    safe = PlatformSettings(secret_key=key, public_url="https://insula.example.com")
    assert cookie_name(plain, "session") == "insula_session"
    assert cookie_name(safe, "session") == "__Host-insula_session"


def test_a_session_ends_with_its_time(live: Live):
    asked = Authorization(live)
    with Browser(live) as browser:
        browser.authorize(asked, "ada@example.com")
        assert "code" in returned(browser.open("/oauth/authorize", **asked.parameters))
        with live.deployment.databases.core() as core:
            core.execute(text("UPDATE signin_sessions SET expires_at = now()"))
        assert "<h1>Sign in</h1>" in browser.open("/oauth/authorize", **asked.parameters).text


@pytest.mark.parametrize("tamper", ["no cookie", "other token", "no token"])
def test_a_form_that_is_not_ours_signs_nobody_in(live: Live, tamper: str):
    with Browser(live) as browser:
        page = browser.open("/signin")
        typed = {"other token": {"form_token": "0" * 64}, "no token": {"form_token": ""}}.get(tamper, {})
        if tamper == "no cookie":
            browser.http.cookies.clear()
        answer = browser.submit(page, email="ada@example.com", password=PASSWORD, **typed)
        assert answer.status_code == 403
        assert "insula_session" not in browser.http.cookies
        assert "expired" in answer.text
        assert browser.sign_in(answer, "ada@example.com").is_redirect


@pytest.mark.parametrize(
    "value",
    [
        "https://evil.example/oauth/authorize?x",
        "//evil.example/oauth/authorize",
        "/\\evil.example/oauth/authorize",
        "\\/evil.example",
        "/oauth/authorize/../../evil",
        "/oauth/logout",
        "/oauth/authorize\n",
        "javascript:alert(1)",
        "//[",
        "",
        None,
    ],
)
def test_one_returns_to_the_authorization_endpoint_alone(value: str | None):
    assert own_return_to(value) is None
    assert own_return_to("/oauth/authorize?a=b#c") == "/oauth/authorize?a=b"


def test_a_foreign_return_address_is_dropped_by_the_form_and_by_the_post(live: Live):
    with Browser(live) as browser:
        page = browser.open("/signin", return_to="https://evil.example/")
        assert "evil" not in page.text
        answer = browser.submit(
            page, email="ada@example.com", password=PASSWORD, return_to="https://evil.example/"
        )
    assert answer.headers["location"] == live.settings.ui_url


def test_one_with_several_tenants_chooses(live: Live):
    asked = Authorization(live)
    with Browser(live) as browser:
        page = browser.sign_in(browser.open("/oauth/authorize", **asked.parameters), "erin@example.com")
        assert "<h1>Choose a tenant</h1>" in page.text
        links = re.findall(r'<a href="([^"]+)"><span class="name">([^<]+)</span>', page.text)
        assert [name for _, name in links] == ["Acme", "Globex"]
        answer = browser.open(links[1][0].replace("&amp;", "&"))
    assert returned(answer)["state"] == asked.parameters["state"]
    assert "code" in returned(answer)


def test_the_tenant_may_be_named_in_the_request(live: Live):
    for tenant, role_scopes in (("acme", {"devices:write", "readings:write"}), ("globex", set())):
        tokens = live.tokens_of("erin@example.com", tenant=tenant)
        assert set(tokens["scope"].split()) & {"devices:write", "readings:write"} == role_scopes
        assert live.get(f"/api/v1/tenants/{tenant}/probe", tokens["access_token"]).status_code == 200


def test_a_tenant_of_others_and_one_that_does_not_exist_are_refused_alike(live: Live):
    answers = []
    with Browser(live) as browser:
        for tenant in ("globex", "nowhere"):
            back = browser.authorize(Authorization(live, tenant=tenant, state="s"), "ada@example.com")
            answers.append(back)
    assert answers[0] == answers[1]
    assert answers[0]["error"] == "access_denied"


def test_prompt_login_and_max_age_ask_again_and_only_once(live: Live):
    for wish in ({"prompt": "login"}, {"max_age": "0"}):
        with Browser(live) as browser:
            browser.authorize(Authorization(live), "ada@example.com")
            with live.deployment.databases.core() as core:
                core.execute(text("UPDATE signin_sessions SET auth_time = auth_time - interval '1 second'"))
            page = browser.open("/oauth/authorize", **Authorization(live, **wish).parameters)
            assert "<h1>Sign in</h1>" in page.text
            assert "code" in returned(browser.sign_in(page, "ada@example.com"))


def test_prompt_none_answers_without_a_page(live: Live):
    silent = {"prompt": "none"}
    with Browser(live) as browser:
        browser.sign_in(browser.open("/signin"), "erin@example.com")
        choose = returned(browser.open("/oauth/authorize", **Authorization(live, **silent).parameters))
        assert choose["error"] == "account_selection_required"
        silent["tenant"] = "acme"
        assert "code" in returned(
            browser.open("/oauth/authorize", **Authorization(live, **silent).parameters)
        )
        silent["max_age"] = "0"
        with live.deployment.databases.core() as core:
            core.execute(text("UPDATE signin_sessions SET auth_time = auth_time - interval '1 second'"))
        stale = returned(browser.open("/oauth/authorize", **Authorization(live, **silent).parameters))
        assert stale["error"] == "login_required"


def test_a_client_that_proves_whom_it_means_signs_them_out(live: Live):
    asked = Authorization(live)
    with Browser(live) as browser:
        code = browser.authorize(asked, "ada@example.com")["code"]
        tokens = live.token_request(
            grant_type="authorization_code",
            code=code,
            redirect_uri=live.settings.ui_redirect_uri,
            code_verifier=asked.verifier,
        ).json()
        answer = browser.open(
            "/oauth/logout",
            id_token_hint=tokens["id_token"],
            post_logout_redirect_uri=live.settings.ui_url,
            state="bye",
        )
        assert answer.headers["location"] == f"{live.settings.ui_url}?state=bye"
        assert "insula_session" not in browser.http.cookies
        assert "<h1>Sign in</h1>" in browser.open("/oauth/authorize", **asked.parameters).text


def test_without_proof_the_person_is_asked_before_they_are_signed_out(live: Live):
    with Browser(live) as browser:
        browser.sign_in(browser.open("/signin"), "ada@example.com")
        wish = {"client_id": "insula-ui", "post_logout_redirect_uri": live.settings.ui_url}
        question = browser.open("/oauth/logout", **wish)
        assert "<h1>Sign out?</h1>" in question.text
        assert "insula_session" in browser.http.cookies
        assert browser.submit(question).headers["location"] == live.settings.ui_url
        assert "insula_session" not in browser.http.cookies
        assert "You are signed out" in browser.open("/oauth/logout").text


def test_sign_out_leads_to_no_address_that_is_not_registered(live: Live):
    with Browser(live) as browser:
        answer = browser.open(
            "/oauth/logout", client_id="insula-ui", post_logout_redirect_uri="https://evil.example/"
        )
        assert answer.status_code == 200
        assert "evil" not in answer.text
        forged = browser.open("/oauth/logout", id_token_hint="a.b.c")
        assert forged.status_code == 400


def test_the_hint_of_another_person_does_not_sign_this_one_out(live: Live):
    hint = live.tokens_of("victor@example.com")["id_token"]
    with Browser(live) as browser:
        browser.sign_in(browser.open("/signin"), "ada@example.com")
        assert "<h1>Sign out?</h1>" in browser.open("/oauth/logout", id_token_hint=hint).text
        assert "insula_session" in browser.http.cookies


def test_pages_run_no_script_are_not_framed_and_not_kept(live: Live):
    with Browser(live) as browser:
        page = browser.open("/signin")
        style = browser.open("/static/signin.css")
    policy = page.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "frame-ancestors 'none'" in policy
    assert f"form-action 'self' {live.settings.ui_url}" in policy
    assert "script" not in policy
    assert page.headers["cache-control"] == "no-store"
    assert "<script" not in page.text
    assert "style=" not in page.text
    assert style.headers["content-type"].startswith("text/css")


def test_failed_attempts_are_braked_for_the_account_and_the_owner_is_told(live: Live):
    with Browser(live) as browser:
        page = browser.open("/signin")
        for _ in range(MAX_PER_ACCOUNT):
            page = browser.sign_in(page, "throttled@example.com", "wrong")
            assert page.status_code == 403
        page = browser.sign_in(page, "throttled@example.com")
        assert page.status_code == 429
        assert 0 < int(page.headers["retry-after"]) <= 301
        assert "Too many failed attempts" in page.text
        assert browser.sign_in(page, "ada@example.com").is_redirect


def test_the_brake_counts_addresses_forgives_success_and_bounds_its_memory():
    throttle = Throttle()
    for number in range(MAX_PER_ADDRESS):
        assert throttle.wait(f"{number}@example.com", "192.0.2.1") == 0
        throttle.failed(f"{number}@example.com", "192.0.2.1")
    assert throttle.wait("new@example.com", "192.0.2.1") > 0
    assert throttle.wait("new@example.com", "192.0.2.2") == 0
    for _ in range(MAX_PER_ACCOUNT):
        throttle.failed("a@example.com", "192.0.2.3")
    assert throttle.wait("a@example.com", "192.0.2.4") > 0
    throttle.succeeded("a@example.com")
    assert throttle.wait("a@example.com", "192.0.2.4") == 0
    for number in range(MAX_REMEMBERED):
        throttle.failed(f"{number}@example.org", "192.0.2.5")
    assert throttle.wait("new@example.com", "192.0.2.1") == 0, "the oldest is forgotten"


def test_in_chromium_the_forms_may_lead_back_to_the_ui(live: Live):
    """Chromium holds redirects after a form against the page's policy; httpx knows no policy."""
    asked = Authorization(live)
    with chromium() as browser:
        page = browser.new_page()
        page.goto(f"{live.url}/oauth/authorize?{urlencode(asked.parameters)}")
        page.get_by_label("E-mail address").fill("ada@example.com")
        page.get_by_label("Password").fill(PASSWORD)
        page.get_by_role("button", name="Sign in").click()
        page.get_by_text("The UI").wait_for()
        assert page.url.startswith(f"{live.settings.ui_redirect_uri}?code=")
        wish = {"client_id": "insula-ui", "post_logout_redirect_uri": live.settings.ui_url}
        page.goto(f"{live.url}/oauth/logout?{urlencode(wish)}")
        page.get_by_role("button", name="Sign out").click()
        page.get_by_text("The UI").wait_for()
        assert page.url == f"{live.settings.ui_url}/"


def test_an_unknown_address_costs_as_much_as_a_known_one(live: Live, monkeypatch: pytest.MonkeyPatch):
    compared = []

    class Recording(PasswordHasher):
        def verify(self, *args: str):
            compared.append(args[0].rsplit("$", 2)[0])
            return super().verify(*args)

    monkeypatch.setattr("insula_platform.people.passwords._hasher", Recording())
    with live.deployment.databases.core() as core:
        for email in ("ada@example.com", "nobody@example.com"):
            assert check_password(core, email, "wrong") is None
    assert len(compared) == 2
    assert compared[0] == compared[1], "both are compared with a hash of the same parameters"


def test_accounts_are_found_by_address_in_any_case_and_are_unique(live: Live):
    with live.deployment.databases.core() as core:
        grace = create_account(core, "Grace@Example.com", " Grace ", PASSWORD)
        assert (grace.email, grace.name) == ("grace@example.com", "Grace")
        found = check_password(core, "GRACE@example.com", PASSWORD)
        assert found is not None
        assert found.id == grace.id
        assert check_password(core, "grace@example.com", PASSWORD + "x") is None
        assert memberships_of(core, grace.id) == []
        with pytest.raises(Conflict):
            create_account(core, "grace@EXAMPLE.com", "Other", PASSWORD)


def test_an_account_without_a_password_signs_in_with_none(live: Live):
    with live.deployment.databases.core() as core:
        hollow = create_account(core, "hollow@example.com", "Hollow", PASSWORD)
        hollow.password_hash = None
        core.flush()
        for password in ("", PASSWORD, "nobody's"):
            assert check_password(core, "hollow@example.com", password) is None


@pytest.mark.parametrize(
    ("email", "name", "password", "field"),
    [
        ("no-address", "X", PASSWORD, "email"),
        ("a b@example.com", "X", PASSWORD, "email"),
        ("x@example.com", "  ", PASSWORD, "name"),
        ("x@example.com", "X", "short", "password"),
        ("x@example.com", "X", "x" * 257, "password"),
    ],
)
def test_an_account_needs_an_address_a_name_and_a_password(
    live: Live, email: str, name: str, password: str, field: str
):
    with live.deployment.databases.core() as core, pytest.raises(InvalidInput) as caught:
        create_account(core, email, name, password)
    assert caught.value.field == field


def test_passwords_are_the_same_however_their_accents_are_composed(live: Live):
    with live.deployment.databases.core() as core:
        create_account(core, "renee@example.com", "Renée", "café crème brûlée")
        assert check_password(core, "renee@example.com", "cafe\u0301 cre\u0300me bru\u0302le\u0301e")


@pytest.mark.parametrize(
    "url",
    [
        "http://insula.example.com",
        "https://insula.example.com/path",
        "https://insula.example.com?x",
        "ftp://insula.example.com",
        "https://user@insula.example.com",
        "insula.example.com",
    ],
)
def test_the_public_url_must_be_an_origin_and_safe(url: str):
    with pytest.raises(ValueError, match="public_url"):
        PlatformSettings(secret_key="k" * 32, public_url=url)
