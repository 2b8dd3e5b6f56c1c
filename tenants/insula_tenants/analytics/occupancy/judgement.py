"""The use of one space from its points' series: which of them tell, what they tell, how far to trust it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from insula_tenants.analytics.completeness import Completeness, together
from insula_tenants.analytics.measured import MeasuredPoint
from insula_tenants.analytics.occupancy.model import Variant, variant_for
from insula_tenants.analytics.occupancy.use import (
    OBSERVED_LONG,
    Clock,
    Comparison,
    DayOfUse,
    Floats,
    People,
    Times,
    WeekOfHours,
    average,
    compare,
    days_in_use,
    days_of,
    largest,
    middle_time,
    people_of,
    week_of,
)
from insula_tenants.analytics.quantities import Quantity, in_unit_of
from insula_tenants.analytics.series import EMPTY, Series
from insula_tenants.analytics.spaces import MeasuredSpace

Source = Literal["counted", "measured", "inferred", "none"]
Level = Literal["high", "medium", "low", "none"]

INFERRED_FROM = frozenset({Quantity.ILLUMINANCE, Quantity.CO2, Quantity.AIR_TEMPERATURE})
TELLING = INFERRED_FROM | {Quantity.OCCUPANCY, Quantity.OCCUPANCY_COUNT}
"""Quantities that tell about use."""

COMPLETE_ENOUGH = 0.8
"""Share of the expected readings below which figures are less to be trusted."""
SUN = 1000.0
"""Lux that no office's lamps give: the sun reaches the sensor."""
LIT = 300.0
"""Lux that the lamps of the room that the model knows always gave."""
BREATH = 150.0
"""ppm by which CO2 rises where people are in a room for long; a large or well aired one shows less."""

MOTION = frozenset({"Motion_Sensor", "PIR_Sensor"})


@dataclass(frozen=True, slots=True)
class Buckets:
    """What was read for the spaces of a building's clock."""

    clock: Clock
    """The buckets of the period asked about."""
    around: Times
    """The buckets that were read: some more before and after, for the model. Microseconds."""
    series: Mapping[int, Series]
    """Means by point, of the buckets of `around` that have any."""
    peaks: Mapping[int, Series]
    """The largest value, of points that count people."""

    def placed(self, point: MeasuredPoint, series: Series) -> Floats:
        """A value for each bucket of `around`, in the quantity's unit; NaN where there is none."""
        filled = np.full(len(self.around), np.nan)
        quantity = point.quantity
        if len(series) and quantity is not None:
            values = in_unit_of(quantity, series.values, point.unit)
            filled[np.searchsorted(self.around, series.times)] = values
        return filled

    def asked(self, values: Floats) -> Floats:
        """Those of the period asked about."""
        begin = int(np.searchsorted(self.around, self.clock.begins[0])) if len(self.clock.begins) else 0
        return values[begin : begin + len(self.clock.begins)]


@dataclass(frozen=True, slots=True)
class Confidence:
    """How far to trust a space's figures, and what stands in the way of more."""

    level: Level
    reasons: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class SpaceUse:
    """What is known of a space's use over a period."""

    space: MeasuredSpace
    source: Source
    variant: str | None
    confidence: Confidence
    comparison: Comparison | None
    hours_observed: float
    hours_in_use: float
    people: People | None
    week: WeekOfHours
    days_used: int
    """Local days on which it was."""
    first_use: str | None
    last_use: str | None
    completeness: Completeness
    clock: Clock
    shares: Floats
    """How much of each bucket of the clock it was in use, NaN where nothing tells."""
    most: Floats | None
    """The most people in each, where they are counted."""

    @property
    def share_in_use(self) -> float | None:
        """Of the hours observed."""
        return self.hours_in_use / self.hours_observed if self.hours_observed else None

    @property
    def never_used(self) -> bool:
        """Observed for long, and never in use."""
        return self.hours_observed >= OBSERVED_LONG and self.hours_in_use == 0

    def days(self) -> list[DayOfUse]:
        """Each local day of which anything is known."""
        return days_of(self.clock, self.shares, self.most)


def judge(
    space: MeasuredSpace,
    points: Sequence[MeasuredPoint],
    buckets: Buckets,
    completeness: Mapping[int, Completeness],
) -> SpaceUse:
    """The use of a space, of whose points `points` are all that tell."""
    usable = [point for point in points if _fits(point)]
    counters = _with_readings(usable, Quantity.OCCUPANCY_COUNT, buckets)
    sensors = _with_readings(usable, Quantity.OCCUPANCY, buckets)
    inferred, variant, told_from = _inferred(usable, buckets)
    shares = np.full(len(buckets.clock.begins), np.nan)
    source: Source = "none"
    used, people, most = usable, None, None
    if counters:
        means = largest([_values(point, buckets) for point in counters])
        most = largest(
            [buckets.asked(buckets.placed(point, buckets.peaks.get(point.id, EMPTY))) for point in counters]
        )
        shares, source, used = np.clip(means, 0, 1), "counted", counters
        people = people_of(buckets.clock, means, most, shares, space.capacity)
    elif sensors:
        shares = np.clip(largest([_values(point, buckets) for point in sensors]), 0, 1)
        source, used = "measured", sensors
    elif variant is not None:
        shares, source, used = inferred, "inferred", told_from
    complete = together(completeness[point.id] for point in used)
    hours = buckets.clock.width / 3.6e9
    return SpaceUse(
        space=space,
        source=source,
        variant=variant.name if source == "inferred" and variant is not None else None,
        confidence=_confidence(source, used, variant, complete, buckets),
        comparison=compare(variant.name, shares, inferred)
        if variant is not None and source in {"counted", "measured"}
        else None,
        hours_observed=float(np.isfinite(shares).sum() * hours),
        hours_in_use=float(np.nansum(shares) * hours),
        people=people,
        week=week_of(buckets.clock, shares),
        days_used=days_in_use(buckets.clock, shares),
        first_use=middle_time(buckets.clock, shares, last=False),
        last_use=middle_time(buckets.clock, shares, last=True),
        completeness=complete,
        clock=buckets.clock,
        shares=shares,
        most=most,
    )


def _fits(point: MeasuredPoint) -> bool:
    """Whether its unit is one of what it measures: what is called CO2 and told in °C is of no use."""
    try:
        return point.quantity is not None and in_unit_of(point.quantity, np.ones(1), point.unit).size == 1
    except ValueError:
        return False


def _with_readings(
    points: Sequence[MeasuredPoint], quantity: Quantity, buckets: Buckets
) -> list[MeasuredPoint]:
    return [
        point for point in points if point.quantity == quantity and np.isfinite(_values(point, buckets)).any()
    ]


def _values(point: MeasuredPoint, buckets: Buckets) -> Floats:
    return buckets.asked(buckets.placed(point, buckets.series.get(point.id, EMPTY)))


def _inferred(
    points: Sequence[MeasuredPoint], buckets: Buckets
) -> tuple[Floats, Variant | None, list[MeasuredPoint]]:
    """1 or 0 where the model can tell, NaN elsewhere; the variant used, and the points that it took."""
    having = {quantity: _with_readings(points, quantity, buckets) for quantity in INFERRED_FROM}
    variant = variant_for({quantity for quantity, some in having.items() if some})
    shares = np.full(len(buckets.around), np.nan)
    if variant is None:
        return buckets.asked(shares), None, []
    values = {
        quantity: average(
            [buckets.placed(point, buckets.series.get(point.id, EMPTY)) for point in having[quantity]]
        )
        for quantity in variant.needs
    }
    known = np.logical_and.reduce([np.isfinite(each) for each in values.values()])
    kept = {quantity: each[known] for quantity, each in values.items()}
    shares[known] = variant.probabilities(buckets.around[known] / 1e6, kept) >= 0.5
    return buckets.asked(shares), variant, [point for need in variant.needs for point in having[need]]


def _confidence(
    source: Source,
    used: Sequence[MeasuredPoint],
    variant: Variant | None,
    complete: Completeness,
    buckets: Buckets,
) -> Confidence:
    reasons = []
    if source == "none":
        return Confidence("none", ("no sensor in it tells whether it is in use",))
    level: Level = "high"
    if complete.share is not None and complete.share < COMPLETE_ENOUGH:
        level = "medium"
        reasons.append(f"only {complete.share:.0%} of the expected readings are there")
    if source == "measured" and all(point.brick_class in MOTION for point in used):
        level = "medium"
        reasons.append("a motion sensor does not see who sits still")
    if source == "inferred" and variant is not None:
        level = "low" if reasons or len(variant.needs) == 1 else "medium"
        reasons.insert(0, _told_from(variant))
        for quantity in (Quantity.ILLUMINANCE, Quantity.CO2):
            if quantity in variant.needs and (doubt := _doubt(quantity, used, buckets)):
                level = "low"
                reasons.append(doubt)
    return Confidence(level, tuple(reasons))


def _told_from(variant: Variant) -> str:
    from_ = {
        "light_co2_temperature": "light, CO2 and temperature",
        "light": "light alone",
        "co2": "CO2 alone",
    }
    return (
        f"inferred from {from_[variant.name]} by a model of another room, which there was right of "
        f"{variant.accuracy:.0%} of the quarters of an hour at worst"
    )


def _doubt(quantity: Quantity, points: Sequence[MeasuredPoint], buckets: Buckets) -> str | None:
    """Why this room's light or CO2 is not like that of the room which the model knows; None where it is."""
    values = average([_values(point, buckets) for point in points if point.quantity == quantity])
    highest, lowest = float(np.nanmax(values)), float(np.nanmin(values))
    if quantity == Quantity.CO2:
        if highest - lowest < BREATH:
            return f"its CO2 moves by {highest - lowest:.0f} ppm only: people hardly show in it"
        return None
    if highest > SUN:
        return f"the sun reaches its light sensor, {highest:.0f} lux: a bright room may be empty"
    if highest < LIT:
        return f"its light sensor never shows more than {highest:.0f} lux: lamps may go unseen"
    return None
