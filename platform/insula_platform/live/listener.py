"""One client that listens: which points it wants, and what waits for it, within bounds."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from insula_platform.live.schemas import End
from insula_platform.readings.schemas import LatestValue
from insula_tenants.context import TenantContext

if TYPE_CHECKING:  # it knows the platform, which holds the hub, which holds listeners
    from insula_platform.access import Access

MOST_WAITING = 10_000
"""Values that wait for a client: some 5 MB. One that is slower than that reads a snapshot instead."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which points: all that fit everything that is said."""

    space: int | None = None
    device: str | None = None
    points: frozenset[int] | None = None
    within: frozenset[int] | None = None
    """The spaces that the client's grant covers; None for the whole tenant."""

    def covers(self, point: int, device: str, space: int | None) -> bool:
        """Whether values of this point are wanted."""
        return (
            (self.space is None or self.space == space)
            and (self.within is None or space in self.within)
            and (self.device is None or self.device == device)
            and (self.points is None or point in self.points)
        )


@dataclass(eq=False)
class Listener:
    """What waits for one client. Used in the event loop alone."""

    access: Access
    wanted: Wanted
    available: bool
    """Whether the broker is there."""
    lost: bool = False
    """Whether values were thrown away: it reads a snapshot next."""
    stale: bool = False
    """Whether its snapshot may miss values: it reads another one next."""
    end: End | None = None
    _waiting: deque[Sequence[LatestValue]] = field(default_factory=deque)
    _count: int = 0
    _news: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def context(self) -> TenantContext:
        """Its tenant."""
        return self.access.context

    @property
    def expires_at(self) -> float:
        """When its token does, in seconds since the epoch."""
        return self.access.expires_at

    def give(self, values: Sequence[LatestValue]) -> None:
        """Values for it, whether it is there to take them or not."""
        if self.lost or not values:
            return
        if self._count + len(values) > MOST_WAITING:
            self.lose()
            return
        self._waiting.append(values)
        self._count += len(values)
        self._news.set()

    def lose(self) -> None:
        """Some values did not arrive, or too many wait: none of them is worth anything without the others."""
        self._waiting.clear()
        self._count, self.lost = 0, True
        self._news.set()

    def refresh(self) -> None:
        """What was stored up to now may not have been given: nobody published it then."""
        self.stale = True
        self._news.set()

    def tell_available(self, available: bool) -> None:
        """The broker is there, or is not."""
        if self.available != available:
            self.available = available
            self._news.set()

    def finish(self, end: End) -> None:
        """It is over; the first reason counts."""
        self.end = self.end or end
        self._news.set()

    def begin(self) -> None:
        """A snapshot follows: whatever is given from here on is as new, or newer."""
        self._waiting.clear()
        self._count, self.lost, self.stale = 0, False, False

    def take(self) -> Sequence[LatestValue]:
        """The values that wait, in order; none when none do."""
        values = [value for part in self._waiting for value in part]
        self._waiting.clear()
        self._count = 0
        self._news.clear()
        return values

    async def news(self, seconds: float) -> None:
        """Wait until something happens; raises `TimeoutError` after `seconds`."""
        async with asyncio.timeout(max(0.0, seconds)):
            await self._news.wait()
