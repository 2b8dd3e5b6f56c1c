"""`GET …/storage`, for a tenant and for the operator."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query

from insula_platform.access import Access, Requires, RequiresOperator, check_whole_tenant
from insula_platform.paging import Cursor, Page, decode_cursor, encode_cursor
from insula_platform.problems import OPERATOR_PROBLEM_RESPONSES, PROBLEM_RESPONSES
from insula_platform.state import CurrentPlatform
from insula_platform.storage.schemas import Storage, TenantStorage
from insula_platform.storage.service import storage_of, storage_of_all
from insula_tenants.errors import InvalidInput
from insula_tenants.names import is_slug

router = APIRouter(prefix="/api/v1")


@router.get("/tenants/{tenant}/storage", tags=["Readings"], responses=PROBLEM_RESPONSES)
def get_storage(access: Annotated[Access, Requires("readings:read")], platform: CurrentPlatform) -> Storage:
    """How the tenant's storage does: how far rollups are, how long raw readings are kept, what they take."""
    check_whole_tenant(access)
    with platform.databases.core() as core:
        return Storage.model_validate(storage_of(core, access.context.id))


@router.get(
    "/operator/storage",
    tags=["Operator"],
    dependencies=[RequiresOperator("tenants:read")],
    responses=OPERATOR_PROBLEM_RESPONSES,
)
def get_all_storage(
    platform: CurrentPlatform,
    limit: Annotated[int, Query(ge=1, le=1000, description="How many at most.")] = 100,
    cursor: Cursor = None,
) -> Page[TenantStorage]:
    """How every tenant's storage does, by slug."""
    after = decode_cursor(cursor, str)[0] if cursor else None
    if after is not None and not is_slug(after):
        raise InvalidInput("cursor", "this is no cursor of this list: use next_cursor of the page before")
    with platform.databases.core() as core:
        found = storage_of_all(core, after=after, limit=limit + 1)
        items = [TenantStorage.model_validate(view) for view in found[:limit]]
    more = encode_cursor(items[-1].tenant) if len(found) > limit else None
    return Page(items=items, next_cursor=more)
