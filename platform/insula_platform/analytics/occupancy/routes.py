"""`GET …/analytics/occupancy`, of one space day by day, and the model card."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated

from fastapi import APIRouter, Query

from insula_platform.access import Access, Requires, visible_spaces_async
from insula_platform.analytics.occupancy.answers import shown, shown_space
from insula_platform.analytics.occupancy.schemas import DayOfUse, ModelCard, Occupancy, OccupancyDays
from insula_platform.analytics.questions import Asked
from insula_platform.paging import Cursor, decode_cursor, encode_cursor
from insula_platform.problems import PROBLEM_RESPONSES
from insula_platform.state import CurrentPlatform
from insula_tenants.analytics.measured import find_points
from insula_tenants.analytics.occupancy.model import card
from insula_tenants.analytics.occupancy.service import read_use
from insula_tenants.analytics.spaces import find_spaces

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
    async with platform.async_databases.snapshot(access.context) as connection:
        where = replace(asked.where, within=await visible_spaces_async(access, connection))
        after: int = decode_cursor(cursor, int)[0] if cursor else 0
        spaces = await find_spaces(connection, where, after=after, limit=limit + 1)
        points = await find_points(connection, where)
        uses = await read_use(connection, spaces[:limit], points, asked.starting, asked.ending)
    more = encode_cursor(spaces[limit - 1].id) if len(spaces) > limit else None
    return shown(uses, more)


@router.get("/days")
async def get_occupancy_days(
    access: Annotated[Access, Requires("readings:read")],
    platform: CurrentPlatform,
    asked: Asked,
    space: Annotated[int, Query(ge=1, lt=2**31, description="The space.")],  # noqa: ARG001 - `asked` has it
) -> OccupancyDays:
    """The use of one space, day by day: first use, last use, hours.

    A space that is not there, or that your grant does not cover, has no days.
    """
    async with platform.async_databases.snapshot(access.context) as connection:
        where = replace(asked.where, within=await visible_spaces_async(access, connection))
        found = await find_spaces(connection, where, limit=1)
        points = await find_points(connection, where)
        uses = await read_use(connection, found, points, asked.starting, asked.ending)
    return OccupancyDays(
        use=shown_space(uses.spaces[0]) if uses.spaces else None,
        days=[DayOfUse.model_validate(day) for use in uses.spaces for day in use.days()],
        complete_until=uses.complete_until,
    )


@router.get("/model")
async def get_occupancy_model(
    access: Annotated[Access, Requires("readings:read")],  # noqa: ARG001 - the same for every tenant
) -> ModelCard:
    """The card of the model that infers use: its data, its coefficients, its accuracy, its limits."""
    return ModelCard.model_validate(card())
