"""`GET …/analytics/comfort` and `GET …/analytics/comfort/hours`."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import APIRouter, Query

from insula_platform.access import Access, Requires
from insula_platform.analytics.comfort.schemas import Comfort, ComfortHours
from insula_platform.analytics.questions import Asked
from insula_platform.problems import PROBLEM_RESPONSES
from insula_platform.state import CurrentPlatform

router = APIRouter(prefix="/api/v1/tenants/{tenant}/analytics", tags=["Comfort"], responses=PROBLEM_RESPONSES)

By = Annotated[
    Literal["schedule", "measured"],
    Query(
        description="Which hours count: the schedule's, or of a space that has occupancy sensors those "
        "in which somebody was seen."
    ),
]
Hours = Annotated[
    str,
    Query(pattern=r"^[0-9]{1,2}-[0-9]{1,2}$", description="The schedule's hours, by the building's clock."),
]
Days = Annotated[
    str,
    Query(pattern=r"^[1-7]{1,7}$", description="The schedule's working days: 1 is Monday, 7 is Sunday."),
]


@router.get("/comfort")
async def get_comfort(
    access: Annotated[Access, Requires("readings:read")],
    platform: CurrentPlatform,
    asked: Asked,
    occupied: By = "schedule",
    hours: Hours = "8-18",
    days: Days = "12345",
) -> Comfort:
    """Comfort of each space over its occupied hours: by category, out of band, too warm."""
    raise NotImplementedError


@router.get("/comfort/hours")
async def get_comfort_hours(
    access: Annotated[Access, Requires("readings:read")],
    platform: CurrentPlatform,
    asked: Asked,
    occupied: By = "schedule",
    hours: Hours = "8-18",
    days: Days = "12345",
) -> ComfortHours:
    """Comfort of one space, hour by hour. `space` says which."""
    raise NotImplementedError
