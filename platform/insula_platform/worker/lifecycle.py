"""What the worker does for tenants: finish creations, tell the broker, measure, erase what is due."""

from __future__ import annotations

import asyncio
import logging
from contextlib import closing

from procrastinate import App

from insula_platform.bundles.files import Bundles
from insula_platform.operator.receipts import receipt_signer
from insula_platform.settings import PlatformSettings
from insula_tenants.administration import Administration
from insula_tenants.broker import BrokerAccess, BrokerError, broker_access
from insula_tenants.database import Databases
from insula_tenants.lifecycle import align_broker, due_erasures, erase_tenant
from insula_tenants.registry import resume_creations
from insula_tenants.usage.gauges import measure_tenants

log = logging.getLogger(__name__)

_EVERY_MINUTE = "* * * * *"


def add_lifecycle_tasks(app: App, settings: PlatformSettings, databases: Databases) -> None:
    """Register the tasks. Without an administrator's URL the worker makes, measures and erases no tenants."""
    broker = broker_access(settings)

    @app.periodic(cron=_EVERY_MINUTE)
    @app.task(queueing_lock="align-broker", name="align-broker")
    async def align(timestamp: int) -> None:  # noqa: ARG001 - Procrastinate names the tick
        """Close and open logins that the broker did not hear of."""
        await asyncio.to_thread(_align, databases, broker)

    if settings.database_admin_url is None:
        log.warning("INSULA_DATABASE_ADMIN_URL is not set: this worker makes, measures and erases no tenants")
        return

    @app.periodic(cron=_EVERY_MINUTE)
    @app.task(queueing_lock="resume-creations", name="resume-creations")
    async def resume(timestamp: int) -> None:  # noqa: ARG001 - Procrastinate names the tick
        """Finish the creations that were cut off."""
        await asyncio.to_thread(_resume, settings)

    @app.periodic(cron="19 * * * *")
    @app.task(queueing_lock="measure-tenants", lock="measure-tenants", name="measure-tenants")
    async def measure(timestamp: int) -> None:  # noqa: ARG001 - Procrastinate names the tick
        """Measure what tenants have: billing and the quota of storage go by it."""
        await asyncio.to_thread(_measure, settings)

    @app.periodic(cron=_EVERY_MINUTE)
    @app.task(queueing_lock="erase-tenants", lock="erase-tenants", name="erase-tenants")
    async def erase(timestamp: int) -> None:  # noqa: ARG001 - Procrastinate names the tick
        """Erase the tenants whose grace period is over."""
        await asyncio.to_thread(erase_due, settings, databases, broker)


def _align(databases: Databases, broker: BrokerAccess) -> None:
    try:
        align_broker(databases, broker)
    except BrokerError as error:
        log.warning("the broker is not in step with the registry: %s", error.detail)


def _resume(settings: PlatformSettings) -> None:
    with closing(Administration(settings.admin_urls())) as admins:
        for slug in resume_creations(admins):
            log.info("tenant %s, whose creation was cut off, is ready", slug)


def _measure(settings: PlatformSettings) -> None:
    with closing(Administration(settings.admin_urls())) as admins:
        log.info("%s tenants were measured", measure_tenants(admins))


def erase_due(settings: PlatformSettings, databases: Databases, broker: BrokerAccess) -> list[str]:
    """Erase every tenant that is due; their ids. One that fails is logged and tried again the next time."""
    with databases.core() as core:
        due = due_erasures(core)
    erased = []
    places = [Bundles(settings.bundle_dir)]
    with closing(Administration(settings.admin_urls())) as admins:
        for tenant_id in due:
            try:
                erase_tenant(admins, broker, tenant_id, receipt_signer(settings, databases), places)
            except Exception:
                log.exception("tenant %s could not be erased whole", tenant_id)
            else:
                log.info("tenant %s is erased", tenant_id)
                erased.append(str(tenant_id))
    return erased
