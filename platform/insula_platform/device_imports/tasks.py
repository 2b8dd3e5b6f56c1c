"""What the worker does for uploads of devices."""

from __future__ import annotations

import asyncio
from uuid import UUID

import structlog
from procrastinate import App, RetryStrategy

from insula_platform.device_imports.service import (
    IMPORT_TASK,
    fail_lost_imports,
    forget_credentials,
    run_import,
)
from insula_platform.settings import PlatformSettings
from insula_tenants.broker import broker_access
from insula_tenants.database import Databases

log = structlog.stdlib.get_logger("insula.devices")


def add_import_tasks(app: App, settings: PlatformSettings, databases: Databases) -> None:
    """Register the tasks."""
    broker = broker_access(settings)

    @app.task(name=IMPORT_TASK, retry=RetryStrategy(max_attempts=40, wait=15))
    async def import_devices(job: str) -> None:
        """Bring in the devices of an upload; for ten minutes a broker that is away is waited for."""
        await asyncio.to_thread(run_import, databases, broker, settings.secret_key, UUID(job))

    @app.periodic(cron="* * * * *")
    @app.task(queueing_lock="resume-device-imports", name="resume-device-imports")
    async def resume(timestamp: int) -> None:  # noqa: ARG001 - Procrastinate names the tick
        """Hand uploads whose worker died to another one, and forget logins that nobody fetched."""
        for stalled in await app.job_manager.get_stalled_jobs(task_name=IMPORT_TASK):
            log.warning("an upload of devices was cut off and goes on", job=stalled.task_kwargs.get("job"))
            await app.job_manager.retry_job(stalled)
        await asyncio.to_thread(_look_after, databases)


def _look_after(databases: Databases) -> None:
    with databases.core() as core:
        fail_lost_imports(core)
        forget_credentials(core)
