"""What a tenant's storage needs now and then: retention, compression, chunks that fit, its size told."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Connection, text
from sqlalchemy.exc import DBAPIError

from insula_tenants.administration import Administration
from insula_tenants.context import TenantContext
from insula_tenants.migrate import first_line
from insula_tenants.rollups import refresh
from insula_tenants.rollups.access import alone_in
from insula_tenants.rollups.refresh import State
from insula_tenants.rollups.slices import DAY, Pace, floor
from insula_tenants.storage import StorageEngine, detect_engine
from insula_tenants.storage.engine import Piece
from insula_tenants.storage.rollups import RAW

log = logging.getLogger(__name__)

COMPRESS_AFTER = timedelta(days=7)
"""A chunk that ended so long ago is compressed, unless there are marks in it."""

BUDGET = timedelta(seconds=30)
"""For how long one call goes on to the next chunk."""

_FULL_CHUNK = 10_000_000
"""Readings that a chunk should hold at most: 1 GB before it is compressed, some seconds' work to compress."""
_SPANS = (timedelta(days=28), timedelta(days=7), DAY)


@dataclass(frozen=True, slots=True)
class Figures:
    """What a tenant's readings take on disk."""

    readings: int
    """As the server estimates them."""
    raw_bytes: int
    rollup_bytes: int
    raw_from: datetime | None

    @property
    def bytes_per_reading(self) -> float | None:
        """Of the raw readings; None when there are none."""
        return self.raw_bytes / self.readings if self.readings else None


def tend_tenant(
    admins: Administration,
    context: TenantContext,
    retention_days: int | None,
    *,
    budget: timedelta = BUDGET,
) -> Figures | None:
    """Drop raw readings that the tenant's plan no longer keeps, compress old ones; what is left.

    `retention_days` None keeps them for ever. None while another worker is at the tenant. Raises database
    errors: also when the tenant's schema is gone.
    """
    with alone_in(admins, context) as connection:
        if connection is None:
            return None
        storage = detect_engine(connection)
        pace = Pace(budget)
        state = refresh.read_state(connection)
        raw_from = _retain(connection, storage, state, retention_days)
        if storage.compresses:
            for piece in _to_compress(storage.pieces(connection), state):
                if pace.over:
                    break
                with _others_go_on(piece):
                    storage.compress(connection, piece)
        pieces = storage.pieces(connection)
        if (span := fitting_span(pieces, state.now)) is not None:
            storage.resize(connection, span)
        raw = [piece for piece in pieces if piece.relation == RAW]
        return Figures(
            sum(piece.rows for piece in raw),
            sum(piece.bytes for piece in raw),
            storage.rollup_bytes(connection),
            raw_from,
        )


def _retain(
    connection: Connection, storage: StorageEngine, state: State, retention_days: int | None
) -> datetime | None:
    """Drop the pieces that are over, whole; from when on raw readings are there.

    Nothing goes that is still to be rolled up, and it is written down before it goes: a refresh must not take
    what is dropped for what never was.
    """
    raw_from = state.raw_from
    pieces = [piece for piece in storage.pieces(connection) if piece.relation == RAW]
    if retention_days is not None:
        limit = min(
            state.now - timedelta(days=retention_days),
            state.complete_until - DAY,
            *(mark.starting for mark in state.marks[:1]),
        )
        over = [floor(piece.ending, DAY) for piece in pieces if piece.ending <= limit]
        if over and (raw_from is None or max(over) > raw_from):
            raw_from = max(over)
            connection.execute(text("UPDATE rollup_state SET raw_from = :raw_from"), {"raw_from": raw_from})
    for piece in pieces:
        if raw_from is not None and piece.ending <= raw_from:
            with _others_go_on(piece):
                storage.drop(connection, piece)
    return raw_from


@contextmanager
def _others_go_on(piece: Piece) -> Iterator[None]:
    """A piece that somebody reads for long, or that takes too long, is left until the next look."""
    try:
        yield
    except DBAPIError as error:
        if error.connection_invalidated:
            raise
        log.warning("%s is left as it is for now: %s", piece.table, first_line(error))


def _to_compress(pieces: Iterable[Piece], state: State) -> list[Piece]:
    """The pieces that nothing is to be written to for now, oldest first."""
    limit = min(state.now - COMPRESS_AFTER, state.complete_until)
    return sorted(
        (
            piece
            for piece in pieces
            if (piece.partial or not piece.compressed)
            and piece.ending <= limit
            and not any(mark.starting < piece.ending and piece.starting < mark.ending for mark in state.marks)
        ),
        key=lambda piece: piece.starting,
    )


def fitting_span(pieces: Sequence[Piece], now: datetime) -> timedelta | None:
    """How long the tenant's next chunks should be, by what came in the last weeks; None when nothing did."""
    recent = [
        piece
        for piece in pieces
        if piece.relation == RAW and piece.starting < now and piece.ending > now - _SPANS[0]
    ]
    rows = sum(piece.rows for piece in recent)
    if not rows:
        return None
    days = sum((min(piece.ending, now) - piece.starting) / DAY for piece in recent)
    for span in _SPANS:
        if rows / days * (span / DAY) <= _FULL_CHUNK:
            return span
    return _SPANS[-1]
