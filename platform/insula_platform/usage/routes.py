"""`GET …/quotas` and `GET …/usage`."""

from __future__ import annotations

from datetime import date
from typing import Annotated

from fastapi import APIRouter, Query

from insula_platform.access import Access, Requires
from insula_platform.paging import Cursor, Page
from insula_platform.problems import PROBLEM_RESPONSES
from insula_platform.state import CurrentPlatform
from insula_platform.usage.schemas import TenantQuotas, UsageDay
from insula_platform.usage.service import present_quotas, usage_page

router = APIRouter(prefix="/api/v1/tenants/{tenant}", tags=["Usage"], responses=PROBLEM_RESPONSES)

Limit = Annotated[int, Query(ge=1, le=1000, description="How many at most.")]
FirstDay = Annotated[
    date | None,
    Query(
        alias="from", description="First day (UTC). Default: 31 days before `to`.", examples=["2026-11-01"]
    ),
]
LastDay = Annotated[
    date | None,
    Query(alias="to", description="The day after the last one. Default: tomorrow.", examples=["2026-12-01"]),
]


@router.get("/quotas")
def get_quotas(access: Annotated[Access, Requires("usage:read")], platform: CurrentPlatform) -> TenantQuotas:
    """The tenant's limits and what it uses of them. `RateLimit` tells how its requests stand."""
    return TenantQuotas.model_validate(present_quotas(platform.databases, access.context))


@router.get("/usage")
def get_usage(
    access: Annotated[Access, Requires("usage:read")],
    platform: CurrentPlatform,
    first: FirstDay = None,
    last: LastDay = None,
    limit: Limit = 100,
    cursor: Cursor = None,
) -> Page[UsageDay]:
    """What the tenant used, by day. Today's figures grow, some seconds behind what happens.

    A day on which nothing was counted or measured is left out.
    """
    page = usage_page(
        platform.databases, first, last, tenant_id=access.context.id, cursor=cursor, limit=limit
    )
    return Page(items=[UsageDay.model_validate(day) for day in page.days], next_cursor=page.next_cursor)
