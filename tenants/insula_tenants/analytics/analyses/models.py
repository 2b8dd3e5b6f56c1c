"""Analyses, their slices, and what they leave: a forecast a point, and findings."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal
from uuid import UUID

from sqlalchemy import (
    ARRAY,
    BigInteger,
    DateTime,
    Double,
    ForeignKey,
    Identity,
    Integer,
    Text,
    UniqueConstraint,
    Uuid,
    func,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from insula_tenants.devices.models import Point
from insula_tenants.models import PerTenant

AnalysisState = Literal["waiting", "running", "done", "abandoned"]
"""No slice has begun; some have; all are through; it took so long that another takes its place."""
Reason = Literal["schedule", "request"]
ForecastState = Literal["ready", "too_short", "silent"]
"""There is one; the history is too short for any; nothing came for so long that none is made."""
Model = Literal["ridge", "seasonal_naive"]
Kind = Literal["unusual", "stuck", "flat", "drifting"]
Severity = Literal["info", "warning", "critical"]
Basis = Literal["forecast", "past", "neighbours"]
"""What the expected range comes from: the forecast, the point's own past, or the others in its room."""


class Analysis(PerTenant):
    """A look at all points of the tenant. One is open at a time."""

    __tablename__ = "analyses"

    id: Mapped[int] = mapped_column(BigInteger, Identity(always=True), primary_key=True)
    key: Mapped[UUID] = mapped_column(Uuid, unique=True, server_default=func.gen_random_uuid())
    """Its id in URLs."""
    state: Mapped[str] = mapped_column(Text, server_default="waiting")
    """One of `AnalysisState`."""
    reason: Mapped[str] = mapped_column(Text)
    """One of `Reason`."""
    until: Mapped[datetime] = mapped_column(DateTime(timezone=True))
    """Readings before it count: a full hour."""
    points: Mapped[int]
    created_at: Mapped[datetime] = mapped_column(DateTime(timezone=True), server_default=func.now())
    started_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
    ended_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))


class AnalysisSlice(PerTenant):
    """Points that one job of the worker looks at."""

    __tablename__ = "analysis_slices"
    __table_args__ = (UniqueConstraint("analysis_id", "number"),)

    id: Mapped[int] = mapped_column(Identity(always=True), primary_key=True)
    analysis_id: Mapped[int] = mapped_column(ForeignKey(Analysis.id, ondelete="CASCADE"))
    number: Mapped[int]
    """Among those of its analysis, from 0."""
    points: Mapped[list[int]] = mapped_column(ARRAY(Integer))
    done: Mapped[int] = mapped_column(server_default="0")
    """Of its points the first so many are through."""
    failed: Mapped[int] = mapped_column(server_default="0")
    """Of those, how many could not be analysed."""
    starts: Mapped[int] = mapped_column(server_default="0")
    """How often a job began since a point was through."""
    started_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
    ended_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
    error: Mapped[str | None] = mapped_column(Text)
    """Of the last point that could not be analysed."""


class Forecast(PerTenant):
    """The newest forecast of a point, hour by hour from `until` on."""

    __tablename__ = "forecasts"

    id: Mapped[int] = mapped_column(Identity(always=True), primary_key=True)
    point_id: Mapped[int] = mapped_column(ForeignKey(Point.id, ondelete="CASCADE"), unique=True)
    made_at: Mapped[datetime] = mapped_column(DateTime(timezone=True), server_default=func.now())
    state: Mapped[str] = mapped_column(Text)
    """One of `ForecastState`; all that may be None is, where it is not `ready`."""
    until: Mapped[datetime] = mapped_column(DateTime(timezone=True))
    """It rests on readings before this full hour."""
    hours_expected: Mapped[int]
    """Of the history."""
    hours_present: Mapped[int]
    """Those that have a value."""
    model: Mapped[str | None] = mapped_column(Text)
    """One of `Model`."""
    level: Mapped[float | None] = mapped_column(Double)
    """Share of values that are to lie between `lower` and `upper`."""
    expected: Mapped[list[float] | None] = mapped_column(ARRAY(Double))
    lower: Mapped[list[float] | None] = mapped_column(ARRAY(Double))
    upper: Mapped[list[float] | None] = mapped_column(ARRAY(Double))
    naive: Mapped[list[float] | None] = mapped_column(ARRAY(Double))
    backtest: Mapped[dict[str, Any] | None] = mapped_column(JSONB)


class Finding(PerTenant):
    """Something an analysis noticed about a point. A condition that lasts is one of these."""

    __tablename__ = "findings"

    id: Mapped[int] = mapped_column(BigInteger, Identity(always=True), primary_key=True)
    point_id: Mapped[int] = mapped_column(ForeignKey(Point.id, ondelete="CASCADE"))
    kind: Mapped[str] = mapped_column(Text)
    """One of `Kind`."""
    severity: Mapped[str] = mapped_column(Text)
    """One of `Severity`."""
    basis: Mapped[str] = mapped_column(Text)
    """One of `Basis`."""
    opened_at: Mapped[datetime] = mapped_column(DateTime(timezone=True))
    """When the condition began."""
    closed_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
    """When it was over; None while it lasts."""
    seen_at: Mapped[datetime] = mapped_column(DateTime(timezone=True))
    """The evidence reaches until then."""
    value: Mapped[float] = mapped_column(Double)
    """In the point's unit; of what is unusual, the most unusual one."""
    expected_low: Mapped[float | None] = mapped_column(Double)
    expected_high: Mapped[float | None] = mapped_column(Double)
    per_day: Mapped[float | None] = mapped_column(Double)
    """Of a drift: its slope, in the point's unit."""
