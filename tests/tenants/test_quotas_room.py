"""Devices and points end at their quota: one too many is refused, however many try at once."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from threading import Barrier
from typing import Any

import pytest
from sqlalchemy import func, select

from insula_tenants.audit import SYSTEM
from insula_tenants.broker import RegistryReader
from insula_tenants.context import TenantContext
from insula_tenants.devices import Device, NewPoint, Point
from insula_tenants.devices.onboarding import NewDevice, onboard
from insula_tenants.quotas import (
    Allowance,
    QuotaExceeded,
    Quotas,
    allowance_of,
    put_quotas,
    room_for_points,
)
from insula_tenants.usage import UsageGauge
from tests.conftest import Deployment


def limit(deployment: Deployment, **own: int | None) -> None:
    with deployment.databases.core() as core:
        put_quotas(core, "acme", own=own, actor=SYSTEM)


def add(deployment: Deployment, context: TenantContext, *slugs: str, points: int = 0) -> None:
    named = tuple(NewPoint(f"point-{number}") for number in range(points))
    onboard(
        deployment.databases,
        RegistryReader(),
        context,
        [NewDevice(slug, slug.title(), points=named) for slug in slugs],
    )


def count(deployment: Deployment, context: TenantContext, table: Any) -> int:
    with deployment.databases.tenant(context) as session:
        return session.scalar(select(func.count()).select_from(table)) or 0


def all_at_once(*acts: Callable[[], None]) -> list[QuotaExceeded]:
    """Run them in threads that start together; the refusals."""
    start = Barrier(len(acts))

    def run(act: Callable[[], None]) -> QuotaExceeded | None:
        start.wait(20)
        try:
            act()
        except QuotaExceeded as refusal:
            return refusal
        return None

    with ThreadPoolExecutor(len(acts)) as pool:
        return [refusal for refusal in pool.map(run, acts) if refusal]


def test_the_last_place_is_given_once(fresh_deployment: Deployment) -> None:
    limit(fresh_deployment, devices=3)
    add(fresh_deployment, fresh_deployment.acme, "first", "second")

    refused = all_at_once(
        *(
            lambda slug=slug: add(fresh_deployment, fresh_deployment.acme, slug)  # type: ignore[misc]
            for slug in ("third", "fourth", "fifth", "sixth")
        )
    )
    assert len(refused) == 3
    assert count(fresh_deployment, fresh_deployment.acme, Device) == 3
    assert {refusal.type for refusal in refused} == {"quota-exceeded"}
    assert refused[0].members == {"quota": "devices", "limit": 3, "used": 3}

    # It is acme's quota: its neighbour's plan has room.
    add(fresh_deployment, fresh_deployment.globex, "one", "two", "three", "four")
    assert count(fresh_deployment, fresh_deployment.globex, Device) == 4


def test_a_batch_that_does_not_fit_whole_is_refused_whole(fresh_deployment: Deployment) -> None:
    limit(fresh_deployment, points=5)
    add(fresh_deployment, fresh_deployment.acme, "first", points=4)
    with pytest.raises(QuotaExceeded, match="the quota points is 5, 4 are in use and 2 more are asked for"):
        add(fresh_deployment, fresh_deployment.acme, "second", "third", points=1)
    assert count(fresh_deployment, fresh_deployment.acme, Device) == 1
    add(fresh_deployment, fresh_deployment.acme, "second", points=1)
    limit(fresh_deployment, points=None)
    add(fresh_deployment, fresh_deployment.acme, "third", points=9)


def test_what_telemetry_names_first_shares_the_room(fresh_deployment: Deployment) -> None:
    limit(fresh_deployment, points=6)
    add(fresh_deployment, fresh_deployment.acme, "meter")
    granted = []

    def name(wanted: int) -> None:
        with fresh_deployment.databases.core() as core:
            allowance = allowance_of(core, fresh_deployment.acme.id)
        with fresh_deployment.databases.tenant(fresh_deployment.acme) as session:
            room = room_for_points(session, allowance, wanted)
            device = session.scalars(select(Device.id)).one()
            session.add_all(Point(device_id=device, name=f"{wanted}-{each}") for each in range(room))
            granted.append(room)

    assert all_at_once(lambda: name(3), lambda: name(4), lambda: name(5)) == []
    assert sum(granted) == 6
    assert count(fresh_deployment, fresh_deployment.acme, Point) == 6


def test_a_full_storage_takes_no_new_devices_and_points(fresh_deployment: Deployment) -> None:
    acme = fresh_deployment.acme
    limit(fresh_deployment, storage_bytes=1000)
    add(fresh_deployment, acme, "before-it-was-measured")
    with fresh_deployment.databases.core() as core:
        for day, measured in ((1, 1), (2, 1001)):
            core.add(
                UsageGauge(
                    tenant_id=acme.id,
                    day=datetime(2026, 11, day, tzinfo=UTC).date(),
                    devices=1,
                    points=0,
                    storage_bytes=measured,
                )
            )
    with pytest.raises(QuotaExceeded) as refused:
        add(fresh_deployment, acme, "after")
    assert refused.value.members == {"quota": "storage_bytes", "limit": 1000, "used": 1001}
    with fresh_deployment.databases.core() as core:
        allowance = allowance_of(core, acme.id)
    with fresh_deployment.databases.tenant(acme) as session:
        assert room_for_points(session, allowance, 1) == 0
        assert room_for_points(session, Allowance(Quotas(storage_bytes=1001), 1001), 1) == 1
    limit(fresh_deployment, storage_bytes=1001)
    add(fresh_deployment, acme, "after")
