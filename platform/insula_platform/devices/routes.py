"""`GET …/devices` and `GET …/points`."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query

from insula_platform.access import Access, Requires, visible_spaces
from insula_platform.devices.schemas import Device, Point
from insula_platform.paging import Cursor, Page, decode_cursor, encode_cursor
from insula_platform.problems import PROBLEM_RESPONSES
from insula_platform.state import CurrentPlatform
from insula_tenants.devices import list_devices, list_points

router = APIRouter(prefix="/api/v1/tenants/{tenant}", tags=["Devices"], responses=PROBLEM_RESPONSES)

Limit = Annotated[int, Query(ge=1, le=1000, description="How many at most.")]
SpaceId = Annotated[int | None, Query(description="Only those in this space.", ge=1, lt=2**31)]


@router.get("/devices")
def get_devices(
    access: Annotated[Access, Requires("devices:read")],
    platform: CurrentPlatform,
    space: SpaceId = None,
    limit: Limit = 100,
    cursor: Cursor = None,
) -> Page[Device]:
    """The tenant's devices, by id."""
    after = decode_cursor(cursor, str)[0] if cursor else None
    with platform.databases.tenant(access.context) as session:
        within = visible_spaces(access, session)
        found = list_devices(session, space_id=space, within=within, after=after, limit=limit + 1)
    more = encode_cursor(found[limit - 1].id) if len(found) > limit else None
    return Page(items=[Device.model_validate(device) for device in found[:limit]], next_cursor=more)


@router.get("/points")
def get_points(
    access: Annotated[Access, Requires("devices:read")],
    platform: CurrentPlatform,
    device: Annotated[str | None, Query(description="Only this device's.", max_length=40)] = None,
    space: SpaceId = None,
    limit: Limit = 100,
    cursor: Cursor = None,
) -> Page[Point]:
    """The points of the tenant's devices, by id."""
    after = decode_cursor(cursor, int)[0] if cursor else None
    with platform.databases.tenant(access.context) as session:
        within = visible_spaces(access, session)
        found = list_points(
            session, device=device, space_id=space, within=within, after=after, limit=limit + 1
        )
    more = encode_cursor(found[limit - 1].id) if len(found) > limit else None
    return Page(items=[Point.model_validate(point) for point in found[:limit]], next_cursor=more)
