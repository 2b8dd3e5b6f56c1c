"""Write readings and dead letters: many tenants in one transaction, each part under its own role.

Times are whole microseconds since the epoch: what PostgreSQL keeps, and cheap to compare.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from itertools import groupby
from time import monotonic, time_ns

import psycopg

from insula_tenants.context import TenantContext
from insula_tenants.database import SET_ROLE
from insula_tenants.telemetry.births import NewBirth, write_birth
from insula_tenants.telemetry.columns import Columns
from insula_tenants.telemetry.marks import late_ranges
from insula_tenants.telemetry.sql import statement
from insula_tenants.telemetry.trimming import DEFAULT_BOUNDS, DeadLetterBounds, Trimming

MAX_KEPT_PAYLOAD = 64 * 1024
"""Bytes of a dead letter's payload that are kept."""

MAX_DETAIL = 4000
"""Characters of a dead letter's detail that are kept."""

COPIED_FROM = 200
"""Readings of a tenant in a batch from which on they are copied: docs/decisions/0016 has the figures."""

REPEATS_SECONDS = 60.0
"""Seconds for which a tenant's readings are inserted after a COPY that met some that were there already."""

LONGEST_PAUSE = 60
"""Seconds after which the server ends a transaction in which nothing is asked of it: of a process that was
stopped, say, and goes on later. What it was about to commit as recent would not be so any more."""

_SETTINGS = """
SELECT set_config('idle_in_transaction_session_timeout', %s, false),
       set_config('timescaledb.max_tuples_decompressed_per_dml_transaction', '0', false)
"""
"""A reading that comes again into a compressed chunk has up to a thousand unpacked beside it. TimescaleDB
refuses more than a hundred such in a transaction unless told otherwise; a batch is bounded, and a million are
unpacked in some seconds. Where there is no TimescaleDB the setting says nothing."""

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
    payload_bytes: int | None = None
    """Size of the whole payload, where `payload` is its beginning."""

    def parameters(self) -> dict[str, object]:
        """Its row, the payload cut to what is kept, text without the NUL that PostgreSQL refuses."""
        digest = hashlib.sha256(b"\0".join((self.topic.encode(), self.reason.encode(), self.payload)))
        return {
            "received_at": self.received_at,
            "topic": _storable(self.topic),
            "device": _storable(self.device),
            "reason": self.reason,
            "detail": _storable(self.detail[:MAX_DETAIL]),
            "payload": self.payload[:MAX_KEPT_PAYLOAD],
            "payload_bytes": len(self.payload) if self.payload_bytes is None else self.payload_bytes,
            "digest": digest.digest(),
        }


@dataclass(slots=True)
class TenantBatch:
    """What one tenant has in a batch."""

    context: TenantContext
    readings: dict[tuple[int, int], float] = field(default_factory=dict)
    """`(point id, microseconds since the epoch)` → value; the last one given counts."""
    dead_letters: list[NewDeadLetter] = field(default_factory=list)
    births: list[NewBirth] = field(default_factory=list)
    """In the order in which they came."""


class TelemetryWriter:
    """Writes batches on one connection; remembers for which days the storage has room already."""

    def __init__(self, connection: psycopg.Connection, *, bounds: DeadLetterBounds = DEFAULT_BOUNDS) -> None:
        """`connection` must be in autocommit mode: each `write` is a transaction of its own."""
        self._connection = connection
        self._bounds = bounds
        self._trimming = Trimming()
        self._days: dict[str, set[int]] = {}
        self._repeats_until: dict[str, float] = {}
        """Schemas whose last COPY met readings that were there already, and until when none is tried."""
        connection.execute(_SETTINGS, (f"{LONGEST_PAUSE}s",))
        # What is late is told by the database's clock, which the rollups go by: ours may be wrong.
        self._ahead = _clock_of(connection) - time_ns() // 1000

    def write(self, batches: Iterable[TenantBatch]) -> None:
        """Store all batches in one transaction; on an error nothing of them is stored.

        Many readings of a tenant are copied, few are inserted, all tenants' in one pipeline.
        """
        # In one order, however many there are of each: two writers that meet wait for each other in turn.
        work = [
            (batch, Columns.of(batch.readings))
            for batch in sorted(batches, key=lambda each: each.context.schema)
        ]
        for batch, columns in work:
            self._make_room(batch.context.schema, columns)
        try:
            with self._connection.transaction():
                for is_copied, group in groupby(work, self._is_copied):
                    if is_copied:
                        for batch, columns in group:
                            self._copy(batch, columns)
                    else:
                        with self._connection.pipeline():
                            for batch, columns in group:
                                self._insert(batch, columns)
        except psycopg.Error:
            # A partition may have been dropped behind our back: ask for it anew next time.
            for batch, _ in work:
                self._days.pop(batch.context.schema, None)
                self._trimming.forget(batch.context.schema)
            raise

    def _make_room(self, schema: str, columns: Columns) -> None:
        """Let the storage prepare for days not seen before: a transaction a month, so that locks stay few."""
        if not columns.times:
            return
        known = self._days.setdefault(schema, set())
        days = columns.days() - known
        months = {(_EPOCH + timedelta(days=day)).strftime("%Y-%m"): day for day in days}
        for month in sorted(months):
            with self._connection.transaction():
                self._connection.execute(SET_ROLE, (schema,))
                self._connection.execute(statement("ensure_day"), {"day": months[month]})
        known |= days

    def _is_copied(self, work: tuple[TenantBatch, Columns]) -> bool:
        batch, columns = work
        return (
            len(columns.times) >= COPIED_FROM
            and self._repeats_until.get(batch.context.schema, 0.0) < monotonic()
        )

    def _insert(self, batch: TenantBatch, columns: Columns) -> None:
        self._connection.execute(SET_ROLE, (batch.context.schema,))
        if columns.times:
            self._connection.execute(statement("store_readings"), columns.parameters())
        self._write_others(batch, columns)

    def _copy(self, batch: TenantBatch, columns: Columns) -> None:
        """COPY knows no ON CONFLICT: where a reading is there already, all are inserted instead."""
        self._connection.execute(SET_ROLE, (batch.context.schema,))
        try:
            rows = columns.copy_rows()
            with (
                self._connection.transaction(),
                self._connection.cursor() as cursor,
                cursor.copy(statement("copy_readings")) as copy,
            ):
                copy.write(rows)
        except psycopg.OperationalError:
            raise
        except (psycopg.Error, OverflowError):
            self._repeats_until[batch.context.schema] = monotonic() + REPEATS_SECONDS
            self._insert(batch, columns)
        else:
            self._connection.execute(statement("upsert_latest"), columns.newest().parameters())
            self._write_others(batch, columns)

    def _write_others(self, batch: TenantBatch, columns: Columns) -> None:
        if columns.times:
            self._mark(columns.times)
        for birth in batch.births:
            write_birth(self._connection, birth)
        if batch.dead_letters:
            self._write_dead_letters(batch)

    def _write_dead_letters(self, batch: TenantBatch) -> None:
        for letter in batch.dead_letters:
            self._connection.execute(statement("insert_dead_letter"), letter.parameters())
        kept = sum(min(len(letter.payload), MAX_KEPT_PAYLOAD) for letter in batch.dead_letters)
        if self._trimming.due(batch.context.schema, rows=len(batch.dead_letters), size=kept):
            self._connection.execute(
                statement("trim_dead_letters"), {"rows": self._bounds.rows, "bytes": self._bounds.bytes}
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
