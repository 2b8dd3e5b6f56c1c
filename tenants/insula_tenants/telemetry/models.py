"""SQLAlchemy's view of the telemetry tables. The hot paths use the SQL in `sql/` instead."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import BigInteger, Boolean, DateTime, Double, Identity, LargeBinary, Text
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


class DirtyRange(PerTenant):
    """A half-open stretch in which readings came late: the rollups are not right there."""

    __tablename__ = "dirty_ranges"

    id: Mapped[int] = mapped_column(BigInteger, Identity(always=True), primary_key=True)
    starting: Mapped[datetime] = mapped_column(DateTime(timezone=True))
    ending: Mapped[datetime] = mapped_column(DateTime(timezone=True))


class RollupState(PerTenant):
    """The one row that says what the rollups hold."""

    __tablename__ = "rollup_state"

    single: Mapped[bool] = mapped_column(Boolean, primary_key=True, server_default="true")
    complete_until: Mapped[datetime] = mapped_column(DateTime(timezone=True))
    """Rollups hold everything before it, but for the dirty ranges; a quarter of an hour, UTC."""
    raw_from: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
    """Raw readings before it were dropped; None when none were. A day, UTC."""


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
