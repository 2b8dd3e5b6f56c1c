"""Retention, compression, sizes: what is dropped stays rolled up, what is compressed can be corrected."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any

import pytest

from insula_tenants.quotas import allowance_of
from insula_tenants.rollups import survey, tend_tenant
from insula_tenants.rollups.access import alone_in
from insula_tenants.rollups.slices import DAY
from insula_tenants.rollups.upkeep import fitting_span
from insula_tenants.storage import detect_engine
from insula_tenants.storage.engine import Piece
from insula_tenants.telemetry.buckets import instant, microseconds
from tests.conftest import Deployment
from tests.tenants.history import WIDTHS, Clock, Tenant, clock, tenant_of

__all__ = ["clock"]

HOUR = timedelta(hours=1)
_numbers = count()


@pytest.fixture
def tenant(deployment: Deployment, clock: Clock) -> Iterator[Tenant]:
    with tenant_of(deployment, f"upkeep-{next(_numbers)}", clock) as tenant:
        yield tenant


@pytest.fixture
def compresses(deployment: Deployment) -> bool:
    return deployment.report.engine == "timescaledb"


def hours(tenant: Tenant, since: timedelta, until: timedelta) -> int:
    """A reading each hour of two points, from so long ago to so long ago, rolled up."""
    start, steps = tenant.clock.now - since, int((since - until) / HOUR)
    tenant.write(
        {(point, start + step * HOUR): float(step % 24) for point in (1, 2) for step in range(steps)}
    )
    while tenant.refresh():
        pass
    return 2 * steps


def rollups(tenant: Tenant) -> dict[str, list[dict[str, Any]]]:
    return {name: tenant.rows(f"SELECT * FROM {name} ORDER BY point_id, time") for name in WIDTHS}


def raw_from(tenant: Tenant) -> datetime | None:
    return tenant.rows("SELECT raw_from FROM rollup_state")[0]["raw_from"]  # type: ignore[no-any-return]


def chunks(tenant: Tenant) -> list[tuple[bool, bool]]:
    """Whether each chunk of readings is compressed, and whether in part."""
    found = tenant.rows(
        "SELECT k.status & 1 <> 0 AS compressed, k.status & 8 <> 0 AS partial"
        " FROM _timescaledb_catalog.chunk k JOIN _timescaledb_catalog.hypertable h ON h.id = k.hypertable_id"
        " WHERE h.schema_name = current_schema() ORDER BY k.id"
    )
    return [(row["compressed"], row["partial"]) for row in found]


def test_raw_readings_go_when_the_plan_says_so_and_rollups_stay(tenant: Tenant):
    hours(tenant, timedelta(days=120), timedelta())
    before = rollups(tenant)
    figures = tend_tenant(tenant.admins, tenant.context, 60)
    assert figures is not None
    gone_before = raw_from(tenant)
    assert gone_before is not None
    assert gone_before == figures.raw_from
    # Whole chunks go: at most a month more is kept than the plan promises, and never less.
    assert timedelta() <= tenant.clock.now - 60 * DAY - gone_before < 32 * DAY
    first = tenant.rows("SELECT min(time) AS first FROM readings")[0]["first"]
    assert gone_before <= first < gone_before + HOUR
    assert rollups(tenant) == before
    # What follows never reaches behind: late readings, a mark across the border, the passing of time.
    tenant.write({(1, gone_before + 30 * DAY): 99.0})
    tenant.administrator.execute(
        "INSERT INTO dirty_ranges (starting, ending) VALUES (%s, %s), (%s, %s)",
        (gone_before - 90 * DAY, gone_before - DAY, gone_before - DAY, gone_before + DAY),
    )
    tenant.clock.now += 2 * DAY
    assert tenant.refresh() is False
    assert tenant.marks() == []
    assert tenant.check() > 1000

    def old(of: dict[str, list[dict[str, Any]]]) -> dict[str, list[dict[str, Any]]]:
        return {name: [row for row in rows if row["time"] < gone_before] for name, rows in of.items()}

    assert old(rollups(tenant)) == old(before)
    assert len(old(before)["readings_1h"]) > 1000


def test_a_piece_that_is_being_read_keeps_no_other_from_going(tenant: Tenant):
    hours(tenant, timedelta(days=120), timedelta())
    with alone_in(tenant.admins, tenant.context) as connection:
        assert connection is not None
        pieces = [
            each for each in detect_engine(connection).pieces(connection) if each.relation == "readings"
        ]
    read = pieces[0]
    with tenant.administrator.transaction():
        tenant.rows(f"SELECT count(*) FROM {read.table}")
        figures = tend_tenant(tenant.admins, tenant.context, 30)
        assert figures is not None
        assert figures.raw_from == raw_from(tenant) > pieces[1].ending  # type: ignore[operator]
    left = [row["at"] for row in tenant.rows("SELECT DISTINCT date_trunc('day', time) AS at FROM readings")]
    assert min(left) < read.ending
    assert not [at for at in left if read.ending <= at < figures.raw_from]
    tend_tenant(tenant.admins, tenant.context, 30)
    assert tenant.rows("SELECT min(time) >= %(gone)s AS gone FROM readings", gone=figures.raw_from)[0]["gone"]


def test_nothing_is_dropped_that_is_still_to_be_rolled_up(tenant: Tenant):
    hours(tenant, timedelta(days=120), timedelta(days=60))
    tenant.write({(1, tenant.clock.now - 90 * DAY): 1.0})
    tend_tenant(tenant.admins, tenant.context, 30)
    since = tenant.clock.now - 89 * DAY
    (kept,) = tenant.rows("SELECT count(*) AS n FROM readings WHERE time >= %(since)s", since=since)
    assert kept["n"] == 2 * 29 * 24
    assert (raw_from(tenant) or datetime(2000, 1, 1, tzinfo=UTC)) <= tenant.clock.now - 90 * DAY
    tenant.refresh()
    before = rollups(tenant)
    tend_tenant(tenant.admins, tenant.context, 30)
    assert tenant.rows("SELECT count(*) AS n FROM readings") == [{"n": 0}]
    assert rollups(tenant) == before


def test_readings_are_kept_for_ever_without_a_limit_and_a_raised_limit_brings_none_back(tenant: Tenant):
    readings = hours(tenant, timedelta(days=120), timedelta())
    figures = tend_tenant(tenant.admins, tenant.context, None)
    assert figures is not None
    assert (figures.raw_from, raw_from(tenant)) == (None, None)
    assert tenant.rows("SELECT count(*) AS n FROM readings") == [{"n": readings}]
    tend_tenant(tenant.admins, tenant.context, 60)
    gone_before = raw_from(tenant)
    tend_tenant(tenant.admins, tenant.context, 100)
    assert raw_from(tenant) == gone_before is not None
    # So no reading from before is taken, whatever the limit is by now.
    survey(tenant.admins)
    with tenant.deployment.databases.core() as core:
        quotas = allowance_of(core, tenant.context.id)
    assert instant(quotas.kept_from(microseconds(tenant.clock.now))) == gone_before


def test_old_readings_are_compressed_and_can_be_corrected_and_added_to(tenant: Tenant, compresses: bool):
    readings = hours(tenant, timedelta(days=60), timedelta())
    tenant.administrator.execute("ANALYZE readings")
    figures = tend_tenant(tenant.admins, tenant.context, None)
    assert figures is not None
    assert figures.readings == pytest.approx(readings, rel=0.01)
    if not compresses:
        assert figures.raw_bytes > 0
        return
    assert chunks(tenant).count((True, False)) >= 7
    # Under the tenant's role: a new reading, a new value for an old one, the same value again.
    old = tenant.clock.now - 40 * DAY
    tenant.write({(1, old + timedelta(minutes=7)): 5.0, (2, old): 77.0, (1, old): 8.0})
    assert tenant.rows("SELECT value FROM readings WHERE point_id = 2 AND time = %(t)s", t=old) == [
        {"value": 77.0}
    ]
    assert (True, True) in chunks(tenant)
    # With marks in it the chunk is left as it is; when they are gone, it is compressed whole.
    tend_tenant(tenant.admins, tenant.context, None)
    assert (True, True) in chunks(tenant)
    assert tenant.refresh() is False
    assert tenant.check() > 2 * 60 * 24
    tend_tenant(tenant.admins, tenant.context, None)
    assert (True, True) not in chunks(tenant)
    assert tenant.check() > 2 * 60 * 24
    assert tenant.rows("SELECT count(*) AS n FROM readings") == [{"n": readings + 1}]


def test_rollups_in_compressed_chunks_are_made_anew(tenant: Tenant, compresses: bool):
    hours(tenant, timedelta(days=120), timedelta(days=90))
    tend_tenant(tenant.admins, tenant.context, None)
    hours(tenant, timedelta(days=110, minutes=20), timedelta(days=105))
    assert tenant.check() > 100
    tend_tenant(tenant.admins, tenant.context, None)
    assert tenant.check() > 100


def test_chunks_fit_what_a_tenant_sends():
    now = datetime(2026, 1, 6, tzinfo=UTC)

    def span(a_day: int) -> timedelta | None:
        ending = now + 3 * DAY
        weeks = [(ending - (n + 1) * 7 * DAY, ending - n * 7 * DAY) for n in range(6)]
        return fitting_span(
            [
                Piece(
                    "x",
                    "readings",
                    starting,
                    to,
                    int(a_day * ((min(to, now) - starting) / DAY)),
                    1,
                    False,
                    False,
                )
                for starting, to in weeks
            ],
            now,
        )

    assert span(0) is None
    assert span(10_000) == 28 * DAY
    assert span(1_000_000) == 7 * DAY
    assert span(50_000_000) == DAY
