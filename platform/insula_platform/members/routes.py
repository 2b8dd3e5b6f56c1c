"""`…/members`: who belongs to the tenant, with which role and where."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Path, Query, Response

from insula_platform.access import Access, Requires, check_whole_tenant
from insula_platform.access.schemas import Places
from insula_platform.etags import IfMatch
from insula_platform.members import service
from insula_platform.members.schemas import Member, MemberChange
from insula_platform.members.service import Change, MemberView
from insula_platform.paging import Cursor, Page, decode_cursor, encode_cursor
from insula_platform.problems import PROBLEM_RESPONSES, problem_responses
from insula_platform.state import CurrentPlatform
from insula_tenants.spaces import check_places

router = APIRouter(prefix="/api/v1/tenants/{tenant}/members", tags=["Members"], responses=PROBLEM_RESPONSES)

Reader = Annotated[Access, Requires("members:read")]
Writer = Annotated[Access, Requires("members:write")]
AccountId = Annotated[UUID, Path(description="The member's account.")]
Limit = Annotated[int, Query(ge=1, le=1000, description="How many at most.")]


@router.get("")
def get_members(
    access: Reader, platform: CurrentPlatform, limit: Limit = 100, cursor: Cursor = None
) -> Page[Member]:
    """The tenant's members, by e-mail address."""
    check_whole_tenant(access)
    after = decode_cursor(cursor, str)[0] if cursor else None
    with platform.databases.core() as core:
        found = service.list_members(core, access.context, after=after, limit=limit + 1)
    more = encode_cursor(found[limit - 1].email) if len(found) > limit else None
    return Page(items=[_shown(view) for view in found[:limit]], next_cursor=more)


@router.get("/{account_id}")
def get_member(
    access: Reader, platform: CurrentPlatform, account_id: AccountId, response: Response
) -> Member:
    """One member."""
    check_whole_tenant(access)
    with platform.databases.core() as core:
        view = service.find_member(core, access.context, account_id)
    response.headers["ETag"] = view.etag
    return _shown(view)


@router.patch("/{account_id}", responses=problem_responses(409, 412))
def patch_member(
    access: Writer,
    platform: CurrentPlatform,
    account_id: AccountId,
    asked: MemberChange,
    response: Response,
    if_match: IfMatch = None,
) -> Member:
    """Give a member another role, or bind them to some places: it counts from their next request on.

    Nobody gives a role that is more than their own, or changes who has one. A tenant keeps an owner (409).
    """
    check_whole_tenant(access)
    places = asked.places.meant() if asked.places is not None else None
    if places is not None:
        with platform.databases.tenant(access.context) as session:
            check_places(session, places)
    change = Change(asked.role, places, "places" in asked.model_fields_set)
    with platform.databases.core() as core:
        view = service.change_member(core, access, account_id, change, if_match=if_match)
    response.headers["ETag"] = view.etag
    return _shown(view)


@router.delete("/{account_id}", status_code=204, responses=problem_responses(409))
def delete_member(access: Writer, platform: CurrentPlatform, account_id: AccountId) -> None:
    """Remove a member: their next request is refused, their API keys and what they let programs do end.

    Their account stays: it is theirs, and may belong to other tenants. A tenant keeps an owner (409).
    """
    check_whole_tenant(access)
    with platform.databases.core() as core:
        service.end_member(core, access, account_id)


def _shown(view: MemberView) -> Member:
    return Member.model_validate(view._asdict() | {"places": Places.shown(view.places)})
