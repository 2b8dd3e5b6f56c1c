"""What a tenant used: counted by day, added up, and nobody else's."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import date
from uuid import uuid4

import pytest
from sqlalchemy import func, select

from insula_tenants.context import TenantContext
from insula_tenants.usage import UsageDaily, UsageDevice, add_usage
from tests.conftest import Deployment

MONDAY = date(2026, 11, 23)


def amounts(deployment: Deployment, context: TenantContext, day: date) -> dict[str, int]:
    with deployment.databases.core() as core:
        query = select(UsageDaily.metric, UsageDaily.amount)
        found = core.execute(query.where(UsageDaily.tenant_id == context.id, UsageDaily.day == day))
        return dict(found.all())


def test_what_is_added_adds_up(deployment: Deployment) -> None:
    day = date(2026, 1, 1)
    for _ in range(2):
        with deployment.databases.core() as core:
            add_usage(core, deployment.acme.id, day, {"messages": 3, "values": 30, "throttled": 0}, {1, 2})
    with deployment.databases.core() as core:
        add_usage(core, deployment.acme.id, day, {}, {2, 3})

    assert amounts(deployment, deployment.acme, day) == {"messages": 6, "values": 60}
    assert amounts(deployment, deployment.globex, day) == {}
    with deployment.databases.core() as core:
        seen = core.scalar(select(func.count()).select_from(UsageDevice).where(UsageDevice.day == day))
    assert seen == 3


def test_processes_add_at_once_and_nothing_is_lost(deployment: Deployment) -> None:
    day = date(2026, 1, 2)

    def add(turn: int) -> None:
        # Each names the metrics in another order: the rows are taken in one order all the same.
        names = ["messages", "values", "bytes"]
        counted = {names[(turn + place) % 3]: 1 for place in range(3)}
        with deployment.databases.core() as core:
            add_usage(core, deployment.acme.id, day, counted, [turn % 4, 0])

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(add, range(40)))
    assert amounts(deployment, deployment.acme, day) == {"messages": 40, "values": 40, "bytes": 40}


def test_nothing_is_added_for_a_tenant_that_is_gone(deployment: Deployment) -> None:
    gone = uuid4()
    with deployment.databases.core() as core:
        add_usage(core, gone, MONDAY, {"messages": 1}, [1])
        assert core.scalar(select(func.count()).where(UsageDaily.tenant_id == gone)) == 0


def test_a_metric_that_there_is_none_of_is_refused(deployment: Deployment) -> None:
    with deployment.databases.core() as core, pytest.raises(ValueError, match="parcels"):
        add_usage(core, deployment.acme.id, MONDAY, {"parcels": 1})
