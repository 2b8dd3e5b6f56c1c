"""What the worker does for bundles: write them, take up what was cut off, throw away what is old."""

from __future__ import annotations

import asyncio
from uuid import UUID

import structlog
from procrastinate import App

from insula_platform.bundles.files import forget_expired
from insula_platform.bundles.service import EXPORT_TASK, fail_lost_exports, run_export
from insula_platform.settings import PlatformSettings
from insula_tenants.database import Databases
from insula_tenants.registry import list_tenants

log = structlog.stdlib.get_logger("insula.bundles")


def add_bundle_tasks(app: App, settings: PlatformSettings, databases: Databases) -> None:
    """Register the tasks."""

    @app.task(name=EXPORT_TASK)
    async def export(job: str) -> None:
        """Write a tenant's bundle."""
        await asyncio.to_thread(run_export, databases, settings.bundle_dir, UUID(job))

    @app.periodic(cron="* * * * *")
    @app.task(queueing_lock="resume-exports", name="resume-exports")
    async def resume(timestamp: int) -> None:  # noqa: ARG001 - Procrastinate names the tick
        """Hand exports whose worker died to another one."""
        for stalled in await app.job_manager.get_stalled_jobs(task_name=EXPORT_TASK):
            log.warning("an export was cut off and is done again", job=stalled.task_kwargs.get("job"))
            await app.job_manager.retry_job(stalled)
        await asyncio.to_thread(_fail_lost, databases)

    @app.periodic(cron="41 * * * *")
    @app.task(queueing_lock="forget-bundles", name="forget-bundles")
    async def forget(timestamp: int) -> None:  # noqa: ARG001 - Procrastinate names the tick
        """Delete expired bundles, and those of tenants that are no more."""
        await asyncio.to_thread(forget_bundles, settings, databases)


def forget_bundles(settings: PlatformSettings, databases: Databases) -> None:
    """Delete expired bundles, and those of tenants that are no more."""
    with databases.core() as core:
        tenants = [tenant.id for tenant in list_tenants(core)]
    forget_expired(settings.bundle_dir, tenants)


def _fail_lost(databases: Databases) -> None:
    with databases.core() as core:
        fail_lost_exports(core)
