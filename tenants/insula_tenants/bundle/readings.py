"""Readings between PostgreSQL's binary COPY and Arrow, without a Python object a row.

A row of three NOT NULL columns has a fixed width in COPY's binary format (PostgreSQL's documentation, COPY,
"Binary Format"), so NumPy reads and writes 100 000 of them at once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np
import psycopg
import pyarrow as pa
from psycopg import sql

BATCH_ROWS = 100_000
"""Rows in memory at a time: 3.4 MB as PostgreSQL sends them."""

SCHEMA = pa.schema(
    [
        pa.field("point_id", pa.int32(), nullable=False),
        pa.field("time", pa.timestamp("us", tz="UTC"), nullable=False),
        pa.field("value", pa.float64(), nullable=False),
    ]
)

_ROW = np.dtype(
    [
        ("fields", ">i2"),
        ("point_length", ">i4"),
        ("point", ">i4"),
        ("time_length", ">i4"),
        ("time", ">i8"),
        ("value_length", ">i4"),
        ("value", ">f8"),
    ]
)
_HEADER = b"PGCOPY\n\xff\r\n\0" + bytes(8)
_TRAILER = b"\xff\xff"
_EPOCH = 946_684_800_000_000
"""Microseconds from 1970, Arrow's epoch, to 2000, PostgreSQL's."""

CHECKSUM = sql.SQL(
    "sum(hashfloat8extended(value, timestamp_hash_extended("
    "time AT TIME ZONE 'UTC', hashint4extended(point_id, 0))))"
)
"""An aggregate over readings that every row changes and no order does; the same on every engine."""

_MONTHS = sql.SQL(
    "SELECT date_trunc('month', time AT TIME ZONE 'UTC') AS month, count(*) AS rows, {checksum} AS checksum"
    " FROM readings GROUP BY 1 ORDER BY 1"
).format(checksum=CHECKSUM)

_TOTALS = sql.SQL("SELECT count(*), coalesce({checksum}, 0)::text FROM readings").format(checksum=CHECKSUM)

_COPY_OUT = (
    "COPY (SELECT point_id, time, value FROM readings WHERE time >= {month}::timestamp AT TIME ZONE 'UTC'"
    " AND time < ({month}::timestamp + interval '1 month') AT TIME ZONE 'UTC'"
    " ORDER BY point_id, time) TO STDOUT (FORMAT binary)"
)
_COPY_IN = "COPY readings (point_id, time, value) FROM STDIN (FORMAT binary)"

_LATEST = """
INSERT INTO latest (point_id, time, value)
SELECT points.id, newest.time, newest.value
FROM points CROSS JOIN LATERAL (
    SELECT time, value FROM readings WHERE point_id = points.id ORDER BY time DESC LIMIT 1
) AS newest
"""


def months_of(connection: psycopg.Connection) -> list[tuple[Any, int, int]]:
    """The months that have readings: first moment (naive, UTC), rows, checksum."""
    return connection.execute(_MONTHS).fetchall()


def totals_of(connection: psycopg.Connection) -> tuple[int, str]:
    """Rows and checksum of all readings."""
    rows, checksum = connection.execute(_TOTALS).fetchone() or (0, "0")
    return rows, checksum


def copy_out(connection: psycopg.Connection, month: Any) -> Iterator[pa.RecordBatch]:
    """The readings of a month, by point and time, in batches of at most `BATCH_ROWS`."""
    pending = bytearray()
    width, full = _ROW.itemsize, BATCH_ROWS * _ROW.itemsize
    with connection.cursor().copy(sql.SQL(_COPY_OUT).format(month=sql.Literal(month))) as copy:
        at_start = True
        for data in copy:
            pending += data
            if at_start and len(pending) >= len(_HEADER):
                del pending[: len(_HEADER)]
                at_start = False
            if len(pending) >= full + width:  # more than a batch: its end is not the trailer
                yield _decoded(bytes(pending[:full]))
                del pending[:full]
    rows = len(pending) - len(_TRAILER)
    for start in range(0, rows, full):
        yield _decoded(bytes(pending[start : min(start + full, rows)]))


def copy_in(
    connection: psycopg.Connection, batches: Iterable[pa.RecordBatch], stored: Callable[[int], object]
) -> int:
    """Write the batches into `readings`; returns the rows. `stored` is told the rows of each batch."""
    rows = 0
    with connection.cursor().copy(_COPY_IN) as copy:
        copy.write(_HEADER)
        for batch in batches:
            copy.write(_encoded(batch))
            rows += batch.num_rows
            stored(batch.num_rows)
        copy.write(_TRAILER)
    return rows


def rebuild_latest(connection: psycopg.Connection) -> None:
    """Fill the empty table `latest` from the readings."""
    connection.execute(_LATEST)


def microseconds(batch: pa.RecordBatch) -> np.ndarray[Any, np.dtype[np.int64]]:
    """The times of a batch, as microseconds since 1970."""
    return batch.column("time").cast(pa.int64()).to_numpy()  # type: ignore[no-any-return] # pyarrow is untyped


def _decoded(raw: bytes) -> pa.RecordBatch:
    rows = np.frombuffer(raw, _ROW)
    columns = [
        pa.array(rows["point"].astype(np.int32)),
        pa.array(rows["time"].astype(np.int64) + _EPOCH).view(pa.timestamp("us", tz="UTC")),
        pa.array(rows["value"].astype(np.float64)),
    ]
    return pa.RecordBatch.from_arrays(columns, schema=SCHEMA)


def _encoded(batch: pa.RecordBatch) -> bytes:
    rows = np.empty(batch.num_rows, _ROW)
    rows["fields"] = 3
    rows["point_length"], rows["point"] = 4, batch.column("point_id").to_numpy()
    rows["time_length"], rows["time"] = 8, microseconds(batch) - _EPOCH
    rows["value_length"], rows["value"] = 8, batch.column("value").to_numpy()
    return rows.tobytes()
