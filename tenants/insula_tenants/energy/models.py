"""Meters, tariffs and emission factors."""

from __future__ import annotations

from datetime import date
from typing import Any, Literal

from sqlalchemy import Date, Double, ForeignKey, Identity, Index, Text, UniqueConstraint
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from insula_tenants.building_model.models import Equipment
from insula_tenants.devices.models import Point
from insula_tenants.models import PerTenant
from insula_tenants.spaces.models import Building, Space, Storey

Carrier = Literal["electricity", "heat", "gas", "water"]
"""What a meter counts. The first three are in kWh, water is in m³."""


class Meter(PerTenant):
    """Which counter measures what: exactly one of building, storey, space and equipment is set."""

    __tablename__ = "meters"
    __table_args__ = (
        Index("meters_building", "building_id"),
        Index("meters_storey", "storey_id"),
        Index("meters_space", "space_id"),
        Index("meters_equipment", "equipment_id"),
        Index("meters_submeter_of", "submeter_of_id"),
    )

    id: Mapped[int] = mapped_column(Identity(always=True), primary_key=True)
    name: Mapped[str] = mapped_column(Text)
    carrier: Mapped[str] = mapped_column(Text)
    """One of `Carrier`."""
    point_id: Mapped[int] = mapped_column(ForeignKey(Point.id, ondelete="CASCADE"), unique=True)
    """A counter."""
    building_id: Mapped[int | None] = mapped_column(ForeignKey(Building.id, ondelete="CASCADE"))
    storey_id: Mapped[int | None] = mapped_column(ForeignKey(Storey.id, ondelete="CASCADE"))
    space_id: Mapped[int | None] = mapped_column(ForeignKey(Space.id, ondelete="CASCADE"))
    equipment_id: Mapped[int | None] = mapped_column(ForeignKey(Equipment.id, ondelete="CASCADE"))
    submeter_of_id: Mapped[int | None] = mapped_column(
        ForeignKey("meters.id", ondelete="SET NULL", deferrable=True, initially="DEFERRED")
    )
    """The meter whose consumption takes in this one's."""
    calorific_value: Mapped[float | None] = mapped_column(Double)
    """kWh per m³, of a gas meter that counts m³."""


class Tariff(PerTenant):
    """What a kWh, or a m³ of water, costs from a local day on, until the carrier's next there."""

    __tablename__ = "tariffs"
    __table_args__ = (
        UniqueConstraint("carrier", "building_id", "valid_from", postgresql_nulls_not_distinct=True),
        Index("tariffs_building", "building_id"),
    )

    id: Mapped[int] = mapped_column(Identity(always=True), primary_key=True)
    name: Mapped[str] = mapped_column(Text)
    carrier: Mapped[str] = mapped_column(Text)
    building_id: Mapped[int | None] = mapped_column(ForeignKey(Building.id, ondelete="CASCADE"))
    """The building that it is for; None: each that has none of its own."""
    valid_from: Mapped[date] = mapped_column(Date)
    currency: Mapped[str] = mapped_column(Text)
    """ISO 4217."""
    price: Mapped[float] = mapped_column(Double)
    """Of a unit, at times that no period names."""
    periods: Mapped[list[dict[str, Any]]] = mapped_column(JSONB, server_default="[]")
    """Local times of the week with a price of their own: `name`, `weekdays`, `starts`, `ends`, `price`."""
    standing_charge: Mapped[float] = mapped_column(Double, server_default="0")
    """Of each meter that is no submeter, a day."""


class EmissionFactor(PerTenant):
    """What the use of a carrier emits, from a local day on, until the next."""

    __tablename__ = "emission_factors"
    __table_args__ = (UniqueConstraint("carrier", "valid_from"),)

    id: Mapped[int] = mapped_column(Identity(always=True), primary_key=True)
    carrier: Mapped[str] = mapped_column(Text)
    valid_from: Mapped[date] = mapped_column(Date)
    factor: Mapped[float] = mapped_column(Double)
    """kg CO2e of a kWh, or of a m³ of water."""
    source: Mapped[str | None] = mapped_column(Text)
    """Who published it."""
