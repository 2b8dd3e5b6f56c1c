"""What several places or meters come to together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from insula_analytics_ui.api.energy import Consumption, MeterEnergy, PlaceEnergy


@dataclass(frozen=True)
class Totals:
    """Sums of one carrier. Shares lie between 0 and 1; what no part knows is None."""

    consumption: float | None
    area: float | None
    per_area: float | None
    closed_share: float | None
    closed_time: float | None
    priced_share: float
    co2e: float | None
    cost: Mapping[str, float] = field(default_factory=dict)
    """By currency."""


def totals(parts: Sequence[Consumption]) -> Totals:
    """The parts together. Of meters, those that are submeters of another one here are not counted twice."""
    known = {part.meter for part in parts if isinstance(part, MeterEnergy)}
    counted = [part for part in parts if not (isinstance(part, MeterEnergy) and part.submeter_of in known)]
    measured = [part for part in counted if part.consumption is not None]
    consumption = sum(part.consumption or 0 for part in measured) if measured else None
    area = _area(counted)
    shut = [part for part in measured if part.closed is not None]
    closed = sum(part.closed.night + part.closed.weekend for part in shut if part.closed)
    of = sum(part.consumption or 0 for part in shut)
    times = [
        part.closed.share_of_time for part in shut if part.closed and part.closed.share_of_time is not None
    ]
    cost: dict[str, float] = {}
    for part in counted:
        if part.cost:
            cost[part.cost.currency] = cost.get(part.cost.currency, 0) + part.cost.total
    priced = sum((part.consumption or 0) * part.cost.priced_share for part in measured if part.cost)
    emitted = [part.emissions.co2e for part in counted if part.emissions]
    return Totals(
        consumption=consumption,
        area=area,
        per_area=consumption / area if consumption is not None and area else None,
        closed_share=closed / of if of else None,
        closed_time=sum(times) / len(times) if times else None,
        priced_share=priced / consumption if consumption else 0,
        co2e=sum(emitted) if emitted else None,
        cost=cost,
    )


def _area(parts: Sequence[Consumption]) -> float | None:
    """m² of all parts; None unless each is a place that is metered whole and whose area is known."""
    areas = [part.area if isinstance(part, PlaceEnergy) and part.whole else None for part in parts]
    return sum(area or 0 for area in areas) if areas and all(areas) else None
