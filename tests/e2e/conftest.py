"""A stack, or a demo, for each module of end-to-end tests."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser

from tests.e2e.demo import RunningDemo
from tests.e2e.stack import Stack
from tests.servers.programs import chromium, program


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    running = Stack(tmp_path_factory.mktemp("stack"))
    yield running
    running.stop()


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningDemo]:
    program("mosquitto")
    running = RunningDemo(tmp_path_factory.mktemp("demo") / "state")
    running.wait_ready()
    yield running
    if running.process.poll() is None:
        running.end()


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as running:
        yield running
