"""Wait for a condition instead of a time."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def eventually(probe: Callable[[], T], *, seconds: float = 10, what: str = "the condition") -> T:
    """The first true answer of `probe`, asked again and again."""
    deadline = time.monotonic() + seconds
    while not (answer := probe()):
        assert time.monotonic() < deadline, f"{what} still gives {answer!r} after {seconds} s"
        time.sleep(0.02)
    return answer
