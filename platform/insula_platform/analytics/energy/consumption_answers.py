"""Consumption as the API answers about it, computed from what was loaded: off the event loop."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

import numpy as np
from numpy.typing import NDArray

from insula_platform.analytics.completeness import Completeness
from insula_platform.analytics.energy.schemas import (
    Closed,
    Cost,
    DayConsumption,
    Emissions,
    Load,
    MeterEnergy,
    OpeningHours,
    PlaceEnergy,
    ProfileHour,
)
from insula_tenants.analytics.completeness import together
from insula_tenants.analytics.energy import load, opening, tariffs
from insula_tenants.analytics.energy.consumption import Metered, added, total_of
from insula_tenants.analytics.energy.hours import Hours
from insula_tenants.analytics.energy.places import MeteredPlace
from insula_tenants.energy.tariffs import Prices
from insula_tenants.energy.units import unit_of
from insula_tenants.telemetry.buckets import instant

_EPOCH = date(1970, 1, 1)


@dataclass(frozen=True, slots=True)
class Sum:
    """Some meters of one carrier and the same hours, together."""

    parts: Sequence[Metered]
    """One at least."""
    consumption: NDArray[np.float64]
    measured: NDArray[np.bool_]

    @classmethod
    def of(cls, parts: Sequence[Metered]) -> Sum:
        """Their sum."""
        return cls(parts, *added(parts))

    @property
    def hours(self) -> Hours:
        """Of all of them."""
        return self.parts[0].hours

    @property
    def loads(self) -> NDArray[np.float64]:
        """By hour; NaN where one of them was not measured."""
        return load.loads_of(self.consumption, self.measured, self.hours)

    @property
    def completeness(self) -> Completeness:
        """Of their readings."""
        return Completeness.model_validate(together(one.completeness for one in self.parts))


def meter_energy(
    metered: Metered, submeters: Sequence[Metered], prices: Prices, hours_open: opening.OpeningHours
) -> MeterEnergy:
    """A meter's answer; `submeters` are those directly below that the question and the grant cover."""
    meter, total = metered.meter, metered.total
    # Where one of the submeters is out of sight, what none of them counted cannot be told.
    seen = len(submeters) == meter.submeters > 0
    counted = [one.total for one in submeters]
    known = [amount for amount in counted if amount is not None]
    submetered = sum(known) if seen and len(known) == len(counted) else None
    return MeterEnergy(
        meter=meter.id,
        name=meter.name,
        point=meter.point_id,
        building=meter.building,
        storey=meter.storey,
        space=meter.space,
        equipment=meter.equipment_id,
        submeter_of=meter.submeter_of,
        submetered=submetered,
        unmetered=total - submetered if total is not None and submetered is not None else None,
        problem=metered.problem,
        **_consumption(Sum.of([metered]), prices, hours_open),
    )


def place_energy(
    of: MeteredPlace, parts: Sequence[Metered], prices: Prices, hours_open: opening.OpeningHours
) -> PlaceEnergy:
    """A place's answer; `parts` are its meters' hours."""
    told = _consumption(Sum.of(parts), prices, hours_open)
    whole = of.whole and all(one.total is not None for one in parts)
    area, total = of.place.area, told["consumption"]
    return PlaceEnergy(
        id=of.place.id,
        name=of.place.name,
        whole=whole,
        meters=[meter.id for meter in of.meters],
        area=area,
        per_area=total / area if whole and area and total is not None else None,
        **told,
    )


def load_answer(loads: NDArray[np.float64], hours: Hours) -> Load:
    """What hourly loads tell."""
    found = load.load_of(loads, hours)
    return Load(
        hours=found.hours,
        mean=found.mean,
        base=found.base,
        base_share=found.base_share,
        peak=found.peak,
        peak_at=instant(found.peak_at) if found.peak_at is not None else None,
    )


def profile_hours(loads: NDArray[np.float64], hours: Hours, days: NDArray[np.bool_]) -> list[ProfileHour]:
    """A typical one of these days."""
    return [
        ProfileHour(
            hour=one.hour, days=one.days, mean=one.mean, low=one.low, median=one.median, high=one.high
        )
        for one in load.typical_day(loads, hours, days)
    ]


def daily(sum_: Sum) -> list[DayConsumption]:
    """The local days."""
    hours = sum_.hours
    days, place = np.unique(hours.day, return_inverse=True)
    known = ~np.isnan(sum_.consumption)
    amounts = np.bincount(place[known], weights=sum_.consumption[known], minlength=len(days))
    counted = np.bincount(place[known], minlength=len(days))
    asked = np.bincount(place, minlength=len(days))
    measured = np.bincount(place, weights=sum_.measured.astype(np.float64), minlength=len(days))
    peaks = load.daily_peaks(sum_.loads, hours)
    return [
        DayConsumption(
            date=day_of(int(day)),
            consumption=float(amounts[one]) if counted[one] else None,
            peak=peaks.get(int(day)),
            measured=float(measured[one] / asked[one]),
        )
        for one, day in enumerate(days)
    ]


def cost_answer(sum_: Sum, prices: Prices) -> Cost | None:
    """By the tariffs of their building; the standing charge is due for each that is no submeter."""
    meter = sum_.parts[0].meter
    main = sum(1 for one in sum_.parts if not one.meter.ancestors)
    of = prices.tariffs_of(meter.carrier, meter.building)
    cost = tariffs.cost_of(sum_.consumption, sum_.hours, of, standing=main)
    if cost is None:
        return None
    return Cost(
        currency=cost.currency,
        energy=cost.energy,
        standing=cost.standing,
        total=cost.total,
        by_period=cost.by_period,
        priced_share=_share(cost.priced, sum_),
    )


def emissions_answer(sum_: Sum, prices: Prices) -> Emissions | None:
    """By the emission factors of their carrier."""
    of = prices.factors.get(sum_.parts[0].meter.carrier, ())
    found = tariffs.emissions_of(sum_.consumption, sum_.hours, of)
    if found is None:
        return None
    return Emissions(
        co2e=found.co2e, factored_share=_share(found.factored, sum_), sources=list(found.sources)
    )


def opening_answer(hours: opening.OpeningHours) -> OpeningHours:
    """What was asked with."""
    return OpeningHours(
        weekdays=sorted(hours.weekdays),
        opens=f"{hours.opens // 60:02}:{hours.opens % 60:02}",
        closes=f"{hours.closes // 60:02}:{hours.closes % 60:02}",
    )


def day_of(day: int) -> date:
    """A local day, of days since 1 January 1970."""
    return _EPOCH + timedelta(days=day)


def _consumption(sum_: Sum, prices: Prices, hours_open: opening.OpeningHours) -> dict[str, Any]:
    total = total_of(sum_.consumption)
    closed = None
    if total is not None:
        found = opening.closed_consumption(sum_.consumption, sum_.hours, hours_open)
        closed = Closed(
            night=found.night, weekend=found.weekend, share=found.share, share_of_time=found.share_of_time
        )
    carrier = sum_.parts[0].meter.carrier
    return {
        "carrier": carrier,
        "unit": unit_of(carrier),
        "consumption": total,
        "load": load_answer(sum_.loads, sum_.hours),
        "closed": closed,
        "cost": cost_answer(sum_, prices) if total is not None else None,
        "emissions": emissions_answer(sum_, prices) if total is not None else None,
        "completeness": sum_.completeness,
    }


def _share(amount: float, sum_: Sum) -> float:
    """1 of nothing."""
    total = total_of(sum_.consumption)
    return amount / total if total else 1.0
