"""`GET …/latest` and `GET …/readings`."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from fastapi.responses import Response, StreamingResponse
from pydantic import AwareDatetime

from insula_platform.access import Access, Requires, visible_spaces_async
from insula_platform.access.lasting import Watch
from insula_platform.paging import Cursor, Page, decode_cursor, encode_cursor
from insula_platform.problems import PROBLEM_RESPONSES, problem_responses
from insula_platform.readings.formats import (
    ARROW,
    CSV,
    ENCODERS,
    JSON,
    PAGE_ROWS,
    PARQUET,
    chosen_format,
    encoded,
    json_page,
    rfc3339,
)
from insula_platform.readings.schemas import LatestValue, ReadingsPage, width_of
from insula_platform.state import CurrentPlatform, Platform
from insula_tenants.errors import InvalidInput
from insula_tenants.names import time_zones
from insula_tenants.telemetry.aggregates import FLOWS, Aggregate
from insula_tenants.telemetry.read import (
    START,
    Answer,
    Buckets,
    Position,
    ReadingsQuery,
    Row,
    read_latest,
    read_places,
    read_readings,
)

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
        within = await visible_spaces_async(access, connection)
        rows = await read_latest(
            connection, device=device, space=space, within=within, after=after, limit=limit + 1
        )
    more = encode_cursor(rows[limit - 1]["point"]) if len(rows) > limit else None
    return Page(items=[LatestValue.model_validate(row) for row in rows[:limit]], next_cursor=more)


_FORMATS: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "The readings; in pages as JSON, whole in the other formats.",
        "headers": {
            "Insula-Complete-Until": {
                "description": "As `complete_until` of the JSON.",
                "schema": {"type": "string", "format": "date-time"},
            },
            "Insula-Served-From": {
                "description": "As `served_from` of the JSON, with commas between.",
                "schema": {"type": "string"},
                "example": "1h, 15m, raw",
            },
        },
        "content": {
            CSV: {
                "schema": {"type": "string"},
                "example": "point,time,value\r\n7,2026-11-23T07:15:00Z,21.5\r\n",
            },
            ARROW: {"schema": {"type": "string", "format": "binary"}},
            PARQUET: {"schema": {"type": "string", "format": "binary"}},
        },
    }
}
_FORMATS |= problem_responses(406)


@router.get("/readings", response_model=ReadingsPage, responses=_FORMATS)
async def get_readings(
    access: Annotated[Access, Requires("readings:read")],
    platform: CurrentPlatform,
    request: Request,
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
        Aggregate,
        Query(
            description="How the readings of a bucket become one value. `time_weighted_mean` weighs each "
            "value by the time until the next; `consumption` is what a counter counted."
        ),
    ] = "mean",
    time_zone: Annotated[
        str, Query(description="IANA zone whose midnights buckets are aligned to.", max_length=64)
    ] = "UTC",
    limit: Annotated[
        int | None,
        Query(ge=1, le=10_000, description="How many at most on a page of JSON; 1000 if left out."),
    ] = None,
    cursor: Cursor = None,
) -> Response:
    """Readings of one or more points in `[from, to)`, by point and time.

    With `bucket`, each bucket that has a reading gives one value at the bucket's start; for
    `time_weighted_mean` and `consumption`, each bucket between readings too. A point that is not this
    tenant's, or that your grant does not cover, gives nothing, like one that does not exist.

    By `Accept`, the answer is JSON in pages, or everything at once as CSV, an Arrow stream or Parquet.
    """
    media_type = chosen_format(request.headers.get("accept"))
    if ending <= starting:
        raise InvalidInput("to", "`to` is not after `from`: the interval holds nothing")
    points = sorted(set(point))
    buckets = _buckets(bucket, aggregate, time_zone, span=ending - starting, points=len(points))
    query = ReadingsQuery(await _visible(platform, access, points), starting, ending)
    reader = _Reader(platform, access, buckets)
    if media_type == JSON:
        after = _position(cursor) if cursor else START
        return await reader.page(replace(query, after=after, limit=limit or 1000))
    if limit is not None or cursor is not None:
        raise InvalidInput(
            "limit" if cursor is None else "cursor",
            "only JSON comes in pages: leave out `limit` and `cursor`, or accept application/json",
        )
    return await reader.file(replace(query, limit=PAGE_ROWS), media_type)


async def _visible(platform: Platform, access: Access, points: list[int]) -> list[int]:
    """Those of the points that the grant covers."""
    if not access.places:
        return points
    async with platform.async_databases.tenant(access.context) as connection:
        spaces = await visible_spaces_async(access, connection)
        places = await read_places(connection, points)
    return sorted(place["point"] for place in places if spaces is None or place["space"] in spaces)


def _buckets(
    bucket: str | None, aggregate: Aggregate, time_zone: str, *, span: timedelta, points: int
) -> Buckets | None:
    """The buckets that are asked for, None for readings as stored; `InvalidInput` when there are no such."""
    if bucket is None:
        if aggregate in FLOWS:
            raise InvalidInput("bucket", f"{aggregate} is of a bucket: give its width, such as bucket=1d")
        return None
    if time_zone not in time_zones():
        raise InvalidInput("time_zone", f"{time_zone!r} is not an IANA zone: use one like Europe/Brussels")
    return Buckets(width_of(bucket, span=span, points=points), aggregate, time_zone)


@dataclass(frozen=True, slots=True)
class _Reader:
    """Answers one question, page by page, each in a transaction of its own."""

    platform: Platform
    access: Access
    buckets: Buckets | None

    async def read(self, query: ReadingsQuery) -> tuple[Answer, Position | None]:
        """At most `query.limit` rows, and where they end when there are more."""
        async with self.platform.async_databases.snapshot(self.access.context) as connection:
            answer = await read_readings(connection, replace(query, limit=query.limit + 1), self.buckets)
        if len(answer.rows) <= query.limit:
            return answer, None
        answer = replace(answer, rows=answer.rows[:-1])
        return answer, answer.rows[-1][:2]

    async def page(self, query: ReadingsQuery) -> Response:
        """A page of JSON, as `ReadingsPage` describes it."""
        answer, end = await self.read(query)
        page = json_page(
            answer.rows,
            next_cursor=encode_cursor(end[0], end[1].isoformat()) if end else None,
            complete_until=rfc3339(answer.complete_until),
            served_from=answer.served_from,
        )
        return Response(page, media_type=JSON, headers={"Vary": "Accept"})

    async def file(self, query: ReadingsQuery, media_type: str) -> Response:
        """All of it in one format. What can be wrong with the question is found before the answer begins."""
        first, end = await self.read(query)
        about = {
            "Insula-Complete-Until": rfc3339(first.complete_until),
            "Insula-Served-From": ", ".join(first.served_from),
        }

        async def pages() -> AsyncIterator[Sequence[Row]]:
            yield first.rows
            after, watch = end, Watch(self.platform.async_databases, self.access)
            while after is not None:
                await watch.look()
                answer, after = await self.read(replace(query, after=after))
                yield answer.rows

        return StreamingResponse(
            encoded(ENCODERS[media_type](about), pages()),
            media_type=media_type,
            headers=about | {"Vary": "Accept"},
        )


def _position(cursor: str) -> Position:
    point, time = decode_cursor(cursor, int, str)
    try:
        ended = datetime.fromisoformat(time)
    except ValueError:
        ended = None
    if ended is None or ended.tzinfo is None:
        raise InvalidInput("cursor", "this is no cursor of this list: use next_cursor of the page before")
    return point, ended
