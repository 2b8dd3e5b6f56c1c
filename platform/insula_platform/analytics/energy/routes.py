"""`GET …/analytics/energy` and below."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import UTC, datetime
from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import AwareDatetime

from insula_platform.access import Access, Requires, visible_spaces_async
from insula_platform.analytics.completeness import Completeness
from insula_platform.analytics.energy.baseline_answers import baseline_answer, degree_day_answers
from insula_platform.analytics.energy.chosen import Chosen, choose
from insula_platform.analytics.energy.comparison_answers import compare
from insula_platform.analytics.energy.consumption_answers import (
    Sum,
    daily,
    load_answer,
    meter_energy,
    opening_answer,
    place_energy,
    profile_hours,
)
from insula_platform.analytics.energy.schemas import (
    Baseline,
    Comparison,
    DegreeDays,
    Energy,
    Method,
    Profile,
)
from insula_platform.analytics.questions import LONGEST, Asked
from insula_platform.problems import PROBLEM_RESPONSES
from insula_platform.state import CurrentPlatform
from insula_tenants.analytics.completeness import completeness_of, together
from insula_tenants.analytics.energy import degree_days, load
from insula_tenants.analytics.energy.baseline import Measured
from insula_tenants.analytics.energy.consumption import NO_COMPLETENESS, AllMetered, load_metered
from insula_tenants.analytics.energy.hours import hours_of
from insula_tenants.analytics.energy.opening import OpeningHours
from insula_tenants.analytics.energy.places import Place, find_places, metered_places
from insula_tenants.analytics.energy.weather import find_buildings, load_temperatures, outdoor_of
from insula_tenants.energy.meters import find_meters
from insula_tenants.energy.models import Carrier
from insula_tenants.energy.tariffs import Prices, minutes_of, read_prices
from insula_tenants.energy.units import unit_of
from insula_tenants.errors import InvalidInput
from insula_tenants.telemetry.buckets import EARLIEST, LATEST

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
    """Consumption by meter, space, storey and building: per m², base load, peak, closed hours, cost, CO2e.

    What was counted between two readings is spread evenly over the time between, and the first and the last
    hour have their share of it. A place is the sum of its meters, submeters not counted twice. See
    `docs/energy.md` for what each figure is.
    """
    hours_open = _opening(weekdays, opens, closes)
    async with platform.async_databases.snapshot(access.context) as connection:
        where = replace(asked.where, within=await visible_spaces_async(access, connection))
        meters = await find_meters(connection, where)
        places = await find_places(connection, meters, where)
        prices = await read_prices(connection)
        loaded = await load_metered(connection, meters, *_until_now(asked.starting, asked.ending))
    return await asyncio.to_thread(_energy, loaded, places, prices, hours_open)


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
    """How the load of a place or a meter runs over the week and the day, by the hours that were measured."""
    hours_open = _opening(weekdays, opens, closes)
    async with platform.async_databases.snapshot(access.context) as connection:
        where = replace(asked.where, within=await visible_spaces_async(access, connection))
        chosen = await choose(connection, where, carrier, meter)
        period = _until_now(asked.starting, asked.ending)
        loaded = await load_metered(connection, chosen.meters, *period)
    return await asyncio.to_thread(_profile, chosen, loaded, hours_open)


@router.get("/degree-days")
async def get_degree_days(
    access: Reader,
    platform: CurrentPlatform,
    asked: Asked,
    method: Annotated[Method, Query(description="From hourly temperatures, or from daily means.")] = "hourly",
    heating_base: HeatingBase = degree_days.HEATING_BASE,
    cooling_base: CoolingBase = degree_days.COOLING_BASE,
) -> DegreeDays:
    """Heating and cooling degree days by day and month, of a building's outdoor temperature.

    Without `building`: of the first one that your grant covers.
    """
    async with platform.async_databases.snapshot(access.context) as connection:
        where = replace(asked.where, within=await visible_spaces_async(access, connection))
        building = next(iter(await find_buildings(connection, where)), None)
        zone = building.time_zone if building else "UTC"
        period = _until_now(asked.starting, asked.ending)
        hours = await asyncio.to_thread(hours_of, *period, zone)
        outdoor = await outdoor_of(connection, where, building.id) if building else None
        temperatures = await load_temperatures(connection, outdoor, hours)
        sensors = [outdoor] if outdoor else []
        complete = await completeness_of(connection, sensors, *period)
    days = (
        degree_days.degree_days(
            temperatures, hours, heating_base=heating_base, cooling_base=cooling_base, method=method
        )
        if temperatures is not None
        else []
    )
    return DegreeDays(
        building=building.id if building else None,
        name=building.name if building else None,
        time_zone=zone,
        outdoor_point=outdoor.id if outdoor else None,
        method=method,
        method_name=degree_days.METHOD_NAMES[method],
        heating_base=heating_base,
        cooling_base=cooling_base,
        complete_until=_until(asked.ending),
        completeness=Completeness.model_validate(together(complete.values())),
        **degree_day_answers(days),
    )


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
    """What a place or a meter would have consumed, by its baseline period, and the savings against that.

    `from` and `to` are the reporting period. The model is of the time of week and the outdoor temperature.
    Fit and uncertainty are as ASHRAE Guideline 14 defines them.
    """
    _check_interval("baseline_to", baseline_from, baseline_to)
    periods = (_until_now(baseline_from, baseline_to), _until_now(asked.starting, asked.ending))
    async with platform.async_databases.snapshot(access.context) as connection:
        where = replace(asked.where, within=await visible_spaces_async(access, connection))
        chosen = await choose(connection, where, carrier, meter)
        outdoor = await outdoor_of(connection, where, chosen.building) if chosen.meters else None
        both, measured = [], []
        for starting, ending in periods:
            loaded = await load_metered(connection, chosen.meters, starting, ending)
            hours = await asyncio.to_thread(hours_of, starting, ending, chosen.time_zone)
            temperatures = await load_temperatures(connection, outdoor, hours)
            loads = await asyncio.to_thread(chosen.loads, loaded, hours)
            both.append(loaded)
            measured.append(Measured(hours, loads, temperatures))
    found = await asyncio.to_thread(baseline_answer, *measured)
    parts = [one.completeness for loaded in both for one in loaded.meters]
    return Baseline(
        carrier=chosen.carrier,
        unit=unit_of(chosen.carrier),
        name=chosen.name,
        time_zone=chosen.time_zone,
        meters=[one.id for one in chosen.meters],
        whole=chosen.whole,
        outdoor_point=outdoor.id if outdoor else None,
        baseline_from=baseline_from.astimezone(UTC),
        baseline_to=baseline_to.astimezone(UTC),
        complete_until=_until(asked.ending, both[-1]),
        completeness=Completeness.model_validate(together(parts)),
        **found,
    )


@router.get("/comparison")
async def get_comparison(
    access: Reader,
    platform: CurrentPlatform,
    asked: Asked,
    against_from: Annotated[
        AwareDatetime | None,
        Query(description="Where the other period begins; without it: just before, as long as what is over."),
    ] = None,
    against_to: Annotated[AwareDatetime | None, Query(description="Where it ends; not included.")] = None,
    carrier: WhichCarrier = "electricity",
    heating_base: HeatingBase = degree_days.HEATING_BASE,
    cooling_base: CoolingBase = degree_days.COOLING_BASE,
) -> Comparison:
    """Buildings and periods beside each other, by area and by degree day."""
    if (against_from is None) != (against_to is None):
        raise InvalidInput("against_from", "give both `against_from` and `against_to`, or neither")
    period = starting, ending = _until_now(asked.starting, asked.ending)
    if against_from is None or against_to is None:
        # As long as what is over of it: a month that has just begun is not compared with a whole one.
        against_from, against_to = starting - ((ending - starting) or (asked.ending - starting)), starting
    _check_interval("against_to", against_from, against_to)
    async with platform.async_databases.snapshot(access.context) as connection:
        where = replace(asked.where, within=await visible_spaces_async(access, connection))
        return await compare(
            connection,
            where,
            carrier,
            (period, _until_now(against_from, against_to)),
            (heating_base, cooling_base),
        )


def _energy(loaded: AllMetered, places: list[Place], prices: Prices, hours_open: OpeningHours) -> Energy:
    by_id = {one.meter.id: one for one in loaded.meters}
    below = {meter: [one for one in loaded.meters if one.meter.submeter_of == meter] for meter in by_id}
    found = [
        (of.place.kind, place_energy(of, [by_id[meter.id] for meter in of.meters], prices, hours_open))
        for of in metered_places(places, [one.meter for one in loaded.meters])
    ]
    return Energy(
        opening_hours=opening_answer(hours_open),
        meters=[meter_energy(one, below[one.meter.id], prices, hours_open) for one in loaded.meters],
        spaces=[answer for kind, answer in found if kind == "space"],
        storeys=[answer for kind, answer in found if kind == "storey"],
        buildings=[answer for kind, answer in found if kind == "building"],
        complete_until=loaded.complete_until,
        completeness=_completeness(loaded),
    )


def _profile(chosen: Chosen, loaded: AllMetered, hours_open: OpeningHours) -> Profile:
    told = {
        "carrier": chosen.carrier,
        "unit": unit_of(chosen.carrier),
        "name": chosen.name,
        "time_zone": chosen.time_zone,
        "meters": [one.id for one in chosen.meters],
        "whole": chosen.whole,
        "opening_hours": opening_answer(hours_open),
        "complete_until": loaded.complete_until,
        "completeness": _completeness(loaded),
    }
    if not loaded.meters:
        hours = hours_of(EARLIEST, EARLIEST, "UTC")
        sum_, loads = None, hours.length
    else:
        sum_ = Sum.of(loaded.meters)
        hours, loads = sum_.hours, sum_.loads
    opens = hours_open.opens_on(hours)
    return Profile(
        week=load.week_of(loads, hours),
        open_day=profile_hours(loads, hours, opens),
        closed_day=profile_hours(loads, hours, ~opens),
        days=daily(sum_) if sum_ else [],
        load=load_answer(loads, hours),
        **told,
    )


def _completeness(loaded: AllMetered) -> Completeness:
    parts = [one.completeness for one in loaded.meters] or [NO_COMPLETENESS]
    return Completeness.model_validate(together(parts))


def _opening(weekdays: str, opens: str, closes: str) -> OpeningHours:
    return OpeningHours(frozenset(map(int, weekdays)), minutes_of(opens), minutes_of(closes))


def _check_interval(field: str, starting: datetime, ending: datetime) -> None:
    if ending <= starting:
        raise InvalidInput(field, "the interval ends before it begins: it holds nothing")
    if ending - starting > LONGEST:
        raise InvalidInput(field, "ask for three years at most")


def _until_now(starting: datetime, ending: datetime) -> tuple[datetime, datetime]:
    """The part of a period that is over: what is still to come is neither closed nor costs anything."""
    return starting, max(starting, min(ending, datetime.now(UTC)))


def _until(ending: datetime, loaded: AllMetered | None = None) -> datetime:
    """What is asked of the future is complete until now."""
    asked = min(ending, LATEST).astimezone(UTC)
    return min(asked, datetime.now(UTC), loaded.complete_until if loaded else asked)
