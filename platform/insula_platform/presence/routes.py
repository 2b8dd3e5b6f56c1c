"""`…/devices/{device}/presence` and its history."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query

from insula_platform.access import check_device
from insula_platform.devices.routes import DeviceId, Reader
from insula_platform.paging import Cursor, Page, decode_cursor, encode_cursor
from insula_platform.presence.schemas import Presence, PresenceChange
from insula_platform.problems import PROBLEM_RESPONSES
from insula_platform.state import CurrentPlatform
from insula_tenants.presence import list_changes, presence_of

router = APIRouter(
    prefix="/api/v1/tenants/{tenant}/devices/{device}/presence",
    tags=["Presence"],
    responses=PROBLEM_RESPONSES,
)


@router.get("")
def get_presence(access: Reader, platform: CurrentPlatform, device: DeviceId) -> Presence:
    """Whether the device is there, at this moment."""
    with platform.databases.tenant(access.context) as session:
        check_device(access, session, device)
        return Presence.model_validate(presence_of(session, device))


@router.get("/changes")
def get_changes(
    access: Reader,
    platform: CurrentPlatform,
    device: DeviceId,
    limit: Annotated[int, Query(ge=1, le=1000, description="How many at most.")] = 100,
    cursor: Cursor = None,
) -> Page[PresenceChange]:
    """When the device came, left and fell silent, newest first; 90 days back.

    That it fell silent is written down within about a minute.
    """
    before = decode_cursor(cursor, int)[0] if cursor else None
    with platform.databases.tenant(access.context) as session:
        check_device(access, session, device)
        presence_of(session, device)
        found = list_changes(session, device, before=before, limit=limit + 1)
    more = encode_cursor(found[limit - 1].number) if len(found) > limit else None
    return Page(items=[PresenceChange.model_validate(one) for one in found[:limit]], next_cursor=more)
