"""Savings against a baseline: what would have been consumed, had nothing been done."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from insula_tenants.analytics.energy.guideline_14 import (
    CONFIDENCE,
    MOST_UNCERTAINTY,
    Fit,
    autocorrelation,
    fit_of,
    savings_uncertainty,
)
from insula_tenants.analytics.energy.hours import Hours
from insula_tenants.analytics.energy.towt import Towt, fit_towt

CONFIDENCES = (CONFIDENCE, 0.90)
FEWEST_MONTHS = 6
FEWEST_PER_PARAMETER = 2


class TooLittle(ValueError):
    """There is too little to fit a model on; the message says how much there is."""


@dataclass(frozen=True, slots=True)
class Measured:
    """Hours of a period, and what was measured in each; NaN where nothing was."""

    hours: Hours
    load: NDArray[np.float64]
    """kW or m³/h."""
    temperature: NDArray[np.float64] | None
    """Outdoors, °C; None where nothing measures it."""

    @property
    def known(self) -> NDArray[np.bool_]:
        """Whether all of an hour is known."""
        load = ~np.isnan(self.load)
        return load if self.temperature is None else load & ~np.isnan(self.temperature)

    @property
    def hour_of_week(self) -> NDArray[np.int64]:
        """0 for Monday at midnight to 167, by the clock."""
        return (self.hours.weekday - 1) * 24 + self.hours.hour


@dataclass(frozen=True, slots=True)
class Baseline:
    """A model of the baseline period, and how it fits."""

    model: Towt
    hourly: Fit
    monthly: Fit | None
    """Of the same predictions summed by calendar month; None with fewer than six."""
    correlation: float
    """Of residuals with the hour before."""
    temperatures: tuple[float, float] | None
    """The lowest and the highest that it was fitted on."""


@dataclass(frozen=True, slots=True)
class Uncertainty:
    """Of savings, at a two-sided confidence."""

    confidence: float
    fraction: float | None
    """Of the savings; None when nothing was saved."""
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Savings:
    """What was consumed less than predicted, in kWh or m³, over the hours of which all is known."""

    predicted: float
    actual: float
    hours: int
    extrapolated: int
    """Hours colder or warmer than any of the baseline period."""
    uncertainty: tuple[Uncertainty, ...]

    @property
    def amount(self) -> float:
        """Below 0, more was consumed."""
        return self.predicted - self.actual

    @property
    def meets_guideline(self) -> bool:
        """Whether they are less uncertain than Guideline 14 allows."""
        first = self.uncertainty[0]
        return self.amount > 0 and first.fraction is not None and first.fraction <= MOST_UNCERTAINTY


@dataclass(frozen=True, slots=True)
class CusumDay:
    """A local day."""

    day: int
    predicted: float
    actual: float
    cumulative: float
    """Predicted less actual since the period began."""


def fit_baseline(period: Measured) -> Baseline:
    """The model of a baseline period. Raises `TooLittle` when there are fewer than two hours a parameter."""
    known = period.known
    load, at = period.load[known], period.hour_of_week[known]
    temperature = None if period.temperature is None else period.temperature[known]
    if not len(load):
        raise TooLittle("no hour of the baseline period has both a load and an outdoor temperature")
    model = fit_towt(load, at, temperature)
    if len(load) < FEWEST_PER_PARAMETER * model.parameters:
        raise TooLittle(
            f"{len(load)} hours were measured, and the model has {model.parameters} parameters: choose a "
            "longer baseline period, of a year where there is one"
        )
    predicted = model.predict(at, temperature)
    follows = np.diff(period.hours.starts[known], prepend=0) <= 3_600_000_000
    return Baseline(
        model,
        fit_of(load, predicted, model.parameters, "hour"),
        _monthly(period, known, predicted),
        autocorrelation(load - predicted, follows),
        None if temperature is None else (float(temperature.min()), float(temperature.max())),
    )


def savings_of(baseline: Baseline, period: Measured) -> tuple[Savings, list[CusumDay]]:
    """What a reporting period saved, and its CUSUM by day."""
    known, length = period.known, period.hours.length
    temperature = period.temperature if baseline.temperatures else None
    loads = baseline.model.predict(period.hour_of_week, temperature)
    known &= ~np.isnan(loads)
    predicted, actual = (loads * length)[known], (period.load * length)[known]
    extrapolated = 0
    if temperature is not None and baseline.temperatures is not None:
        lowest, highest = baseline.temperatures
        extrapolated = int(((temperature < lowest) | (temperature > highest))[known].sum())
    saved, expected = float(predicted.sum() - actual.sum()), float(predicted.sum())
    widths = [
        savings_uncertainty(baseline.hourly, baseline.correlation, len(predicted), expected, one)
        if len(predicted)
        else 0.0
        for one in CONFIDENCES
    ]
    uncertainty = tuple(
        Uncertainty(one, width / abs(saved) if saved else None, saved - width, saved + width)
        for one, width in zip(CONFIDENCES, widths, strict=True)
    )
    savings = Savings(expected, float(actual.sum()), len(predicted), extrapolated, uncertainty)
    return savings, cusum(period.hours.day[known], predicted, actual)


def cusum(
    day: NDArray[np.int64], predicted: NDArray[np.float64], actual: NDArray[np.float64]
) -> list[CusumDay]:
    """Predicted less actual, summed from the beginning: by day, in order of time. The arrays are by hour."""
    days, place = np.unique(day, return_inverse=True)
    expected = np.bincount(place, weights=predicted, minlength=len(days))
    found = np.bincount(place, weights=actual, minlength=len(days))
    return [
        CusumDay(int(one), float(before), float(after), float(sum_))
        for one, before, after, sum_ in zip(days, expected, found, np.cumsum(expected - found), strict=True)
    ]


def _monthly(period: Measured, known: NDArray[np.bool_], predicted: NDArray[np.float64]) -> Fit | None:
    """The fit of the months' sums, with one parameter, as Guideline 14 has it of calibrated simulations."""
    months = period.hours.day[known].astype("datetime64[D]").astype("datetime64[M]").astype(np.int64)
    names, place = np.unique(months, return_inverse=True)
    if len(names) < FEWEST_MONTHS:
        return None
    length = period.hours.length[known]
    measured = np.bincount(place, weights=period.load[known] * length).astype(np.float64)
    said = np.bincount(place, weights=predicted * length).astype(np.float64)
    return fit_of(measured, said, 1, "month")
