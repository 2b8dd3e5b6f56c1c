"""Write readings and dead letters: many tenants in one transaction, each part under its own role.

Times are whole microseconds since the epoch: what PostgreSQL keeps, and cheap to compare.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from time import time_ns

import psycopg

from insula_tenants.context import TenantContext
from insula_tenants.database import SET_ROLE
from insula_tenants.telemetry.marks import late_ranges
from insula_tenants.telemetry.sql import statement

MAX_KEPT_PAYLOAD = 64 * 1024
"""Bytes of a dead letter's payload that are kept."""

_DAY = 86_400_000_000
_EPOCH = date(1970, 1, 1)


@dataclass(frozen=True, slots=True)
class NewDeadLetter:
    """A message, or a part of one, that could not be stored."""

    received_at: datetime
    topic: str
    device: str
    reason: str
    detail: str
    payload: bytes

    def parameters(self) -> dict[str, object]:
        """Its row, the payload cut to what is kept, text without the NUL that PostgreSQL refuses."""
        digest = hashlib.sha256(b"\0".join((self.topic.encode(), self.reason.encode(), self.payload)))
        return {
            "received_at": self.received_at,
            "topic": _storable(self.topic),
            "device": _storable(self.device),
            "reason": self.reason,
            "detail": _storable(self.detail),
            "payload": self.payload[:MAX_KEPT_PAYLOAD],
            "payload_bytes": len(self.payload),
            "digest": digest.digest(),
        }


@dataclass(slots=True)
class TenantBatch:
    """What one tenant has in a batch."""

    context: TenantContext
    readings: dict[tuple[int, int], float] = field(default_factory=dict)
    """`(point id, microseconds since the epoch)` → value; the last one given counts."""
    dead_letters: list[NewDeadLetter] = field(default_factory=list)


class TelemetryWriter:
    """Writes batches on one connection; remembers for which days the storage has room already."""

    def __init__(self, connection: psycopg.Connection) -> None:
        """`connection` must be in autocommit mode: each `write` is a transaction of its own."""
        self._connection = connection
        self._days: dict[str, set[int]] = {}
        # What is late is told by the database's clock, which the rollups go by: ours may be wrong.
        self._ahead = _clock_of(connection) - time_ns() // 1000

    def write(self, batches: Iterable[TenantBatch]) -> None:
        """Store all batches in one transaction; on an error nothing of them is stored."""
        batches = list(batches)
        for batch in batches:
            self._make_room(batch)
        try:
            with self._connection.transaction(), self._connection.pipeline():
                for batch in batches:
                    self._connection.execute(SET_ROLE, (batch.context.schema,))
                    if batch.readings:
                        self._write_readings(batch.readings)
                    for letter in batch.dead_letters:
                        self._connection.execute(statement("insert_dead_letter"), letter.parameters())
        except psycopg.Error:
            # A partition may have been dropped behind our back: ask for it anew next time.
            for batch in batches:
                self._days.pop(batch.context.schema, None)
            raise

    def _make_room(self, batch: TenantBatch) -> None:
        """Let the storage prepare for days not seen before: a transaction a month, so that locks stay few."""
        known = self._days.setdefault(batch.context.schema, set())
        days = {time // _DAY for _, time in batch.readings} - known
        months = {(_EPOCH + timedelta(days=day)).strftime("%Y-%m"): day for day in days}
        for month in sorted(months):
            with self._connection.transaction():
                self._connection.execute(SET_ROLE, (batch.context.schema,))
                self._connection.execute(statement("ensure_day"), {"day": months[month]})
        known |= days

    def _write_readings(self, readings: dict[tuple[int, int], float]) -> None:
        rows = sorted(readings.items())
        points = [point for (point, _), _ in rows]
        times = [time for (_, time), _ in rows]
        values = [value for _, value in rows]
        self._connection.execute(
            statement("insert_readings"), {"times": times, "points": points, "values": values}
        )
        self._mark(times)
        # Sorted by point and time, the last row of a point is its newest.
        newest = {point: position for position, point in enumerate(points)}
        last = list(newest.values())
        self._connection.execute(
            statement("upsert_latest"),
            {
                "times": [times[position] for position in last],
                "points": list(newest),
                "values": [values[position] for position in last],
            },
        )

    def _mark(self, times: Collection[int]) -> None:
        """Note where late readings make rollups wrong, in the transaction that stores them."""
        if ranges := late_ranges(times, now=time_ns() // 1000 + self._ahead):
            starting, ending = zip(*ranges, strict=True)
            self._connection.execute(
                statement("insert_marks"), {"starting": list(starting), "ending": list(ending)}
            )


def _clock_of(connection: psycopg.Connection) -> int:
    """The database's clock, in microseconds since the epoch."""
    row = connection.execute("SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint").fetchone()
    assert row is not None  # noqa: S101 - a SELECT without FROM has one row
    return int(row[0])


def _storable(value: str) -> str:
    """`value` as PostgreSQL's text takes it: no NUL, no lone surrogates."""
    return value.replace("\0", "\\0").encode("utf-8", "backslashreplace").decode()
