"""A platform that asks a DNS server of ours, and what an admin and a browser do with single sign-on there."""

from __future__ import annotations

import re
from collections.abc import Iterator
from html import unescape
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import httpx
import pytest
from sqlalchemy import text

from tests.conftest import Deployment, deploy
from tests.platform.conftest import Browser, Live, running
from tests.platform.federation.rogue import Lies, RogueProvider
from tests.servers.dns import DnsServer
from tests.servers.postgres import PostgresServer

DOMAIN = "acme.test"
SECRET = "the secret that the provider has for us"
SETUP: dict[str, Any] = {
    "client_id": "insula",
    "client_secret": SECRET,
    "scope": "openid profile email",
    "default_role": "viewer",
}
SCOPE = "openid sso:read sso:write audit:read members:read devices:read readings:read"


@pytest.fixture(scope="package")
def dns_server() -> Iterator[DnsServer]:
    server = DnsServer()
    yield server
    server.stop()


@pytest.fixture(scope="package")
def deployment(postgres_server: PostgresServer) -> Iterator[Deployment]:
    yield from deploy(postgres_server)


@pytest.fixture(scope="package")
def live(deployment: Deployment, ui_url: str, dns_server: DnsServer) -> Iterator[Live]:
    with running(deployment, ui_url, dns_server=dns_server.address) as platform:
        yield platform


@pytest.fixture(scope="package")
def admin(live: Live, dns_server: DnsServer) -> Admin:
    """Ada, who owns acme; acme.test is verified."""
    admin = Admin(live, live.tokens_of("ada@example.com", scope=SCOPE)["access_token"])
    domain = admin.call("POST", "/sso/domains", {"domain": DOMAIN}).json()
    dns_server.texts[domain["record_name"]] = [domain["record_value"]]
    assert admin.call("POST", f"/sso/domains/{DOMAIN}/verify").status_code == 200
    return admin


@pytest.fixture(scope="package")
def _rogue() -> Iterator[RogueProvider]:
    provider = RogueProvider()
    yield provider
    provider.stop()


@pytest.fixture
def rogue(_rogue: RogueProvider, admin: Admin, live: Live) -> RogueProvider:
    """Acme's provider, which tells the truth until a test says otherwise."""
    _rogue.lies = Lies()
    live.platform.federation.providers._metadata._kept.clear()
    live.platform.federation.providers._keys._kept.clear()
    live.platform.throttle._failures.clear()
    admin.set_up(_rogue.issuer)
    return _rogue


class Admin:
    """An admin at the API."""

    def __init__(self, live: Live, token: str, tenant: str = "acme") -> None:
        self.live, self.token, self.tenant = live, token, tenant

    def call(self, method: str, path: str, json: Any = None, **headers: str) -> httpx.Response:
        with self.live.client() as client:
            return client.request(
                method,
                f"/api/v1/tenants/{self.tenant}{path}",
                json=json,
                headers={"Authorization": f"Bearer {self.token}", **headers},
            )

    def set_up(self, issuer: str, **changes: Any) -> dict[str, Any]:
        answer = self.call("PUT", "/sso", SETUP | {"issuer": issuer} | changes)
        assert answer.status_code in {200, 201}, answer.text
        return answer.json()

    def log(self, action: str) -> list[dict[str, Any]]:
        """The audit log's entries of this action, newest first."""
        items = self.call("GET", "/audit").json()["items"]
        return [entry for entry in items if entry["action"] == action]


class Wanderer(Browser):
    """A browser that goes from site to site."""

    def __init__(self, live: Live, *elsewhere: str) -> None:
        super().__init__(live)
        self.sites = (live.url, *elsewhere)

    def follow(self, response: httpx.Response) -> httpx.Response:
        """Follow redirects and pages that lead on, as long as they stay at these sites."""
        for _ in range(12):
            target = leads_to(response)
            if target is None or not target.startswith(("/", *self.sites)):
                return response
            response = self.http.get(httpx.URL(str(response.url)).join(target))
        raise AssertionError("the redirects do not end")

    def submit(self, page: httpx.Response, **typed: str) -> httpx.Response:
        """Fill in the page's form at whatever site it is."""
        action = re.search(r'<form method="post" action="([^"]+)"', page.text)
        assert action, page.text
        hidden = re.findall(r'<input type="hidden" name="([^"]+)" value="([^"]*)">', page.text)
        data = {name: unescape(value) for name, value in hidden} | typed
        return self.follow(self.http.post(page.url.join(unescape(action[1])), data=data))

    def visit(self, path: str, **parameters: str) -> httpx.Response:
        return self.follow(self.http.get(path, params=parameters or None))


def leads_to(response: httpx.Response) -> str | None:
    """Where a browser goes on to by itself."""
    if response.is_redirect:
        return response.headers["location"]
    refresh = re.search(r'http-equiv="refresh" content="0; url=([^"]+)"', response.text)
    return unescape(refresh[1]) if refresh else None


def begin(browser: Browser, rogue: RogueProvider, slug: str = "acme", **parameters: str) -> dict[str, str]:
    """Go to the provider: the authorization request that it sees."""
    page = browser.http.get(f"/signin/sso/{slug}", params=parameters)
    assert page.status_code == 200, page.text
    url = leads_to(page)
    assert url
    asked = dict(parse_qsl(urlsplit(url).query))
    rogue.nonce = asked["nonce"]
    return asked


def come_back(
    browser: Browser, rogue: RogueProvider, asked: dict[str, str], **changes: str
) -> httpx.Response:
    """Return from the provider with a code."""
    answer = {"code": "c-1", "state": asked["state"], "iss": rogue.issuer} | changes
    return browser.http.get(asked["redirect_uri"], params={k: v for k, v in answer.items() if v})


def person(name: str, /, **changes: Any) -> dict[str, Any]:
    """Claims of somebody at acme.test."""
    return {
        "sub": f"s-{name}",
        "email": f"{name}@{DOMAIN}",
        "email_verified": True,
        "name": name.title(),
    } | changes


def role_of(live: Live, email: str, tenant: str = "acme") -> str | None:
    """The role in the tenant of the account with this address."""
    query = (
        "SELECT role FROM memberships JOIN accounts a ON a.id = account_id JOIN tenants t ON t.id = tenant_id"
        " WHERE a.email = :email AND t.slug = :tenant"
    )
    with live.deployment.databases.core() as core:
        return core.scalar(text(query), {"email": email, "tenant": tenant})
