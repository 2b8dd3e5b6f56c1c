"""Comfort as the API shows it."""

from __future__ import annotations

from datetime import date, datetime
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field
from pydantic.config import JsonDict

from insula_platform.analytics.completeness import COMPLETENESS, Completeness
from insula_tenants.analytics.comfort.assumptions import Assumed
from insula_tenants.analytics.comfort.categories import Category, Grade

Number = Annotated[float, AfterValidator(lambda value: round(value, 4))]
"""More digits than a sensor has would only make answers longer."""

_BY_CATEGORY: JsonDict = {"I": 310.0, "II": 122.0, "III": 21.0, "IV": 4.0, "beyond": 3.0}
_JUDGED: JsonDict = {
    "hours": 460.0,
    "by_category": _BY_CATEGORY,
    "below": 0.0,
    "above": 28.0,
    "out_of_band": 0.0609,
    "not_measured": 2.0,
    "outside_limits": 0.0,
}
_ASSUMPTION: JsonDict = {
    "what": "humidity",
    "value": "50",
    "unit": "%",
    "hours": 462.0,
    "detail": "no humidity was measured",
}
_TEMPERATURE = _JUDGED | {"mean": 22.4, "lowest": 19.8, "highest": 27.1}
_PMV = _JUDGED | {"pmv": 0.12, "ppd": 6.4}
_CO2 = _JUDGED | {"mean": 702.0, "highest": 1480.0}
_ASHRAE: JsonDict = {
    "hours": 460.0,
    "acceptable_90": 440.0,
    "acceptable_80": 455.0,
    "below": 0.0,
    "above": 5.0,
    "not_measured": 2.0,
    "outside_limits": 0.0,
}
_TM52: JsonDict = {
    "hours": 460.0,
    "exceedance": 6.0,
    "exceedance_share": 0.013,
    "worst_day": "2026-07-02",
    "worst_day_weight": 5.0,
    "largest": 2.1,
    "failed": [],
    "overheats": False,
}
_OVERHEATING: JsonDict = {"hours": 460.0, "above_26": 31.0, "above_28": 2.0, "tm52": _TM52}
_OCCUPIED: JsonDict = {"by": "schedule", "from_hour": 8, "until_hour": 18, "days": [1, 2, 3, 4, 5]}
_SPACE: JsonDict = {
    "space": 17,
    "name": "Meeting room 1",
    "storey": "Ground floor",
    "building": "Forum",
    "time_zone": "Europe/Brussels",
    "category": "II",
    "occupied_by": "schedule",
    "hours": 462.0,
    "temperature": _TEMPERATURE,
    "pmv": _PMV,
    "adaptive": _JUDGED,
    "adaptive_ashrae": _ASHRAE,
    "co2": _CO2,
    "overheating": _OVERHEATING,
    "assumed": [_ASSUMPTION],
    "completeness": COMPLETENESS,
}
_HOUR: JsonDict = {
    "time": "2026-07-02T12:00:00Z",
    "occupied": True,
    "temperature": 27.1,
    "humidity": 48.0,
    "co2": 702.0,
    "outdoor_running_mean": 21.6,
    "clothing": 0.5,
    "lower": 23.0,
    "upper": 26.0,
    "temperature_category": "IV",
    "pmv": 0.74,
    "ppd": 16.6,
    "pmv_category": "IV",
    "adaptive_lower": 21.9,
    "adaptive_upper": 28.9,
    "adaptive_category": "I",
    "co2_category": "I",
}


class Occupied(BaseModel):
    """Which hours count, by the building's clock."""

    model_config = ConfigDict(from_attributes=True, json_schema_extra={"example": _OCCUPIED})

    by: Literal["schedule", "measured"] = Field(
        description="`measured`: by the space's own occupancy sensors where it has some."
    )
    from_hour: int = Field(description="First hour of a working day.")
    until_hour: int = Field(description="Hour at which the working day ends.")
    days: list[int] = Field(description="Working days: 1 is Monday, 7 is Sunday.")


class Assumption(BaseModel):
    """What was taken to be so, because nobody measured or said it."""

    model_config = ConfigDict(from_attributes=True, json_schema_extra={"example": _ASSUMPTION})

    what: Assumed
    value: str | None = Field(description="What was taken instead; null where nothing can be.")
    unit: str | None = None
    hours: Number = Field(description="In how many of the occupied hours.")
    detail: str = Field(description="Why, in a sentence.")


class Judged(BaseModel):
    """Occupied hours by how good they are."""

    model_config = ConfigDict(from_attributes=True, json_schema_extra={"example": _JUDGED})

    hours: Number = Field(description="Occupied hours that could be judged.")
    by_category: dict[Grade, Number] = Field(
        description="Of these, by the best category of EN 16798-1 whose limits they keep; `beyond`: none."
    )
    below: Number = Field(description="Hours under the band of the space's own category.")
    above: Number = Field(description="Hours over it.")
    out_of_band: Number | None = Field(
        description="Share of the judged hours below or above, between 0 and 1; null where there are none."
    )
    not_measured: Number = Field(description="Occupied hours without the readings that this needs.")
    outside_limits: Number = Field(
        description="Occupied hours with readings to which the method must not be applied."
    )


class Temperature(Judged):
    """Operative temperature against the bands for offices that are heated and cooled."""

    model_config = ConfigDict(from_attributes=True, json_schema_extra={"example": _TEMPERATURE})

    mean: Number | None = Field(description="°C, over the judged hours.")
    lowest: Number | None = Field(description="°C, of the coldest hour.")
    highest: Number | None = Field(description="°C, of the warmest hour.")


class Pmv(Judged):
    """Predicted mean vote by ISO 7730."""

    model_config = ConfigDict(from_attributes=True, json_schema_extra={"example": _PMV})

    pmv: Number | None = Field(description="Mean predicted mean vote, from -3 cold to +3 hot.")
    ppd: Number | None = Field(description="Mean predicted percentage of dissatisfied, %.")


class Co2(Judged):
    """CO2 above that of the outdoor air."""

    model_config = ConfigDict(from_attributes=True, json_schema_extra={"example": _CO2})

    mean: Number | None = Field(description="ppm, over the judged hours.")
    highest: Number | None = Field(description="ppm, of the worst hour.")


class AdaptiveAshrae(BaseModel):
    """Operative temperature against ASHRAE 55's adaptive limits."""

    model_config = ConfigDict(from_attributes=True, json_schema_extra={"example": _ASHRAE})

    hours: Number = Field(description="Occupied hours that could be judged.")
    acceptable_90: Number = Field(description="Of these, hours acceptable to 90 % of people.")
    acceptable_80: Number = Field(description="Of these, hours acceptable to 80 %, the former among them.")
    below: Number = Field(description="Hours too cold for 80 %.")
    above: Number = Field(description="Hours too warm for 80 %.")
    not_measured: Number = Field(description="Occupied hours without the readings that this needs.")
    outside_limits: Number = Field(
        description="Occupied hours with readings to which the method must not be applied."
    )


class Tm52(BaseModel):
    """Overheating by CIBSE TM52, over the occupied hours of the warm half of the year."""

    model_config = ConfigDict(from_attributes=True, json_schema_extra={"example": _TM52})

    hours: Number = Field(description="Occupied hours of May to September that could be judged.")
    exceedance: Number = Field(description="Hours at least 1 K over the adaptive limit.")
    exceedance_share: Number = Field(description="The same as a share; criterion 1 fails over 0.03.")
    worst_day: date | None = Field(description="Local day with the largest weight; null: none has any.")
    worst_day_weight: Number = Field(description="Its degree hours; criterion 2 fails over 6.")
    largest: Number = Field(description="Most kelvin over the limit; criterion 3 fails over 4.")
    failed: list[int] = Field(description="Criteria that fail: 1, 2, 3.")
    overheats: bool = Field(description="Whether two or more fail.")


class Overheating(BaseModel):
    """Hours that are too warm, by operative temperature."""

    model_config = ConfigDict(from_attributes=True, json_schema_extra={"example": _OVERHEATING})

    hours: Number = Field(description="Occupied hours with a temperature.")
    above_26: Number = Field(description="Hours over 26 °C.")
    above_28: Number = Field(description="Hours over 28 °C.")
    tm52: Tm52 | None = Field(description="Null where no outdoor temperature is known or no hour is warm.")


class SpaceComfort(BaseModel):
    """The comfort of a space over the occupied hours of a period. What it has no sensor for is null."""

    model_config = ConfigDict(from_attributes=True, json_schema_extra={"example": _SPACE})

    space: int
    name: str
    storey: str
    building: str
    time_zone: str
    category: Category = Field(description="Of EN 16798-1: what the space is meant to keep to.")
    occupied_by: Literal["schedule", "measured"]
    hours: Number = Field(description="Occupied hours of the period, up to now.")
    temperature: Temperature | None
    pmv: Pmv | None
    adaptive: Judged | None = Field(
        description="Operative temperature against EN 16798-1's adaptive limits, which have no category IV."
    )
    adaptive_ashrae: AdaptiveAshrae | None
    co2: Co2 | None
    overheating: Overheating | None
    assumed: list[Assumption]
    completeness: Completeness


class Comfort(BaseModel):
    """The comfort of some spaces."""

    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "spaces": [_SPACE],
                "occupied": _OCCUPIED,
                "completeness": COMPLETENESS,
                "complete_until": "2026-08-01T00:00:00Z",
            }
        }
    )

    spaces: list[SpaceComfort] = Field(
        description="Those with a temperature or CO2 sensor, by building, storey and name."
    )
    occupied: Occupied
    completeness: Completeness
    complete_until: datetime = Field(
        description="All readings before it that were stored when asked are taken in: `to`, or else now."
    )


class HourComfort(BaseModel):
    """An hour of a space. What was not measured, or cannot be told, is null."""

    model_config = ConfigDict(from_attributes=True, json_schema_extra={"example": _HOUR})

    time: datetime = Field(description="Its beginning.")
    occupied: bool
    temperature: Number | None = Field(description="Operative, °C.")
    humidity: Number | None = Field(description="Relative, %, as measured.")
    co2: Number | None = Field(description="ppm, as measured.")
    outdoor_running_mean: Number | None = Field(description="°C, of the seven days before.")
    clothing: Number | None = Field(description="Assumed, clo.")
    lower: Number | None = Field(description="Lower end of the temperature band of the space's category, °C.")
    upper: Number | None = Field(description="Upper end, °C.")
    temperature_category: Grade | None
    pmv: Number | None
    ppd: Number | None = Field(description="%")
    pmv_category: Grade | None
    adaptive_lower: Number | None = Field(description="The same by the adaptive limits, °C.")
    adaptive_upper: Number | None = Field(description="°C.")
    adaptive_category: Grade | None
    co2_category: Grade | None


class ComfortHours(BaseModel):
    """The comfort of one space, hour by hour."""

    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "space": 17,
                "name": "Meeting room 1",
                "time_zone": "Europe/Brussels",
                "category": "II",
                "hours": [_HOUR],
                "occupied": _OCCUPIED,
                "assumed": [_ASSUMPTION],
                "completeness": COMPLETENESS,
                "complete_until": "2026-08-01T00:00:00Z",
            }
        }
    )

    space: int | None = Field(
        description="Null where there is no such space, or it has no temperature and no CO2 sensor."
    )
    name: str | None
    time_zone: str | None
    category: Category | None
    hours: list[HourComfort] = Field(description="All hours of the period up to `complete_until`.")
    occupied: Occupied
    assumed: list[Assumption]
    completeness: Completeness
    complete_until: datetime = Field(
        description="All readings before it that were stored when asked are taken in: `to`, or else now."
    )
