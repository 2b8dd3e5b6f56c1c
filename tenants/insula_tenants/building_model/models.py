"""Zones, equipment and the model's points. Sites, buildings, storeys and spaces are in `spaces.models`."""

from __future__ import annotations

from sqlalchemy import ForeignKey, Identity, Index, Text, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from insula_tenants.devices.models import Point
from insula_tenants.models import PerTenant
from insula_tenants.spaces.models import Building, Space, Storey


class Zone(PerTenant):
    """Spaces that are treated alike, such as an `HVAC_Zone`; they cut across storeys."""

    __tablename__ = "zones"

    id: Mapped[int] = mapped_column(Identity(always=True), primary_key=True)
    iri: Mapped[str | None] = mapped_column(Text, unique=True)
    name: Mapped[str] = mapped_column(Text)
    brick_class: Mapped[str] = mapped_column(Text, server_default="Zone")


class ZoneSpace(PerTenant):
    """A space of a zone."""

    __tablename__ = "zone_spaces"
    __table_args__ = (UniqueConstraint("zone_id", "space_id"), Index("zone_spaces_space", "space_id"))

    id: Mapped[int] = mapped_column(Identity(always=True), primary_key=True)
    zone_id: Mapped[int] = mapped_column(ForeignKey(Zone.id, ondelete="CASCADE"))
    space_id: Mapped[int] = mapped_column(ForeignKey(Space.id, ondelete="CASCADE"))


class Equipment(PerTenant):
    """What stands in a building and does something, such as an `AHU`. What publishes is a device.

    Of building, storey, space and zone at most one is set: the narrowest that is known.
    """

    __tablename__ = "equipment"
    __table_args__ = (
        Index("equipment_part_of", "part_of_id"),
        Index("equipment_building", "building_id"),
        Index("equipment_storey", "storey_id"),
        Index("equipment_space", "space_id"),
        Index("equipment_zone", "zone_id"),
    )

    id: Mapped[int] = mapped_column(Identity(always=True), primary_key=True)
    iri: Mapped[str | None] = mapped_column(Text, unique=True)
    name: Mapped[str] = mapped_column(Text)
    brick_class: Mapped[str] = mapped_column(Text, server_default="Equipment")
    part_of_id: Mapped[int | None] = mapped_column(
        ForeignKey("equipment.id", ondelete="SET NULL", deferrable=True, initially="DEFERRED")
    )
    building_id: Mapped[int | None] = mapped_column(ForeignKey(Building.id, ondelete="CASCADE"))
    storey_id: Mapped[int | None] = mapped_column(ForeignKey(Storey.id, ondelete="SET NULL"))
    space_id: Mapped[int | None] = mapped_column(ForeignKey(Space.id, ondelete="SET NULL"))
    zone_id: Mapped[int | None] = mapped_column(ForeignKey(Zone.id, ondelete="SET NULL"))


class Feed(PerTenant):
    """An equipment serves another, a space or a zone: one of the three."""

    __tablename__ = "equipment_feeds"
    __table_args__ = (
        UniqueConstraint(
            "equipment_id",
            "fed_equipment_id",
            "fed_space_id",
            "fed_zone_id",
            postgresql_nulls_not_distinct=True,
        ),
        Index("equipment_feeds_equipment", "fed_equipment_id"),
        Index("equipment_feeds_space", "fed_space_id"),
        Index("equipment_feeds_zone", "fed_zone_id"),
    )

    id: Mapped[int] = mapped_column(Identity(always=True), primary_key=True)
    equipment_id: Mapped[int] = mapped_column(ForeignKey(Equipment.id, ondelete="CASCADE"))
    fed_equipment_id: Mapped[int | None] = mapped_column(ForeignKey(Equipment.id, ondelete="CASCADE"))
    fed_space_id: Mapped[int | None] = mapped_column(ForeignKey(Space.id, ondelete="CASCADE"))
    fed_zone_id: Mapped[int | None] = mapped_column(ForeignKey(Zone.id, ondelete="CASCADE"))


class ModelPoint(PerTenant):
    """A point as the building model names it; of what it tells about at most one is set."""

    __tablename__ = "model_points"
    __table_args__ = (
        Index("model_points_building", "building_id"),
        Index("model_points_storey", "storey_id"),
        Index("model_points_space", "space_id"),
        Index("model_points_zone", "zone_id"),
        Index("model_points_equipment", "equipment_id"),
    )

    id: Mapped[int] = mapped_column(Identity(always=True), primary_key=True)
    iri: Mapped[str | None] = mapped_column(Text, unique=True)
    name: Mapped[str] = mapped_column(Text)
    brick_class: Mapped[str] = mapped_column(Text, server_default="Point")
    unit: Mapped[str | None] = mapped_column(Text)
    building_id: Mapped[int | None] = mapped_column(ForeignKey(Building.id, ondelete="CASCADE"))
    storey_id: Mapped[int | None] = mapped_column(ForeignKey(Storey.id, ondelete="CASCADE"))
    space_id: Mapped[int | None] = mapped_column(ForeignKey(Space.id, ondelete="CASCADE"))
    zone_id: Mapped[int | None] = mapped_column(ForeignKey(Zone.id, ondelete="CASCADE"))
    equipment_id: Mapped[int | None] = mapped_column(ForeignKey(Equipment.id, ondelete="CASCADE"))
    point_id: Mapped[int | None] = mapped_column(ForeignKey(Point.id, ondelete="SET NULL"), unique=True)
    """The device's point that brings its values; None while none does."""
