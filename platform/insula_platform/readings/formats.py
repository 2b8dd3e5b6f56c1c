"""Readings in the formats that programs ask for by `Accept`: JSON by pages, the others as one stream.

A stream is written page by page as the client takes it: memory stays bounded, and no connection to the
database is held while a slow client reads.
"""

from __future__ import annotations

import io
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from datetime import datetime
from functools import lru_cache
from typing import Any, Protocol

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq

from insula_tenants.errors import InsulaError
from insula_tenants.telemetry.read import Row

JSON = "application/json"
CSV = "text/csv"
ARROW = "application/vnd.apache.arrow.stream"
PARQUET = "application/vnd.apache.parquet"

PAGE_ROWS = 10_000
"""Rows read from the database at once."""

ROW_GROUP_ROWS = 100_000
"""Rows of a Parquet file that are compressed together, and so the most that are held."""

SCHEMA = pa.schema(
    [
        pa.field("point", pa.int32(), nullable=False),
        pa.field("time", pa.timestamp("us", tz="UTC"), nullable=False),
        pa.field("value", pa.float64(), nullable=False),
    ]
)


class NotAcceptable(InsulaError):
    """None of the accepted formats can be given."""

    status = 406
    type = "not-acceptable"


def chosen_format(accept: str | None) -> str:
    """The format that an `Accept` header (RFC 9110, 12.5.1) likes best, JSON where it does not care.

    Raises `NotAcceptable` when it wants none of ours.
    """
    ranges = list(_ranges(accept or "*/*"))
    weights = {known: _weight(known, ranges) for known in (JSON, *ENCODERS)}
    best = max(weights, key=lambda known: weights[known])
    if weights[best] <= 0:
        raise NotAcceptable(f"use one of {', '.join(weights)} in `Accept`")
    return best


def _ranges(accept: str) -> Iterator[tuple[str, float]]:
    for part in accept.lower().split(","):
        media_range, *parameters = (piece.strip() for piece in part.split(";"))
        quality = next((value[2:] for value in parameters if value.startswith("q=")), "1")
        try:
            yield media_range, float(quality)
        except ValueError:
            yield media_range, 0.0


def _weight(media_type: str, ranges: Sequence[tuple[str, float]]) -> float:
    """The quality of the most specific range that takes in a media type; 0 when none does."""
    for like in (media_type, f"{media_type.partition('/')[0]}/*", "*/*"):
        for media_range, quality in ranges:
            if media_range == like:
                return quality
    return 0.0


class Encoder(Protocol):
    """Writes rows as a file of one format, piece by piece."""

    def write(self, rows: Sequence[Row]) -> bytes:
        """What of the file these rows make known."""

    def close(self) -> bytes:
        """What ends the file."""


class _Csv:
    """Comma-separated values (RFC 4180) with a head, times as in RFC 3339."""

    def __init__(self, _about: Mapping[str, str]) -> None:
        self._head = ",".join(SCHEMA.names) + "\r\n"

    def write(self, rows: Sequence[Row]) -> bytes:
        lines = [f"{point},{rfc3339(time)},{value!r}\r\n" for point, time, value in rows]
        return (self._take_head() + "".join(lines)).encode()

    def close(self) -> bytes:
        return self._take_head().encode()

    def _take_head(self) -> str:
        head, self._head = self._head, ""
        return head


class _Pipe(io.RawIOBase):
    """A file that pyarrow writes to, and from which what was written is taken at once."""

    def __init__(self) -> None:
        self._waiting = bytearray()
        self._taken = 0

    def writable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._taken + len(self._waiting)

    def write(self, data: Any) -> int:
        self._waiting += data
        return len(data)

    def take(self) -> bytes:
        taken = bytes(self._waiting)
        self._taken += len(taken)
        self._waiting.clear()
        return taken


class _Arrow:
    """Arrow's streaming format: a record batch for each call."""

    def __init__(self, about: Mapping[str, str]) -> None:
        self._pipe = _Pipe()
        self._writer = pa.ipc.new_stream(self._pipe, SCHEMA.with_metadata(about))

    def write(self, rows: Sequence[Row]) -> bytes:
        self._writer.write_batch(_batch(rows))
        return self._pipe.take()

    def close(self) -> bytes:
        self._writer.close()
        return self._pipe.take()


class _Parquet:
    """A Parquet file; rows wait until they fill a row group."""

    def __init__(self, about: Mapping[str, str]) -> None:
        self._pipe = _Pipe()
        self._writer = pq.ParquetWriter(
            self._pipe, SCHEMA.with_metadata(about), compression="zstd", use_dictionary=["point"]
        )
        self._waiting: list[pa.RecordBatch] = []

    def write(self, rows: Sequence[Row]) -> bytes:
        self._waiting.append(_batch(rows))
        if sum(batch.num_rows for batch in self._waiting) >= ROW_GROUP_ROWS:
            self._write_group()
        return self._pipe.take()

    def close(self) -> bytes:
        self._write_group()
        self._writer.close()
        return self._pipe.take()

    def _write_group(self) -> None:
        self._writer.write_table(pa.Table.from_batches(self._waiting, SCHEMA))
        self._waiting = []


ENCODERS: Mapping[str, Callable[[Mapping[str, str]], Encoder]] = {CSV: _Csv, ARROW: _Arrow, PARQUET: _Parquet}
"""What writes each format but JSON, given what is to be known of the whole."""


@lru_cache(maxsize=10_000)  # points have their buckets in common
def rfc3339(time: datetime) -> str:
    """A time in UTC, as JSON and CSV show it."""
    return time.isoformat().replace("+00:00", "Z")


class _Item(msgspec.Struct):
    """As `schemas.Reading`."""

    point: int
    time: datetime
    value: float


def json_page(rows: Sequence[Row], **more: Any) -> bytes:
    """A page of JSON, times as `rfc3339` has them. A Pydantic model a row would take many times as long."""
    return msgspec.json.encode({"items": [_Item(*row) for row in rows]} | more)


def _batch(rows: Sequence[Row]) -> pa.RecordBatch:
    points, times, values = zip(*rows, strict=True) if rows else ((), (), ())
    arrays = [
        pa.array(column, field.type) for column, field in zip((points, times, values), SCHEMA, strict=True)
    ]
    return pa.record_batch(arrays, schema=SCHEMA)


async def encoded(encoder: Encoder, pages: AsyncIterator[Sequence[Row]]) -> AsyncIterator[bytes]:
    """The file that an encoder makes of pages of rows."""
    async for rows in pages:
        if piece := encoder.write(rows):
            yield piece
    yield encoder.close()
