"""Second factors: codes of an app, recovery codes, and the brake on guessing either or the password."""

from __future__ import annotations

import json
import re
import time
from base64 import urlsafe_b64decode
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from urllib.parse import parse_qs, urlsplit

import httpx
import pyotp
import pytest
from pydantic import SecretStr
from sqlalchemy import text

from insula_platform.email_links.service import send_reset
from insula_platform.factors import factors_of, recovery, totp
from insula_platform.people import Account
from insula_platform.signin.attempts import PER_ACCOUNT, PER_ADDRESS, PER_PLACE, _key
from insula_platform.worker.app import forget_expired
from insula_tenants.errors import ConfigurationError
from insula_tenants.invitations import invite
from tests.platform.conftest import PASSWORD, Authorization, Browser, Live, returned
from tests.platform.people import audited, forgive, letters_to, link_in, someone


@pytest.fixture(autouse=True)
def forgiving(live: Live):
    yield
    forgive(live)


class App:
    """A telephone's authenticator app, with a clock that tests may move."""

    def __init__(self, page: httpx.Response) -> None:
        secret = re.search(r"<code>([A-Z2-7 ]+)</code>", page.text)
        assert secret
        self.totp = pyotp.TOTP(secret[1].replace(" ", ""))

    def code(self, steps: int = 0) -> str:
        return self.totp.generate_otp(int(time.time()) // totp.STEP + steps)


def with_app(live: Live, email: str) -> tuple[App, list[str]]:
    """Give the account an app; the app, and the recovery codes. The code of the step before is used up."""
    with Browser(live) as browser:
        browser.sign_in(browser.open("/signin"), email)
        page = browser.submit(browser.open("/account/factors"), "/account/factors/app")
        app = App(page)
        done = browser.submit(page, code=app.code(-1))
        assert "<h1>Your recovery codes</h1>" in done.text
        return app, re.findall(r"<li><code>([a-z2-7-]+)</code>", done.text)


def is_signed_in(browser: Browser) -> bool:
    return "insula_session" in browser.http.cookies


# Codes of an app


def test_an_app_is_scanned_confirmed_and_then_asked_for(live: Live):
    email = someone(live)
    with Browser(live) as browser:
        browser.sign_in(browser.open("/signin"), email)
        page = browser.submit(browser.open("/account/factors"), "/account/factors/app")
        assert "<svg" in page.text
        app = App(page)
        wrong = browser.submit(page, code="000000" if app.code() != "000000" else "000001")
        assert (wrong.status_code, App(wrong).totp.secret) == (403, app.totp.secret)
        with Browser(live) as meanwhile:  # until it is confirmed, nobody is locked out by it
            meanwhile.sign_in(meanwhile.open("/signin"), email)
            assert is_signed_in(meanwhile)
        browser.submit(wrong, code=f" {app.code(-1)[:3]} {app.code(-1)[3:]} ")
    with Browser(live) as browser:
        page = browser.sign_in(browser.open("/signin"), email)
        assert "<h1>One more step</h1>" in page.text
        assert not is_signed_in(browser), "the password alone is not enough"
        assert browser.submit(page, code=app.code()).headers["location"] == live.settings.ui_url
        assert is_signed_in(browser)
    assert audited(live, email)[:3] == ["session.started", "session.started", "factor.added"]
    assert "authenticator app was added" in letters_to(live, email)[-1].body


def test_what_the_qr_code_holds_is_what_apps_expect(live: Live):
    with live.deployment.databases.core() as core:
        account = core.query(Account).filter_by(email=someone(live)).one()
        enrolment = totp.begin(core, live.settings.secret_key, account)
        told = urlsplit(enrolment.uri)
        assert (told.scheme, told.netloc) == ("otpauth", "totp")
        assert parse_qs(told.query) == {"secret": [enrolment.secret], "issuer": ["Insula"]}
        assert len(enrolment.secret) == 32, "160 bits, as RFC 4226 recommends"
        sealed = core.scalar(text("SELECT secret_sealed FROM totp_factors ORDER BY created_at DESC LIMIT 1"))
        assert enrolment.secret.encode() not in bytes(sealed)
        with pytest.raises(ConfigurationError, match="INSULA_SECRET_KEY"):
            totp.confirm(core, SecretStr("k" * 32), account.id, "123456")


def test_a_code_is_good_once_and_a_clock_may_be_half_a_minute_off(live: Live):
    email = someone(live)
    app, _ = with_app(live, email)
    with live.deployment.databases.core() as core:
        account_id = core.query(Account.id).filter_by(email=email).scalar()

    def is_taken(code: str) -> bool:
        with live.deployment.databases.core() as core:
            return totp.check(core, live.settings.secret_key, account_id, code)

    for code in (app.code(-1), app.code(-3), app.code(3), "", "12345", "١٢٣٤٥٦", "x" * 100):
        assert not is_taken(code)
    code = app.code(1)
    with ThreadPoolExecutor(8) as pool:
        assert sorted(pool.map(is_taken, [code] * 8)) == [False] * 7 + [True], "of many at once, one"
    assert not is_taken(app.code()), "an earlier step is over, too"


def test_the_second_factor_leads_back_to_the_client_which_is_told_of_both(live: Live):
    email = "erin@example.com"
    app, codes = with_app(live, email)
    asked = Authorization(live, tenant="acme")
    with Browser(live) as browser:
        page = browser.sign_in(browser.open("/oauth/authorize", **asked.parameters), email)
        code = returned(browser.submit(page, code=app.code()))["code"]
        answer = live.token_request(
            grant_type="authorization_code",
            code=code,
            redirect_uri=asked.parameters["redirect_uri"],
            code_verifier=asked.verifier,
        )
        claims = answer.json()["id_token"].split(".")[1]
        assert json.loads(urlsafe_b64decode(claims + "=="))["amr"] == ["pwd", "otp", "mfa"]
        browser.submit(browser.open("/account/factors"), "/account/factors/app/remove")
        assert "Off: whoever has your password" in browser.open("/account/factors").text
    with Browser(live) as browser:
        browser.sign_in(browser.open("/signin"), email)
        assert is_signed_in(browser), "with the last factor the question is gone"
    with live.deployment.databases.core() as core:
        account_id = core.query(Account.id).filter_by(email=email).scalar()
        assert not recovery.use(core, account_id, codes[0]), "and so are the recovery codes"


@pytest.mark.parametrize("tamper", ["no step", "late", "foreign form"])
def test_the_second_form_is_for_a_browser_in_which_the_password_was_right(live: Live, tamper: str):
    email = someone(live)
    app, _ = with_app(live, email)
    with Browser(live) as browser:
        page = browser.sign_in(browser.open("/signin"), email)
        typed = {"code": app.code()}
        if tamper == "no step":
            browser.http.cookies.delete("insula_step")
        elif tamper == "late":
            with live.deployment.databases.core() as core:
                core.execute(text("UPDATE signin_steps SET expires_at = now()"))
        else:
            typed["form_token"] = "0" * 64
        answer = browser.submit(page, **typed)
        assert not is_signed_in(browser)
        assert ("<h1>Sign in</h1>" in answer.text) is (tamper != "foreign form")
    with Browser(live) as browser:
        assert "<h1>Sign in</h1>" in browser.open("/signin/second").text


def test_managing_factors_wants_a_recent_sign_in_with_the_factor(live: Live):
    email = someone(live)
    app, _ = with_app(live, email)
    with Browser(live) as browser:
        browser.submit(browser.sign_in(browser.open("/signin"), email), code=app.code())
        page = browser.open("/account/factors")
        with live.deployment.databases.core() as core:
            core.execute(text("UPDATE signin_sessions SET auth_time = auth_time - interval '15 min'"))
        for path in ("/account/factors/app/remove", "/account/factors/recovery-codes"):
            asked = browser.submit(page, path)
            assert "You signed in more than ten minutes ago" in asked.text
        assert "<h1>One more step</h1>" in browser.sign_in(asked, email).text
        assert "<h1>Sign in</h1>" in browser.open("/account/factors").text, "not yet"


def test_an_invitation_is_no_way_around_the_second_factor(live: Live):
    email = "noah@example.com"
    app, _ = with_app(live, email)
    with live.deployment.databases.core() as core:
        token = invite(core, live.deployment.acme.id, email, "viewer")
    with Browser(live) as browser:
        answer = browser.submit(
            browser.submit(browser.open("/invitation"), invitation=token), password=PASSWORD
        )
        assert (answer.status_code, "Sign in first" in answer.text) == (403, True)
        assert not is_signed_in(browser)
        browser.submit(browser.sign_in(browser.open("/signin", return_to="/account"), email), code=app.code())
        joined = browser.submit(browser.submit(browser.open("/invitation"), invitation=token))
        assert joined.headers["location"] == live.settings.ui_url


# Recovery codes


def test_a_recovery_code_stands_in_once_however_it_is_typed(live: Live):
    email = someone(live)
    _, codes = with_app(live, email)
    assert len(set(codes)) == recovery.COUNT
    with Browser(live) as browser:
        browser.submit(
            browser.sign_in(browser.open("/signin"), email), code=codes[0].upper().replace("-", " ")
        )
        assert is_signed_in(browser)
        assert "9 of them are left" in browser.open("/account/factors").text
    with Browser(live) as browser:
        page = browser.sign_in(browser.open("/signin"), email)
        assert browser.submit(page, code=codes[0]).status_code == 403
        assert not is_signed_in(browser)
    assert "recovery-code.used" in audited(live, email)
    with live.deployment.databases.core() as core:
        stored = core.execute(text("SELECT code_hash FROM recovery_codes")).scalars().all()
    assert not set(codes) & set(stored)


def test_new_recovery_codes_void_the_old_ones(live: Live):
    email = someone(live)
    app, old = with_app(live, email)
    with Browser(live) as browser:
        browser.submit(browser.sign_in(browser.open("/signin"), email), code=app.code())
        page = browser.submit(browser.open("/account/factors"), "/account/factors/recovery-codes")
        new = re.findall(r"<li><code>([a-z2-7-]+)</code>", page.text)
    with live.deployment.databases.core() as core:
        account_id = core.query(Account.id).filter_by(email=email).scalar()
        assert not recovery.use(core, account_id, old[0])
        assert recovery.use(core, account_id, new[0])


def test_at_an_address_of_numbers_no_passkey_is_offered(live: Live):
    with Browser(live) as visitor:
        page = visitor.open("/signin")
        assert "passkey" not in page.text
        token = page.text.split('name="form_token" value="')[1].split('"')[0]
        assert visitor.http.post("/signin/passkey/options", data={"form_token": token}).status_code == 403
        visitor.sign_in(page, "ada@example.com", PASSWORD)
        assert "passkeys want a name" in visitor.open("/account/factors").text


# The brake


def guess(browser: Browser, email: str) -> int:
    return browser.sign_in(browser.open("/signin"), email, "a guess").status_code


def used_up(live: Live, counter: int) -> None:
    """Let everything that is counted for stand at `counter`, as other processes would have left it."""
    with live.deployment.databases.core() as core:
        core.execute(text("UPDATE signin_attempts SET attempts = :counter"), {"counter": counter})


def test_guesses_are_braked_alike_for_an_account_and_for_none(live: Live):
    answers = []
    for email in (someone(live), "nobody.of.that.name@example.com"):
        with Browser(live) as browser:
            assert guess(browser, email) == 403
            used_up(live, PER_PLACE.most - 1)
            assert guess(browser, email) == 403
            page = browser.sign_in(browser.open("/signin"), email)
            assert 0 < int(page.headers["retry-after"]) <= PER_PLACE.window.total_seconds()
            shown = re.sub(r'(name="form_token" value=")[0-9a-f]+', r"\1…", page.text.replace(email, "…"))
            answers.append((page.status_code, shown))
            assert browser.sign_in(page, "ada@example.com").is_redirect, "nobody else is braked"
    assert answers[0] == answers[1]
    assert answers[0][0] == 429
    assert "Try again in 15 min." in answers[0][1]


def test_the_brake_holds_across_processes_and_for_many_at_once(live: Live):
    email = someone(live)

    def one(_: int) -> int:
        with Browser(live) as browser:
            return guess(browser, email)

    with Browser(live) as browser:
        assert guess(browser, email) == 403
    used_up(live, PER_PLACE.most - 2)  # by other processes
    live.platform.throttle._failures.clear()
    with ThreadPoolExecutor(6) as pool:
        assert sorted(pool.map(one, range(6))) == [403, 403, 429, 429, 429, 429]


def test_a_stranger_elsewhere_locks_no_owner_out(live: Live):
    email = someone(live)
    with Browser(live) as owner, Browser(live) as stranger:
        owner.sign_in(owner.open("/signin"), email)
        assert "insula_device" in owner.http.cookies
        assert guess(stranger, email) == 403
        used_up(live, PER_ACCOUNT.most)  # by strangers all over the world, and from the owner's address too
        with live.deployment.databases.core() as core:
            here = {"here": _key(PER_ADDRESS, "127.0.0.1")}
            core.execute(text("UPDATE signin_attempts SET attempts = 0 WHERE counted = :here"), here)
        assert guess(stranger, email) == 429
        assert guess(owner, email) == 403, "the owner's browser is still heard"
        assert owner.sign_in(owner.open("/signin"), email).is_redirect
        assert guess(owner, email) == 403
        used_up(live, PER_PLACE.most)
        assert guess(owner, email) == 429, "and is braked by itself"


def test_a_forged_device_cookie_is_none(live: Live):
    email, other = someone(live), someone(live)
    with Browser(live) as mine, Browser(live) as stranger:
        mine.sign_in(mine.open("/signin"), other)
        theirs = mine.http.cookies["insula_device"]
        for forged in (theirs, f"x.{'0' * 64}", "x", "é"[:0]):
            stranger.http.cookies.set("insula_device", forged, domain="127.0.0.1", path="/")
            assert guess(stranger, email) == 403
        used_up(live, PER_PLACE.most)
        assert guess(stranger, email) == 429


def test_codes_are_braked_too(live: Live):
    email = someone(live)
    app, _ = with_app(live, email)
    with Browser(live) as browser:
        page = browser.sign_in(browser.open("/signin"), email)
        used_up(live, PER_PLACE.most - 1)
        assert browser.submit(page, code="x").status_code == 403
        answer = browser.submit(page, code=app.code())
        assert (answer.status_code, "Too many failed attempts" in answer.text) == (429, True)
        assert not is_signed_in(browser)


@pytest.mark.parametrize("confirmed", [False, True])
def test_a_reset_leaves_no_factor_of_who_made_an_account_with_anothers_address(live: Live, confirmed: bool):
    """Of an address that is confirmed they are its owner's: the mailbox alone opens nothing."""
    email = someone(live)
    _app, codes = with_app(live, email)
    with live.deployment.databases.core() as core:
        account = core.query(Account).filter_by(email=email).one()
        account.email_verified_at = datetime.now(UTC) if confirmed else None
        send_reset(core, live.settings.public_url, account)
    path, token = link_in(letters_to(live, email)[-1])
    new = "seven grey herons crossing"
    with Browser(live) as browser:
        done = browser.submit(browser.open(path), token=token, password=new)
        assert "Your password is changed" in done.text
        browser.sign_in(browser.open("/signin"), email, new)
        assert is_signed_in(browser) is not confirmed
    with live.deployment.databases.core() as core:
        account = core.query(Account).filter_by(email=email).one()
        assert account.email_verified_at is not None
        left = factors_of(core, account.id)
        assert (left.is_protected, left.recovery_codes) == (confirmed, len(codes) if confirmed else 0)


def test_what_is_over_is_purged(live: Live):
    with Browser(live) as browser:
        guess(browser, someone(live))
        browser.sign_in(browser.open("/signin"), "ada@example.com")
    with live.deployment.databases.core() as core:
        core.execute(text("UPDATE signin_attempts SET ends_at = now() - interval '1 second'"))
        core.execute(text("UPDATE signin_steps SET expires_at = now() - interval '1 second'"))
    forget_expired(live.deployment.databases, timedelta(days=1))
    with live.deployment.databases.core() as core:
        for table in ("signin_attempts", "signin_steps"):
            assert core.scalar(text(f"SELECT count(*) FROM {table}")) == 0
