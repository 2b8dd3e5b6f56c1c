"""Which databases are away at the moment: each outage is told in one line, and its end in another.

Everything that asks a database stands in a `watching` block.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

import psycopg
from sqlalchemy.exc import DBAPIError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as PoolTimeout

log = logging.getLogger(__name__)

RETRY_FROM, RETRY_TO = 0.2, 5.0
"""Seconds between attempts: each wait is twice the last."""

T = TypeVar("T")


class DatabaseAway(Exception):
    """The database cannot be reached, or asks to try again; nothing was stored in it."""


class Stopped(Exception):
    """The service ends while it waits for a database; what it waited with stays with the broker."""


class Outages:
    """The databases that are away, by name. Shared by all threads."""

    def __init__(self) -> None:
        """Nothing is known to be away."""
        self._since: dict[str, float] = {}
        self._lock = threading.Lock()

    @contextmanager
    def watching(self, database: str) -> Iterator[None]:
        """A block that asks `database`. Raises `DatabaseAway` when it is away."""
        try:
            yield
        except (psycopg.Error, SQLAlchemyError) as error:
            reason = _outage(error)
            if reason is None:
                raise
            with self._lock:
                is_new = database not in self._since
                self._since.setdefault(database, time.monotonic())
            if is_new:
                log.warning("the database is away: %s, %s; the broker keeps what comes", database, reason)
            raise DatabaseAway(database) from error
        if database in self._since:
            with self._lock:
                since = self._since.pop(database, None)
            if since is not None:
                log.info("the database is back: %s, after %.1f s", database, time.monotonic() - since)


def patiently(work: Callable[[], T], stopping: threading.Event) -> T:
    """What `work` returns, tried again after ever longer waits for as long as the database is away.

    Raises `Stopped` when `stopping` is set meanwhile.
    """
    delay = RETRY_FROM
    while True:
        try:
            return work()
        except DatabaseAway:
            if stopping.wait(delay):
                raise Stopped from None
            delay = min(delay * 2, RETRY_TO)


def _outage(error: Exception) -> str | None:
    """The first line of an error that tells of an outage; None for one about what was asked."""
    told: BaseException | None = error
    if isinstance(error, DBAPIError):
        told = error.orig
        if not error.connection_invalidated and not isinstance(told, psycopg.OperationalError):
            return None
    elif not isinstance(error, (psycopg.OperationalError, psycopg.InterfaceError, PoolTimeout)):
        return None
    return str(told).splitlines()[0]
