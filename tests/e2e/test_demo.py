"""`insula demo` as a newcomer meets it: it says it is ready, shows rooms, takes a reading, and ends."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlencode

import pytest
from playwright.sync_api import Browser, expect

from insula_platform.demo.buildings import TENANTS, DemoTenant
from tests.e2e.analytics_pages import PAGES, Visitor, has_history, keeps_to_itself, names_of
from tests.e2e.demo import DOCS, SOON, Program, RunningDemo, sign_in, take
from tests.e2e.heard import Heard
from tests.servers.programs import program
from tests.waiting import eventually


def test_a_program_reads_the_latest_value_of_every_sensor(demo: RunningDemo):
    api = Program(demo)
    sensors = {device["id"] for device in api.items("devices")} - {"my-first-device"}
    assert len(sensors) == 4 * 5 + 3  # in rooms, and for the building
    eventually(
        lambda: {item["device"] for item in api.items("latest")} >= sensors, what="the sensors' values"
    )
    kinds = {item["name"] for item in api.items("latest") if item["device"] in sensors}
    in_rooms = {"temperature", "illuminance", "occupancy", "door", "co2", "humidity"}
    assert kinds == in_rooms | {"energy_import", "power"}


def test_a_reading_sent_with_mosquitto_pub_is_there_a_moment_later(demo: RunningDemo):
    api = Program(demo)
    env = api.env
    command = [
        program("mosquitto_pub"),
        "-h",
        env["INSULA_MQTT_HOST"],
        "-p",
        env["INSULA_MQTT_PORT"],
        "-q",
        "1",
    ]
    command += ["-i", env["INSULA_DEVICE_USERNAME"], "-u", env["INSULA_DEVICE_USERNAME"]]
    command += ["-P", env["INSULA_DEVICE_PASSWORD"], "-m", '{"temperature": 21.5}']
    subprocess.run([*command, "-t", "tenants/acme/devices/my-first-device/telemetry"], check=True, timeout=10)
    (item,) = eventually(lambda: api.items("latest?device=my-first-device"), what="the reading")
    assert item["value"] == 21.5


class Visitors(NamedTuple):
    """The owners of both tenants, each in a window of their own."""

    anna: Visitor
    gil: Visitor


@pytest.fixture(scope="module")
def visitors(demo: RunningDemo, browser: Browser) -> Iterator[Visitors]:
    found = Visitors(*(visit(demo, browser, tenant) for tenant in TENANTS))
    yield found
    for visitor in found:
        visitor.page.context.close()


def visit(demo: RunningDemo, browser: Browser, tenant: DemoTenant) -> Visitor:
    """Sign in far from the building, so that times of the browser's own would show."""
    context = browser.new_context(viewport={"width": 1360, "height": 900}, timezone_id="America/New_York")
    heard = Heard(context)
    page = sign_in(context, demo, tenant.people[0][0])
    return Visitor(page, Program(demo, tenant.slug), tenant, heard, demo.ui, datetime.now(UTC))


@pytest.mark.timeout(400)  # nine pages for each of two, after the sensors have told of their past
def test_two_people_at_once_see_on_every_page_what_the_api_tells_their_own_tenant(visitors: Visitors):
    for visitor in visitors:
        eventually(lambda asker=visitor: has_history(asker), seconds=150, what="three weeks of history")
    for shown in PAGES:
        for visitor in visitors:  # both pages are on their way before one is read
            visitor.go(shown.path, **shown.query(visitor))
        for visitor in visitors:
            shown.holds(visitor)
            keeps_to_itself(visitor)
        take(visitors.anna.page, shown.name)
    for visitor in visitors:  # had a name of the other been sent, it would have been found
        own = names_of(visitor.tenant)
        assert visitor.heard.words(own) == own


def test_addresses_of_anothers_places_points_and_devices_lead_to_nothing_of_theirs(
    demo: RunningDemo, visitors: Visitors
):
    anna, gil = visitors
    globex = Program(demo, "globex", "devices:read devices:write readings:write")
    storey = globex.items("spaces")[0]["storey_id"]
    loft = globex.post("spaces", {"storey_id": storey, "name": "Sail loft", "brick_class": "Room"})["id"]
    air = {"id": "loft-air", "name": "Air, Sail loft", "space_id": loft, "type": "air-sensor"}
    globex.post("devices", air)
    day = gil.days(1)
    told = {"device": "loft-air", "time": day["from"], "value": 77.25}
    globex.post("readings", [told | {"name": name} for name in ("co2", "humidity")])
    # Both tenants count from 1. What both have is anna's own to her; the loft and its points are gil's alone.
    known = {each["id"] for each in anna.api.items("points")}
    points = [each["id"] for each in globex.items("points?device=loft-air") if each["id"] not in known]
    assert points
    assert loft not in anna.api.rooms().values()
    own_and_others = ",".join(map(str, [*anna.points("temperature"), *points]))
    gil.go("space", space=loft, **day)
    expect(gil.page.get_by_role("heading", name="Sail loft")).to_be_visible(timeout=SOON)
    for path, query, lands in (
        ("building", {"building": gil.building, "storey": storey}, anna.page.locator(".in-tile").first),
        ("space", {"building": gil.building, "space": loft}, anna.page.locator(".in-number").first),
        ("comfort", {"space": loft, **day}, anna.page.get_by_text("Rooms judged")),
        ("explorer", {"points": own_and_others, **day}, anna.page.locator("svg.marks").first),
        ("explorer", {"points": points[0]}, anna.page.get_by_text("Choose points above")),
        ("devices", {"device": "loft-air"}, anna.page.get_by_test_id("stDataFrame")),
    ):
        anna.go(path, **query)
        expect(lands).to_be_visible(timeout=SOON)
        expect(anna.page.locator(".in-device")).to_have_count(0)
        keeps_to_itself(anna, "Sail loft")
    file = f"{demo.ui}/files/readings.csv?{urlencode({'point': points, **day}, doseq=True)}"
    taken = [visitor.page.context.request.get(file).text() for visitor in (gil, anna)]
    assert ["77.25" in text for text in taken] == [True, False]


def test_pictures_in_the_dark_and_in_french(visitors: Visitors):
    anna = visitors.anna
    anna.page.emulate_media(color_scheme="dark")
    anna.go("energy", building=anna.building, **anna.days(21))
    expect(anna.page.get_by_text("Load of a typical day")).to_be_visible(timeout=SOON)
    take(anna.page, "energy-dark")
    anna.page.emulate_media(color_scheme="light")
    anna.go("", lang="fr")
    expect(anna.page.get_by_role("link", name="Vue d\u2019ensemble")).to_be_visible(timeout=SOON)
    take(anna.page, "overview-fr")


def test_a_room_keeps_up_with_its_sensors_and_the_account_is_a_link_away(visitors: Visitors):
    page, api = visitors.anna.page, visitors.anna.api
    visitors.anna.go("", lang="en")
    page.get_by_role("link", name="Building").click()
    expect(page.get_by_text("Open office", exact=True).first).to_be_visible(timeout=SOON)
    space = api.rooms()["Open office"]
    visitors.anna.go("space", space=space, period="24h")
    expect(page.get_by_role("heading", name="Open office")).to_be_visible(timeout=SOON)

    def shown_is_stored() -> bool:
        (stored,) = [i["value"] for i in api.items(f"latest?space={space}") if i["name"] == "temperature"]
        return page.get_by_text(f"{stored:.1f}", exact=False).count() > 0

    eventually(shown_is_stored, seconds=30, what="the API's temperature on the page")
    page.get_by_role("link", name="Your account").click()
    page.get_by_role("link", name="Second factors").click()
    page.get_by_role("button", name="Add an app").click()
    expect(page.get_by_role("img", name="QR code of the key below")).to_be_visible()
    take(page, "account")
    page.get_by_role("link", name="Analytics").click()
    expect(page.get_by_text("Needs attention")).to_be_visible(timeout=SOON)


def test_a_person_of_two_tenants_chooses_one(demo: RunningDemo, browser: Browser):
    context = browser.new_context()
    page = sign_in(context, demo, "maria@facility.example", choose="Globex")
    expect(page.get_by_text("Harbour House", exact=True).first).to_be_visible(timeout=SOON)
    expect(page.get_by_text("Forum", exact=True)).to_have_count(0)
    context.close()


def test_a_day_of_history_is_there_from_the_first_start(demo: RunningDemo):
    api = Program(demo)
    point = next(each["id"] for each in api.items("points") if each["name"] == "temperature")
    hours = eventually(
        lambda: found if len(found := hourly(api, point)) >= 24 else None, seconds=30, what="a day of history"
    )
    assert all(5 < hour["value"] < 35 for hour in hours)


def hourly(api: Program, point: int) -> list[dict[str, Any]]:
    """Means of all hours there are."""
    return api.items(f"readings?point={point}&from=2020-01-01T00:00:00Z&to=2040-01-01T00:00:00Z&bucket=1h")


def lines_of(document: str) -> str:
    """The commands of a document's consoles, as one script."""
    text = (DOCS / document).read_text()
    consoles = re.findall(r"```console\n(.*?)```", text, re.DOTALL)
    commands = re.findall(r"^\$ ((?:.*[\\|]\n)*.*)$", "".join(consoles), re.MULTILINE)
    # A stream has no end of its own.
    return "\n".join(commands).replace("curl -sN", "curl -sN --max-time 5")


# After the pictures are taken: the lines bring devices into the rooms.
@pytest.mark.parametrize(
    ("document", "says"),
    [
        ("backfill.md", ['"stored":1,"rejected":1', '"row":3,"field":"time"']),
        ("live.md", ["event: snapshot", "event: values", "meeting-room-1-temperature"]),
        ("devices.md", ['"device":"lab-climate"', '"value":21.5,"in_range":true']),
        (
            "onboarding.md",
            ['"new":2', "acme/lot-1,", '{"state":"waiting"}', '"state":"approved"', '"username":"acme/west-'],
        ),
        ("dead-letters.md", ["neither a finite number", '{"letters":1}']),
    ],
)
def test_the_lines_of_the_documents_work_beside_it(
    demo: RunningDemo, tmp_path: Path, document: str, says: list[str]
):
    (tmp_path / "var").mkdir()
    (tmp_path / "var" / "demo").symlink_to(demo.directory)
    script = lines_of(document).replace("mosquitto_pub -h", f"{program('mosquitto_pub')} -h")

    def runs() -> bool:
        done = subprocess.run(
            ["bash", "-c", script], cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False
        )
        nonlocal said
        said = done.stdout + done.stderr
        return all(word in said for word in says)

    said = ""
    # What was sent is there a moment later, and a sensor speaks every few seconds.
    eventually(runs, seconds=60, what=f"the lines of {document}, which said {said!r}, ")


def test_ctrl_c_leaves_no_process_and_a_second_start_keeps_the_data(demo: RunningDemo):
    before = Program(demo)
    kept = before.items("latest?device=my-first-device") or before.items("latest")[:1]
    running = demo.processes()
    assert len(running) >= 8
    demo.end()
    left = [process for process in running if process.is_running() and process.status() != "zombie"]
    assert left == []
    again = RunningDemo(demo.directory)
    again.wait_ready()
    try:
        after = Program(again)
        assert after.env["INSULA_CLIENT_SECRET"] == before.env["INSULA_CLIENT_SECRET"]
        now = {item["point"]: item for item in after.items("latest")}
        assert all(now[item["point"]]["time"] >= item["time"] for item in kept)
    finally:
        again.end()


def test_a_second_demo_on_the_same_folder_is_told_so(tmp_path: Path):
    import fcntl

    (tmp_path / "state").mkdir()
    with (tmp_path / "state" / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        second = RunningDemo(tmp_path / "state")
        assert second.process.wait(30) == 1
    assert "another demo is running" in second.said
    assert "Traceback" not in second.said
