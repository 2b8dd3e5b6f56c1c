"""What the writer marks: late readings, all of them, in few stretches, in the transaction storing them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import pairwise

import psycopg
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import text

from insula_tenants.telemetry import write
from insula_tenants.telemetry.marks import LATE_AFTER, QUARTER, late_ranges
from insula_tenants.telemetry.write import TelemetryWriter, TenantBatch
from tests.conftest import Deployment

NOW = 1_790_000_000_000_000
MINUTE = 60_000_000
DAY = 24 * 60 * MINUTE

ages = st.lists(
    st.one_of(
        st.integers(-MINUTE, 30 * MINUTE),
        st.integers(0, 3 * DAY),
        st.integers(0, 3000).map(lambda n: n * DAY),
    ),
    max_size=200,
)


@settings(deadline=None)
@given(ages)
def test_every_late_reading_is_marked_and_marks_are_few_and_apart(ages: list[int]):
    times = [NOW - age for age in ages]
    ranges = late_ranges(times, NOW)
    for time in times:
        covered = any(starting <= time < ending for starting, ending in ranges)
        assert covered or time >= NOW - LATE_AFTER
    assert ranges == sorted(ranges)
    for starting, ending in ranges:
        assert starting % QUARTER == ending % QUARTER == 0
        assert any(starting <= time < ending for time in times)
    for (_, before), (after, _) in pairwise(ranges):
        assert after - before >= 60 * MINUTE
    months = {datetime.fromtimestamp(time / 1e6, UTC).strftime("%Y-%m") for time in times}
    assert len(ranges) <= max(50, len(months))


def test_live_readings_mark_nothing():
    assert late_ranges([], NOW) == []
    assert late_ranges([NOW, NOW - LATE_AFTER, NOW + DAY], NOW) == []


def test_near_stretches_are_one_mark_and_distant_ones_are_not():
    start = NOW // QUARTER * QUARTER - DAY
    hole = [start, start + 4 * QUARTER]  # three empty quarters between them
    assert late_ranges(hole, NOW) == [(start, start + 5 * QUARTER)]
    assert late_ranges([start, start + 5 * QUARTER], NOW) == [
        (start, start + QUARTER),
        (start + 5 * QUARTER, start + 6 * QUARTER),
    ]


def marks(deployment: Deployment) -> list[tuple[datetime, datetime]]:
    with deployment.databases.tenant(deployment.acme) as session:
        rows = session.execute(text("SELECT starting, ending FROM dirty_ranges ORDER BY id"))
        return [(starting, ending) for starting, ending in rows]


def test_marks_are_stored_with_the_readings_or_not_at_all(fresh_deployment: Deployment):
    now = datetime.now(UTC)
    late = now - timedelta(days=3)
    quarter = late.replace(minute=late.minute // 15 * 15, second=0, microsecond=0)

    def batch(*times: datetime, value: float = 1.0) -> TenantBatch:
        return TenantBatch(fresh_deployment.acme, {(1, int(time.timestamp() * 1e6)): value for time in times})

    with psycopg.connect(fresh_deployment.service_url, autocommit=True) as connection:
        writer = TelemetryWriter(connection)
        writer.write([batch(now, now - timedelta(minutes=5))])
        assert marks(fresh_deployment) == []
        writer.write([batch(now, late)])
        assert marks(fresh_deployment) == [(quarter, quarter + timedelta(minutes=15))]
        impossible = TenantBatch(fresh_deployment.globex, {(2**40, int(late.timestamp() * 1e6)): 1.0})
        with pytest.raises(psycopg.DataError):
            writer.write([batch(late, value=2.0), impossible])
    assert len(marks(fresh_deployment)) == 1


def test_a_writer_whose_clock_is_slow_marks_by_the_databases(
    fresh_deployment: Deployment, monkeypatch: pytest.MonkeyPatch
):
    slow = timedelta(hours=2)
    true = write.time_ns
    monkeypatch.setattr(write, "time_ns", lambda: true() - int(slow.total_seconds()) * 10**9)
    late = datetime.now(UTC) - slow
    with psycopg.connect(fresh_deployment.service_url, autocommit=True) as connection:
        TelemetryWriter(connection).write(
            [TenantBatch(fresh_deployment.acme, {(1, int(late.timestamp() * 1e6)): 1.0})]
        )
    assert len(marks(fresh_deployment)) == 1


def test_a_service_adds_marks_and_changes_nothing_else(deployment: Deployment):
    with deployment.databases.tenant(deployment.acme) as session:
        session.execute(
            text("INSERT INTO dirty_ranges (starting, ending) VALUES (now() - interval '1h', now())")
        )
        assert session.scalar(text("SELECT complete_until < now() FROM rollup_state")) is True
    for statement in (
        "DELETE FROM dirty_ranges",
        "UPDATE dirty_ranges SET ending = now()",
        "UPDATE rollup_state SET complete_until = now()",
        "INSERT INTO rollup_state (complete_until) VALUES (now())",
        "DELETE FROM rollup_state",
    ):
        with (
            pytest.raises(Exception, match="permission denied"),
            deployment.databases.tenant(deployment.acme) as session,
        ):
            session.execute(text(statement))
