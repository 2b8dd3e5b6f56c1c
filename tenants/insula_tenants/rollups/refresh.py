"""Bring a tenant's rollups up to date, a bounded slice at a time.

::

    raw_from                          complete_until (W)        W can reach this far        now
       │       rollups hold all,            │     raw alone            │      DISTANCE       │
       └───── but for dirty ranges ─────────┴──────────────────────────┴─────────────────────┘

Readers take rollups for what is clean and before W, raw readings for the rest; so a refresh may stop, or be
killed, between any two of its statements: what it did is used from its last statement on, and what it has
begun is done again. The order that this rests on:

- The marks are read first, then the rollups are made, then those very marks go. A reading that comes
  meanwhile brings a mark of its own, which stays.
- W moves after the rollups before it are made. It stays `DISTANCE` behind the database's clock: unmarked
  readings are at most `LATE_AFTER` old when they are written, and are committed long before W gets there.
- Nothing is made anew before `raw_from`, where the raw readings are gone.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from sqlalchemy import Connection, text

from insula_tenants.administration import Administration
from insula_tenants.context import TenantContext
from insula_tenants.rollups.access import alone_in
from insula_tenants.rollups.slices import QUARTER, Pace, Stretch, ceiling, first_slice, floor, merged
from insula_tenants.storage import StorageEngine, detect_engine
from insula_tenants.storage.rollups import RAW, ROLLUPS

DISTANCE = timedelta(minutes=30)
"""How far rollups stay behind the clock."""

BUDGET = timedelta(seconds=10)
"""For how long one call works: then it is another tenant's turn."""

_MARKS_AT_ONCE = 20_000
_FAR = timedelta(days=2)
_BEGINNING = datetime(2000, 1, 1, tzinfo=UTC)


class Mark(NamedTuple):
    """A row of `dirty_ranges`."""

    id: int
    starting: datetime
    ending: datetime


class State(NamedTuple):
    """How far the rollups reach, and where they are not right."""

    complete_until: datetime
    raw_from: datetime | None
    now: datetime
    """The database's clock."""
    marks: list[Mark]
    """In order of time; of very many, the first."""

    @property
    def reachable(self) -> datetime:
        """How far the rollups can reach now."""
        return floor(self.now - DISTANCE, QUARTER)


def refresh_tenant(admins: Administration, context: TenantContext, *, budget: timedelta = BUDGET) -> bool:
    """Roll up what can be within the budget; whether there is more to do.

    While another worker does the same there is nothing to do. Raises database errors: also when the tenant's
    schema is gone.
    """
    with alone_in(admins, context) as connection:
        if connection is None:
            return False
        storage = detect_engine(connection)
        pace = Pace(budget)
        state = read_state(connection)
        marks = _narrow(connection, state)
        until = _advance(connection, storage, state, pace)
        stretches = merged(
            (Stretch(mark.starting, mark.ending) for mark in marks),
            within=Stretch(state.raw_from or _BEGINNING, state.complete_until),
        )
        clean = _settle(connection, storage, stretches, [mark.id for mark in marks], until, pace)
        return until < state.reachable or not clean or len(state.marks) == _MARKS_AT_ONCE


def mark(admins: Administration, context: TenantContext, since: datetime) -> Stretch | None:
    """Mark all that is rolled up from `since` on, to be made anew; None when that is nothing.

    For an operator who has changed readings behind the platform's back.
    """
    engine = admins.database(context.database)
    with engine.begin() as connection:
        connection.execute(
            text(
                "SELECT set_config('role', :role, true), set_config('search_path', quote_ident(:role), true)"
            ),
            {"role": context.schema},
        )
        row = connection.execute(text(_MARK), {"since": floor(since, QUARTER)}).one_or_none()
    return Stretch(*row) if row else None


def read_state(connection: Connection) -> State:
    """The state of the schema on the search path."""
    row = connection.execute(text("SELECT complete_until, raw_from, now() AS now FROM rollup_state")).one()
    query = text("SELECT id, starting, ending FROM dirty_ranges ORDER BY starting LIMIT :most")
    marks = connection.execute(query, {"most": _MARKS_AT_ONCE})
    return State(row.complete_until, row.raw_from, row.now, [Mark(*mark) for mark in marks])


def _narrow(connection: Connection, state: State) -> list[Mark]:
    """Take away what marks say of times before `raw_from` and from W on; the marks that are left."""
    if not state.marks:
        return []
    starting, ending = state.raw_from or _BEGINNING, state.complete_until
    bounds = {"ids": [mark.id for mark in state.marks], "from": starting, "until": ending}
    connection.execute(text(_DROP_OUTSIDE), bounds)
    connection.execute(text(_NARROW), bounds)
    return [mark for mark in state.marks if mark.ending > starting and mark.starting < ending]


def _advance(connection: Connection, storage: StorageEngine, state: State, pace: Pace) -> datetime:
    """Move W towards where it can be; where it is now."""
    until, reachable = state.complete_until, state.reachable
    if reachable - until > _FAR:
        until = _skip_empty(connection, storage, until, reachable)
    while until < reachable and not pace.over:
        with pace.slice() as width:
            piece = first_slice(Stretch(until, reachable), width)
            for rollup in ROLLUPS:
                stretch = Stretch(floor(piece.starting, rollup.width), floor(piece.ending, rollup.width))
                if stretch.starting < stretch.ending:
                    storage.refresh(connection, rollup, *stretch)
            _reach(connection, piece.ending)
        until = piece.ending
    return until


def _skip_empty(
    connection: Connection, storage: StorageEngine, until: datetime, reachable: datetime
) -> datetime:
    """W after the years in which the tenant has no readings."""
    pieces = [each for each in storage.pieces(connection) if each.relation == RAW and each.ending > until]
    first = min((each.starting for each in pieces), default=reachable)
    until = max(until, min(floor(first, QUARTER), reachable))
    _reach(connection, until)
    return until


def _reach(connection: Connection, until: datetime) -> None:
    connection.execute(text("UPDATE rollup_state SET complete_until = :until"), {"until": until})


def _settle(
    connection: Connection,
    storage: StorageEngine,
    stretches: list[Stretch],
    ids: list[int],
    until: datetime,
    pace: Pace,
) -> bool:
    """Make the rollups anew in the stretches, and take the marks away; whether all are done."""
    for stretch in stretches:
        left = stretch
        while left.starting < left.ending:
            if pace.over:
                return False
            with pace.slice() as width:
                piece = first_slice(left, width)
                for rollup in ROLLUPS:
                    starting = floor(piece.starting, rollup.width)
                    ending = min(ceiling(piece.ending, rollup.width), floor(until, rollup.width))
                    if starting < ending:
                        storage.refresh(connection, rollup, starting, ending)
                done = {"ids": ids, "until": piece.ending}
                connection.execute(text(_DROP_DONE), done)
                connection.execute(text(_SHORTEN_DONE), done)
            left = Stretch(piece.ending, left.ending)
    return True


_MARK = """
INSERT INTO dirty_ranges (starting, ending)
SELECT greatest(:since, raw_from), complete_until FROM rollup_state
WHERE greatest(:since, raw_from) < complete_until
RETURNING starting, ending
"""
_DROP_OUTSIDE = """
DELETE FROM dirty_ranges WHERE id = ANY(:ids) AND (ending <= :from OR starting >= :until)
"""
_NARROW = """
UPDATE dirty_ranges SET starting = greatest(starting, :from), ending = least(ending, :until)
WHERE id = ANY(:ids) AND (starting < :from OR ending > :until)
"""
_DROP_DONE = "DELETE FROM dirty_ranges WHERE id = ANY(:ids) AND ending <= :until"
_SHORTEN_DONE = """
UPDATE dirty_ranges SET starting = :until WHERE id = ANY(:ids) AND starting < :until AND ending > :until
"""
