"""`GET …/audit`."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query

from insula_platform.access import Access, Requires
from insula_platform.audit.schemas import Entry, entry
from insula_platform.paging import Cursor, Page, decode_cursor, encode_cursor
from insula_platform.problems import PROBLEM_RESPONSES
from insula_platform.state import CurrentPlatform
from insula_tenants.audit import list_entries

router = APIRouter(prefix="/api/v1/tenants/{tenant}", tags=["Audit"], responses=PROBLEM_RESPONSES)


@router.get("/audit")
def get_audit(
    access: Annotated[Access, Requires("audit:read")],
    platform: CurrentPlatform,
    limit: Annotated[int, Query(ge=1, le=1000, description="How many at most.")] = 100,
    cursor: Cursor = None,
) -> Page[Entry]:
    """Who changed what in the tenant, newest first. Entries are never altered."""
    before = decode_cursor(cursor, int)[0] if cursor else None
    with platform.databases.core() as core:
        rows = list_entries(core, tenant=access.context.id, before=before, limit=limit + 1)
        items = [entry(row) for row in rows[:limit]]
    more = encode_cursor(items[-1].id) if len(rows) > limit else None
    return Page(items=items, next_cursor=more)
