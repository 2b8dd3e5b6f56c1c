"""Hours that are too warm: counted over fixed temperatures, and by the three criteria of CIBSE TM52."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

import numpy as np
from numpy.typing import NDArray

from insula_tenants.analytics.comfort.clock import LocalHours

Values = NDArray[np.float64]

_LITTLE = 1e-9


@dataclass(frozen=True, slots=True)
class Tm52:
    """CIBSE TM52 (2013), The limits of thermal comfort: avoiding overheating in European buildings, 6.1.

    ΔT is by how much the operative temperature is over the adaptive limit of the space's category, rounded to
    whole kelvin (half a kelvin is one). A space overheats that fails two of: (1) ΔT ≥ 1 K in at most 3 % of
    the occupied hours of May to September; (2) the sum of ΔT over a day's hours, at most 6; (3) ΔT ≤ 4 K.
    """

    hours: float
    exceedance: float
    worst_day: date | None
    worst_day_weight: float
    largest: float
    """Kelvin over the limit, not rounded; 0 where none is over."""
    failed: tuple[int, ...]

    @property
    def exceedance_share(self) -> float:
        """Between 0 and 1."""
        return self.exceedance / self.hours

    @property
    def overheats(self) -> bool:
        """Whether two criteria fail."""
        return len(self.failed) >= 2


def hours_over(operative: Values, limit: float, lengths: Values) -> float:
    """The hours over a temperature (°C). CIBSE Guide A (2006), table 1.7, has 28 °C for offices and 26 °C for
    bedrooms, each for at most 1 % of the occupied hours.
    """
    return float(lengths[operative > limit + _LITTLE].sum())


def tm52(operative: Values, limits: Values, hours: LocalHours, *, southern: bool) -> Tm52 | None:
    """How occupied hours do by CIBSE TM52; all arrays have one element an hour.

    `limits` are upper adaptive limits (°C), NaN where there is none. South of the equator the warm months are
    November to March. None where no hour of them can be judged.
    """
    over = operative - limits
    counts = hours.in_summer(southern=southern) & ~np.isnan(over)
    if not counts.any():
        return None
    over, lengths, days = over[counts], hours.lengths[counts], hours.days[counts]
    rounded = np.maximum(np.floor(over + 0.5 + _LITTLE), 0.0)
    total, exceedance = float(lengths.sum()), float(lengths[rounded >= 1].sum())
    named, places = np.unique(days, return_inverse=True)
    weights = np.bincount(places, weights=rounded * lengths)
    worst = int(weights.argmax())
    criteria = (exceedance > 0.03 * total + _LITTLE, weights[worst] > 6 + _LITTLE, rounded.max() > 4)
    return Tm52(
        hours=total,
        exceedance=exceedance,
        worst_day=date.fromordinal(int(named[worst])) if weights[worst] > 0 else None,
        worst_day_weight=float(weights[worst]),
        largest=max(float(over.max()), 0.0),
        failed=tuple(number for number, fails in enumerate(criteria, 1) if fails),
    )
