"""Take logins from the broker when their time is over: what the worker does for devices.

A rotation leaves a job that waits in PostgreSQL for the end of the overlap. A job that a dying worker took
with it, or that the broker was away for, is made up for by a look at every tenant.
"""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime

import psycopg
import structlog
from procrastinate import App, RetryStrategy, SyncPsycopgConnector
from sqlalchemy.orm import Session

from insula_platform.settings import PlatformSettings
from insula_tenants.broker import BrokerAccess, BrokerUnreachable, broker_access
from insula_tenants.context import TenantContext
from insula_tenants.database import Databases
from insula_tenants.devices.rotation import withdraw_ended
from insula_tenants.errors import NotFound, TenantClosed, TenantUnavailable
from insula_tenants.registry import list_tenants, resolve_tenant

log = structlog.stdlib.get_logger("insula.devices")

WITHDRAW_TASK = "withdraw-logins"

# Jobs are deferred on the caller's connection, so this application never opens one of its own.
_queue = App(connector=SyncPsycopgConnector())


def defer_withdrawal(core: Session, context: TenantContext, at: datetime | None = None) -> None:
    """Have the worker take the tenant's ended logins from the broker, `at` an aware time or at once.

    The job is there once the caller's transaction is committed.
    """
    connection = core.connection().connection.driver_connection
    assert isinstance(connection, psycopg.Connection)  # noqa: S101 - the one driver there is
    _queue.configure_task(WITHDRAW_TASK, schedule_at=at or datetime.now(UTC), connection=connection).defer(
        tenant=context.slug
    )


def add_device_tasks(app: App, settings: PlatformSettings, databases: Databases) -> None:
    """Register the tasks."""
    broker = broker_access(settings)

    @app.task(name=WITHDRAW_TASK, retry=RetryStrategy(max_attempts=20, wait=15))
    async def withdraw(tenant: str) -> None:
        """Take a tenant's logins whose time is over."""
        await asyncio.to_thread(withdraw_of, databases, broker, tenant)

    @app.periodic(cron="*/10 * * * *")
    @app.task(queueing_lock="withdraw-all-logins", name="withdraw-all-logins")
    async def withdraw_all(timestamp: int) -> None:  # noqa: ARG001 - Procrastinate names the tick
        """Take every tenant's logins whose time is over, where a job for it was lost."""
        await asyncio.to_thread(withdraw_everywhere, databases, broker)


def withdraw_of(databases: Databases, broker: BrokerAccess, tenant: str) -> None:
    """Take a tenant's logins whose time is over; `BrokerUnreachable` when the broker did not do it."""
    try:
        with databases.core() as core:
            context = resolve_tenant(core, tenant)
    except (NotFound, TenantClosed):
        return  # erased, or shut whole
    if not withdraw_ended(databases, broker, context):
        raise BrokerUnreachable(f"the broker still knows ended logins of tenant {tenant}")


def withdraw_everywhere(databases: Databases, broker: BrokerAccess) -> None:
    """`withdraw_of` for all tenants; one that fails is logged and tried again the next time."""
    with databases.core() as core:
        slugs = [tenant.slug for tenant in list_tenants(core)]
    for slug in slugs:
        try:
            withdraw_of(databases, broker, slug)
        except (BrokerUnreachable, TenantUnavailable) as error:
            log.warning("ended logins stay for now", tenant=slug, reason=error.detail)
