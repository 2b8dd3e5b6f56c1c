"""Rollups are what the raw readings say: at every moment where readers use them, whatever came late."""

from __future__ import annotations

import random
import threading
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from itertools import count

import psycopg
import pytest
from alembic import command
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection, event, text

from insula_tenants.administration import Administration
from insula_tenants.migrate import admin_engine, upgrade_tenant
from insula_tenants.registry import create_tenant, resolve_tenant
from insula_tenants.rollups import mark
from insula_tenants.rollups.access import alone_in
from insula_tenants.rollups.slices import DAY, QUARTER, Stretch, first_slice, floor, merged
from insula_tenants.telemetry.reasons import LARGEST
from insula_tenants.telemetry.write import TelemetryWriter, TenantBatch
from tests.conftest import Deployment
from tests.tenants.history import Clock, Tenant, clock, tenant_of
from tests.waiting import eventually

__all__ = ["clock"]

MINUTE = timedelta(minutes=1)
_numbers = count()


@pytest.fixture
def tenant(deployment: Deployment, clock: Clock) -> Iterator[Tenant]:
    with tenant_of(deployment, f"history-{next(_numbers)}", clock) as tenant:
        yield tenant


def minutes(
    tenant: Tenant, since: timedelta, until: timedelta, *, points: int = 2, value: float = 1.0
) -> None:
    """A reading a minute of each point, from so long ago to so long ago."""
    start, steps = tenant.clock.now - since, int((since - until) / MINUTE)
    tenant.write(
        {
            (point, start + step * MINUTE): value + step
            for point in range(1, points + 1)
            for step in range(steps)
        }
    )


def test_late_readings_are_rolled_up_and_their_marks_go(tenant: Tenant):
    minutes(tenant, timedelta(days=3), timedelta(days=1))
    assert len(tenant.marks()) == 1
    assert tenant.refresh() is False
    assert tenant.marks() == []
    assert tenant.check() > 2 * 2 * (96 + 24)


def test_rollups_follow_the_clock_and_stay_behind_it(tenant: Tenant):
    before = tenant.complete_until()
    minutes(tenant, 10 * MINUTE, timedelta())
    assert tenant.marks() == []
    tenant.clock.now += timedelta(hours=30)
    assert tenant.refresh() is False
    assert tenant.complete_until() == floor(tenant.clock.now - timedelta(minutes=30), QUARTER) > before
    assert tenant.check() == 2 * (2 + 2 + 1)


@pytest.mark.parametrize("seed", range(3))
def test_any_history_ends_in_right_rollups(tenant: Tenant, seed: int):
    chance = random.Random(seed)
    tenant.set_complete_until(tenant.complete_until() - chance.choice([timedelta(), 40 * DAY]))
    for _ in range(14):
        for _ in range(chance.randint(1, 3)):
            _something(tenant, chance)
        if chance.random() < 0.7:
            tenant.refresh(timedelta(seconds=chance.choice([0.02, 0.2, 60])))
            tenant.check()
    while tenant.refresh():
        pass
    assert tenant.marks() == []
    assert tenant.check() > 50


def _something(tenant: Tenant, chance: random.Random) -> None:
    """Live readings, late ones, a backfill, a correction; or time goes by."""
    now, point = tenant.clock.now, chance.randint(1, 3)
    what = chance.randint(0, 4)
    if what == 0:
        tenant.write({(point, now - chance.random() * 10 * MINUTE): chance.uniform(-5, 30) for _ in range(5)})
    elif what == 1:
        tenant.write({(point, now - chance.random() * 3 * DAY): chance.uniform(0, 100) for _ in range(30)})
    elif what == 2:
        start, step = now - chance.uniform(5, 90) * DAY, chance.choice([1, 7, 240]) * MINUTE
        tenant.write({(point, start + n * step): float(n % chance.randint(5, 40)) for n in range(200)})
    elif what == 3:
        stored = tenant.rows("SELECT point_id, time, value FROM readings ORDER BY point_id, time")
        for row in chance.sample(stored, min(9, len(stored))):
            tenant.write({(row["point_id"], row["time"]): row["value"] + 1})
    else:
        tenant.clock.now += chance.random() * timedelta(hours=8)


class PowerWent(Exception):
    """A worker died here."""


def cut_off_at(admins: Administration, statement: int) -> Iterator[None]:
    """Administrators' connections that fail at their n-th statement, before it is run."""
    seen = count(1)

    def before(*_: object) -> None:
        if next(seen) == statement:
            raise PowerWent

    event.listen(admins.registry, "before_cursor_execute", before)
    yield
    event.remove(admins.registry, "before_cursor_execute", before)


def test_a_refresh_may_die_before_any_of_its_statements(tenant: Tenant):
    tenant.set_complete_until(tenant.complete_until() - timedelta(hours=9))
    minutes(tenant, timedelta(hours=50), timedelta(hours=30))
    minutes(tenant, timedelta(hours=2), timedelta())
    died = 0
    for statement in count(1):
        cut = cut_off_at(tenant.admins, statement)
        next(cut)
        try:
            tenant.refresh()
        except PowerWent:
            died += 1
        else:
            break
        finally:
            next(cut, None)
        tenant.check()
        # Another quarter of an hour and another late reading, so that there is something to do each time.
        tenant.clock.now += QUARTER
        tenant.write({(1, tenant.clock.now - timedelta(hours=40, minutes=7 * statement)): 5.0})
        tenant.check()
    assert died > 12
    while tenant.refresh():
        pass
    assert tenant.marks() == []
    assert tenant.check() > 100


def test_readings_written_while_a_refresh_runs_are_rolled_up_by_it_or_marked(tenant: Tenant):
    minutes(tenant, timedelta(days=4), timedelta(days=1))
    stop = threading.Event()
    failed: list[BaseException] = []

    def write() -> None:
        chance = random.Random(7)
        try:
            with psycopg.connect(tenant.deployment.service_url, autocommit=True) as connection:
                writer = TelemetryWriter(connection)
                writer._ahead = 0
                while not stop.is_set():
                    times = [tenant.clock.now - chance.random() * 4 * DAY for _ in range(20)]
                    readings = {(1, int(time.timestamp() * 1e6)): chance.random() for time in times}
                    writer.write([TenantBatch(tenant.context, readings)])
        except BaseException as error:
            failed.append(error)

    thread = threading.Thread(target=write)
    thread.start()
    try:
        for _ in range(5):
            tenant.refresh(timedelta(seconds=2))
    finally:
        stop.set()
        thread.join()
    assert failed == []
    while tenant.refresh():
        pass
    assert tenant.marks() == []
    assert tenant.check() > 300


def test_one_worker_at_a_time_is_at_a_tenant(tenant: Tenant):
    minutes(tenant, timedelta(days=2), timedelta(days=1))
    with alone_in(tenant.admins, tenant.context) as first:
        assert isinstance(first, Connection)
        with alone_in(tenant.admins, tenant.context) as second:
            assert second is None
        assert tenant.refresh() is False
        assert len(tenant.marks()) == 1
    assert tenant.refresh() is False
    assert tenant.marks() == []


def test_a_tenant_with_readings_from_before_rollups_is_rolled_up_from_its_beginning(tenant: Tenant):
    minutes(tenant, timedelta(days=500), timedelta(days=499))
    tenant.administrator.execute("DELETE FROM dirty_ranges")
    tenant.set_complete_until(datetime(2000, 1, 1, tzinfo=UTC))
    assert tenant.refresh() is False
    assert tenant.check() > 2 * (96 + 24)


def test_first_readings_that_come_while_a_tenant_gets_its_rollups_are_rolled_up(
    fresh_deployment: Deployment, monkeypatch: pytest.MonkeyPatch
):
    with (
        monkeypatch.context() as before,
        closing(Administration({"main": fresh_deployment.admin_url})) as admins,
    ):
        upgrade = command.upgrade
        before.setattr(command, "upgrade", lambda config, _newest: upgrade(config, "0001"))
        create_tenant(admins, "early", "Early")
    with fresh_deployment.databases.core() as core:
        context = resolve_tenant(core, "early")

    def migrate() -> None:
        with admin_engine(fresh_deployment.admin_url).begin() as connection:
            upgrade_tenant(connection, "early")

    def waits() -> bool:
        with psycopg.connect(fresh_deployment.admin_url) as admin:
            query = (
                "SELECT FROM pg_stat_activity WHERE application_name = 'insula-migrate'"
                " AND cardinality(pg_blocking_pids(pid)) > 0"
            )
            return admin.execute(query).rowcount > 0

    migrating = threading.Thread(target=migrate)
    with psycopg.connect(fresh_deployment.service_url, autocommit=True) as old_release:
        with old_release.transaction():
            now = int(datetime.now(UTC).timestamp() * 1e6)
            TelemetryWriter(old_release).write([TenantBatch(context, {(1, now): 1.0})])
            migrating.start()
            eventually(waits)
        migrating.join(30)
    with fresh_deployment.databases.tenant(context) as session:
        assert session.scalar(text("SELECT complete_until FROM rollup_state")) == datetime(
            2000, 1, 1, tzinfo=UTC
        )


def test_an_operator_can_have_rollups_made_anew(tenant: Tenant):
    minutes(tenant, timedelta(days=3), timedelta(days=2))
    tenant.refresh()
    tenant.administrator.execute("UPDATE readings SET value = value + 1")
    with pytest.raises(AssertionError):
        tenant.check()
    assert mark(tenant.admins, tenant.context, tenant.clock.now - 10 * DAY) is not None
    assert tenant.refresh() is False
    assert tenant.check() > 100
    assert mark(tenant.admins, tenant.context, tenant.clock.now) is None


def test_falls_of_a_counter_are_kept_and_more_than_four_are_counted_alone(tenant: Tenant):
    start = floor(tenant.clock.now - 3 * DAY, DAY)
    resets = [10.0, 90.0, 3.0, 80.0, 2.0, 79.0, 78.0]
    tenant.write({(1, start + step * timedelta(minutes=20)): value for step, value in enumerate(resets)})
    tenant.write({(2, start + step * timedelta(minutes=2)): 1.0 + 9 * (step % 2) for step in range(20)})
    tenant.refresh()
    tenant.check()
    (day,) = tenant.rows("SELECT * FROM readings_1d WHERE point_id = 1")
    assert day["fall_count"] == 2
    assert day["falls"] in ([90, 3, 80, 2], [80, 2, 90, 3])
    (gauge,) = tenant.rows("SELECT * FROM readings_1d WHERE point_id = 2")
    assert (gauge["fall_count"], gauge["falls"]) == (9, [])


def test_the_largest_values_are_rolled_up(tenant: Tenant):
    """A sum or an area beyond a double would be an error, and end all rollups of the tenant."""
    start = tenant.clock.now - 3 * DAY
    tenant.write({(1, start + step * MINUTE): LARGEST for step in range(2 * 24 * 60)})
    assert tenant.refresh() is False
    assert tenant.check() > 0


times = st.integers(0, 4000).map(lambda minute: datetime(2026, 1, 1, tzinfo=UTC) + minute * MINUTE)
stretches = st.tuples(times, times).filter(lambda ends: ends[0] < ends[1]).map(lambda ends: Stretch(*ends))


@settings(deadline=None, max_examples=50)
@given(st.lists(stretches, max_size=8), stretches, st.timedeltas(QUARTER, 3 * DAY))
def test_slices_cover_what_is_marked_and_nothing_else(
    marked: list[Stretch], all_of: Stretch, width: timedelta
):
    within = Stretch(floor(all_of.starting, QUARTER), floor(all_of.ending, QUARTER))
    found = merged(marked, within)
    pieces = []
    for stretch in found:
        left = stretch
        while left.starting < left.ending:
            piece = first_slice(left, width)
            assert piece.starting == left.starting < piece.ending <= left.ending
            assert piece.ending - piece.starting <= max(width, QUARTER)
            pieces.append(piece)
            left = Stretch(piece.ending, left.ending)
    for minute in range(0, 4000, 5):
        time = datetime(2026, 1, 1, tzinfo=UTC) + minute * MINUTE
        quarter = floor(time, QUARTER)
        dirty = any(one.starting < quarter + QUARTER and quarter < one.ending for one in marked)
        wanted = dirty and within.starting <= time < within.ending
        assert any(one.starting <= time < one.ending for one in pieces) == wanted
