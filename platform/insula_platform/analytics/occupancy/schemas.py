"""The use of spaces as the API shows it."""

from __future__ import annotations

from datetime import date, datetime
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field
from pydantic.config import JsonDict

from insula_platform.analytics.completeness import COMPLETENESS, Completeness
from insula_platform.paging import Page

SourceOfUse = Literal["counted", "measured", "inferred", "none"]
Variant = Literal["light_co2_temperature", "co2", "light"]
Level = Literal["high", "medium", "low", "none"]

_PEOPLE: JsonDict = {
    "average": 3.2,
    "peak": 9.0,
    "peak_at": "2026-11-19T13:00:00Z",
    "average_share": 0.32,
    "peak_share": 0.9,
}
_COMPARISON: JsonDict = {
    "variant": "co2",
    "compared": 670,
    "agreement": 0.913,
    "seen_and_inferred": 121,
    "seen_only": 40,
    "inferred_only": 18,
    "neither": 491,
}
_CONFIDENCE: JsonDict = {
    "level": "medium",
    "reasons": ["inferred from CO2 alone, which was right of 0.82 of another room's minutes"],
}
_SPACE: JsonDict = {
    "space": 17,
    "name": "Meeting room 1",
    "brick_class": "Conference_Room",
    "storey": 3,
    "building": 1,
    "time_zone": "Europe/Brussels",
    "capacity": 10,
    "area": 24.5,
    "source": "measured",
    "variant": None,
    "confidence": {"level": "high", "reasons": []},
    "comparison": _COMPARISON,
    "hours_observed": 168.0,
    "hours_in_use": 31.5,
    "share_in_use": 0.1875,
    "never_used": False,
    "people": None,
    "heat_map": [[None, 0.0, 0.25]],
    "days_used": 5,
    "first_use": "08:45",
    "last_use": "17:30",
    "completeness": COMPLETENESS,
}
_DAY: JsonDict = {
    "day": "2026-11-19",
    "hours_observed": 24.0,
    "hours_in_use": 6.25,
    "first_use": "2026-11-19T07:45:00Z",
    "last_use": "2026-11-19T16:30:00Z",
    "peak_people": None,
}


class People(BaseModel):
    """How many people, where they are counted."""

    model_config = ConfigDict(from_attributes=True, json_schema_extra={"example": _PEOPLE})

    average: float | None = Field(description="Over the time in use; null where there was none.")
    peak: float
    peak_at: datetime | None = Field(description="The beginning of the first bucket with that many.")
    average_share: float | None = Field(description="Of the capacity; null where nobody said what it is.")
    peak_share: float | None = Field(description="Of the capacity; above 1 where there were too many.")


class Confidence(BaseModel):
    """How far to trust this space's figures."""

    model_config = ConfigDict(from_attributes=True, json_schema_extra={"example": _CONFIDENCE})

    level: Level
    reasons: list[str] = Field(description="What stands in the way of more.")


class Comparison(BaseModel):
    """Where a space has an occupancy sensor and what use could be inferred from: how the two agree.

    Over the last 31 days of the period: that is enough to tell.
    """

    model_config = ConfigDict(from_attributes=True, json_schema_extra={"example": _COMPARISON})

    variant: Variant
    compared: int = Field(description="Buckets that have both.")
    agreement: float = Field(description="Share of them in which both say the same.")
    seen_and_inferred: int
    seen_only: int = Field(description="The sensor saw somebody, the model did not think so.")
    inferred_only: int
    neither: int


class SpaceUse(BaseModel):
    """The use of one space."""

    model_config = ConfigDict(from_attributes=True, json_schema_extra={"example": _SPACE})

    space: int
    name: str
    brick_class: str
    storey: int
    building: int
    time_zone: str
    capacity: int | None = Field(description="People that it is meant for; null where nobody said.")
    area: float | None = Field(description="m².")
    source: SourceOfUse = Field(
        description="`counted`: people are counted. `measured`: by an occupancy or motion sensor. "
        "`inferred`: by the model of `…/occupancy/model`. `none`: nothing tells."
    )
    variant: Variant | None = Field(description="Of the model, where it was inferred.")
    confidence: Confidence
    comparison: Comparison | None
    hours_observed: float = Field(description="Hours of which it is known whether the space was in use.")
    hours_in_use: float
    share_in_use: float | None = Field(description="Of the hours observed; null where there are none.")
    never_used: bool = Field(description="Observed for a day or more in all, and never in use.")
    people: People | None
    heat_map: list[list[float | None]] = Field(
        description="Share of the time in use: seven weekdays from Monday, each of 24 hours by the "
        "building's clock; null where nothing was observed."
    )
    days_used: int = Field(description="Local days on which it was used.")
    first_use: str | None = Field(description="The middle one of the days' first uses, `HH:MM` local time.")
    last_use: str | None = Field(description="The middle one of the days' last uses.")
    completeness: Completeness


class Occupancy(Page[SpaceUse]):
    """The use of some spaces over a period."""

    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "items": [_SPACE],
                "next_cursor": None,
                "bucket_seconds": 900,
                "spaces": 12,
                "observed": 9,
                "never_used": [23],
                "share_in_use": 0.21,
                "heat_map": [[None, 0.0, 0.25]],
                "completeness": COMPLETENESS,
                "complete_until": "2026-11-22T00:00:00Z",
            }
        }
    )

    bucket_seconds: int = Field(description="How finely this looked: 900, or 3600 for a long time.")
    spaces: int = Field(description="Spaces on this page.")
    observed: int = Field(description="Those of them of which anything is known.")
    never_used: list[int] = Field(description="Ids of those never in use.")
    share_in_use: float | None = Field(description="Of the hours observed, of the page's spaces.")
    heat_map: list[list[float | None]] = Field(description="Of the page's spaces together.")
    completeness: Completeness
    complete_until: datetime = Field(
        description="All readings before it that were stored when asked are taken in: `to`, or else now."
    )


class DayOfUse(BaseModel):
    """One local day of a space."""

    model_config = ConfigDict(from_attributes=True, json_schema_extra={"example": _DAY})

    day: date
    hours_observed: float
    hours_in_use: float
    first_use: datetime | None = Field(description="The beginning of the first bucket in use.")
    last_use: datetime | None = Field(description="The end of the last bucket in use.")
    peak_people: float | None


class OccupancyDays(BaseModel):
    """One space, day by day."""

    model_config = ConfigDict(
        json_schema_extra={
            "example": {"use": _SPACE, "days": [_DAY], "complete_until": "2026-11-22T00:00:00Z"}
        }
    )

    use: SpaceUse | None = Field(description="Null for a space that is not there.")
    days: list[DayOfUse] = Field(description="Days of which anything is known, in order.")
    complete_until: datetime


class Score(BaseModel):
    """How a variant did on one set of data."""

    model_config = ConfigDict(from_attributes=True)

    data: str = Field(description="The file.")
    seconds: int = Field(description="Width of the buckets: 60 is each row of the file.")
    rows: int
    occupied: float = Field(description="Share of rows in which somebody was there.")
    accuracy: float = Field(description="Share of rows that it told right.")
    sensitivity: float = Field(description="Of the rows with somebody there, the share it told right.")
    specificity: float = Field(description="Of the rows with nobody there.")


class Feature(BaseModel):
    """What the model looks at, and how much it counts."""

    model_config = ConfigDict(from_attributes=True)

    name: str
    unit: str
    mean: float = Field(description="Of the training data; the feature is taken relative to it.")
    scale: float = Field(description="The standard deviation of the training data, by which it is divided.")
    coefficient: float


class ModelVariant(BaseModel):
    """The model for what a room has."""

    model_config = ConfigDict(from_attributes=True)

    name: Variant
    needs: list[str] = Field(description="Quantities that the room must have sensors of.")
    intercept: float
    features: list[Feature]
    inverse_penalty: float = Field(description="How little the coefficients are held back.")
    cross_validation: float = Field(description="Mean accuracy over the training days, each left out once.")
    scores: list[Score]


class TrainingData(BaseModel):
    """What the model was trained and tested on."""

    model_config = ConfigDict(from_attributes=True)

    source: str
    licence: str
    room: str
    training: str
    tests: list[str]
    starting: datetime = Field(
        alias="from", description="First row of the training data, by the local clock."
    )
    ending: datetime = Field(alias="to", description="Last row of the training data.")
    rows: int


class ModelCard(BaseModel):
    """What infers use where nobody measures it: how it was made, how well it does, and where it does not."""

    model_config = ConfigDict(from_attributes=True)

    name: str
    version: int
    kind: str
    data: TrainingData
    intended_use: str
    limits: list[str]
    variants: list[ModelVariant]
