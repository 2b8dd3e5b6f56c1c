"""Procrastinate's application and the tasks of the platform. Jobs live in PostgreSQL, schema `insula`."""

from __future__ import annotations

import asyncio
import logging
import signal
from datetime import timedelta

from procrastinate import App, JobContext, PsycopgConnector
from procrastinate.jobs import Status
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from insula_platform.analytics.forecasts.queue import ANALYSE_TASK
from insula_platform.analytics.forecasts.queue import QUEUE as ANALYTICS_QUEUE
from insula_platform.bundles.service import EXPORT_TASK
from insula_platform.bundles.tasks import add_bundle_tasks
from insula_platform.device_imports.service import IMPORT_TASK
from insula_platform.device_imports.tasks import add_import_tasks
from insula_platform.devices.withdrawals import add_device_tasks
from insula_platform.email_links.tasks import add_link_tasks
from insula_platform.link import BrokerLink
from insula_platform.mail.delivery import add_mail_tasks
from insula_platform.oauth.rotation import retire_superseded
from insula_platform.settings import PlatformSettings
from insula_platform.worker.analyses import AnalysisMetrics, add_analysis_tasks
from insula_platform.worker.broker import DriftMetrics, add_broker_tasks, reconcile_broker
from insula_platform.worker.control import add_control_tasks
from insula_platform.worker.lifecycle import add_lifecycle_tasks
from insula_platform.worker.metrics import StorageMetrics, serve_metrics
from insula_platform.worker.storage import QUEUE, add_storage_tasks
from insula_tenants.broker import broker_access
from insula_tenants.database import Databases
from insula_tenants.errors import NotFound, TenantClosed, TenantUnavailable
from insula_tenants.names import CORE_SCHEMA
from insula_tenants.registry import list_tenants, resolve_tenant

log = logging.getLogger(__name__)

_FAILED_HOURS = 7 * 24
"""Hours after which nobody looks any more why a job has failed."""

_PURGES = (
    "DELETE FROM oauth_codes WHERE expires_at < now() - interval '1 day'",
    "DELETE FROM oauth_refresh_tokens WHERE expires_at < now() - interval '1 day'",
    "DELETE FROM oauth_device_codes WHERE expires_at < now() - interval '1 day'",
    "DELETE FROM revoked_tokens WHERE expires_at < now()",
    # No access token lives for a day: of what ended then, or can bring forth nothing more, none is left.
    "DELETE FROM oauth_grants WHERE revoked_at < now() - interval '1 day'",
    """
    DELETE FROM oauth_grants g WHERE created_at < now() - interval '1 day'
    AND NOT EXISTS (SELECT FROM oauth_codes c WHERE c.grant_id = g.id)
    AND NOT EXISTS (SELECT FROM oauth_device_codes d WHERE d.grant_id = g.id)
    AND NOT EXISTS (SELECT FROM oauth_refresh_tokens t WHERE t.grant_id = g.id)
    """,
    "DELETE FROM signin_sessions WHERE expires_at < now()",
    "DELETE FROM device_certificates WHERE not_after < now() - interval '90 days'",
    "DELETE FROM letters WHERE expires_at < now() - interval '30 days'",
    "DELETE FROM email_links WHERE expires_at < now()",
    "DELETE FROM passkey_challenges WHERE expires_at < now()",
    "DELETE FROM signin_steps WHERE expires_at < now()",
    "DELETE FROM signin_attempts WHERE ends_at < now()",
    # Their devices stay, and so do the entries of the audit log that say by which code each came in. Codes
    # first, as a claim locks them.
    """
    DELETE FROM claim_codes c USING claim_batches b
    WHERE b.id = c.batch_id AND least(b.expires_at, b.revoked_at) < now() - interval '90 days'
    """,
    "DELETE FROM claim_batches WHERE least(expires_at, revoked_at) < now() - interval '90 days'",
    "DELETE FROM invitations WHERE expires_at < now() - interval '30 days'",
)


def make_app(
    settings: PlatformSettings,
    databases: Databases,
    metrics: StorageMetrics | None = None,
    drift: DriftMetrics | None = None,
    link: BrokerLink | None = None,
    analyses: AnalysisMetrics | None = None,
) -> App:
    """The application with its tasks: they work on `databases`, and keep the metrics up to date.

    Devices are spoken to through `link`; without one, nothing that waits for them is brought.
    """
    app = App(
        connector=PsycopgConnector(
            conninfo=settings.require_database_url(),
            kwargs={
                # The queue belongs to the core: its connections are that role from their first statement.
                "options": f"-c role={CORE_SCHEMA} -c search_path={CORE_SCHEMA}",
                "application_name": "insula-worker",
            },
        )
    )

    @app.periodic(cron="7 * * * *")
    @app.task(queueing_lock="purge-expired", name="purge-expired")
    async def purge_expired(timestamp: int) -> None:  # noqa: ARG001 - Procrastinate names the tick
        """Forget codes, tokens, sign-ins and signing keys that expired, and jobs that failed a while ago."""
        await asyncio.to_thread(forget_expired, databases, timedelta(seconds=settings.key_overlap))
        await app.job_manager.delete_old_jobs(_FAILED_HOURS, include_failed=True)

    @app.periodic(cron="* * * * *")
    @app.task(queueing_lock="bury-jobs", name="bury-jobs")
    async def bury_jobs(timestamp: int) -> None:  # noqa: ARG001 - Procrastinate names the tick
        """Take away the jobs of workers that died. The next of its kind, which does it all anew, would wait
        for such a job's lock for ever. Exports, uploads of devices and slices of analyses are for one time
        only: they are handed to another worker.
        """
        for stalled in await app.job_manager.get_stalled_jobs():
            if stalled.task_name not in (EXPORT_TASK, IMPORT_TASK, ANALYSE_TASK):
                log.warning("a worker died in the middle of the job %s", stalled.task_name)
                await app.job_manager.finish_job(stalled, Status.FAILED, delete_job=True)

    @app.periodic(cron="23 3 * * *")
    @app.task(queueing_lock="prepare-storage", name="prepare-storage", pass_context=True)
    async def prepare_storage(_context: JobContext, timestamp: int) -> None:  # noqa: ARG001
        """Make room for the coming weeks before the first reading of a month asks for it."""
        await asyncio.to_thread(prepare_all, databases)

    add_analysis_tasks(app, settings, databases, analyses or AnalysisMetrics())
    add_bundle_tasks(app, settings, databases)
    add_device_tasks(app, settings, databases)
    add_import_tasks(app, settings, databases)
    add_control_tasks(app, databases, link)
    add_lifecycle_tasks(app, settings, databases)
    add_link_tasks(app, settings, databases)
    add_mail_tasks(app, settings, databases)
    add_broker_tasks(app, settings, databases, drift or DriftMetrics())
    add_storage_tasks(app, settings, metrics or StorageMetrics())
    return app


def forget_expired(databases: Databases, key_overlap: timedelta) -> None:
    """Delete what nobody can use any more, and retire signing keys. `key_overlap` is their setting's."""
    with databases.core() as core:
        for statement in _PURGES:
            core.execute(text(statement))
        for kid in retire_superseded(core, key_overlap):
            log.info("the signing key %s is retired: its last token is gone", kid)


def prepare_all(databases: Databases) -> None:
    """Make room in every tenant's storage for the next 35 days."""
    with databases.core() as core:
        slugs = [tenant.slug for tenant in list_tenants(core)]
    for slug in slugs:
        try:
            with databases.core() as core:
                context = resolve_tenant(core, slug)
            with databases.tenant(context) as session:
                session.execute(text("SELECT ensure_readings_range(now(), now() + interval '35 days')"))
        except (NotFound, TenantClosed):
            continue  # it has nothing to store
        except TenantUnavailable as error:
            log.warning("%s", error.detail)
        except DBAPIError as error:
            # It may have been erased since; and one tenant's failure must not stop the others.
            log.warning("no room was made for tenant %s: %s", slug, str(error.orig).splitlines()[0])


def run(settings: PlatformSettings) -> None:
    """Work until SIGTERM or Ctrl-C; the jobs at hand are finished first."""
    databases = Databases(settings.service_urls(), pool_size=4, application_name="insula-worker")
    metrics, drift, analyses = StorageMetrics(), DriftMetrics(), AnalysisMetrics()
    link = BrokerLink(settings) if settings.live_mqtt_password is not None else None
    app = make_app(settings, databases, metrics, drift, link, analyses)
    if settings.metrics_port is not None:
        serve_metrics(settings.metrics_host, settings.metrics_port, metrics, drift, analyses)
    reconcile_broker(databases, broker_access(settings), drift)
    others = sorted({task.queue for task in app.tasks.values()} - {QUEUE, ANALYTICS_QUEUE})

    async def work() -> None:
        loop = asyncio.get_running_loop()
        async with app.open_async(), asyncio.TaskGroup() as group:
            workers = [
                group.create_task(
                    app.run_worker_async(
                        queues=queues,
                        concurrency=concurrency,
                        install_signal_handlers=False,
                        delete_jobs="successful",
                    )
                )
                for queues, concurrency in ((others, 4), ([QUEUE], 2), ([ANALYTICS_QUEUE], 1))
            ]
            for number in (signal.SIGTERM, signal.SIGINT):
                # Cancelled, a worker finishes what it has begun.
                loop.add_signal_handler(number, lambda: [worker.cancel() for worker in workers])

    if link is not None:
        link.start()
    try:
        asyncio.run(work())
    finally:
        if link is not None:
            link.stop()
        databases.close()
