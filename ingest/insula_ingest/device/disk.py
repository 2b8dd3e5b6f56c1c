"""What a device has not safely sent, on disk: it survives a killed program and a power cut.

One SQLite file, which belongs to one program at a time. A message is on the disk before `publish` returns; it
goes when the broker has had it for certain, so after a crash some are sent twice: the platform stores a
reading once, however often it comes.
"""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from insula_ingest.device.errors import DeviceError

log = logging.getLogger(__name__)

KEPT_COMMANDS = 1000
"""Commands whose results are remembered, so that one that comes twice is done once."""

_SCHEMA = """
CREATE TABLE IF NOT EXISTS messages (
    row INTEGER PRIMARY KEY AUTOINCREMENT, leaf TEXT NOT NULL, payload BLOB NOT NULL
);
CREATE TABLE IF NOT EXISTS commands (
    row INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE, result BLOB NOT NULL
);
"""


class Outgoing(NamedTuple):
    """A message of the device's that is to reach the platform."""

    leaf: str
    """The topic below the device's own."""
    payload: bytes
    row: int | None = None
    """Where it is on disk; None when it is not."""


class DiskBuffer:
    """Messages in their order. Not to be used by two threads at once."""

    def __init__(self, path: Path) -> None:
        """Open or make the file; `DeviceError` when another program has it, or it cannot be written.

        A file that is no database any more is put aside, and a new one begun.
        """
        self._path = path
        self._gone: list[int] = []
        try:
            self._connection = self._open()
        except sqlite3.OperationalError as error:
            msg = f"the buffer {path} cannot be used: {error} (does another program use it?)"
            raise DeviceError(msg) from error
        except sqlite3.DatabaseError:
            aside = path.with_name(f"{path.name}.broken")
            log.error("the buffer %s is damaged: it is put aside as %s", path, aside.name)  # noqa: TRY400
            path.replace(aside)
            self._connection = self._open()

    def _open(self) -> sqlite3.Connection:
        connection = sqlite3.connect(self._path, timeout=1.0, isolation_level=None, check_same_thread=False)
        try:
            connection.execute("PRAGMA locking_mode = EXCLUSIVE")
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = FULL")
            connection.executescript(_SCHEMA)
            connection.execute("BEGIN IMMEDIATE")  # takes the lock, for good
            connection.execute("COMMIT")
        except sqlite3.Error:
            connection.close()
            raise
        return connection

    def load(self) -> list[Outgoing]:
        """Everything that an earlier program left, in its order."""
        rows = self._connection.execute("SELECT leaf, payload, row FROM messages ORDER BY row")
        return [Outgoing(*row) for row in rows]

    def add(self, leaf: str, payload: bytes, *, command: str | None = None) -> Outgoing:
        """Keep a message; with it, that it is the result of this command. Both are there, or neither.

        `DeviceError` when the disk does not take it.
        """
        try:
            return self._add(leaf, payload, command)
        except sqlite3.Error as error:
            msg = f"the buffer {self._path} takes nothing more: {error}"
            raise DeviceError(msg) from error

    def _add(self, leaf: str, payload: bytes, command: str | None) -> Outgoing:
        self._connection.execute("BEGIN IMMEDIATE")
        try:
            self._remove_gone()
            cursor = self._connection.execute(
                "INSERT INTO messages (leaf, payload) VALUES (?, ?)", (leaf, payload)
            )
            if command is not None:
                self._connection.execute(
                    "INSERT OR REPLACE INTO commands (id, result) VALUES (?, ?)", (command, payload)
                )
                self._connection.execute(
                    "DELETE FROM commands WHERE row <= (SELECT max(row) FROM commands) - ?", (KEPT_COMMANDS,)
                )
        except sqlite3.Error:
            self._connection.execute("ROLLBACK")
            raise
        self._connection.execute("COMMIT")
        return Outgoing(leaf, payload, cursor.lastrowid)

    def results(self) -> dict[str, bytes]:
        """Results of the last commands, by id, oldest first."""
        return dict(self._connection.execute("SELECT id, result FROM commands ORDER BY row").fetchall())

    def forget(self, messages: Iterable[Outgoing]) -> None:
        """These need not be kept. They go with the next one that is added, to spare the disk."""
        self._gone += [message.row for message in messages if message.row is not None]

    def close(self) -> None:
        """Take out what is to be forgotten, and close the file."""
        self._connection.execute("BEGIN IMMEDIATE")
        self._remove_gone()
        self._connection.execute("COMMIT")
        self._connection.close()

    def _remove_gone(self) -> None:
        self._connection.executemany("DELETE FROM messages WHERE row = ?", [(row,) for row in self._gone])
        self._gone.clear()
