"""A device, what proves its identity, and what it measures or is told."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Any, Literal

from sqlalchemy import (
    ARRAY,
    BigInteger,
    DateTime,
    Double,
    ForeignKey,
    Identity,
    Index,
    LargeBinary,
    Numeric,
    Text,
    UniqueConstraint,
    func,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from insula_tenants.models import PerTenant
from insula_tenants.spaces.models import Space

DeviceState = Literal["active", "held", "decommissioned"]
"""In use; waiting to be approved; out of use, with its readings kept."""


class DeviceType(PerTenant):
    """A template that the tenant has made: what a new device of this type gets. See `types`."""

    __tablename__ = "device_types"

    id: Mapped[int] = mapped_column(Identity(always=True), primary_key=True)
    slug: Mapped[str] = mapped_column(Text, unique=True)
    name: Mapped[str] = mapped_column(Text)
    vendor: Mapped[str | None] = mapped_column(Text)
    model: Mapped[str | None] = mapped_column(Text)
    expected_interval: Mapped[int | None]
    """Seconds between two messages."""
    points: Mapped[list[dict[str, Any]]] = mapped_column(JSONB, server_default="[]")
    created_at: Mapped[datetime] = mapped_column(DateTime(timezone=True), server_default=func.now())


class Device(PerTenant):
    """A sensor, actuator or gateway. Its slug is its name in topics and URLs and never changes."""

    __tablename__ = "devices"
    __table_args__ = (
        Index("devices_space", "space_id"),
        Index("devices_gateway", "gateway_id"),
        Index("devices_type", "type"),
    )

    id: Mapped[int] = mapped_column(Identity(always=True), primary_key=True)
    slug: Mapped[str] = mapped_column(Text, unique=True)
    name: Mapped[str] = mapped_column(Text)
    space_id: Mapped[int | None] = mapped_column(ForeignKey(Space.id, ondelete="SET NULL"))
    gateway_id: Mapped[int | None] = mapped_column(
        ForeignKey("devices.id", ondelete="SET NULL", deferrable=True, initially="DEFERRED")
    )
    """The device that may publish for this one; None when none may."""
    type: Mapped[str | None] = mapped_column(Text)
    """Slug of its device type; None where nobody said."""
    state: Mapped[str] = mapped_column(Text, server_default="active")
    """One of `DeviceState`."""
    decommissioned_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
    expected_interval: Mapped[int | None]
    """Seconds between two messages; None where nobody said."""
    serial: Mapped[str | None] = mapped_column(Text)
    """The maker's number."""
    labels: Mapped[dict[str, str]] = mapped_column(JSONB, server_default="{}")
    created_at: Mapped[datetime] = mapped_column(DateTime(timezone=True), server_default=func.now())


class DeviceCredential(PerTenant):
    """The hash of the MQTT password (PBKDF2-HMAC-SHA512) of one of a device's logins.

    Its user name follows from the tenant, the device and `number` (see `names.mqtt_username`) and is written
    nowhere: a bundle that is imported under another slug must not bring logins of the old one.
    """

    __tablename__ = "device_credentials"
    __table_args__ = (UniqueConstraint("device_id", "number"),)

    id: Mapped[int] = mapped_column(Identity(always=True), primary_key=True)
    device_id: Mapped[int] = mapped_column(ForeignKey(Device.id, ondelete="CASCADE"))
    number: Mapped[int] = mapped_column(server_default="1")
    """1 for the first, and never given a second time: what was revoked stays so."""
    expires_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
    """When it stops being good; None when it does not."""
    revoked_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
    """When it was taken from the broker; its hash is gone then."""
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
    minimum: Mapped[float | None] = mapped_column(Double)
    """Lowest value that can be right, in the point's unit; None where nobody said."""
    maximum: Mapped[float | None] = mapped_column(Double)
    """Highest value that can be right, in the point's unit; None where nobody said."""
    expected_interval: Mapped[int | None]
    """Seconds between two readings; None when it is the device's."""
    created_at: Mapped[datetime] = mapped_column(DateTime(timezone=True), server_default=func.now())


class SparkplugMetric(PerTenant):
    """What births told of a metric that data names by its alias, or without its datatype."""

    __tablename__ = "sparkplug_metrics"
    __table_args__ = (UniqueConstraint("device_id", "name"), UniqueConstraint("device_id", "alias"))

    id: Mapped[int] = mapped_column(BigInteger, Identity(always=True), primary_key=True)
    device_id: Mapped[int] = mapped_column(ForeignKey(Device.id, ondelete="CASCADE"))
    name: Mapped[str] = mapped_column(Text)
    alias: Mapped[Decimal | None] = mapped_column(Numeric(20))
    """A 64-bit number without sign; None when the metric has none."""
    datatype: Mapped[int] = mapped_column(BigInteger)
    """Number of the Sparkplug datatype; 0 when it was not told."""
    since: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
    """When the alias came to mean this metric; None when it never meant another."""
