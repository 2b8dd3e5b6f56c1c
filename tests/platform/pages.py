"""Every page that people see of the platform, and how a browser comes to it.

Each page of this list is held against axe and against its content security policy, in light and in dark
(`test_pages.py`). A new page needs a line here: a name, and a function that brings the visitor to it.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import urlencode

from playwright.sync_api import BrowserContext, Page
from sqlalchemy import text

from insula_platform.email_links.service import send_reset
from insula_platform.federation.service import Setup, put_provider
from insula_platform.oauth.models import Client, Consent, fingerprint
from insula_platform.people import Account
from insula_tenants.audit import SYSTEM
from insula_tenants.invitations import invite
from tests.platform.conftest import PASSWORD, Authorization, Live
from tests.platform.people import letters_to, link_in, someone


@dataclass
class Visitor:
    """A browser window of its own, with nobody signed in."""

    live: Live
    context: BrowserContext
    page: Page

    def open(self, path: str, **query: str) -> None:
        """Go to a page of the platform."""
        self.page.goto(f"{self.live.url}{path}{'?' if query else ''}{urlencode(query)}")

    def press(self, name: str) -> None:
        """Press the button of this name."""
        self.page.get_by_role("button", name=name, exact=True).click()

    def fill(self, label: str, value: str) -> None:
        """Fill in the field with this label."""
        self.page.get_by_label(label, exact=True).fill(value)

    def sign_in(self, email: str, path: str = "/account", password: str = PASSWORD) -> None:
        """Sign in by the form, and go to this page of the account."""
        self.open("/signin", return_to=path)
        self.fill("E-mail address", email)
        self.fill("Password", password)
        self.press("Sign in")

    def be(self, email: str, path: str) -> None:
        """Be signed in already, and open this page: the form has its own line, and its price."""
        session = secrets.token_urlsafe(32)
        with self.live.deployment.databases.core() as core:
            core.execute(
                text(
                    "INSERT INTO signin_sessions (id_hash, account_id, expires_at)"
                    " SELECT :hash, id, now() + interval '1 hour' FROM accounts WHERE email = :email"
                ),
                {"hash": fingerprint(session), "email": email},
            )
        self.context.add_cookies([{"name": "insula_session", "value": session, "url": self.live.url}])
        self.open(path)


def _wrong_password(visitor: Visitor) -> None:
    visitor.sign_in("nobody@example.com", password="a guess")
    visitor.page.locator(".message:visible").wait_for()


def _second_factor(visitor: Visitor) -> None:
    email = someone(visitor.live)
    with visitor.live.deployment.databases.core() as core:
        core.execute(
            text(
                "INSERT INTO totp_factors (account_id, secret_sealed, confirmed_at)"
                " SELECT id, '', now() FROM accounts WHERE email = :email"
            ),
            {"email": email},
        )
    visitor.sign_in(email)


def _reset_sent(visitor: Visitor) -> None:
    visitor.open("/reset")
    visitor.fill("E-mail address", "somebody@example.com")
    visitor.press("Send the link")


def _reset_link(visitor: Visitor) -> str:
    email = someone(visitor.live)
    with visitor.live.deployment.databases.core() as core:
        account = core.query(Account).filter_by(email=email).one()
        send_reset(core, visitor.live.settings.public_url, account)
    return "#".join(link_in(letters_to(visitor.live, email)[0]))


def _new_password(visitor: Visitor) -> None:
    visitor.open(_reset_link(visitor))


def _weak_password(visitor: Visitor) -> None:
    visitor.open(_reset_link(visitor))
    visitor.fill("New password", "too short")
    visitor.press("Set the password")
    visitor.page.locator(".message:visible").wait_for()


def _reset_done(visitor: Visitor) -> None:
    visitor.open(_reset_link(visitor))
    visitor.fill("New password", "otters rarely visit the bakery")
    visitor.press("Set the password")


def _address_confirmed(visitor: Visitor) -> None:
    email = someone(visitor.live)
    visitor.be(email, "/account")
    visitor.press("Send me the link to confirm it")
    visitor.page.get_by_role("status").wait_for()
    visitor.open("#".join(link_in(letters_to(visitor.live, email)[0])))


def _invitation(visitor: Visitor) -> None:
    with visitor.live.deployment.databases.core() as core:
        token = invite(core, visitor.live.deployment.acme.id, "newcomer@example.com", "viewer")
    visitor.open(f"/invitation#{token}")


def _choose_tenant(visitor: Visitor) -> None:
    query = urlencode(Authorization(visitor.live).parameters)
    visitor.be("erin@example.com", f"/oauth/authorize?{query}")


def _new_app(visitor: Visitor) -> None:
    visitor.be(someone(visitor.live), "/account/factors")
    visitor.press("Add an app")


def _recovery_codes(visitor: Visitor) -> None:
    import pyotp

    _new_app(visitor)
    secret = visitor.page.locator("code").inner_text().replace(" ", "")
    visitor.fill("The code that the app shows now", pyotp.TOTP(secret).now())
    visitor.press("Confirm")


def _protected(visitor: Visitor) -> None:
    email = someone(visitor.live)
    with visitor.live.deployment.databases.core() as core:
        core.execute(
            text(
                "INSERT INTO passkeys (account_id, credential_id, public_key, sign_count, is_synced, name)"
                " SELECT id, decode(md5(email), 'hex'), '', 0, true, 'My telephone' FROM accounts"
                " WHERE email = :email"
            ),
            {"email": email},
        )
    visitor.be(email, "/account/factors")


def _sessions(visitor: Visitor) -> None:
    email = someone(visitor.live)
    visitor.be(email, "/account")
    visitor.be(email, "/account/sessions")


def _unknown_domain(visitor: Visitor) -> None:
    visitor.open("/signin/sso")
    visitor.fill("E-mail address", "somebody@nowhere.test")
    visitor.press("Go on")
    visitor.page.locator(".message").wait_for()


_AWAY = Setup("http://127.0.0.1:1", "id", "secret", "openid", "x", None, {}, "viewer", True, False)


def _provider_away(visitor: Visitor) -> None:
    with visitor.live.deployment.databases.core() as core:
        globex = visitor.live.deployment.globex
        put_provider(core, visitor.live.settings, globex, _AWAY, actor=SYSTEM).enforced = True
    visitor.open("/signin/sso/globex")


def _sign_on_enforced(visitor: Visitor) -> None:
    _provider_away(visitor)
    query = urlencode(Authorization(visitor.live, tenant="globex").parameters)
    visitor.be("erin@example.com", f"/oauth/authorize?{query}")


def _device_code(visitor: Visitor, email: str) -> None:
    with visitor.live.client() as http:
        codes = http.post("/oauth/device_authorization", data={"client_id": "insula-cli"}).json()
    visitor.be(email, f"/device?user_code={codes['user_code']}")
    visitor.press("Continue")


def _device_tenants(visitor: Visitor) -> None:
    with visitor.live.deployment.databases.core() as core:
        globex = visitor.live.deployment.globex
        put_provider(core, visitor.live.settings, globex, _AWAY, actor=SYSTEM).enforced = False
    _device_code(visitor, "erin@example.com")


def _device_allowed(visitor: Visitor) -> None:
    _device_code(visitor, "ada@example.com")
    visitor.press("Allow")


def _device_refused(visitor: Visitor) -> None:
    visitor.be("ada@example.com", "/device")
    visitor.fill("Code", "BCDF-GHJK")
    visitor.press("Continue")
    visitor.page.locator(".message:visible").wait_for()


def _app_of_others(visitor: Visitor, *, allow: bool = False) -> None:
    """An authorization request of an app that the tenant's admins have registered."""
    client_id, callback = f"acme-{secrets.token_hex(6)}", "https://plan.example/callback"
    with visitor.live.deployment.databases.core() as core:
        account = core.query(Account).filter_by(email="ada@example.com").one()
        core.add(
            Client(
                client_id=client_id,
                tenant_id=visitor.live.deployment.acme.id,
                name="Floor plan",
                scope="openid readings:read devices:read",
                grant_types=["authorization_code", "refresh_token"],
                redirect_uris=[callback],
            )
        )
        core.flush()
        if allow:
            core.add(
                Consent(
                    account_id=account.id,
                    client_id=client_id,
                    tenant_id=visitor.live.deployment.acme.id,
                    scope="openid readings:read",
                )
            )
    wanted = {"client_id": client_id, "redirect_uri": callback, "scope": "openid readings:read devices:read"}
    visitor.be(
        "ada@example.com", f"/oauth/authorize?{urlencode(Authorization(visitor.live, **wanted).parameters)}"
    )


def _consents(visitor: Visitor) -> None:
    _app_of_others(visitor, allow=True)
    visitor.open("/account/consents")


def opened(path: str) -> Callable[[Visitor], None]:
    """A page that needs nothing but its address."""
    return lambda visitor: visitor.open(path)


def signed_in(path: str) -> Callable[[Visitor], None]:
    """A page that needs somebody signed in."""
    return lambda visitor: visitor.be("ada@example.com", path)


PAGES: dict[str, tuple[str, Callable[[Visitor], None]]] = {
    "sign-in": ("Sign in", opened("/signin")),
    "sign-in refused": ("Sign in", _wrong_password),
    "second factor": ("One more step", _second_factor),
    "forgotten password": ("Forgot your password?", opened("/reset")),
    "reset sent": ("Look into your mail", _reset_sent),
    "new password": ("Choose a new password", _new_password),
    "new password refused": ("Choose a new password", _weak_password),
    "new password set": ("Your password is changed", _reset_done),
    "link by hand": ("Confirm your address", opened("/confirm-email")),
    "dead link": ("This link cannot be used", opened("/confirm-email#dead")),
    "address confirmed": ("Your address is confirmed", _address_confirmed),
    "invitation by hand": ("Your invitation", opened("/invitation")),
    "invitation": ("Join Acme", _invitation),
    "choose a tenant": ("Choose a tenant", _choose_tenant),
    "bad authorization request": ("This link does not work", opened("/oauth/authorize?client_id=x")),
    "sign out": ("Sign out?", signed_in("/oauth/logout")),
    "signed out": ("You are signed out", opened("/oauth/logout")),
    "single sign-on": ("Single sign-on", opened("/signin/sso")),
    "single sign-on, unknown domain": ("Single sign-on", _unknown_domain),
    "single sign-on, not here": ("No single sign-on here", opened("/signin/sso/nowhere")),
    "single sign-on, provider away": ("Not signed in", _provider_away),
    "single sign-on, enforced": ("Sign in at your organisation", _sign_on_enforced),
    "account": ("Your account", signed_in("/account")),
    "password": ("Password", signed_in("/account/password")),
    "factors, none": ("Second factors", signed_in("/account/factors")),
    "factors": ("Second factors", _protected),
    "new app": ("Add an authenticator app", _new_app),
    "recovery codes": ("Your recovery codes", _recovery_codes),
    "sessions": ("Sessions", _sessions),
    "consent": ("Let Floor plan act for you?", _app_of_others),
    "consent, for more": (
        "Let Floor plan act for you?",
        lambda visitor: _app_of_others(visitor, allow=True),
    ),
    "programs": ("Programs you let in", _consents),
    "device": ("Connect a device", signed_in("/device")),
    "device, wrong code": ("Connect a device", _device_refused),
    "device, tenants": ("Choose a tenant", _device_tenants),
    "device, consent": (
        "Let Insula command line act for you?",
        lambda visitor: _device_code(visitor, "ada@example.com"),
    ),
    "device, allowed": ("Insula command line is connected", _device_allowed),
}
"""By a name for the test: the heading that is awaited, and the way to the page."""
