"""`…/devices/{device}/twin`."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Response

from insula_platform.access import Access, Requires, check_device
from insula_platform.devices.routes import DeviceId, Reader
from insula_platform.etags import IfMatch, check_if_match
from insula_platform.problems import PROBLEM_RESPONSES, problem_responses
from insula_platform.state import CurrentPlatform
from insula_platform.twins.delivery import bring_desired
from insula_platform.twins.schemas import Twin, TwinChanges
from insula_tenants import audit
from insula_tenants.twins import TwinView, change_desired, read_twin

router = APIRouter(
    prefix="/api/v1/tenants/{tenant}/devices/{device}/twin", tags=["Twins"], responses=PROBLEM_RESPONSES
)

Commander = Annotated[Access, Requires("commands:write")]


@router.get("")
def get_twin(access: Reader, platform: CurrentPlatform, device: DeviceId, response: Response) -> Twin:
    """What the device is to be, what it says it is, and what differs.

    The `ETag` stands for the desired state: give it as `If-Match` to change what you saw.
    """
    with platform.databases.tenant(access.context) as session:
        check_device(access, session, device)
        view = read_twin(session, device)
    response.headers["ETag"] = _tag(view)
    return Twin.model_validate(view)


@router.patch("", responses=problem_responses(409, 412))
def patch_twin(
    access: Commander,
    platform: CurrentPlatform,
    device: DeviceId,
    asked: TwinChanges,
    response: Response,
    if_match: IfMatch = None,
) -> Twin:
    """Change what the device is to be. It gets the whole state, with its version, as soon as it is connected.

    409 for a device that is out of use, 412 when somebody else changed the desired state since you read it.
    While the broker is away the answer has `published: false`, and nothing needs to be repeated.
    """
    context = access.context
    with platform.databases.core() as core:
        with platform.databases.tenant(context) as session:
            check_device(access, session, device)
            view, changed = change_desired(
                session, device, asked.desired, check=lambda twin: check_if_match(if_match, _tag(twin))
            )
        if changed:
            told = {"version": view.desired_version, "names": sorted(asked.desired)[:50]}
            audit.record(
                core, access.actor, "device.desired_changed", tenant=context.id, target=device, detail=told
            )
    if not view.published:
        view = view._replace(published=bring_desired(platform.databases, platform.link, context, device))
    response.headers["ETag"] = _tag(view)
    return Twin.model_validate(view)


def _tag(view: TwinView) -> str:
    return f'"{view.desired_version}"'
