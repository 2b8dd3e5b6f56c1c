"""`GET …/spaces`."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter

from insula_platform.access import Access, Requires, visible_spaces
from insula_platform.paging import Page
from insula_platform.problems import PROBLEM_RESPONSES
from insula_platform.spaces.schemas import Space
from insula_platform.state import CurrentPlatform
from insula_tenants.spaces import list_spaces

router = APIRouter(prefix="/api/v1/tenants/{tenant}", tags=["Spaces"], responses=PROBLEM_RESPONSES)


@router.get("/spaces")
def get_spaces(access: Annotated[Access, Requires("devices:read")], platform: CurrentPlatform) -> Page[Space]:
    """All spaces that your grant covers, by site, building, storey and name."""
    with platform.databases.tenant(access.context) as session:
        spaces = list_spaces(session, within=visible_spaces(access, session))
    return Page(items=[Space.model_validate(space) for space in spaces])
