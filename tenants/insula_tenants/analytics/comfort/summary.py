"""The occupied hours of a space in a few numbers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass

import numpy as np
from numpy.typing import NDArray

from insula_tenants.analytics.comfort.by_hour import Air, Climate, Thermal, air_quality, thermal
from insula_tenants.analytics.comfort.categories import (
    CATEGORIES,
    GRADES,
    Bands,
    Category,
    Grade,
    below_and_above,
    grades_of,
)
from insula_tenants.analytics.comfort.clock import LocalHours
from insula_tenants.analytics.comfort.overheating import Tm52, hours_over, tm52

Values = NDArray[np.float64]
Mask = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Judged:
    """Hours by how good they are, by one method."""

    hours: float
    by_category: Mapping[Grade, float]
    below: float
    above: float
    not_measured: float
    outside_limits: float
    """Measured, but the method says nothing of them."""
    mean: float | None
    """Of what is judged."""
    lowest: float | None
    highest: float | None

    @property
    def out_of_band(self) -> float | None:
        """Share of the judged hours, between 0 and 1; None where there are none."""
        return (self.below + self.above) / self.hours if self.hours else None


@dataclass(frozen=True, slots=True)
class Votes(Judged):
    """Hours by predicted mean vote."""

    ppd: float | None
    """Mean predicted percentage of dissatisfied of what is judged."""

    @property
    def pmv(self) -> float | None:
        """The mean vote of what is judged."""
        return self.mean


@dataclass(frozen=True, slots=True)
class Acceptable:
    """Hours by ASHRAE 55's adaptive method."""

    hours: float
    acceptable_90: float
    acceptable_80: float
    below: float
    above: float
    not_measured: float
    outside_limits: float


@dataclass(frozen=True, slots=True)
class Overheating:
    """Hours that are too warm."""

    hours: float
    above_26: float
    above_28: float
    tm52: Tm52 | None


@dataclass(frozen=True, slots=True)
class Summary:
    """The occupied hours of a space; None for what it has no sensor for."""

    hours: float
    temperature: Judged | None
    pmv: Votes | None
    adaptive: Judged | None
    adaptive_ashrae: Acceptable | None
    co2: Judged | None
    overheating: Overheating | None


def summarize(climate: Climate, hours: LocalHours, category: Category) -> Summary:
    """What hours, all of them occupied, come to, against the limits of a category.

    `climate` has one element an hour in each of its arrays.
    """
    warm, air = thermal(climate, hours), air_quality(climate)
    return Summary(
        hours=float(hours.lengths.sum()),
        temperature=_temperature(warm, category, hours) if warm else None,
        pmv=_votes(warm, category, hours) if warm else None,
        adaptive=_adaptive(warm, climate, category, hours) if warm else None,
        adaptive_ashrae=_ashrae(warm, climate, hours) if warm else None,
        co2=_co2(air, category, hours) if air else None,
        overheating=_overheating(warm, climate, category, hours) if warm else None,
    )


def judge(values: Values, bands: Bands, category: Category, lengths: Values, measured: Mask) -> Judged:
    """Hours by the category they keep to. `measured` says which have what the method needs.

    `values` may be NaN where the method says nothing, `bands` as well. All arrays have one element an hour.
    """
    grades = grades_of(values, bands)
    known = (grades >= 0) & measured
    sums = np.bincount(grades[known], weights=lengths[known], minlength=len(GRADES))
    below, above = below_and_above(values, bands, category)
    judged = values[known]
    return Judged(
        hours=float(lengths[known].sum()),
        by_category=dict(zip(GRADES, sums.tolist(), strict=True)),
        below=float(lengths[below & known].sum()),
        above=float(lengths[above & known].sum()),
        not_measured=float(lengths[~measured].sum()),
        outside_limits=float(lengths[measured & ~known].sum()),
        mean=_mean(judged, lengths[known]),
        lowest=float(judged.min()) if judged.size else None,
        highest=float(judged.max()) if judged.size else None,
    )


def _temperature(warm: Thermal, category: Category, hours: LocalHours) -> Judged:
    return judge(warm.operative, warm.bands, category, hours.lengths, ~np.isnan(warm.operative))


def _votes(warm: Thermal, category: Category, hours: LocalHours) -> Votes:
    judged = judge(warm.votes, warm.vote_bands, category, hours.lengths, ~np.isnan(warm.operative))
    return Votes(**asdict(judged), ppd=_mean(warm.dissatisfied, hours.lengths))


def _adaptive(warm: Thermal, climate: Climate, category: Category, hours: LocalHours) -> Judged | None:
    if warm.adaptive is None or climate.running_mean is None:
        return None
    measured = ~np.isnan(warm.operative) & ~np.isnan(climate.running_mean)
    return judge(warm.operative, warm.adaptive, category, hours.lengths, measured)


def _ashrae(warm: Thermal, climate: Climate, hours: LocalHours) -> Acceptable | None:
    if warm.ashrae is None or climate.running_mean is None:
        return None
    measured = ~np.isnan(warm.operative) & ~np.isnan(climate.running_mean)
    (_, lower), (_, upper) = warm.ashrae
    known = measured & ~np.isnan(upper)
    places = grades_of(warm.operative, warm.ashrae)
    sums = np.bincount(places[known], weights=hours.lengths[known], minlength=3)
    return Acceptable(
        hours=float(hours.lengths[known].sum()),
        acceptable_90=float(sums[0]),
        acceptable_80=float(sums[0] + sums[1]),
        below=float(hours.lengths[known & (places == 2) & (warm.operative < lower)].sum()),
        above=float(hours.lengths[known & (places == 2) & (warm.operative > upper)].sum()),
        not_measured=float(hours.lengths[~measured].sum()),
        outside_limits=float(hours.lengths[measured & ~known].sum()),
    )


def _co2(air: Air, category: Category, hours: LocalHours) -> Judged:
    return judge(air.co2, air.bands, category, hours.lengths, ~np.isnan(air.co2))


def _overheating(warm: Thermal, climate: Climate, category: Category, hours: LocalHours) -> Overheating:
    limits = warm.adaptive[1][CATEGORIES.index(category)] if warm.adaptive else None
    return Overheating(
        hours=float(hours.lengths[~np.isnan(warm.operative)].sum()),
        above_26=hours_over(warm.operative, 26.0, hours.lengths),
        above_28=hours_over(warm.operative, 28.0, hours.lengths),
        tm52=tm52(warm.operative, limits, hours, southern=climate.southern) if limits is not None else None,
    )


def _mean(values: Values, lengths: Values) -> float | None:
    known = ~np.isnan(values)
    total = lengths[known].sum()
    return float((values[known] * lengths[known]).sum() / total) if total > 0 else None
