"""Counters of a tenant's days (UTC)."""

from __future__ import annotations

from datetime import date
from uuid import UUID

from sqlalchemy import BigInteger, Date, ForeignKey, Integer, Text, Uuid
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
