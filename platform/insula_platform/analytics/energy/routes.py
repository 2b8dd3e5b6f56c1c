"""`GET …/analytics/energy` and below."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import AwareDatetime

from insula_platform.access import Access, Requires
from insula_platform.analytics.energy.schemas import (
    Baseline,
    Comparison,
    DegreeDays,
    Energy,
    Method,
    Profile,
)
from insula_platform.analytics.questions import Asked
from insula_platform.problems import PROBLEM_RESPONSES
from insula_platform.state import CurrentPlatform
from insula_tenants.energy.models import Carrier

router = APIRouter(
    prefix="/api/v1/tenants/{tenant}/analytics/energy", tags=["Energy"], responses=PROBLEM_RESPONSES
)

Reader = Annotated[Access, Requires("readings:read")]
Weekdays = Annotated[
    str, Query(pattern="^[1-7]{0,7}$", description="Days on which the buildings open: 1 is Monday, 7 Sunday.")
]
_CLOCK = r"^([01][0-9]|2[0-3]):[0-5][0-9]$|^24:00$"
Opens = Annotated[str, Query(pattern=_CLOCK, description="Local time at which they open.")]
Closes = Annotated[str, Query(pattern=_CLOCK, description="Local time at which they close.")]
WhichCarrier = Annotated[Carrier, Query(description="Of which carrier.")]
WhichMeter = Annotated[
    int | None, Query(ge=1, lt=2**31, description="Of this meter alone; else of the place that is asked for.")
]
HeatingBase = Annotated[float, Query(ge=-30, le=50, allow_inf_nan=False, description="°C")]
CoolingBase = Annotated[float, Query(ge=-30, le=50, allow_inf_nan=False, description="°C")]


@router.get("")
async def get_energy(
    access: Reader,
    platform: CurrentPlatform,
    asked: Asked,
    weekdays: Weekdays = "12345",
    opens: Opens = "07:00",
    closes: Closes = "19:00",
) -> Energy:
    """Consumption by meter, space, storey and building, and what follows from it."""
    raise NotImplementedError


@router.get("/profile")
async def get_profile(
    access: Reader,
    platform: CurrentPlatform,
    asked: Asked,
    carrier: WhichCarrier = "electricity",
    meter: WhichMeter = None,
    weekdays: Weekdays = "12345",
    opens: Opens = "07:00",
    closes: Closes = "19:00",
) -> Profile:
    """How the load of a place or a meter runs over the week and the day."""
    raise NotImplementedError


@router.get("/degree-days")
async def get_degree_days(
    access: Reader,
    platform: CurrentPlatform,
    asked: Asked,
    method: Annotated[Method, Query(description="From hourly temperatures, or from daily means.")] = "hourly",
    heating_base: HeatingBase = 15.5,
    cooling_base: CoolingBase = 18.3,
) -> DegreeDays:
    """Heating and cooling degree days by day and month."""
    raise NotImplementedError


@router.get("/baseline")
async def get_baseline(
    access: Reader,
    platform: CurrentPlatform,
    asked: Asked,
    baseline_from: Annotated[AwareDatetime, Query(description="Where the baseline period begins.")],
    baseline_to: Annotated[AwareDatetime, Query(description="Where it ends; not included.")],
    carrier: WhichCarrier = "electricity",
    meter: WhichMeter = None,
) -> Baseline:
    """What a place or a meter would have consumed, by its baseline period, and the savings against that."""
    raise NotImplementedError


@router.get("/comparison")
async def get_comparison(
    access: Reader,
    platform: CurrentPlatform,
    asked: Asked,
    against_from: Annotated[
        AwareDatetime | None,
        Query(description="Where the period to compare with begins; without it: as long, directly before."),
    ] = None,
    against_to: Annotated[AwareDatetime | None, Query(description="Where it ends; not included.")] = None,
    carrier: WhichCarrier = "electricity",
    heating_base: HeatingBase = 15.5,
    cooling_base: CoolingBase = 18.3,
) -> Comparison:
    """Buildings and periods beside each other, by area and by degree day."""
    raise NotImplementedError
