"""A device, what proves its identity, and what it measures or is told."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import (
    ARRAY,
    DateTime,
    Double,
    ForeignKey,
    Identity,
    Index,
    LargeBinary,
    Text,
    UniqueConstraint,
    func,
)
from sqlalchemy.orm import Mapped, mapped_column

from insula_tenants.models import PerTenant
from insula_tenants.spaces.models import Space


class Device(PerTenant):
    """A sensor, actuator or gateway. Its slug is its name in topics and URLs and never changes."""

    __tablename__ = "devices"
    __table_args__ = (Index("devices_space", "space_id"),)

    id: Mapped[int] = mapped_column(Identity(always=True), primary_key=True)
    slug: Mapped[str] = mapped_column(Text, unique=True)
    name: Mapped[str] = mapped_column(Text)
    space_id: Mapped[int | None] = mapped_column(ForeignKey(Space.id, ondelete="SET NULL"))
    created_at: Mapped[datetime] = mapped_column(DateTime(timezone=True), server_default=func.now())


class DeviceCredential(PerTenant):
    """The hash of a device's MQTT password (PBKDF2-HMAC-SHA512)."""

    __tablename__ = "device_credentials"

    id: Mapped[int] = mapped_column(Identity(always=True), primary_key=True)
    device_id: Mapped[int] = mapped_column(ForeignKey(Device.id, ondelete="CASCADE"), unique=True)
    password_hash: Mapped[bytes] = mapped_column(LargeBinary)
    salt: Mapped[bytes] = mapped_column(LargeBinary)
    iterations: Mapped[int]
    created_at: Mapped[datetime] = mapped_column(DateTime(timezone=True), server_default=func.now())


class Point(PerTenant):
    """One measured or commanded quantity of a device."""

    __tablename__ = "points"
    __table_args__ = (UniqueConstraint("device_id", "name"),)

    id: Mapped[int] = mapped_column(Identity(always=True), primary_key=True)
    device_id: Mapped[int] = mapped_column(ForeignKey(Device.id, ondelete="CASCADE"))
    name: Mapped[str] = mapped_column(Text)
    brick_class: Mapped[str | None] = mapped_column(Text)
    """Class of the Brick ontology, such as `Zone_Air_Temperature_Sensor`; None where nobody said."""
    unit: Mapped[str | None] = mapped_column(Text)
    """Name of the unit as pint reads it, such as `degC`; None where nobody said or it has none."""
    kind: Mapped[str] = mapped_column(Text, server_default="gauge")
    """`gauge`, or `counter` for a meter's running total."""
    rollover_at: Mapped[float | None] = mapped_column(Double)
    """Where a counter's register begins anew at 0: 100 000 for one of five digits; None where nobody said."""
    states: Mapped[list[str] | None] = mapped_column(ARRAY(Text))
    """Names of the values 0, 1, …; None for a quantity."""
    created_at: Mapped[datetime] = mapped_column(DateTime(timezone=True), server_default=func.now())
