"""What every analytic question names: which places, and from when to when."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Annotated

from fastapi import Depends, Query
from psycopg import AsyncConnection
from psycopg.rows import DictRow
from pydantic import AwareDatetime

from insula_platform.access import Access, Requires, visible_spaces_async
from insula_platform.state import CurrentPlatform
from insula_tenants.analytics.measured import MeasuredPoint, Where, find_points
from insula_tenants.errors import InvalidInput
from insula_tenants.telemetry.buckets import EARLIEST, LATEST

LONGEST = timedelta(days=3 * 366)

_Id = Annotated[int | None, Query(ge=1, lt=2**31)]


@dataclass(frozen=True, slots=True)
class Question:
    """Places and a half-open interval of time."""

    where: Where
    starting: datetime
    ending: datetime

    async def points(self, access: Access, connection: AsyncConnection[DictRow]) -> list[MeasuredPoint]:
        """The points in these places that the grant covers; a place that is not there has none."""
        within = await visible_spaces_async(access, connection)
        return await find_points(connection, replace(self.where, within=within))


async def _question(
    access: Annotated[Access, Requires("readings:read")],
    platform: CurrentPlatform,
    starting: Annotated[AwareDatetime, Query(alias="from", description="RFC 3339; included.")],
    ending: Annotated[AwareDatetime, Query(alias="to", description="RFC 3339; not included.")],
    site: Annotated[_Id, Query(description="Only this site.")] = None,
    building: Annotated[_Id, Query(description="Only this building.")] = None,
    storey: Annotated[_Id, Query(description="Only this storey.")] = None,
    space: Annotated[_Id, Query(description="Only this space.")] = None,
) -> AsyncIterator[Question]:
    """Raises `InvalidInput` for an interval that is empty or longer than three years, `TooManyQuestions`."""
    if ending <= starting:
        raise InvalidInput("to", "`to` is not after `from`: the interval holds nothing")
    if ending - starting > LONGEST:
        raise InvalidInput("from", "ask for three years at most")
    # There are no readings outside, and a day before the year 1 is no time.
    starting, ending = (min(max(time, EARLIEST), LATEST) for time in (starting, ending))
    async with platform.turns.turn(access.context.slug):
        yield Question(Where(site, building, storey, space), starting, ending)


Asked = Annotated[Question, Depends(_question, scope="function")]
"""`?from=&to=`, and optionally `site`, `building`, `storey`, `space`.

It is the tenant's turn until the answer is computed: who reads it slowly takes nobody's.
"""
