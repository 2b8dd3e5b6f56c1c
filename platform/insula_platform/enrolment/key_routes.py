"""`…/provisioning-keys`: what a fleet carries."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Path, Query, Response

from insula_platform.access import Access, Requires, check_whole_tenant
from insula_platform.enrolment.schemas import MadeProvisioningKey, NewProvisioningKey, ProvisioningKey
from insula_platform.idempotency import IdempotencyKey, Once
from insula_platform.paging import Cursor, Page, decode_moment, encode_cursor
from insula_platform.problems import PROBLEM_RESPONSES
from insula_platform.state import CurrentPlatform
from insula_tenants.enrolment import keys

router = APIRouter(
    prefix="/api/v1/tenants/{tenant}/provisioning-keys", tags=["Enrolment"], responses=PROBLEM_RESPONSES
)

Reader = Annotated[Access, Requires("devices:read")]
Writer = Annotated[Access, Requires("devices:write")]
KeyId = Annotated[UUID, Path(description="The provisioning key's id.")]
Limit = Annotated[int, Query(ge=1, le=1000, description="How many at most.")]


@router.post(
    "",
    status_code=201,
    responses={
        200: {"model": MadeProvisioningKey, "description": "Made by an earlier request with this key"}
    },
)
def post_key(
    access: Writer,
    platform: CurrentPlatform,
    asked: NewProvisioningKey,
    response: Response,
    idempotency_key: IdempotencyKey = None,
) -> MadeProvisioningKey:
    """Make a provisioning key. A device that carries it announces itself at `/api/v1/enrolments`.

    It lets no reading in: a person, or the rule of `approved_serials`, decides on each device.
    """
    check_whole_tenant(access)
    context, secret = access.context, None
    with platform.databases.core() as core:
        once = Once(core, access, "provisioning-keys", idempotency_key, asked.model_dump(mode="json"))
        if once.made is not None:
            response.status_code = 200
            view = keys.find_key(core, context, UUID(once.made["key"]))
        else:
            new = keys.NewKey(
                name=asked.name,
                prefix=asked.prefix,
                lifetime=timedelta(seconds=asked.expires_in),
                most_devices=asked.most_devices,
                device_types=tuple(asked.types),
                space_id=asked.space_id,
                approved_serials=tuple(asked.approved_serials),
            )
            view, secret = keys.make_key(core, platform.databases, context, new, actor=access.actor)
            once.keep({"key": str(view.id)})
    response.headers["Cache-Control"] = "no-store"
    return MadeProvisioningKey(key=ProvisioningKey.model_validate(view), secret=secret)


@router.get("")
def get_keys(
    access: Reader, platform: CurrentPlatform, limit: Limit = 100, cursor: Cursor = None
) -> Page[ProvisioningKey]:
    """The tenant's provisioning keys, oldest first."""
    check_whole_tenant(access)
    after = decode_moment(cursor) if cursor else None
    with platform.databases.core() as core:
        found = keys.list_keys(core, access.context, after=after, limit=limit + 1)
    more = None
    if len(found) > limit:
        more = encode_cursor(found[limit - 1].created_at, found[limit - 1].id)
    return Page(items=[ProvisioningKey.model_validate(key) for key in found[:limit]], next_cursor=more)


@router.delete("/{key}", status_code=204, response_class=Response)
def delete_key(access: Writer, platform: CurrentPlatform, key: KeyId) -> Response:
    """Revoke a provisioning key. Devices that came in with it stay; those that wait cannot fetch a login."""
    check_whole_tenant(access)
    with platform.databases.core() as core:
        keys.revoke_key(core, access.context, key, actor=access.actor)
    return Response(status_code=204)
