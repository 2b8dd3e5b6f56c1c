"""What limits count for a tenant."""

from __future__ import annotations

from uuid import uuid4

import pytest
from sqlalchemy import text

from insula_tenants.audit import Actor, list_entries
from insula_tenants.errors import InvalidInput, NotFound
from insula_tenants.quotas import (
    MOST,
    QUOTA_NAMES,
    Quotas,
    check_quotas,
    effective_quotas,
    put_plan,
    put_quotas,
)
from tests.conftest import Deployment


def test_a_tenant_has_its_plans_limits_and_its_own_over_them(fresh_deployment: Deployment) -> None:
    tenant_id = fresh_deployment.acme.id
    with fresh_deployment.databases.core() as core:
        of_the_plan = effective_quotas(core, tenant_id)
        assert of_the_plan.devices == 5000
        core.execute(
            text('UPDATE tenants SET quotas = \'{"devices": 7, "points": null}\' WHERE id = :id'),
            {"id": tenant_id},
        )
    with fresh_deployment.databases.core() as core:
        own = effective_quotas(core, tenant_id)
    assert own.devices == 7
    assert own.points is None
    assert own.retention_days == of_the_plan.retention_days


def test_a_limit_that_nobody_names_is_no_limit() -> None:
    assert Quotas.of({}, {"devices": 3}) == Quotas(devices=3)


def test_nobody_has_the_limits_of_a_tenant_that_is_not(deployment: Deployment) -> None:
    with deployment.databases.core() as core, pytest.raises(NotFound):
        effective_quotas(core, uuid4())


def test_every_limit_has_a_bound() -> None:
    assert MOST.keys() == set(QUOTA_NAMES)


@pytest.mark.parametrize("limit", [0, -1, True, 1.0, "7", [], 2**63])
def test_a_limit_is_a_whole_number_within_bounds(limit: object) -> None:
    assert check_quotas({"devices": 1, "points": None}) == {"devices": 1, "points": None}
    with pytest.raises(InvalidInput, match="use a whole number from 1 to 1000000, or null") as refused:
        check_quotas({"devices": limit})
    assert refused.value.field == "quotas.devices"


def test_a_limit_that_there_is_none_of_is_named_with_those_there_are() -> None:
    with pytest.raises(
        InvalidInput, match="there is no limit 'divices': use one of devices, points"
    ) as refused:
        check_quotas({"divices": 1}, field="own")
    assert refused.value.field == "own.divices"


def test_a_change_of_a_plan_or_of_quotas_counts_at_once_and_is_noted_once(
    fresh_deployment: Deployment,
) -> None:
    acme, actor = fresh_deployment.acme.id, Actor("operator", "tests")
    with fresh_deployment.databases.core() as core:
        put_plan(core, "small", {"devices": 2, "points": None}, actor=actor)
    for _ in range(2):  # the second changes nothing, and says nothing
        with fresh_deployment.databases.core() as core:
            shown = put_quotas(core, "acme", plan="small", own={"points": 5}, actor=actor)
    assert shown.effective == Quotas(devices=2, points=5)
    with fresh_deployment.databases.core() as core:
        put_plan(core, "small", {"devices": 3}, actor=actor)
    with fresh_deployment.databases.core() as core:
        assert effective_quotas(core, acme) == Quotas(devices=3, points=5)
        assert effective_quotas(core, fresh_deployment.globex.id).devices == 5000
        mine = [(entry.action, entry.detail) for entry in list_entries(core, tenant=acme)]
        everything = [entry.action for entry in list_entries(core)]
    assert mine[0] == (
        "tenant.quotas_changed",
        {
            "plan": "small",
            "quotas": {"points": 5},
            "before": {"plan": "standard", "quotas": {}},
        },
    )
    assert everything[:3] == ["plan.changed", "tenant.quotas_changed", "plan.created"]


def test_nothing_is_put_that_is_not_there(deployment: Deployment) -> None:
    actor = Actor("operator", "tests")
    with deployment.databases.core() as core:
        with pytest.raises(
            InvalidInput, match="there is no plan 'gold': use one of standard, trial"
        ) as refused:
            put_quotas(core, "acme", plan="gold", actor=actor)
        assert refused.value.field == "plan"
        with pytest.raises(NotFound):
            put_quotas(core, "nowhere", own={}, actor=actor)
        with pytest.raises(InvalidInput, match="is no name of a plan"):
            put_plan(core, "Gold!", {}, actor=actor)
