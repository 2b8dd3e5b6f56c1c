"""What ingest and the broker noticed of a device."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import BigInteger, DateTime, Double, ForeignKey, Text
from sqlalchemy.orm import Mapped, mapped_column

from insula_tenants.devices.models import Device
from insula_tenants.models import PerTenant


class DeviceHealth(PerTenant):
    """Written down now and then, so it may be half a minute behind."""

    __tablename__ = "device_health"

    device_id: Mapped[int] = mapped_column(ForeignKey(Device.id, ondelete="CASCADE"), primary_key=True)
    last_message_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
    """Receipt of the last message of telemetry."""
    clock_offset: Mapped[float | None] = mapped_column(Double)
    """Seconds from the time a message names to its receipt, the least of a while: what a device kept back
    makes it larger, never less. Below zero its clock is ahead."""
    clock_offset_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
    throttled: Mapped[int] = mapped_column(BigInteger, server_default="0")
    """Messages over a limit so far."""
    throttled_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
    refused: Mapped[int] = mapped_column(BigInteger, server_default="0")
    """Connections and messages that the broker refused so far."""
    refused_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
    refused_what: Mapped[str | None] = mapped_column(Text)
    """`connection`, `publish` or `subscribe`."""
    refused_reason: Mapped[str | None] = mapped_column(Text)
