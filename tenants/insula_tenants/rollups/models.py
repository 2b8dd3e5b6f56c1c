"""What the worker saw of each tenant's storage."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from sqlalchemy import BigInteger, DateTime, Double, ForeignKey, Text, Uuid
from sqlalchemy.orm import Mapped, mapped_column

from insula_tenants.models import Core


class StorageStatus(Core):
    """A tenant's storage when the worker last looked at it."""

    __tablename__ = "storage_status"

    tenant_id: Mapped[UUID] = mapped_column(
        Uuid, ForeignKey("tenants.id", ondelete="CASCADE"), primary_key=True
    )
    engine: Mapped[str] = mapped_column(Text)
    complete_until: Mapped[datetime] = mapped_column(DateTime(timezone=True))
    raw_from: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
    lag_seconds: Mapped[float] = mapped_column(Double)
    """How far the rollups are behind where they can be."""
    dirty_ranges: Mapped[int] = mapped_column(BigInteger)
    dirty_seconds: Mapped[float] = mapped_column(Double)
    """Length of the stretches that are to be rolled up anew."""
    checked_at: Mapped[datetime] = mapped_column(DateTime(timezone=True))
    refreshed_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
    tended_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
    """When it was last looked through for what to drop and compress, and measured."""
    readings: Mapped[int | None] = mapped_column(BigInteger)
    """As the server estimates them."""
    raw_bytes: Mapped[int | None] = mapped_column(BigInteger)
    rollup_bytes: Mapped[int | None] = mapped_column(BigInteger)
