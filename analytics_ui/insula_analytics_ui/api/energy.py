"""Energy: consumption, load profiles, degree days, baselines and comparisons.

Consumption is in `unit` (kWh, or m³ of water), loads are in kW or m³/h, shares lie between 0 and 1.
"""

from __future__ import annotations

import datetime as dt
from datetime import datetime

from insula_analytics_ui.api.analytics import Completeness
from insula_analytics_ui.api.client import Answer, Api, Query


class Load(Answer):
    """What hourly loads tell."""

    hours: int = 0
    mean: float | None = None
    base: float | None = None
    base_share: float | None = None
    peak: float | None = None
    peak_at: datetime | None = None


class Closed(Answer):
    """Consumption while the building is closed, in nights of working days and on other days."""

    night: float
    weekend: float
    share: float | None = None
    share_of_time: float | None = None


class Cost(Answer):
    """By the tariffs in force; `priced_share` of the consumption has one."""

    currency: str
    total: float
    priced_share: float = 1


class Emissions(Answer):
    """kg CO2e, by the factors in force; `factored_share` of the consumption has one."""

    co2e: float
    factored_share: float = 1
    sources: tuple[str, ...] = ()


class Consumption(Answer):
    """What was consumed of one carrier."""

    name: str
    carrier: str
    unit: str
    consumption: float | None = None
    load: Load = Load()
    closed: Closed | None = None
    cost: Cost | None = None
    emissions: Emissions | None = None
    completeness: Completeness = Completeness()


class MeterEnergy(Consumption):
    """A meter; of a main one, `unmetered` is what none of its submeters counted."""

    meter: int
    building: int | None = None
    storey: int | None = None
    space: int | None = None
    submeter_of: int | None = None
    unmetered: float | None = None
    problem: str | None = None


class PlaceEnergy(Consumption):
    """A building, storey or space; `whole` is whether all of it is metered. `area` in m²."""

    id: int
    whole: bool = True
    area: float | None = None
    per_area: float | None = None


class OpeningHours(Answer):
    """When the buildings are held to be open, by their clocks; weekdays from 1 for Monday."""

    weekdays: tuple[int, ...] = (1, 2, 3, 4, 5)
    opens: str = "07:00"
    closes: str = "19:00"


class Energy(Answer):
    """Consumption by meter and by place."""

    opening_hours: OpeningHours = OpeningHours()
    meters: tuple[MeterEnergy, ...] = ()
    spaces: tuple[PlaceEnergy, ...] = ()
    storeys: tuple[PlaceEnergy, ...] = ()
    buildings: tuple[PlaceEnergy, ...] = ()
    completeness: Completeness = Completeness()
    complete_until: datetime | None = None


class ProfileHour(Answer):
    """An hour of a typical day: its mean load, and the 10th and 90th percentile of the days."""

    hour: int
    days: int = 0
    mean: float | None = None
    low: float | None = None
    high: float | None = None


class Day(Answer):
    """A local day; `measured` is the share of its hours in which every meter said something."""

    date: dt.date
    consumption: float | None = None
    peak: float | None = None
    measured: float = 0


class Profile(Answer):
    """How a load runs over the days, the week (seven lists of 24, Monday first) and the day."""

    carrier: str
    unit: str
    time_zone: str = "UTC"
    opening_hours: OpeningHours = OpeningHours()
    week: tuple[tuple[float | None, ...], ...] = ()
    open_day: tuple[ProfileHour, ...] = ()
    closed_day: tuple[ProfileHour, ...] = ()
    days: tuple[Day, ...] = ()
    load: Load = Load()
    completeness: Completeness = Completeness()
    complete_until: datetime | None = None


class DegreeDayMonth(Answer):
    """A local month, `2026-01`: K·d."""

    month: str
    heating: float
    cooling: float
    missing_days: int = 0


class DegreeDays(Answer):
    """Heating and cooling degree days, K·d; `outdoor_point` is None when nothing measures the temperature."""

    outdoor_point: int | None = None
    method_name: str = ""
    heating_base: float = 15.5
    cooling_base: float = 18.3
    heating: float = 0
    cooling: float = 0
    missing_days: int = 0
    months: tuple[DegreeDayMonth, ...] = ()
    completeness: Completeness = Completeness()
    complete_until: datetime | None = None


class Fit(Answer):
    """How well a model fits, as ASHRAE Guideline 14 defines it."""

    cv_rmse: float | None = None
    nmbe: float | None = None
    r_squared: float | None = None
    cv_rmse_limit: float
    nmbe_limit: float
    meets_limits: bool


class Uncertainty(Answer):
    """Of the savings, at a level of confidence."""

    confidence: float
    low: float
    high: float


class Savings(Answer):
    """Predicted less actual; below 0, more was consumed."""

    predicted: float
    actual: float
    savings: float
    fraction: float | None = None
    uncertainty: tuple[Uncertainty, ...] = ()
    meets_guideline: bool = False
    hours: int = 0
    extrapolated_share: float = 0


class CusumDay(Answer):
    """A local day of the reporting period; `cumulative` is predicted less actual since it began."""

    date: dt.date
    predicted: float
    actual: float
    cumulative: float


class Baseline(Answer):
    """A model of what would have been consumed, or the `problem` why there is none."""

    carrier: str
    unit: str
    time_zone: str = "UTC"
    outdoor_point: int | None = None
    model: str = ""
    baseline_from: datetime
    baseline_to: datetime
    hourly: Fit | None = None
    monthly: Fit | None = None
    problem: str | None = None
    savings: Savings | None = None
    cusum: tuple[CusumDay, ...] = ()
    completeness: Completeness = Completeness()
    complete_until: datetime | None = None


class BuildingPeriod(Answer):
    """A building in one period."""

    starting: datetime
    ending: datetime
    consumption: float | None = None
    per_area: float | None = None
    heating_degree_days: float | None = None
    cost: float | None = None
    currency: str | None = None
    co2e: float | None = None
    completeness: Completeness = Completeness()


class BuildingComparison(Answer):
    """A building in two periods; `change` is relative, -0.1 is 10 % less."""

    building: int
    name: str
    unit: str
    whole: bool = True
    area: float | None = None
    now: BuildingPeriod
    before: BuildingPeriod
    change: float | None = None
    change_per_degree_day: float | None = None
    rank: int | None = None


class Comparison(Answer):
    """Buildings and periods, beside each other."""

    buildings: tuple[BuildingComparison, ...] = ()
    completeness: Completeness = Completeness()
    complete_until: datetime | None = None


def energy(api: Api, asked: Query) -> Energy:
    """Consumption by meter, space, storey and building."""
    return api.one(Energy, "analytics/energy", asked)


def profile(api: Api, asked: Query) -> Profile:
    """The load of the place, or of the meter, that `asked` names."""
    return api.one(Profile, "analytics/energy/profile", asked)


def degree_days(api: Api, asked: Query) -> DegreeDays:
    """Degree days of the outdoor temperature of a place."""
    return api.one(DegreeDays, "analytics/energy/degree-days", asked)


def baseline(api: Api, asked: Query) -> Baseline:
    """What a place would have consumed by its baseline period."""
    return api.one(Baseline, "analytics/energy/baseline", asked)


def comparison(api: Api, asked: Query) -> Comparison:
    """Buildings in this period and another."""
    return api.one(Comparison, "analytics/energy/comparison", asked)


class Meter(Answer):
    """A meter as it was declared."""

    id: int
    name: str
    carrier: str


def meters(api: Api) -> list[Meter]:
    """All meters that the person may see."""
    return api.items(Meter, "meters", page=200)
