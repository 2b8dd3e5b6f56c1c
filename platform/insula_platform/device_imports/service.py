"""Take an upload in, have the worker do it, and hand its logins over once. Uploads are rows of `tenant_jobs`.

The passwords are made when the file is taken in, and wait in the job, sealed: so a worker that takes up what
another has left gives every device the one it was to have.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from typing import Any, Literal, NamedTuple
from uuid import UUID, uuid4

import psycopg
import structlog
from cryptography.fernet import Fernet
from procrastinate import App, SyncPsycopgConnector
from pydantic import SecretStr
from sqlalchemy import select, text
from sqlalchemy.orm import Session

from insula_platform.oauth.keys import derive_key
from insula_tenants import audit
from insula_tenants.audit import Actor
from insula_tenants.broker import BrokerAccess, BrokerUnreachable, new_password
from insula_tenants.context import TenantContext
from insula_tenants.database import Databases
from insula_tenants.device_imports.check import Checked, RowResult, check_rows
from insula_tenants.device_imports.table import GivenRow
from insula_tenants.device_imports.work import Report, admit_all, register_all
from insula_tenants.devices.service import NewDevice
from insula_tenants.errors import Conflict, InsulaError, InvalidInput, NotFound
from insula_tenants.lifecycle import TenantJob
from insula_tenants.quotas import allowance_of, claim_room
from insula_tenants.registry import resolve_tenant_by_id

log = structlog.stdlib.get_logger("insula.devices")

IMPORT_TASK = "import-devices"
KEPT_FOR = timedelta(days=1)
"""How long the logins wait to be fetched."""
KIND = "devices"

OnError = Literal["stop", "skip"]

# Jobs are deferred on the caller's connection, so this application never opens one of its own.
_queue = App(connector=SyncPsycopgConnector())


class Upload(NamedTuple):
    """An upload, and how far it is."""

    id: UUID
    state: str
    step: str | None
    done: int
    total: int
    error: str | None
    created_at: datetime
    updated_at: datetime
    has_credentials: bool
    results: list[RowResult]


def check(core: Session, databases: Databases, context: TenantContext, rows: Sequence[GivenRow]) -> Checked:
    """What the rows come to; `QuotaExceeded` when the tenant has no room for what is new of them."""
    allowance = allowance_of(core, context.id)
    with databases.tenant(context) as session:
        checked = check_rows(session, rows)
        claim_room(session, allowance, devices=len(checked.new), points=checked.points)
    return checked


def request_import(
    core: Session,
    context: TenantContext,
    checked: Checked,
    secret_key: SecretStr,
    *,
    on_error: OnError,
    actor: Actor,
) -> Upload:
    """Have the worker bring in what is new; both are there once the caller's transaction is committed.

    Raises `InvalidInput` when a row is bad and `on_error` is `stop`.
    """
    if on_error == "stop" and (bad := checked.count("bad")):
        first = next(result for result in checked.results if result.outcome == "bad")
        raise InvalidInput(
            "body",
            f"{bad} of {len(checked.results)} rows are bad, the first in line {first.line} ({first.field}: "
            f"{first.reason}): mend them, or leave them out with on_error=skip",
        )
    passwords = {device.slug: new_password() for device in checked.new}
    job = TenantJob(
        id=uuid4(),
        tenant_id=context.id,
        tenant_slug=context.slug,
        kind=KIND,
        state="waiting" if checked.new else "done",
        total=len(checked.new),
        parameters={
            "devices": [_written(device) for device in checked.new],
            "passwords": _seal(secret_key, passwords) if passwords else None,
            "results": checked.results,
            "actor": [actor.kind, actor.id, actor.address, actor.request_id],
        },
    )
    core.add(job)
    core.flush()
    core.refresh(job)
    if checked.new:
        connection = core.connection().connection.driver_connection
        assert isinstance(connection, psycopg.Connection)  # noqa: S101 - the one driver there is
        _queue.configure_task(IMPORT_TASK, lock=f"devices-{context.id}", connection=connection).defer(
            job=str(job.id)
        )
        told = {"devices": len(checked.new)}
        audit.record(
            core, actor, "device_import.requested", tenant=context.id, target=str(job.id), detail=told
        )
    return _upload(job)


def find_import(core: Session, context: TenantContext, job_id: UUID) -> Upload:
    """The tenant's upload of this id; `NotFound` when it is none of the tenant's."""
    return _upload(_job(core, context, job_id))


def take_credentials(
    core: Session, context: TenantContext, job_id: UUID, secret_key: SecretStr, *, actor: Actor
) -> dict[str, str]:
    """The passwords by device, handed over this once: they are forgotten with the caller's transaction.

    Raises `NotFound`, and `Conflict` when the upload is not done, or somebody has had them.
    """
    job = _job(core, context, job_id, lock=True)
    if job.state != "done":
        raise Conflict(f"the upload is {job.state}: its logins can be fetched when it is done")
    sealed = job.parameters.get("passwords")
    if sealed is None:
        raise Conflict("there are no logins to fetch (any more): they are told once, within a day")
    passwords = _unseal(secret_key, sealed)
    job.parameters = job.parameters | {"passwords": None}
    told = {"devices": len(passwords)}
    audit.record(
        core, actor, "device_import.credentials_fetched", tenant=context.id, target=str(job_id), detail=told
    )
    return passwords


def run_import(databases: Databases, broker: BrokerAccess, secret_key: SecretStr, job_id: UUID) -> None:
    """Do an upload that was asked for; one that was cut off goes on where it was.

    What goes wrong is written into the job, and raised.
    """
    with databases.core() as core:
        job = core.get(TenantJob, job_id, with_for_update=True)
        if job is None or job.state not in ("waiting", "running"):
            return
        job.state = "running"
        tenant_id, parameters, step, done = job.tenant_id, job.parameters, job.step, job.done
    assert tenant_id is not None  # noqa: S101 - only a deletion outlives its tenant
    try:
        with databases.core() as core:
            context = resolve_tenant_by_id(core, tenant_id)
        passwords = _unseal(secret_key, parameters["passwords"])
        actor = Actor(*parameters["actor"])
        report = _reporter(databases, job_id)
        if step != "admitting":
            devices = [NewDevice(**device) for device in parameters["devices"]]
            register_all(databases, context, devices, passwords, actor=actor, report=report)
            report("admitting", 0, len(passwords))
            done = 0
        admit_all(databases, broker, context, passwords, done=done, report=report)
    except BrokerUnreachable:
        raise  # the queue tries again, and the job goes on where it is
    except Exception as error:
        _finish(databases, job_id, "failed", error=_told(error))
        raise
    _finish(databases, job_id, "done")
    log.info("devices were imported", tenant=context.slug, devices=len(passwords))


def forget_credentials(core: Session) -> None:
    """Forget the passwords that nobody has fetched in time, and those of uploads that failed."""
    core.execute(
        text(
            "UPDATE tenant_jobs SET parameters = jsonb_set(parameters, '{passwords}', 'null')"
            " WHERE kind = 'devices' AND parameters -> 'passwords' <> 'null'"
            " AND (state = 'failed' OR state = 'done' AND updated_at < :before)"
        ),
        {"before": datetime.now(UTC) - KEPT_FOR},
    )


def fail_lost_imports(core: Session) -> None:
    """Mark uploads as failed that no job of the queue stands for any more."""
    core.execute(
        text(
            "UPDATE tenant_jobs SET state = 'failed', error = 'it was interrupted: upload the file again',"
            " updated_at = now() WHERE kind = 'devices' AND state IN ('waiting', 'running') AND NOT EXISTS ("
            "SELECT 1 FROM procrastinate_jobs AS queued WHERE queued.task_name = :task"
            " AND queued.args ->> 'job' = tenant_jobs.id::text AND queued.status IN ('todo', 'doing'))"
        ),
        {"task": IMPORT_TASK},
    )


def _job(core: Session, context: TenantContext, job_id: UUID, *, lock: bool = False) -> TenantJob:
    query = select(TenantJob).where(
        TenantJob.id == job_id, TenantJob.tenant_id == context.id, TenantJob.kind == KIND
    )
    job = core.scalar(query.with_for_update() if lock else query)
    if job is None:
        raise NotFound(f"there is no upload {str(job_id)!r}")
    return job


def _reporter(databases: Databases, job_id: UUID) -> Report:
    def report(step: str, done: int, total: int) -> None:
        with databases.core() as core:
            job = core.get_one(TenantJob, job_id)
            job.step, job.done, job.total = step, done, total

    return report


def _finish(databases: Databases, job_id: UUID, state: str, *, error: str | None = None) -> None:
    with databases.core() as core:
        job = core.get_one(TenantJob, job_id)
        job.state, job.step, job.error = state, None, error
        if state == "done":
            job.done = job.total or 0


def _upload(job: TenantJob) -> Upload:
    return Upload(
        job.id,
        job.state,
        job.step,
        job.done,
        job.total or 0,
        job.error,
        job.created_at,
        job.updated_at,
        job.state == "done" and job.parameters.get("passwords") is not None,
        [RowResult(*result) for result in job.parameters["results"]],
    )


def _written(device: NewDevice) -> dict[str, Any]:
    # Its points are its type's.
    return {name: value for name, value in asdict(device).items() if name != "points"}


def _seal(secret_key: SecretStr, passwords: dict[str, str]) -> str:
    return _box(secret_key).encrypt(json.dumps(passwords).encode()).decode("ascii")


def _unseal(secret_key: SecretStr, sealed: str) -> dict[str, str]:
    opened: dict[str, str] = json.loads(_box(secret_key).decrypt(sealed))
    return opened


def _box(secret_key: SecretStr) -> Fernet:
    return Fernet(base64.urlsafe_b64encode(derive_key(secret_key, "device imports")))


def _told(error: Exception) -> str:
    """What the tenant may read of an error. Others are in the worker's log."""
    if isinstance(error, InsulaError) and error.status != InsulaError.status:
        return error.detail
    return "the upload failed on our side: send the file again, or tell the operator the upload's id"


def summary(results: Sequence[RowResult]) -> dict[str, Any]:
    """The report on these rows, as the API shows it."""
    counts = {
        outcome: sum(result.outcome == outcome for result in results)
        for outcome in ("new", "unchanged", "bad")
    }
    return {"rows": len(results), **counts, "results": [result._asdict() for result in results]}
