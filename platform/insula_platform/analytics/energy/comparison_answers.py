"""Buildings and periods beside each other."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime

from psycopg import AsyncConnection
from psycopg.rows import DictRow

from insula_platform.analytics.completeness import Completeness
from insula_platform.analytics.energy.consumption_answers import Sum, cost_answer, emissions_answer
from insula_platform.analytics.energy.schemas import BuildingComparison, Comparison, PeriodOfBuilding
from insula_tenants.analytics.completeness import together
from insula_tenants.analytics.energy.consumption import Metered, load_metered, total_of
from insula_tenants.analytics.energy.degree_days import degree_days
from insula_tenants.analytics.energy.hours import hours_of
from insula_tenants.analytics.energy.places import MeteredPlace, find_places, metered_places
from insula_tenants.analytics.energy.weather import load_temperatures, outdoor_of
from insula_tenants.analytics.measured import Where
from insula_tenants.energy.meters import find_meters
from insula_tenants.energy.models import Carrier
from insula_tenants.energy.tariffs import Prices, read_prices
from insula_tenants.energy.units import unit_of

Period = tuple[datetime, datetime]
DegreeDaysOf = dict[int, tuple[float, float] | None]
"""Heating and cooling degree days by building, K·d; None where nothing measures the temperature."""


async def compare(
    connection: AsyncConnection[DictRow],
    where: Where,
    carrier: Carrier,
    periods: tuple[Period, Period],
    bases: tuple[float, float],
) -> Comparison:
    """The buildings with meters of this carrier, now and before. `bases` are for heating and cooling, °C.

    The connection is one of `AsyncDatabases.snapshot`.
    """
    meters = [one for one in await find_meters(connection, where) if one.carrier == carrier]
    places = await find_places(connection, meters, where)
    buildings = [one for one in metered_places(places, meters) if one.place.kind == "building"]
    counted = [meter for one in buildings for meter in one.meters]
    prices = await read_prices(connection)
    answers: list[dict[int, PeriodOfBuilding]] = []
    counting: list[set[int]] = []
    complete, until = [], periods[0][1]
    for period in periods:
        loaded = await load_metered(connection, counted, *period)
        if period is periods[0]:
            until = loaded.complete_until
        complete += [one.completeness for one in loaded.meters]
        weather = await _degree_days(connection, where, buildings, period, bases)
        answers.append(await asyncio.to_thread(_of_period, buildings, loaded.meters, weather, prices, period))
        counting.append({one.meter.id for one in loaded.meters if one.total is not None})
    return Comparison(
        heating_base=bases[0],
        cooling_base=bases[1],
        buildings=_ranked(
            _comparison(one, answers[0][one.place.id], answers[1][one.place.id], counting)
            for one in buildings
        ),
        complete_until=until,
        completeness=Completeness.model_validate(together(complete)),
    )


async def _degree_days(
    connection: AsyncConnection[DictRow],
    where: Where,
    buildings: Sequence[MeteredPlace],
    period: Period,
    bases: tuple[float, float],
) -> DegreeDaysOf:
    found: DegreeDaysOf = {}
    for one in buildings:
        outdoor = await outdoor_of(connection, where, one.place.id)
        hours = await asyncio.to_thread(hours_of, *period, one.place.time_zone)
        temperatures = await load_temperatures(connection, outdoor, hours)
        if temperatures is None:
            found[one.place.id] = None
            continue
        days = degree_days(temperatures, hours, heating_base=bases[0], cooling_base=bases[1])
        known = [(day.heating, day.cooling) for day in days if day.heating is not None]
        # A period with a gap in its weather has fewer degree days than there were: it has none to compare by.
        complete = len(known) == len(days)
        found[one.place.id] = (
            (sum(heating for heating, _ in known), sum(cooling or 0.0 for _, cooling in known))
            if complete
            else None
        )
    return found


def _of_period(
    buildings: Sequence[MeteredPlace],
    metered: Sequence[Metered],
    weather: DegreeDaysOf,
    prices: Prices,
    period: Period,
) -> dict[int, PeriodOfBuilding]:
    by_id = {one.meter.id: one for one in metered}
    found = {}
    for one in buildings:
        sum_ = Sum.of([by_id[meter.id] for meter in one.meters])
        total, area = total_of(sum_.consumption), one.place.area
        # Without a meter that counted nothing yet, it is not all of the building.
        whole = one.whole and all(part.total is not None for part in sum_.parts)
        per_area = total / area if whole and area and total is not None else None
        heating, cooling = weather[one.place.id] or (None, None)
        cost = cost_answer(sum_, prices) if total is not None else None
        emissions = emissions_answer(sum_, prices) if total is not None else None
        found[one.place.id] = PeriodOfBuilding(
            starting=period[0].astimezone(UTC),
            ending=period[1].astimezone(UTC),
            consumption=total,
            per_area=per_area,
            heating_degree_days=heating,
            cooling_degree_days=cooling,
            per_area_and_heating_degree_day=per_area / heating if per_area is not None and heating else None,
            cost=cost.total if cost else None,
            currency=cost.currency if cost else None,
            co2e=emissions.co2e if emissions else None,
            completeness=sum_.completeness,
        )
    return found


def _comparison(
    one: MeteredPlace, now: PeriodOfBuilding, before: PeriodOfBuilding, counting: Sequence[set[int]]
) -> BuildingComparison:
    # A meter that is new is no growth: both periods must be the sum of the same ones.
    alike = all((meter.id in counting[0]) == (meter.id in counting[1]) for meter in one.meters)
    return BuildingComparison(
        building=one.place.id,
        name=one.place.name,
        carrier=one.carrier,
        unit=unit_of(one.carrier),
        whole=one.whole and all(meter.id in counting[0] for meter in one.meters),
        area=one.place.area,
        now=now,
        before=before,
        change=_change(now.consumption, before.consumption) if alike else None,
        change_per_degree_day=_change(_per_degree_day(now), _per_degree_day(before)) if alike else None,
        rank=None,
    )


def _per_degree_day(period: PeriodOfBuilding) -> float | None:
    if period.consumption is None or not period.heating_degree_days:
        return None
    return period.consumption / period.heating_degree_days


def _change(now: float | None, before: float | None) -> float | None:
    return now / before - 1 if now is not None and before else None


def _ranked(buildings: Iterable[BuildingComparison]) -> list[BuildingComparison]:
    """In order of consumption by area, lowest first; those without an area after them."""
    known: list[tuple[float, BuildingComparison]] = []
    others: list[BuildingComparison] = []
    for one in buildings:
        if one.now.per_area is None:
            others.append(one)
        else:
            known.append((one.now.per_area, one))
    known.sort(key=lambda pair: pair[0])
    for place, (_, one) in enumerate(known, start=1):
        one.rank = place
    return [one for _, one in known] + others
