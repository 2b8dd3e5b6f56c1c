"""`…/building-model/brick` and `…/building-model/haystack`: a building model as a file."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Annotated, Any

from anyio import CapacityLimiter, to_thread
from fastapi import APIRouter, Query, Request
from starlette.requests import ClientDisconnect
from starlette.responses import Response

from insula_platform.access import Access, Requires, check_whole_tenant
from insula_platform.backfill.errors import Stalled, TooManyUploads, UnknownFormat
from insula_platform.brick.schemas import ModelImport
from insula_platform.problems import PROBLEM_RESPONSES, problem_responses, problems_of
from insula_platform.state import CurrentPlatform, Platform
from insula_tenants.errors import InvalidInput

if TYPE_CHECKING:
    from insula_tenants.brick.files import GraphFormat

router = APIRouter(
    prefix="/api/v1/tenants/{tenant}/building-model", tags=["Building model"], responses=PROBLEM_RESPONSES
)

Reader = Annotated[Access, Requires("devices:read")]
Writer = Annotated[Access, Requires("devices:write")]
DryRun = Annotated[bool, Query(description="Change nothing: say what would become of the file.")]

LONGEST_UPLOAD = 120.0
"""Seconds in which a file arrives: until then it keeps a place that others wait for."""

_TURTLE, _JSON_LD = "text/turtle", "application/ld+json"
_FORMS = {_TURTLE: "turtle", _JSON_LD: "json-ld"}
_HAYSTACK_FORMS = {"application/json": "haystack"}

_TURTLE_EXAMPLE = """\
@prefix brick: <https://brickschema.org/schema/Brick#> .
@prefix : <https://example.com/forum#> .
:forum a brick:Building .
:ground a brick:Storey ; brick:isPartOf :forum .
:hall a brick:Lobby ; brick:isPartOf :ground .
"""
_JSON_LD_EXAMPLE = {
    "@context": {"brick": "https://brickschema.org/schema/Brick#"},
    "@id": "https://example.com/forum#forum",
    "@type": "brick:Building",
}
_GRAPHS: dict[str, Any] = {
    _TURTLE: {"schema": {"type": "string"}, "example": _TURTLE_EXAMPLE},
    _JSON_LD: {
        "schema": {"type": "object", "description": "Its contexts stand in it: none is fetched."},
        "example": _JSON_LD_EXAMPLE,
    },
}
_GRID: dict[str, Any] = {
    "application/json": {
        "schema": {"type": "object", "description": "A grid in Haystack 4's JSON, or in version 3's."},
        "example": {
            "_kind": "grid",
            "meta": {"ver": "3.0"},
            "cols": [{"name": "id"}, {"name": "dis"}, {"name": "site"}],
            "rows": [{"id": {"_kind": "ref", "val": "forum"}, "dis": "Forum", "site": {"_kind": "marker"}}],
        },
    }
}


@router.get(
    "/brick",
    response_class=Response,
    responses={200: {"description": "The model.", "content": _GRAPHS}},
)
def get_brick(
    access: Reader,
    platform: CurrentPlatform,
    request: Request,
    building: Annotated[int | None, Query(description="Only what is this building's.", ge=1)] = None,
) -> Response:
    """The building model as a Brick graph: Turtle, or JSON-LD where `Accept` asks for it.

    Points of devices are in it with `ref:hasTimeseriesId "device/point"`. The file read again gives the same
    model, here and at another tenant.
    """
    from insula_platform.brick.service import export_model

    check_whole_tenant(access)
    form: GraphFormat = "json-ld" if _JSON_LD in request.headers.get("Accept", "") else "turtle"
    suffix, media_type = ("jsonld", _JSON_LD) if form == "json-ld" else ("ttl", f"{_TURTLE}; charset=utf-8")
    return Response(
        export_model(platform.databases, access.context, building, form),
        media_type=media_type,
        headers={
            "Content-Disposition": f'attachment; filename="{access.context.slug}.{suffix}"',
            "Vary": "Accept",
        },
    )


@router.post(
    "/brick",
    openapi_extra={"requestBody": {"required": True, "content": _GRAPHS}},
    responses=problem_responses(408, 409, 413) | problems_of(UnknownFormat, TooManyUploads),
)
async def post_brick(
    access: Writer, platform: CurrentPlatform, request: Request, dry_run: DryRun = False
) -> ModelImport:
    """Take in a building model: `text/turtle` or `application/ld+json`, of Brick 1.0 to 1.5.

    What the tenant has is changed where the file says otherwise, never removed; the same file again changes
    nothing, so no `Idempotency-Key` is needed. Classes of earlier releases are mapped to today's. What cannot
    be taken in as the file has it is told in `problems`, thing by thing; the rest is taken all the same.
    """
    return await _take_in(access, platform, request, _FORMS, dry_run=dry_run)


@router.post(
    "/haystack",
    openapi_extra={"requestBody": {"required": True, "content": _GRID}},
    responses=problem_responses(408, 409, 413) | problems_of(UnknownFormat, TooManyUploads),
)
async def post_haystack(
    access: Writer, platform: CurrentPlatform, request: Request, dry_run: DryRun = False
) -> ModelImport:
    """Take in a building model of Project Haystack: a grid of sites, spaces, equipment and points as JSON.

    Markers become classes of Brick, units those that points have here. It answers as an import of Brick does,
    and the same grid again changes nothing.
    """
    return await _take_in(access, platform, request, _HAYSTACK_FORMS, dry_run=dry_run)


async def _take_in(
    access: Access, platform: Platform, request: Request, forms: dict[str, Any], *, dry_run: bool
) -> ModelImport:
    check_whole_tenant(access)
    media_type = request.headers.get("Content-Type", "").partition(";")[0].strip().lower()
    form = forms.get(media_type)
    if form is None:
        raise UnknownFormat(f"{media_type or 'no Content-Type'}: send {' or '.join(forms)}")
    if request.headers.get("Content-Encoding", "identity").lower() != "identity":
        raise UnknownFormat("send the body without Content-Encoding")
    with platform.uploads.one_more(access.context.slug):
        content = await _body(request)
        # A thread of its own kind: uploads must not take those of the other requests.
        limiter = CapacityLimiter(1)
        return await to_thread.run_sync(_work, access, platform, content, form, dry_run, limiter=limiter)


def _work(access: Access, platform: Platform, content: bytes, form: Any, dry_run: bool) -> ModelImport:
    from insula_platform.brick.service import import_model
    from insula_tenants.brick.apart import read_apart

    reading = read_apart(content, form)
    imported = import_model(
        platform.databases, access.context, reading, form, dry_run=dry_run, actor=access.actor
    )
    return ModelImport.of(imported, dry_run=dry_run)


async def _body(request: Request) -> bytes:
    from insula_tenants.brick.files import MOST_BYTES, FileTooLarge

    body = bytearray()
    try:
        async with asyncio.timeout(LONGEST_UPLOAD):
            async for chunk in request.stream():
                body += chunk
                if len(body) > MOST_BYTES:
                    raise FileTooLarge(f"a file has at most {MOST_BYTES} bytes: send it in parts")
    except TimeoutError:
        raise Stalled(
            f"the file did not arrive within {LONGEST_UPLOAD:g} s: send faster, or in parts"
        ) from None
    except ClientDisconnect:
        raise Stalled("the client went away") from None  # nobody reads it
    if not body:
        raise InvalidInput("body", "the file is empty")
    return bytes(body)
