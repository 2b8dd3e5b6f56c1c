"""Passkeys in a real Chromium, with the authenticator of its debugger."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from playwright.sync_api import Browser, CDPSession, Page
from sqlalchemy import text

from insula_platform.factors.passkeys import relying_party
from insula_platform.people import Account
from insula_platform.settings import PlatformSettings
from insula_platform.signin.models import SigninSession
from tests.platform.conftest import Browser as PlainBrowser
from tests.platform.conftest import Live
from tests.platform.pages import Visitor
from tests.platform.people import audited, forgive, letters_to, someone
from tests.servers.programs import chromium

AUTHENTICATOR = {
    "protocol": "ctap2",
    "transport": "internal",
    "hasResidentKey": True,
    "hasUserVerification": True,
    "isUserVerified": True,
    "automaticPresenceSimulation": True,
}


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as browser:
        yield browser


@pytest.fixture(autouse=True)
def forgiving(live_by_name: Live):
    yield
    forgive(live_by_name)


class Authenticator:
    """The authenticator of one browser window."""

    def __init__(self, page: Page) -> None:
        self._debugger: CDPSession = page.context.new_cdp_session(page)
        self._debugger.send("WebAuthn.enable")
        made = self._debugger.send("WebAuthn.addVirtualAuthenticator", {"options": AUTHENTICATOR})
        self.id = made["authenticatorId"]

    def tell(self, command: str, **what: Any) -> Any:
        """One command of the debugger's WebAuthn domain."""
        return self._debugger.send(f"WebAuthn.{command}", {"authenticatorId": self.id} | what)

    @property
    def credentials(self) -> list[dict[str, Any]]:
        return self.tell("getCredentials")["credentials"]

    def verify_nobody(self) -> None:
        """From now on it cannot say who its user is."""
        self.tell("setUserVerified", isUserVerified=False)


@contextmanager
def window(browser: Browser, live: Live) -> Iterator[tuple[Visitor, Authenticator]]:
    context = browser.new_context()
    page = context.new_page()
    yield Visitor(live, context, page), Authenticator(page)
    context.close()


def add_passkey(visitor: Visitor, email: str, name: str = "My telephone") -> None:
    """Sign in by password, and add a passkey."""
    visitor.sign_in(email, "/account/factors")
    visitor.fill("Name of the new passkey", name)
    visitor.press("Add a passkey")
    visitor.page.get_by_role("heading", name="Your recovery codes").wait_for()


def sign_out(visitor: Visitor) -> None:
    visitor.context.clear_cookies()


def session_of(live: Live, email: str) -> SigninSession | None:
    """The newest session of this account."""
    with live.deployment.databases.core() as core:
        account_id = core.query(Account.id).filter_by(email=email).scalar()
        found = (
            core.query(SigninSession)
            .filter_by(account_id=account_id)
            .order_by(SigninSession.auth_time.desc())
            .first()
        )
        if found is not None:
            core.expunge(found)
        return found


def test_a_passkey_signs_in_without_a_password(browser: Browser, live_by_name: Live):
    email = someone(live_by_name)
    with window(browser, live_by_name) as (visitor, authenticator):
        add_passkey(visitor, email)
        (credential,) = authenticator.credentials
        assert credential["rpId"] == "localhost"
        sign_out(visitor)
        visitor.open("/signin", return_to="/account")
        visitor.press("Use a passkey instead")
        visitor.page.get_by_role("heading", name="Your account").wait_for()
        assert email in visitor.page.locator("main").inner_text()
        session = session_of(live_by_name, email)
        assert session is not None
        assert session.amr == ["hwk", "mfa"]
    assert audited(live_by_name, email) == [
        "session.started",
        "factor.added",
        "recovery-codes.made",
        "session.started",
    ]
    assert "My telephone" in letters_to(live_by_name, email)[0].body


def test_a_passkey_is_a_second_factor_and_its_removal_ends_that(browser: Browser, live_by_name: Live):
    email = someone(live_by_name)
    with window(browser, live_by_name) as (visitor, _):
        add_passkey(visitor, email)
        sign_out(visitor)
        visitor.sign_in(email, "/account/factors")
        visitor.press("Use a passkey")
        visitor.page.get_by_role("heading", name="Second factors").wait_for()
        session = session_of(live_by_name, email)
        assert session is not None
        assert session.amr == ["pwd", "hwk", "mfa"]
        visitor.press("Remove My telephone")
        visitor.page.get_by_text("Off: whoever has your password").wait_for()
        sign_out(visitor)
        visitor.sign_in(email, "/account")
        visitor.page.get_by_role("heading", name="Your account").wait_for()
        sign_out(visitor)
        visitor.open("/signin", return_to="/account")
        visitor.press("Use a passkey instead")
        visitor.page.get_by_text("belongs to no account here").wait_for()


def test_a_device_that_cannot_say_who_its_user_is_signs_nobody_in(browser: Browser, live_by_name: Live):
    email = someone(live_by_name)
    with window(browser, live_by_name) as (visitor, authenticator):
        add_passkey(visitor, email)
        sign_out(visitor)
        authenticator.verify_nobody()
        visitor.open("/signin", return_to="/account")
        visitor.press("Use a passkey instead")
        visitor.page.get_by_text("No passkey was used.").wait_for()
        visitor.open("/account")
        visitor.page.get_by_role("heading", name="Sign in").wait_for()


def test_a_copy_of_a_passkey_whose_count_does_not_grow_is_refused(browser: Browser, live_by_name: Live):
    email = someone(live_by_name)
    with window(browser, live_by_name) as (visitor, authenticator):
        add_passkey(visitor, email)
        sign_out(visitor)
        copied = authenticator.credentials[0]
        visitor.open("/signin", return_to="/account")
        visitor.press("Use a passkey instead")
        visitor.page.get_by_role("heading", name="Your account").wait_for()
        sign_out(visitor)
        authenticator.tell("clearCredentials")
        authenticator.tell("addCredential", credential=copied | {"signCount": 0})
        visitor.open("/signin", return_to="/account")
        visitor.press("Use a passkey instead")
        visitor.page.get_by_text("does not hold").wait_for()


def test_an_answer_is_good_once_for_its_browser_and_its_account(browser: Browser, live_by_name: Live):
    """What the browser sends is caught on its way, and sent by others."""
    email, other = someone(live_by_name), someone(live_by_name)
    with window(browser, live_by_name) as (visitor, _):
        add_passkey(visitor, email)
        sign_out(visitor)
        caught: list[str] = []

        def catch(route: Any) -> None:
            caught.append(route.request.post_data or "")
            route.abort()

        visitor.page.route("**/signin/passkey", catch)
        visitor.open("/signin", return_to="/account")
        with visitor.page.expect_event("requestfailed"):
            visitor.press("Use a passkey instead")
        (form,) = caught
        cookies = {each["name"]: each["value"] for each in visitor.context.cookies()}
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    with PlainBrowser(live_by_name) as thief:
        assert thief.http.post("/signin/passkey", content=form, headers=headers).status_code == 403
        page = thief.open("/signin")
        token = page.text.split('name="form_token" value="')[1].split('"')[0]
        mine = form.replace(form.split("form_token=")[1].split("&")[0], token)
        answer = thief.http.post("/signin/passkey", content=mine, headers=headers)
        assert (answer.status_code, "had expired" in answer.text) == (403, True), "no question was asked here"
    with live_by_name.client() as http:
        sent = {"Cookie": "; ".join(f"{name}={value}" for name, value in cookies.items())} | headers
        with live_by_name.deployment.databases.core() as core:  # make the passkey somebody else's
            core.execute(
                text("UPDATE passkeys SET account_id = (SELECT id FROM accounts WHERE email = :other)"),
                {"other": other},
            )
        stolen = http.post("/signin/passkey", content=form, headers=sent)
        assert (stolen.status_code, "another one" in stolen.text) == (403, True), "the handle names its owner"
        with live_by_name.deployment.databases.core() as core:
            core.execute(
                text("UPDATE passkeys SET account_id = (SELECT id FROM accounts WHERE email = :email)"),
                {"email": email},
            )
        again = http.post("/signin/passkey", content=form, headers=sent)
        assert (again.status_code, "had expired" in again.text) == (403, True), "the question was used up"


def test_the_same_device_is_added_once(browser: Browser, live_by_name: Live):
    email = someone(live_by_name)
    with window(browser, live_by_name) as (visitor, _):
        add_passkey(visitor, email)
        visitor.open("/account/factors")
        visitor.fill("Name of the new passkey", "The same")
        visitor.press("Add a passkey")
        visitor.page.get_by_text("has a passkey for your account already").wait_for()


@pytest.mark.parametrize(
    "credential",
    [
        "",
        "no JSON",
        "[" * 5000,
        "null",
        "[]",
        '{"id": 1}',
        '{"id": "!", "response": []}',
        '{"id": "AAAA", "rawId": "AAAA", "type": "public-key", "response": {"clientDataJSON": "AAAA",'
        ' "authenticatorData": "AAAA", "signature": "AAAA", "userHandle": {}}}',
    ],
)
def test_no_malformed_answer_is_more_than_refused(live_by_name: Live, credential: str):
    with PlainBrowser(live_by_name) as visitor:
        page = visitor.open("/signin")
        token = page.text.split('name="form_token" value="')[1].split('"')[0]
        cookie = {"Cookie": f"insula_form={page.cookies['insula_form']}"}
        asked = visitor.http.post("/signin/passkey/options", data={"form_token": token}, headers=cookie)
        assert len(base64.urlsafe_b64decode(asked.json()["challenge"] + "==")) == 64
        form = {"form_token": token, "credential": credential}
        answer = visitor.http.post("/signin/passkey", data=form, headers=cookie)
        assert answer.status_code == 403
        assert "<h1>Sign in</h1>" in answer.text


def test_questions_that_nobody_answers_do_not_pile_up(live_by_name: Live):
    """Anybody may have them asked, each time as a new browser."""

    def ask() -> None:
        with PlainBrowser(live_by_name) as visitor:
            token = visitor.open("/signin").text.split('name="form_token" value="')[1].split('"')[0]
            cookie = {"Cookie": f"insula_form={visitor.http.cookies['insula_form']}"}
            form = {"form_token": token}
            assert visitor.http.post("/signin/passkey/options", data=form, headers=cookie).status_code == 200

    for _ in range(3):
        ask()
    with live_by_name.deployment.databases.core() as core:
        core.execute(text("UPDATE passkey_challenges SET expires_at = now() - interval '1 second'"))
    for _ in range(2):  # the first of them may find more than it takes at a time
        ask()
    with live_by_name.deployment.databases.core() as core:
        assert core.scalar(text("SELECT count(*) FROM passkey_challenges WHERE expires_at < now()")) == 0


def test_passkeys_are_offered_where_there_is_a_name_to_bind_them_to():
    key = "k" * 32
    for url, party in (
        ("https://insula.example.com", "insula.example.com"),
        ("https://insula.example.com:8443", "insula.example.com"),
        ("http://localhost:8000", "localhost"),
        ("http://127.0.0.1:8000", None),
        ("https://[2001:db8::1]", None),
    ):
        assert relying_party(PlatformSettings(secret_key=key, public_url=url)) == party
