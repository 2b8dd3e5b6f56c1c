"""Comfort, Occupancy, Energy, Data quality and forecasts in a browser: the fake's figures on the page."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.analytics_ui.fake_platform import ANNA, BUILDINGS, GIL, FakePlatform, running_platform
from tests.analytics_ui.on_page import CHART, cells, number
from tests.analytics_ui.ui_process import SOON, UiProcess, visit
from tests.servers.programs import chromium


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


@pytest.fixture(scope="module")
def anna(chromium: Browser, ui: UiProcess) -> Iterator[Page]:
    """A page of somebody who signed in once; far from Brussels, so that the browser's own time would show."""
    context = chromium.new_context(
        viewport={"width": 1360, "height": 1200}, timezone_id="America/New_York", color_scheme="light"
    )
    yield visit(context, ui, ANNA, "/devices")
    context.close()


def test_comfort_tells_the_rooms_the_worst_first_and_the_hours_of_one(anna: Page, ui: UiProcess, platform):
    platform.counts.clear()
    anna.goto(f"{ui.url}/comfort")
    # Of 200 judged hours a room: 4 + 26 + 48 + 70 out of band.
    number(anna, "Out of band", "18.5 %", "148 of 800 occupied hours judged")
    number(anna, "Too much CO₂", "13.0 %", "52 of 400 occupied hours judged")
    number(anna, "Rooms that overheat", "1")
    expect(anna.locator(CHART)).to_have_count(2, timeout=SOON)
    rooms = [row[0] for row in cells(anna, 0)]
    assert rooms == ["Meeting room 2", "Meeting room 1", "Open office", "Reception"]
    assert ["Relative humidity", "50 %", "4 rooms", "880"] in cells(anna, 1)
    expect(anna.get_by_text("Operative temperature in Meeting room 2")).to_be_visible()
    assert platform.counts["comfort"] == platform.counts["comfort/hours"] == 1

    anna.get_by_text("CO₂", exact=True).first.click()
    expect(anna).to_have_url(re.compile("by=co2"), timeout=SOON)
    # Only every other room has a CO2 sensor; the limits are above the 400 ppm assumed outdoors.
    expect(anna.get_by_text("CO₂ in Meeting room 1, with the limits")).to_be_visible(timeout=SOON)
    limits = anna.locator(CHART).nth(1)
    for text in ("ppm", "Category I", "Category II", "Category III"):
        expect(limits.get_by_text(text, exact=True)).to_be_visible(timeout=SOON)


def test_a_room_is_asked_for_once_with_its_hours_beside(anna: Page, ui: UiProcess, platform):
    platform.counts.clear()
    anna.goto(f"{ui.url}/comfort?space=2&by=pmv")
    expect(anna.get_by_text("Predicted mean vote in Open office")).to_be_visible(timeout=SOON)
    number(anna, "Rooms judged", "1")
    number(anna, "Out of band", "13.0 %")
    assert platform.counts["comfort"] == platform.counts["comfort/hours"] == 1


def test_occupancy_tells_the_week_the_rooms_and_what_was_inferred(anna: Page, ui: UiProcess):
    anna.goto(f"{ui.url}/occupancy")
    number(anna, "In use", "21.2 %")
    number(anna, "Busiest hour", "Tue 10:00", "90 %")
    number(anna, "Never used", "1")
    number(anna, "Most people at once", "9", "Open office, 90 % of its capacity")
    week = anna.locator(CHART).first
    expect(week.get_by_text("90", exact=True)).to_be_visible(timeout=SOON)
    expect(anna.locator(CHART).nth(1).get_by_text("≈ 12 %", exact=True)).to_be_visible()
    assert cells(anna, 0)[0][0] == "Meeting room 2"
    anna.get_by_text("The model that inferred the use of Meeting room 1").click()
    assert ["CO₂ alone", "datatest2.txt", "2\u202f665", "91.4"] in [row[:4] for row in cells(anna, 2)]


def test_energy_tells_consumption_savings_and_buildings_and_reports_them(
    anna: Page, ui: UiProcess, tmp_path: Path
):
    anna.goto(f"{ui.url}/energy")
    number(anna, "Consumption", "4\u202f200 kWh", "7.0 kWh/m² of 600 m²")
    number(anna, "While closed", "41 %", "64 % of the time; open 07:00\u201319:00")
    number(anna, "Cost", "1\u202f060 EUR")
    number(anna, "Peak", "21.4 kW", "Thu 19 Nov 10:00")
    meters = cells(anna, 0)
    assert [row[:3] for row in meters] == [["Main", "4200", "2940"], ["└ Lighting", "1260", ""]]
    with anna.expect_download() as download:
        anna.get_by_role("button", name="Report").click()
    file = tmp_path / "report.html"
    download.value.save_as(file)
    report = file.read_text(encoding="utf-8")
    for text in ("4\u202f200", "└ Lighting", "Load of a typical day", "<svg", "172.0 kWh"):
        assert text in report, text

    anna.get_by_text("Baseline and weather").click()
    expect(anna).to_have_url(re.compile("section=baseline"), timeout=SOON)
    number(anna, "Saved", "360 kWh", "241 to 479 kWh at 90 % confidence")
    number(anna, "CV(RMSE)", "14.2 %", "within ±30 %")
    expect(anna.get_by_text("heating 530 K·d below 15.5 °C")).to_be_visible()

    anna.get_by_text("Comparison", exact=True).click()
    expect(anna.locator(CHART).get_by_text("7.5 kWh/m²", exact=True)).to_be_visible(timeout=SOON)
    assert cells(anna, 0)[0][:4] == ["Forum", "4200", "4515", "-7"]


def test_data_quality_tells_what_is_wrong_and_what_to_do(anna: Page, ui: UiProcess):
    anna.goto(f"{ui.url}/data-quality")
    number(anna, "Complete", "94.2 %", "2\u202f302 of 40\u202f320 readings missing")
    number(anna, "Points with a problem", "3", "of 16 points")
    number(anna, "Findings that last", "2")
    tasks = anna.locator(".in-tasks li")
    expect(tasks).to_have_count(4)
    assert [task.locator("strong").inner_text() for task in tasks.all()] == [
        "Silent",
        "Gaps",
        "Stuck",
        "Clock behind",
    ]
    first, second = cells(anna, 0)[:2]
    assert first[0] == "○ serious"
    assert first[2:4] == ["Silent (71.0 % of the readings), Gaps (3 gaps, the longest 2 h)", "71"]
    assert second[2] == "Stuck (21.5 °C for 1 d)"
    assert [row[:2] for row in cells(anna, 1)] == [
        ["○ critical", "Stuck"],
        ["◐ warning", "Drifting"],
    ]
    tasks.first.get_by_role("link").click()
    expect(anna).to_have_url(re.compile(r"/explorer\?.*points=100"), timeout=SOON)
    # One point by itself comes with its forecast.
    expect(anna.get_by_text(re.compile("Air temperature.*: the next 24 hours"))).to_be_visible(timeout=SOON)
    expect(anna.get_by_text("Over 28 past days it was off by 0.31 °C on average")).to_be_visible()


def test_another_tenant_is_told_what_is_missing_and_nothing_of_the_first(chromium: Browser, ui: UiProcess):
    context = chromium.new_context(locale="fr-BE", color_scheme="dark")
    page = visit(context, ui, GIL, "/energy")
    expect(page.get_by_text("Aucun compteur n\u2019est encore déclaré.")).to_be_visible(timeout=SOON)
    page.goto(f"{ui.url}/data-quality")
    expect(page.get_by_text("Aucune analyse n\u2019a encore eu lieu.")).to_be_visible(timeout=SOON)
    number(page, "Complet", "94,2 %")
    page.goto(f"{ui.url}/comfort?by=adaptive")
    expect(page.get_by_text("Outside_Air_Temperature_Sensor")).to_be_visible(timeout=SOON)
    page.goto(f"{ui.url}/explorer?points=5100")
    expect(page.get_by_text("L\u2019historique est trop court pour une prévision.")).to_be_visible(
        timeout=SOON
    )
    assert "Forum" not in page.locator("body").inner_text()
    context.close()


EVIL = "https://evil.example/"
HOSTILE = f"[free]({EVIL}) ![x]({EVIL}i.png) $x$ :red[r] <img src={EVIL}j.png onerror=alert(1)> '\"{{x}}"


@pytest.mark.parametrize("path", ["building", "occupancy"])
def test_names_are_text_whatever_they_say(anna: Page, ui: UiProcess, monkeypatch, path: str):
    """Who may name a room writes no link, picture or script into what others see."""
    acme = BUILDINGS["acme"]
    rooms = [(f"{name} {HOSTILE}", f"{storey} {HOSTILE}") for name, storey in acme.rooms]
    monkeypatch.setitem(BUILDINGS, "acme", replace(acme, name=HOSTILE, rooms=tuple(rooms)))
    page = anna.context.new_page()
    fetched: list[str] = []
    page.on("request", lambda request: fetched.append(request.url))
    page.on("dialog", lambda dialog: fetched.append(dialog.message))
    page.goto(f"{ui.url}/{path}")
    last = {"building": "Meeting room 2", "occupancy": "The model that inferred the use of Meeting room 1"}
    named = re.compile(re.escape(f"{last[path]} [free](https://"))
    expect(page.get_by_text(named).last).to_be_attached(timeout=SOON)
    found = page.locator(f"[href*='{EVIL}'], [src*='{EVIL}'], .katex")
    assert [one.evaluate("node => node.outerHTML") for one in found.all()] == []
    assert [url for url in fetched if EVIL in url or url == "1"] == []
    page.close()
