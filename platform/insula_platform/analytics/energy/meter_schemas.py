"""Meters as the API shows them and takes them."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

from insula_tenants.energy.models import Carrier

Id = Annotated[int | None, Field(ge=1, lt=2**31)]

_EXAMPLE: dict[str, Any] = {
    "name": "Main electricity meter",
    "carrier": "electricity",
    "point_id": 7,
    "building_id": 1,
    "storey_id": None,
    "space_id": None,
    "equipment_id": None,
    "submeter_of": None,
    "calorific_value": None,
}


class NewMeter(BaseModel):
    """A meter before there is one."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"example": _EXAMPLE})

    name: str = Field(min_length=1, max_length=200)
    carrier: Carrier = Field(description="Electricity, heat and gas are told in kWh, water in m³.")
    point_id: int = Field(
        ge=1, lt=2**31, description="The counter that it reads: a point of kind `counter`, of one meter only."
    )
    building_id: Id = Field(default=None, description="The building that it measures.")
    storey_id: Id = Field(default=None, description="The storey that it measures.")
    space_id: Id = Field(default=None, description="The space that it measures.")
    equipment_id: Id = Field(
        default=None,
        description="The equipment that it measures. Exactly one of the four is given.",
    )
    submeter_of: Id = Field(
        default=None,
        description="The meter of the same carrier whose consumption takes in this one's; null for a main "
        "meter.",
    )
    calorific_value: float | None = Field(
        default=None,
        gt=0,
        le=100,
        allow_inf_nan=False,
        description="kWh in a m³, from the supplier's bill. A gas meter that counts m³ needs it, no other "
        "has it.",
    )


class Meter(NewMeter):
    """A meter."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"example": {"id": 1, **_EXAMPLE}})

    id: int


class MeterChanges(BaseModel):
    """What is to be changed of a meter; what is left out stays.

    To let it measure something else, name that alone.
    """

    model_config = ConfigDict(extra="forbid", json_schema_extra={"example": {"submeter_of": 1}})

    name: str = Field(default="", min_length=1, max_length=200)
    point_id: int = Field(default=0, ge=1, lt=2**31)
    building_id: Id = None
    storey_id: Id = None
    space_id: Id = None
    equipment_id: Id = None
    submeter_of: Id = None
    calorific_value: float | None = Field(default=None, gt=0, le=100, allow_inf_nan=False)
