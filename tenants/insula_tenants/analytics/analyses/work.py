"""Do a slice of an analysis: point after point, each kept before the next, for some seconds at a time.

Memory is bounded by one point's eight weeks of hours and its neighbours'. A worker that is killed has done
what it kept; the point at hand is begun again by whoever takes the slice next.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

from psycopg import AsyncConnection, OperationalError
from psycopg.rows import DictRow

from insula_tenants.analytics.analyses.look import Found, History, aggregate_of, are_neighbours, look
from insula_tenants.analytics.analyses.service import Slice, note_point, take_slice
from insula_tenants.analytics.analyses.store import store_found
from insula_tenants.analytics.forecast import HISTORY
from insula_tenants.analytics.measured import MeasuredPoint, Where, find_points
from insula_tenants.analytics.series import EMPTY, Series, load_series
from insula_tenants.context import TenantContext
from insula_tenants.database import AsyncDatabases, Databases
from insula_tenants.telemetry.aggregates import Aggregate
from insula_tenants.telemetry.buckets import Width, microseconds
from insula_tenants.telemetry.read import Buckets

log = logging.getLogger(__name__)

BUDGET = timedelta(seconds=10)
"""For how long one job works: then it is another tenant's turn."""
MOST_NEIGHBOURS = 8
_HOURLY = Width(seconds=3600)


@dataclass(slots=True)
class Worked:
    """What a job came to."""

    done: int = 0
    """Points that are through."""
    failed: int = 0
    """Of those, how many could not be analysed."""
    more: bool = False
    """Whether the slice has something left to do."""


async def work_on(
    databases: Databases,
    reads: AsyncDatabases,
    context: TenantContext,
    analysis: UUID,
    number: int,
    *,
    budget: timedelta = BUDGET,
) -> Worked:
    """Look at what is left of a slice, one point at least, until the budget is used up.

    A point that cannot be analysed is noted and left. Where the database is away, that is raised, and the
    slice stays where it is.
    """
    worked = Worked()
    taken = await asyncio.to_thread(_take, databases, context, analysis, number)
    if taken is None:
        return worked
    async with reads.snapshot(context) as connection:
        points = {point.id: point for point in await find_points(connection, Where())}
    until = time.monotonic() + budget.total_seconds()
    for place in range(taken.done, len(taken.points)):
        if worked.done and time.monotonic() > until:
            worked.more = True
            break
        point = taken.points[place]
        found, error = await _look_at(reads, context, taken, points, point)
        if not await asyncio.to_thread(_keep, databases, context, taken, place, found, error):
            log.warning("a slice of an analysis of tenant %s was taken over by another worker", context.slug)
            break
        worked.done += 1
        worked.failed += error is not None
    return worked


async def _look_at(
    reads: AsyncDatabases,
    context: TenantContext,
    taken: Slice,
    points: Mapping[int, MeasuredPoint],
    point_id: int,
) -> tuple[Found | None, str | None]:
    """What there is to say of a point, or why nothing can be said; nothing at all of one that is gone."""
    if (point := points.get(point_id)) is None:
        return None, None
    neighbours = [one.id for one in points.values() if are_neighbours(point, one)][:MOST_NEIGHBOURS]
    try:
        async with reads.snapshot(context) as connection:
            history = await _read(connection, point, neighbours, taken)
        return await asyncio.to_thread(look, history), None
    except OperationalError:
        raise  # the database is away, or slow: that is not the point's fault
    except Exception as error:
        log.exception("point %s of tenant %s could not be analysed", point_id, context.slug)
        return None, f"point {point_id}: {type(error).__name__}"


async def _read(
    connection: AsyncConnection[DictRow], point: MeasuredPoint, neighbours: list[int], taken: Slice
) -> History:
    async def series(points: list[int], aggregate: Aggregate) -> Mapping[int, Series]:
        buckets = Buckets(_HOURLY, aggregate, "UTC")
        loaded = await load_series(connection, points, taken.until - HISTORY, taken.until, buckets)
        return loaded.series

    values = await series([point.id, *neighbours], aggregate_of(point))
    lowest, highest = EMPTY, EMPTY
    if point.kind == "gauge" and not point.states:
        lowest, highest = [(await series([point.id], side))[point.id] for side in ("min", "max")]
    return History(
        point,
        microseconds(taken.until),
        values[point.id],
        lowest,
        highest,
        [values[neighbour] for neighbour in neighbours],
    )


def _take(databases: Databases, context: TenantContext, analysis: UUID, number: int) -> Slice | None:
    with databases.tenant(context) as session:
        return take_slice(session, analysis, number)


def _keep(
    databases: Databases,
    context: TenantContext,
    taken: Slice,
    place: int,
    found: Found | None,
    error: str | None,
) -> bool:
    with databases.tenant(context) as session:
        if not note_point(session, taken, place, error=error):
            return False
        if found is not None:
            store_found(session, taken.points[place], taken.until, found)
        return True
