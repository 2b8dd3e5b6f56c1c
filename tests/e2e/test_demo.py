"""`insula demo` as a newcomer meets it: it says it is ready, shows rooms, takes a reading, and ends."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect

from tests.servers.programs import chromium, program
from tests.waiting import eventually

DOCS = Path(__file__).resolve().parents[2] / "docs"
IMAGES = DOCS / "images"
SOON = 30_000
"""Milliseconds that a page may take on a busy machine."""


class RunningDemo:
    """One run of `insula demo` on a folder of its own."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self._output = directory.with_suffix(".out")
        with self._output.open("wb") as output:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "insula_platform", "demo", "--state-dir", str(directory)],
                stdout=output,
                stderr=subprocess.STDOUT,
                env={**os.environ, "COLUMNS": "120"},
            )

    @property
    def said(self) -> str:
        """What it has printed."""
        return self._output.read_text()

    def wait_ready(self) -> None:
        """Until it says so."""
        deadline = time.monotonic() + 90
        while "Insula is ready." not in self.said or "Ctrl-C" not in self.said:
            assert self.process.poll() is None, self.said
            assert time.monotonic() < deadline, self.said
            time.sleep(0.1)

    @property
    def ui(self) -> str:
        """The address of the analytics UI."""
        return self.found(r"Analytics\s+(\S+)")

    def found(self, pattern: str) -> str:
        """What it printed there."""
        match = re.search(pattern, self.said)
        assert match, self.said
        return match[1]

    def environment(self) -> dict[str, str]:
        """What `. demo.env` exports."""
        lines = (self.directory / "demo.env").read_text().splitlines()
        return dict(re.fullmatch(r"export (\w+)='(.*)'", line).groups() for line in lines)  # type: ignore[union-attr]

    def processes(self) -> list[psutil.Process]:
        """It, its children, and the PostgreSQL that it started."""
        own = psutil.Process(self.process.pid)
        postgres = int((self.directory / "postgresql" / "postmaster.pid").read_text().split()[0])
        return [own, *own.children(recursive=True), psutil.Process(postgres)]

    def end(self) -> None:
        """Ctrl-C."""
        self.process.send_signal(signal.SIGINT)
        assert self.process.wait(30) == 0, self.said


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("demo") / "state"


@pytest.fixture(scope="module")
def demo(directory: Path) -> Iterator[RunningDemo]:
    program("mosquitto")
    running = RunningDemo(directory)
    running.wait_ready()
    yield running
    if running.process.poll() is None:
        running.end()


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as running:
        yield running


class Program:
    """A client program with the credentials of `demo.env`, as the README has it."""

    def __init__(self, demo: RunningDemo) -> None:
        self.env = demo.environment()
        answer = httpx.post(
            self.env["INSULA_TOKEN_URL"],
            auth=(self.env["INSULA_CLIENT_ID"], self.env["INSULA_CLIENT_SECRET"]),
            data={"grant_type": "client_credentials", "scope": "readings:read devices:read"},
        )
        self._headers = {"Authorization": f"Bearer {answer.raise_for_status().json()['access_token']}"}

    def items(self, path: str) -> list[dict[str, Any]]:
        """The first page of a list of the tenant acme."""
        answer = httpx.get(f"{self.env['INSULA_API']}/{path}", headers=self._headers)
        return list(answer.raise_for_status().json()["items"])

    def rooms(self) -> dict[str, int]:
        """Ids of the spaces, by name."""
        return {space["name"]: space["id"] for space in self.items("spaces")}


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


def sign_in(context: BrowserContext, demo: RunningDemo, email: str, choose: str | None = None) -> Page:
    """Through the sign-in page to the overview."""
    page = context.new_page()
    page.goto(demo.ui)
    page.get_by_label("E-mail address").fill(email)
    page.get_by_label("Password").fill(demo.found(re.escape(email) + r"\s+(\S+)"))
    page.get_by_role("button", name="Sign in").click()
    if choose is not None:
        page.get_by_role("link", name=choose).click()
    expect(page.get_by_text("Needs attention")).to_be_visible(timeout=SOON)
    return page


def test_two_people_see_the_rooms_of_their_own_tenant_and_the_values_of_the_api(
    demo: RunningDemo, browser: Browser
):
    api = Program(demo)
    windows = {name: browser.new_context(viewport={"width": 1360, "height": 900}) for name in ("anna", "gil")}
    anna = sign_in(windows["anna"], demo, "anna@acme.example")
    gil = sign_in(windows["gil"], demo, "gil@globex.example")
    for page, own, others in (
        (anna, ("Open office", "Reception"), ("Workshop", "Harbour House")),
        (gil, ("Workshop", "Canteen"), ("Open office", "Forum")),
    ):
        page.get_by_role("link", name="Building").click()
        for name in own:
            expect(page.get_by_text(name, exact=True).first).to_be_visible(timeout=SOON)
        for name in others:
            expect(page.get_by_text(name, exact=True)).to_have_count(0)
    space = api.rooms()["Open office"]
    anna.goto(f"{demo.ui}/space?space={space}&period=24h")
    expect(anna.get_by_role("heading", name="Open office")).to_be_visible(timeout=SOON)

    def shown_is_stored() -> bool:
        (stored,) = [i["value"] for i in api.items(f"latest?space={space}") if i["name"] == "temperature"]
        return anna.get_by_text(f"{stored:.1f}", exact=False).count() > 0

    eventually(shown_is_stored, seconds=30, what="the API's temperature on the page")
    expect(anna.locator("svg.marks").first).to_be_visible(timeout=SOON)
    take(anna, "rooms")
    anna.get_by_role("link", name="Your account").click()
    anna.get_by_role("link", name="Second factors").click()
    anna.get_by_role("button", name="Add an app").click()
    expect(anna.get_by_role("img", name="QR code of the key below")).to_be_visible()
    take(anna, "account")
    anna.get_by_role("link", name="Analytics").click()
    expect(anna.get_by_text("Needs attention")).to_be_visible(timeout=SOON)
    for context in windows.values():
        context.close()


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


def test_ctrl_c_leaves_no_process_and_a_second_start_keeps_the_data(demo: RunningDemo, directory: Path):
    before = Program(demo)
    kept = before.items("latest?device=my-first-device") or before.items("latest")[:1]
    running = demo.processes()
    assert len(running) >= 8
    demo.end()
    left = [process for process in running if process.is_running() and process.status() != "zombie"]
    assert left == []
    again = RunningDemo(directory)
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


def take(page: Page, name: str) -> None:
    """A screenshot for the README, when asked for: the colours of both themes."""
    if not os.environ.get("INSULA_SCREENSHOTS"):
        return
    IMAGES.mkdir(parents=True, exist_ok=True)
    page.wait_for_timeout(2000)  # fonts and the last transition
    page.screenshot(path=str(IMAGES / f"{name}.png"))
