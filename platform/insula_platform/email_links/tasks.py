"""What the worker does when a password was forgotten.

The request queues the same job for every address. Only the worker looks whether there is an account, so that
neither the answer nor its time can say.
"""

from __future__ import annotations

import asyncio

import psycopg
import structlog
from procrastinate import App, SyncPsycopgConnector
from sqlalchemy.orm import Session

from insula_platform.email_links import service
from insula_platform.settings import PlatformSettings
from insula_platform.signin.attempts import may_write
from insula_tenants import audit
from insula_tenants.audit import Actor
from insula_tenants.database import Databases

log = structlog.stdlib.get_logger("insula.email_links")

RESET_TASK = "send-reset"

# Jobs are deferred on the caller's connection, so this application never opens one of its own.
_queue = App(connector=SyncPsycopgConnector())


def request_reset(core: Session, email: str, address: str, request_id: str | None) -> None:
    """Have a link sent to the address, if it is an account's, once the caller's transaction is committed."""
    connection = core.connection().connection.driver_connection
    assert isinstance(connection, psycopg.Connection)  # noqa: S101 - the one driver there is
    _queue.configure_task(RESET_TASK, connection=connection).defer(
        email=email, address=address, request_id=request_id
    )


def add_link_tasks(app: App, settings: PlatformSettings, databases: Databases) -> None:
    """Register the task."""

    @app.task(name=RESET_TASK)
    async def send(email: str, address: str, request_id: str | None) -> None:
        """Send the link."""
        await asyncio.to_thread(send_reset_link, settings, databases, email, address, request_id)


def send_reset_link(
    settings: PlatformSettings, databases: Databases, email: str, address: str, request_id: str | None
) -> None:
    """Send a link to the account's address, unless there is none, or it has been sent some already."""
    with databases.core() as core:
        account = service.account_of(core, email)
        if account is None:
            log.info("a reset was asked for an address without account", request_id=request_id)
            return
        if not may_write(core, email):
            log.warning("no more letters to this account for now", account=str(account.id))
            return
        service.send_reset(core, settings.public_url, account)
        audit.record(
            core,
            Actor("system", "sign-in", address, request_id),
            "password.reset_requested",
            tenant=None,
            target=account.email,
        )
