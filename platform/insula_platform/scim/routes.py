"""`/scim/v2/{tenant}/…`: SCIM 2.0, by scim2-server on the tenant's rows of the registry.

One function serves all of it; the routes are there to be documented, and to say which scope they want.
"""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Path, Query, Request
from fastapi.responses import JSONResponse, Response
from scim2_models import PayloadTooLargeException, SCIMException
from scim2_server.handler import ScimHandler
from scim2_server.requests import ScimRequest
from scim2_server.responses import ScimResponse
from scim2_server.service import ScimService
from sqlalchemy import text

from insula_platform.access import Access, Requires, check_whole_tenant
from insula_platform.scim.errors import MEDIA_TYPE
from insula_platform.scim.resources import PROVIDER
from insula_platform.scim.storage import TenantStorage
from insula_platform.state import CurrentPlatform, Platform

MAX_BODY = 1024 * 1024
"""Bytes of a request; a group of ten thousand members fits."""

_SERVICE = ScimService(PROVIDER)
_LOCK = text("SELECT pg_advisory_xact_lock(hashtextextended(:tenant, 0))")
_PASSED_ON = ("Content-Type", "If-Match", "If-None-Match")

_ERRORS: dict[int | str, dict[str, Any]] = {
    status: {
        "description": said,
        "content": {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/ScimError"}}},
    }
    for status, said in {
        400: "Bad Request",
        401: "Unauthorized",
        403: "Forbidden",
        404: "Not Found",
        409: "Conflict",
        412: "Precondition Failed",
        413: "Content Too Large",
        415: "Unsupported Media Type",
        429: "Too Many Requests",
        503: "Service Unavailable",
    }.items()
}

router = APIRouter(prefix="/scim/v2/{tenant}", tags=["SCIM"], responses=_ERRORS)


async def _body(request: Request) -> bytes:
    body = bytearray()
    async for piece in request.stream():
        if len(body) <= MAX_BODY:  # the rest is read and dropped: whoever sends it shall hear the answer
            body += piece
    return bytes(body)


def _access(access: Annotated[Access, Requires("scim:write")]) -> Access:
    check_whole_tenant(access)
    return access


Provisioner = Annotated[Access, Depends(_access)]
Body = Annotated[bytes, Depends(_body)]


def _user(user_id: Annotated[str, Path(description="The user's id.", max_length=100)]) -> None:
    """It is read from the path itself, as all that follows; this documents it."""


def _group(group_id: Annotated[str, Path(description="The group's id.", max_length=100)]) -> None:
    """See `_user`."""


def _resource_type(
    resource_type: Annotated[str, Path(description="Its name: `User` or `Group`.", max_length=200)],
) -> None:
    """See `_user`."""


def _schema(schema: Annotated[str, Path(description="The schema's URN.", max_length=200)]) -> None:
    """See `_user`."""


def _attributes(
    attributes: Annotated[str | None, Query(description="Only these, comma-separated.")] = None,
    excludedAttributes: Annotated[str | None, Query(description="All but these.")] = None,  # noqa: N803 - RFC 7644
) -> None:
    """See `_user`."""


def _search(
    filter: Annotated[  # noqa: A002 - the parameter's name in RFC 7644
        str | None, Query(description='Such as `userName eq "ada@acme.example"`.', max_length=2000)
    ] = None,
    startIndex: Annotated[str | None, Query(description="Number of the first one, from 1.")] = None,  # noqa: N803 - RFC 7644
    count: Annotated[str | None, Query(description="How many at most.")] = None,
) -> None:
    """See `_user`."""


A_USER = [Depends(_user)]
A_GROUP = [Depends(_group)]
ATTRIBUTES = [Depends(_attributes)]
SEARCH = [Depends(_search), *ATTRIBUTES]


@router.get("/ServiceProviderConfig")
def get_service_provider_config(access: Provisioner, platform: CurrentPlatform, request: Request) -> Response:
    """What of SCIM there is."""
    return _serve(platform, access, request)


@router.get("/ResourceTypes")
def get_resource_types(access: Provisioner, platform: CurrentPlatform, request: Request) -> Response:
    """The types of resources: users and groups."""
    return _serve(platform, access, request)


@router.get("/ResourceTypes/{resource_type}", dependencies=[Depends(_resource_type)])
def get_resource_type(access: Provisioner, platform: CurrentPlatform, request: Request) -> Response:
    """One of them."""
    return _serve(platform, access, request)


@router.get("/Schemas")
def get_schemas(access: Provisioner, platform: CurrentPlatform, request: Request) -> Response:
    """The attributes that are kept."""
    return _serve(platform, access, request)


@router.get("/Schemas/{schema}", dependencies=[Depends(_schema)])
def get_schema(access: Provisioner, platform: CurrentPlatform, request: Request) -> Response:
    """Those of one type."""
    return _serve(platform, access, request)


@router.post("/.search")
def search_all(access: Provisioner, platform: CurrentPlatform, request: Request, body: Body) -> Response:
    """People and groups in one list, asked by a body."""
    return _serve(platform, access, request, body)


@router.get("/Users", dependencies=SEARCH)
def get_users(access: Provisioner, platform: CurrentPlatform, request: Request) -> Response:
    """The tenant's people, members that came in another way among them."""
    return _serve(platform, access, request)


@router.post("/Users/.search")
def search_users(access: Provisioner, platform: CurrentPlatform, request: Request, body: Body) -> Response:
    """The same list, asked by a body: what is looked for stays out of logs."""
    return _serve(platform, access, request, body)


@router.post("/Users", status_code=201)
def post_user(access: Provisioner, platform: CurrentPlatform, request: Request, body: Body) -> Response:
    """Bring somebody in. Their address must be in a domain that the tenant has verified."""
    return _serve(platform, access, request, body)


@router.get("/Users/{user_id}", dependencies=A_USER + ATTRIBUTES)
def get_user(access: Provisioner, platform: CurrentPlatform, request: Request) -> Response:
    """One person."""
    return _serve(platform, access, request)


@router.put("/Users/{user_id}", dependencies=A_USER)
def put_user(access: Provisioner, platform: CurrentPlatform, request: Request, body: Body) -> Response:
    """Change all that is known of a person. With `active: false` they are out from the next request on."""
    return _serve(platform, access, request, body)


@router.patch("/Users/{user_id}", dependencies=A_USER)
def patch_user(access: Provisioner, platform: CurrentPlatform, request: Request, body: Body) -> Response:
    """Change some of it, in the same way."""
    return _serve(platform, access, request, body)


@router.delete("/Users/{user_id}", status_code=204, dependencies=A_USER)
def delete_user(access: Provisioner, platform: CurrentPlatform, request: Request) -> Response:
    """Take a person out, and forget what the directory said of them."""
    return _serve(platform, access, request)


@router.get("/Groups", dependencies=SEARCH)
def get_groups(access: Provisioner, platform: CurrentPlatform, request: Request) -> Response:
    """The groups that the directory has brought."""
    return _serve(platform, access, request)


@router.post("/Groups/.search")
def search_groups(access: Provisioner, platform: CurrentPlatform, request: Request, body: Body) -> Response:
    """The same list, asked by a body: what is looked for stays out of logs."""
    return _serve(platform, access, request, body)


@router.post("/Groups", status_code=201)
def post_group(access: Provisioner, platform: CurrentPlatform, request: Request, body: Body) -> Response:
    """A new group. `roles` of the single sign-on says which role it gives, by its name or external id."""
    return _serve(platform, access, request, body)


@router.get("/Groups/{group_id}", dependencies=A_GROUP + ATTRIBUTES)
def get_group(access: Provisioner, platform: CurrentPlatform, request: Request) -> Response:
    """One group."""
    return _serve(platform, access, request)


@router.put("/Groups/{group_id}", dependencies=A_GROUP)
def put_group(access: Provisioner, platform: CurrentPlatform, request: Request, body: Body) -> Response:
    """Change a group's name and members; their roles follow."""
    return _serve(platform, access, request, body)


@router.patch("/Groups/{group_id}", dependencies=A_GROUP)
def patch_group(access: Provisioner, platform: CurrentPlatform, request: Request, body: Body) -> Response:
    """Change some of it, in the same way."""
    return _serve(platform, access, request, body)


@router.delete("/Groups/{group_id}", status_code=204, dependencies=A_GROUP)
def delete_group(access: Provisioner, platform: CurrentPlatform, request: Request) -> Response:
    """Remove a group; its members stay, with what their other groups give."""
    return _serve(platform, access, request)


def _serve(platform: Platform, access: Access, request: Request, body: bytes = b"") -> Response:
    root = f"/scim/v2/{access.context.slug}"
    asked = ScimRequest(
        method=request.method,
        base_url=f"{platform.settings.public_url}{root}",
        path=request.url.path.removeprefix(root),
        query=dict(request.query_params),
        headers=[(name, request.headers[name]) for name in _PASSED_ON if name in request.headers],
        body=body,
    )
    try:
        if len(body) > MAX_BODY:
            raise PayloadTooLargeException(detail=f"send {MAX_BODY} bytes at most")
        with platform.databases.core() as core:
            if request.method != "GET":
                core.execute(_LOCK, {"tenant": f"scim {access.context.id}"})
            storage = TenantStorage(core, access.context, access.actor)
            said = ScimHandler(_SERVICE, storage).handle(asked)
    except SCIMException as error:  # what was changed until then is not
        said = _SERVICE.error_response(error)
    return _response(said)


def _response(said: ScimResponse) -> Response:
    headers = {name: value for name, value in said.headers.items() if name.lower() != "content-type"}
    headers["Cache-Control"] = "no-store"
    if said.body is None:
        return Response(status_code=said.status, headers=headers)
    return JSONResponse(said.body, said.status, headers, MEDIA_TYPE)
