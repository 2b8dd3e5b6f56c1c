"""Begin an analysis, hand out its slices, and keep count of how far it is.

An analysis is what its slices are: a job of the queue only says that one of them may have something left to
do. So a job that comes twice does nothing the second time, and one that is lost is queued again by whoever
looks at the slices.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import Select, delete, exists, func, or_, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from insula_tenants.analytics.analyses.models import Analysis, AnalysisSlice, Reason
from insula_tenants.devices.models import Device, Point
from insula_tenants.errors import NotFound

POINTS_IN_A_SLICE = 20
SETTLED = timedelta(minutes=5)
"""How long after an hour its readings are taken to be in: devices and ingest collect them for a while."""
FRESH = timedelta(minutes=30)
"""Who began an analysis this lately is not due for another: the next look is in an hour."""
LONGEST = timedelta(hours=12)
"""An analysis that takes longer is given up for a new one: what it says would be of yesterday."""
MOST_STARTS = 3
"""A point at which so many jobs ended, each killed in the middle of it, is left out."""
KEPT = timedelta(days=7)
"""How long analyses are remembered."""

_OPEN = ("waiting", "running")


class AnalysisView(NamedTuple):
    """An analysis and how far it is."""

    number: int
    """Its place among the tenant's, for pages."""
    id: UUID
    state: str
    reason: str
    complete_until: datetime
    points: int
    points_done: int
    points_failed: int
    error: str | None
    created_at: datetime
    started_at: datetime | None
    ended_at: datetime | None


class Slice(NamedTuple):
    """What a job is to do."""

    id: int
    analysis: int
    until: datetime
    points: Sequence[int]
    """All of them."""
    done: int
    """Of which the first so many are through."""


def begin_analysis(session: Session, reason: Reason, *, now: datetime | None = None) -> UUID | None:
    """Begin a look at all points of devices in use; its id, or None while one is open.

    None on schedule where there is no point to look at.
    """
    hour = ((now or datetime.now(UTC)) - SETTLED).replace(minute=0, second=0, microsecond=0)
    query = select(Point.id).join(Device, Device.id == Point.device_id).where(Device.state == "active")
    points = session.scalars(query.order_by(Device.space_id, Point.id)).all()
    if not points and reason == "schedule":
        return None
    row = insert(Analysis).values(reason=reason, until=hour, points=len(points))
    if not points:
        row = row.values(state="done", started_at=func.now(), ended_at=func.now())
    # Of two at once one waits here for the other, and makes none.
    begun = session.execute(row.on_conflict_do_nothing().returning(Analysis.id, Analysis.key)).one_or_none()
    if begun is None:
        return None
    starts = range(0, len(points), POINTS_IN_A_SLICE)
    slices = [
        {"analysis_id": begun.id, "number": number, "points": points[start : start + POINTS_IN_A_SLICE]}
        for number, start in enumerate(starts)
    ]
    if slices:
        session.execute(insert(AnalysisSlice), slices)
    return UUID(str(begun.key))


def is_due(session: Session, *, now: datetime | None = None) -> bool:
    """Whether none is open, and the last one did not begin just now."""
    since = (now or datetime.now(UTC)) - FRESH
    recent = exists().where(or_(Analysis.state.in_(_OPEN), Analysis.created_at > since))
    return not session.scalar(select(recent))


def find_analysis(session: Session, key: UUID) -> AnalysisView:
    """The analysis with this id; `NotFound` when there is none."""
    row = session.execute(_viewed().where(Analysis.key == key)).one_or_none()
    if row is None:
        raise NotFound(f"there is no analysis {str(key)!r}")
    return AnalysisView(*row)


def list_analyses(session: Session, *, before: int | None = None, limit: int = 100) -> list[AnalysisView]:
    """Analyses, newest first; those before the one with the number `before`."""
    query = _viewed().order_by(Analysis.id.desc()).limit(limit)
    if before is not None:
        query = query.where(Analysis.id < before)
    return [AnalysisView(*row) for row in session.execute(query)]


def open_slices(session: Session) -> tuple[UUID, list[int]] | None:
    """The open analysis and which of its slices have something left to do; None when none is open."""
    open_ = session.execute(select(Analysis.id, Analysis.key).where(Analysis.state.in_(_OPEN))).one_or_none()
    if open_ is None:
        return None
    left = select(AnalysisSlice.number).where(
        AnalysisSlice.analysis_id == open_.id, AnalysisSlice.ended_at.is_(None)
    )
    return open_.key, list(session.scalars(left.order_by(AnalysisSlice.number)))


def take_slice(session: Session, key: UUID, number: int) -> Slice | None:
    """What is left to do of a slice; None when that is nothing, or its analysis is over.

    A point that `MOST_STARTS` jobs have not survived is left out, and the next one's turn comes.
    """
    query = select(Analysis, AnalysisSlice).join(AnalysisSlice, AnalysisSlice.analysis_id == Analysis.id)
    query = query.where(Analysis.key == key, AnalysisSlice.number == number)
    row = session.execute(query.with_for_update(of=AnalysisSlice)).one_or_none()
    if row is None:
        return None
    analysis, slice_ = row
    if analysis.state not in _OPEN or slice_.ended_at is not None:
        return None
    if slice_.starts >= MOST_STARTS:
        slice_.done, slice_.failed, slice_.starts = slice_.done + 1, slice_.failed + 1, 0
        slice_.error = f"{MOST_STARTS} workers ended while they analysed it"
    slice_.starts += 1
    slice_.started_at = slice_.started_at or func.now()
    if analysis.state == "waiting":
        analysis.state, analysis.started_at = "running", func.now()
    taken = Slice(slice_.id, analysis.id, analysis.until, tuple(slice_.points), slice_.done)
    if slice_.done >= len(slice_.points):
        _end(session, taken)
        return None
    return taken


def note_point(session: Session, taken: Slice, done: int, *, error: str | None = None) -> bool:
    """Note that one more point of the slice is through, `done` having been; whether that was so.

    The first statement of the transaction that stores what was found: of two jobs that have the same slice,
    since one was given up for dead, only one stores it.
    """
    row = update(AnalysisSlice).where(AnalysisSlice.id == taken.id, AnalysisSlice.done == done)
    row = row.values(done=done + 1, starts=1)
    if error is not None:
        row = row.values(failed=AnalysisSlice.failed + 1, error=error)
    noted = session.execute(row.returning(AnalysisSlice.id).execution_options(synchronize_session=False))
    if noted.one_or_none() is None:
        return False
    if done + 1 == len(taken.points):
        _end(session, taken)
    return True


def abandon_old(session: Session, *, now: datetime | None = None) -> bool:
    """Give an analysis up that has been open for too long; whether there was one."""
    begun = (now or datetime.now(UTC)) - LONGEST
    row = update(Analysis).where(Analysis.state.in_(_OPEN), Analysis.created_at < begun)
    row = row.values(state="abandoned", ended_at=func.now()).execution_options(synchronize_session=False)
    return session.execute(row.returning(Analysis.id)).one_or_none() is not None


def forget_analyses(session: Session, *, now: datetime | None = None) -> None:
    """Forget what ended a week ago."""
    old = Analysis.ended_at < (now or datetime.now(UTC)) - KEPT
    session.execute(delete(Analysis).where(old).execution_options(synchronize_session=False))


def _end(session: Session, taken: Slice) -> None:
    """End the slice, and with the last one the analysis."""
    session.flush()
    # Slices of an analysis end one after the other: the last one sees that it is the last.
    session.execute(select(Analysis.id).where(Analysis.id == taken.analysis).with_for_update())
    session.execute(
        update(AnalysisSlice)
        .where(AnalysisSlice.id == taken.id)
        .values(ended_at=func.now())
        .execution_options(synchronize_session=False)
    )
    left = exists().where(AnalysisSlice.analysis_id == taken.analysis, AnalysisSlice.ended_at.is_(None))
    session.execute(
        update(Analysis)
        .where(Analysis.id == taken.analysis, Analysis.state.in_(_OPEN), ~left)
        .values(state="done", ended_at=func.now())
        .execution_options(synchronize_session=False)
    )


def _viewed() -> Select[*tuple[Any, ...]]:
    error = (
        select(AnalysisSlice.error)
        .where(AnalysisSlice.analysis_id == Analysis.id, AnalysisSlice.error.is_not(None))
        .order_by(AnalysisSlice.number.desc())
        .limit(1)
        .scalar_subquery()
    )
    done, failed = (
        select(func.coalesce(func.sum(column), 0))
        .where(AnalysisSlice.analysis_id == Analysis.id)
        .scalar_subquery()
        for column in (AnalysisSlice.done, AnalysisSlice.failed)
    )
    return select(
        Analysis.id,
        Analysis.key,
        Analysis.state,
        Analysis.reason,
        Analysis.until,
        Analysis.points,
        done,
        failed,
        error,
        Analysis.created_at,
        Analysis.started_at,
        Analysis.ended_at,
    )
