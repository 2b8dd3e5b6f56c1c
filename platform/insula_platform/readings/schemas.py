"""Readings as the API takes questions about them and shows them."""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from insula_tenants.errors import InvalidInput

_WIDTH = re.compile(r"([1-9][0-9]{0,4})(s|m|h|d|w|mo|y)")
_UNITS = {
    "s": "seconds",
    "m": "minutes",
    "h": "hours",
    "d": "days",
    "w": "weeks",
    "mo": "months",
    "y": "years",
}
_LONGEST = 10 * 366 * 86_400
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800, "mo": 2_592_000, "y": 31_536_000}

AggregateName = Literal["mean", "min", "max", "sum", "count", "first", "last"]


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
            }
        }
    )

    point: int
    device: str
    name: str
    time: datetime
    value: float


class Reading(BaseModel):
    """One value of a point; of a bucket, the time is the bucket's start."""

    model_config = ConfigDict(
        json_schema_extra={"example": {"point": 7, "time": "2026-11-23T07:15:00Z", "value": 21.5}}
    )

    point: int
    time: datetime
    value: float = Field(description="In the point's unit; a boolean is 0 or 1.")


MOST_BUCKETS = 500_000
"""Buckets that one question may span, over all its points."""


def interval_of(bucket: str, *, span: timedelta, points: int) -> str:
    """A bucket's width, such as `15m` or `1d`, as PostgreSQL reads intervals.

    `InvalidInput` for what is no width, and for one too small for the span and the number of points.
    """
    match = _WIDTH.fullmatch(bucket)
    seconds = int(match[1]) * _SECONDS[match[2]] if match else 0
    if seconds and span.total_seconds() / seconds * points > MOST_BUCKETS:
        raise InvalidInput("bucket", f"{bucket!r} gives more than {MOST_BUCKETS} buckets: use a wider one")
    if match is None or seconds > _LONGEST:
        raise InvalidInput(
            "bucket", f"{bucket!r} is no width: use a number and s, m, h, d, w, mo or y, such as 15m or 1d"
        )
    return f"{match[1]} {_UNITS[match[2]]}"
