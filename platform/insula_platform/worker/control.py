"""What the worker does for devices: bring what waits, end what is over, write down who fell silent.

Each look takes one short transaction of a tenant, and one for each thing that waits.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from procrastinate import App
from sqlalchemy.exc import SQLAlchemyError

from insula_platform.commands.delivery import send_order
from insula_platform.link import BrokerLink
from insula_platform.twins.delivery import bring_desired
from insula_platform.worker.desired import check_desired
from insula_tenants.commands import orders_waiting, time_out
from insula_tenants.commands.service import tidy_commands
from insula_tenants.context import TenantContext
from insula_tenants.database import Databases
from insula_tenants.errors import InsulaError
from insula_tenants.migrate import first_line
from insula_tenants.presence import note_silence, tidy_changes
from insula_tenants.registry import list_tenants, resolve_tenant
from insula_tenants.twins import unpublished

log = logging.getLogger(__name__)


def add_control_tasks(app: App, databases: Databases, link: BrokerLink | None) -> None:
    """Register the tasks. Without a login at the broker nothing is brought to devices."""
    if link is None:
        log.warning(
            "INSULA_LIVE_MQTT_PASSWORD is not set: this worker brings devices nothing that waits for them"
        )

    @app.periodic(cron="* * * * * */15")
    @app.task(queueing_lock="bring-to-devices", lock="bring-to-devices", name="bring-to-devices")
    async def bring(timestamp: int) -> None:  # noqa: ARG001 - Procrastinate names the tick
        """Bring devices what the API could not, once the broker is there."""
        if link is not None and link.connected:
            await asyncio.to_thread(bring_everywhere, databases, link)

    @app.periodic(cron="* * * * *")
    @app.task(queueing_lock="look-after-devices", lock="look-after-devices", name="look-after-devices")
    async def look(timestamp: int) -> None:  # noqa: ARG001 - Procrastinate names the tick
        """End commands whose time is over, and write down which devices fell silent."""
        await asyncio.to_thread(look_everywhere, databases)

    @app.periodic(cron="37 * * * *")
    @app.task(queueing_lock="check-desired", lock="check-desired", name="check-desired")
    async def check(timestamp: int) -> None:  # noqa: ARG001 - Procrastinate names the tick
        """Compare what the broker keeps with what devices are to be; and forget what is old."""
        await asyncio.to_thread(_everywhere, databases, _tidy)
        if link is not None and link.connected:
            await asyncio.to_thread(check_everywhere, databases, link)


def bring_everywhere(databases: Databases, link: BrokerLink) -> None:
    """Bring all devices what waits for them. It ends early when the broker goes away."""

    def bring(databases: Databases, context: TenantContext) -> None:
        with databases.tenant(context) as session:
            desired, orders = unpublished(session), orders_waiting(session)
        for device in desired:
            bring_desired(databases, link, context, device)
        for order in orders:
            send_order(databases, link, context, order)

    _everywhere(databases, bring, while_=lambda: link.connected)


def look_everywhere(databases: Databases) -> None:
    """End commands whose time is over, and note silence, for all tenants."""
    _everywhere(databases, _look)


def check_everywhere(databases: Databases, link: BrokerLink) -> None:
    """Put right what the broker keeps of desired states, for all tenants."""

    def check(databases: Databases, context: TenantContext) -> None:
        if drift := check_desired(databases, link, context):
            log.warning("%d desired states of tenant %s were put right", drift, context.slug)

    _everywhere(databases, check, while_=lambda: link.connected)


def _look(databases: Databases, context: TenantContext) -> None:
    with databases.tenant(context) as session:
        time_out(session)
        note_silence(session)


def _tidy(databases: Databases, context: TenantContext) -> None:
    with databases.tenant(context) as session:
        tidy_changes(session)
        tidy_commands(session)


def _everywhere(
    databases: Databases,
    work: Callable[[Databases, TenantContext], None],
    *,
    while_: Callable[[], bool] = lambda: True,
) -> None:
    """Work for each open tenant in turn. What goes wrong with one is logged, and the next one comes."""
    with databases.core() as core:
        slugs = [tenant.slug for tenant in list_tenants(core)]
    for slug in slugs:
        if not while_():
            return
        try:
            with databases.core() as core:
                context = resolve_tenant(core, slug)
        except InsulaError:
            continue  # suspended, on its way out, or not at this release's schema: its turn comes
        try:
            work(databases, context)
        except InsulaError as error:
            log.warning("the devices of tenant %s were not looked after: %s", slug, error.detail)
        except SQLAlchemyError as error:
            log.warning("the devices of tenant %s were not looked after: %s", slug, first_line(error))
