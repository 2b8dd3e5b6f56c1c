"""`…/sites`, `…/buildings` and `…/storeys`; spaces are in `insula_platform.spaces`."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path, Query, Response

from insula_platform.building_model.desk import Cascade, Limit, Reading, Writing, made_before
from insula_platform.building_model.schemas import (
    Building,
    BuildingChanges,
    NewBuilding,
    NewSite,
    NewStorey,
    Site,
    SiteChanges,
    Storey,
    StoreyChanges,
)
from insula_platform.etags import IfMatch
from insula_platform.idempotency import IdempotencyKey
from insula_platform.paging import Cursor, Page
from insula_platform.problems import PROBLEM_RESPONSES, problem_responses

router = APIRouter(prefix="/api/v1/tenants/{tenant}", tags=["Building model"], responses=PROBLEM_RESPONSES)

SiteId = Annotated[int, Path(ge=1, lt=2**31, examples=[1])]
BuildingId = Annotated[int, Path(ge=1, lt=2**31, examples=[1])]
StoreyId = Annotated[int, Path(ge=1, lt=2**31, examples=[1])]
_Filter = Annotated[int | None, Query(ge=1, lt=2**31)]


@router.get("/sites")
def get_sites(desk: Reading, limit: Limit = 100, cursor: Cursor = None) -> Page[Site]:
    """The sites, by id: those in which your grant covers something."""
    return desk.page("site", Site, limit, cursor)


@router.post("/sites", status_code=201, responses=made_before(Site))
def post_site(desk: Writing, asked: NewSite, idempotency_key: IdempotencyKey = None) -> Site:
    """Make a site. 409 when the name or the IRI is taken."""
    return desk.create("site", Site, asked, idempotency_key)


@router.get("/sites/{site_id}")
def get_site(desk: Reading, site_id: SiteId) -> Site:
    """One site."""
    return desk.one("site", Site, site_id)


@router.patch("/sites/{site_id}", responses=problem_responses(409, 412))
def patch_site(desk: Writing, site_id: SiteId, asked: SiteChanges, if_match: IfMatch = None) -> Site:
    """Change a site: what is left out stays."""
    return desk.change("site", Site, site_id, asked, if_match)


@router.delete(
    "/sites/{site_id}", status_code=204, response_class=Response, responses=problem_responses(409, 412)
)
def delete_site(
    desk: Writing, site_id: SiteId, if_match: IfMatch = None, cascade: Cascade = False
) -> Response:
    """Remove a site. 409 `takes-along` says what stands in it: `cascade=true` lets that go along."""
    return desk.delete("site", Site, site_id, if_match, cascade=cascade)


@router.get("/buildings")
def get_buildings(
    desk: Reading,
    site: Annotated[_Filter, Query(description="Only those of this site.")] = None,
    limit: Limit = 100,
    cursor: Cursor = None,
) -> Page[Building]:
    """The buildings, by id: those in which your grant covers something."""
    return desk.page("building", Building, limit, cursor, {"site_id": site})


@router.post("/buildings", status_code=201, responses=made_before(Building))
def post_building(desk: Writing, asked: NewBuilding, idempotency_key: IdempotencyKey = None) -> Building:
    """Make a building. 409 when the name is taken on the site, or the IRI."""
    return desk.create("building", Building, asked, idempotency_key)


@router.get("/buildings/{building_id}")
def get_building(desk: Reading, building_id: BuildingId) -> Building:
    """One building."""
    return desk.one("building", Building, building_id)


@router.patch("/buildings/{building_id}", responses=problem_responses(409, 412))
def patch_building(
    desk: Writing, building_id: BuildingId, asked: BuildingChanges, if_match: IfMatch = None
) -> Building:
    """Change a building: what is left out stays. Another `site_id` moves it with all that is in it."""
    return desk.change("building", Building, building_id, asked, if_match)


@router.delete(
    "/buildings/{building_id}",
    status_code=204,
    response_class=Response,
    responses=problem_responses(409, 412),
)
def delete_building(
    desk: Writing, building_id: BuildingId, if_match: IfMatch = None, cascade: Cascade = False
) -> Response:
    """Remove a building. 409 `takes-along` says what stands in it: `cascade=true` lets that go along."""
    return desk.delete("building", Building, building_id, if_match, cascade=cascade)


@router.get("/storeys")
def get_storeys(
    desk: Reading,
    building: Annotated[_Filter, Query(description="Only those of this building.")] = None,
    limit: Limit = 100,
    cursor: Cursor = None,
) -> Page[Storey]:
    """The storeys, by id: those in which your grant covers something."""
    return desk.page("storey", Storey, limit, cursor, {"building_id": building})


@router.post("/storeys", status_code=201, responses=made_before(Storey))
def post_storey(desk: Writing, asked: NewStorey, idempotency_key: IdempotencyKey = None) -> Storey:
    """Make a storey. 409 when the name is taken in the building, or the IRI."""
    return desk.create("storey", Storey, asked, idempotency_key)


@router.get("/storeys/{storey_id}")
def get_storey(desk: Reading, storey_id: StoreyId) -> Storey:
    """One storey."""
    return desk.one("storey", Storey, storey_id)


@router.patch("/storeys/{storey_id}", responses=problem_responses(409, 412))
def patch_storey(
    desk: Writing, storey_id: StoreyId, asked: StoreyChanges, if_match: IfMatch = None
) -> Storey:
    """Change a storey: what is left out stays. Another `building_id` moves it with all that is in it."""
    return desk.change("storey", Storey, storey_id, asked, if_match)


@router.delete(
    "/storeys/{storey_id}", status_code=204, response_class=Response, responses=problem_responses(409, 412)
)
def delete_storey(
    desk: Writing, storey_id: StoreyId, if_match: IfMatch = None, cascade: Cascade = False
) -> Response:
    """Remove a storey. 409 `takes-along` says what stands in it: `cascade=true` lets that go along."""
    return desk.delete("storey", Storey, storey_id, if_match, cascade=cascade)
