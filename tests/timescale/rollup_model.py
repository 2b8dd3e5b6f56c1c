"""What rollups must hold, computed in Python from the readings alone."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

from sqlalchemy import Connection, text

from insula_tenants.storage.rollups import ROLLUPS, Rollup

Readings = Mapping[tuple[int, int], float]
"""`(point id, microseconds since the epoch)` → value."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def at(microseconds: int) -> datetime:
    return _EPOCH + timedelta(microseconds=microseconds)


def expected(readings: Readings, rollup: Rollup) -> dict[tuple[int, datetime], dict[str, Any]]:
    """The rows of a rollup, by point and bucket."""
    width = round(rollup.width.total_seconds() * 1e6)
    buckets: defaultdict[tuple[int, int], list[tuple[int, float]]] = defaultdict(list)
    for (point, time), value in sorted(readings.items()):
        buckets[point, time // width * width].append((time, value))
    return {(point, at(start)): _row(rows) for (point, start), rows in buckets.items()}


def _row(rows: list[tuple[int, float]]) -> dict[str, Any]:
    values = [value for _, value in rows]
    falls = [(before, after) for before, after in pairwise(values) if before > 0 and after < before / 2]
    return {
        "count": len(rows),
        "sum": sum(values),
        "min": min(values),
        "max": max(values),
        "first": values[0],
        "first_time": at(rows[0][0]),
        "last": values[-1],
        "last_time": at(rows[-1][0]),
        "area": sum(value * (after - time) / 1e6 for (time, value), (after, _) in pairwise(rows)),
        "fall_count": len(falls),
        "falls": sorted(falls) if len(falls) <= 4 else [],
    }


def stored(connection: Connection, rollup: Rollup) -> dict[tuple[int, datetime], dict[str, Any]]:
    """The rows that the rollup in the search path has."""
    found = {}
    for row in connection.execute(text(f"SELECT * FROM {rollup.name}")).mappings():
        columns = dict(row)
        numbers = columns["falls"]
        columns["falls"] = sorted(zip(numbers[::2], numbers[1::2], strict=True))
        found[columns.pop("point_id"), columns.pop("time")] = columns
    return found


def differences(connection: Connection, readings: Readings) -> list[str]:
    """Where any rollup is not what the readings say; sums may differ in the last digits."""
    found = []
    for rollup in ROLLUPS:
        mine, theirs = expected(readings, rollup), stored(connection, rollup)
        found += [
            f"{rollup.name} {key}: {theirs.get(key)} instead of {mine.get(key)}"
            for key in mine.keys() | theirs.keys()
            if not _alike(mine.get(key), theirs.get(key))
        ]
    return found


def _alike(one: dict[str, Any] | None, other: dict[str, Any] | None) -> bool:
    if one is None or other is None or one.keys() != other.keys():
        return False
    return all(
        abs(value - other[name]) <= 1e-9 * max(1.0, abs(value))
        if name in {"sum", "area"}
        else value == other[name]
        for name, value in one.items()
    )
