"""Continuous aggregates hold what the readings say, level upon level, also after readings came late."""

from __future__ import annotations

import random
from contextlib import closing
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import Connection, text
from sqlalchemy.exc import DBAPIError

from insula_tenants.administration import Administration
from insula_tenants.context import TenantContext
from insula_tenants.rollups import refresh_tenant
from insula_tenants.storage.rollups import ROLLUPS
from insula_tenants.storage.timescale import TimescaleEngine
from tests.timescale.conftest import Timescale
from tests.timescale.rollup_model import differences

START = datetime(2026, 3, 20, tzinfo=UTC)
DAY = timedelta(days=1)
GAUGE, METER = 1, 2


def microseconds(time: datetime) -> int:
    return round(time.timestamp() * 1e6)


def days(first: int, last: int, seed: int = 7, every: int = 137) -> dict[tuple[int, int], float]:
    """Readings of the days from `first` to `last` after START: a gauge that jumps, a meter that is reset.

    The gauge is read `every` so many seconds, the meter about half as often.
    """
    dice = random.Random(seed)
    made = {}
    energy = 100.0
    for time in range(microseconds(START + first * DAY), microseconds(START + last * DAY), every * 1_000_000):
        made[GAUGE, time] = dice.choice([-5.0, 0.0, 3.0, 21.5, 80.0])
        if dice.random() < 0.5:
            energy = 0.5 if dice.random() < 0.01 else energy + dice.random()
            made[METER, time] = energy
    return made


def corrections(readings: dict[tuple[int, int], float], day: int) -> dict[tuple[int, int], float]:
    """Other values for some readings of one day after START."""
    starting = microseconds(START + day * DAY)
    return dict.fromkeys(sorted(key for key in readings if key[1] >= starting)[:50], 77.0)


def refresh(connection: Connection, first: int, last: int) -> None:
    for rollup in ROLLUPS:
        TimescaleEngine().refresh(connection, rollup, START + first * DAY, START + last * DAY)


def test_every_level_holds_what_the_readings_say(timescale: Timescale, tenant: TenantContext):
    readings = days(0, 3)
    timescale.write(tenant, readings)
    with timescale.owner(tenant) as connection:
        refresh(connection, 0, 3)
        assert differences(connection, readings) == []
        assert connection.scalar(text("SELECT max(fall_count) FROM readings_1d")) > 4
        assert connection.scalar(text("SELECT count(*) FROM readings_1d WHERE falls <> '{}'")) > 0


def test_late_readings_and_corrections_are_right_after_the_next_refresh(
    timescale: Timescale, tenant: TenantContext
):
    readings = days(0, 3)
    timescale.write(tenant, readings)
    late = {(point, time + 1): value for (point, time), value in days(1, 2, seed=8).items()}
    corrected = corrections(readings, 1)
    with timescale.owner(tenant) as connection:
        refresh(connection, 0, 3)
    timescale.write(tenant, late | corrected)
    with timescale.owner(tenant) as connection:
        assert differences(connection, readings) == [], "only a refresh changes what a rollup says"
        refresh(connection, 1, 2)
        assert differences(connection, readings | late | corrected) == []


def test_the_worker_makes_right_what_came_late_and_takes_the_marks_away(
    timescale: Timescale, tenant: TenantContext
):
    with closing(Administration({"main": timescale.admin_url})) as admins:
        readings = days(0, 3)
        timescale.write(tenant, readings)
        assert refresh_tenant(admins, tenant, budget=timedelta(minutes=1)) is False
        with timescale.owner(tenant) as connection:
            assert differences(connection, readings) == []
        corrected = corrections(readings, 1)
        timescale.write(tenant, corrected)
        marks = text("SELECT count(*) FROM dirty_ranges")
        with timescale.session(tenant) as session:
            assert session.scalar(marks) == 1
        assert refresh_tenant(admins, tenant, budget=timedelta(minutes=1)) is False
        with timescale.owner(tenant) as connection:
            assert connection.scalar(marks) == 0
            assert differences(connection, readings | corrected) == []


def test_readings_that_nobody_refreshed_are_in_no_rollup(timescale: Timescale, tenant: TenantContext):
    timescale.write(tenant, days(0, 2))
    with timescale.owner(tenant) as connection:
        refresh(connection, 0, 1)
        assert differences(connection, days(0, 1)) == []


def test_a_tenant_reads_its_rollups_but_writes_none_and_reads_no_neighbours(
    timescale: Timescale, tenant: TenantContext
):
    neighbour = timescale.new_tenant()
    timescale.write(tenant, days(0, 1))
    with timescale.owner(tenant) as connection:
        refresh(connection, 0, 1)
    for rollup in ROLLUPS:
        with timescale.session(tenant) as session:
            assert session.scalar(text(f"SELECT count(*) FROM {rollup.name}")) > 0
        for forbidden in (
            f"DELETE FROM {rollup.name}",
            f"CALL public.refresh_continuous_aggregate('{rollup.name}', NULL, NULL)",
        ):
            with pytest.raises(DBAPIError), timescale.session(tenant) as session:
                session.execute(text(forbidden))
        with pytest.raises(DBAPIError, match="permission denied"), timescale.session(neighbour) as session:
            session.execute(text(f"SELECT FROM {tenant.schema}.{rollup.name}"))
