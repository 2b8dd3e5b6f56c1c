"""`POST …/exports`, `GET …/exports/{id}` and `GET …/exports/{id}/bundle`."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Path, Request, Response
from starlette.responses import FileResponse

from insula_platform.access import Access, Requires
from insula_platform.bundles.files import bundle_path
from insula_platform.bundles.schemas import Export
from insula_platform.bundles.service import ExportJob, find_export, note_download, request_export
from insula_platform.problems import PROBLEM_RESPONSES, problem_responses
from insula_platform.state import CurrentPlatform
from insula_tenants.errors import Conflict, NotFound

router = APIRouter(prefix="/api/v1/tenants/{tenant}/exports", tags=["Exports"], responses=PROBLEM_RESPONSES)

ExportId = Annotated[UUID, Path(description="The export's id.")]


@router.post("", status_code=202)
def post_export(
    access: Annotated[Access, Requires("data:export")], platform: CurrentPlatform, response: Response
) -> Export:
    """Export everything the tenant has into one zip, in the background.

    While an export is under way, asking again answers with that one. `Location` says where to see how far
    it is.
    """
    with platform.databases.core() as core:
        job = request_export(core, access.context, actor=access.actor)
    response.headers["Location"] = _url(access, job)
    return _shown(access, job)


@router.get("/{export_id}")
def get_export(
    access: Annotated[Access, Requires("data:export")], platform: CurrentPlatform, export_id: ExportId
) -> Export:
    """An export and how far it is."""
    with platform.databases.core() as core:
        return _shown(access, find_export(core, access.context, export_id))


@router.get(
    "/{export_id}/bundle",
    response_class=FileResponse,
    responses={
        200: {"description": "The bundle.", "content": {"application/zip": {"schema": {"type": "string"}}}},
        **problem_responses(409),
    },
)
def get_bundle(
    access: Annotated[Access, Requires("data:export")],
    platform: CurrentPlatform,
    export_id: ExportId,
    request: Request,
) -> FileResponse:
    """The bundle itself, seven days long. `Range` resumes a download that broke off.

    It holds the hashes of the devices' passwords: keep it as you would keep a backup.
    """
    with platform.databases.core() as core:
        job = find_export(core, access.context, export_id)
    if job.state != "done":
        raise Conflict(f"the export is {job.state}: its bundle can be fetched when it is done")
    path = bundle_path(platform.settings.bundle_dir, job.tenant_id, job.id)
    if not path.is_file():
        raise NotFound("the bundle has expired: ask for another export")
    if request.headers.get("Range", "bytes=0-").startswith("bytes=0-"):  # not each piece of a download
        with platform.databases.core() as core:
            note_download(core, access.context, job, actor=access.actor)
    return FileResponse(
        path,
        media_type="application/zip",
        filename=f"{access.context.slug}-{job.updated_at:%Y-%m-%d}.zip",
        headers={"Cache-Control": "no-store"},
    )


def _url(access: Access, job: ExportJob) -> str:
    return f"/api/v1/tenants/{access.context.slug}/exports/{job.id}"


def _shown(access: Access, job: ExportJob) -> Export:
    result = job.result or {}
    return Export(
        id=job.id,
        state=job.state,
        step=job.step,
        done=job.done,
        total=job.total,
        created_at=job.created_at,
        updated_at=job.updated_at,
        error=job.error,
        bytes=result.get("bytes"),
        expires_at=result.get("expires_at"),
        bundle=f"{_url(access, job)}/bundle" if job.state == "done" else None,
    )
