"""Keep what an analysis found of a point: its forecast anew, its findings as they go on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import delete, func, insert, or_, select, update
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.orm import Session

from insula_tenants.analytics.analyses.look import Found
from insula_tenants.analytics.analyses.models import Finding, Forecast
from insula_tenants.analytics.anomaly import Change, Episode, Known, reconcile
from insula_tenants.analytics.forecast import HISTORY, Outlook
from insula_tenants.analytics.forecast.backtest import LEVEL, Scores
from insula_tenants.devices.models import Device, Point
from insula_tenants.telemetry.buckets import instant, microseconds

KEPT = timedelta(days=365)
"""How long findings are kept after they were closed."""


def store_found(session: Session, point: int, until: datetime, found: Found) -> None:
    """Overwrite the point's forecast, and bring its findings up to date."""
    values = {
        "made_at": func.now(),
        "state": found.state,
        "until": until,
        "hours_expected": found.hours_expected,
        "hours_present": found.hours_present,
        **_of_outlook(found.outlook),
    }
    row = upsert(Forecast).values(point_id=point, **values)
    session.execute(row.on_conflict_do_update(index_elements=[Forecast.point_id], set_=values))
    if found.episodes is not None:
        known = _known(session, point, until - HISTORY)
        for change in reconcile(known, found.episodes, microseconds(until)):
            _apply(session, point, change)


def tidy_findings(session: Session, *, now: datetime | None = None) -> None:
    """Close what is open of devices out of use, and forget what was closed a year ago."""
    gone = select(Point.id).join(Device, Device.id == Point.device_id).where(Device.state != "active")
    session.execute(
        update(Finding)
        .where(Finding.closed_at.is_(None), Finding.point_id.in_(gone))
        .values(closed_at=Finding.seen_at)
        .execution_options(synchronize_session=False)
    )
    old = Finding.closed_at < (now or datetime.now(UTC)) - KEPT
    session.execute(delete(Finding).where(old).execution_options(synchronize_session=False))


def _of_outlook(outlook: Outlook | None) -> dict[str, Any]:
    if outlook is None:
        names = ("model", "level", "expected", "lower", "upper", "naive", "backtest")
        return dict.fromkeys(names)
    return {
        "model": outlook.model,
        "level": LEVEL,
        "expected": _numbers(outlook.expected),
        "lower": _numbers(outlook.lower),
        "upper": _numbers(outlook.upper),
        "naive": _numbers(outlook.naive),
        "backtest": {
            "folds": len(outlook.rolled.origins),
            "hours": int(np.isfinite(outlook.rolled.came).sum()),
            "season_hours": outlook.season,
            "model": _told(outlook.scores),
            "naive": _told(outlook.naive_scores),
        },
    }


def _numbers(values: NDArray[np.float64]) -> list[float]:
    return [float(value) for value in values]


def _told(scores: Scores | None) -> dict[str, float | None] | None:
    return asdict(scores) if scores is not None else None


def _known(session: Session, point: int, since: datetime) -> Sequence[Known]:
    """The point's findings that are open, or were not long ago; nobody else changes them meanwhile."""
    query = (
        select(Finding)
        .where(Finding.point_id == point, or_(Finding.closed_at.is_(None), Finding.closed_at >= since))
        .order_by(Finding.id)
    )
    return [
        Known(
            row.id,
            row.kind,  # type: ignore[arg-type] # the table checks that it is one
            row.severity,  # type: ignore[arg-type] # likewise
            microseconds(row.opened_at),
            microseconds(row.seen_at),
            microseconds(row.closed_at) if row.closed_at else None,
            row.value,
            row.expected_low,
            row.expected_high,
        )
        for row in session.scalars(query)
    ]


def _apply(session: Session, point: int, change: Change) -> None:
    values: dict[str, Any] = {
        "opened_at": instant(change.opened),
        "seen_at": instant(change.seen),
        "closed_at": instant(change.closed) if change.closed is not None else None,
    }
    if change.episode is not None:
        values |= _said(change.episode)
    if change.finding is None:
        session.execute(insert(Finding).values(point_id=point, **values))
    else:
        row = update(Finding).where(Finding.id == change.finding).values(**values)
        session.execute(row.execution_options(synchronize_session=False))


def _said(episode: Episode) -> dict[str, Any]:
    return {
        "kind": episode.kind,
        "severity": episode.severity,
        "basis": episode.basis,
        "value": episode.value,
        "expected_low": episode.low,
        "expected_high": episode.high,
        "per_day": episode.per_day,
    }
