"""A brake on guessing passwords: failures counted by account and by address, in this process's memory."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict

WINDOW = 300.0
"""Seconds in which failures count."""

MAX_PER_ACCOUNT = 10
MAX_PER_ADDRESS = 50
MAX_REMEMBERED = 20_000
"""Names remembered at most: the oldest are forgotten first, so an attacker cannot fill the memory."""


class Throttle:
    """Counts failures in fixed windows, thread-safe."""

    def __init__(self) -> None:
        """Nothing has failed yet."""
        self._lock = threading.Lock()
        self._failures: OrderedDict[str, tuple[float, int]] = OrderedDict()

    def wait(self, email: str, address: str) -> int:
        """Seconds to wait before the next try is heard; 0 when it is heard at once."""
        with self._lock:
            return max(self._wait(f"a {email}", MAX_PER_ACCOUNT), self._wait(f"i {address}", MAX_PER_ADDRESS))

    def failed(self, email: str, address: str) -> None:
        """Remember a failure."""
        with self._lock:
            for name in (f"a {email}", f"i {address}"):
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
