"""Readings in the formats that programs ask for by `Accept`: JSON by pages, the others as one stream.

A stream is written page by page as the client takes it: memory stays bounded, and no connection to the database
is held while a slow client reads.
"""

from __future__ import annotations

import io
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import closing
from typing import Any, Protocol

import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq

from insula_tenants.errors import InsulaError
from insula_tenants.telemetry.read import Answer, Row

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
    """Turns batches of rows into a file in one format."""

    def write(self, batch: pa.RecordBatch) -> None:
        """Add rows."""

    def close(self) -> None:
        """Add what ends the file."""


class _RowGroups:
    """A Parquet file whose row groups are filled by many batches."""

    def __init__(self, sink: io.BytesIO, schema: pa.Schema) -> None:
        self._writer = pq.ParquetWriter(sink, schema, compression="zstd", use_dictionary=["point"])
        self._waiting: list[pa.RecordBatch] = []

    def write(self, batch: pa.RecordBatch) -> None:
        self._waiting.append(batch)
        if sum(one.num_rows for one in self._waiting) >= ROW_GROUP_ROWS:
            self._flush()

    def close(self) -> None:
        if self._waiting:
            self._flush()
        self._writer.close()

    def _flush(self) -> None:
        self._writer.write_table(pa.Table.from_batches(self._waiting))
        self._waiting = []


def _csv(sink: io.BytesIO, schema: pa.Schema) -> Encoder:
    writer: Encoder = pa_csv.CSVWriter(
        sink, _CSV_SCHEMA, write_options=pa_csv.WriteOptions(quoting_style="none")
    )
    return writer
