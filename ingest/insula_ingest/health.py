"""What each device's messages tell of its health, written down now and then.

Ingest's threads note it on the route that they have in hand anyway: two assignments a message. The broker's
log tells what was refused. A thread of its own walks the routes every `EVERY` seconds and writes down what is
new, many devices in a statement. What was not written yet is lost with the process.
"""

from __future__ import annotations

import logging
import threading
from collections import defaultdict
from collections.abc import Callable, Iterable
from datetime import UTC, datetime

from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

from insula_ingest.batch import NO_LAG, Route
from insula_ingest.outages import DatabaseAway, Outages
from insula_tenants.broker.refusals import Refusals, parse_line
from insula_tenants.context import TenantContext
from insula_tenants.database import MAIN, Databases
from insula_tenants.diagnostics.health import Heard, note_heard
from insula_tenants.diagnostics.refusals import write_refusals
from insula_tenants.errors import InsulaError

log = logging.getLogger(__name__)

EVERY = 30.0
"""Seconds between two times."""
AT_ONCE = 5000
"""Devices in one statement."""


class HealthNotes:
    """Writes down what routes tell. `flush` may be called from any thread, one at a time."""

    def __init__(self, databases: Databases, outages: Outages, routes: Callable[[], Iterable[Route]]) -> None:
        """`routes` gives those there are, safely while another thread makes more."""
        self._databases = databases
        self._outages = outages
        self._routes = routes
        self._refusals = Refusals()
        self._lock = threading.Lock()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="health", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def stop(self) -> None:
        """Write down what is left, and end."""
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join()

    def hear(self, payload: bytes) -> None:
        """Take in a line of the broker's log."""
        if (refused := parse_line(payload.decode("utf-8", "replace"))) is not None:
            self._refusals.note(refused)

    def _run(self) -> None:
        while True:
            ending = self._stopping.wait(EVERY)
            try:
                self.flush()
            except Exception:  # this thread must not end: nobody would notice
                log.exception("the health of devices is not written down")
            if ending:
                return

    def flush(self) -> None:
        """Write down what is new. A tenant whose database is away keeps it for the next time."""
        with self._lock:
            self._write_refusals()
            by_tenant: dict[TenantContext, list[Route]] = defaultdict(list)
            for route in self._routes():
                context = route.tenant.context
                if context is not None and (route.heard_at > route.written_at or route.throttled):
                    by_tenant[context].append(route)
            for context, routes in by_tenant.items():
                for start in range(0, len(routes), AT_ONCE):
                    self._write(context, routes[start : start + AT_ONCE])

    def _write(self, context: TenantContext, routes: list[Route]) -> None:
        seen = [(route, route.heard_at, route.throttled) for route in routes]
        heard = _together(routes)
        if self._in_tenant(context, lambda session: note_heard(session, heard)):
            for route, heard_at, throttled in seen:
                route.written_at = heard_at
                route.throttled -= throttled

    def _write_refusals(self) -> None:
        try:
            with self._outages.watching(MAIN):
                write_refusals(self._databases, self._refusals.take())
        except (DatabaseAway, SQLAlchemyError, InsulaError) as error:
            log.warning("what the broker refused is not written down: %s", error)

    def _in_tenant(self, context: TenantContext, write: Callable[[Session], None]) -> bool:
        """Whether it was written down."""
        try:
            with self._outages.watching(context.database), self._databases.tenant(context) as session:
                write(session)
        except DatabaseAway:
            return False
        except (SQLAlchemyError, InsulaError) as error:
            log.warning("the health of tenant %s's devices is not written down: %s", context.slug, error)
            return False
        return True


def _together(routes: Iterable[Route]) -> list[Heard]:
    """One entry a device, which may have several routes."""
    found: dict[str, Heard] = {}
    for route in routes:
        lag, route.lag = route.lag, NO_LAG
        new = Heard(
            route.device,
            _time(route.heard_at),
            None if lag == NO_LAG else lag / 1e6,
            route.throttled,
            _time(route.throttled_at) if route.throttled else None,
        )
        before = found.get(route.device)
        found[route.device] = new if before is None else _both(before, new)
    return list(found.values())


def _both(one: Heard, other: Heard) -> Heard:
    offsets = [each.clock_offset for each in (one, other) if each.clock_offset is not None]
    return Heard(
        one.device,
        _later(one.last_message_at, other.last_message_at),
        min(offsets, default=None),
        one.throttled + other.throttled,
        _later(one.throttled_at, other.throttled_at),
    )


def _later(one: datetime | None, other: datetime | None) -> datetime | None:
    return max((each for each in (one, other) if each is not None), default=None)


def _time(microseconds: int) -> datetime | None:
    return datetime.fromtimestamp(microseconds / 1e6, UTC) if microseconds else None
