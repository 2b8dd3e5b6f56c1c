"""The real thing in a real browser: `python -m insula_analytics_ui`, Chromium, and people of two tenants."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator
from urllib.parse import parse_qs, urlsplit

import pytest
from playwright.sync_api import Browser, BrowserContext, expect

from tests.analytics_ui.fake_platform import ANNA, GIL, MARIA, NEW, FakePlatform, running_platform
from tests.analytics_ui.ui_process import SOON, UiProcess, visit
from tests.servers.programs import chromium

CHART = "[data-testid=stVegaLiteChart] svg"


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
def window(chromium: Browser) -> Iterator[Callable[..., BrowserContext]]:
    """Opens windows with cookies of their own; each notes in `asked` whom its pages spoke to."""
    opened: list[BrowserContext] = []

    def open_one(locale: str = "en-GB") -> BrowserContext:
        # Far from both buildings, so that a chart in the browser's own time would show.
        context = chromium.new_context(
            viewport={"width": 1360, "height": 900},
            timezone_id="America/New_York",
            color_scheme="light",
            locale=locale,
        )
        opened.append(context)
        return context

    yield open_one
    for context in opened:
        context.close()


def asks(**query: str) -> re.Pattern[str]:
    """An address with these in its query, in any order."""
    return re.compile("".join(rf"(?=.*[?&]{name}={value}(&|$))" for name, value in query.items()))


def test_two_people_of_two_tenants_at_once_never_see_each_others_rooms(ui, platform, window):
    anna, gil = visit(window(), ui, ANNA), visit(window(), ui, GIL)
    for path, own, other in (("/", "Forum", "Harbour House"), ("/building", "Open office", "Workshop")):
        anna.goto(ui.url + path)
        gil.goto(ui.url + path)
        expect(anna.locator(".in-go", has_text=own).first).to_be_visible(timeout=SOON)
        expect(gil.locator(".in-go", has_text=other).first).to_be_visible(timeout=SOON)
        assert other not in anna.locator("body").inner_text()
        assert own not in gil.locator("body").inner_text()
    # Room 51 and point 5100 are Gil's: asking for them by their numbers shows a room of Anna's, or nothing.
    anna.goto(f"{ui.url}/space?space=51")
    expect(anna.get_by_role("heading", name="Open office")).to_be_visible(timeout=SOON)
    assert "Workshop" not in anna.locator("body").inner_text()
    anna.goto(f"{ui.url}/explorer?points=5100")
    expect(anna.get_by_text("Choose points above")).to_be_visible(timeout=SOON)


def test_the_overview_tells_what_needs_attention_and_leads_there(ui, window):
    page = visit(window(), ui, ANNA)
    building = page.get_by_role("row").filter(has=page.get_by_role("link", name="Forum"))
    for text in ("14 / 16", "Electricity 50.0 kWh (+25\u202f%)", "91.4\u202f%"):
        expect(building.first).to_contain_text(text, timeout=SOON)
    needs = page.locator(".in-needs tr")
    for row, text in enumerate(("Door Meeting room 1 · for 1 d", "stuck", "more than usual", "incomplete")):
        expect(needs.nth(row)).to_contain_text(text)
    needs.nth(0).get_by_role("link").click()
    expect(page).to_have_url(re.compile(r"/devices\?device=room-3-door"), timeout=SOON)
    expect(page.get_by_text("Check its power and its network.")).to_be_visible(timeout=SOON)
    expect(page.get_by_text("Its clock is 75.2 s ahead.")).to_be_visible()


@pytest.mark.long
def test_a_tile_keeps_the_focus_through_refreshes_and_opens_its_room_by_the_keyboard(ui, platform, window):
    page = visit(window(), ui, ANNA, "/building?storey=2")
    tile = page.locator(".in-tile", has_text="Meeting room 1")
    expect(tile).to_contain_text("1 of 4 devices silent", timeout=SOON)
    expect(tile).to_contain_text("comfortable")
    expect(page.locator(".in-tile", has_text="Reception")).to_have_count(0)
    tile.focus()
    page.evaluate("document.querySelector('.in-tiles').dataset.old = 'yes'")
    # Its values change every few seconds: the tiles are new elements then.
    expect(page.locator(".in-tiles[data-old]")).to_have_count(0, timeout=60_000)
    expect(tile).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Meeting room 1")).to_be_visible(timeout=SOON)
    page.go_back()
    expect(tile).to_be_visible(timeout=SOON)


def test_what_is_on_screen_is_in_the_address_and_stays_there_while_values_come_in(ui, platform, window):
    page = visit(window(), ui, ANNA, "/space?space=3&period=3h")
    expect(page.get_by_role("heading", name="Meeting room 1")).to_be_visible(timeout=SOON)
    expect(page.locator(".in-value", has_text="Door")).to_contain_text("silent · 1 d")
    expect(page.locator(CHART)).to_have_count(2, timeout=SOON)

    page.get_by_role("combobox", name="Room").click()
    page.get_by_role("option", name="Meeting room 2").click()
    expect(page.get_by_role("heading", name="Meeting room 2")).to_be_visible(timeout=SOON)
    page.get_by_text("7 days", exact=True).click()
    expect(page).to_have_url(asks(space="4", period="7d"), timeout=SOON)

    page.get_by_text("3 hours", exact=True).click()
    expect(page).to_have_url(asks(space="4", period="3h"), timeout=SOON)
    asked = platform.counts["latest"]
    deadline = time.monotonic() + 30
    while platform.counts["latest"] < asked + 2:  # one may have been under way
        assert time.monotonic() < deadline, "the page does not refresh"
        page.wait_for_timeout(200)
    expect(page.get_by_role("heading", name="Meeting room 2")).to_be_visible()
    expect(page).to_have_url(asks(space="4", period="3h"))
    # The place and the period go along to another page.
    page.get_by_role("link", name="Building").click()
    expect(page).to_have_url(re.compile(r"/building\?.*space=4"), timeout=SOON)
    expect(page).to_have_url(asks(period="3h"))


def test_a_campus_has_its_buildings_to_choose_from_and_a_tile_for_every_room(ui, window):
    page = visit(window(), ui, MARIA, "/building")
    page.get_by_role("combobox", name="Building").click()
    page.get_by_role("option", name="Tower").click()
    expect(page.locator(".in-tile")).to_have_count(16, timeout=SOON)
    expect(page.locator(".in-storey h3")).to_have_text(
        ["Floor 2 1 room", "Floor 1 8 rooms", "Floor 0 7 rooms"]
    )
    page.get_by_role("combobox", name="Building").click()
    page.get_by_role("option", name="Annex").click()
    expect(page.locator(".in-tile")).to_have_count(1, timeout=SOON)
    expect(page).to_have_url(asks(building="1102"), timeout=SOON)


def test_charts_are_in_the_time_of_the_building_with_units_and_strips(ui, window):
    page = visit(window(), ui, GIL, "/space?space=51&period=7d")
    chart = page.locator(CHART).first
    expect(chart).to_be_visible(timeout=SOON)
    for text in ("°C", "Presence", "Door"):
        expect(chart.get_by_text(text, exact=True)).to_be_visible(timeout=SOON)
    # Midnights of Lisbon: in the browser's own time these marks would not be days.
    days = chart.locator(".role-axis-label text").filter(has_text=re.compile(r"^\w{3} \d+ \w{3}$"))
    assert days.count() >= 4
    # The light was away for two hours of each day.
    expect(page.get_by_text(re.compile(r"^data 9[12]\.\d\u202f% complete$"))).to_be_visible()


def test_a_brush_looks_closer_and_the_files_are_of_what_is_shown(ui, platform, window):
    page = visit(window(), ui, ANNA, "/explorer?points=120,121&period=7d")
    expect(page.get_by_text("One value per 30 min; brush")).to_be_visible(timeout=SOON)
    chart = page.locator(CHART).first
    expect(chart).to_be_visible(timeout=SOON)
    expect(page.locator(CHART)).to_have_count(2, timeout=SOON)  # each unit has an axis of its own
    box = chart.bounding_box()
    page.mouse.move(box["x"] + 400, box["y"] + 80)
    page.mouse.down()
    page.mouse.move(box["x"] + 500, box["y"] + 80, steps=8)
    page.mouse.up()
    expect(page.get_by_text("One value per 5 min; brush")).to_be_visible(timeout=SOON)
    zoomed = page.url
    page.reload()
    expect(page.get_by_text("One value per 5 min; brush")).to_be_visible(timeout=SOON)

    begin, end = parse_qs(urlsplit(zoomed).query)["zoom"][0].split("/")
    with page.expect_download() as download:
        page.get_by_role("link", name="CSV, one value per 5 min").click()
    rows = download.value.path().read_text().splitlines()
    assert rows[0] == "point,time,value"
    assert {row.split(",")[0] for row in rows[1:]} == {"120", "121"}
    expect(page.get_by_text("In the column point: 120 = ")).to_be_visible()
    times = [row.split(",")[1] for row in rows[1:]]
    assert begin <= min(times)
    assert max(times) < end

    page.get_by_role("button", name="Whole period").click()
    expect(page.get_by_text("One value per 30 min; brush")).to_be_visible(timeout=SOON)
    expect(page).not_to_have_url(re.compile("zoom"), timeout=SOON)


def test_a_report_is_a_file_with_what_is_on_screen(ui, window):
    context = window()
    page = visit(context, ui, ANNA, "/space?space=3&period=24h")
    expect(page.locator(CHART)).to_have_count(2, timeout=SOON)
    with page.expect_download(timeout=SOON) as download:
        page.get_by_role("button", name="Report").click()
    assert re.fullmatch(r"insula-Acme-Room-\d{4}-\d\d-\d\d\.html", download.value.suggested_filename)
    report = context.new_page()
    asked: list[str] = []
    report.on("request", lambda request: asked.append(request.url))
    report.set_content(download.value.path().read_text())
    for text in (
        "Acme",
        "Anna Peeters",
        "Forum · First floor · Meeting room 1",
        f"{ui.url}/space?space=3&period=24h",
    ):
        expect(report.get_by_text(text, exact=True)).to_be_visible()
    expect(report.locator("svg")).to_have_count(2)
    expect(report.get_by_role("columnheader", name="Air temperature (°C)")).to_have_count(1)
    assert asked == []


def test_devices_are_listed_with_their_states_and_filtered_by_the_address(ui, window):
    page = visit(window(), ui, ANNA, "/devices?state=silent")
    table = page.get_by_test_id("stDataFrame")
    expect(table).to_be_visible(timeout=SOON)
    expect(page.get_by_text("○ silent 1")).to_be_visible()
    expect(page.get_by_text("● online 14")).to_be_visible()
    # The grid is drawn on a canvas; what is read aloud from it is in a table inside.
    for text in ("Door Meeting room 1", "The device has been gone since yesterday.", "-75.2"):
        expect(table.locator("td", has_text=text)).to_have_count(1, timeout=SOON)
    expect(table.locator("table")).to_have_attribute("aria-rowcount", "2")
    page.get_by_role("combobox", name="Explain a device").fill("Meeting room 1")
    page.get_by_role("option", name="Door Meeting room 1").click()
    expect(page.get_by_text("Check its power and its network.")).to_be_visible(timeout=SOON)
    expect(page).to_have_url(asks(state="silent", device="room-3-door"))
    page.get_by_placeholder("Filter by name, room or point").fill("no such device")
    page.keyboard.press("Enter")
    expect(page.get_by_text("No device matches.")).to_be_visible(timeout=SOON)


def test_a_french_browser_gets_french_and_a_switch_to_english(ui, window):
    page = visit(window(locale="fr-BE"), ui, ANNA, "/space?space=3&period=24h")
    expect(page.locator(".in-value", has_text="Température de l")).to_be_visible(timeout=SOON)
    expect(page.locator(".in-value", has_text="Porte")).to_contain_text("muet · 1 j")
    expect(page.locator("html")).to_have_attribute("lang", "fr")
    english = [
        text
        for text in ("Air temperature", "silent", "Overview", "24 hours", "complete ")
        if text in page.inner_text("body")
    ]
    assert english == []
    page.get_by_role("link", name="English").click()
    expect(page.locator(".in-value", has_text="Air temperature")).to_be_visible(timeout=SOON)
    expect(page).to_have_url(asks(space="3", period="24h", lang="en"))
    page.get_by_role("link", name="Overview").click()
    expect(page.get_by_text("Needs attention")).to_be_visible(timeout=SOON)


def test_a_new_tenant_is_told_what_it_will_see_and_what_to_do(ui, window):
    page = visit(window(), ui, NEW)
    for path, text in (
        ("/", "Here you will see your buildings"),
        ("/devices", "Here you will see your devices"),
    ):
        page.goto(ui.url + path)
        expect(page.get_by_text(text)).to_be_visible(timeout=SOON)
        expect(page.get_by_role("link", name="How devices come in")).to_be_visible()


def test_signing_out_ends_in_front_of_the_sign_in_page_in_every_tab(ui, platform, window):
    context = window()
    page = visit(context, ui, ANNA)
    other = context.new_page()
    other.goto(ui.url + "/space?period=3h")
    expect(other.get_by_text("Acme", exact=True)).to_be_visible(timeout=SOON)
    account = page.get_by_role("link", name="Your account")
    expect(account).to_have_attribute("href", f"{platform.url}/account")
    page.get_by_role("link", name="Sign out").click()
    expect(page).to_have_title("Sign in", timeout=SOON)
    expect(other).to_have_title("Sign in", timeout=SOON)


def test_a_restart_of_the_server_costs_one_silent_redirect_to_the_same_place(ui, platform, window):
    page = visit(window(), ui, ANNA, "/space?space=3&period=3h")
    expect(page.get_by_role("heading", name="Meeting room 1")).to_be_visible(timeout=SOON)
    signed_in = platform.counts["authorization_code"]
    ui.stop()
    ui.start()
    with page.expect_navigation(url=re.compile(r"space=3&period=3h"), timeout=40_000):
        pass
    expect(page.get_by_role("heading", name="Meeting room 1")).to_be_visible(timeout=SOON)
    assert platform.counts["authorization_code"] == signed_in + 1


def test_a_page_that_the_platform_did_not_answer_asks_again_by_itself(ui, platform, window):
    platform.faults["api_status"] = 503
    try:
        page = visit(window(), ui, ANNA, "/building?period=12mo")
        expect(page.get_by_text("The platform does not answer just now.")).to_be_visible(timeout=SOON)
    finally:
        del platform.faults["api_status"]
    expect(page.get_by_text("Meeting room 1").first).to_be_visible(timeout=SOON)
    expect(page.get_by_text("The platform does not answer just now.")).to_have_count(0)


def test_the_browser_speaks_to_the_ui_and_the_platform_alone_and_no_token_reaches_it(ui, platform, window):
    context = window()
    asked: list[str] = []
    context.on("request", lambda request: asked.append(request.url))
    context.on("page", lambda page: page.on("websocket", lambda socket: asked.append(socket.url)))
    page = visit(context, ui, ANNA, "/space?space=3")
    expect(page.locator(CHART)).to_have_count(2, timeout=SOON)
    page.get_by_role("link", name="Devices' health").click()
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
