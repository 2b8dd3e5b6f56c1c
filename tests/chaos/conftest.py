"""The seed of this run, and processes to be killed."""

from __future__ import annotations

import os
import random
from collections.abc import Iterator

import pytest

from tests.e2e.stack import Stack

TENANTS = ("acme", "globex", "initech")
"""Those that the load is for."""
SPARE = "umbrella"
"""One whose readings are to differ from what was sent."""


@pytest.fixture
def seed() -> int:
    """CHAOS_SEED repeats a run; pytest shows what a failed test has printed."""
    chosen = int(os.environ.get("CHAOS_SEED") or random.SystemRandom().randrange(1_000_000))
    print(f"CHAOS_SEED={chosen}")
    return chosen


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    running = Stack(tmp_path_factory.mktemp("chaos"), (*TENANTS, SPARE))
    yield running
    running.stop()
