"""SQLAlchemy's view of the telemetry tables. The hot paths use the SQL in `sql/` instead."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import BigInteger, DateTime, Double, Identity, LargeBinary, Text
from sqlalchemy.orm import Mapped, mapped_column

from insula_tenants.models import PerTenant


class Reading(PerTenant):
    """One value of one point at one time. Booleans are 0 and 1."""

    __tablename__ = "readings"

    point_id: Mapped[int] = mapped_column(primary_key=True)
    time: Mapped[datetime] = mapped_column(DateTime(timezone=True), primary_key=True)
    value: Mapped[float] = mapped_column(Double)


class Latest(PerTenant):
    """The newest reading of each point."""

    __tablename__ = "latest"

    point_id: Mapped[int] = mapped_column(primary_key=True)
    time: Mapped[datetime] = mapped_column(DateTime(timezone=True))
    value: Mapped[float] = mapped_column(Double)


class DeadLetter(PerTenant):
    """A message, or a part of one, that could not be stored; the same message again only counts up."""

    __tablename__ = "dead_letters"

    id: Mapped[int] = mapped_column(BigInteger, Identity(always=True), primary_key=True)
    first_received_at: Mapped[datetime] = mapped_column(DateTime(timezone=True))
    last_received_at: Mapped[datetime] = mapped_column(DateTime(timezone=True))
    times: Mapped[int] = mapped_column(server_default="1")
    topic: Mapped[str] = mapped_column(Text)
    device: Mapped[str] = mapped_column(Text)
    reason: Mapped[str] = mapped_column(Text)
    detail: Mapped[str] = mapped_column(Text)
    payload: Mapped[bytes] = mapped_column(LargeBinary)
    """As received, cut off at `MAX_KEPT_PAYLOAD` bytes."""
    payload_bytes: Mapped[int]
    digest: Mapped[bytes] = mapped_column(LargeBinary, unique=True)
