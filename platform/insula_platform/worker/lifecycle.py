"""What the worker does for tenants' lives: finish creations, keep the broker in step, erase what is due."""

from __future__ import annotations

import asyncio
import logging
from contextlib import closing

from procrastinate import App

from insula_platform.operator.receipts import receipt_signer
from insula_platform.settings import PlatformSettings
from insula_tenants.administration import Administration
from insula_tenants.broker import BrokerAccess, BrokerError, broker_access
from insula_tenants.database import Databases
from insula_tenants.lifecycle import align_broker, due_erasures, erase_tenant
from insula_tenants.registry import resume_creations

log = logging.getLogger(__name__)

_EVERY_MINUTE = "* * * * *"


def add_lifecycle_tasks(app: App, settings: PlatformSettings, databases: Databases) -> None:
    """Register the tasks. Without an administrator's URL the worker can neither make nor erase tenants."""
    broker = broker_access(settings)

    @app.periodic(cron=_EVERY_MINUTE)
    @app.task(queueing_lock="align-broker", name="align-broker")
    async def align(timestamp: int) -> None:  # noqa: ARG001 - Procrastinate names the tick
        """Close and open logins that the broker did not hear of."""
        await asyncio.to_thread(_align, databases, broker)

    if settings.database_admin_url is None:
        log.warning("INSULA_DATABASE_ADMIN_URL is not set: this worker neither makes nor erases tenants")
        return

    @app.periodic(cron=_EVERY_MINUTE)
    @app.task(queueing_lock="resume-creations", name="resume-creations")
    async def resume(timestamp: int) -> None:  # noqa: ARG001 - Procrastinate names the tick
        """Finish the creations that were cut off."""
        await asyncio.to_thread(_resume, settings)

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


def erase_due(settings: PlatformSettings, databases: Databases, broker: BrokerAccess) -> list[str]:
    """Erase every tenant that is due; their ids. One that fails is logged and tried again the next time."""
    with databases.core() as core:
        due = due_erasures(core)
    erased = []
    with closing(Administration(settings.admin_urls())) as admins:
        for tenant_id in due:
            try:
                erase_tenant(admins, broker, tenant_id, receipt_signer(settings, databases))
            except Exception:
                log.exception("tenant %s could not be erased whole", tenant_id)
            else:
                log.info("tenant %s is erased", tenant_id)
                erased.append(str(tenant_id))
    return erased
