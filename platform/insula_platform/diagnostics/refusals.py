"""Write down what this process refused devices, where it decides in a broker's place."""

from __future__ import annotations

import asyncio
from contextlib import suppress

import structlog
from sqlalchemy.exc import SQLAlchemyError

from insula_tenants.broker.refusals import Refusals
from insula_tenants.database import Databases
from insula_tenants.diagnostics.refusals import write_refusals
from insula_tenants.errors import InsulaError

log = structlog.stdlib.get_logger("insula.diagnostics")

EVERY = 10.0
"""Seconds between two times."""


class RefusalBook:
    """One per process that decides."""

    def __init__(self, databases: Databases, refusals: Refusals) -> None:
        """`refusals` are taken as they come."""
        self._databases = databases
        self._refusals = refusals
        self._stopping = asyncio.Event()

    async def keep(self) -> None:
        """Write down again and again, and once at the end, until `stop`."""
        while not self._stopping.is_set():
            with suppress(TimeoutError):
                await asyncio.wait_for(self._stopping.wait(), EVERY)
            await self.flush()

    def stop(self) -> None:
        """Let `keep` end, soon."""
        self._stopping.set()

    async def flush(self) -> None:
        """Write down what was noted. What meets a database that is away is lost: it is refused again."""
        if noted := self._refusals.take():
            try:
                await asyncio.to_thread(write_refusals, self._databases, noted)
            except (SQLAlchemyError, InsulaError) as error:
                log.warning("refusals are not written down", error=str(error).splitlines()[0])
