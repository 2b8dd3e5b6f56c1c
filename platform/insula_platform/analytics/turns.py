"""Whose turn it is to have a large question answered.

A question reads up to three years of many points and computes for seconds. Its connection is one of its
tenant's share, but what is computed afterwards is not: without turns a tenant that asks often enough would
fill the threads, and the memory, of all.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from weakref import WeakValueDictionary

from insula_tenants.errors import InsulaError

AT_ONCE = 4
"""Questions that a process answers at a time: threads are left for what is small."""
AT_ONCE_OF_A_TENANT = 2
PATIENCE = 10.0
"""Seconds that a question waits for its turn."""


class TooManyQuestions(InsulaError):
    """As many large questions as are answered at a time are under way."""

    status = 429
    type = "too-many-questions"
    headers = {"Retry-After": "5"}  # noqa: RUF012 - the shape that `problems` reads


class Turns:
    """The large questions that this process answers. Used in its event loop."""

    def __init__(self) -> None:
        """Nobody asks yet."""
        self._all = asyncio.Semaphore(AT_ONCE)
        self._of: WeakValueDictionary[str, asyncio.Semaphore] = WeakValueDictionary()
        """By tenant, while it asks."""

    @asynccontextmanager
    async def turn(self, tenant: str) -> AsyncIterator[None]:
        """A block that answers a question of the tenant. Raises `TooManyQuestions` after `PATIENCE`.

        A tenant waits for all with no more questions than it may have answered at once, so those of others
        come in between.
        """
        of = self._of.get(tenant)
        if of is None:
            of = self._of[tenant] = asyncio.Semaphore(AT_ONCE_OF_A_TENANT)
        try:
            async with asyncio.timeout(PATIENCE):
                await of.acquire()
                try:
                    await self._all.acquire()
                except BaseException:
                    of.release()
                    raise
        except TimeoutError:
            raise TooManyQuestions(
                f"{AT_ONCE_OF_A_TENANT} large questions of a tenant are answered at a time: ask this one "
                "again, or ask for less"
            ) from None
        try:
            yield
        finally:
            self._all.release()
            of.release()
