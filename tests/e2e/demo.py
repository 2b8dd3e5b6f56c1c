"""`insula demo` as a process, what its programs ask, and how its people sign in."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import httpx
import psutil
from playwright.sync_api import BrowserContext, Page, expect

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


class Program:
    """A client program of a tenant: with the credentials of `demo.env`, as the README has it, or its own."""

    def __init__(
        self, demo: RunningDemo, tenant: str = "acme", scope: str = "readings:read devices:read"
    ) -> None:
        self.env = demo.environment()
        self._api = self.env["INSULA_API"].removesuffix("acme") + tenant
        client = (self.env["INSULA_CLIENT_ID"], self.env["INSULA_CLIENT_SECRET"])
        if tenant != "acme":
            secrets = json.loads((demo.directory / "secrets.json").read_text())
            client = (secrets[f"client {tenant} id"], secrets[f"client {tenant}"])
        answer = httpx.post(
            self.env["INSULA_TOKEN_URL"],
            auth=client,
            data={"grant_type": "client_credentials", "scope": scope},
        )
        self._headers = {"Authorization": f"Bearer {answer.raise_for_status().json()['access_token']}"}

    def get(self, path: str) -> dict[str, Any]:
        """What the API answers beneath the tenant."""
        answer = httpx.get(f"{self._api}/{path}", headers=self._headers, timeout=30)
        return dict(answer.raise_for_status().json())

    def post(self, path: str, body: Any) -> dict[str, Any]:
        """Send something new of the tenant."""
        answer = httpx.post(f"{self._api}/{path}", headers=self._headers, json=body, timeout=30)
        return dict(answer.raise_for_status().json())

    def items(self, path: str) -> list[dict[str, Any]]:
        """The first page of a list."""
        return list(self.get(path)["items"])

    def rooms(self) -> dict[str, int]:
        """Ids of the spaces, by name."""
        return {space["name"]: space["id"] for space in self.items("spaces")}


def sign_in(context: BrowserContext, demo: RunningDemo, email: str, choose: str | None = None) -> Page:
    """Through the sign-in page to the overview."""
    page = context.new_page()
    page.goto(demo.ui)
    page.get_by_label("E-mail address").fill(email)
    page.get_by_label("Password").fill(demo.found(re.escape(email) + r"\s+(\S+)"))
    page.get_by_role("button", name="Sign in").click()
    if choose is not None:
        page.get_by_role("link", name=choose).click()
    # The first minute is the busiest: weeks of history come in and are rolled up.
    expect(page.get_by_text("Needs attention")).to_be_visible(timeout=2 * SOON)
    return page


def take(page: Page, name: str) -> None:
    """A screenshot for the documents, when asked for."""
    if not os.environ.get("INSULA_SCREENSHOTS"):
        return
    from PIL import Image  # Streamlit brings it

    IMAGES.mkdir(parents=True, exist_ok=True)
    page.mouse.move(1350, 450)  # the margin: nothing there takes notice
    page.evaluate("document.querySelector('[data-testid=stMain]')?.scrollTo(0, 0)")
    page.wait_for_timeout(2000)  # fonts and the last transition
    path = IMAGES / f"{name}.png"
    page.screenshot(path=str(path))
    with Image.open(path) as taken:  # 256 shades look the same in a third of the bytes
        few = taken.convert("RGB").quantize(
            256, Image.Quantize.MAXCOVERAGE, kmeans=1, dither=Image.Dither.NONE
        )
    few.save(path, optimize=True)
