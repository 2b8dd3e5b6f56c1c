"""Meters count in many units; consumption is in kWh, and of water in m³."""

from __future__ import annotations

from functools import lru_cache
from typing import Literal

from insula_tenants.devices.units import registry
from insula_tenants.energy.models import Carrier
from insula_tenants.errors import InvalidInput

Unit = Literal["kWh", "m³"]


def unit_of(carrier: Carrier) -> Unit:
    """The unit of a carrier's consumption."""
    return "m³" if carrier == "water" else "kWh"


@lru_cache(maxsize=1024)
def factor_of(carrier: Carrier, unit: str | None, calorific_value: float | None) -> float:
    """What one of the counter's unit is in that of the consumption.

    A counter of which nobody said a unit is taken to count kWh, or m³ where it counts water, or gas with a
    calorific value (kWh/m³). Raises `InvalidInput` for a unit that cannot be turned into that, and for a gas
    meter that counts a volume of which nobody said what it yields.
    """
    if carrier == "water":
        volume = _factor(unit or "m**3", "m**3")
        if volume is None:
            raise InvalidInput(
                "point_id", f"the counter's unit {unit} is no volume: water is counted in m**3"
            )
        return volume
    energy = _factor(unit, "kWh") if unit is not None else None
    if carrier != "gas":
        if unit is not None and energy is None:
            raise InvalidInput(
                "point_id", f"the counter's unit {unit} is no energy: {carrier} is counted in kWh, MWh or GJ"
            )
        return energy or 1.0
    return _gas(unit, energy, calorific_value)


def _gas(unit: str | None, energy: float | None, calorific_value: float | None) -> float:
    if energy is not None:
        if calorific_value is not None:
            raise InvalidInput("calorific_value", f"the counter counts {unit} already: leave it out")
        return energy
    if unit is None:
        return calorific_value or 1.0
    volume = _factor(unit, "m**3")
    if volume is None:
        raise InvalidInput("point_id", f"the counter's unit {unit} is no energy and no volume")
    if calorific_value is None:
        raise InvalidInput(
            "calorific_value", "the counter counts m**3: give the kWh in one, from the supplier's bill"
        )
    return volume * calorific_value


def _factor(unit: str | None, wanted: str) -> float | None:
    """None when one cannot be given as the other."""
    if unit == wanted:
        return 1.0
    import pint

    try:
        return float(registry().Quantity(1.0, unit).to(wanted).magnitude)
    except pint.PintError:
        return None
