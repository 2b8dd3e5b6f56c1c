"""`GET …/live`: the newest values, then each value as it is stored."""

from __future__ import annotations

import time
from collections.abc import AsyncIterable, AsyncIterator
from typing import Annotated

import psycopg
from fastapi import APIRouter, Depends, Query
from fastapi.sse import EventSourceResponse, ServerSentEvent

from insula_platform.access import Access, Requires, visible_spaces_async
from insula_platform.live.listener import Listener, Wanted
from insula_platform.live.schemas import End, Notice, Snapshot, Values
from insula_platform.problems import PROBLEM_RESPONSES, problem_responses
from insula_platform.readings.routes import PointId
from insula_platform.readings.schemas import LatestValue
from insula_platform.state import CurrentPlatform, Platform
from insula_tenants.telemetry.read import read_latest

router = APIRouter(prefix="/api/v1/tenants/{tenant}", tags=["Readings"], responses=PROBLEM_RESPONSES)

SNAPSHOT_PAGE = 1000
"""Values in one event of a snapshot."""
TRY_AGAIN = 60_000
"""Milliseconds until a client connects again where there is no broker to bring values."""


async def _listening(
    access: Annotated[Access, Requires("readings:read")],
    platform: CurrentPlatform,
    space: Annotated[int | None, Query(description="Only points in this space.", ge=1, lt=2**31)] = None,
    device: Annotated[str | None, Query(description="Only this device's points.", max_length=40)] = None,
    point: Annotated[
        list[PointId] | None, Query(description="Only these points; repeat it for more.", max_length=100)
    ] = None,
) -> AsyncIterator[Listener]:
    """A place among those who listen; errors are answered before the stream begins."""
    within = None
    if access.places:
        async with platform.async_databases.tenant(access.context) as connection:
            within = await visible_spaces_async(access, connection)
    wanted = Wanted(space, device, frozenset(point) if point else None, within)
    with platform.live.join(access, wanted) as listener:
        yield listener


@router.get("/live", response_class=EventSourceResponse, responses=problem_responses(429))
async def get_live(
    listener: Annotated[Listener, Depends(_listening)], platform: CurrentPlatform
) -> AsyncIterable[ServerSentEvent]:
    """The newest value of each point, then each value that devices send, once it is stored.

    Server-sent events: `snapshot` (`{"items": […], "last": true}`, several when there are many points), then
    `values` (`{"items": […]}`). A snapshot may come again at any time, and replaces what was known. A client
    that is too slow is told by `gap` that one follows; `unavailable` says that the broker is away, and one
    follows when it is back. The last event is `end`, with a `reason`: `token_expired`, `access_ended`
    (a role, grant or key was taken away or changed), `tenant_closed`, `database_away` or `shutdown`.
    """
    try:
        async for event in _events(platform, listener):
            yield event
    except psycopg.Error:
        yield _end(End(reason="database_away", detail="the database does not answer: connect again"))


async def _events(platform: Platform, listener: Listener) -> AsyncIterator[ServerSentEvent]:
    while True:
        listener.begin()
        available = listener.available
        async for page in _snapshot(platform, listener):
            yield ServerSentEvent(event="snapshot", data=page)
        if not platform.live.configured:
            yield _notice(
                "unavailable", "no broker is configured here: values are not brought live", TRY_AGAIN
            )
            return
        if not available:
            yield _notice("unavailable", "the broker is away: a fresh snapshot comes when it is back")
        async for event in _until_snapshot(listener, available=available):
            yield event
        if listener.end is not None:
            return


async def _until_snapshot(listener: Listener, *, available: bool) -> AsyncIterator[ServerSentEvent]:
    """What happens until a fresh snapshot is needed, or the stream is at its end."""
    while True:
        try:
            await listener.news(listener.expires_at - time.time())
        except TimeoutError:
            listener.finish(End(reason="token_expired", detail="connect again with a new access token"))
        if values := listener.take():
            yield ServerSentEvent(event="values", data=Values(items=list(values)))
        if listener.end is not None:
            yield _end(listener.end)
            return
        if listener.stale or (listener.available and not available):
            return
        if available and not listener.available:
            yield _notice("unavailable", "the broker is away: a fresh snapshot comes when it is back")
            available = False
        if listener.lost:
            yield _notice(
                "gap", "values were left out, as more came than were read: a fresh snapshot follows"
            )
            return


async def _snapshot(platform: Platform, listener: Listener) -> AsyncIterator[Snapshot]:
    wanted, after = listener.wanted, 0
    points = sorted(wanted.points) if wanted.points is not None else None
    while True:
        async with platform.async_databases.tenant(listener.context) as connection:
            rows = await read_latest(
                connection,
                device=wanted.device,
                space=wanted.space,
                points=points,
                within=wanted.within,
                after=after,
                limit=SNAPSHOT_PAGE + 1,
            )
        last = len(rows) <= SNAPSHOT_PAGE
        items = [LatestValue.model_validate(row) for row in rows[:SNAPSHOT_PAGE]]
        yield Snapshot(items=items, last=last)
        if last:
            return
        after = items[-1].point


def _notice(event: str, detail: str, retry: int | None = None) -> ServerSentEvent:
    return ServerSentEvent(event=event, data=Notice(detail=detail), retry=retry)


def _end(end: End) -> ServerSentEvent:
    return ServerSentEvent(event="end", data=end)
