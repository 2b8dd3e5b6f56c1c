"""Raw readings go by chunks; what was made of them stays."""

from __future__ import annotations

from contextlib import closing
from datetime import UTC, datetime, timedelta

from sqlalchemy import text

from insula_tenants.administration import Administration
from insula_tenants.context import TenantContext
from insula_tenants.rollups import refresh_tenant, tend_tenant
from insula_tenants.storage.timescale import TimescaleEngine
from tests.timescale.conftest import Timescale
from tests.timescale.rollup_model import differences
from tests.timescale.test_aggregates import DAY, START, days, microseconds, refresh
from tests.timescale.test_compression import content, raw_pieces

ENGINE = TimescaleEngine()


def test_dropped_readings_leave_their_rollups(timescale: Timescale, tenant: TenantContext):
    readings = days(0, 20, every=600)
    timescale.write(tenant, readings)
    with timescale.owner(tenant) as connection:
        refresh(connection, 0, 20)
        first, second, *others = raw_pieces(connection)
        ENGINE.compress(connection, first)
        for piece in (first, second):
            ENGINE.drop(connection, piece)
        assert raw_pieces(connection) == others
        kept = {key: value for key, value in readings.items() if key[1] >= microseconds(second.ending)}
        assert content(connection) == kept
        assert differences(connection, readings) == []


def test_a_refresh_of_what_is_left_changes_nothing_before_it(timescale: Timescale, tenant: TenantContext):
    readings = days(0, 20, every=600)
    timescale.write(tenant, readings)
    with timescale.owner(tenant) as connection:
        refresh(connection, 0, 20)
        first, *_ = raw_pieces(connection)
        ENGINE.drop(connection, first)
        day = (first.ending - START).days
    late = {(point, time + 1): value for (point, time), value in days(day, 20, seed=8).items()}
    timescale.write(tenant, late)
    with timescale.owner(tenant) as connection:
        refresh(connection, day, 20)
        assert differences(connection, readings | late) == []


def test_the_worker_drops_what_the_plan_no_longer_keeps_and_compresses_the_rest(
    timescale: Timescale, tenant: TenantContext
):
    readings = days(0, 20, every=600)
    timescale.write(tenant, readings)
    retention_days = (datetime.now(UTC) - (START + 10 * DAY)).days
    with closing(Administration({"main": timescale.admin_url})) as admins:
        assert refresh_tenant(admins, tenant, budget=timedelta(minutes=1)) is False
        figures = tend_tenant(admins, tenant, retention_days, budget=timedelta(minutes=1))
    assert figures is not None
    assert figures.raw_from is not None
    assert START < figures.raw_from <= START + 10 * DAY
    with timescale.owner(tenant) as connection:
        left = raw_pieces(connection)
        assert min(piece.starting for piece in left) == figures.raw_from
        assert all(piece.compressed for piece in left)
        assert content(connection) == {
            key: value for key, value in readings.items() if key[1] >= microseconds(figures.raw_from)
        }
        assert differences(connection, readings) == []


def test_chunks_to_come_span_what_they_are_told(timescale: Timescale, tenant: TenantContext):
    timescale.write(tenant, days(0, 1))
    with timescale.owner(tenant) as connection:
        ENGINE.resize(connection, timedelta(days=1))
    timescale.write(tenant, days(40, 42))
    with timescale.owner(tenant) as connection:
        spans = [piece.ending - piece.starting for piece in raw_pieces(connection)]
        assert spans == [timedelta(days=7), timedelta(days=1), timedelta(days=1)]
        assert connection.scalar(text("SELECT count(*) FROM readings")) == len(days(0, 1) | days(40, 42))
