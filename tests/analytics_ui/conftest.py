"""The UI's gate and sign-in before a stand-in for Streamlit, and a platform to sign in at."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
from joserfc.jwk import OctKey
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect

from insula_analytics_ui.backend import Backend, build
from insula_analytics_ui.files import Files
from insula_analytics_ui.gate import Gate
from insula_analytics_ui.sessions import SessionStore
from insula_analytics_ui.settings import UiSettings
from insula_analytics_ui.sign_in import SignIn
from tests.analytics_ui.fake_platform import (
    ANNA,
    CLIENT_SECRET,
    FIRST_KEY,
    FakePerson,
    FakePlatform,
    running_platform,
    serving,
)
from tests.servers.mosquitto import free_port

COOKIE = "insula-ui"


@dataclass
class Ui:
    """The UI without Streamlit: what got past the gate is in `served`."""

    url: str
    backend: Backend
    served: list[str] = field(default_factory=list)
    late: float = 0.0
    signing_key: OctKey = field(default_factory=lambda: OctKey.generate_key(256))

    def browser(self) -> httpx.Client:
        """A browser of its own, which follows no redirect by itself."""
        return httpx.Client(base_url=self.url)

    def asks_provider(self, browser: httpx.Client, person: FakePerson = ANNA, page: str = "/") -> str:
        """Begin a sign-in and let `person` through: the address of the callback, not yet called."""
        start = browser.get("/auth/login", params={"next": page})
        assert start.status_code == 303, start.text
        answer = httpx.get(start.headers["location"] + f"&as={person.subject}")
        return answer.headers["location"]

    def sign_in(self, browser: httpx.Client, person: FakePerson = ANNA, page: str = "/") -> httpx.Response:
        """Sign in; the callback's answer."""
        return browser.get(self.asks_provider(browser, person, page))

    def session_of(self, browser: httpx.Client):
        """The session that the browser's cookie stands for."""
        return self.backend.sessions.find(browser.cookies.get(COOKIE))


def query_of(url: str) -> dict[str, str]:
    """The parameters of an address, each once."""
    return {name: values[0] for name, values in parse_qs(urlsplit(url).query).items()}


@pytest.fixture(scope="module")
def running() -> Iterator[tuple[FakePlatform, Ui]]:
    """A platform and a UI for the tests of one module."""
    with running_platform() as platform, running_ui(platform) as ui:
        yield platform, ui


@pytest.fixture
def platform(running: tuple[FakePlatform, Ui]) -> FakePlatform:
    """A platform that behaves, until a test says otherwise."""
    platform, _ = running
    platform.faults.clear()
    platform.counts.clear()
    platform.key = FIRST_KEY
    return platform


@pytest.fixture
def ui(running: tuple[FakePlatform, Ui], platform: FakePlatform) -> Ui:
    """The UI's gate and sign-in, with nobody served yet."""
    _, ui = running
    ui.served.clear()
    ui.late = 0.0
    return ui


@contextmanager
def running_ui(platform: FakePlatform) -> Iterator[Ui]:
    """The gate and the sign-in routes; behind them, an application that notes whom it served."""
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    settings = UiSettings(platform_url=platform.url, ui_url=url, ui_client_secret=CLIENT_SECRET)
    built = build(settings)
    here: Ui = Ui(url, built)
    sessions = SessionStore(lifetime=12 * 3600, clock=lambda: time.time() + here.late)
    here.backend = Backend(settings, built.http, built.provider, sessions)

    def page(request: Request) -> Response:
        here.served.append(request.url.path)
        return PlainTextResponse("page")

    async def stream(websocket: WebSocket) -> None:
        here.served.append(websocket.url.path)
        await websocket.accept("streamlit")
        try:
            while True:
                here.served.append(await websocket.receive_text())
                await websocket.send_text("ran")
        except WebSocketDisconnect:
            here.served.append("left")

    sign_in = SignIn(settings, built.provider, sessions, here.signing_key)
    app = Starlette(
        routes=[
            *sign_in.routes(),
            *Files(here.backend).routes(),
            WebSocketRoute("/_stcore/stream", stream),
            Route("/{path:path}", page, methods=["GET", "HEAD", "POST", "PUT"]),
        ],
        middleware=[Middleware(Gate, settings=settings, sessions=sessions)],
    )
    with serving(app, port):
        yield here
    built.http.close()
