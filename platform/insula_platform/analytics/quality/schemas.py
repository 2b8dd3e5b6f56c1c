"""The quality of data as the API shows it."""

from __future__ import annotations

from datetime import date, datetime
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field
from pydantic.config import JsonDict

from insula_platform.analytics.completeness import COMPLETENESS, Completeness
from insula_platform.paging import Page
from insula_tenants.analytics.cadence import Source
from insula_tenants.analytics.quality.verdicts import Kind, Severity

Resolution = Literal["raw", "15m", "1h", "1d"]

_GAP: JsonDict = {"from": "2026-11-20T08:14:00Z", "to": "2026-11-20T11:02:00Z", "seconds": 10080.0}
_STUCK: JsonDict = _GAP | {"value": 21.5}
_OUT: JsonDict = {
    "minimum": -40.0,
    "maximum": 85.0,
    "lowest": -127.0,
    "highest": 24.1,
    "readings": None,
    "days": 2,
}
_PROBLEM: JsonDict = {
    "kind": "gap",
    "severity": "serious",
    "detail": "Nothing for 2 h 48 min from 2026-11-20T08:14:00Z on, of 168 min missed in all.",
    "what_to_do": "See the device's diagnostics for that time: its battery, its radio and its gateway.",
}
_POINT: JsonDict = {
    "point": 7,
    "device": "meeting-room-1-temperature",
    "name": "temperature",
    "brick_class": "Zone_Air_Temperature_Sensor",
    "unit": "degC",
    "space": 17,
    "storey": 3,
    "building": 1,
    "interval": 60.0,
    "interval_source": "stated",
    "readings": 1423,
    "completeness": COMPLETENESS,
    "days": [0.883, 1.0],
    "gaps": {"count": 1, "seconds": 10080.0, "longest": 10080.0, "items": [_GAP]},
    "stuck": [_STUCK],
    "out_of_range": _OUT,
    "clock_offset": 1.2,
    "clock_offset_at": "2026-11-21T23:59:02Z",
    "problems": [_PROBLEM],
    "score": 0.42,
    "resolution": "1h",
}
_DAY: JsonDict = {"day": "2026-11-20", "expected": 1440, "present": 1272, "share": 0.883}
_PLACE: JsonDict = {
    "kind": "building",
    "id": 1,
    "name": "Forum",
    "points": 34,
    "with_problems": 3,
    "score": 0.42,
    "completeness": COMPLETENESS,
}


class Gap(BaseModel):
    """A stretch without a reading that should have some."""

    model_config = ConfigDict(from_attributes=True, json_schema_extra={"example": _GAP})

    starting: datetime = Field(serialization_alias="from", description="The last reading before it.")
    ending: datetime = Field(serialization_alias="to", description="The first reading after it.")
    seconds: float


class Gaps(BaseModel):
    """The gaps of a point."""

    model_config = ConfigDict(
        from_attributes=True,
        json_schema_extra={"example": {"count": 1, "seconds": 10080.0, "longest": 10080.0, "items": [_GAP]}},
    )

    count: int
    seconds: float = Field(description="Of all together.")
    longest: float = Field(description="Seconds of the longest; 0 where there is none.")
    items: list[Gap] = Field(description="The longest, at most 20, in order of time.")


class Stuck(BaseModel):
    """A stretch in which every reading has the same value, longer than this quantity stays the same."""

    model_config = ConfigDict(from_attributes=True, json_schema_extra={"example": _STUCK})

    starting: datetime = Field(serialization_alias="from", description="The first reading with this value.")
    ending: datetime = Field(serialization_alias="to", description="The last one.")
    seconds: float
    value: float = Field(description="In the point's unit.")


class OutOfRange(BaseModel):
    """Readings that cannot be right, by the point's minimum and maximum."""

    model_config = ConfigDict(from_attributes=True, json_schema_extra={"example": _OUT})

    minimum: float | None
    maximum: float | None
    lowest: float = Field(description="Lowest reading of the period.")
    highest: float = Field(description="Highest reading of the period.")
    readings: int | None = Field(description="How many; null where only rollups were asked, which don't say.")
    days: int = Field(description="In how many UTC days there are any.")


class Problem(BaseModel):
    """What is wrong with a point's data, and what to do."""

    model_config = ConfigDict(from_attributes=True, json_schema_extra={"example": _PROBLEM})

    kind: Kind
    severity: Severity
    detail: str
    what_to_do: str


class PointQuality(BaseModel):
    """How good a point's data is."""

    model_config = ConfigDict(from_attributes=True, json_schema_extra={"example": _POINT})

    point: int
    device: str
    name: str
    brick_class: str | None
    unit: str | None
    space: int | None
    storey: int | None
    building: int | None
    interval: float | None = Field(
        description="Seconds between two readings; null where none are expected by the clock."
    )
    interval_source: Source = Field(
        description="`stated`: of the point or its device. `estimated`: from its own readings. `events`: it "
        "reports when something happens. `unknown`: its readings are too few, or too irregular, to tell."
    )
    readings: int = Field(description="How many there are, those beyond what is expected too.")
    completeness: Completeness
    days: list[float | None] = Field(
        description="The share of each of the answer's `days`; null where nothing was expected."
    )
    gaps: Gaps
    stuck: list[Stuck] = Field(description="At most 20, the longest, in order of time.")
    out_of_range: OutOfRange | None = Field(description="Null where every reading is within the range.")
    clock_offset: float | None = Field(
        description="Seconds that the device's clock is behind (above zero) or ahead, as last seen."
    )
    clock_offset_at: datetime | None
    problems: list[Problem] = Field(description="The worst first.")
    score: float = Field(description="0 is faultless, 1 is useless: the worst come first.")
    resolution: Resolution = Field(
        description="How fine this looked: gaps longer than this are all in the answer, as are stuck values "
        "that last more than twice as long; shorter ones may be missing."
    )


class Day(BaseModel):
    """All the points together on a UTC day."""

    model_config = ConfigDict(from_attributes=True, json_schema_extra={"example": _DAY})

    day: date
    expected: int
    present: int
    share: float | None


class PlaceQuality(BaseModel):
    """The points of a place together."""

    model_config = ConfigDict(from_attributes=True, json_schema_extra={"example": _PLACE})

    kind: Literal["tenant", "building", "storey", "space"]
    id: int | None = Field(description="Null for the tenant.")
    name: str | None
    points: int
    with_problems: int = Field(description="Points that have any.")
    score: float = Field(description="The mean of its points'.")
    completeness: Completeness


class DataQuality(Page[PointQuality]):
    """How good the data of some places is."""

    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "items": [_POINT],
                "next_cursor": None,
                "points": 34,
                "with_problems": 3,
                "completeness": COMPLETENESS,
                "complete_until": "2026-11-22T00:00:00Z",
                "days": [_DAY],
                "places": [_PLACE],
            }
        }
    )

    points: int = Field(description="Points on all pages.")
    with_problems: int = Field(description="Points that have a problem, on all pages.")
    completeness: Completeness = Field(description="Of all the points.")
    complete_until: datetime = Field(
        description="All readings before it that were stored when asked are taken in: `to`, or else now."
    )
    days: list[Day] = Field(description="Each UTC day of the period, of all the points.")
    places: list[PlaceQuality] = Field(
        description="The tenant, and the buildings, storeys and spaces with points; the worst first of each."
    )


class PointDetail(BaseModel):
    """One point, looked at reading by reading."""

    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "point": _POINT | {"resolution": "raw"},
                "days": [_DAY],
                "complete_until": "2026-11-22T00:00:00Z",
            }
        }
    )

    point: PointQuality
    days: list[Day]
    complete_until: datetime
