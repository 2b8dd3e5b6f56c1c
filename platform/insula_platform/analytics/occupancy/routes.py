"""`GET …/analytics/occupancy`, of one space day by day, and the model card."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query

from insula_platform.access import Access, Requires
from insula_platform.analytics.occupancy.schemas import ModelCard, Occupancy, OccupancyDays
from insula_platform.analytics.questions import Asked
from insula_platform.paging import Cursor
from insula_platform.problems import PROBLEM_RESPONSES
from insula_platform.state import CurrentPlatform

router = APIRouter(
    prefix="/api/v1/tenants/{tenant}/analytics/occupancy", tags=["Occupancy"], responses=PROBLEM_RESPONSES
)

Limit = Annotated[int, Query(ge=1, le=200, description="Spaces on a page at most.")]


@router.get("")
async def get_occupancy(
    access: Annotated[Access, Requires("readings:read")],
    platform: CurrentPlatform,
    asked: Asked,
    limit: Limit = 100,
    cursor: Cursor = None,
) -> Occupancy:
    """The use of each space: how much of the time, when in the week, by how many.

    From a people counter where a space has one, else from its occupancy or motion sensors, else inferred from
    light, CO2 and temperature, and then with less confidence.
    """
    raise NotImplementedError


@router.get("/days")
async def get_occupancy_days(
    access: Annotated[Access, Requires("readings:read")], platform: CurrentPlatform, asked: Asked
) -> OccupancyDays:
    """The use of one space, day by day: first use, last use, hours. `space` says which."""
    raise NotImplementedError


@router.get("/model")
async def get_occupancy_model(
    access: Annotated[Access, Requires("readings:read")],
) -> ModelCard:
    """The card of the model that infers use: its data, its coefficients, its accuracy, its limits."""
    raise NotImplementedError
