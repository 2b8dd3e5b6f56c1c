"""Count API calls by tenant and day, in memory, and add them to the usage every few seconds."""

from __future__ import annotations

import asyncio
from collections import Counter
from contextlib import suppress
from datetime import UTC, date, datetime
from uuid import UUID

import structlog
from sqlalchemy.exc import SQLAlchemyError

from insula_tenants.database import Databases
from insula_tenants.usage import add_usage

log = structlog.stdlib.get_logger("insula.metering")

FLUSH_EVERY = 10.0
"""Seconds between two additions: what a process that is killed has not counted yet."""


class Meter:
    """One per process; `count` is called in its event loop."""

    def __init__(self, databases: Databases) -> None:
        """`databases` is where usage is kept."""
        self._databases = databases
        self._calls: Counter[tuple[UUID, date]] = Counter()
        self._stopping = asyncio.Event()

    def count(self, tenant_id: UUID) -> None:
        """One call of the tenant, now."""
        self._calls[tenant_id, datetime.now(UTC).date()] += 1

    async def keep(self) -> None:
        """Add what was counted, again and again and once at the end, until `stop`.

        It is not to be cancelled: a thread that is adding would outlive the databases.
        """
        while not self._stopping.is_set():
            with suppress(TimeoutError):
                await asyncio.wait_for(self._stopping.wait(), FLUSH_EVERY)
            await self.flush()

    def stop(self) -> None:
        """Let `keep` end, soon."""
        self._stopping.set()

    async def flush(self) -> None:
        """Add what was counted. When the database is away it is kept for the next time."""
        counted, self._calls = self._calls, Counter()
        if not counted:
            return
        try:
            await asyncio.to_thread(self._add, counted)
        except SQLAlchemyError as error:
            log.warning("API calls are counted, and not added yet", error=str(error).splitlines()[0])
            self._calls.update(counted)

    def _add(self, counted: Counter[tuple[UUID, date]]) -> None:
        with self._databases.core() as core:
            for (tenant_id, day), calls in sorted(counted.items()):
                add_usage(core, tenant_id, day, {"api_calls": calls})
