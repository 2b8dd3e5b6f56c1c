"""`…/api-keys`: make, see and revoke the keys of programs that cannot do OAuth."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Path, Query, Response

from insula_platform.access import Access, Requires, check_whole_tenant
from insula_platform.access.schemas import Places
from insula_platform.api_keys import models, service
from insula_platform.api_keys.schemas import ApiKey, MadeApiKey, NewApiKey
from insula_platform.idempotency import IdempotencyKey, Once
from insula_platform.oauth.scopes import split
from insula_platform.paging import Cursor, Page, decode_moment, encode_cursor
from insula_platform.problems import PROBLEM_RESPONSES, problem_responses
from insula_platform.state import CurrentPlatform
from insula_tenants import spaces
from insula_tenants.spaces import check_places

router = APIRouter(prefix="/api/v1/tenants/{tenant}/api-keys", tags=["API keys"], responses=PROBLEM_RESPONSES)

Reader = Annotated[Access, Requires("clients:read")]
Writer = Annotated[Access, Requires("clients:write")]
KeyId = Annotated[UUID, Path(description="The key's id.")]


@router.post(
    "",
    status_code=201,
    responses={
        200: {"model": MadeApiKey, "description": "Made by an earlier request"},
        **problem_responses(409),
    },
)
def post_api_key(
    access: Writer,
    platform: CurrentPlatform,
    asked: NewApiKey,
    response: Response,
    idempotency_key: IdempotencyKey = None,
) -> MadeApiKey:
    """Make a key for a program. The key itself is in this answer and nowhere else.

    It may do what you ask for here, as far as your role allows it at the moment when it is used. Programs
    make no keys.
    """
    check_whole_tenant(access)
    places = asked.places.meant() if asked.places is not None else None
    if places is not None:
        with platform.databases.tenant(access.context) as session:
            check_places(session, places)
    with platform.databases.core() as core:
        once = Once(core, access, "api-keys", idempotency_key, asked.model_dump(mode="json"))
        key = None
        if once.made is not None:
            row = service.find_key(core, access.context, UUID(once.made["id"]))
            response.status_code = 200
        else:
            row, key = service.make_key(
                core,
                access,
                name=asked.name,
                wanted=asked.scopes,
                places=places,
                expires_at=asked.expires_at,
            )
            once.keep({"id": str(row.id)})
        shown = _shown(row)
    response.headers["Location"] = f"/api/v1/tenants/{access.context.slug}/api-keys/{shown.id}"
    response.headers["Cache-Control"] = "no-store"
    return MadeApiKey(**dict(shown), key=key)


@router.get("")
def get_api_keys(
    access: Reader,
    platform: CurrentPlatform,
    limit: Annotated[int, Query(ge=1, le=1000, description="How many at most.")] = 100,
    cursor: Cursor = None,
) -> Page[ApiKey]:
    """The tenant's keys, the oldest first."""
    check_whole_tenant(access)
    after = decode_moment(cursor) if cursor else None
    with platform.databases.core() as core:
        rows = service.list_keys(core, access.context, after=after, limit=limit + 1)
        items = [_shown(row) for row in rows[:limit]]
    last = items[-1] if len(rows) > limit else None
    more = encode_cursor(last.created_at.isoformat(), str(last.id)) if last else None
    return Page(items=items, next_cursor=more)


@router.get("/{key_id}")
def get_api_key(access: Reader, platform: CurrentPlatform, key_id: KeyId) -> ApiKey:
    """One key."""
    check_whole_tenant(access)
    with platform.databases.core() as core:
        return _shown(service.find_key(core, access.context, key_id))


@router.delete("/{key_id}", status_code=204)
def delete_api_key(access: Writer, platform: CurrentPlatform, key_id: KeyId) -> None:
    """Revoke a key: the next request with it is refused."""
    check_whole_tenant(access)
    with platform.databases.core() as core:
        service.revoke_key(core, access.context, key_id, actor=access.actor)


def _shown(row: models.ApiKey) -> ApiKey:
    return ApiKey(
        id=row.id,
        name=row.name,
        hint=row.hint,
        scopes=split(row.scope),
        places=Places.shown(spaces.Places.of(row.places)),
        made_by=row.account_id,
        created_at=row.created_at,
        expires_at=row.expires_at,
        last_used_at=row.last_used_at,
    )
