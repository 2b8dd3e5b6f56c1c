"""`GET …/analytics/data-quality`, and of one point."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path, Query

from insula_platform.access import Access, Requires
from insula_platform.analytics.quality.schemas import DataQuality, PointDetail
from insula_platform.analytics.questions import Asked
from insula_platform.paging import Cursor
from insula_platform.problems import PROBLEM_RESPONSES
from insula_platform.state import CurrentPlatform

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
    raise NotImplementedError


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
    raise NotImplementedError
