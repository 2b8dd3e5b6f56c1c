"""Energy as the API answers about it."""

from __future__ import annotations

from datetime import date, datetime
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from insula_platform.analytics.completeness import Completeness
from insula_tenants.energy.models import Carrier

Unit = Literal["kWh", "m³"]


class Answer(BaseModel):
    """What every answer tells of the data it rests on."""

    complete_until: datetime = Field(
        description="All readings before it that were stored when asked are taken in: `to`, or else now."
    )
    completeness: Completeness


class OpeningHours(BaseModel):
    """When the buildings are open: what was asked with, or else the default."""

    model_config = ConfigDict(
        json_schema_extra={"example": {"weekdays": [1, 2, 3, 4, 5], "opens": "07:00", "closes": "19:00"}}
    )

    weekdays: list[int] = Field(description="1 is Monday, 7 Sunday.")
    opens: str = Field(description="Local time.")
    closes: str = Field(description="Local time.")


class Load(BaseModel):
    """What hourly loads tell, from hours in which the meter said something; a gap is no load."""

    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "hours": 8712,
                "mean": 18.4,
                "base": 6.1,
                "base_share": 0.33,
                "peak": 61.2,
                "peak_at": "2026-01-19T07:00:00Z",
            }
        }
    )

    hours: int = Field(description="Hours that were measured.")
    mean: float | None = Field(description="kW, or m³/h.")
    base: float | None = Field(
        description="Base load, kW or m³/h: the median over the days of the 2.5th percentile of a day's "
        "loads."
    )
    base_share: float | None = Field(
        description="What the base load all the time would be of the consumption."
    )
    peak: float | None = Field(description="The highest mean of an hour, kW or m³/h.")
    peak_at: datetime | None = Field(description="When that hour began.")


class Closed(BaseModel):
    """Consumption at times when the building is closed."""

    model_config = ConfigDict(
        json_schema_extra={
            "example": {"night": 41200.0, "weekend": 30100.0, "share": 0.44, "share_of_time": 0.64}
        }
    )

    night: float = Field(description="On days on which it opens, before it does and after; kWh or m³.")
    weekend: float = Field(description="On days on which it does not open; kWh or m³.")
    share: float | None = Field(description="Of the consumption, both together.")
    share_of_time: float | None = Field(
        description="How much of the period it was closed: a load that never changes has this share."
    )


class Cost(BaseModel):
    """By the tariffs in force."""

    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "currency": "EUR",
                "energy": 41230.5,
                "standing": 200.75,
                "total": 41431.25,
                "by_period": {"Peak": 30110.0, "": 11120.5},
                "priced_share": 1.0,
            }
        }
    )

    currency: str
    energy: float
    standing: float
    total: float
    by_period: dict[str, float] = Field(
        description="What the energy cost by period of the tariff; the empty name is all other times."
    )
    priced_share: float = Field(
        description="Share of the consumption for whose time there is a tariff; below 1, cost is missing."
    )


class Emissions(BaseModel):
    """By the emission factors in force."""

    model_config = ConfigDict(
        json_schema_extra={"example": {"co2e": 26910.2, "factored_share": 1.0, "sources": ["Your supplier"]}}
    )

    co2e: float = Field(description="kg CO2e.")
    factored_share: float = Field(description="Share of the consumption for whose time there is a factor.")
    sources: list[str]


class Consumption(BaseModel):
    """What was consumed of one carrier, and what follows from it."""

    carrier: Carrier
    unit: Unit
    consumption: float | None = Field(
        description="kWh or m³ in `[from, to)`; null when there are no readings around it."
    )
    load: Load
    closed: Closed | None = Field(description="Null without consumption.")
    cost: Cost | None = Field(description="Null where there is no tariff.")
    emissions: Emissions | None = Field(description="Null where there is no emission factor.")
    completeness: Completeness


class MeterEnergy(Consumption):
    """A meter's consumption."""

    meter: int
    name: str
    point: int
    building: int | None
    storey: int | None
    space: int | None
    equipment: int | None = Field(description="Where it measures an equipment; where that stands, before.")
    submeter_of: int | None
    submetered: float | None = Field(
        description="What its direct submeters counted of it; null when it has none."
    )
    problem: str | None = Field(description="Why there is no consumption, where the meter itself is wrong.")
    unmetered: float | None = Field(
        description="What none of its submeters counted: the remainder. Below 0, they count more than it."
    )


class PlaceEnergy(Consumption):
    """Consumption of a building, storey or space: of its meters, submeters not counted twice."""

    id: int
    name: str
    whole: bool = Field(
        description="Whether all of it is metered: by a meter of its own, or of each storey or space in it. "
        "Otherwise it is the sum of what is metered, and there is no `per_area`."
    )
    meters: list[int] = Field(description="Whose sum it is.")
    area: float | None = Field(description="m²; of a building the gross area, else the spaces' sum.")
    per_area: float | None = Field(description="kWh/m² or m³/m².")


class Energy(Answer):
    """Consumption by meter, space, storey and building."""

    opening_hours: OpeningHours
    meters: list[MeterEnergy]
    spaces: list[PlaceEnergy]
    storeys: list[PlaceEnergy]
    buildings: list[PlaceEnergy]


class ProfileHour(BaseModel):
    """An hour of a typical day, kW or m³/h."""

    model_config = ConfigDict(
        json_schema_extra={
            "example": {"hour": 8, "days": 250, "mean": 31.2, "low": 22.0, "median": 30.8, "high": 41.5}
        }
    )

    hour: int = Field(description="Local, 0 to 23.")
    days: int = Field(description="How many were measured.")
    mean: float | None
    low: float | None = Field(description="10th percentile.")
    median: float | None
    high: float | None = Field(description="90th percentile.")


class DayConsumption(BaseModel):
    """A local day."""

    model_config = ConfigDict(
        json_schema_extra={
            "example": {"date": "2026-01-19", "consumption": 512.5, "peak": 61.2, "measured": 1.0}
        }
    )

    date: date
    consumption: float | None = Field(description="kWh or m³.")
    peak: float | None = Field(description="Highest mean of an hour, kW or m³/h.")
    measured: float = Field(description="Share of its hours in which every meter said something.")


class Profile(Answer):
    """How a load runs over the week and the day."""

    carrier: Carrier
    unit: Unit
    name: str | None = Field(description="What it is about; null for several buildings.")
    time_zone: str
    meters: list[int] = Field(description="Whose sum it is.")
    whole: bool
    opening_hours: OpeningHours
    week: list[list[float | None]] = Field(
        description="Mean load, kW or m³/h: seven lists, Monday first, of 24 local hours."
    )
    open_day: list[ProfileHour] = Field(description="A typical day on which the building opens.")
    closed_day: list[ProfileHour] = Field(description="A typical day on which it does not.")
    days: list[DayConsumption]
    load: Load


class DegreeDay(BaseModel):
    """A local day's degree days."""

    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "date": "2026-01-19",
                "mean_temperature": 2.5,
                "heating": 13.0,
                "cooling": 0.0,
                "hours": 24,
            }
        }
    )

    date: date
    mean_temperature: float | None = Field(description="°C; null when too few hours were measured.")
    heating: float | None = Field(description="K·d")
    cooling: float | None = Field(description="K·d")
    hours: int = Field(description="That were measured.")


class DegreeDayMonth(BaseModel):
    """A local month's degree days: the sum of its days that were measured."""

    model_config = ConfigDict(
        json_schema_extra={
            "example": {"month": "2026-01", "heating": 402.5, "cooling": 0.0, "days": 31, "missing_days": 0}
        }
    )

    month: str
    heating: float
    cooling: float
    days: int
    missing_days: int


Method = Literal["hourly", "mean"]


class DegreeDays(Answer):
    """Heating and cooling degree days of a building's outdoor temperature."""

    building: int | None
    name: str | None = Field(description="The building's.")
    time_zone: str
    outdoor_point: int | None = Field(description="Whose temperature it is; null when nothing measures it.")
    method: Method
    method_name: str = Field(description="What the method is called where it is published.")
    heating_base: float = Field(description="°C")
    cooling_base: float = Field(description="°C")
    heating: float = Field(description="K·d, of the days that were measured.")
    cooling: float = Field(description="K·d, of the days that were measured.")
    missing_days: int = Field(description="Days of which too few hours were measured.")
    months: list[DegreeDayMonth]
    days: list[DegreeDay]


class Fit(BaseModel):
    """How well a model fits, as ASHRAE Guideline 14 defines it."""

    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "observations": 8712,
                "parameters": 175,
                "cv_rmse": 0.142,
                "nmbe": 0.0,
                "r_squared": 0.91,
                "cv_rmse_limit": 0.3,
                "nmbe_limit": 0.1,
                "meets_limits": True,
            }
        }
    )

    observations: int
    parameters: int
    cv_rmse: float | None = Field(description="Of the mean; 0.15 is 15 %.")
    nmbe: float | None = Field(description="Of the mean; above 0, the model says less than was measured.")
    r_squared: float | None
    cv_rmse_limit: float
    nmbe_limit: float
    meets_limits: bool


class Uncertainty(BaseModel):
    """Of the savings, at a level of confidence."""

    model_config = ConfigDict(
        json_schema_extra={"example": {"confidence": 0.9, "fraction": 0.21, "low": 9800.0, "high": 15000.0}}
    )

    confidence: float
    fraction: float | None = Field(
        description="Fractional savings uncertainty: half the interval's width, of the savings; null when "
        "nothing was saved."
    )
    low: float
    high: float


class Savings(BaseModel):
    """What was consumed less than the baseline says it would have been."""

    predicted: float = Field(description="kWh or m³ that the baseline gives for the measured hours.")
    actual: float = Field(description="kWh or m³ in the same hours.")
    savings: float = Field(description="Predicted less actual; below 0, more was consumed.")
    fraction: float | None = Field(description="Of what was predicted.")
    uncertainty: list[Uncertainty] = Field(description="At 68 % and 90 % confidence.")
    meets_guideline: bool = Field(
        description="Whether the uncertainty at 68 % confidence is below half of the savings, which "
        "Guideline 14 asks for."
    )
    hours: int = Field(description="That were measured, energy and temperature both.")
    extrapolated_share: float = Field(
        description="Of them, those colder or warmer than any hour of the baseline period."
    )


class CusumDay(BaseModel):
    """A local day of the reporting period."""

    model_config = ConfigDict(
        json_schema_extra={
            "example": {"date": "2026-01-19", "predicted": 530.0, "actual": 512.5, "cumulative": 17.5}
        }
    )

    date: date
    predicted: float
    actual: float
    cumulative: float = Field(description="Predicted less actual since the period began: CUSUM.")


class TemperatureEffect(BaseModel):
    """How the load follows the temperature within a segment."""

    model_config = ConfigDict(
        json_schema_extra={"example": {"mode": "occupied", "starts": 10.0, "ends": 15.0, "slope": -0.8}}
    )

    mode: Literal["occupied", "unoccupied"]
    starts: float = Field(description="°C")
    ends: float = Field(description="°C")
    slope: float = Field(description="kW/K, or m³/h/K.")


class Baseline(Answer):
    """A model of what a building would consume, and the savings against it."""

    carrier: Carrier
    unit: Unit
    name: str | None = Field(description="What it is about; null for several buildings.")
    time_zone: str
    meters: list[int]
    whole: bool
    outdoor_point: int | None = Field(
        description="Whose temperature the model takes; null: there is none, and it knows the time of the "
        "week alone."
    )
    model: str = Field(description="What the model is called where it is published.")
    baseline_from: datetime
    baseline_to: datetime
    occupied_hours: int = Field(description="Of the 168 of a week, those that the model found in use.")
    temperature: list[TemperatureEffect]
    hourly: Fit | None = Field(description="Null when there is too little to fit.")
    monthly: Fit | None = Field(
        description="The same predictions summed by calendar month, where the baseline has at least six."
    )
    problem: str | None = Field(description="Why there is no model, when there is none.")
    savings: Savings | None = Field(description="Null without a model.")
    cusum: list[CusumDay]


class PeriodOfBuilding(BaseModel):
    """A building in one period."""

    starting: datetime
    ending: datetime
    consumption: float | None = Field(description="kWh or m³.")
    per_area: float | None = Field(description="kWh/m² or m³/m².")
    heating_degree_days: float | None = Field(description="K·d; null without outdoor temperature.")
    cooling_degree_days: float | None = Field(description="K·d")
    per_area_and_heating_degree_day: float | None = Field(description="kWh/(m²·K·d).")
    cost: float | None
    currency: str | None = Field(description="Of the cost; null where there is none.")
    co2e: float | None = Field(description="kg.")
    completeness: Completeness


class BuildingComparison(BaseModel):
    """A building in two periods."""

    building: int
    name: str
    carrier: Carrier
    unit: Unit
    whole: bool
    area: float | None
    now: PeriodOfBuilding
    before: PeriodOfBuilding
    change: float | None = Field(
        description="Of consumption, relative to before: -0.1 is 10 % less. Null if other meters counted."
    )
    change_per_degree_day: float | None = Field(
        description="The same of the consumption by heating degree day, for carriers that heat."
    )
    rank: int | None = Field(description="Among the buildings, by consumption per m² now: 1 is the lowest.")


class Comparison(Answer):
    """Buildings and periods, beside each other."""

    heating_base: float
    cooling_base: float
    buildings: list[BuildingComparison]
