"""`/api/v1/operator/plans`, `…/usage`, `…/tenants/{slug}/quotas` and `…/usage`: what tenants may, and do."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path, Response

from insula_platform.access import OperatorAccess, RequiresOperator
from insula_platform.etags import IfMatch
from insula_platform.operator import quotas, service
from insula_platform.operator.quota_schemas import NewPlan, NewQuotas, OperatorQuotas, Plan
from insula_platform.paging import Cursor, Page, decode_cursor, encode_cursor
from insula_platform.problems import OPERATOR_PROBLEM_RESPONSES, problem_responses
from insula_platform.state import CurrentPlatform
from insula_platform.usage.routes import FirstDay, LastDay, Limit
from insula_platform.usage.schemas import TenantUsageDay
from insula_platform.usage.service import UsagePage, usage_page

router = APIRouter(prefix="/api/v1/operator", tags=["Plans"], responses=OPERATOR_PROBLEM_RESPONSES)

_READER = [RequiresOperator("tenants:read")]
Writer = Annotated[OperatorAccess, RequiresOperator("tenants:write")]
PlanName = Annotated[str, Path(description="The plan's name.", examples=["trial"])]
Slug = Annotated[str, Path(description="The tenant's slug.", examples=["acme"])]

_CHANGED = problem_responses(412)


@router.get("/plans", dependencies=_READER)
def get_plans(platform: CurrentPlatform, limit: Limit = 100, cursor: Cursor = None) -> Page[Plan]:
    """All plans, by name."""
    after = decode_cursor(cursor, str)[0] if cursor else None
    found = quotas.show_plans(platform.databases, after=after, limit=limit + 1)
    more = encode_cursor(found[limit - 1].name) if len(found) > limit else None
    return Page(items=[Plan.model_validate(view) for view in found[:limit]], next_cursor=more)


@router.get("/plans/{plan}", dependencies=_READER)
def get_plan(platform: CurrentPlatform, plan: PlanName, response: Response) -> Plan:
    """One plan."""
    view = quotas.show_plan(platform.databases, plan)
    response.headers["ETag"] = view.etag
    return Plan.model_validate(view)


@router.put("/plans/{plan}", responses={201: {"model": Plan, "description": "Made"}, **_CHANGED})
def put_plan(
    access: Writer,
    platform: CurrentPlatform,
    plan: PlanName,
    asked: NewPlan,
    response: Response,
    if_match: IfMatch = None,
) -> Plan:
    """Make a plan, or give it other limits. They count for every tenant on it, within a minute.

    What tenants have already stays, even when it is over a new limit.
    """
    view, made = quotas.put_plan(
        platform.databases, plan, asked.limits, if_match=if_match, actor=access.actor
    )
    if made:
        response.status_code = 201
    response.headers["ETag"] = view.etag
    return Plan.model_validate(view)


@router.get("/tenants/{slug}/quotas", dependencies=_READER)
def get_quotas(platform: CurrentPlatform, slug: Slug, response: Response) -> OperatorQuotas:
    """A tenant's limits, where they come from, and what it had when it was last measured."""
    view = quotas.show_quotas(platform.databases, slug)
    response.headers["ETag"] = quotas.quotas_etag(view)
    return OperatorQuotas.model_validate(view)


@router.put("/tenants/{slug}/quotas", responses=_CHANGED)
def put_quotas(
    access: Writer,
    platform: CurrentPlatform,
    slug: Slug,
    asked: NewQuotas,
    response: Response,
    if_match: IfMatch = None,
) -> OperatorQuotas:
    """Put a tenant on a plan, with limits of its own over it or without."""
    view = quotas.put_quotas(
        platform.databases, slug, plan=asked.plan, own=asked.own, if_match=if_match, actor=access.actor
    )
    response.headers["ETag"] = quotas.quotas_etag(view)
    return OperatorQuotas.model_validate(view)


@router.get("/tenants/{slug}/usage", dependencies=_READER)
def get_tenant_usage(
    platform: CurrentPlatform,
    slug: Slug,
    first: FirstDay = None,
    last: LastDay = None,
    limit: Limit = 100,
    cursor: Cursor = None,
) -> Page[TenantUsageDay]:
    """What one tenant used, by day."""
    tenant_id = service.show(platform.databases, slug).id
    return _page(usage_page(platform.databases, first, last, tenant_id=tenant_id, cursor=cursor, limit=limit))


@router.get("/usage", dependencies=_READER)
def get_usage(
    platform: CurrentPlatform,
    first: FirstDay = None,
    last: LastDay = None,
    limit: Limit = 100,
    cursor: Cursor = None,
) -> Page[TenantUsageDay]:
    """What every tenant used, by tenant and day: what billing needs. Of erased tenants nothing is left."""
    return _page(usage_page(platform.databases, first, last, cursor=cursor, limit=limit))


def _page(page: UsagePage) -> Page[TenantUsageDay]:
    return Page(items=[TenantUsageDay.model_validate(day) for day in page.days], next_cursor=page.next_cursor)
