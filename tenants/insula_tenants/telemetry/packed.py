"""Read the buckets of many points at once, as arrays.

A page of rows costs some three microseconds a value to take apart, most of a question about a building's
year. Here the database packs each point's buckets into one string, which becomes an array as it is. What is
asked is planned as it is for pages (`plan.py`), so the answer is the same.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from psycopg import AsyncConnection, sql
from psycopg.rows import DictRow, tuple_row

from insula_tenants.errors import InvalidInput
from insula_tenants.telemetry.aggregates import SIMPLE
from insula_tenants.telemetry.buckets import DAY, Microseconds, bucket_starts, instant, microseconds
from insula_tenants.telemetry.plan import WIDTHS, Coverage, Relation, Stretch, plan
from insula_tenants.telemetry.read import Buckets
from insula_tenants.telemetry.sql import statement
from insula_tenants.telemetry.stretches import bounds_of, by_relation, items_of, read_coverage, within_bounds

_ROW = np.dtype([("time", ">i8"), ("value", ">f8")])
_EPOCH = microseconds(datetime.fromisoformat("2000-01-01T00:00:00Z"))
"""From which PostgreSQL counts."""


@dataclass(frozen=True, slots=True)
class Packed:
    """The buckets of some points that have a value, and what they rest on."""

    points: Mapping[int, tuple[NDArray[np.int64], NDArray[np.float64]]]
    """Beginnings (microseconds since the epoch, in order) and values; only points that have any."""
    complete_until: datetime
    served_from: tuple[Relation, ...]


@dataclass(frozen=True, slots=True)
class _Planned:
    edges: list[Microseconds]
    stretches: list[Stretch]
    width: Microseconds | None
    """How far the edges are apart; None where it differs."""

    @property
    def as_they_are(self) -> Relation | None:
        """The relation of which each row is a bucket."""
        if self.width is None or self.edges[0] % self.width:
            return None
        return next((relation for relation, width in WIDTHS.items() if width == self.width), None)

    @property
    def step(self) -> Microseconds | None:
        """The width of every bucket, where none is wider: the last one, if it is a day, may have 25 hours."""
        return self.width if self.width is not None and self.width < DAY else None


async def read_packed(
    connection: AsyncConnection[DictRow],
    points: Sequence[int],
    starting: datetime,
    ending: datetime,
    buckets: Buckets,
    *,
    most: int,
) -> Packed:
    """One value a bucket in `[starting, ending)`, of an aggregate of `SIMPLE`.

    The connection is one of `AsyncDatabases.snapshot`. Raises as `read_readings`, and `InvalidInput` when
    there could be more than `most` values.
    """
    begins, until = within_bounds(starting), within_bounds(ending)
    coverage, asked_at = await read_coverage(connection, begins, until)
    planned = await asyncio.to_thread(_plan, buckets, begins, until, coverage)
    if len(planned.edges) * len(points) > most:
        raise InvalidInput(
            "from", f"this takes more than {most:,} values: ask for fewer points or a shorter time"
        )
    rows: list[tuple[int, bytes]] = []
    relations = by_relation(planned.stretches)
    if relations and points:
        parameters: dict[str, object] = {"points": sorted(set(points))}
        if planned.step is not None:
            parameters["step"] = timedelta(microseconds=planned.step)
            parameters["origin"] = instant(planned.edges[0])
        else:
            parameters["cuts"] = [instant(edge) for edge in planned.edges]
        cursor = connection.cursor(row_factory=tuple_row, binary=True)
        query = _statement(buckets, relations, planned)
        await cursor.execute(query, parameters | bounds_of(relations))
        rows = await cursor.fetchall()
    return Packed(
        await asyncio.to_thread(lambda: {point: _unpacked(packed) for point, packed in rows}),
        complete_until=min(instant(until), asked_at),
        served_from=tuple(one for one in (*WIDTHS, "raw") if one in relations),
    )


def _plan(buckets: Buckets, starting: Microseconds, ending: Microseconds, coverage: Coverage) -> _Planned:
    if starting >= ending:
        return _Planned([], [], None)
    edges = bucket_starts(buckets.width, buckets.time_zone, starting, ending)
    width = buckets.width.seconds * 1_000_000
    even = width and all(later - earlier == width for earlier, later in pairwise(edges))
    return _Planned(edges, plan(starting, ending, edges, coverage), width if even else None)


def _statement(
    buckets: Buckets, relations: Mapping[Relation, Sequence[Stretch]], planned: _Planned
) -> sql.Composed:
    aggregate, as_they_are = SIMPLE[buckets.aggregate], planned.as_they_are
    parts: list[sql.Composed] = []
    if as_they_are is not None and as_they_are in relations:
        parts.append(
            sql.SQL(statement("packed_rows")).format(
                value=sql.SQL(aggregate.of_item), items=items_of(as_they_are, len(relations[as_they_are]))
            )
        )
    items = [items_of(one, len(some)) for one, some in relations.items() if one != as_they_are]
    if items:
        parts.append(
            sql.SQL(statement("packed_items" if planned.step is None else "packed_steps")).format(
                aggregate=sql.SQL(aggregate.of_items), items=sql.SQL(" UNION ALL ").join(items)
            )
        )
    return sql.SQL(statement("packed")).format(buckets=sql.SQL(" UNION ALL ").join(parts))


def _unpacked(packed: bytes) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Beginnings and values, in order: the database need not have kept to one."""
    rows = np.frombuffer(packed, _ROW)
    times, values = rows["time"].astype(np.int64) + _EPOCH, rows["value"].astype(np.float64)
    if np.any(times[1:] < times[:-1]):
        order = np.argsort(times, kind="stable")
        return times[order], values[order]
    return times, values
