"""The real thing in a real browser: `python -m insula_analytics_ui`, Chromium, and people of two tenants."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect

from tests.analytics_ui.fake_platform import (
    ANNA,
    CLIENT_SECRET,
    GIL,
    MARIA,
    NEW,
    FakePerson,
    FakePlatform,
    running_platform,
)
from tests.servers.mosquitto import free_port
from tests.servers.programs import chromium

SOON = 20_000
"""Milliseconds that a condition may take on a busy machine."""


class UiProcess:
    """The UI as a process of its own."""

    def __init__(self, platform_url: str, log: Path) -> None:
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self._platform_url = platform_url
        self._log = log
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start, and wait until it answers."""
        environment = {name: value for name, value in os.environ.items() if not name.startswith("INSULA_")}
        environment |= {
            "INSULA_PLATFORM_URL": self._platform_url,
            "INSULA_UI_URL": self.url,
            "INSULA_UI_CLIENT_SECRET": CLIENT_SECRET,
        }
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "insula_analytics_ui", "--port", str(self.port)],
                env=environment,
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        deadline = time.monotonic() + 60
        while True:
            assert time.monotonic() < deadline, self._log.read_text()
            assert self._process.poll() is None, self._log.read_text()
            try:
                if httpx.get(f"{self.url}/_stcore/health").is_success:
                    return
            except httpx.TransportError:
                time.sleep(0.05)

    def stop(self) -> None:
        """End the process, politely."""
        if self._process:
            self._process.terminate()
            self._process.wait(20)
            self._process = None

    @property
    def log(self) -> str:
        """What it has written."""
        return self._log.read_text()


@pytest.fixture(scope="module")
def platform() -> Iterator[FakePlatform]:
    with running_platform() as fake:
        yield fake


@pytest.fixture(scope="module")
def ui(platform: FakePlatform, tmp_path_factory: pytest.TempPathFactory) -> Iterator[UiProcess]:
    process = UiProcess(platform.url, tmp_path_factory.mktemp("ui") / "log")
    process.start()
    yield process
    process.stop()


@pytest.fixture(scope="module", name="chromium")
def _chromium() -> Iterator[Browser]:
    with chromium() as browser:
        yield browser


@pytest.fixture
def window(chromium: Browser) -> Iterator[Callable[[], BrowserContext]]:
    """Opens windows with cookies of their own; each notes in `asked` whom its pages spoke to."""
    opened: list[BrowserContext] = []

    def open_one() -> BrowserContext:
        # Far from both buildings, so that a chart in the browser's own time would show.
        context = chromium.new_context(
            viewport={"width": 1360, "height": 900}, timezone_id="America/New_York", color_scheme="light"
        )
        opened.append(context)
        return context

    yield open_one
    for context in opened:
        context.close()


def visit(context: BrowserContext, ui: UiProcess, person: FakePerson, path: str = "/") -> Page:
    """Go to a page, and sign in on the way."""
    page = context.new_page()
    page.goto(ui.url + path)
    page.get_by_role("link", name=person.name).click()
    expect(page.get_by_text(person.tenant_name, exact=True)).to_be_visible(timeout=SOON)
    return page


def test_two_people_of_two_tenants_at_once_never_see_each_others_rooms(ui, platform, window):
    anna, gil = visit(window(), ui, ANNA), visit(window(), ui, GIL)
    for _ in range(2):
        for page, own, other in ((anna, "Forum", "Harbour House"), (gil, "Harbour House", "Forum")):
            expect(page.get_by_text(own, exact=True)).to_be_visible(timeout=SOON)
            expect(page.locator(".in-value")).to_have_count(4, timeout=SOON)
            assert other not in page.locator("body").inner_text()
            page.reload()
    # Room 51 is Gil's: asking for it by its number shows Anna a room of her own.
    anna.goto(f"{ui.url}/?room=51")
    expect(anna.get_by_role("heading", name="Open office")).to_be_visible(timeout=SOON)
    assert "Workshop" not in anna.locator("body").inner_text()


def test_what_is_on_screen_is_in_the_address_and_stays_there_while_values_come_in(ui, platform, window):
    page = visit(window(), ui, ANNA, "/?room=3&period=3h")
    expect(page.get_by_role("heading", name="Meeting room 1")).to_be_visible(timeout=SOON)
    expect(page.locator(".in-value", has_text="Door")).to_contain_text("silent · 1 d ago")
    expect(page.locator("[data-testid=stVegaLiteChart] svg")).to_have_count(2, timeout=SOON)

    page.get_by_text("Meeting room 2", exact=True).click()
    expect(page.get_by_role("heading", name="Meeting room 2")).to_be_visible(timeout=SOON)
    page.get_by_text("7 days", exact=True).click()
    expect(page).to_have_url(re.compile(r"room=4&period=7d"), timeout=SOON)

    page.get_by_text("3 hours", exact=True).click()
    expect(page).to_have_url(re.compile(r"room=4&period=3h"), timeout=SOON)
    asked = platform.counts["latest"]
    deadline = time.monotonic() + 30
    while platform.counts["latest"] < asked + 2:  # one may have been under way
        assert time.monotonic() < deadline, "the page does not refresh"
        page.wait_for_timeout(200)
    expect(page.get_by_role("heading", name="Meeting room 2")).to_be_visible()
    expect(page).to_have_url(re.compile(r"room=4&period=3h"))


def test_a_campus_has_its_buildings_to_choose_from_and_its_rooms_to_find(ui, window):
    page = visit(window(), ui, MARIA, "/?room=103")
    expect(page.get_by_role("heading", name="Office 3")).to_be_visible(timeout=SOON)
    page.get_by_placeholder("Find a room").fill("office 16")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Office 16")).to_be_visible(timeout=SOON)
    expect(page.get_by_test_id("stRadioOption")).to_have_count(1)

    page.get_by_role("combobox", name="Building").click()
    page.get_by_role("option", name="Annex").click()
    expect(page.get_by_role("heading", name="Greenhouse")).to_be_visible(timeout=SOON)
    expect(page).to_have_url(re.compile("room=117"), timeout=SOON)


def test_charts_are_in_the_time_of_the_building_with_units_and_strips(ui, window):
    page = visit(window(), ui, GIL, "/?room=51&period=7d")
    chart = page.locator("[data-testid=stVegaLiteChart] svg").first
    expect(chart).to_be_visible(timeout=SOON)
    for text in ("°C", "Presence", "Door"):
        expect(chart.get_by_text(text, exact=True)).to_be_visible(timeout=SOON)
    # Midnights of Lisbon: in the browser's own time these marks would not be days.
    days = chart.locator(".role-axis-label text").filter(has_text=re.compile(r"^\w{3} \d+ \w{3}$"))
    assert days.count() >= 4


def test_devices_are_listed_with_their_states_and_filtered_by_the_address(ui, window):
    page = visit(window(), ui, ANNA, "/devices?state=silent")
    table = page.get_by_test_id("stDataFrame")
    expect(table).to_be_visible(timeout=SOON)
    expect(page.get_by_text("○ silent 1")).to_be_visible()
    expect(page.get_by_text("● online 14")).to_be_visible()
    # The grid is drawn on a canvas; what is read aloud from it is in a table inside.
    expect(table.locator("td", has_text="room-3-door")).to_have_count(1, timeout=SOON)
    expect(table.locator("table")).to_have_attribute("aria-rowcount", "2")
    page.get_by_placeholder("Filter by name, room or point").fill("no such device")
    page.keyboard.press("Enter")
    expect(page.get_by_text("No device matches.")).to_be_visible(timeout=SOON)


def test_a_new_tenant_is_told_what_it_will_see_and_what_to_do(ui, window):
    page = visit(window(), ui, NEW)
    expect(page.get_by_text("Here you will see the rooms of your building")).to_be_visible(timeout=SOON)
    expect(page.get_by_role("link", name="What the API tells of spaces")).to_be_visible()


def test_signing_out_ends_in_front_of_the_sign_in_page_in_every_tab(ui, platform, window):
    context = window()
    page = visit(context, ui, ANNA)
    other = context.new_page()
    other.goto(ui.url + "/?period=3h")
    expect(other.get_by_text("Acme", exact=True)).to_be_visible(timeout=SOON)
    account = page.get_by_role("link", name="Your account")
    expect(account).to_have_attribute("href", f"{platform.url}/account")
    page.get_by_role("link", name="Sign out").click()
    expect(page).to_have_title("Sign in", timeout=SOON)
    expect(other).to_have_title("Sign in", timeout=SOON)


def test_a_restart_of_the_server_costs_one_silent_redirect_to_the_same_place(ui, platform, window):
    page = visit(window(), ui, ANNA, "/?room=3&period=3h")
    expect(page.get_by_role("heading", name="Meeting room 1")).to_be_visible(timeout=SOON)
    signed_in = platform.counts["authorization_code"]
    ui.stop()
    ui.start()
    with page.expect_navigation(url=re.compile(r"room=3&period=3h"), timeout=40_000):
        pass
    expect(page.get_by_role("heading", name="Meeting room 1")).to_be_visible(timeout=SOON)
    assert platform.counts["authorization_code"] == signed_in + 1


def test_the_browser_speaks_to_the_ui_and_the_platform_alone_and_no_token_reaches_it(ui, platform, window):
    context = window()
    asked: list[str] = []
    context.on("request", lambda request: asked.append(request.url))
    context.on("page", lambda page: page.on("websocket", lambda socket: asked.append(socket.url)))
    page = visit(context, ui, ANNA)
    expect(page.locator("[data-testid=stVegaLiteChart] svg")).to_have_count(2, timeout=SOON)
    page.get_by_role("link", name="Devices").click()
    expect(page.get_by_test_id("stDataFrame")).to_be_visible(timeout=SOON)

    hosts = {urlsplit(url).netloc for url in asked if urlsplit(url).scheme not in {"data", "blob"}}
    assert hosts == {urlsplit(ui.url).netloc, urlsplit(platform.url).netloc}
    tokens = [*platform.access_tokens, *platform.refresh_tokens]
    assert tokens
    kept = (
        str(context.cookies())
        + str(page.evaluate("JSON.stringify([localStorage, sessionStorage])"))
        + "".join(asked)
    )
    assert not any(token in kept + ui.log for token in tokens)
    assert "insula-ui" in str(context.cookies())
    assert "insula-ui" not in page.evaluate("document.cookie")
    for name in ("Deploy", "Made with Streamlit", "Settings"):
        expect(page.get_by_text(name)).to_have_count(0)
