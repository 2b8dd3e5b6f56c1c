"""Which databases are away at the moment. One that is away holds back its own tenants and nobody else.

Everything that asks a database stands in a `watching` block. The first failure is told in one line and
closes the database: further tenants that live in it are turned away at once, instead of each waiting for a
connection that does not come. `reopen` lets every closed database be tried again, once.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
from sqlalchemy.exc import DBAPIError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as PoolTimeout

log = logging.getLogger(__name__)


class DatabaseAway(Exception):
    """The database cannot be reached, or asks to try again; nothing was stored in it."""


class Outages:
    """The databases that are away, by name. Used by one thread."""

    def __init__(self) -> None:
        """Nothing is known to be away."""
        self._since: dict[str, float] = {}
        self._closed: set[str] = set()

    def reopen(self) -> None:
        """Let each database that is away be tried once more."""
        self._closed.clear()

    @contextmanager
    def watching(self, database: str) -> Iterator[None]:
        """A block that asks `database`. Raises `DatabaseAway` when it is away, even before the block runs."""
        if database in self._closed:
            raise DatabaseAway(database)
        try:
            yield
        except (psycopg.Error, SQLAlchemyError) as error:
            reason = _outage(error)
            if reason is None:
                raise
            self._closed.add(database)
            if database not in self._since:
                self._since[database] = time.monotonic()
                log.warning("the database is away: %s, %s; the broker keeps what comes", database, reason)
            raise DatabaseAway(database) from error
        if database in self._since:
            lasted = time.monotonic() - self._since.pop(database)
            log.info("the database is back: %s, after %.1f s", database, lasted)


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
