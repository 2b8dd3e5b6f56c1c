"""Scale without the outliers."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

_OF_NORMAL = 1.4826
"""What makes the median absolute deviation of a normal distribution its standard deviation."""


def spread_of(values: NDArray[np.float64]) -> float:
    """Their spread, as the standard deviation if they were normal; NaNs don't count, 0 where all are alike.

    1.4826 times the median absolute deviation from the median (Rousseeuw and Croux, "Alternatives to the
    median absolute deviation", JASA 88, 1993). Where more than half of the values are alike, that is 0, and
    1.2533 times the mean absolute deviation takes its place (Iglewicz and Hoaglin, "How to detect and handle
    outliers", 1993).
    """
    known = values[np.isfinite(values)]
    if not known.size:
        return 0.0
    away = np.abs(known - np.median(known))
    return float(_OF_NORMAL * np.median(away)) or float(1.2533 * away.mean())
