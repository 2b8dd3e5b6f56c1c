"""`GET …/analytics/comfort` and `GET …/analytics/comfort/hours`."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Annotated, Literal

from fastapi import APIRouter, Depends, Query
from psycopg import AsyncConnection
from psycopg.rows import DictRow

from insula_platform.access import Access, Requires, visible_spaces_async
from insula_platform.analytics.comfort import presentation
from insula_platform.analytics.comfort.schemas import Comfort, ComfortHours
from insula_platform.analytics.questions import Asked, Question
from insula_platform.problems import PROBLEM_RESPONSES
from insula_platform.state import CurrentPlatform
from insula_tenants.analytics.comfort.answers import Asked as Occupancy
from insula_tenants.analytics.comfort.answers import comfort_by_hour, comfort_of
from insula_tenants.analytics.comfort.clock import Schedule
from insula_tenants.analytics.comfort.rooms import Read, Room, find_rooms, read_rooms
from insula_tenants.analytics.completeness import Completeness, completeness_of
from insula_tenants.errors import InvalidInput
from insula_tenants.telemetry.buckets import EARLIEST

router = APIRouter(prefix="/api/v1/tenants/{tenant}/analytics", tags=["Comfort"], responses=PROBLEM_RESPONSES)

LONGEST_SERIES = timedelta(days=366)


def _counted(
    asked: Asked,
    occupied: Annotated[
        Literal["schedule", "measured"],
        Query(
            description="Which hours count: the schedule's, or of a space that has occupancy sensors those "
            "in which they saw somebody."
        ),
    ] = "schedule",
    hours: Annotated[
        str,
        Query(
            pattern=r"^[0-9]{1,2}-[0-9]{1,2}$",
            description="The schedule's hours, by the building's clock.",
            examples=["8-18"],
        ),
    ] = "8-18",
    days: Annotated[
        str,
        Query(
            pattern=r"^[1-7]{1,7}$",
            description="The schedule's days of the week: 1 is Monday, 7 is Sunday. Holidays are not known.",
            examples=["12345"],
        ),
    ] = "12345",
) -> Occupancy:
    # Nothing is older, and what would be a week before the year 1 is no time.
    starting = max(asked.starting, EARLIEST)
    ending = max(asked.ending, starting)
    return Occupancy(starting, ending, Schedule.of(hours, days), measured=occupied == "measured")


Counted = Annotated[Occupancy, Depends(_counted)]


@router.get("/comfort")
async def get_comfort(
    access: Annotated[Access, Requires("readings:read")],
    platform: CurrentPlatform,
    asked: Asked,
    counted: Counted,
) -> Comfort:
    """Comfort of each space over its occupied hours, in hours by category of EN 16798-1.

    By operative temperature, by predicted mean vote (ISO 7730), by the adaptive methods of EN 16798-1 and
    ASHRAE 55, and by CO2; and how often it is too warm. What no sensor tells is assumed, and listed.
    """
    async with platform.async_databases.snapshot(access.context) as connection:
        rooms = await _rooms(access, connection, asked)
        read, complete = await _read(connection, rooms, counted)
    found = await asyncio.to_thread(comfort_of, rooms, read, counted)
    return presentation.comfort(found, complete, counted, read.complete_until)


@router.get("/comfort/hours")
async def get_comfort_hours(
    access: Annotated[Access, Requires("readings:read")],
    platform: CurrentPlatform,
    asked: Asked,
    counted: Counted,
    space: Annotated[int, Query(ge=1, lt=2**31, description="The space.")],  # noqa: ARG001 - `asked` has it
) -> ComfortHours:
    """Comfort of one space, hour by hour, for a year at most."""
    if asked.ending - asked.starting > LONGEST_SERIES:
        raise InvalidInput("from", "ask for a year of hours at most")
    async with platform.async_databases.snapshot(access.context) as connection:
        rooms = await _rooms(access, connection, asked)
        read, complete = await _read(connection, rooms, counted)
    if not rooms:
        return presentation.no_hours(counted, read.complete_until)
    found = await asyncio.to_thread(comfort_by_hour, rooms[0], read, counted)
    return await asyncio.to_thread(presentation.hours, found, complete, counted, read.complete_until)


async def _rooms(access: Access, connection: AsyncConnection[DictRow], asked: Question) -> list[Room]:
    within = await visible_spaces_async(access, connection)
    return await find_rooms(connection, replace(asked.where, within=within))


async def _read(
    connection: AsyncConnection[DictRow], rooms: Sequence[Room], counted: Occupancy
) -> tuple[Read, Mapping[int, Completeness]]:
    """What the rooms' sensors read, and how complete it is, by point."""
    starting, ending = counted.starting, counted.ending
    read = await read_rooms(connection, rooms, starting, ending, occupancy=counted.measured)
    points = {point.id: point for room in rooms for point in room.measured(occupancy=counted.measured)}
    return read, await completeness_of(connection, list(points.values()), starting, ending)
