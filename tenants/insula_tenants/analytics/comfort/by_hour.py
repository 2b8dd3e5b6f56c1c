"""What each hour of a space is like, by every method that its sensors allow."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from insula_tenants.analytics.comfort.adaptive import adaptive_bands, ashrae_bands
from insula_tenants.analytics.comfort.categories import (
    Bands,
    clothing_of,
    co2_bands,
    pmv_bands,
    temperature_bands,
    warmth_of,
)
from insula_tenants.analytics.comfort.clock import LocalHours
from insula_tenants.analytics.comfort.thermal import HUMIDITY, operative_temperature, predicted_mean_vote

Values = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Climate:
    """What was measured in a space and around it, in means of an hour, NaN where there is no reading.

    None where there is no sensor.
    """

    air: Values | None
    """°C."""
    radiant: Values | None
    """Mean radiant temperature, °C."""
    humidity: Values | None
    """Relative, %."""
    co2: Values | None
    """ppm."""
    running_mean: Values | None
    """Running mean outdoor temperature of the hour's day, °C."""
    southern: bool = False
    """Whether it is south of the equator: then summer is in January."""

    def where(self, mask: NDArray[np.bool_]) -> Climate:
        """Some of the hours."""

        def some(values: Values | None) -> Values | None:
            return values[mask] if values is not None else None

        return Climate(
            some(self.air),
            some(self.radiant),
            some(self.humidity),
            some(self.co2),
            some(self.running_mean),
            self.southern,
        )


@dataclass(frozen=True, slots=True)
class Thermal:
    """Arrays with one element an hour; limits of shape (4, hours), ASHRAE's (2, hours), PMV's (4, 1)."""

    operative: Values
    clothing: Values
    bands: Bands
    votes: Values
    dissatisfied: Values
    vote_bands: Bands
    adaptive: Bands | None
    """None where no outdoor temperature is measured."""
    ashrae: Bands | None


@dataclass(frozen=True, slots=True)
class Air:
    """CO2 hour by hour, and its limits of shape (4, 1)."""

    co2: Values
    bands: Bands


def warmth(climate: Climate, hours: LocalHours) -> Values:
    """0 in winter, 1 in summer: by the running mean outdoor temperature, by the month where it is unknown."""
    by_month = hours.in_summer(southern=climate.southern).astype(np.float64)
    if climate.running_mean is None:
        return by_month
    return np.where(np.isnan(climate.running_mean), by_month, warmth_of(climate.running_mean))


def thermal(climate: Climate, hours: LocalHours) -> Thermal | None:
    """How warm it is; None for a space without a thermometer. What is not measured is assumed."""
    if climate.air is None:
        return None
    radiant = climate.air if climate.radiant is None else _else(climate.radiant, climate.air)
    humidity = np.full(len(hours), HUMIDITY)
    if climate.humidity is not None:
        humidity = _else(climate.humidity, humidity)
    season = warmth(climate, hours)
    clothing = clothing_of(season)
    votes, dissatisfied = predicted_mean_vote(climate.air, radiant, humidity, clothing)
    outdoors = climate.running_mean
    return Thermal(
        operative=operative_temperature(climate.air, radiant),
        clothing=clothing,
        bands=temperature_bands(season),
        votes=votes,
        dissatisfied=dissatisfied,
        vote_bands=pmv_bands(),
        adaptive=adaptive_bands(outdoors) if outdoors is not None else None,
        ashrae=ashrae_bands(outdoors) if outdoors is not None else None,
    )


def air_quality(climate: Climate) -> Air | None:
    """How stale the air is; None for a space without a CO2 sensor."""
    return Air(climate.co2, co2_bands()) if climate.co2 is not None else None


def _else(values: Values, assumed: Values) -> Values:
    return np.where(np.isnan(values), assumed, values)
