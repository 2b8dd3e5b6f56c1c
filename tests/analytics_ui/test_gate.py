"""The gate: who has a session gets in, who has none reaches no script."""

from __future__ import annotations

import httpx
import pytest
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect
from websockets.typing import Subprotocol

from tests.analytics_ui.conftest import COOKIE, Ui, query_of

PAGES = ["/", "/devices", "/rooms?room=3&period=24h", "/no/such/page"]
INNER = [
    "/_stcore/upload_file/x/y",
    "/_stcore/metrics",
    "/_stcore/agent/interact",
    "/media/a.csv",
    "/component/x",
]
OPEN = ["/_stcore/health", "/_stcore/host-config", "/static/js/index.js", "/favicon.png"]


def stream(ui: Ui, cookie: str | None = None, origin: str | None = "own"):
    """Open Streamlit's websocket as a browser does."""
    headers = {"Cookie": f"{COOKIE}={cookie}"} if cookie else {}
    return connect(
        ui.url.replace("http", "ws", 1) + "/_stcore/stream",
        origin=ui.url if origin == "own" else origin,
        additional_headers=headers,
        subprotocols=[Subprotocol("streamlit")],
        compression=None,
    )


def is_sent_to_sign_in(websocket) -> bool:
    """Whether the one thing that the websocket says before it closes is where to sign in."""
    message = ForwardMsg.FromString(websocket.recv(timeout=10))
    with pytest.raises(ConnectionClosed):
        websocket.recv(timeout=10)
    return message.auth_redirect.url == "/auth/login"


@pytest.mark.parametrize("path", PAGES)
def test_a_page_is_served_with_a_session_and_leads_to_the_sign_in_without(ui: Ui, path: str):
    with ui.browser() as browser:
        denied = browser.get(path)
        assert denied.status_code == 303
        assert denied.headers["location"].startswith(f"{ui.url}/auth/login?")
        assert query_of(denied.headers["location"]) == {"next": path}
        assert ui.served == []

        ui.sign_in(browser)
        assert browser.get(path).text == "page"
        assert ui.served == [path.partition("?")[0]]


def test_the_page_that_opens_first_is_found_by_its_name_as_the_others_are(ui: Ui):
    with ui.browser() as browser:
        answer = browser.get("/overview?lang=fr")
        assert (answer.status_code, answer.headers["location"]) == (307, "/?lang=fr")


@pytest.mark.parametrize("path", INNER)
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_what_pages_load_is_served_with_a_session_and_refused_without(ui: Ui, method: str, path: str):
    with ui.browser() as browser:
        assert browser.request(method, path).status_code == 401
        assert ui.served == []

        ui.sign_in(browser)
        assert browser.request(method, path).status_code == 200


@pytest.mark.parametrize("path", OPEN)
def test_health_and_static_files_are_open_to_all(ui: Ui, path: str):
    assert httpx.get(ui.url + path).text == "page"


def test_a_forged_cookie_opens_nothing(ui: Ui):
    with ui.browser() as browser:
        ui.sign_in(browser)
        genuine = browser.cookies[COOKIE]
    forged = [genuine[:-1], genuine.swapcase(), "", "x" * 43, f"{genuine}; {COOKIE}=another"]
    for cookie in forged:
        answer = httpx.get(ui.url + "/_stcore/metrics", headers={"Cookie": f"{COOKIE}={cookie}"})
        assert answer.status_code == 401, cookie
    assert ui.served == []
    allowed = httpx.get(ui.url + "/_stcore/metrics", headers={"Cookie": f"{COOKIE}={genuine}"})
    assert allowed.status_code == 200


def test_a_session_opens_pages_until_its_hours_are_over(ui: Ui):
    with ui.browser() as browser:
        ui.sign_in(browser)
        ui.late = 12 * 3600 - 60
        assert browser.get("/").status_code == 200
        ui.late = 12 * 3600 + 60
        assert browser.get("/").status_code == 303


def test_a_websocket_runs_scripts_with_a_session_and_is_sent_to_sign_in_without(ui: Ui):
    for cookie in (None, "x" * 43):
        with stream(ui, cookie) as websocket:
            assert is_sent_to_sign_in(websocket)
    assert ui.served == []

    with ui.browser() as browser:
        ui.sign_in(browser)
        with stream(ui, browser.cookies[COOKIE]) as websocket:
            websocket.send("run")
            assert websocket.recv(timeout=10) == "ran"
    assert ui.served[:2] == ["/_stcore/stream", "run"]


@pytest.mark.parametrize("origin", ["https://evil.example", "null", None])
def test_a_websocket_of_another_origin_is_refused_even_with_a_session(ui: Ui, origin: str | None):
    with ui.browser() as browser:
        ui.sign_in(browser)
        with pytest.raises(InvalidStatus) as refused, stream(ui, browser.cookies[COOKIE], origin):
            pass
        assert refused.value.response.status_code == 403
    assert ui.served == []


def test_an_open_websocket_runs_nothing_more_once_its_session_has_ended(ui: Ui):
    with ui.browser() as browser:
        ui.sign_in(browser)
        with stream(ui, browser.cookies[COOKIE]) as websocket:
            websocket.send("first")
            assert websocket.recv(timeout=10) == "ran"
            browser.get("/auth/logout")
            websocket.send("second")
            assert is_sent_to_sign_in(websocket)
    assert "second" not in ui.served
    assert "left" in ui.served


def test_every_answer_keeps_the_browser_on_this_host(ui: Ui):
    with ui.browser() as browser:
        for path in ("/", "/auth/callback", "/_stcore/health"):
            headers = browser.get(path).headers
            assert "default-src 'self'" in headers["content-security-policy"]
            assert "frame-ancestors 'none'" in headers["content-security-policy"]
            assert headers["x-content-type-options"] == "nosniff"
