"""`GET …/analytics/data-quality`, and of one point."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path, Query

from insula_platform.access import Access, Requires
from insula_platform.analytics.quality.answers import shown, shown_days, shown_point
from insula_platform.analytics.quality.schemas import DataQuality, PointDetail
from insula_platform.analytics.questions import Asked
from insula_platform.paging import Cursor, decode_cursor, encode_cursor
from insula_platform.problems import PROBLEM_RESPONSES
from insula_platform.state import CurrentPlatform
from insula_tenants.analytics.quality.places import places_of
from insula_tenants.analytics.quality.service import read_detail, read_quality, refine
from insula_tenants.errors import NotFound

router = APIRouter(
    prefix="/api/v1/tenants/{tenant}/analytics/data-quality",
    tags=["Data quality"],
    responses=PROBLEM_RESPONSES,
)

Limit = Annotated[int, Query(ge=1, le=500, description="Points on a page at most.")]


@router.get("")
async def get_data_quality(
    access: Annotated[Access, Requires("readings:read")],
    platform: CurrentPlatform,
    asked: Asked,
    limit: Limit = 50,
    cursor: Cursor = None,
) -> DataQuality:
    """How good the data is, of each point and of each place: complete, moving, in range, on time.

    Sorted by point, the worst first. From rollups, so a year of many points answers at once; what one point's
    readings are like to the minute tells `…/data-quality/points/{point_id}`.
    """
    async with platform.async_databases.snapshot(access.context) as connection:
        points = await asked.points(access, connection)
        found = await read_quality(connection, points, asked.starting, asked.ending)
        after = decode_cursor(cursor, int, int) if cursor else (-(10**7), 0)
        rest = [one for one in found.points if one.rank > after]
        page = await refine(connection, rest[:limit], found.period)
        places = await places_of(connection, found.points)
    more = encode_cursor(*rest[limit - 1].rank) if len(rest) > limit else None
    return shown(found, page, places, more)


@router.get("/points/{point_id}")
async def get_point_quality(
    access: Annotated[Access, Requires("readings:read")],
    platform: CurrentPlatform,
    asked: Asked,
    point_id: Annotated[int, Path(ge=1, lt=2**31)],
) -> PointDetail:
    """The same of one point, from its readings as stored: every gap, and how many readings are out of range.

    Where retention dropped the readings, from quarters of an hour.
    """
    async with platform.async_databases.snapshot(access.context) as connection:
        points = [one for one in await asked.points(access, connection) if one.id == point_id]
        if not points:
            raise NotFound(f"there is no point {point_id}")
        found = await read_detail(connection, points[0], asked.starting, asked.ending)
    return PointDetail(
        point=shown_point(found.points[0]), days=shown_days(found), complete_until=found.complete_until
    )
