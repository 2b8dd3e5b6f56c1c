"""A platform that serves on a port of its own, people in it, and the moves of a browser and a client."""

from __future__ import annotations

import base64
import hashlib
import re
import secrets
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from html import unescape
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Annotated, Any, Self
from urllib.parse import parse_qsl, urlsplit

import httpx
import pytest
import structlog
from fastapi import FastAPI

from insula_platform.access import Access, Requires
from insula_platform.app import create_app
from insula_platform.oauth.clients import UI_CLIENT_ID, create_service_client, ensure_ui_client
from insula_platform.oauth.scopes import API_SCOPES
from insula_platform.people import add_member, create_account
from insula_platform.problems import PROBLEM_RESPONSES
from insula_platform.settings import PlatformSettings
from insula_platform.state import Platform
from insula_tenants.audit import Actor
from insula_tenants.context import TenantContext
from insula_tenants.errors import Conflict, InvalidInput
from insula_tenants.registry import Program
from tests.conftest import Deployment
from tests.servers.platform import listen, serving

PASSWORD = "correct horse battery"
UI_SECRET = "the secret of the analytics UI, for tests"
_NO_TLS = httpx.create_ssl_context(verify=False)
"""Made once: each client would read the certificate authorities anew, 30 ms a time, for plain http."""

ALL_SCOPES = "openid profile email devices:read devices:write readings:read readings:write members:read"


@dataclass
class Live:
    """A running platform."""

    url: str
    settings: PlatformSettings
    platform: Platform
    deployment: Deployment
    service: tuple[str, str]
    """Id and secret of a service client of acme that may read readings and devices."""

    def client(self) -> httpx.Client:
        """A client program, without credentials."""
        return httpx.Client(base_url=self.url, timeout=30, verify=_NO_TLS)

    def token_request(self, auth: tuple[str, str] | None = (UI_CLIENT_ID, UI_SECRET), **form: str):
        """POST to the token endpoint."""
        with self.client() as client:
            return client.post("/oauth/token", data=form, auth=auth or httpx.USE_CLIENT_DEFAULT)

    def get(self, path: str, token: str | None = None, **headers: str) -> httpx.Response:
        """GET with a bearer token."""
        if token:
            headers["Authorization"] = f"Bearer {token}"
        with self.client() as client:
            return client.get(path, headers=headers)

    def tokens_of(self, email: str, **parameters: str) -> dict[str, Any]:
        """Sign in and redeem the code."""
        with Browser(self) as browser:
            asked = Authorization(self, **parameters)
            back = browser.authorize(asked, email)
            answer = self.token_request(
                grant_type="authorization_code",
                code=back["code"],
                redirect_uri=asked.parameters["redirect_uri"],
                code_verifier=asked.verifier,
            )
        assert answer.status_code == 200, answer.text
        return answer.json()


@dataclass
class Authorization:
    """An authorization request of the analytics UI."""

    live: Live
    verifier: str = field(default_factory=lambda: secrets.token_urlsafe(48))
    parameters: dict[str, str] = field(default_factory=dict)

    def __init__(self, live: Live, **changes: str) -> None:
        self.live = live
        self.verifier = secrets.token_urlsafe(48)
        digest = hashlib.sha256(self.verifier.encode()).digest()
        self.parameters = {
            "response_type": "code",
            "client_id": UI_CLIENT_ID,
            "redirect_uri": live.settings.ui_redirect_uri,
            "scope": ALL_SCOPES,
            "state": secrets.token_urlsafe(8),
            "nonce": secrets.token_urlsafe(8),
            "code_challenge": base64.urlsafe_b64encode(digest).rstrip(b"=").decode(),
            "code_challenge_method": "S256",
        } | changes
        self.parameters = {name: value for name, value in self.parameters.items() if value}


class Browser:
    """What a browser does: keeps cookies, shows forms, follows redirects within the platform."""

    def __init__(self, live: Live) -> None:
        self.live = live
        self.http = live.client()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.http.close()

    def open(self, path: str, **parameters: str) -> httpx.Response:
        """Visit a page, following redirects as long as they stay on the platform."""
        return self._follow(self.http.get(path, params=parameters or None))

    def submit(self, page: httpx.Response, **typed: str) -> httpx.Response:
        """Fill in the page's form and send it."""
        action = re.search(r'<form method="post" action="([^"]+)"', page.text)
        assert action, page.text
        hidden = re.findall(r'<input type="hidden" name="([^"]+)" value="([^"]*)">', page.text)
        data = {name: unescape(value) for name, value in hidden} | typed
        return self._follow(self.http.post(unescape(action[1]), data=data))

    def sign_in(self, page: httpx.Response, email: str, password: str = PASSWORD) -> httpx.Response:
        """Answer the sign-in form."""
        return self.submit(page, email=email, password=password)

    def authorize(self, asked: Authorization, email: str) -> dict[str, str]:
        """Go through sign-in, and give what came back to the client."""
        page = self.open("/oauth/authorize", **asked.parameters)
        if "<h1>Sign in</h1>" in page.text:
            page = self.sign_in(page, email)
        return returned(page)

    def _follow(self, response: httpx.Response) -> httpx.Response:
        for _ in range(5):
            location = response.headers.get("location", "")
            if not (response.is_redirect and location.startswith("/")):
                return response
            response = self.http.get(location)
        raise AssertionError("the redirects do not end")


def returned(response: httpx.Response) -> dict[str, str]:
    """The parameters with which the browser was sent back to the client."""
    assert response.is_redirect, response.text
    return dict(parse_qsl(urlsplit(response.headers["location"]).query))


def access_of(context: TenantContext, client_id: str = "nobody", expires_at: float = float("inf")) -> Access:
    """What a request of this service client of the tenant is handed, the registry left unasked."""
    scopes = frozenset(API_SCOPES)
    return Access(
        context=context,
        subject=client_id,
        client_id=client_id,
        scopes=scopes,
        expires_at=expires_at,
        actor=Actor("client", client_id),
        role=None,
        places=(),
        needed=(),
        bearer=Program(client_id, "1"),
        granted=scopes,
    )


def probe_routes(app: FastAPI) -> None:
    """Routes as the API has them, small enough for tests."""

    @app.get("/api/v1/tenants/{tenant}/probe", responses=PROBLEM_RESPONSES)
    async def probe(access: Annotated[Access, Requires("readings:read")]) -> dict[str, str]:
        return {"tenant": access.context.slug, "subject": access.subject, "client": access.client_id}

    @app.get("/api/v1/tenants/{tenant}/members-probe", responses=PROBLEM_RESPONSES)
    async def members(access: Annotated[Access, Requires("members:read")]) -> dict[str, str]:
        return {"tenant": access.context.slug}

    @app.get("/probe/fault")
    def fault() -> None:
        raise RuntimeError("the password is hunter2")

    @app.get("/probe/conflict")
    def conflict() -> None:
        raise Conflict("it is taken")

    @app.get("/probe/invalid")
    def invalid() -> None:
        raise InvalidInput("name", "give a name")

    @app.get("/probe/limit")
    def limit(limit: int) -> int:
        return limit


class _UiPage(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.end_headers()
        self.wfile.write(b"<h1>The UI</h1>")

    def log_message(self, *_: object) -> None:
        """Quiet."""


@pytest.fixture(scope="session")
def ui_url() -> Iterator[str]:
    """Where the analytics UI would be: a page that browsers can land on."""
    with ThreadingHTTPServer(("127.0.0.1", 0), _UiPage) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join(20)


@pytest.fixture(scope="module")
def live(deployment: Deployment, ui_url: str) -> Iterator[Live]:
    """A platform for the tests of one module."""
    with running(deployment, ui_url) as platform:
        yield platform


@contextmanager
def running(deployment: Deployment, ui_url: str) -> Iterator[Live]:
    """A platform: ada owns acme, victor views acme, erin is in acme and globex, noah in neither."""
    with listen() as listener:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        settings = PlatformSettings(
            public_url=url,
            secret_key="a secret key that is long enough for tests",
            database_url=deployment.service_url,
            ui_url=ui_url,
            ui_client_secret=UI_SECRET,
        )
        structlog.reset_defaults()  # another test may have shaped the logs of this process
        app = create_app(settings)
        probe_routes(app)
        service = _populate(deployment, settings)
        with serving(app, listener):
            yield Live(url, settings, app.state.platform, deployment, service)


def _populate(deployment: Deployment, settings: PlatformSettings) -> tuple[str, str]:
    with deployment.databases.core() as core:
        ensure_ui_client(core, settings)
        people = {
            name: create_account(core, f"{name}@example.com", name.title(), PASSWORD)
            for name in ("ada", "victor", "erin", "noah", "throttled")
        }
        add_member(core, people["ada"], deployment.acme, "owner")
        add_member(core, people["victor"], deployment.acme, "viewer")
        add_member(core, people["erin"], deployment.acme, "engineer")
        add_member(core, people["erin"], deployment.globex, "viewer")
        return create_service_client(core, deployment.acme, "exporter", "readings:read devices:read")
