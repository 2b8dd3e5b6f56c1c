"""The first brake: on trying from one address, and on checking too many passwords at once.

Both count in this process's memory and spare the database. What holds across processes is in `attempts`.
"""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager

WINDOW = 300.0
"""Seconds in which failures count."""

MAX_PER_ADDRESS = 50
MAX_REMEMBERED = 20_000
"""Addresses remembered at most: the oldest are forgotten first, so an attacker cannot fill the memory."""

# Argon2 takes 64 MiB and a core for each check: more at once would starve everything else.
_checks = threading.BoundedSemaphore(2)
_CHECK_PATIENCE = 5.0


class Busy(Exception):
    """Too many passwords are being checked."""


@contextmanager
def password_check() -> Iterator[None]:
    """A block that checks or hashes a password. Raises `Busy` when it cannot begin within seconds."""
    if not _checks.acquire(timeout=_CHECK_PATIENCE):
        raise Busy
    try:
        yield
    finally:
        _checks.release()


class Throttle:
    """Counts failures in fixed windows, thread-safe."""

    def __init__(self) -> None:
        """Nothing has failed yet."""
        self._lock = threading.Lock()
        self._failures: OrderedDict[str, tuple[float, int]] = OrderedDict()

    def wait(self, address: str) -> int:
        """Seconds to wait before the next try from there is heard; 0 when it is heard at once."""
        with self._lock:
            start, count = self._failures.get(address, (0.0, 0))
        left = start + WINDOW - time.monotonic()
        return int(left) + 1 if count >= MAX_PER_ADDRESS and left > 0 else 0

    def failed(self, address: str) -> None:
        """Remember a failure."""
        with self._lock:
            start, count = self._failures.pop(address, (0.0, 0))
            if time.monotonic() - start > WINDOW:
                start, count = time.monotonic(), 0
            self._failures[address] = (start, count + 1)
            while len(self._failures) > MAX_REMEMBERED:
                self._failures.popitem(last=False)
