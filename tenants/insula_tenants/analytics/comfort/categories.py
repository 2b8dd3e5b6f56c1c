"""The categories of EN 16798-1, and the limits of each, for spaces that are heated and cooled.

Numbers are those of the informative annex B of EN 16798-1:2019; a country may set its own.
"""

from __future__ import annotations

from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

Category = Literal["I", "II", "III", "IV"]
Grade = Literal["I", "II", "III", "IV", "beyond"]

CATEGORIES: tuple[Category, ...] = get_args(Category)
GRADES: tuple[Grade, ...] = get_args(Grade)
NORMAL: Category = "II"
"""What EN 16798-1 calls a normal level of expectation; that of spaces of which nobody said any."""

Values = NDArray[np.float64]
Bands = tuple[Values, Values]
"""Lower and upper limits, of shape (4, hours), or (4, 1) where they are the same in each hour."""

WINTER_CLOTHING, SUMMER_CLOTHING = 1.0, 0.5
"""clo, that table B.5 goes with."""
COLD, WARM = 10.0, 15.0
"""°C of the running mean up to which it is winter, and from which it is summer."""

OUTDOOR_CO2 = 420.0
"""ppm, of the outdoor air, which nobody measures: the world's mean of 2023 and 2024 was 419 to 423 (NOAA)."""

_WINTER = np.array([(21.0, 23.0), (20.0, 24.0), (19.0, 25.0), (17.0, 25.0)])
_SUMMER = np.array([(23.5, 25.5), (23.0, 26.0), (22.0, 27.0), (21.0, 28.0)])
_PMV = np.array([0.2, 0.5, 0.7, 1.0])
_CO2 = np.array([550.0, 800.0, 1350.0, 1350.0])

_LITTLE = 1e-9
"""What a sum may be off: a value that is its limit keeps to it."""


def temperature_bands(warmth: Values) -> Bands:
    """Operative temperatures (°C) of offices and the like, at some 1.2 met: EN 16798-1:2019, table B.5.

    `warmth` is 0 in winter and 1 in summer, of shape (hours,). Between the seasons the limits lie between
    those of winter and summer.
    """
    lower, upper = (
        winter[:, None] + np.subtract(summer, winter)[:, None] * warmth
        for winter, summer in zip(_WINTER.T, _SUMMER.T, strict=True)
    )
    return lower, upper


def clothing_of(warmth: Values) -> Values:
    """Insulation of clothing (clo): 1.0 in winter, 0.5 in summer, as table B.5 of EN 16798-1 has it."""
    return WINTER_CLOTHING + (SUMMER_CLOTHING - WINTER_CLOTHING) * warmth


def warmth_of(running_mean: Values) -> Values:
    """0 where the running mean outdoor temperature says winter, 1 where summer, in between between.

    EN 16798-1 leaves it open when a season begins. Here it is winter up to 10 °C, where its adaptive method
    begins, and summer from 15 °C.
    """
    return np.clip((running_mean - COLD) / (WARM - COLD), 0.0, 1.0)


def pmv_bands() -> Bands:
    """Predicted mean votes: EN 16798-1:2019, table B.1 (and table A.1 of ISO 7730:2005 for I to III)."""
    return -_PMV[:, None], _PMV[:, None]


def co2_bands(outdoor: float = OUTDOOR_CO2) -> Bands:
    """CO2 (ppm): 550, 800 and 1350 above outdoor, EN 16798-1:2019, table B.9. IV has III's limit."""
    upper = _CO2[:, None] + outdoor
    return np.full_like(upper, -np.inf), upper


def grades_of(values: Values, bands: Bands) -> NDArray[np.int8]:
    """The place in `GRADES` of the best category whose limits each value keeps; -1 where there is no value.

    A category's band lies within that of the next. Limits that are NaN give -1, too.
    """
    lower, upper = bands
    missed = (values < lower - _LITTLE) | (values > upper + _LITTLE)
    known = ~(np.isnan(values) | np.isnan(upper).any(axis=0))
    return np.where(known, missed.sum(axis=0), -1).astype(np.int8)


def below_and_above(values: Values, bands: Bands, category: Category) -> tuple[NDArray[np.bool_], ...]:
    """Where values are under the band of one category, and where over it; nowhere for NaN."""
    lower, upper = (limits[CATEGORIES.index(category)] for limits in bands)
    return values < lower - _LITTLE, values > upper + _LITTLE
