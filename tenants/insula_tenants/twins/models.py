"""A device's twin, and whether the broker has what the device is to be."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, DateTime, ForeignKey, Identity, func
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from insula_tenants.devices.models import Device
from insula_tenants.models import PerTenant


class Twin(PerTenant):
    """What a device is to be, and what it says it is. A device that has neither has no row."""

    __tablename__ = "twins"

    id: Mapped[int] = mapped_column(Identity(always=True), primary_key=True)
    device_id: Mapped[int] = mapped_column(ForeignKey(Device.id, ondelete="CASCADE"), unique=True)
    desired: Mapped[dict[str, Any]] = mapped_column(JSONB, server_default="{}")
    desired_version: Mapped[int] = mapped_column(BigInteger, server_default="0")
    """Changes so far; 0 when nobody has set any."""
    desired_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
    reported: Mapped[dict[str, Any]] = mapped_column(JSONB, server_default="{}")
    reported_version: Mapped[int] = mapped_column(BigInteger, server_default="0")
    reported_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))


class DesiredOutbox(PerTenant):
    """A device whose desired state the broker has not acknowledged yet."""

    __tablename__ = "desired_outbox"

    device_id: Mapped[int] = mapped_column(ForeignKey(Device.id, ondelete="CASCADE"), primary_key=True)
    version: Mapped[int] = mapped_column(BigInteger)
    """The newest that waits. Here as well as in the twin: who takes a row out names the version he published,
    and so never one that was put in its place meanwhile."""
    since: Mapped[datetime] = mapped_column(DateTime(timezone=True), server_default=func.now())
