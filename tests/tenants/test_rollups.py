"""Rollups are what the raw readings say: at every moment where readers use them, whatever came late."""

from __future__ import annotations

import random
from collections.abc import Iterator
from datetime import timedelta
from itertools import count

import pytest

from insula_tenants.rollups.slices import DAY, QUARTER, floor
from tests.conftest import Deployment
from tests.tenants.history import Clock, Tenant, clock, tenant_of

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
