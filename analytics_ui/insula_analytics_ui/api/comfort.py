"""Comfort: occupied hours by category of each space, and the hours of one."""

from __future__ import annotations

from datetime import datetime

from insula_analytics_ui.api.analytics import Completeness
from insula_analytics_ui.api.client import Answer, Api, Query


class Occupied(Answer):
    """Which hours count, by the building's clock; `days` from 1 for Monday."""

    by: str = "schedule"
    from_hour: int = 8
    until_hour: int = 18
    days: tuple[int, ...] = (1, 2, 3, 4, 5)


class Assumption(Answer):
    """What was taken to be so in how many of the occupied hours, because nobody measured or said it."""

    what: str
    value: str | None = None
    unit: str | None = None
    hours: float = 0


class Judged(Answer):
    """Occupied hours by category: `I` to `IV`, and `beyond`; `out_of_band` is a share, 0 to 1."""

    hours: float
    by_category: dict[str, float]
    below: float = 0
    above: float = 0
    out_of_band: float | None = None
    not_measured: float = 0
    outside_limits: float = 0


class Temperature(Judged):
    """Operative temperature, °C."""

    mean: float | None = None
    lowest: float | None = None
    highest: float | None = None


class Pmv(Judged):
    """Predicted mean vote, and the percentage of dissatisfied that follows from it."""

    pmv: float | None = None
    ppd: float | None = None


class Co2(Judged):
    """CO2, ppm."""

    mean: float | None = None
    highest: float | None = None


class Tm52(Answer):
    """Overheating by CIBSE TM52: the criteria (1 to 3) that fail, and whether two or more do."""

    exceedance: float
    worst_day_weight: float
    largest: float
    failed: tuple[int, ...] = ()
    overheats: bool = False


class Overheating(Answer):
    """Occupied hours over 26 and 28 °C."""

    hours: float
    above_26: float
    above_28: float
    tm52: Tm52 | None = None


class SpaceComfort(Answer):
    """One space; what it has no sensor for is None."""

    space: int
    name: str
    storey: str = ""
    building: str = ""
    time_zone: str = "UTC"
    category: str = "II"
    hours: float = 0
    temperature: Temperature | None = None
    pmv: Pmv | None = None
    adaptive: Judged | None = None
    co2: Co2 | None = None
    overheating: Overheating | None = None
    assumed: tuple[Assumption, ...] = ()
    completeness: Completeness = Completeness()


class Comfort(Answer):
    """The comfort of some spaces."""

    spaces: tuple[SpaceComfort, ...]
    occupied: Occupied = Occupied()
    completeness: Completeness = Completeness()
    complete_until: datetime | None = None


class Hour(Answer):
    """An hour of a space; what was not measured or cannot be told is None."""

    time: datetime
    occupied: bool
    temperature: float | None = None
    co2: float | None = None
    lower: float | None = None
    upper: float | None = None
    pmv: float | None = None
    ppd: float | None = None
    adaptive_lower: float | None = None
    adaptive_upper: float | None = None
    outdoor_running_mean: float | None = None


class Hours(Answer):
    """One space, hour by hour."""

    space: int
    name: str
    time_zone: str = "UTC"
    category: str = "II"
    hours: tuple[Hour, ...]
    occupied: Occupied = Occupied()
    assumed: tuple[Assumption, ...] = ()
    completeness: Completeness = Completeness()
    complete_until: datetime | None = None


def comfort(api: Api, asked: Query) -> Comfort:
    """The comfort of the spaces with a temperature or CO2 sensor."""
    return api.one(Comfort, "analytics/comfort", asked)


def comfort_hours(api: Api, asked: Query) -> Hours:
    """The hours of the space that `asked` names."""
    return api.one(Hours, "analytics/comfort/hours", asked)
