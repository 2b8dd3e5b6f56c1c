"""What points measured: last values, and buckets over time."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from functools import partial

from insula_analytics_ui.api.client import Answer, Api, Query, rfc3339, together
from insula_analytics_ui.periods import Period

POINTS_AT_ONCE = 25
"""Points whose readings are asked for in one request: several small ones are answered at once."""

PAGE = 10_000
"""Readings of one page: as many as the API gives."""


class Latest(Answer):
    """The last reading of a point; `in_range` is whether it can be right, None when nobody knows."""

    point: int
    time: datetime
    value: float
    in_range: bool | None = None


class Reading(Answer):
    """A reading, or what a bucket that begins at `time` comes to."""

    point: int
    time: datetime
    value: float | None


def latest(api: Api, *, space: int | None = None) -> dict[int, Latest]:
    """The last reading of each point that has one, of the tenant or of one space."""
    query: Query = [("space", space)] if space is not None else []
    return {item.point: item for item in api.items(Latest, "latest", query)}


def readings(
    api: Api, points: Sequence[int], period: Period, *, aggregate: str, time_zone: str
) -> list[Reading]:
    """What each bucket of the period comes to, a bucket without readings left out."""
    parts = [points[start : start + POINTS_AT_ONCE] for start in range(0, len(points), POINTS_AT_ONCE)]
    calls = [
        partial(
            api.items,
            Reading,
            "readings",
            question(part, period, aggregate=aggregate, time_zone=time_zone),
            page=PAGE,
        )
        for part in parts
    ]
    return [reading for found in together(*calls) for reading in found]


def question(points: Sequence[int], period: Period, *, aggregate: str, time_zone: str) -> Query:
    """The query for the buckets of a period."""
    query: Query = [("point", point) for point in points]
    query += [("from", rfc3339(period.begin)), ("to", rfc3339(period.end))]
    return [*query, ("bucket", period.bucket), ("aggregate", aggregate), ("time_zone", time_zone)]
