"""Readings as PostgreSQL takes many at once: columns for arrays, and the rows of a binary COPY."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple, Self

import numpy as np

_DAY = 86_400_000_000
_POSTGRES_EPOCH = 946_684_800_000_000
"""2000-01-01, where PostgreSQL's timestamps begin, in microseconds since 1970."""

_ROW = np.dtype(
    [
        ("fields", ">i2"),
        ("time_bytes", ">i4"),
        ("time", ">i8"),
        ("point_bytes", ">i4"),
        ("point", ">i4"),
        ("value_bytes", ">i4"),
        ("value", ">f8"),
    ]
)
"""A row of `COPY … (time, point_id, value) … (FORMAT binary)`: each field after its length in bytes."""
_SIGNATURE = b"PGCOPY\n\xff\r\n\0" + bytes(8)
_TRAILER = b"\xff\xff"


class Columns(NamedTuple):
    """Readings by column, sorted by point and time."""

    points: list[int]
    times: list[int]
    """Microseconds since the epoch."""
    values: list[float]

    @classmethod
    def of(cls, readings: Mapping[tuple[int, int], float]) -> Self:
        """The columns of `(point id, time)` → value."""
        keys = sorted(readings)
        return cls([point for point, _ in keys], [time for _, time in keys], [readings[key] for key in keys])

    def days(self) -> set[int]:
        """The days (UTC) that the times are on, counted from the epoch."""
        first, last = min(self.times) // _DAY, max(self.times) // _DAY
        return {first} if first == last else {time // _DAY for time in self.times}

    def newest(self) -> Self:
        """The last reading of each point."""
        last = list({point: position for position, point in enumerate(self.points)}.values())
        return type(self)(
            [self.points[position] for position in last],
            [self.times[position] for position in last],
            [self.values[position] for position in last],
        )

    def parameters(self) -> dict[str, object]:
        """As the statements name them."""
        return self._asdict()

    def copy_rows(self) -> bytes:
        """What a binary COPY of time, point_id and value reads. `OverflowError` for a point out of range."""
        rows = np.empty(len(self.points), _ROW)
        rows["fields"] = 3
        rows["time_bytes"] = rows["value_bytes"] = 8
        rows["point_bytes"] = 4
        rows["time"] = np.array(self.times, np.int64) - _POSTGRES_EPOCH
        rows["point"] = np.array(self.points, np.int32)
        rows["value"] = self.values
        return b"".join((_SIGNATURE, rows.tobytes(), _TRAILER))
