"""Brakes: on guessing passwords, by account and by address, and on checking too many at once.

Both count in this process's memory.
"""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager

WINDOW = 300.0
"""Seconds in which failures count."""

MAX_PER_ACCOUNT = 10
MAX_PER_ADDRESS = 50
MAX_REMEMBERED = 20_000
"""Names remembered at most: the oldest are forgotten first, so an attacker cannot fill the memory."""

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

    def wait(self, email: str | None, address: str) -> int:
        """Seconds to wait before the next try is heard; 0 when it is heard at once.

        `email` is None for a guess at something that belongs to no account.
        """
        with self._lock:
            return max(self._wait(name, allowed) for name, allowed in _counted(email, address))

    def failed(self, email: str | None, address: str) -> None:
        """Remember a failure."""
        with self._lock:
            for name, _ in _counted(email, address):
                start, count = self._failures.pop(name, (0.0, 0))
                if time.monotonic() - start > WINDOW:
                    start, count = time.monotonic(), 0
                self._failures[name] = (start, count + 1)
            while len(self._failures) > MAX_REMEMBERED:
                self._failures.popitem(last=False)

    def succeeded(self, email: str) -> None:
        """Forget the account's failures: its owner is here."""
        with self._lock:
            self._failures.pop(f"a {email}", None)

    def _wait(self, name: str, allowed: int) -> int:
        start, count = self._failures.get(name, (0.0, 0))
        left = start + WINDOW - time.monotonic()
        return int(left) + 1 if count >= allowed and left > 0 else 0


def _counted(email: str | None, address: str) -> list[tuple[str, int]]:
    """Under which names a try is counted, and how many failures each may have."""
    counted = [(f"i {address}", MAX_PER_ADDRESS)]
    return counted if email is None else [(f"a {email}", MAX_PER_ACCOUNT), *counted]
