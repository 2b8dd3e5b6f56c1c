"""Data quality: of each point, the worst first, and of the places they are in."""

from __future__ import annotations

import datetime as dt
from datetime import datetime

from pydantic import Field

from insula_analytics_ui.api.analytics import Completeness
from insula_analytics_ui.api.client import Answer, Api, Query

AT_ONCE = 100
"""Points that one answer tells of; the worst come first."""


class Stretch(Answer):
    """A gap, or a stretch with the same value."""

    begin: datetime = Field(validation_alias="from")
    end: datetime = Field(validation_alias="to")
    seconds: float
    value: float | None = None


class Gaps(Answer):
    """The gaps of a point, in seconds; `items` are the longest."""

    count: int = 0
    seconds: float = 0
    longest: float = 0
    items: tuple[Stretch, ...] = ()


class OutOfRange(Answer):
    """Readings that cannot be right, by the point's minimum and maximum."""

    minimum: float | None = None
    maximum: float | None = None
    lowest: float
    highest: float
    days: int = 0


class Problem(Answer):
    """What is wrong with a point's data."""

    kind: str
    severity: str
    detail: str = ""
    what_to_do: str = ""


class PointQuality(Answer):
    """How good a point's data is: `score` 0 is faultless, 1 is useless; `days` are shares, a day each."""

    point: int
    device: str
    name: str
    brick_class: str | None = None
    unit: str | None = None
    space: int | None = None
    interval: float | None = None
    interval_source: str = "unknown"
    readings: int = 0
    completeness: Completeness = Completeness()
    days: tuple[float | None, ...] = ()
    gaps: Gaps = Gaps()
    stuck: tuple[Stretch, ...] = ()
    out_of_range: OutOfRange | None = None
    clock_offset: float | None = None
    problems: tuple[Problem, ...] = ()
    score: float = 0


class Day(Answer):
    """All the points together on a UTC day."""

    day: dt.date
    expected: int
    present: int
    share: float | None = None


class PlaceQuality(Answer):
    """The points of a place together: `kind` is `tenant`, `building`, `storey` or `space`."""

    kind: str
    id: int | None = None
    name: str | None = None
    points: int
    with_problems: int
    score: float
    completeness: Completeness = Completeness()


class DataQuality(Answer):
    """The worst points of a place, and all of them together."""

    items: tuple[PointQuality, ...]
    points: int = 0
    with_problems: int = 0
    completeness: Completeness = Completeness()
    complete_until: datetime | None = None
    days: tuple[Day, ...] = ()
    places: tuple[PlaceQuality, ...] = ()


def data_quality(api: Api, asked: Query) -> DataQuality:
    """How good the data of a place is."""
    return api.one(DataQuality, "analytics/data-quality", [*asked, ("limit", AT_ONCE)])
