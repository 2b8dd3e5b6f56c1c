"""`…/spaces`."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path, Response

from insula_platform.access import Access, Requires, visible_spaces
from insula_platform.building_model.desk import Cascade, Reading, Writing, made_before
from insula_platform.building_model.schemas import NewSpace, SpaceChanges
from insula_platform.etags import IfMatch
from insula_platform.idempotency import IdempotencyKey
from insula_platform.paging import Page
from insula_platform.problems import PROBLEM_RESPONSES, problem_responses
from insula_platform.spaces.schemas import Space
from insula_platform.state import CurrentPlatform
from insula_tenants.spaces import list_spaces

router = APIRouter(prefix="/api/v1/tenants/{tenant}", tags=["Building model"], responses=PROBLEM_RESPONSES)

SpaceId = Annotated[int, Path(ge=1, lt=2**31, examples=[1])]


@router.get("/spaces")
def get_spaces(access: Annotated[Access, Requires("devices:read")], platform: CurrentPlatform) -> Page[Space]:
    """All spaces that your grant covers, by site, building, storey from the lowest level up, and name."""
    with platform.databases.tenant(access.context) as session:
        spaces = list_spaces(session, within=visible_spaces(access, session))
    return Page(items=[Space.model_validate(space) for space in spaces])


@router.post("/spaces", status_code=201, responses=made_before(Space))
def post_space(desk: Writing, asked: NewSpace, idempotency_key: IdempotencyKey = None) -> Space:
    """Make a space. 409 when the name is taken on the storey, or the IRI."""
    return desk.create("space", Space, asked, idempotency_key)


@router.get("/spaces/{space_id}")
def get_space(desk: Reading, space_id: SpaceId) -> Space:
    """One space."""
    return desk.one("space", Space, space_id)


@router.patch("/spaces/{space_id}", responses=problem_responses(409, 412))
def patch_space(desk: Writing, space_id: SpaceId, asked: SpaceChanges, if_match: IfMatch = None) -> Space:
    """Change a space: what is left out stays.

    Another `storey_id` moves it with all that is in it; devices keep their readings. In a building of another
    time zone its local days are others.
    """
    return desk.change("space", Space, space_id, asked, if_match)


@router.delete(
    "/spaces/{space_id}", status_code=204, response_class=Response, responses=problem_responses(409, 412)
)
def delete_space(
    desk: Writing, space_id: SpaceId, if_match: IfMatch = None, cascade: Cascade = False
) -> Response:
    """Remove a space. 409 `takes-along` says what stands in it: `cascade=true` lets that go along."""
    return desk.delete("space", Space, space_id, if_match, cascade=cascade)
