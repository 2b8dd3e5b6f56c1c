"""An invited person opens the link and becomes a member; everybody else does not."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import httpx
import pytest
from sqlalchemy import select, text

from insula_platform.invitations.links import invitation_link
from insula_platform.people import Account, member_of
from insula_platform.signin.attempts import PER_PLACE
from insula_platform.signin.throttle import MAX_PER_ADDRESS
from insula_tenants.audit import list_entries
from insula_tenants.context import TenantContext
from insula_tenants.invitations import invite
from insula_tenants.lifecycle import cancel_deletion, request_deletion, resume_tenant, suspend_tenant
from tests.platform.conftest import PASSWORD, Browser, Live
from tests.platform.people import letters_to
from tests.servers.mqtt import unique
from tests.servers.programs import chromium

GONE = "unknown, was used, or has expired"


@pytest.fixture(autouse=True)
def forgiving(live: Live):
    """What one test does wrong does not slow down the next."""
    yield
    live.platform.throttle._failures.clear()
    with live.deployment.databases.core() as core:
        core.execute(text("DELETE FROM signin_attempts"))


def invited(live: Live, email: str, role: str = "viewer", tenant: TenantContext | None = None) -> str:
    """The token of a new invitation, to acme when nothing else is said."""
    with live.deployment.databases.core() as core:
        return invite(core, (tenant or live.deployment.acme).id, email, role)


def newcomer() -> str:
    return f"{unique('newcomer')}@example.com"


def open_link(browser: Browser, token: str) -> httpx.Response:
    """Follow the link; what its script does is done by hand."""
    return browser.submit(browser.open("/invitation"), invitation=token)


def role_of(live: Live, email: str, tenant: TenantContext | None = None) -> str | None:
    """The role of the account with this address in acme."""
    with live.deployment.databases.core() as core:
        account = core.scalar(select(Account).where(Account.email == email))
        if account is None:
            return None
        member = member_of(core, account.id, (tenant or live.deployment.acme).id)
        return member.role if member else None


def is_signed_in(browser: Browser) -> bool:
    """Whether the provider knows who this is: then it asks no password."""
    return "insula_session" in browser.http.cookies


def test_a_newcomer_sets_a_password_and_is_a_member_signed_in_at_the_ui(live: Live):
    email = newcomer()
    token = invited(live, email, "engineer")
    with Browser(live) as browser:
        page = open_link(browser, token)
        assert page.status_code == 200
        assert "Join Acme" in page.text
        assert f"{email} is invited as engineer." in page.text
        answer = browser.submit(page, name="Nell", password=PASSWORD)
        assert (answer.status_code, answer.headers["location"]) == (303, live.settings.ui_url)
        assert is_signed_in(browser)
    assert role_of(live, email) == "engineer"
    (letter,) = letters_to(live, email)
    assert "Confirm your e-mail address" in letter.subject, "whoever invited them may have used the link"
    assert live.tokens_of(email)["access_token"]
    with live.deployment.databases.core() as core:
        entry = list_entries(core, tenant=live.deployment.acme.id)[0]
        account = core.scalars(select(Account).where(Account.email == email)).one()
        assert (entry.action, entry.target, entry.actor_kind) == ("member.joined", email, "person")
        assert (entry.actor, entry.address) == (str(account.id), "127.0.0.1")
        assert entry.detail == {"role": "engineer"}
        assert account.name == "Nell"


def test_who_has_an_account_joins_with_its_password_and_keeps_the_name(live: Live):
    token = invited(live, "noah@example.com")
    with Browser(live) as browser:
        page = open_link(browser, token)
        refused = browser.submit(page, name="Mallory", password="not the password")
        assert (refused.status_code, "The password is wrong." in refused.text) == (403, True)
        assert not is_signed_in(browser)
        assert role_of(live, "noah@example.com") is None
        assert browser.submit(refused, password=PASSWORD).status_code == 303
    assert role_of(live, "noah@example.com") == "viewer"
    with live.deployment.databases.core() as core:
        assert core.scalars(select(Account.name).where(Account.email == "noah@example.com")).one() == "Noah"


def test_the_page_is_the_same_whether_or_not_there_is_an_account(live: Live):
    email = newcomer()
    with Browser(live) as browser:
        known = open_link(browser, invited(live, "victor@example.com"))
        unknown = open_link(browser, invited(live, email))
    shown = [
        page.text.replace(address, "…").split("<label", 1)[1]
        for page, address in ((known, "victor@example.com"), (unknown, email))
    ]
    assert shown[0] == shown[1]


def test_who_is_signed_in_joins_without_a_password(live: Live):
    token = invited(live, "victor@example.com", "admin", live.deployment.globex)
    with Browser(live) as browser:
        browser.sign_in(browser.open("/signin"), "victor@example.com")
        page = open_link(browser, token)
        assert 'type="password"' not in page.text
        assert browser.submit(page).status_code == 303
    assert role_of(live, "victor@example.com", live.deployment.globex) == "admin"
    assert role_of(live, "victor@example.com") == "viewer", "in the other tenant nothing changed"


def test_who_is_signed_in_as_another_is_told_to_sign_out(live: Live):
    email = newcomer()
    token = invited(live, email)
    with Browser(live) as browser:
        page = open_link(browser, token)
        browser.sign_in(browser.open("/signin"), "victor@example.com")
        for answer in (open_link(browser, token), browser.submit(page, name="X", password=PASSWORD)):
            assert answer.status_code == 403
            assert "for somebody else" in answer.text
            assert email not in answer.text
    assert role_of(live, email) is None
    with Browser(live) as browser:
        assert open_link(browser, token).status_code == 200, "it is still good"


def test_nobody_loses_a_role_by_joining(live: Live):
    token = invited(live, "ada@example.com", "viewer")
    with Browser(live) as browser:
        browser.sign_in(browser.open("/signin"), "ada@example.com")
        assert browser.submit(open_link(browser, token)).status_code == 303
    assert role_of(live, "ada@example.com") == "owner"


def refused(browser: Browser, token: str) -> None:
    answer = open_link(browser, token)
    assert answer.status_code == 404
    assert GONE in answer.text


def test_an_invitation_is_good_once(live: Live):
    email = newcomer()
    token = invited(live, email)
    with Browser(live) as browser, Browser(live) as other:
        page, others = open_link(browser, token), open_link(other, token)
        assert browser.submit(page, name="Nell", password=PASSWORD).status_code == 303
        again = other.submit(others, name="Mallory", password="a password of Mallory's")
        assert (again.status_code, GONE in again.text) == (404, True)
        assert not is_signed_in(other)
        refused(other, token)


def test_an_invitation_expires_and_a_new_one_takes_its_place(live: Live):
    email = newcomer()
    first = invited(live, email)
    second = invited(live, email)
    with Browser(live) as browser:
        refused(browser, first)
        refused(browser, "no token at all")
        page = open_link(browser, second)
        assert page.status_code == 200
        with live.deployment.databases.core() as core:
            core.execute(
                text("UPDATE invitations SET expires_at = now() WHERE email = :email"), {"email": email}
            )
        late = browser.submit(page, name="Nell", password=PASSWORD)
        assert (late.status_code, GONE in late.text) == (404, True)
        refused(browser, second)
    assert role_of(live, email) is None


def suspended(core: Any) -> None:
    suspend_tenant(core, "globex", "unpaid since May")


def being_deleted(core: Any) -> None:
    request_deletion(core, "globex", timedelta(days=1))


@pytest.mark.parametrize(("close", "reopen"), [(suspended, resume_tenant), (being_deleted, cancel_deletion)])
def test_a_tenant_that_is_closed_takes_nobody_and_the_invitation_stays_good(
    live: Live, close: Any, reopen: Any
):
    email = newcomer()
    token = invited(live, email, tenant=live.deployment.globex)
    with Browser(live) as browser:
        page = open_link(browser, token)
        with live.deployment.databases.core() as core:
            close(core)
        try:
            for answer in (open_link(browser, token), browser.submit(page, name="N", password=PASSWORD)):
                assert answer.status_code == 403
                assert "takes nobody in" in answer.text
                assert "unpaid" not in answer.text, "why is nobody's business who is not in it"
        finally:
            with live.deployment.databases.core() as core:
                reopen(core, "globex")
        assert browser.submit(page, name="Nell", password=PASSWORD).status_code == 303
    assert role_of(live, email, live.deployment.globex) == "viewer"


@pytest.mark.parametrize(
    ("name", "password", "complaint"),
    [("", PASSWORD, "Give a name"), ("Nell", "short", "Use at least 15 characters")],
)
def test_what_a_new_account_cannot_have_is_said_and_the_invitation_stays_good(
    live: Live, name: str, password: str, complaint: str
):
    email = newcomer()
    with Browser(live) as browser:
        page = open_link(browser, invited(live, email))
        answer = browser.submit(page, name=name, password=password)
        assert (answer.status_code, complaint in answer.text) == (422, True)
        assert browser.submit(answer, name="Nell", password=PASSWORD).status_code == 303


def test_a_form_of_another_site_is_not_taken(live: Live):
    email = newcomer()
    token = invited(live, email)
    with Browser(live) as browser:
        page = open_link(browser, token)
        assert browser.submit(page, form_token="0" * 64, name="X", password=PASSWORD).status_code == 403
    with live.client() as other:
        for path in ("/invitation", "/invitation/join"):
            form = {"invitation": token, "name": "X", "password": PASSWORD}
            assert other.post(path, data=form).status_code == 403
            assert other.post(path, content=b"\xff").status_code == 403
    assert role_of(live, email) is None


def test_guessing_is_slowed_down(live: Live):
    token = invited(live, newcomer())
    with Browser(live) as browser:
        for _ in range(MAX_PER_ADDRESS):
            refused(browser, "a guess")
        answer = open_link(browser, token)
        assert (answer.status_code, "Too many failed attempts" in answer.text) == (429, True)
        assert int(answer.headers["retry-after"]) > 0
        live.platform.throttle._failures.clear()
        page = open_link(browser, invited(live, "throttled@example.com"))
        for _ in range(PER_PLACE.most):
            page = browser.submit(page, password="not the password")
        assert browser.submit(page, password=PASSWORD).status_code == 429
        assert role_of(live, "throttled@example.com") is None


def test_the_pages_keep_to_themselves(live: Live):
    with Browser(live) as browser:
        first = browser.open("/invitation")
        second = open_link(browser, invited(live, newcomer()))
    assert "script-src 'self'" in first.headers["content-security-policy"]
    for page in (first, second):
        assert "default-src 'none'" in page.headers["content-security-policy"]
        assert "frame-ancestors 'none'" in page.headers["content-security-policy"]
        assert page.headers["cache-control"] == "no-store"
        assert page.headers["referrer-policy"] == "same-origin"


def test_in_chromium_the_link_leads_through_the_form_to_the_ui(live: Live):
    email = newcomer()
    token = invited(live, email)
    with chromium() as browser:
        page = browser.new_page()
        sent: list[str] = []
        page.on("request", lambda asked: sent.extend((asked.url.partition("#")[0], str(asked.headers))))
        page.goto(invitation_link(live.url, token))
        page.get_by_label("Your name").fill("Nell")
        assert token not in page.url
        page.get_by_label("Password").fill(PASSWORD)
        page.get_by_role("button", name="Join").click()
        page.get_by_text("The UI").wait_for()
        assert page.url == f"{live.settings.ui_url}/"
    assert f"{live.url}/invitation/join" in sent
    assert not any(token in line for line in sent), "it travels in forms alone"
    assert role_of(live, email) == "viewer"
