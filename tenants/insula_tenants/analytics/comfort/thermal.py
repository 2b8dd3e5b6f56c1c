"""The heat balance of people indoors: operative temperature, predicted mean vote, percentage dissatisfied."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Values = NDArray[np.float64]

HUMIDITY = 50.0
"""%, where nobody measures it: what table B.5 of EN 16798-1 goes with."""
METABOLIC_RATE = 1.2
"""met: sedentary activity, as in offices and schools (ISO 7730:2005, table B.1)."""
AIR_SPEED = 0.1
"""m/s: a room without a draught, which no sensor tells."""
RELATIVE_AIR_SPEED = AIR_SPEED + 0.3 * (METABOLIC_RATE - 1)
"""m/s, past a person: they stir the air as they move, 0.3 m/s a met above 1 (ASHRAE 55, appendix C)."""

_PASCAL = 2700.0
"""The most water vapour in the air, Pa, to which ISO 7730 is to be applied."""


def operative_temperature(air: Values, radiant: Values) -> Values:
    """The mean of air and mean radiant temperature (°C), as ISO 7726 and EN 16798-1 have it below 0.2 m/s."""
    return (air + radiant) / 2


def predicted_mean_vote(
    air: Values,
    radiant: Values,
    humidity: Values,
    clothing: Values,
    *,
    speed: float = RELATIVE_AIR_SPEED,
    metabolic_rate: float = METABOLIC_RATE,
) -> tuple[Values, Values]:
    """PMV (-3 cold to +3 hot) and PPD (%) by ISO 7730, as pythermalcomfort computes them.

    Temperatures in °C, humidity in %, clothing in clo, all of shape (hours,); speed in m/s, relative to the
    person, and metabolic rate in met. NaN where a value is missing or beyond what the standard is to be
    applied to (ISO 7730, clause 4): air of 10 to 30 °C, radiant of 10 to 40 °C, vapour of at most 2700 Pa,
    and a vote between -2 and +2.
    """
    votes, dissatisfied = np.full((2, *air.shape), np.nan)
    fit = _applicable(air, radiant, humidity)
    if not fit.any():
        return votes, dissatisfied
    from pythermalcomfort.models import pmv_ppd_iso

    found = pmv_ppd_iso(
        air[fit],
        radiant[fit],
        speed,
        humidity[fit],
        metabolic_rate,
        clothing[fit],
        # Left to itself it prints every value that is beyond the limits, and only that tells of them.
        limit_inputs=False,
        round_output=False,
    )
    moderate = np.abs(found.pmv) <= 2
    votes[fit] = np.where(moderate, found.pmv, np.nan)
    dissatisfied[fit] = np.where(moderate, found.ppd, np.nan)
    return votes, dissatisfied


def warm_up() -> None:
    """Bring pythermalcomfort in: 1.5 s of a processor, or 11 s while numba's cache is being filled."""
    one = np.array([22.0])
    predicted_mean_vote(one, one, np.array([HUMIDITY]), np.array([1.0]))


def _applicable(air: Values, radiant: Values, humidity: Values) -> NDArray[np.bool_]:
    # The pressure of water vapour as ISO 7730, annex D, computes it.
    vapour = humidity * 10 * np.exp(16.6536 - 4030.183 / (np.where(air > -200, air, np.nan) + 235))
    return (air >= 10) & (air <= 30) & (radiant >= 10) & (radiant <= 40) & (vapour >= 0) & (vapour <= _PASCAL)
