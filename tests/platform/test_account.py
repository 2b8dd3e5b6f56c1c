"""People look after their account: password, address, sessions, and a password they forgot."""

from __future__ import annotations

import threading
from typing import Any

import httpx
import pytest
from sqlalchemy import event, text

from insula_platform.people import check_password
from insula_platform.signin.attempts import LETTERS_PER_ACCOUNT
from tests.platform.conftest import PASSWORD, Authorization, Browser, Live, returned
from tests.platform.people import audited, forgive, letters_to, link_in, someone, work

NEW = "otters rarely visit the bakery"


@pytest.fixture(autouse=True)
def forgiving(live: Live):
    yield
    forgive(live)


def signed_in(live: Live, email: str, password: str = PASSWORD) -> Browser:
    browser = Browser(live)
    browser.sign_in(browser.open("/signin"), email, password)
    assert "insula_session" in browser.http.cookies
    return browser


def is_in(browser: Browser) -> bool:
    """Whether the browser sees its account, rather than the sign-in form."""
    return "<h1>Your account</h1>" in browser.open("/account").text


def has_password(live: Live, email: str, password: str) -> bool:
    with live.deployment.databases.core() as core:
        return check_password(core, email, password) is not None


# Pages of the account


@pytest.mark.parametrize("path", ["/account", "/account/password", "/account/factors", "/account/sessions"])
def test_a_page_of_the_account_asks_who_is_there_and_is_come_back_to(live: Live, path: str):
    with Browser(live) as browser:
        page = browser.open(path)
        assert "<h1>Sign in</h1>" in page.text
        assert "ten minutes ago" not in page.text, "nobody had signed in"
        account = browser.sign_in(page, "ada@example.com")
        assert account.url.path == path
        assert f'href="{live.settings.ui_url}"' in account.text, "and from there to the rooms"


def test_the_bare_address_of_the_platform_leads_to_the_rooms(live: Live):
    with live.client() as http:
        answer = http.get("/")
    assert (answer.status_code, answer.headers["location"]) == (303, live.settings.ui_url)


def test_no_form_of_the_account_is_taken_from_another_site(live: Live):
    email = someone(live)
    with signed_in(live, email) as browser:
        for path in (
            "/account/password",
            "/account/email",
            "/account/email/verification",
            "/account/factors/app",
            "/account/factors/app/confirm",
            "/account/factors/app/remove",
            "/account/factors/passkey",
            "/account/factors/passkey/options",
            "/account/factors/passkey/remove",
            "/account/factors/recovery-codes",
            "/account/sessions/end",
            "/account/sessions/end-others",
        ):
            given = {
                "form_token": "0" * 64,
                "password": PASSWORD,
                "new_password": NEW,
                "email": "eve@example.com",
            }
            assert browser.http.post(path, data=given).status_code == 403, path
        assert has_password(live, email, PASSWORD)
        assert audited(live, email) == ["session.started"]


# The password


def test_a_new_password_ends_every_other_session_and_grant_and_keeps_this_one(live: Live):
    email = "victor@example.com"
    tokens = live.tokens_of(email)
    with signed_in(live, email) as here, signed_in(live, email) as there:
        page = here.submit(here.open("/account/password"), password=PASSWORD, new_password=NEW)
        assert "Your password is changed. 2 other browsers were signed out." in page.text
        assert (is_in(here), is_in(there)) == (True, False)
    again = live.token_request(grant_type="refresh_token", refresh_token=tokens["refresh_token"])
    assert (again.status_code, again.json()["error"]) == (400, "invalid_grant")
    assert has_password(live, email, NEW)
    assert "password.changed" in audited(live, email)
    (letter,) = letters_to(live, email)
    assert "was changed" in letter.subject
    assert NEW not in letter.body
    with signed_in(live, email, NEW) as here:
        here.submit(here.open("/account/password"), password=NEW, new_password=PASSWORD)


def test_the_password_changes_with_the_present_one_and_to_a_good_one_alone(live: Live):
    email = someone(live)
    with signed_in(live, email) as browser, signed_in(live, email) as other:
        page = browser.open("/account/password")
        wrong = browser.submit(page, password="not the password", new_password=NEW)
        assert (wrong.status_code, "present password is wrong" in wrong.text) == (403, True)
        weak = browser.submit(page, password=PASSWORD, new_password="SomebodySomebodySomebody")
        assert (weak.status_code, "Others would guess this one" in weak.text) == (422, True)
        for answer in (wrong, weak):
            assert PASSWORD not in answer.text
        assert is_in(other)
    assert has_password(live, email, PASSWORD)


# Sessions


def test_sessions_are_listed_with_their_browser_and_ended_one_by_one(live: Live):
    email = someone(live)
    with signed_in(live, email) as here, Browser(live) as there:
        firefox = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"
        there.http.headers["User-Agent"] = firefox
        there.sign_in(there.open("/signin"), email)
        page = here.open("/account/sessions")
        assert "Firefox on Linux" in page.text
        assert page.text.count("127.0.0.1") >= 2
        assert page.text.count("this browser") == 1
        here.submit(page, "/account/sessions/end")
        assert (is_in(here), is_in(there)) == (True, False)
    assert audited(live, email)[-1] == "session.ended"


def test_ending_a_session_ends_what_it_let_in_and_nothing_else(live: Live):
    email = "erin@example.com"
    asked = [Authorization(live, tenant="acme"), Authorization(live, tenant="acme")]
    with Browser(live) as here, Browser(live) as there:
        refresh_tokens = []
        for browser, each in zip((here, there), asked, strict=True):
            code = browser.authorize(each, email)["code"]
            answer = live.token_request(
                grant_type="authorization_code",
                code=code,
                redirect_uri=each.parameters["redirect_uri"],
                code_verifier=each.verifier,
            )
            refresh_tokens.append(answer.json()["refresh_token"])
        here.submit(here.open("/account/sessions"), "/account/sessions/end-others")
        assert (is_in(here), is_in(there)) == (True, False)
    answers = [
        live.token_request(grant_type="refresh_token", refresh_token=token).status_code
        for token in refresh_tokens
    ]
    assert answers == [200, 400]


def test_nobody_ends_the_session_of_another(live: Live):
    mine, theirs = someone(live), someone(live)
    with signed_in(live, mine) as browser, signed_in(live, mine), signed_in(live, theirs) as other:
        with live.deployment.databases.core() as core:
            session_id = core.scalar(
                text(
                    "SELECT s.id FROM signin_sessions s JOIN accounts a ON a.id = account_id WHERE email = :e"
                ),
                {"e": theirs},
            )
        page = browser.open("/account/sessions")
        browser.submit(page, "/account/sessions/end", session=str(session_id))
        browser.submit(page, "/account/sessions/end", session="no id")
        assert is_in(other)


# The address


def test_an_address_is_confirmed_by_the_link_that_was_sent_to_it_once(live: Live):
    email = someone(live)
    with signed_in(live, email) as browser:
        page = browser.open("/account")
        assert "not yet" in page.text
        browser.submit(page, "/account/email/verification")
        path, token = link_in(letters_to(live, email)[0])
        assert path == "/confirm-email"
        done = browser.submit(browser.open(path), token=token)
        assert "Your address is confirmed" in done.text
        assert "not yet" not in browser.open("/account").text
        again = browser.submit(browser.open(path), token=token)
        assert (again.status_code, "was used" in again.text) == (404, True)
    assert audited(live, email)[-1] == "email.verified"


def test_a_new_address_counts_from_when_its_letter_is_read_and_the_old_one_is_told(live: Live):
    old, new = someone(live), "New.Address@example.com"
    with signed_in(live, old) as browser:
        browser.submit(browser.open("/account"), "/account/email", email=new)
        assert has_password(live, old, PASSWORD)
        (letter,) = letters_to(live, "new.address@example.com")
        path, token = link_in(letter)
        with Browser(live) as elsewhere:  # the mail may be read on another machine
            elsewhere.submit(elsewhere.open(path), token=token)
        assert has_password(live, "new.address@example.com", PASSWORD)
        assert not has_password(live, old, PASSWORD)
    assert "new.address@example.com" in letters_to(live, old)[-1].body
    assert "email.changed" in audited(live, "new.address@example.com")


def test_whether_another_has_the_address_is_said_to_its_reader_alone(live: Live):
    email = someone(live)
    pages = []
    with signed_in(live, email) as browser:
        for wanted in ("unheard.of@example.com", "victor@example.com"):
            page = browser.submit(browser.open("/account"), "/account/email", email=wanted)
            pages.append((page.status_code, page.text.replace(wanted, "…")))
        path, token = link_in(letters_to(live, "victor@example.com")[-1])
    assert pages[0] == pages[1]
    with Browser(live) as reader:
        answer = reader.submit(reader.open(path), token=token)
    assert (answer.status_code, "another account with this address" in answer.text) == (409, True)
    assert has_password(live, email, PASSWORD)


def test_another_address_wants_a_recent_sign_in(live: Live):
    email = someone(live)
    with signed_in(live, email) as browser:
        page = browser.open("/account")
        age(live)
        asked = browser.submit(page, "/account/email", email="later@example.com")
        assert "You signed in more than ten minutes ago" in asked.text
        assert letters_to(live, "later@example.com") == []
        assert browser.sign_in(asked, email).url.path == "/account"


def age(live: Live) -> None:
    """Let every sign-in be a quarter of an hour ago."""
    with live.deployment.databases.core() as core:
        core.execute(text("UPDATE signin_sessions SET auth_time = auth_time - interval '15 min'"))


def test_no_mailbox_is_flooded(live: Live):
    email = someone(live)
    with signed_in(live, email) as browser:
        for _ in range(LETTERS_PER_ACCOUNT.most):
            assert browser.submit(browser.open("/account"), "/account/email/verification").status_code == 200
        assert browser.submit(browser.open("/account"), "/account/email/verification").status_code == 429
    assert len(letters_to(live, email)) == LETTERS_PER_ACCOUNT.most


# A forgotten password


def ask_for_reset(live: Live, email: str) -> httpx.Response:
    with Browser(live) as browser:
        return browser.submit(browser.open("/reset"), email=email)


def test_a_forgotten_password_is_replaced_by_link_and_everybody_is_signed_out(live: Live):
    email = someone(live)
    with signed_in(live, email) as browser:
        assert "Look into your mail" in ask_for_reset(live, email.upper()).text
        work(live)
        path, token = link_in(letters_to(live, email)[0])
        assert path == "/reset/password"
        with Browser(live) as elsewhere:
            weak = elsewhere.submit(elsewhere.open(path), token=token, password="too short")
            assert weak.status_code == 422
            done = elsewhere.submit(weak, password=NEW)
            assert "Your password is changed" in done.text
            assert "insula_session" not in elsewhere.http.cookies, (
                "one signs in with it, and the second factor"
            )
            again = elsewhere.submit(elsewhere.open(path), token=token, password=PASSWORD)
            assert again.status_code == 404
        assert not is_in(browser)
    assert (has_password(live, email, NEW), has_password(live, email, PASSWORD)) == (True, False)
    assert "was changed" in letters_to(live, email)[-1].subject
    assert [one for one in audited(live, email) if one.startswith("password")] == [
        "password.reset_requested",
        "password.reset",
    ]


def test_a_link_ends_with_its_time_and_with_the_next_one(live: Live):
    email = someone(live)
    for _ in range(2):
        ask_for_reset(live, email)
        work(live)
    first, second = (link_in(letter)[1] for letter in letters_to(live, email))
    with Browser(live) as browser:
        assert browser.submit(browser.open("/reset/password"), token=first, password=NEW).status_code == 404
        with live.deployment.databases.core() as core:
            core.execute(text("UPDATE email_links SET expires_at = now()"))
        assert browser.submit(browser.open("/reset/password"), token=second, password=NEW).status_code == 404
        assert (
            browser.submit(browser.open("/reset/password"), token="a guess", password=NEW).status_code == 404
        )
    assert has_password(live, email, PASSWORD)


def test_a_link_for_one_purpose_serves_no_other(live: Live):
    email = someone(live)
    with signed_in(live, email) as browser:
        browser.submit(browser.open("/account"), "/account/email/verification")
        token = link_in(letters_to(live, email)[0])[1]
        assert browser.submit(browser.open("/reset/password"), token=token, password=NEW).status_code == 404


def test_asking_for_a_link_says_and_does_the_same_for_every_address(live: Live):
    """Same answer, and same work: statements are compared, because time would be an unsure witness."""
    known, unknown = someone(live), "nobody.at.all@example.com"
    seen: list[list[str]] = []

    def note(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        if threading.current_thread() is not threading.main_thread():
            seen[-1].append(statement)

    engine = (
        live.platform.databases._engines["main"] if hasattr(live.platform.databases, "_engines") else None
    )
    assert engine is not None
    event.listen(engine, "before_cursor_execute", note)
    try:
        answers = []
        for email in (known, unknown):
            seen.append([])
            answers.append(ask_for_reset(live, email))
    finally:
        event.remove(engine, "before_cursor_execute", note)
    assert seen[0] == seen[1]
    assert seen[0] != []
    assert not any("accounts" in statement for statement in seen[0])
    assert answers[0].status_code == answers[1].status_code == 200
    assert answers[0].text.replace(known, "…") == answers[1].text.replace(unknown, "…")
    work(live)
    assert (len(letters_to(live, known)), letters_to(live, unknown)) == (1, [])


def test_a_code_is_not_given_to_a_browser_that_was_signed_out_elsewhere(live: Live):
    email = "ada@example.com"
    with signed_in(live, email) as here, signed_in(live, email) as there:
        asked = Authorization(live)
        assert "code" in returned(there.open("/oauth/authorize", **asked.parameters))
        here.submit(here.open("/account/sessions"), "/account/sessions/end-others")
        assert "<h1>Sign in</h1>" in there.open("/oauth/authorize", **asked.parameters).text
