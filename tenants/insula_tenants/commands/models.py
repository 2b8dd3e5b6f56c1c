"""A command that was given to a device."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal
from uuid import UUID

from sqlalchemy import BigInteger, DateTime, ForeignKey, Identity, Index, Text, Uuid, func
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from insula_tenants.devices.models import Device
from insula_tenants.models import PerTenant

CommandState = Literal["waiting", "sent", "succeeded", "failed", "timed_out", "cancelled"]
"""The broker does not have it yet; it has; then how it ended. What a device did with it, only its result
says: MQTT tells a sender nothing of the receiver."""


class Command(PerTenant):
    """One thing that a device is to do."""

    __tablename__ = "commands"
    __table_args__ = (Index("commands_device", "device_id", "id"),)

    id: Mapped[int] = mapped_column(BigInteger, Identity(always=True), primary_key=True)
    key: Mapped[UUID] = mapped_column(Uuid, unique=True, server_default=func.gen_random_uuid())
    """Its id in topics and URLs."""
    device_id: Mapped[int] = mapped_column(ForeignKey(Device.id, ondelete="CASCADE"))
    name: Mapped[str] = mapped_column(Text)
    payload: Mapped[dict[str, Any]] = mapped_column(JSONB)
    state: Mapped[str] = mapped_column(Text, server_default="waiting")
    """One of `CommandState`."""
    timeout: Mapped[int]
    """Seconds the device has for its result."""
    deliver_when_back: Mapped[bool]
    """Whether the time begins when the device is there."""
    actor_kind: Mapped[str] = mapped_column(Text)
    actor: Mapped[str] = mapped_column(Text)
    created_at: Mapped[datetime] = mapped_column(DateTime(timezone=True), server_default=func.now())
    sent_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
    expires_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
    """When a result is late; None while it waits for the device to come back."""
    ended_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
    result: Mapped[Any | None] = mapped_column(JSONB(none_as_null=True))
    error: Mapped[str | None] = mapped_column(Text)
    result_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
    late: Mapped[bool] = mapped_column(server_default="false")
    """Whether the result came after the end."""
