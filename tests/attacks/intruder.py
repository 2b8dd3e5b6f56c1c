"""SQL as an injection would run it: inside a tenant's transaction, with nothing filtered."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg

from insula_tenants.database import SET_ROLE

DENIED = psycopg.errors.InsufficientPrivilege


class Intruder:
    """One service connection; every attempt is a transaction that leaves nothing behind."""

    def __init__(self, connection: psycopg.Connection, role: str) -> None:
        self.connection = connection
        self.role = role

    @contextmanager
    def transaction(self) -> Iterator[psycopg.Connection]:
        """The tenant's transaction, rolled back at the end."""
        with self.connection.transaction(force_rollback=True):
            self.connection.execute(SET_ROLE, (self.role,))
            yield self.connection

    def run(self, *statements: str) -> list[tuple[Any, ...]]:
        """The rows of the last statement."""
        with self.transaction() as connection:
            for statement in statements:
                cursor = connection.execute(statement)  # type: ignore[call-overload]
            return cursor.fetchall() if cursor.description else []

    def error(self, *statements: str) -> str | None:
        """Name of the class of PostgreSQL's error; None when the statements went through."""
        try:
            self.run(*statements)
        except psycopg.Error as error:
            return type(error).__name__
        return None
