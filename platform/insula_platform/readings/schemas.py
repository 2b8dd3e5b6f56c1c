"""Readings as the API takes questions about them and shows them."""

from __future__ import annotations

import re
from datetime import datetime, timedelta

from pydantic import BaseModel, ConfigDict, Field

from insula_platform.paging import Page
from insula_tenants.errors import InvalidInput
from insula_tenants.telemetry.buckets import Width
from insula_tenants.telemetry.plan import Relation

_WIDTH = re.compile(r"([1-9][0-9]{0,4})(s|m|h|d|w|mo|y)")
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}
_MONTHS = {"mo": 1, "y": 12}
_MONTH = 2_592_000
_LONGEST = 10 * 366 * 86_400


class LatestValue(BaseModel):
    """The newest reading of a point."""

    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "point": 7,
                "device": "meeting-room-1-temperature",
                "name": "temperature",
                "time": "2026-11-23T07:15:00.123Z",
                "value": 21.5,
                "in_range": True,
            }
        }
    )

    point: int
    device: str
    name: str
    time: datetime
    value: float
    in_range: bool | None = Field(
        default=None,
        description="Whether the value can be right, by the point's range: one that cannot is kept all the "
        "same. Null when nobody said what the range is, and in a stream after its first page.",
    )


class Reading(BaseModel):
    """One value of a point; of a bucket, the time is the bucket's start."""

    model_config = ConfigDict(
        json_schema_extra={"example": {"point": 7, "time": "2026-11-23T07:15:00Z", "value": 21.5}}
    )

    point: int
    time: datetime
    value: float = Field(description="In the point's unit; a boolean is 0 or 1.")


class ReadingsPage(Page[Reading]):
    """One page of readings, and what they rest on."""

    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "items": [{"point": 7, "time": "2026-11-22T23:00:00Z", "value": 21.5}],
                "next_cursor": None,
                "complete_until": "2026-11-23T07:15:30.123456Z",
                "served_from": ["1h", "15m", "raw"],
            }
        }
    )

    complete_until: datetime = Field(
        description="All readings before it that were stored when asked are taken in: `to`, or else now."
    )
    served_from: list[Relation] = Field(
        description="What the question was answered from: the rollups of a day, an hour and 15 minutes, and "
        "raw readings. The answer is the same from each."
    )


MOST_BUCKETS = 500_000
"""Buckets that one question may span, over all its points."""


def width_of(bucket: str, *, span: timedelta, points: int) -> Width:
    """A bucket's width, written such as `15m` or `1d`.

    `InvalidInput` for what is no width, and for one too small for the span and the number of points.
    """
    match = _WIDTH.fullmatch(bucket)
    number, unit = (int(match[1]), match[2]) if match else (0, "s")
    width = Width(months=number * _MONTHS[unit]) if unit in _MONTHS else Width(number * _SECONDS[unit])
    seconds = width.seconds + width.months * _MONTH
    if seconds and span.total_seconds() / seconds * points > MOST_BUCKETS:
        raise InvalidInput("bucket", f"{bucket!r} gives more than {MOST_BUCKETS} buckets: use a wider one")
    if match is None or seconds > _LONGEST:
        raise InvalidInput(
            "bucket", f"{bucket!r} is no width: use a number and s, m, h, d, w, mo or y, such as 15m or 1d"
        )
    return width
