"""`…/device-imports`: many devices by one file."""

from __future__ import annotations

from typing import Annotated, Literal
from uuid import UUID

from anyio import to_thread
from fastapi import APIRouter, Path, Query, Request, Response

from insula_platform.access import Access, Requires, check_whole_tenant
from insula_platform.device_imports import service
from insula_platform.device_imports.credentials import credentials_csv
from insula_platform.device_imports.schemas import DeviceImport, Report
from insula_platform.problems import PROBLEM_RESPONSES, problem_responses
from insula_platform.state import CurrentPlatform, Platform
from insula_tenants.device_imports.table import MOST_BYTES, GivenRow, read_csv, read_json
from insula_tenants.errors import Conflict, InsulaError, InvalidInput

router = APIRouter(
    prefix="/api/v1/tenants/{tenant}/device-imports", tags=["Enrolment"], responses=PROBLEM_RESPONSES
)

Reader = Annotated[Access, Requires("devices:read")]
Writer = Annotated[Access, Requires("devices:write")]
ImportId = Annotated[UUID, Path(description="The upload's id.")]

_CSV = "device,name,type,space,serial\nth-1,Lobby,temperature-sensor,HQ/Main/Ground floor/Lobby,A4C13800\n"
_BODY = {
    "requestBody": {
        "required": True,
        "content": {
            "text/csv": {"schema": {"type": "string"}, "example": _CSV},
            "application/json": {
                "schema": {"type": "array", "items": {"type": "object"}},
                "example": [{"device": "th-1", "name": "Lobby", "type": "temperature-sensor"}],
            },
        },
    }
}


class FileTooLarge(InsulaError):
    """The file is larger than what is taken at a time."""

    status = 413
    type = "file-too-large"


@router.post(
    "",
    status_code=202,
    openapi_extra=_BODY,
    responses={
        200: {"model": Report, "description": "With `dry_run`: what the file would come to."},
        **problem_responses(413),
    },
)
async def post_import(
    request: Request,
    access: Writer,
    platform: CurrentPlatform,
    response: Response,
    dry_run: Annotated[bool, Query(description="Change nothing: say what each row is.")] = False,
    on_error: Annotated[
        Literal["stop", "skip"],
        Query(description="`stop` takes all rows or none, `skip` the good ones alone."),
    ] = "stop",
) -> DeviceImport | Report:
    """Bring in many devices: `text/csv` with a header, or `application/json`, an array of objects.

    Columns are `device` (its id), `name`, `type`, `space` (site/building/storey/space, or an id), `gateway`,
    `serial`, `expected_interval` and `labels` (`a=1;b=2`); the first two must be there. The worker does it,
    `Location` says where to see how far it is, and the logins are fetched there, once.

    The same file again changes nothing: a device that is there and as its row says is `unchanged`, one that
    is otherwise is `bad`.
    """
    check_whole_tenant(access)
    rows = _read(request.headers.get("Content-Type", ""), await _body(request))
    answer = await to_thread.run_sync(_take_in, platform, access, rows, dry_run, on_error)
    if isinstance(answer, Report):
        response.status_code = 200
    else:
        response.headers["Location"] = f"/api/v1/tenants/{access.context.slug}/device-imports/{answer.id}"
    return answer


@router.get("/{import_id}")
def get_import(access: Reader, platform: CurrentPlatform, import_id: ImportId) -> DeviceImport:
    """An upload and how far it is."""
    check_whole_tenant(access)
    with platform.databases.core() as core:
        return _shown(service.find_import(core, access.context, import_id))


@router.post(
    "/{import_id}/credentials",
    response_class=Response,
    responses={
        200: {"description": "The logins.", "content": {"text/csv": {"schema": {"type": "string"}}}},
        **problem_responses(409),
    },
)
def post_credentials(access: Writer, platform: CurrentPlatform, import_id: ImportId) -> Response:
    """Fetch the logins of an upload that is done, as CSV: once, within a day. Nobody keeps them any longer.

    409 where devices sign in with certificates: ask for one at `…/devices/{device}/certificates`.
    """
    check_whole_tenant(access)
    if platform.broker.takes == "certificate":
        raise Conflict("devices sign in with certificates here: ask for one at each device")
    with platform.databases.core() as core:
        passwords = service.take_credentials(
            core, access.context, import_id, platform.settings.secret_key, actor=access.actor
        )
    return Response(
        credentials_csv(platform.settings, access.context.slug, passwords),
        media_type="text/csv; charset=utf-8",
        headers={
            "Cache-Control": "no-store",
            "Content-Disposition": f'attachment; filename="{access.context.slug}-credentials.csv"',
        },
    )


def _take_in(
    platform: Platform,
    access: Access,
    rows: list[GivenRow],
    dry_run: bool,
    on_error: Literal["stop", "skip"],
) -> DeviceImport | Report:
    with platform.databases.core() as core:
        checked = service.check(core, platform.databases, access.context, rows)
        if dry_run:
            return Report.model_validate(service.summary(checked.results))
        upload = service.request_import(
            core,
            access.context,
            checked,
            platform.settings.secret_key,
            on_error=on_error,
            actor=access.actor,
        )
    return _shown(upload)


def _read(content_type: str, body: bytes) -> list[GivenRow]:
    kind = content_type.partition(";")[0].strip().lower()
    if kind == "text/csv":
        return read_csv(body)
    if kind == "application/json":
        return read_json(body)
    raise InvalidInput("Content-Type", "send text/csv or application/json")


async def _body(request: Request) -> bytes:
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > MOST_BYTES:
            raise FileTooLarge(f"a file has at most {MOST_BYTES} bytes: send it in parts")
    return bytes(body)


def _shown(upload: service.Upload) -> DeviceImport:
    rest = {name: value for name, value in upload._asdict().items() if name != "results"}
    return DeviceImport(report=Report.model_validate(service.summary(upload.results)), **rest)
