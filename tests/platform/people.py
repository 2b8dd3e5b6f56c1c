"""What tests of people need: an account of their own, its letters, a worker's turn."""

from __future__ import annotations

import asyncio
import re
from contextlib import closing
from typing import Any

from sqlalchemy import text

from insula_platform.people import create_account
from insula_platform.worker.app import make_app
from insula_tenants.database import Databases
from tests.platform.conftest import PASSWORD, Live
from tests.servers.mqtt import unique


def someone(live: Live, password: str = PASSWORD) -> str:
    """The address of a new account."""
    email = f"{unique('someone')}@example.com"
    with live.deployment.databases.core() as core:
        create_account(core, email, "Somebody", password)
    return email


def letters_to(live: Live, email: str) -> list[Any]:
    """The letters that wait for this address, oldest first: `subject` and `body`."""
    with live.deployment.databases.core() as core:
        found = core.execute(
            text("SELECT subject, body FROM letters WHERE recipient = :email ORDER BY created_at"),
            {"email": email},
        )
        return list(found)


def link_in(letter: Any) -> tuple[str, str]:
    """Path and token of the letter's link."""
    found = re.search(r"https?://[^/\s]+(/[a-z/-]+)#(\S+)", letter.body)
    assert found, letter.body
    return found[1], found[2]


def work(live: Live) -> None:
    """Do what the worker has to do by now."""

    async def once() -> None:
        with closing(Databases({"main": live.deployment.service_url}, pool_size=2)) as databases:
            app = make_app(live.settings, databases)
            async with app.open_async():
                await app.run_worker_async(
                    queues=["default"], wait=False, install_signal_handlers=False, delete_jobs="successful"
                )

    asyncio.run(once())


def audited(live: Live, email: str) -> list[str]:
    """What the audit log has of this account, oldest first."""
    with live.deployment.databases.core() as core:
        found = core.scalars(
            text("SELECT action FROM audit_log WHERE target = :email ORDER BY id"), {"email": email}
        )
        return list(found)


def forgive(live: Live) -> None:
    """Forget every attempt: what one test does wrong does not slow down the next."""
    live.platform.throttle._failures.clear()
    with live.deployment.databases.core() as core:
        core.execute(text("DELETE FROM signin_attempts"))
