"""What the worker does for tenants' storage: one fair queue of short jobs, for whoever has something to do.

A planner asks all tenants at once and queues a job for each that is behind. A job works for some seconds;
what is left then waits at the end of the queue, so that a tenant with years to roll up keeps nobody waiting.
"""

from __future__ import annotations

import asyncio
import logging
import random
from contextlib import closing, suppress

from procrastinate import App
from procrastinate.exceptions import AlreadyEnqueued
from sqlalchemy.exc import DBAPIError

from insula_platform.settings import PlatformSettings
from insula_platform.worker.metrics import StorageMetrics
from insula_tenants.administration import Administration
from insula_tenants.errors import InsulaError
from insula_tenants.migrate import first_line
from insula_tenants.quotas import effective_quotas
from insula_tenants.registry import DELETING, find_tenant, resolve_closed_or_open
from insula_tenants.rollups import is_to_be_tended, note_refresh, refresh_tenant, survey, tend_tenant

log = logging.getLogger(__name__)

QUEUE = "storage"
"""Its jobs have workers of their own, so that they never keep creations and erasures waiting."""

_EVERY_HALF_MINUTE = "* * * * * */30"
_JITTER = 15_000
"""Milliseconds over which the jobs of one look are spread: every tenant has work at the turn of a quarter."""

_MOST_AT_ONCE = 500


def add_storage_tasks(app: App, settings: PlatformSettings, metrics: StorageMetrics) -> None:
    """Register the tasks. They act as the tables' owner, so they need an administrator's URL."""
    if settings.database_admin_url is None:
        log.warning("INSULA_DATABASE_ADMIN_URL is not set: this worker rolls nothing up")
        return

    @app.task(queue=QUEUE, name="tend-storage")
    async def tend_storage(tenant: str) -> None:
        """Refresh one tenant's rollups for some seconds."""
        if await asyncio.to_thread(tend_storage_of, settings, tenant):
            await defer(tenant, jitter=0)

    @app.periodic(cron=_EVERY_HALF_MINUTE)
    @app.task(queueing_lock="plan-storage", name="plan-storage")
    async def plan_storage(timestamp: int) -> None:  # noqa: ARG001 - Procrastinate names the tick
        """Look at every tenant, and queue a job for each that has something to do."""
        with closing(Administration(settings.admin_urls())) as admins:
            due = await asyncio.to_thread(survey, admins)
            await asyncio.to_thread(metrics.look, admins)
        for one in due[:_MOST_AT_ONCE]:
            await defer(one.slug, jitter=_JITTER)

    async def defer(tenant: str, *, jitter: int) -> None:
        soon = random.randint(0, jitter)  # noqa: S311 - nothing secret about it
        job = tend_storage.configure(queueing_lock=f"storage:{tenant}", schedule_in={"milliseconds": soon})
        with suppress(AlreadyEnqueued):
            await job.defer_async(tenant=tenant)


def tend_storage_of(settings: PlatformSettings, slug: str) -> bool:
    """Refresh the tenant's rollups and, once an hour, look through its chunks; whether more is to do.

    That hour is told here, not when the job is queued: a tenant with years to roll up always has one that is.

    A tenant that is being deleted is left alone. One that goes away meanwhile, or a database that does, is
    worth a line in the log: the planner finds out what is left to do.
    """
    try:
        with closing(Administration(settings.admin_urls())) as admins:
            with admins.core() as core:
                if find_tenant(core, slug).status == DELETING:
                    return False
                context = resolve_closed_or_open(core, slug)
                tend = is_to_be_tended(core, context.id)
                retention = effective_quotas(core, context.id).retention_days
            more = refresh_tenant(admins, context)
            figures = tend_tenant(admins, context, retention) if tend else None
            with admins.core() as core:
                note_refresh(core, context.id, figures)
            return more
    except DBAPIError as error:
        log.warning("the storage of tenant %s was not tended to its end: %s", slug, first_line(error))
    except InsulaError as error:
        log.warning("the storage of tenant %s was not tended: %s", slug, error.detail)
    return False
