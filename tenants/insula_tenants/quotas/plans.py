"""Plans, and what a tenant's quotas are: changed by the operator alone, and noted in the audit log."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import Session

from insula_tenants import audit
from insula_tenants.audit import Actor
from insula_tenants.errors import InvalidInput, NotFound
from insula_tenants.quotas.limits import Quotas, check_quotas
from insula_tenants.registry import Plan, Tenant, find_tenant

_NAME = re.compile(r"[a-z][a-z0-9_-]{0,62}")


class TenantQuotas(NamedTuple):
    """Where a tenant's limits come from."""

    tenant_id: UUID
    plan: str
    of_plan: dict[str, int | None]
    own: dict[str, int | None]

    @property
    def effective(self) -> Quotas:
        """The limits that count."""
        return Quotas.of(self.of_plan, self.own)


def list_plans(core: Session, *, after: str | None = None, limit: int | None = None) -> list[Plan]:
    """Plans by name, those after `after`, at most `limit`."""
    query = select(Plan)
    if after is not None:
        query = query.where(Plan.name > after)
    return list(core.scalars(query.order_by(Plan.name).limit(limit)))


def find_plan(core: Session, name: str, *, for_update: bool = False) -> Plan:
    """The plan; `NotFound` when there is none."""
    plan = core.get(Plan, name, with_for_update=for_update) if _NAME.fullmatch(name) else None
    if plan is None:
        raise NotFound(f"there is no plan {name!r}")
    return plan


def put_plan(core: Session, name: str, quotas: Mapping[str, Any], *, actor: Actor) -> Plan:
    """Make the plan, or give it these limits in place of all it had; what is null or missing is unlimited.

    It counts for every tenant on the plan. Raises `InvalidInput` for a bad name or limit.
    """
    if not _NAME.fullmatch(name):
        raise InvalidInput(
            "plan",
            f"{name!r} is no name of a plan: use up to 63 lower-case letters, digits, - and _, "
            "starting with a letter",
        )
    limits = check_quotas(quotas, field="limits")
    plan = core.get(Plan, name, with_for_update=True)
    if plan is None:
        plan = Plan(name=name, quotas=limits)
        core.add(plan)
        core.flush()
        audit.record(core, actor, "plan.created", tenant=None, target=name, detail={"quotas": limits})
    elif plan.quotas != limits:
        detail = {"quotas": limits, "before": plan.quotas}
        plan.quotas = limits
        audit.record(core, actor, "plan.changed", tenant=None, target=name, detail=detail)
    return plan


def tenant_quotas(core: Session, slug: str) -> TenantQuotas:
    """A tenant's limits and their origin; `NotFound` when there is no such tenant."""
    tenant = find_tenant(core, slug)
    return _shown(tenant, core.get_one(Plan, tenant.plan))


def put_quotas(
    core: Session,
    slug: str,
    *,
    plan: str | None = None,
    own: Mapping[str, Any] | None = None,
    actor: Actor,
) -> TenantQuotas:
    """Put the tenant on `plan`, and give it `own` limits in place of those it had; None leaves as it is.

    A limit in `own` counts over the plan's, and null there lifts it. What is there already stays, even over
    a new limit. Raises `NotFound`, and `InvalidInput` for a plan that is not or a bad limit.
    """
    limits = None if own is None else check_quotas(own, field="own")
    tenant = find_tenant(core, slug, for_update=True)
    before = {"plan": tenant.plan, "quotas": tenant.quotas}
    if plan is not None:
        if core.get(Plan, plan) is None:
            known = ", ".join(each.name for each in list_plans(core))
            raise InvalidInput("plan", f"there is no plan {plan!r}: use one of {known}")
        tenant.plan = plan
    if limits is not None:
        tenant.quotas = limits
    after = {"plan": tenant.plan, "quotas": tenant.quotas}
    if after != before:
        detail = {**after, "before": before}
        audit.record(core, actor, "tenant.quotas_changed", tenant=tenant.id, target=slug, detail=detail)
    return _shown(tenant, core.get_one(Plan, tenant.plan))


def _shown(tenant: Tenant, plan: Plan) -> TenantQuotas:
    return TenantQuotas(tenant.id, plan.name, dict(plan.quotas), dict(tenant.quotas))
