"""People are asked before a program that is not the operator's acts for them, and can take it back."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from html import unescape
from typing import Any

import httpx
import pytest
from sqlalchemy import text, update

from insula_platform.oauth.models import Client, ClientSecret, fingerprint, new_secret
from insula_platform.people import add_member, create_account
from tests.platform.conftest import PASSWORD, Authorization, Browser, Live, returned
from tests.servers.programs import chromium

CALLBACK = "https://plan.example/callback"
SCOPE = "openid profile devices:read readings:read"


@dataclass
class App:
    """A program that a tenant's admin has registered, and what it does."""

    live: Live
    client_id: str
    secret: str
    callback: str = CALLBACK

    def asks(self, **changes: str) -> Authorization:
        asked = {"client_id": self.client_id, "redirect_uri": self.callback, "scope": "openid readings:read"}
        return Authorization(self.live, **asked | changes)

    def redeem(self, asked: Authorization, code: str) -> httpx.Response:
        return self.live.token_request(
            (self.client_id, self.secret),
            grant_type="authorization_code",
            code=code,
            redirect_uri=self.callback,
            code_verifier=asked.verifier,
        )

    def refresh(self, tokens: dict[str, Any]) -> httpx.Response:
        return self.live.token_request(
            (self.client_id, self.secret),
            grant_type="refresh_token",
            refresh_token=tokens["refresh_token"],
        )


def add_app(live: Live, client_id: str, **fields: Any) -> App:
    secret = new_secret()
    told = {
        "tenant_id": live.deployment.acme.id,
        "name": "Floor plan",
        "scope": SCOPE,
        "grant_types": ["authorization_code", "refresh_token"],
        "redirect_uris": [CALLBACK],
    }
    with live.deployment.databases.core() as core:
        core.add(
            Client(
                client_id=client_id,
                secrets=[ClientSecret(secret_hash=fingerprint(secret))],
                **told | fields,
            )
        )
    return App(live, client_id, secret, (told | fields)["redirect_uris"][0])


@pytest.fixture
def app(live: Live, request: pytest.FixtureRequest) -> App:
    """An app that nobody has let in yet."""
    digest = hashlib.sha256(request.node.nodeid.encode()).hexdigest()
    return add_app(live, f"acme-{digest[:12]}")


@pytest.fixture
def browser(live: Live) -> Iterator[Browser]:
    """A browser in which ada, the owner of acme, has signed in."""
    with Browser(live) as browser:
        browser.authorize(Authorization(live), "ada@example.com")
        yield browser


def ask(browser: Browser, asked: Authorization) -> httpx.Response:
    return browser.open("/oauth/authorize", **asked.parameters)


def is_question(page: httpx.Response) -> bool:
    return page.status_code == 200 and "<h1>Let Floor plan act for you?</h1>" in page.text


def words(page: httpx.Response) -> list[str]:
    return [unescape(word) for word in re.findall(r"<li>(.*?)</li>", page.text)]


def test_the_question_says_who_asks_for_what_where(browser: Browser, app: App):
    page = ask(browser, app.asks(scope=SCOPE))
    assert is_question(page)
    assert words(page) == [
        "Know which account is yours, and your role",
        "Know your name",
        "See sites, spaces, devices and points",
        "Read measured values",
    ]
    for told in ("Acme", "ada@example.com", "plan.example", "until you withdraw"):
        assert told in page.text
    assert "frame-ancestors 'none'" in page.headers["content-security-policy"]


def test_who_allows_it_is_asked_once(live: Live, browser: Browser, app: App):
    asked = app.asks()
    back = returned(browser.submit(ask(browser, asked), decision="allow"))
    assert (back["state"], back["iss"]) == (asked.parameters["state"], live.url)
    tokens = app.redeem(asked, back["code"]).json()
    assert tokens["scope"] == "openid readings:read"
    assert live.get("/api/v1/tenants/acme/probe", tokens["access_token"]).json()["client"] == app.client_id
    assert "code" in returned(ask(browser, app.asks()))
    assert "code" in returned(ask(browser, app.asks(prompt="none")))


def test_who_denies_it_gives_nothing_and_is_asked_again(browser: Browser, app: App):
    back = returned(browser.submit(ask(browser, app.asks()), decision="deny"))
    assert back["error"] == "access_denied"
    assert "code" not in back
    assert is_question(ask(browser, app.asks()))


def test_more_scopes_are_asked_for_anew_and_fewer_are_not(browser: Browser, app: App):
    browser.submit(ask(browser, app.asks(scope="openid readings:read")), decision="allow")
    more = app.asks(scope="openid readings:read devices:read")
    page = ask(browser, more)
    assert is_question(page)
    assert words(page)[0] == "See sites, spaces, devices and points"
    assert "It asks for more than before" in page.text
    tokens = app.redeem(more, returned(browser.submit(page, decision="allow"))["code"]).json()
    assert tokens["scope"] == "openid readings:read devices:read"
    assert "code" in returned(ask(browser, app.asks(scope="readings:read")))


def test_a_page_that_may_not_be_shown_is_an_error_of_its_own(browser: Browser, app: App):
    back = returned(ask(browser, app.asks(prompt="none")))
    assert back["error"] == "consent_required"
    browser.submit(ask(browser, app.asks()), decision="allow")
    page = ask(browser, app.asks(prompt="consent"))
    assert is_question(page)
    assert "code" in returned(browser.submit(page, decision="allow")), "and it is asked for once"


def test_signing_in_leads_to_the_question_and_on(live: Live, app: App):
    with Browser(live) as stranger:
        page = stranger.sign_in(ask(stranger, app.asks(prompt="login consent")), "ada@example.com")
        assert is_question(page)
        assert "code" in returned(stranger.submit(page, decision="allow"))


def test_another_persons_consent_is_not_ones_own(live: Live, browser: Browser, app: App):
    browser.submit(ask(browser, app.asks()), decision="allow")
    with Browser(live) as other:
        other.authorize(Authorization(live), "victor@example.com")
        assert is_question(ask(other, app.asks()))


def test_what_the_role_does_not_allow_is_neither_asked_nor_given_later(live: Live, app: App):
    with live.deployment.databases.core() as core:
        core.execute(
            update(Client).where(Client.client_id == app.client_id).values(scope=f"{SCOPE} devices:write")
        )
        wilma = create_account(core, "wilma@example.com", "Wilma", PASSWORD)
        add_member(core, wilma, live.deployment.acme, "viewer")
        account = wilma.id
    asked = app.asks(scope="readings:read devices:write")
    with Browser(live) as browser:
        browser.authorize(Authorization(live), "wilma@example.com")
        page = ask(browser, asked)
        assert words(page) == ["Read measured values"]
        tokens = app.redeem(asked, returned(browser.submit(page, decision="allow"))["code"]).json()
        assert tokens["scope"] == "readings:read"
        with live.deployment.databases.core() as core:
            core.execute(
                text("UPDATE memberships SET role = 'engineer' WHERE account_id = :id"), {"id": account}
            )
        assert app.refresh(tokens).json()["scope"] == "readings:read"
        # With the new role the same request is for more, and is asked.
        assert is_question(ask(browser, asked))
        nothing = returned(ask(browser, app.asks(scope="members:write")))
        assert nothing["error"] == "invalid_scope"


def test_a_tenants_client_is_for_that_tenant_alone(live: Live, app: App):
    with Browser(live) as browser:
        browser.authorize(Authorization(live, tenant="globex"), "erin@example.com")
        # Erin is in both: she is not even asked which, and cannot choose the other.
        page = ask(browser, app.asks())
        assert is_question(page)
        assert "Acme" in page.text
        assert returned(ask(browser, app.asks(tenant="globex")))["error"] == "access_denied"
        asked = app.asks()
        tokens = app.redeem(asked, returned(browser.submit(ask(browser, asked), decision="allow"))["code"])
        assert live.get("/oauth/userinfo", tokens.json()["access_token"]).json()["tenant"] == "acme"
    with live.deployment.databases.core() as core:
        gil = create_account(core, "gil@example.com", "Gil", PASSWORD)
        add_member(core, gil, live.deployment.globex, "owner")
    with Browser(live) as browser:
        browser.authorize(Authorization(live), "gil@example.com")
        assert returned(ask(browser, app.asks()))["error"] == "access_denied"


def hidden(page: httpx.Response) -> dict[str, str]:
    found = re.findall(r'<input type="hidden" name="([^"]+)" value="([^"]*)">', page.text)
    return {name: unescape(value) for name, value in found}


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({"form_token": "x"}, id="a form of another site"),
        pytest.param({"form_token": ""}, id="no form of ours"),
        pytest.param({"account": "0" * 36}, id="shown to somebody else"),
        pytest.param({"account": ""}, id="shown to nobody"),
        pytest.param({"scope": "openid"}, id="other scopes were shown"),
        pytest.param({"scope": ""}, id="nothing was shown"),
    ],
)
def test_an_answer_to_another_question_is_none(browser: Browser, app: App, changes: dict[str, str]):
    page = ask(browser, app.asks())
    form = hidden(page) | {"decision": "allow"} | changes
    answer = browser.http.post("/oauth/consent", data=form)
    assert answer.headers["location"].startswith("/oauth/authorize?")
    assert is_question(browser.http.get(answer.headers["location"]))
    assert is_question(ask(browser, app.asks()))


def test_scopes_that_the_client_was_given_meanwhile_are_not_allowed_unseen(
    live: Live, browser: Browser, app: App
):
    with live.deployment.databases.core() as core:
        core.execute(update(Client).where(Client.client_id == app.client_id).values(scope="readings:read"))
    asked = app.asks(scope="readings:read devices:read")
    page = ask(browser, asked)
    assert words(page) == ["Read measured values"]
    with live.deployment.databases.core() as core:
        core.execute(update(Client).where(Client.client_id == app.client_id).values(scope=SCOPE))
    again = browser.submit(page, decision="allow")
    assert is_question(again)
    assert len(words(again)) == 2


@pytest.mark.parametrize(
    "request_",
    [
        "",
        "client_id=unknown",
        "client_id={app}&redirect_uri=https://evil.example/&response_type=code",
        "client_id={app}&client_id={app}",
        "%ff",
    ],
)
def test_a_question_that_was_never_asked_leads_nowhere(browser: Browser, app: App, request_: str):
    form = hidden(ask(browser, app.asks())) | {"request": request_.format(app=app.client_id)}
    for decision in ("allow", "deny"):
        answer = browser.http.post("/oauth/consent", data=form | {"decision": decision})
        assert answer.status_code == 400
        assert "location" not in answer.headers


def test_a_name_that_is_markup_is_text(live: Live, browser: Browser):
    app = add_app(live, "acme-markup", name="<script>alert(1)</script>")
    page = ask(browser, app.asks())
    assert "&lt;script&gt;" in page.text
    assert "<script" not in page.text


def test_withdrawing_ends_what_the_program_holds_and_leaves_others(live: Live, browser: Browser, app: App):
    def let_in(app: App) -> dict[str, Any]:
        asked = app.asks()
        back = returned(browser.submit(ask(browser, asked), decision="allow"))
        tokens: dict[str, Any] = app.redeem(asked, back["code"]).json()
        return tokens

    other = add_app(live, "acme-other", name="Another")
    tokens, others = let_in(app), let_in(other)
    unused = app.asks()
    code = returned(ask(browser, unused))["code"]
    page = browser.open("/account/consents")
    assert "Floor plan" in page.text
    assert "Another" in page.text
    mine = {"client_id": app.client_id, "tenant_id": str(live.deployment.acme.id)}
    assert live.get("/api/v1/tenants/acme/probe", tokens["access_token"]).status_code == 200
    left = browser.submit(page, **mine)
    left = browser.open(left.headers.get("location", "/account/consents"))
    assert f'value="{app.client_id}"' not in left.text
    assert f'value="{other.client_id}"' in left.text
    assert live.get("/api/v1/tenants/acme/probe", tokens["access_token"]).status_code == 401
    assert app.refresh(tokens).json()["error"] == "invalid_grant"
    assert app.redeem(unused, code).json()["error"] == "invalid_grant"
    assert is_question(ask(browser, app.asks()))
    assert other.refresh(others).status_code == 200
    with live.deployment.databases.core() as core:
        told = core.execute(
            text("SELECT action, actor_kind, detail FROM audit_log WHERE target = :id ORDER BY id"),
            {"id": app.client_id},
        ).all()
    assert told == [
        ("consent.given", "person", {"scope": "openid readings:read"}),
        ("consent.withdrawn", "person", {"scope": "openid readings:read"}),
    ]


def test_nobody_withdraws_for_another(live: Live, browser: Browser, app: App):
    browser.submit(ask(browser, app.asks()), decision="allow")
    mine = {"client_id": app.client_id, "tenant_id": str(live.deployment.acme.id)}
    with Browser(live) as other:
        other.authorize(Authorization(live), "victor@example.com")
        page = other.open("/account/consents")
        assert app.client_id not in page.text
        form = mine | {"form_token": hidden(ask(other, app.asks()))["form_token"]}
        other.http.post("/account/consents", data=form)
        nobody = live.client()
        with nobody:
            assert nobody.get("/account/consents").headers["location"].startswith("/signin?")
            nobody.post("/account/consents", data=form)
    browser.http.post("/account/consents", data=mine | {"form_token": "x"})
    assert "code" in returned(ask(browser, app.asks())), "all of them were in vain"


def test_whoever_signs_in_for_their_list_of_programs_gets_it(live: Live):
    with Browser(live) as browser:
        page = browser.sign_in(browser.open("/account/consents"), "throttled@example.com")
        assert "<h1>Programs you let in</h1>" in page.text
        assert "None." in page.text


def test_a_client_of_others_is_not_sent_on_after_signing_out_without_proof(live: Live):
    add_app(live, "acme-leaver", post_logout_redirect_uris=["https://plan.example/bye"])
    with live.client() as http:
        answer = http.get(
            "/oauth/logout",
            params={"client_id": "acme-leaver", "post_logout_redirect_uri": "https://plan.example/bye"},
        )
    assert "location" not in answer.headers


def test_a_real_browser_signs_in_allows_and_arrives(live: Live, ui_url: str):
    """Chromium holds redirects after a form against form-action: the way to other addresses must be open."""
    callback = f"{ui_url.replace('127.0.0.1', 'localhost')}/arrived"
    app = add_app(live, "acme-real", name="Street map", redirect_uris=[callback])
    asked = app.asks()
    url = str(httpx.URL(f"{live.url}/oauth/authorize", params=asked.parameters))
    with chromium() as running:
        context = running.new_context()
        page = context.new_page()
        refused: list[str] = []
        page.on("console", lambda message: refused.append(message.text))
        page.goto(url)
        page.get_by_label("E-mail address").fill("ada@example.com")
        page.get_by_label("Password", exact=True).fill(PASSWORD)
        page.get_by_role("button", name="Sign in").click()
        page.get_by_role("button", name="Allow").click()
        page.wait_for_url("**/arrived?*")
        assert httpx.URL(page.url).params["state"] == asked.parameters["state"]
        assert app.redeem(asked, httpx.URL(page.url).params["code"]).status_code == 200
        # Once more, signed out: what was allowed is remembered, and the sign-in form leads straight there.
        context.clear_cookies()
        page.goto(url)
        page.get_by_label("E-mail address").fill("ada@example.com")
        page.get_by_label("Password", exact=True).fill(PASSWORD)
        page.get_by_role("button", name="Sign in").click()
        page.wait_for_url("**/arrived?*")
        page.goto(f"{live.url}/account/consents")
        withdraw = page.get_by_role("button", name="Withdraw what Street map may do in Acme")
        withdraw.click()
        withdraw.wait_for(state="detached")
        assert [text for text in refused if "Content Security Policy" in text] == []
