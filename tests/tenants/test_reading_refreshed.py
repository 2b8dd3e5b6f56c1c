"""Readers beside the worker's own refresh: the same answer before and after it, late readings or not."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

import pytest

from insula_tenants.telemetry.buckets import Width
from insula_tenants.telemetry.read import Buckets
from tests.conftest import Deployment
from tests.tenants.history import Clock, Tenant, clock, tenant_of
from tests.tenants.reading import House

__all__ = ["clock"]

DAILY = Buckets(Width(86_400), "mean", "UTC")


@pytest.fixture
def tenant(deployment: Deployment, clock: Clock) -> Iterator[Tenant]:
    with tenant_of(deployment, "refreshed", clock) as tenant:
        yield tenant


def test_answers_stay_right_while_rollups_come_and_late_readings_too(deployment: Deployment, tenant: Tenant):
    house = House(deployment, tenant.context)
    midnight = tenant.clock.now.replace(hour=0, minute=0)
    times = [midnight + timedelta(minutes=10 * n) for n in range(-288, 60)]
    tenant.write({(point, time): point + time.hour for point in (1, 2) for time in times})
    period = midnight - timedelta(days=2), midnight + timedelta(days=1)
    raw = house.ask([1, 2], *period, DAILY)
    assert raw.served_from == ("raw",)
    while tenant.refresh():
        pass
    rolled = house.ask([1, 2], *period, DAILY)
    assert rolled.served_from == ("1d", "1h", "15m", "raw")
    assert [row[:2] for row in rolled.rows] == [row[:2] for row in raw.rows]
    assert [row[2] for row in rolled.rows] == pytest.approx([row[2] for row in raw.rows])

    tenant.write({(1, times[5] + timedelta(seconds=30)): 1000.0})
    late = house.ask([1], midnight - timedelta(days=2), midnight - timedelta(days=1), DAILY)
    assert late.served_from == ("1h", "15m", "raw")
    assert late.rows[0][2] == pytest.approx((raw.rows[0][2] * 144 + 1000) / 145)
    while tenant.refresh():
        pass
    settled = house.ask([1], midnight - timedelta(days=2), midnight - timedelta(days=1), DAILY)
    assert settled.served_from == ("1d",)
    assert settled.rows[0][2] == pytest.approx(late.rows[0][2])
