"""Read latest values and readings, page by page, on an asynchronous connection in a tenant's transaction."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal, LiteralString

from psycopg import AsyncConnection, sql
from psycopg.rows import DictRow

from insula_tenants.telemetry.sql import statement

Aggregate = Literal["mean", "min", "max", "sum", "count", "first", "last"]

_AGGREGATES: dict[Aggregate, LiteralString] = {
    "mean": "avg(value)",
    "min": "min(value)",
    "max": "max(value)",
    "sum": "sum(value)",
    "count": "count(*)::double precision",
    "first": "(array_agg(value ORDER BY time))[1]",
    "last": "(array_agg(value ORDER BY time DESC))[1]",
}

Position = tuple[int, datetime]
"""Where a page ended: the point and the time of its last row."""

START: Position = (0, datetime(1970, 1, 1, tzinfo=UTC))


@dataclass(frozen=True, slots=True)
class ReadingsQuery:
    """Readings of some points in the half-open interval `[starting, ending)`, by point and time."""

    points: Sequence[int]
    starting: datetime
    ending: datetime
    after: Position = START
    limit: int = 1000


@dataclass(frozen=True, slots=True)
class Buckets:
    """How readings are brought together: the width as PostgreSQL reads it, aligned to local time."""

    width: str
    aggregate: Aggregate
    time_zone: str


async def read_latest(
    connection: AsyncConnection[DictRow],
    *,
    device: str | None = None,
    space: int | None = None,
    points: Sequence[int] | None = None,
    after: int = 0,
    limit: int = 1000,
) -> list[DictRow]:
    """The newest reading of each point: rows of point, device, name, time, value, by point."""
    parameters = {"device": device, "space": space, "points": points, "after": after, "limit": limit}
    cursor = await connection.execute(statement("latest"), parameters)
    return await cursor.fetchall()


async def read_places(connection: AsyncConnection[DictRow], points: Sequence[int]) -> list[DictRow]:
    """Where these points belong: rows of point, device, name, space."""
    cursor = await connection.execute(statement("places"), {"points": points})
    return await cursor.fetchall()


async def read_readings(
    connection: AsyncConnection[DictRow], query: ReadingsQuery, buckets: Buckets | None = None
) -> list[DictRow]:
    """Rows of point, time, value: as stored, or one a bucket, with the bucket's start as its time."""
    parameters: dict[str, Any] = {
        "points": list(query.points),
        "from": query.starting,
        "to": query.ending,
        "after_point": query.after[0],
        "after_time": query.after[1],
        "limit": query.limit,
    }
    if buckets is None:
        cursor = await connection.execute(statement("readings"), parameters)
    else:
        parameters |= {"bucket": buckets.width, "time_zone": buckets.time_zone}
        aggregate = sql.SQL(_AGGREGATES[buckets.aggregate])
        composed = sql.SQL(statement("readings_bucketed")).format(aggregate=aggregate)
        cursor = await connection.execute(composed, parameters)
    return await cursor.fetchall()
