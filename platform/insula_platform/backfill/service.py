"""Store the rows of an upload in batches, each in a transaction of its own, and say what became of them."""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import psycopg
import sqlalchemy.exc

from insula_platform.access import Access
from insula_platform.access.lasting import check_still
from insula_platform.backfill.checks import Checked, RowProblem, Window, check_row
from insula_platform.backfill.errors import ClosedMeanwhile, CutOff, StoreAway
from insula_platform.backfill.formats import Malformed, RawRow
from insula_platform.backfill.points import Points
from insula_tenants.context import TenantContext
from insula_tenants.database import LINK, Databases
from insula_tenants.errors import InsulaError, TenantUnavailable
from insula_tenants.quotas import allowance_of
from insula_tenants.telemetry.reasons import MAX_AHEAD, Reason
from insula_tenants.telemetry.write import TelemetryWriter, TenantBatch

BATCH_ROWS = 10_000
"""Rows in one transaction."""
LONGEST_STATEMENT = 60
"""Seconds after which the server ends a statement: rollups count on a writer's transactions to be short."""
MOST_PROBLEMS = 100
"""Problems that an answer lists; further ones are counted."""
LOOK_EVERY = 5.0
"""Seconds after which the registry is asked anew who may do this, and which readings are kept."""


@dataclass(slots=True)
class Outcome:
    """What became of the rows so far."""

    rows: int = 0
    stored: int = 0
    """Rows that are stored, or with `dry_run` could be; those that were there already included."""
    rejected: int = 0
    points_made: int = 0
    last_row: int = 0
    """Every row up to this one is among those counted."""
    problems: list[RowProblem] = field(default_factory=list)

    def reject(self, problem: RowProblem) -> None:
        """Count a row that is not stored; the first `MOST_PROBLEMS` are kept."""
        self.rejected += 1
        if len(self.problems) < MOST_PROBLEMS:
            self.problems.append(problem)


class Backfill:
    """One upload. Used by one thread; `close` it."""

    def __init__(
        self,
        databases: Databases,
        access: Access,
        database_url: str,
        *,
        max_points: int,
        dry_run: bool = False,
    ) -> None:
        """`database_url` is of the database the tenant lives in; `max_points` how many a device may have.

        With `dry_run` everything is checked and nothing stored.
        """
        self._databases = databases
        self._access = access
        self._context = access.context
        self._url = database_url
        self._points = Points(databases, access, most=max_points, make=not dry_run)
        self._dry_run = dry_run
        self._connection: psycopg.Connection | None = None
        self._writer: TelemetryWriter | None = None
        self._looked_at = float("-inf")
        self._window = Window(0, 0)
        self.outcome = Outcome()

    def run(self, rows: Iterable[RawRow | Malformed]) -> Outcome:
        """Store all rows that are readings. Raises what `rows` raises, and `CutOff` with how far it came."""
        try:
            for chunk in self._chunks(rows):
                with _database_errors():
                    self._look()
                    self._take(chunk, self._window)
        except CutOff as error:
            done = self.outcome
            error.came_to(stored=done.stored, rejected=done.rejected, last_row=done.last_row)
            raise
        return self.outcome

    def close(self) -> None:
        """Close the connection."""
        if self._connection is not None:
            self._connection.close()

    def _chunks(self, rows: Iterable[RawRow | Malformed]) -> Iterator[list[RawRow | Malformed]]:
        """Chunks of `BATCH_ROWS`. When the rows end in an error, those before it come first."""
        pending: list[RawRow | Malformed] = []
        broken: CutOff | None = None
        iterator = iter(rows)
        while broken is None:
            try:
                pending.extend(itertools.islice(iterator, BATCH_ROWS))
            except CutOff as error:
                broken = error
            if not pending:
                break
            yield pending
            pending = []
        if broken is not None:
            raise broken

    def _look(self) -> None:
        """Tenant or grant may have ended since the last look, and an upload may outlast what is kept."""
        if time.monotonic() - self._looked_at < LOOK_EVERY:
            return
        try:
            with self._databases.core() as core:
                check_still(core, self._access)
                allowance = allowance_of(core, self._context.id)
        except InsulaError as closed:
            raise ClosedMeanwhile(closed) from None
        now = time.time_ns() // 1000
        self._window = Window(allowance.kept_from(now), now + MAX_AHEAD)
        self._looked_at = time.monotonic()

    def _take(self, chunk: list[RawRow | Malformed], window: Window) -> None:
        good: list[Checked] = []
        bad: list[RowProblem] = []
        for raw in chunk:
            checked = (
                RowProblem(raw.row, "row", Reason.MALFORMED, raw.detail)
                if isinstance(raw, Malformed)
                else check_row(raw, window)
            )
            if isinstance(checked, Checked):
                good.append(checked)
            else:
                bad.append(checked)
        missing = self._points.find({one.key for one in good})
        batch = TenantBatch(self._context)
        for one in good:
            if (why := missing.get(one.key)) is not None:
                bad.append(RowProblem(one.row, *why))
            else:
                batch.readings[self._points.id_of(one.key), one.time] = one.value
        if batch.readings and not self._dry_run:
            self._open().write([batch])
        done = self.outcome
        done.rows += len(chunk)
        done.stored += len(chunk) - len(bad)
        done.points_made = self._points.made
        done.last_row = chunk[-1][0]
        for problem in sorted(bad):
            done.reject(problem)

    def _open(self) -> TelemetryWriter:
        if self._writer is None:
            self._connection = psycopg.connect(
                self._url, autocommit=True, prepare_threshold=None, application_name="insula-backfill", **LINK
            )
            self._connection.execute(
                "SELECT set_config('statement_timeout', %s, false)", (f"{LONGEST_STATEMENT}s",)
            )
            self._writer = TelemetryWriter(self._connection)
        return self._writer


@contextmanager
def _database_errors() -> Iterator[None]:
    try:
        yield
    except (
        psycopg.OperationalError,
        psycopg.InterfaceError,
        psycopg.errors.IdleInTransactionSessionTimeout,
        sqlalchemy.exc.OperationalError,
        sqlalchemy.exc.TimeoutError,
    ) as error:
        raise StoreAway("the database does not answer any more") from error


def url_of(urls: dict[str, str], context: TenantContext) -> str:
    """The URL of the database the tenant lives in; `TenantUnavailable` when it is not configured here."""
    if context.database not in urls:
        raise TenantUnavailable(
            f"tenant {context.slug!r} lives in the database {context.database!r}, not configured here"
        )
    return urls[context.database]
