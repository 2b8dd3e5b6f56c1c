"""A database that tenants live in: one connection to write on, made anew when it breaks or grows old."""

from __future__ import annotations

import logging
import os
import socket
import threading
import time
from contextlib import suppress

import psycopg

from insula_tenants.database import LINK, MAX_LIFETIME
from insula_tenants.telemetry.write import TelemetryWriter

log = logging.getLogger(__name__)

LONGEST_STATEMENT = 60
"""Seconds after which the server ends a statement."""

LONGEST_WRITE = 120.0
"""Seconds after which a write is given up for lost, whatever the server does. Rollups count on a bound."""

_CLOCK_TOLERANCE = 60.0


class Home:
    """Used by one thread, but for `cut_when_stuck`."""

    def __init__(self, name: str, url: str) -> None:
        """Nothing is connected before `open`."""
        self.name = name
        self._url = url
        self._connection: psycopg.Connection | None = None
        self._writer: TelemetryWriter | None = None
        self._opened = 0.0
        self._busy_since: float | None = None
        self._lock = threading.Lock()

    def open(self) -> TelemetryWriter:
        """The writer, connected; psycopg's errors pass through. Its work is timed from here to `done`."""
        self._busy_since = time.monotonic()
        if self._writer is not None and self._busy_since - self._opened < MAX_LIFETIME:
            return self._writer
        self.close()
        connection = psycopg.connect(
            self._url, autocommit=True, prepare_threshold=None, application_name="insula-ingest", **LINK
        )
        with self._lock:
            self._connection = connection
        connection.execute(
            "SELECT set_config('statement_timeout', %s, false), set_config('lock_timeout', %s, false)",
            (f"{LONGEST_STATEMENT}s", f"{LONGEST_STATEMENT // 2}s"),
        )
        _compare_clocks(connection, self.name)
        self._opened = time.monotonic()
        self._writer = TelemetryWriter(connection)
        return self._writer

    def done(self) -> None:
        """The writer has answered."""
        self._busy_since = None

    def close(self) -> None:
        """Close the connection; the next `open` makes another."""
        with self._lock:
            connection, self._connection, self._writer = self._connection, None, None
        if connection is not None:
            connection.close()

    def cut_when_stuck(self) -> None:
        """From another thread: cut the connection of a write that never ends, so that its thread goes on."""
        since = self._busy_since
        if since is None or time.monotonic() - since < LONGEST_WRITE:
            return
        self._busy_since = None
        with self._lock:
            if self._connection is None or self._connection.closed:
                return
            log.error("the database %s has not answered for %d s; trying again", self.name, LONGEST_WRITE)
            with suppress(OSError), socket.socket(fileno=os.dup(self._connection.fileno())) as link:
                link.shutdown(socket.SHUT_RDWR)


def _compare_clocks(connection: psycopg.Connection, name: str) -> None:
    """Rollups trust that what the writer calls recent is recent by the database's clock."""
    row = connection.execute("SELECT extract(epoch FROM clock_timestamp())::float8").fetchone()
    ahead = time.time() - row[0] if row else 0.0
    if abs(ahead) > _CLOCK_TOLERANCE:
        log.error("this machine's clock is %.0f s ahead of the database's (%s): set them right", ahead, name)
