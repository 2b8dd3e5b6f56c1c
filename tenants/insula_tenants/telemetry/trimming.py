"""When a tenant's dead letters are trimmed, so that garbage cannot fill the disk.

A trim looks at all of a tenant's dead letters, so it is not done for each: a process trims with the first one
that it writes of a tenant, and again after so many rows or bytes. By that much the bounds may be exceeded.
"""

from __future__ import annotations

from dataclasses import dataclass

TRIM_ROWS = 256
TRIM_BYTES = 8 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class DeadLetterBounds:
    """How much is kept of one tenant; the oldest go first."""

    rows: int = 10_000
    bytes: int = 64 * 1024 * 1024


DEFAULT_BOUNDS = DeadLetterBounds()


class Trimming:
    """What this process has written of each tenant since it last trimmed."""

    def __init__(self) -> None:
        """Nothing is known: the first dead letter of each tenant is followed by a trim."""
        self._rows: dict[str, int] = {}
        self._bytes: dict[str, int] = {}

    def due(self, schema: str, *, rows: int, size: int) -> bool:
        """Note what is written of a tenant, in rows and bytes; whether it is to be trimmed with that."""
        rows += self._rows.get(schema, TRIM_ROWS)
        size += self._bytes.get(schema, 0)
        due = rows >= TRIM_ROWS or size >= TRIM_BYTES
        self._rows[schema], self._bytes[schema] = (0, 0) if due else (rows, size)
        return due

    def forget(self, schema: str) -> None:
        """The transaction did not go through: trim with the next one."""
        self._rows.pop(schema, None)
