"""The UI as a process of its own, and the first steps of a person in a browser."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import httpx
from playwright.sync_api import BrowserContext, Page, expect

from tests.analytics_ui.fake_platform import CLIENT_SECRET, FakePerson
from tests.servers.mosquitto import free_port

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


def visit(context: BrowserContext, ui: UiProcess, person: FakePerson, path: str = "/") -> Page:
    """Go to a page, and sign in on the way."""
    page = context.new_page()
    page.goto(ui.url + path)
    page.get_by_role("link", name=person.name).click()
    expect(page.get_by_text(person.tenant_name, exact=True)).to_be_visible(timeout=SOON)
    return page
