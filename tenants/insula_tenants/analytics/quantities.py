"""What a point measures, by its Brick class, and its values in one unit a quantity."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from insula_tenants.devices.units import registry


class Quantity(StrEnum):
    """What analytics know how to use."""

    AIR_TEMPERATURE = "air_temperature"
    """Of a room, °C."""
    RADIANT_TEMPERATURE = "radiant_temperature"
    """Mean radiant temperature of a room, °C."""
    HUMIDITY = "humidity"
    """Relative humidity of a room's air, %."""
    CO2 = "co2"
    """Of a room's air, ppm."""
    ILLUMINANCE = "illuminance"
    """Lux."""
    OCCUPANCY = "occupancy"
    """0 or 1, or a share of the time between."""
    OCCUPANCY_COUNT = "occupancy_count"
    """People."""
    OUTDOOR_TEMPERATURE = "outdoor_temperature"
    """°C."""
    OUTDOOR_HUMIDITY = "outdoor_humidity"
    """Relative, %."""
    ELECTRIC_ENERGY = "electric_energy"
    """A meter's running total, kWh."""
    THERMAL_ENERGY = "thermal_energy"
    """A heat meter's running total, kWh."""
    GAS_VOLUME = "gas_volume"
    """A gas meter's running total, m³."""
    WATER_VOLUME = "water_volume"
    """A water meter's running total, m³."""
    POWER = "power"
    """Electric, kW."""


NOT_OF_BRICK: Mapping[str, Quantity] = {
    "Mean_Radiant_Temperature_Sensor": Quantity.RADIANT_TEMPERATURE,
}
"""Names that devices bring because Brick has none: a globe thermometer is no sensor of a radiant panel."""

CLASSES: Mapping[str, Quantity] = {
    **NOT_OF_BRICK,
    "Air_Temperature_Sensor": Quantity.AIR_TEMPERATURE,
    "Temperature_Sensor": Quantity.AIR_TEMPERATURE,
    "Zone_Air_Temperature_Sensor": Quantity.AIR_TEMPERATURE,
    "Average_Zone_Air_Temperature_Sensor": Quantity.AIR_TEMPERATURE,
    "Humidity_Sensor": Quantity.HUMIDITY,
    "Relative_Humidity_Sensor": Quantity.HUMIDITY,
    "Zone_Air_Humidity_Sensor": Quantity.HUMIDITY,
    "CO2_Sensor": Quantity.CO2,
    "CO2_Level_Sensor": Quantity.CO2,
    "Zone_CO2_Level_Sensor": Quantity.CO2,
    "Illuminance_Sensor": Quantity.ILLUMINANCE,
    "Occupancy_Sensor": Quantity.OCCUPANCY,
    "Motion_Sensor": Quantity.OCCUPANCY,
    "PIR_Sensor": Quantity.OCCUPANCY,
    "Occupancy_Count_Sensor": Quantity.OCCUPANCY_COUNT,
    "Outside_Air_Temperature_Sensor": Quantity.OUTDOOR_TEMPERATURE,
    "Outside_Air_Humidity_Sensor": Quantity.OUTDOOR_HUMIDITY,
    "Electric_Energy_Sensor": Quantity.ELECTRIC_ENERGY,
    "Electrical_Energy_Usage_Sensor": Quantity.ELECTRIC_ENERGY,
    "Energy_Usage_Sensor": Quantity.ELECTRIC_ENERGY,
    "Energy_Sensor": Quantity.ELECTRIC_ENERGY,
    "Thermal_Energy_Usage_Sensor": Quantity.THERMAL_ENERGY,
    "Hot_Water_Usage_Sensor": Quantity.WATER_VOLUME,
    "Water_Usage_Sensor": Quantity.WATER_VOLUME,
    "Natural_Gas_Usage_Sensor": Quantity.GAS_VOLUME,
    "Electric_Power_Sensor": Quantity.POWER,
    "Active_Power_Sensor": Quantity.POWER,
    "Power_Sensor": Quantity.POWER,
}
"""The classes of Brick that analytics use, and `NOT_OF_BRICK`."""

UNITS: Mapping[Quantity, str] = {
    Quantity.AIR_TEMPERATURE: "degC",
    Quantity.RADIANT_TEMPERATURE: "degC",
    Quantity.HUMIDITY: "percent",
    Quantity.CO2: "ppm",
    Quantity.ILLUMINANCE: "lux",
    Quantity.OCCUPANCY: "dimensionless",
    Quantity.OCCUPANCY_COUNT: "dimensionless",
    Quantity.OUTDOOR_TEMPERATURE: "degC",
    Quantity.OUTDOOR_HUMIDITY: "percent",
    Quantity.ELECTRIC_ENERGY: "kWh",
    Quantity.THERMAL_ENERGY: "kWh",
    Quantity.GAS_VOLUME: "m**3",
    Quantity.WATER_VOLUME: "m**3",
    Quantity.POWER: "kW",
}
"""The unit in which analytics have a quantity, as pint names it."""


def quantity_of(brick_class: str | None) -> Quantity | None:
    """What a point of this class measures; None when analytics have no use for it."""
    return CLASSES.get(brick_class or "")


def in_unit_of(quantity: Quantity, values: NDArray[np.float64], unit: str | None) -> NDArray[np.float64]:
    """The values in the quantity's unit. `unit` is the point's; None: it is taken to be that one already.

    Raises `ValueError` when one cannot be turned into the other, such as lux into °C.
    """
    wanted = UNITS[quantity]
    if unit is None or unit == wanted or values.size == 0:
        return values
    import pint

    try:
        return np.asarray(registry().Quantity(values, unit).to(wanted).magnitude, dtype=np.float64)
    except pint.PintError as error:
        raise ValueError(f"{unit} cannot be given as {wanted}") from error
