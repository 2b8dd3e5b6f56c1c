"""`/api/v1/enrolments`: a device announces itself. `…/enrolments`: the tenant decides on it."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Path, Query, Request, Response
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from insula_platform.access import Access, NotAuthenticated, Requires, bearer_token, check_whole_tenant
from insula_platform.enrolment.answers import check_request, let_in
from insula_platform.enrolment.guessing import PUBLIC_PROBLEMS, count_guess, forgive_guess
from insula_platform.enrolment.schemas import (
    Announced,
    Announcement,
    Approval,
    Enrolment,
    EnrolmentState,
    Fetching,
    LetIn,
    Waiting,
)
from insula_platform.paging import Cursor, Page, decode_moment, encode_cursor
from insula_platform.problems import PROBLEM_RESPONSES, problem_responses, problems_of
from insula_platform.signin.sessions import address_of
from insula_platform.state import CurrentPlatform
from insula_tenants.audit import Actor
from insula_tenants.enrolment import holding
from insula_tenants.errors import NotFound

router = APIRouter(
    prefix="/api/v1/tenants/{tenant}/enrolments", tags=["Enrolment"], responses=PROBLEM_RESPONSES
)
public = APIRouter(
    prefix="/api/v1/enrolments",
    tags=["Enrolment"],
    responses=problems_of(NotAuthenticated, holding.KeyRefused, holding.EnrolmentRejected, *PUBLIC_PROBLEMS),
)

Reader = Annotated[Access, Requires("devices:read")]
Writer = Annotated[Access, Requires("devices:write")]
EnrolmentId = Annotated[UUID, Path(description="The enrolment's id.")]
Limit = Annotated[int, Query(ge=1, le=1000, description="How many at most.")]

_bearer = HTTPBearer(
    scheme_name="ProvisioningKey",
    description="A tenant's provisioning key: it lets a device announce itself, and nothing else.",
    auto_error=False,
)
Carried = Annotated[HTTPAuthorizationCredentials | None, Depends(_bearer)]


@public.post("", status_code=202)
def post_announcement(
    request: Request, platform: CurrentPlatform, asked: Announcement, response: Response, _shown: Carried
) -> Announced:
    """Announce a device that nobody knows, by the provisioning key that it carries.

    It waits until it is approved, and asks for its login at `…/{enrolment}/login` meanwhile, with the secret
    of this answer. Announced anew, it waits again; a login that it has goes on.
    """
    secret = bearer_token(request)
    count_guess(platform, request)
    with platform.databases.core() as core:
        told = holding.announce(
            core,
            platform.databases,
            secret,
            serial=asked.serial,
            device_type=asked.type,
            name=asked.name,
            address=address_of(request),
        )
    forgive_guess(platform, request)
    response.headers["Cache-Control"] = "no-store"
    return Announced(tenant=told.tenant, enrolment=told.id, state=told.state, secret=told.secret)


@public.post(
    "/{enrolment}/login",
    status_code=201,
    responses={
        202: {"model": Waiting, "description": "Nobody has decided yet: ask again later"},
        **problems_of(NotFound),
    },
)
def post_login(
    request: Request,
    platform: CurrentPlatform,
    enrolment: EnrolmentId,
    asked: Fetching,
    response: Response,
    _shown: Carried,
) -> LetIn | Waiting:
    """Fetch the login of a device that was approved. It is made at this moment and told this once.

    Whoever held the device's place before has no login any more. Where devices sign in with certificates,
    `csr` must be there. 403 `enrolment-rejected`: do not ask again.
    """
    secret = bearer_token(request)
    check_request(platform, asked.csr)
    count_guess(platform, request)
    address = address_of(request)
    with platform.databases.core() as core:
        found = holding.fetch_login(
            core,
            platform.databases,
            platform.broker,
            secret,
            enrolment,
            asked.secret,
            address=address,
        )
    forgive_guess(platform, request)
    response.headers["Cache-Control"] = "no-store"
    if found.device is None or found.password is None:
        response.status_code = 202
        return Waiting()
    return let_in(
        platform,
        found.context,
        found.device,
        found.username,
        found.password,
        csr=asked.csr,
        actor=Actor("system", "enrolment", address),
    )


@router.get("")
def get_enrolments(
    access: Reader,
    platform: CurrentPlatform,
    state: Annotated[EnrolmentState | None, Query(description="Only those in this state.")] = None,
    limit: Limit = 100,
    cursor: Cursor = None,
) -> Page[Enrolment]:
    """Devices that announced themselves, oldest first; `state=waiting` are those to decide on."""
    check_whole_tenant(access)
    after = decode_moment(cursor) if cursor else None
    with platform.databases.tenant(access.context) as session:
        found = holding.list_enrolments(session, state=state, after=after, limit=limit + 1)
    more = None
    if len(found) > limit:
        more = encode_cursor(found[limit - 1].created_at, found[limit - 1].id)
    return Page(items=[Enrolment.model_validate(one) for one in found[:limit]], next_cursor=more)


@router.post("/{enrolment}/approve", responses=problem_responses(409))
def post_approval(
    access: Writer, platform: CurrentPlatform, enrolment: EnrolmentId, asked: Approval
) -> Enrolment:
    """Let a device in that waits. It fetches its login the next time it asks."""
    check_whole_tenant(access)
    with platform.databases.core() as core, platform.databases.tenant(access.context) as session:
        view = holding.approve(
            core,
            session,
            access.context,
            enrolment,
            device=asked.device,
            name=asked.name,
            space_id=asked.space_id,
            actor=access.actor,
        )
    return Enrolment.model_validate(view)


@router.post("/{enrolment}/reject", responses=problem_responses(409))
def post_rejection(access: Writer, platform: CurrentPlatform, enrolment: EnrolmentId) -> Enrolment:
    """Turn a device away. It may not ask again."""
    check_whole_tenant(access)
    with platform.databases.core() as core, platform.databases.tenant(access.context) as session:
        view = holding.reject(core, session, access.context, enrolment, actor=access.actor)
    return Enrolment.model_validate(view)
