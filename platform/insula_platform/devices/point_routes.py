"""`…/points`, and `POST …/devices/{device}/points`."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path, Query, Response

from insula_platform.access import check_device, visible_spaces
from insula_platform.devices.answers import point_of
from insula_platform.devices.routes import DeviceId, Limit, Reader, SpaceId, Writer, new_point
from insula_platform.devices.schemas import NewPoint, Point, PointChanges
from insula_platform.etags import IfMatch, check_if_match, etag_of
from insula_platform.paging import Cursor, Page, decode_cursor, encode_cursor
from insula_platform.problems import PROBLEM_RESPONSES, problem_responses
from insula_platform.state import CurrentPlatform
from insula_tenants import audit
from insula_tenants.devices import PointView, add_point, change_point, find_point, list_points
from insula_tenants.devices.points import lock_point
from insula_tenants.quotas import allowance_of, claim_room

router = APIRouter(prefix="/api/v1/tenants/{tenant}", tags=["Devices"], responses=PROBLEM_RESPONSES)

PointId = Annotated[int, Path(description="The point's id.", ge=1, lt=2**31, examples=[7])]


@router.get("/points")
def get_points(
    access: Reader,
    platform: CurrentPlatform,
    device: Annotated[str | None, Query(description="Only this device's.", max_length=40)] = None,
    space: SpaceId = None,
    limit: Limit = 100,
    cursor: Cursor = None,
) -> Page[Point]:
    """The points of the tenant's devices, by id."""
    after = decode_cursor(cursor, int)[0] if cursor else None
    with platform.databases.tenant(access.context) as session:
        found = list_points(
            session,
            device=device,
            space_id=space,
            within=visible_spaces(access, session),
            after=after,
            limit=limit + 1,
        )
    more = encode_cursor(found[limit - 1].id) if len(found) > limit else None
    return Page(items=[point_of(point) for point in found[:limit]], next_cursor=more)


@router.post("/devices/{device}/points", status_code=201, responses=problem_responses(409))
def post_point(
    access: Writer, platform: CurrentPlatform, device: DeviceId, asked: NewPoint, response: Response
) -> Point:
    """Say what a point is before its first reading.

    Not needed to store readings: a name that the device sends becomes a point by itself. 409 when the device
    has it already: change that one.
    """
    with platform.databases.core() as core:
        allowance = allowance_of(core, access.context.id)
        with platform.databases.tenant(access.context) as session:
            check_device(access, session, device)
            claim_room(session, allowance, points=1)
            view = add_point(session, device, new_point(asked.model_dump()))
        audit.record(
            core,
            access.actor,
            "point.created",
            tenant=access.context.id,
            target=device,
            detail={"id": view.id, **asked.model_dump(exclude_unset=True)},
        )
    response.headers["ETag"] = _tag(view)
    response.headers["Location"] = f"/api/v1/tenants/{access.context.slug}/points/{view.id}"
    return point_of(view)


@router.get("/points/{point_id}")
def get_point(access: Reader, platform: CurrentPlatform, point_id: PointId, response: Response) -> Point:
    """One point."""
    with platform.databases.tenant(access.context) as session:
        view = find_point(session, point_id, within=visible_spaces(access, session))
    response.headers["ETag"] = _tag(view)
    return point_of(view)


@router.patch("/points/{point_id}", responses=problem_responses(412))
def patch_point(
    access: Writer,
    platform: CurrentPlatform,
    point_id: PointId,
    asked: PointChanges,
    response: Response,
    if_match: IfMatch = None,
) -> Point:
    """Change what is said of a point: what is left out stays, and so does its name, which is the device's.

    Readings stay as they were sent: another unit converts none of them.
    """
    changes = asked.model_dump(exclude_unset=True)
    with platform.databases.core() as core:
        with platform.databases.tenant(access.context) as session:
            there = lock_point(session, point_id, within=visible_spaces(access, session))
            check_if_match(if_match, _tag(there))
            told = changes | (
                {"states": tuple(changes["states"]) if changes["states"] else None}
                if "states" in changes
                else {}
            )
            view = change_point(session, point_id, told)
        audit.record(
            core,
            access.actor,
            "point.changed",
            tenant=access.context.id,
            target=view.device,
            detail={"id": point_id, "name": view.name, **changes},
        )
    response.headers["ETag"] = _tag(view)
    return point_of(view)


def _tag(view: PointView) -> str:
    return etag_of(point_of(view).model_dump(mode="json"))
