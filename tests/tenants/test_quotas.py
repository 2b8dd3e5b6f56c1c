"""What limits count for a tenant."""

from __future__ import annotations

from uuid import uuid4

import pytest
from sqlalchemy import text

from insula_tenants.errors import NotFound
from insula_tenants.quotas import Quotas, effective_quotas
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
