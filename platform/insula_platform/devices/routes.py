"""`…/devices`: bring a device in, look at it, change it, take it out of use, bring it back."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Path, Query, Response

from insula_platform.access import (
    Access,
    Requires,
    check_device,
    check_space,
    visible_spaces,
)
from insula_platform.devices.answers import (
    broker_of,
    device_of,
    device_tag,
    point_of,
    secrets_of,
    snippets_of,
    topics_of,
)
from insula_platform.devices.schemas import (
    Connection,
    Device,
    DeviceChanges,
    DeviceState,
    NewDevice,
    Onboarded,
    Rotated,
)
from insula_platform.devices.snippets import Told, qr_code, tell
from insula_platform.devices.withdrawals import defer_withdrawal
from insula_platform.etags import IfMatch, check_if_match, etag_of
from insula_platform.idempotency import IdempotencyKey, Once
from insula_platform.paging import Cursor, Page, decode_cursor, encode_cursor
from insula_platform.problems import PROBLEM_RESPONSES, problem_responses
from insula_platform.state import CurrentPlatform, Platform
from insula_tenants import audit, devices
from insula_tenants.devices import NewPoint, WhichDevices, find_device, list_devices, list_points
from insula_tenants.devices.changes import change_device, decommission, lock_device, reactivate
from insula_tenants.devices.onboarding import admit
from insula_tenants.devices.rotation import Issued
from insula_tenants.errors import InvalidInput
from insula_tenants.presence import presence_of, presences
from insula_tenants.quotas import allowance_of

router = APIRouter(prefix="/api/v1/tenants/{tenant}/devices", tags=["Devices"], responses=PROBLEM_RESPONSES)

Reader = Annotated[Access, Requires("devices:read")]
Writer = Annotated[Access, Requires("devices:write")]
DeviceId = Annotated[
    str, Path(description="The device's id.", max_length=40, examples=["meeting-room-1-temperature"])
]
Limit = Annotated[int, Query(ge=1, le=1000, description="How many at most.")]
SpaceId = Annotated[int | None, Query(description="Only those in this space.", ge=1, lt=2**31)]

NOT_TOLD_YET: dict[int | str, dict[str, Any]] = {
    202: {"description": "Done, and the broker will be told as soon as it answers: a session may live on."}
}


@router.get("")
def get_devices(
    access: Reader,
    platform: CurrentPlatform,
    search: Annotated[
        str | None, Query(max_length=100, description="Part of the id, the name or the serial number.")
    ] = None,
    state: Annotated[DeviceState | None, Query(description="Only those in this state.")] = None,
    device_type: Annotated[
        str | None, Query(alias="type", max_length=40, description="Only those of this device type.")
    ] = None,
    space: SpaceId = None,
    gateway: Annotated[
        str | None, Query(max_length=40, description="Only those that this gateway publishes for.")
    ] = None,
    label: Annotated[
        str | None, Query(max_length=300, description="Only those with this label: `name=value`.")
    ] = None,
    limit: Limit = 100,
    cursor: Cursor = None,
) -> Page[Device]:
    """The tenant's devices, by id."""
    after = decode_cursor(cursor, str)[0] if cursor else None
    with platform.databases.tenant(access.context) as session:
        which = WhichDevices(
            search=search,
            state=state,
            type=device_type,
            space_id=space,
            gateway=gateway,
            label=_label(label),
            within=visible_spaces(access, session),
        )
        found = list_devices(session, which, after=after, limit=limit + 1)
        there = presences(session, [device.id for device in found[:limit]])
    more = encode_cursor(found[limit - 1].id) if len(found) > limit else None
    items = [device_of(device, there.get(device.id)) for device in found[:limit]]
    return Page(items=items, next_cursor=more)


@router.post(
    "",
    status_code=201,
    responses={
        200: {"model": Onboarded, "description": "Made by an earlier request with this Idempotency-Key"},
        **problem_responses(409),
    },
)
def post_device(
    access: Writer,
    platform: CurrentPlatform,
    asked: NewDevice,
    response: Response,
    idempotency_key: IdempotencyKey = None,
) -> Onboarded:
    """Bring a device in: registered, with its points, and admitted at the broker.

    The answer is all that it needs: login, topics, where the broker is, and the same ready to paste. The
    password is told this once. A value that the device then sends is there to read within seconds.

    409 when the id is taken, also by a decommissioned device: that one is reactivated, or another id chosen.
    403 `quota-exceeded` when there is no room. 503 `broker-unavailable`: nothing was made, try again.
    """
    context = access.context
    with platform.databases.tenant(context) as session:
        check_space(access, session, asked.space_id)
        if asked.gateway is not None:
            check_device(access, session, asked.gateway)
    with platform.databases.core() as core:
        once = Once(core, access, "devices", idempotency_key, asked.model_dump(mode="json"))
        password = None
        if once.made is None:
            password = admit(
                core, platform.databases, platform.broker, context, [_new(asked)], actor=access.actor
            )[asked.id]
            once.keep({"device": asked.id})
        else:
            response.status_code = 200
    response.headers["Location"] = f"/api/v1/tenants/{context.slug}/devices/{asked.id}"
    return _onboarded(platform, access, asked.id, response, password=password)


@router.get("/{device}")
def get_device(access: Reader, platform: CurrentPlatform, device: DeviceId, response: Response) -> Device:
    """One device. Its points are at `…/points?device=`."""
    with platform.databases.tenant(access.context) as session:
        check_device(access, session, device)
        view = find_device(session, device)
        presence = presence_of(session, device)
    response.headers["ETag"] = etag_of(device_tag(view))
    return device_of(view, presence)


@router.patch("/{device}", responses=problem_responses(409, 412))
def patch_device(
    access: Writer,
    platform: CurrentPlatform,
    device: DeviceId,
    asked: DeviceChanges,
    response: Response,
    if_match: IfMatch = None,
) -> Device:
    """Change a device: what is left out stays.

    Another `space_id` moves it; its readings stay with it. Another `type` brings the points that the device
    lacks, and takes none away. A `gateway` may publish for it within 30 seconds, and no other then.
    """
    changes = asked.model_dump(exclude_unset=True)
    with platform.databases.core() as core:
        allowance = allowance_of(core, access.context.id)
        with platform.databases.tenant(access.context) as session:
            check_device(access, session, device)
            if "space_id" in changes:
                check_space(access, session, changes["space_id"])
            if changes.get("gateway") is not None:
                check_device(access, session, changes["gateway"])
            check_if_match(if_match, etag_of(device_tag(lock_device(session, device))))
            view = change_device(session, device, changes, allowance=allowance)
            presence = presence_of(session, device)
        audit.record(
            core, access.actor, "device.changed", tenant=access.context.id, target=device, detail=changes
        )
    response.headers["ETag"] = etag_of(device_tag(view))
    return device_of(view, presence)


@router.delete(
    "/{device}",
    status_code=204,
    response_class=Response,
    responses={**NOT_TOLD_YET, **problem_responses(412)},
)
def delete_device(
    access: Writer, platform: CurrentPlatform, device: DeviceId, if_match: IfMatch = None
) -> Response:
    """Take a device out of use: its logins are gone, its session is ended, its points and readings stay.

    The id stays taken, so that its history is never another's. It takes no place in the quota of devices any
    more. `POST …/reactivate` brings it back.
    """
    with platform.databases.core() as core:
        with platform.databases.tenant(access.context) as session:
            check_device(access, session, device)
            check_if_match(if_match, etag_of(device_tag(lock_device(session, device))))
        told = decommission(
            core, platform.databases, platform.broker, access.context, device, actor=access.actor
        )
        if not told:
            defer_withdrawal(core, access.context)
    return Response(status_code=204 if told else 202)


@router.post("/{device}/reactivate", responses=problem_responses(409))
def post_reactivate(
    access: Writer, platform: CurrentPlatform, device: DeviceId, response: Response
) -> Onboarded:
    """Bring a decommissioned device back into use, with a new login; its history goes on."""
    with platform.databases.tenant(access.context) as session:
        check_device(access, session, device)
    with platform.databases.core() as core:
        issued = reactivate(
            core, platform.databases, platform.broker, access.context, device, actor=access.actor
        )
    return _onboarded(platform, access, device, response, username=issued.username, password=issued.password)


@router.get("/{device}/connection")
def get_connection(access: Reader, platform: CurrentPlatform, device: DeviceId) -> Connection:
    """What a device is told to connect, but for its secret: broker, topics, snippets."""
    with platform.databases.tenant(access.context) as session:
        check_device(access, session, device)
        find_device(session, device)
        points = list_points(session, device=device, limit=200)
    told = tell(platform.settings, access.context.slug, device, points)
    return Connection(
        broker=broker_of(told),
        topics=topics_of(told),
        client_id=told.client_id,
        snippets=snippets_of(told),
    )


def rotated(platform: Platform, access: Access, device: str, issued: Issued, *, repeated: bool) -> Rotated:
    """The answer to a rotation."""
    with platform.databases.tenant(access.context) as session:
        points = list_points(session, device=device, limit=200)
    told = tell(
        platform.settings,
        access.context.slug,
        device,
        points,
        username=issued.username,
        password=None if repeated else issued.password,
    )
    return Rotated(
        credentials=secrets_of(told),
        number=issued.number,
        others_end_at=issued.ends_at,
        broker=broker_of(told),
        topics=topics_of(told),
        snippets=snippets_of(told),
        qr=qr_code(told),
    )


def _onboarded(
    platform: Platform,
    access: Access,
    device: str,
    response: Response,
    *,
    username: str | None = None,
    password: str | None,
) -> Onboarded:
    with platform.databases.tenant(access.context) as session:
        view = find_device(session, device)
        points = list_points(session, device=device, limit=200)
    if platform.broker.takes == "certificate":
        password = None
    told: Told = tell(
        platform.settings, access.context.slug, device, points, username=username, password=password
    )
    response.headers["Cache-Control"] = "no-store"
    response.headers["ETag"] = etag_of(device_tag(view))
    return Onboarded(
        device=device_of(view),
        points=[point_of(point) for point in points],
        credentials=secrets_of(told),
        broker=broker_of(told),
        topics=topics_of(told),
        snippets=snippets_of(told),
        qr=qr_code(told),
    )


def _new(asked: NewDevice) -> devices.NewDevice:
    return devices.NewDevice(
        slug=asked.id,
        name=asked.name,
        space_id=asked.space_id,
        points=tuple(new_point(point.model_dump()) for point in asked.points),
        gateway=asked.gateway,
        type=asked.type,
        expected_interval=asked.expected_interval,
        serial=asked.serial,
        labels=asked.labels,
    )


def new_point(facts: dict[str, Any]) -> NewPoint:
    """A point as it was sent."""
    states = facts.pop("states", None)
    return NewPoint(**facts, states=tuple(states) if states else None)


def _label(text: str | None) -> tuple[str, str] | None:
    if text is None:
        return None
    name, equals, value = text.partition("=")
    if not equals:
        raise InvalidInput("query.label", "give a label as name=value")
    return name, value
