"""Ask for an export, do it, and see how far it is. Exports are rows of `tenant_jobs`."""

from __future__ import annotations

import json
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple
from uuid import UUID, uuid4

import psycopg
import structlog
from procrastinate import App, SyncPsycopgConnector
from sqlalchemy import text
from sqlalchemy.orm import Session

from insula_platform.bundles.files import LIFETIME, bundle_path
from insula_tenants import audit
from insula_tenants.audit import SYSTEM, Actor
from insula_tenants.context import TenantContext
from insula_tenants.database import Databases
from insula_tenants.errors import InsulaError, NotFound
from insula_tenants.registry import resolve_tenant_by_id

log = structlog.stdlib.get_logger("insula.bundles")

EXPORT_TASK = "export-tenant"
_LOCK = "bundles"
"""One export runs at a time, whichever worker takes it: others have work to do too."""

_REPORT_EVERY = 1.0
"""Seconds between two notes of progress."""

# Jobs are deferred on the caller's connection, so this application never opens one of its own.
_queue = App(connector=SyncPsycopgConnector())

_ACTIVE = text(
    "SELECT id, tenant_id, state, step, done, total, result, error, created_at, updated_at FROM tenant_jobs"
    " WHERE tenant_id = :tenant AND kind = 'export' AND state IN ('waiting', 'running')"
    " ORDER BY created_at DESC LIMIT 1"
)
_BY_ID = text(
    "SELECT id, tenant_id, state, step, done, total, result, error, created_at, updated_at FROM tenant_jobs"
    " WHERE id = :id AND tenant_id = :tenant AND kind = 'export'"
)


class ExportJob(NamedTuple):
    """One export and how far it is."""

    id: UUID
    tenant_id: UUID
    state: str
    """`waiting`, `running`, `done` or `failed`."""
    step: str | None
    done: int
    """Readings that are written, of `total`."""
    total: int | None
    result: dict[str, Any] | None
    """When done: `bytes`, `readings`, `expires_at`."""
    error: str | None
    created_at: datetime
    updated_at: datetime


def request_export(core: Session, context: TenantContext, *, actor: Actor = SYSTEM) -> ExportJob:
    """Have the worker export the tenant. An export that waits or runs already is the answer to this too.

    The row and the queue's job are there together once the caller's transaction is committed.
    """
    # Two requests at a time would find no export each, and ask for two.
    core.execute(text("SELECT 1 FROM tenants WHERE id = :id FOR NO KEY UPDATE"), {"id": context.id})
    found = core.execute(_ACTIVE, {"tenant": context.id}).one_or_none()
    if found is not None:
        return ExportJob(*found)
    job_id = uuid4()
    core.execute(
        text(
            "INSERT INTO tenant_jobs (id, tenant_id, tenant_slug, kind)"
            " VALUES (:id, :tenant, :slug, 'export')"
        ),
        {"id": job_id, "tenant": context.id, "slug": context.slug},
    )
    connection = core.connection().connection.driver_connection
    assert isinstance(connection, psycopg.Connection)  # noqa: S101 - the one driver there is
    _queue.configure_task(
        EXPORT_TASK, lock=_LOCK, queueing_lock=f"export-{context.id}", connection=connection
    ).defer(job=str(job_id))
    audit.record(
        core,
        actor,
        "tenant.export_requested",
        tenant=context.id,
        target=context.slug,
        detail={"export": str(job_id)},
    )
    return find_export(core, context, job_id)


def note_download(core: Session, context: TenantContext, job: ExportJob, *, actor: Actor) -> None:
    """Note who takes a bundle away."""
    audit.record(
        core,
        actor,
        "tenant.export_downloaded",
        tenant=context.id,
        target=context.slug,
        detail={"export": str(job.id)},
    )


def find_export(core: Session, context: TenantContext, job_id: UUID) -> ExportJob:
    """The tenant's export of this id; `NotFound` when it is none of the tenant's."""
    row = core.execute(_BY_ID, {"id": job_id, "tenant": context.id}).one_or_none()
    if row is None:
        raise NotFound(f"there is no export {str(job_id)!r}")
    return ExportJob(*row)


def run_export(databases: Databases, directory: Path, job_id: UUID) -> None:
    """Do an export that was asked for. One that was cut off is done again from its beginning.

    What goes wrong is written into the job, and raised.
    """
    # The API needs none of pyarrow's hundred megabytes.
    from insula_tenants.bundle.export import export_tenant

    with databases.core() as core:
        tenant_id = core.scalar(
            text(
                "UPDATE tenant_jobs SET state = 'running', updated_at = now()"
                " WHERE id = :id AND state IN ('waiting', 'running') RETURNING tenant_id"
            ),
            {"id": job_id},
        )
    if tenant_id is None:
        return
    path = bundle_path(directory, tenant_id, job_id)
    try:
        with databases.core() as core:
            context = resolve_tenant_by_id(core, tenant_id)
        exported = export_tenant(databases, context, path, progress=_Reporter(databases, job_id))
    except Exception as error:
        with databases.core() as core:
            core.execute(
                text(
                    "UPDATE tenant_jobs SET state = 'failed', error = :error, updated_at = now()"
                    " WHERE id = :id"
                ),
                {"id": job_id, "error": _told(error)},
            )
        raise
    result = {
        "bytes": exported.bytes,
        "readings": exported.manifest.readings.rows,
        "expires_at": (datetime.now(UTC) + timedelta(seconds=LIFETIME)).isoformat(),
    }
    with databases.core() as core:
        core.execute(
            text(
                "UPDATE tenant_jobs SET state = 'done', step = NULL, done = :readings, total = :readings,"
                " result = CAST(:result AS jsonb), updated_at = now() WHERE id = :id"
            ),
            {"id": job_id, "readings": result["readings"], "result": json.dumps(result)},
        )
    log.info("exported", tenant=context.slug, readings=result["readings"], bytes=result["bytes"])


def fail_lost_exports(core: Session) -> None:
    """Mark exports as failed that no job of the queue stands for any more, so that one can ask anew."""
    core.execute(
        text(
            "UPDATE tenant_jobs SET state = 'failed', error = 'it was interrupted: ask for another export',"
            " updated_at = now() WHERE kind = 'export' AND state IN ('waiting', 'running') AND NOT EXISTS ("
            "SELECT 1 FROM procrastinate_jobs AS queued WHERE queued.task_name = :task"
            " AND queued.args ->> 'job' = tenant_jobs.id::text AND queued.status IN ('todo', 'doing'))"
        ),
        {"task": EXPORT_TASK},
    )


class _Reporter:
    """Writes progress into the job's row, about once a second."""

    def __init__(self, databases: Databases, job_id: UUID) -> None:
        self._databases = databases
        self._job_id = job_id
        self._due = 0.0

    def __call__(self, step: str, done: int, total: int) -> None:
        if time.monotonic() < self._due:
            return
        self._due = time.monotonic() + _REPORT_EVERY
        with self._databases.core() as core:
            core.execute(
                text(
                    "UPDATE tenant_jobs SET step = :step, done = :done, total = nullif(:total, 0),"
                    " updated_at = now() WHERE id = :id"
                ),
                {"step": step, "done": done, "total": total, "id": self._job_id},
            )


def _told(error: Exception) -> str:
    """What the tenant may read of an error. Others are in the worker's log."""
    if isinstance(error, InsulaError) and error.status != InsulaError.status:
        return error.detail
    return "the export failed on our side: ask for another one, or tell the operator the export's id"
