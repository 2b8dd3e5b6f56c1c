"""Whether a device is there: what its status said last, and what changed before."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from sqlalchemy import BigInteger, DateTime, ForeignKey, Identity, Index, Text
from sqlalchemy.orm import Mapped, mapped_column

from insula_tenants.devices.models import Device
from insula_tenants.models import PerTenant

PresenceState = Literal["online", "offline", "stale", "unknown"]
"""Connected, or sending; known to have left; silent for longer than it should be; nobody can say."""


class DevicePresence(PerTenant):
    """What the device's `status` said last."""

    __tablename__ = "device_presence"

    device_id: Mapped[int] = mapped_column(ForeignKey(Device.id, ondelete="CASCADE"), primary_key=True)
    connected: Mapped[bool]
    since: Mapped[datetime] = mapped_column(DateTime(timezone=True))
    connected_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
    disconnected_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
    stale_since: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
    """When its silence was noted; None when it is not silent."""


class PresenceChange(PerTenant):
    """That a device came, left, or fell silent."""

    __tablename__ = "presence_changes"
    __table_args__ = (
        Index("presence_changes_device", "device_id", "id"),
        Index("presence_changes_at", "at"),
    )

    id: Mapped[int] = mapped_column(BigInteger, Identity(always=True), primary_key=True)
    device_id: Mapped[int] = mapped_column(ForeignKey(Device.id, ondelete="CASCADE"))
    state: Mapped[PresenceState] = mapped_column(Text)
    """`online`, `offline` or `stale`."""
    at: Mapped[datetime] = mapped_column(DateTime(timezone=True))
