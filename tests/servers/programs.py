"""Programs of the system that tests need. Missing ones skip their tests, but never in CI."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NoReturn

import pytest
from playwright.sync_api import Browser, sync_playwright

_BESIDE_PATH = ("/usr/sbin", "/usr/local/sbin", "/opt/homebrew/sbin")
_CHROMIUM = ("chromium", "chromium-browser", "google-chrome")
_FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


def program(*names: str) -> str:
    """The path of the first of these programs that is installed."""
    path = os.pathsep.join([os.environ.get("PATH", os.defpath), *_BESIDE_PATH])
    found = next(filter(None, (shutil.which(name, path=path) for name in names)), None)
    if found is None:
        unavailable(f"{names[0]} is not installed: run make system-packages")
    return found


def unavailable(missing: str) -> NoReturn:
    """Skip the test for what the machine lacks; in CI, fail it."""
    if os.environ.get("CI"):
        pytest.fail(missing)
    pytest.skip(missing)


@contextmanager
def chromium() -> Iterator[Browser]:
    """A headless Chromium that speaks to nobody but the pages it is shown."""
    executable = program(*_CHROMIUM)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=executable, args=list(_FLAGS))
        yield browser
        browser.close()
