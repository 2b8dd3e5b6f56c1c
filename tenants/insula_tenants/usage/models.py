"""Counters of a tenant's days (UTC), and what was measured on them."""

from __future__ import annotations

from datetime import date, datetime
from uuid import UUID

from sqlalchemy import BigInteger, Date, DateTime, ForeignKey, Integer, Text, Uuid, func
from sqlalchemy.orm import Mapped, mapped_column

from insula_tenants.models import Core


class UsageDaily(Core):
    """How much of one metric a tenant used on one day."""

    __tablename__ = "usage_daily"

    tenant_id: Mapped[UUID] = mapped_column(Uuid, ForeignKey("tenants.id"), primary_key=True)
    day: Mapped[date] = mapped_column(Date, primary_key=True)
    metric: Mapped[str] = mapped_column(Text, primary_key=True)
    """`messages`, `values`, `bytes`, `dead_letters`, `throttled` or `api_calls`."""
    amount: Mapped[int] = mapped_column(BigInteger)


class UsageDevice(Core):
    """That a device was seen on a day."""

    __tablename__ = "usage_devices"

    tenant_id: Mapped[UUID] = mapped_column(Uuid, ForeignKey("tenants.id"), primary_key=True)
    day: Mapped[date] = mapped_column(Date, primary_key=True)
    device_id: Mapped[int] = mapped_column(Integer, primary_key=True)


class UsageGauge(Core):
    """What a tenant had when it was last measured on a day."""

    __tablename__ = "usage_gauges"

    tenant_id: Mapped[UUID] = mapped_column(Uuid, ForeignKey("tenants.id"), primary_key=True)
    day: Mapped[date] = mapped_column(Date, primary_key=True)
    devices: Mapped[int] = mapped_column(BigInteger)
    points: Mapped[int] = mapped_column(BigInteger)
    storage_bytes: Mapped[int] = mapped_column(BigInteger)
    """Tables, indexes and TOAST of the schema, with partitions, chunks and rollups."""
    measured_at: Mapped[datetime] = mapped_column(DateTime(timezone=True), server_default=func.now())
