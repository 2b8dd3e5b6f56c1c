"""`…/device-types`: the built-in ones, and the tenant's own."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path, Response

from insula_platform.access import check_whole_tenant
from insula_platform.devices.routes import Reader, Writer, new_point
from insula_platform.devices.schemas import DeviceType, NewDeviceType, NewPoint, TypeFacts
from insula_platform.etags import IfMatch, check_if_match, etag_of
from insula_platform.paging import Page
from insula_platform.problems import PROBLEM_RESPONSES, problem_responses
from insula_platform.state import CurrentPlatform
from insula_tenants import audit
from insula_tenants.devices import TypeView, find_type, list_types
from insula_tenants.devices.types import change_type, create_type, delete_type, lock_type

router = APIRouter(
    prefix="/api/v1/tenants/{tenant}/device-types", tags=["Device types"], responses=PROBLEM_RESPONSES
)

TypeId = Annotated[str, Path(description="The type's id.", max_length=40, examples=["shelly-plug"])]


# Reading them is open to a grant for a part of the tenant: whoever may bring a device in must know its type.


@router.get("")
def get_device_types(access: Reader, platform: CurrentPlatform) -> Page[DeviceType]:
    """All device types on one page: your own, by name, then the built-in ones."""
    with platform.databases.tenant(access.context) as session:
        return Page(items=[_type_of(one) for one in list_types(session)])


@router.get("/{type_id}")
def get_device_type(
    access: Reader, platform: CurrentPlatform, type_id: TypeId, response: Response
) -> DeviceType:
    """One device type."""
    with platform.databases.tenant(access.context) as session:
        view = find_type(session, type_id)
    response.headers["ETag"] = _tag(view)
    return _type_of(view)


@router.post("", status_code=201, responses=problem_responses(409))
def post_device_type(
    access: Writer, platform: CurrentPlatform, asked: NewDeviceType, response: Response
) -> DeviceType:
    """Make a device type of your own. 409 when the id is taken, also by a built-in one."""
    check_whole_tenant(access)
    with platform.databases.core() as core:
        with platform.databases.tenant(access.context) as session:
            view = create_type(session, _view(asked.id, asked))
        audit.record(
            core,
            access.actor,
            "device_type.created",
            tenant=access.context.id,
            target=view.slug,
            detail=asked.model_dump(mode="json", exclude_unset=True),
        )
    response.headers["ETag"] = _tag(view)
    response.headers["Location"] = f"/api/v1/tenants/{access.context.slug}/device-types/{view.slug}"
    return _type_of(view)


@router.put("/{type_id}", responses=problem_responses(409, 412))
def put_device_type(
    access: Writer,
    platform: CurrentPlatform,
    type_id: TypeId,
    asked: TypeFacts,
    response: Response,
    if_match: IfMatch = None,
) -> DeviceType:
    """Let a type of your own be as given. Devices keep the points they have. 409 for a built-in one."""
    check_whole_tenant(access)
    with platform.databases.core() as core:
        with platform.databases.tenant(access.context) as session:
            check_if_match(if_match, _tag(lock_type(session, type_id)))
            view = change_type(session, _view(type_id, asked))
        audit.record(
            core,
            access.actor,
            "device_type.changed",
            tenant=access.context.id,
            target=type_id,
            detail=asked.model_dump(mode="json", exclude_unset=True),
        )
    response.headers["ETag"] = _tag(view)
    return _type_of(view)


@router.delete("/{type_id}", status_code=204, response_class=Response, responses=problem_responses(409, 412))
def delete_device_type(
    access: Writer, platform: CurrentPlatform, type_id: TypeId, if_match: IfMatch = None
) -> Response:
    """Remove a type of your own. 409 while a device is of it, and for a built-in one."""
    check_whole_tenant(access)
    with platform.databases.core() as core:
        with platform.databases.tenant(access.context) as session:
            check_if_match(if_match, _tag(lock_type(session, type_id)))
            delete_type(session, type_id)
        audit.record(core, access.actor, "device_type.deleted", tenant=access.context.id, target=type_id)
    return Response(status_code=204)


def _view(slug: str, asked: TypeFacts) -> TypeView:
    return TypeView(
        slug,
        asked.name,
        asked.vendor,
        asked.model,
        asked.expected_interval,
        tuple(new_point(point.model_dump()) for point in asked.points),
    )


def _type_of(view: TypeView) -> DeviceType:
    return DeviceType(
        id=view.slug,
        name=view.name,
        vendor=view.vendor,
        model=view.model,
        expected_interval=view.expected_interval,
        points=[
            NewPoint(**{name: getattr(point, name) for name in NewPoint.model_fields})
            for point in view.points
        ],
        version=view.version,
        built_in=view.built_in,
        hint=view.hint,
    )


def _tag(view: TypeView) -> str:
    return etag_of(_type_of(view).model_dump(mode="json"))
