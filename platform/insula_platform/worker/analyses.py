"""What the worker does for analytics: plan each tenant's analyses, and work on their slices.

A planner looks at all tenants once an hour. What it queues is spread over some minutes, and taken by however
many workers there are: see `insula_platform.analytics.forecasts.queue` for how tenants share them. A job that
is lost with its worker is handed to another one within a minute; whatever else goes wrong, the planner
queues anew what the tenant's own tables say is left.
"""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import Iterable
from contextlib import suppress
from datetime import datetime, timedelta
from typing import NamedTuple
from uuid import UUID

from procrastinate import App
from procrastinate.exceptions import AlreadyEnqueued, ConnectorException
from procrastinate.jobs import Job, Status
from prometheus_client import Counter, Histogram
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector
from sqlalchemy.exc import SQLAlchemyError

from insula_platform.analytics.forecasts.queue import ANALYSE_TASK, QUEUE, place_of
from insula_platform.settings import PlatformSettings
from insula_tenants.analytics.analyses.answers import looked_until
from insula_tenants.analytics.analyses.service import (
    abandon_old,
    begin_analysis,
    forget_analyses,
    is_due,
    open_slices,
)
from insula_tenants.analytics.analyses.store import tidy_findings
from insula_tenants.analytics.analyses.work import Worked, work_on
from insula_tenants.context import TenantContext
from insula_tenants.database import AsyncDatabases, Databases
from insula_tenants.errors import InsulaError, NotFound, TenantClosed
from insula_tenants.migrate import first_line
from insula_tenants.registry import list_tenants, resolve_tenant

log = logging.getLogger(__name__)

JITTER = timedelta(minutes=10)
"""Over which the tenants of one look are spread."""
_RETRY_AFTER = timedelta(minutes=1)
_MOST_RETRIES = 5
_GOOD_FOR = 2 * 3600
_READS = 3
"""Connections of a job: one tenant may use two fewer, and one at least."""


class Left(NamedTuple):
    """Slices of a tenant that have something left to do."""

    tenant: str
    analysis: UUID
    numbers: list[int]


class AnalysisMetrics(Collector):
    """`insula_analyses_…`: what this process did, and how old each tenant's last analysis was at a look."""

    def __init__(self) -> None:
        self.seconds = Histogram(
            "insula_analyses_job_seconds",
            "How long a job worked on a slice of an analysis",
            buckets=(0.1, 0.5, 1, 2.5, 5, 10, 20, 40),
            registry=None,
        )
        self.failures = Counter("insula_analyses_job_failures", "Jobs that ended in an error", registry=None)
        self.points = Counter(
            "insula_analyses_points", "Points that were analysed, or could not be", ["outcome"], registry=None
        )
        self._lag: dict[str, float] = {}
        self._looked_at = 0.0

    def look(self, until: dict[str, datetime]) -> None:
        """Take until when each open tenant's readings are analysed."""
        self._looked_at = time.time()
        self._lag = {tenant: self._looked_at - one.timestamp() for tenant, one in until.items()}

    def count(self, worked: Worked) -> None:
        """Count what a job came to."""
        self.points.labels("analysed").inc(worked.done - worked.failed)
        self.points.labels("failed").inc(worked.failed)

    def collect(self) -> Iterable[Metric]:
        """All of them; a tenant that was never analysed has no lag.

        Any worker may be the one that looks the next time: what this one saw is good for two hours.
        """
        for metric in (self.seconds, self.failures, self.points):
            yield from metric.collect()
        lag = GaugeMetricFamily(
            "insula_analyses_lag_seconds",
            "Age of the newest hour of the tenant that is analysed, as the hourly look found it",
            labels=["tenant"],
        )
        if time.time() - self._looked_at < _GOOD_FOR:
            for tenant, seconds in self._lag.items():
                lag.add_metric([tenant], seconds)
        yield lag


def add_analysis_tasks(
    app: App, settings: PlatformSettings, databases: Databases, metrics: AnalysisMetrics
) -> None:
    """Register the tasks."""

    # Procrastinate's own retry would fail where the planner has queued the slice meanwhile, and leave the job
    # in its worker's hands for ever.
    @app.task(name=ANALYSE_TASK, queue=QUEUE)
    async def analyse(tenant: str, analysis: str, number: int, failed: int = 0) -> None:
        """Work on a slice of a tenant's analysis; what is left comes after the others' slices."""
        try:
            with metrics.seconds.time(), metrics.failures.count_exceptions():
                worked = await analyse_slice(settings, databases, tenant, UUID(analysis), number)
        except Exception:
            if failed < _MOST_RETRIES:  # the planner comes by as well
                await queue(app, tenant, UUID(analysis), number, _RETRY_AFTER, failed=failed + 1)
            raise
        metrics.count(worked)
        if worked.more:
            await queue(app, tenant, UUID(analysis), number)

    @app.periodic(cron="11 * * * *")
    @app.task(queueing_lock="plan-analyses", name="plan-analyses")
    async def plan(timestamp: int) -> None:  # noqa: ARG001 - Procrastinate names the tick
        """Begin the analyses that are due, and queue what is left of others."""
        left, until = await asyncio.to_thread(plan_everywhere, databases)
        metrics.look(until)
        for one in left:
            soon = JITTER * random.random()  # noqa: S311 - nothing secret about it
            for number in one.numbers:
                await queue(app, one.tenant, one.analysis, number, soon)

    @app.periodic(cron="* * * * *")
    @app.task(queueing_lock="resume-analyses", name="resume-analyses")
    async def resume(timestamp: int) -> None:  # noqa: ARG001 - Procrastinate names the tick
        """Hand slices whose worker died to another one."""
        for stalled in await app.job_manager.get_stalled_jobs(task_name=ANALYSE_TASK):
            log.warning("a worker died in the middle of an analysis of %s", stalled.task_kwargs.get("tenant"))
            await hand_over(app, stalled)


async def queue(
    app: App, tenant: str, analysis: UUID, number: int, soon: timedelta = timedelta(), *, failed: int = 0
) -> None:
    """Queue a slice, unless it waits already."""
    milliseconds = round(soon / timedelta(milliseconds=1))
    job = app.tasks[ANALYSE_TASK].configure(
        schedule_in={"milliseconds": milliseconds}, **place_of(analysis, number)
    )
    with suppress(AlreadyEnqueued):
        await job.defer_async(tenant=tenant, analysis=str(analysis), number=number, failed=failed)


async def hand_over(app: App, stalled: Job) -> None:
    """Queue a job whose worker died again, unless another one waits for the same slice already."""
    try:
        await app.job_manager.retry_job(stalled)
    except ConnectorException:
        await app.job_manager.finish_job(stalled, Status.FAILED, delete_job=True)


async def analyse_slice(
    settings: PlatformSettings, databases: Databases, tenant: str, analysis: UUID, number: int
) -> Worked:
    """Work on a slice. A tenant that is suspended, or on its way out, is left alone."""
    try:
        context = await asyncio.to_thread(_resolve, databases, tenant)
    except InsulaError:
        return Worked()
    reads = AsyncDatabases(settings.service_urls(), pool_size=_READS, application_name="insula-worker-reads")
    await reads.open()
    try:
        return await work_on(databases, reads, context, analysis, number)
    finally:
        await reads.close()


def plan_everywhere(databases: Databases) -> tuple[list[Left], dict[str, datetime]]:
    """What is left to do of each open tenant, and until when its readings are analysed.

    Analyses that are due are begun, and what is old is forgotten. What goes wrong with one tenant is logged.
    """
    with databases.core() as core:
        slugs = [tenant.slug for tenant in list_tenants(core)]
    left, until = [], {}
    for slug in slugs:
        try:
            context = _resolve(databases, slug)
            with databases.tenant(context) as session:
                abandon_old(session)
                tidy_findings(session)
                forget_analyses(session)
                if is_due(session):
                    begin_analysis(session, "schedule")
                if (slices := open_slices(session)) is not None:
                    left.append(Left(slug, *slices))
                if (seen := looked_until(session)) is not None:
                    until[slug] = seen
        except (NotFound, TenantClosed):
            continue  # suspended, on its way out, or gone
        except InsulaError as error:
            log.warning("no analysis of tenant %s was planned: %s", slug, error.detail)
        except SQLAlchemyError as error:
            log.warning("no analysis of tenant %s was planned: %s", slug, first_line(error))
    return left, until


def _resolve(databases: Databases, tenant: str) -> TenantContext:
    with databases.core() as core:
        return resolve_tenant(core, tenant)
