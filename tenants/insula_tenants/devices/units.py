"""Units of points: names that pint reads, and those of UCUM's that it reads otherwise."""

from __future__ import annotations

import re
from functools import cache, lru_cache
from typing import TYPE_CHECKING, Any

from insula_tenants.errors import InvalidInput

if TYPE_CHECKING:
    from pint import UnitRegistry

_NAME = r"[A-Za-zµμΩΩ°_%][A-Za-z0-9µμΩ°_]*"
_TERM = rf"{_NAME}(?:(?:\*\*|\^)-?[0-9])?"
_UNIT = re.compile(rf"(?:1 ?/ ?)?{_TERM}(?: ?[*/·] ?{_TERM}){{0,5}}")
"""What is given to pint, whose parser would also compute: no number stands in here but small exponents."""

_UCUM = {
    "Cel": "degC",
    "[degF]": "degF",
    "%": "percent",
    "m2": "m**2",
    "m3": "m**3",
    "m3/h": "m**3/h",
    "m/s2": "m/s**2",
    "W/m2": "W/m**2",
    "kWh/m2": "kWh/m**2",
    "ug/m3": "ug/m**3",
    "mg/m3": "mg/m**3",
    "[ppm]": "ppm",
    "lx": "lux",
    "1": "dimensionless",
}
"""Units of buildings that UCUM writes in its own way (https://ucum.org/ucum)."""


@lru_cache(maxsize=1024)
def check_unit(unit: str, *, field: str = "unit") -> str:
    """The unit's name as it is kept; `InvalidInput` when it names none.

    A unit has one spelling for each way it is written with: pint's names stay as they are given, UCUM's for
    what buildings measure (`Cel`, `m3/h`) become pint's.
    """
    name = _UCUM.get(unit, unit)
    if len(name) <= 60 and _UNIT.fullmatch(name):
        import pint  # half a second, and not everybody who has devices gives units

        try:
            registry().parse_units(name)
        except (pint.PintError, ValueError, TypeError, AttributeError):
            pass
        else:
            return name
    raise InvalidInput(
        field, f"{unit[:60]!r} is no unit: use a name such as degC, percent, kWh, lux or m**3/h"
    )


@cache
def registry() -> UnitRegistry[Any]:
    """Pint's registry, one for all: quantities of different ones do not mix."""
    import pint

    return pint.UnitRegistry()
