"""`…/analytics/forecasts`, `…/analytics/findings` and `…/analytics/analyses`."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated, Literal
from uuid import UUID

from fastapi import APIRouter, Depends, Path, Query, Response
from pydantic import AwareDatetime

from insula_platform.access import Access, Requires, check_whole_tenant, visible_spaces
from insula_platform.analytics.forecasts.answers import analysis_of, finding_of, forecast_of, share_of
from insula_platform.analytics.forecasts.schemas import Analysis, Findings, Forecasts
from insula_platform.analytics.forecasts.service import request_analysis
from insula_platform.idempotency import IdempotencyKey
from insula_platform.paging import Cursor, Page, decode_cursor, encode_cursor
from insula_platform.problems import PROBLEM_RESPONSES, problem_responses
from insula_platform.state import CurrentPlatform
from insula_tenants.analytics.analyses.answers import (
    Which,
    completeness_of_histories,
    list_findings,
    list_forecasts,
    looked_until,
)
from insula_tenants.analytics.analyses.models import Kind, Severity
from insula_tenants.analytics.analyses.service import find_analysis, list_analyses
from insula_tenants.analytics.measured import Where
from insula_tenants.errors import InvalidInput

router = APIRouter(
    prefix="/api/v1/tenants/{tenant}/analytics", tags=["Forecasts and findings"], responses=PROBLEM_RESPONSES
)

Reader = Annotated[Access, Requires("readings:read")]
Id = Annotated[int, Query(ge=1, lt=2**31)]
Limit = Annotated[int, Query(ge=1, le=1000, description="How many at most.")]


def _which(
    starting: Annotated[
        AwareDatetime | None, Query(alias="from", description="Those that lasted then or later; RFC 3339.")
    ] = None,
    ending: Annotated[
        AwareDatetime | None, Query(alias="to", description="Those that opened before that; RFC 3339.")
    ] = None,
    site: Annotated[Id | None, Query(description="Only this site.")] = None,
    building: Annotated[Id | None, Query(description="Only this building.")] = None,
    storey: Annotated[Id | None, Query(description="Only this storey.")] = None,
    space: Annotated[Id | None, Query(description="Only this space.")] = None,
    point: Annotated[
        list[Id] | None, Query(description="Only of these points; repeat it for more.", max_length=100)
    ] = None,
    kind: Annotated[Kind | None, Query(description="Only of this kind.")] = None,
    severity: Annotated[Severity | None, Query(description="Only of this severity.")] = None,
    state: Annotated[
        Literal["open", "closed"] | None, Query(description="Only those that last, or that are over.")
    ] = None,
) -> Which:
    if starting is not None and ending is not None and ending <= starting:
        raise InvalidInput("to", "`to` is not after `from`: the interval holds nothing")
    is_open = None if state is None else state == "open"
    where = Where(site, building, storey, space)
    return Which(where, starting, ending, point, kind, severity, is_open)


@router.get("/forecasts")
def get_forecasts(
    access: Reader,
    platform: CurrentPlatform,
    point: Annotated[list[Id], Query(description="Ids of points; repeat it for more.", max_length=100)],
) -> Forecasts:
    """The next 24 hours of one or more points, hour by hour, with the naive forecast beside.

    Forecasts are made by analyses, each hour; `state` says why there is none. A point that is not this
    tenant's, or that your grant does not cover, gives nothing, like one that does not exist.
    """
    with platform.databases.tenant(access.context) as session:
        found = list_forecasts(session, point, within=visible_spaces(access, session))
        return Forecasts(items=[forecast_of(named, forecast) for named, forecast in found])


@router.get("/findings")
def get_findings(
    access: Reader,
    platform: CurrentPlatform,
    asked: Annotated[Which, Depends(_which)],
    limit: Limit = 100,
    cursor: Cursor = None,
) -> Findings:
    """What analyses noticed about points, newest first: readings out of the ordinary, and sensors that are
    `stuck` at one value, `flat` (they move much less than they did) or `drifting` away.

    With `state=open`, what is the matter now.
    """
    before = decode_cursor(cursor, int)[0] if cursor else None
    with platform.databases.tenant(access.context) as session:
        within = visible_spaces(access, session)
        which = replace(asked, where=replace(asked.where, within=within))
        found = list_findings(session, which, before=before, limit=limit + 1)
        more = encode_cursor(found[limit - 1][1].id) if len(found) > limit else None
        return Findings(
            items=[finding_of(named, finding) for named, finding in found[:limit]],
            next_cursor=more,
            complete_until=looked_until(session),
            completeness=share_of(completeness_of_histories(session, which)),
        )


@router.post(
    "/analyses",
    status_code=202,
    responses={
        200: {"model": Analysis, "description": "Begun by an earlier request with this Idempotency-Key"},
        **problem_responses(409),
    },
)
def post_analysis(
    access: Annotated[Access, Requires("devices:write")],
    platform: CurrentPlatform,
    response: Response,
    idempotency_key: IdempotencyKey = None,
) -> Analysis:
    """Look at all points now, rather than at the next hour. `Location` says where to see how far it is.

    409 while an analysis is under way: there is one at a time.
    """
    check_whole_tenant(access)
    view, is_new = request_analysis(platform.databases, access, idempotency_key)
    if not is_new:
        response.status_code = 200
    response.headers["Location"] = f"/api/v1/tenants/{access.context.slug}/analytics/analyses/{view.id}"
    return analysis_of(view)


@router.get("/analyses")
def get_analyses(
    access: Reader, platform: CurrentPlatform, limit: Limit = 100, cursor: Cursor = None
) -> Page[Analysis]:
    """Analyses of the last week, newest first, and how far they are."""
    check_whole_tenant(access)
    before = decode_cursor(cursor, int)[0] if cursor else None
    with platform.databases.tenant(access.context) as session:
        found = list_analyses(session, before=before, limit=limit + 1)
    more = encode_cursor(found[limit - 1].number) if len(found) > limit else None
    return Page(items=[analysis_of(view) for view in found[:limit]], next_cursor=more)


@router.get("/analyses/{analysis_id}")
def get_analysis(
    access: Reader,
    platform: CurrentPlatform,
    analysis_id: Annotated[UUID, Path(description="The analysis's id.")],
) -> Analysis:
    """An analysis, and how far it is."""
    check_whole_tenant(access)
    with platform.databases.tenant(access.context) as session:
        return analysis_of(find_analysis(session, analysis_id))
