"""`GET …/latest` and `GET …/readings`."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import AwareDatetime

from insula_platform.access import Access, Requires
from insula_platform.paging import Cursor, Page, decode_cursor, encode_cursor
from insula_platform.problems import PROBLEM_RESPONSES
from insula_platform.readings.schemas import AggregateName, LatestValue, Reading, interval_of
from insula_platform.state import CurrentPlatform
from insula_tenants.errors import InvalidInput
from insula_tenants.names import time_zones
from insula_tenants.telemetry.read import START, Buckets, Position, ReadingsQuery, read_latest, read_readings

router = APIRouter(prefix="/api/v1/tenants/{tenant}", tags=["Readings"], responses=PROBLEM_RESPONSES)

Limit = Annotated[int, Query(ge=1, le=10_000, description="How many at most.")]
PointId = Annotated[int, Query(ge=1, lt=2**31)]


@router.get("/latest")
async def get_latest(
    access: Annotated[Access, Requires("readings:read")],
    platform: CurrentPlatform,
    device: Annotated[str | None, Query(description="Only this device's.", max_length=40)] = None,
    space: Annotated[int | None, Query(description="Only those in this space.", ge=1, lt=2**31)] = None,
    limit: Limit = 1000,
    cursor: Cursor = None,
) -> Page[LatestValue]:
    """The newest reading of each point, by point. Points that never had one are left out."""
    after: int = decode_cursor(cursor, int)[0] if cursor else 0
    async with platform.async_databases.tenant(access.context) as connection:
        rows = await read_latest(connection, device=device, space=space, after=after, limit=limit + 1)
    more = encode_cursor(rows[limit - 1]["point"]) if len(rows) > limit else None
    return Page(items=[LatestValue.model_validate(row) for row in rows[:limit]], next_cursor=more)


@router.get("/readings")
async def get_readings(
    access: Annotated[Access, Requires("readings:read")],
    platform: CurrentPlatform,
    point: Annotated[list[PointId], Query(description="Ids of points; repeat it for more.", max_length=100)],
    starting: Annotated[AwareDatetime, Query(alias="from", description="RFC 3339; included.")],
    ending: Annotated[AwareDatetime, Query(alias="to", description="RFC 3339; not included.")],
    bucket: Annotated[
        str | None,
        Query(
            description="Width of a bucket, such as `15m`, `1h`, `1d`; without it: as stored.", max_length=8
        ),
    ] = None,
    aggregate: Annotated[
        AggregateName, Query(description="How the readings of a bucket become one value.")
    ] = "mean",
    time_zone: Annotated[
        str, Query(description="IANA zone whose midnights buckets are aligned to.", max_length=64)
    ] = "UTC",
    limit: Limit = 1000,
    cursor: Cursor = None,
) -> Page[Reading]:
    """Readings of one or more points in `[from, to)`, by point and time.

    With `bucket`, each bucket that has a reading gives one value at the bucket's start. A point that is not
    this tenant's gives nothing, like one that does not exist.
    """
    if ending <= starting:
        raise InvalidInput("to", "`to` is not after `from`: the interval holds nothing")
    query = ReadingsQuery(
        points=sorted(set(point)),
        starting=starting,
        ending=ending,
        after=_position(cursor) if cursor else START,
        limit=limit + 1,
    )
    buckets = None
    if bucket is not None:
        if time_zone not in time_zones():
            raise InvalidInput(
                "time_zone", f"{time_zone!r} is not an IANA zone: use one like Europe/Brussels"
            )
        buckets = Buckets(
            interval_of(bucket, span=ending - starting, points=len(query.points)), aggregate, time_zone
        )
    async with platform.async_databases.tenant(access.context) as connection:
        rows = await read_readings(connection, query, buckets)
    last = rows[limit - 1] if len(rows) > limit else None
    more = encode_cursor(last["point"], last["time"].isoformat()) if last else None
    return Page(items=[Reading.model_validate(row) for row in rows[:limit]], next_cursor=more)


def _position(cursor: str) -> Position:
    point, time = decode_cursor(cursor, int, str)
    try:
        return point, datetime.fromisoformat(time)
    except ValueError:
        raise InvalidInput(
            "cursor", "this is no cursor of this list: use next_cursor of the page before"
        ) from None
