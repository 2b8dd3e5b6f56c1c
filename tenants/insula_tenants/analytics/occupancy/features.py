"""What the model looks at: made alike from the recorded office's minutes and from a space's buckets."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from insula_tenants.analytics.quantities import Quantity

Values = Mapping[Quantity, NDArray[np.float64]]
"""One value a time of each quantity, in the quantity's unit."""

LAG = 1800.0
"""Seconds over which a change is taken: a room of people shows in CO2 within some minutes."""

BRIGHT = 500.0
"""Lux. A desk that is lit has about as much (EN 12464-1); what is more is the sun, and tells no more."""

AROUND = 86_400.0
"""Seconds before and after in which the lowest CO2 is taken for the room's own fresh air: what a sensor shows
of that differs from one to the next, and with the rest of the house."""

UNITS: Mapping[str, str] = {
    "light": "lux",
    "co2": "ppm",
    "co2_above_lowest": "log(ppm)",
    "co2_change": "ppm/h",
    "temperature_change": "K/h",
}
"""Every feature, and its unit."""


def matrix(names: Sequence[str], times: NDArray[np.float64], values: Values) -> NDArray[np.float64]:
    """The features of these names as columns, a row a time.

    `times` are seconds, in order. Where they are further apart than `LAG`, a change is taken over their
    distance.
    """
    return np.column_stack([_feature(name, times, values) for name in names])


def _feature(name: str, times: NDArray[np.float64], values: Values) -> NDArray[np.float64]:
    match name:
        case "light":
            return np.minimum(values[Quantity.ILLUMINANCE], BRIGHT)
        case "co2":
            return values[Quantity.CO2]
        case "co2_above_lowest":
            return np.log(np.maximum(values[Quantity.CO2] - _lowest(times, values[Quantity.CO2]), 10.0))
        case "co2_change":
            return _change(times, values[Quantity.CO2])
        case "temperature_change":
            return _change(times, values[Quantity.AIR_TEMPERATURE])
    raise ValueError(f"there is no feature {name!r}")


def _change(times: NDArray[np.float64], values: NDArray[np.float64]) -> NDArray[np.float64]:
    """An hour's change by that of the last `LAG`. Before the first value there was none."""
    if not len(times):
        return values
    lag = max(LAG, float(np.median(np.diff(times)))) if len(times) > 1 else LAG
    return (values - np.interp(times - lag, times, values)) / lag * 3600


def _lowest(times: NDArray[np.float64], values: NDArray[np.float64]) -> NDArray[np.float64]:
    """At each time the lowest value within `AROUND` of it."""
    begins = np.searchsorted(times, times - AROUND)
    ends = np.searchsorted(times, times + AROUND, side="right")
    if not len(values):
        return values
    # Pairs of a begin and an end, each read by `reduceat`; an end beyond the last is that of the padding.
    padded = np.append(values, np.inf)
    return np.minimum.reduceat(padded, np.column_stack([begins, ends]).ravel())[::2]
