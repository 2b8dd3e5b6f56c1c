"""Plans and tenants' quotas: one function for each act, which REST and command line share."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any, NamedTuple

from insula_platform.etags import check_if_match, etag_of
from insula_platform.usage.service import QuotasView, measured_quotas, with_use
from insula_tenants import quotas
from insula_tenants.audit import Actor
from insula_tenants.database import Databases
from insula_tenants.errors import NotFound
from insula_tenants.registry import Plan, find_tenant


class PlanView(NamedTuple):
    """A plan as its operator sees it."""

    name: str
    limits: quotas.Quotas

    @property
    def etag(self) -> str:
        """Changes when the limits do."""
        return etag_of(asdict(self.limits))


def show_plans(databases: Databases, *, after: str | None = None, limit: int | None = None) -> list[PlanView]:
    """Plans by name, those after `after`, at most `limit`."""
    with databases.core() as core:
        return [_view(plan) for plan in quotas.list_plans(core, after=after, limit=limit)]


def show_plan(databases: Databases, name: str) -> PlanView:
    """The plan; `NotFound` when there is none."""
    with databases.core() as core:
        return _view(quotas.find_plan(core, name))


def put_plan(
    databases: Databases,
    name: str,
    limits: Mapping[str, Any],
    *,
    if_match: str | None = None,
    actor: Actor,
) -> tuple[PlanView, bool]:
    """See `quotas.put_plan`; the plan, and whether it is new.

    Raises `PreconditionFailed` when the plan is not that of `if_match`.
    """
    with databases.core() as core:
        try:
            before = _view(quotas.find_plan(core, name, for_update=True))
        except NotFound:
            before = None
        check_if_match(if_match, before.etag if before else None)
        return _view(quotas.put_plan(core, name, limits, actor=actor)), before is None


def show_quotas(databases: Databases, slug: str) -> QuotasView:
    """A tenant's limits, and what it had when it was last measured."""
    with databases.core() as core:
        return measured_quotas(core, slug)


def put_quotas(
    databases: Databases,
    slug: str,
    *,
    plan: str | None = None,
    own: Mapping[str, Any] | None = None,
    if_match: str | None = None,
    actor: Actor,
) -> QuotasView:
    """See `quotas.put_quotas`. Raises `PreconditionFailed` when the quotas are not those of `if_match`."""
    with databases.core() as core:
        find_tenant(core, slug, for_update=True)
        check_if_match(if_match, quotas_etag(measured_quotas(core, slug)))
        return with_use(core, quotas.put_quotas(core, slug, plan=plan, own=own, actor=actor))


def quotas_etag(view: QuotasView) -> str:
    """Changes when the tenant's plan or its own limits do, not with what it uses."""
    return etag_of([view.plan, view.own])


def _view(plan: Plan) -> PlanView:
    return PlanView(plan.name, quotas.Quotas.of(plan.quotas))
