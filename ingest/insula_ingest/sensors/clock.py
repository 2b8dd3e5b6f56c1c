"""When a sensor program measures, and when it ends."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from threading import Event


@contextmanager
def until_stopped() -> Iterator[Event]:
    """An event that Ctrl-C and SIGTERM set, so that the program can say goodbye to its broker."""
    stopped = Event()
    before = {
        number: signal.signal(number, lambda *_: stopped.set()) for number in (signal.SIGINT, signal.SIGTERM)
    }
    try:
        yield stopped
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def ticks(seconds: float, stopped: Event, *, once: bool = False) -> Iterator[datetime]:
    """The present time (aware UTC), now and every so many seconds, until `stopped`; only now when `once`."""
    due = time.monotonic()
    while not stopped.is_set():
        yield datetime.now(UTC)
        if once:
            return
        due = max(due + seconds, time.monotonic())  # a laptop that slept does not make up for it in a burst
        stopped.wait(due - time.monotonic())
