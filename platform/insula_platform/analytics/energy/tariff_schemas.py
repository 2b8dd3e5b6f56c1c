"""Tariffs and emission factors as the API shows them and takes them."""

from __future__ import annotations

from datetime import date
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

from insula_tenants.energy.models import Carrier

Price = Annotated[float, Field(ge=-1_000, le=1_000_000, allow_inf_nan=False)]
Clock = Annotated[str, Field(pattern=r"^([01][0-9]|2[0-3]):(00|15|30|45)$|^24:00$", examples=["07:00"])]
Weekday = Annotated[int, Field(ge=1, le=7)]

_PERIOD: dict[str, Any] = {
    "name": "Peak",
    "weekdays": [1, 2, 3, 4, 5],
    "starts": "07:00",
    "ends": "22:00",
    "price": 0.32,
}
_TARIFF: dict[str, Any] = {
    "name": "Day and night",
    "carrier": "electricity",
    "building_id": None,
    "valid_from": "2026-01-01",
    "currency": "EUR",
    "price": 0.24,
    "periods": [_PERIOD],
    "standing_charge": 0.55,
}
_FACTOR: dict[str, Any] = {
    "carrier": "electricity",
    "valid_from": "2026-01-01",
    "factor": 0.167,
    "source": "Your supplier",
}


class Period(BaseModel):
    """Local times of the week with a price of their own."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"example": _PERIOD})

    name: str = Field(max_length=100)
    weekdays: list[Weekday] = Field(
        min_length=1, max_length=7, description="On which days it begins: 1 is Monday, 7 Sunday (ISO 8601)."
    )
    starts: Clock = Field(description="Local time, on a quarter of an hour.")
    ends: Clock = Field(description="Not included. At or before `starts`: on the day after.")
    price: Price


class NewTariff(BaseModel):
    """A tariff before there is one."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"example": _TARIFF})

    name: str = Field(min_length=1, max_length=200)
    carrier: Carrier
    building_id: int | None = Field(
        default=None, ge=1, lt=2**31, description="The building it is for; null: each without one of its own."
    )
    valid_from: date = Field(
        description="The local day from which it holds, until the next of this carrier and building."
    )
    currency: str = Field(pattern="^[A-Z]{3}$", description="ISO 4217, such as EUR.")
    price: Price = Field(description="Of a kWh, or of a m³ of water, at times that no period names.")
    periods: list[Period] = Field(
        default=[], max_length=50, description="Times of use. Where two overlap, the first one holds."
    )
    standing_charge: float = Field(
        default=0,
        ge=0,
        le=1_000_000,
        allow_inf_nan=False,
        description="A day, for each meter that is no submeter.",
    )


class Tariff(NewTariff):
    """A tariff."""

    model_config = ConfigDict(
        extra="forbid", from_attributes=True, json_schema_extra={"example": {"id": 1, **_TARIFF}}
    )

    id: int


class TariffChanges(BaseModel):
    """What is to be changed of a tariff; what is left out stays. Other prices from a day on are another."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"example": {"price": 0.26}})

    name: str = Field(default="", min_length=1, max_length=200)
    valid_from: date = date.min
    currency: str = Field(default="", pattern="^[A-Z]{3}$")
    price: Price = 0
    periods: list[Period] = Field(default=[], max_length=50)
    standing_charge: float = Field(default=0, ge=0, le=1_000_000, allow_inf_nan=False)


class NewEmissionFactor(BaseModel):
    """An emission factor before there is one."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"example": _FACTOR})

    carrier: Carrier
    valid_from: date = Field(description="The local day from which it holds, until the next of this carrier.")
    factor: float = Field(
        ge=0, le=1_000, allow_inf_nan=False, description="kg CO2e of a kWh, or of a m³ of water."
    )
    source: str | None = Field(default=None, max_length=300, description="Who published it.")


class EmissionFactor(NewEmissionFactor):
    """An emission factor."""

    model_config = ConfigDict(
        extra="forbid", from_attributes=True, json_schema_extra={"example": {"id": 1, **_FACTOR}}
    )

    id: int


class EmissionFactorChanges(BaseModel):
    """What is to be changed of an emission factor; what is left out stays."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"example": {"factor": 0.16}})

    valid_from: date = date.min
    factor: float = Field(default=0, ge=0, le=1_000, allow_inf_nan=False)
    source: str | None = Field(default=None, max_length=300)
