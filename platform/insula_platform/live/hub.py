"""Who listens in this process, and how values that the broker brings find them.

Each tenant that somebody listens to has a room: its own queue, its own task, its own listeners. A value finds
its listeners by the tenant that the topic names, and only where the tenant's id inside the message is theirs.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, NamedTuple

import psycopg

from insula_platform.link import BrokerLink
from insula_platform.live.listener import Listener, Wanted
from insula_platform.live.schemas import End, EndReason
from insula_platform.readings.schemas import LatestValue
from insula_tenants.broker.topics import BEGINS, WANTED_EVERY, Committed, decode_values
from insula_tenants.context import TenantContext
from insula_tenants.database import AsyncDatabases
from insula_tenants.errors import InsulaError
from insula_tenants.telemetry.read import read_places

if TYPE_CHECKING:  # it knows the platform, which holds this hub
    from insula_platform.access import Access

log = logging.getLogger("insula.live")

MESSAGES_WAITING = 200
"""Messages of one tenant that wait for their names to be looked up."""


class TooManyStreams(InsulaError):
    """The tenant has as many streams of live values open as it may."""

    status = 429
    type = "too-many-streams"
    headers = {"Retry-After": "30"}  # noqa: RUF012 - the shape that `problems` reads


class Place(NamedTuple):
    """Where a point belongs."""

    device: str
    name: str
    space: int | None


class Room:
    """The listeners of one tenant, and what the broker brings for them."""

    def __init__(self, context: TenantContext, databases: AsyncDatabases) -> None:
        """The task that serves the listeners begins with the first message."""
        self.context = context
        self.listeners: set[Listener] = set()
        self._databases = databases
        self._places: dict[int, Place] = {}
        self._messages: asyncio.Queue[bytes] = asyncio.Queue(MESSAGES_WAITING)
        self._task = asyncio.create_task(self._serve(), name=f"live values of {context.slug}")

    def forget_places(self) -> None:
        """Devices may have moved: look their places up anew."""
        self._places.clear()

    def deliver(self, payload: bytes) -> None:
        """A message has come."""
        try:
            self._messages.put_nowait(payload)
        except asyncio.QueueFull:
            self._lose()

    async def close(self) -> None:
        """Nobody listens any more."""
        self._task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._task

    async def _serve(self) -> None:
        while True:
            payload = await self._messages.get()
            if payload == BEGINS:
                for listener in self.listeners:
                    listener.refresh()
                continue
            try:
                tenant_id, committed = decode_values(payload)
                if tenant_id == self.context.id:
                    await self._hand_out(committed)
            except ValueError as error:
                log.warning("tenant %s: %s", self.context.slug, error)
            except (psycopg.Error, InsulaError) as error:
                log.warning("live values of tenant %s find no names: %s", self.context.slug, _line(error))
                self._lose()

    async def _hand_out(self, committed: list[Committed]) -> None:
        await self._look_up({point for point, _, _ in committed})
        values = [
            (
                place,
                LatestValue(point=point, device=place.device, name=place.name, time=_at(time), value=value),
            )
            for point, time, value in committed
            if (place := self._places.get(point)) is not None
        ]
        for listener in self.listeners:
            wanted = listener.wanted
            listener.give(
                [value for place, value in values if wanted.covers(value.point, place.device, place.space)]
            )

    async def _look_up(self, points: Iterable[int]) -> None:
        unknown = [point for point in points if point not in self._places]
        if not unknown:
            return
        async with self._databases.tenant(self.context) as connection:
            rows = await read_places(connection, unknown)
        for row in rows:
            self._places[row["point"]] = Place(row["device"], row["name"], row["space"])

    def _lose(self) -> None:
        for listener in self.listeners:
            listener.lose()


class LiveHub:
    """All rooms of this process. Used in the event loop; the link's callbacks are brought into it."""

    def __init__(self, databases: AsyncDatabases, link: BrokerLink | None, *, most: int) -> None:
        """`link` is None where no broker is configured; `most` is how many streams a tenant may have."""
        self.configured = link is not None
        self._databases = databases
        self._link = link
        self._most = most
        self._rooms: dict[str, Room] = {}
        self._closing: set[asyncio.Task[None]] = set()
        self._ended = False

    def start(self) -> None:
        """Let the link tell this hub, in the running event loop."""
        if self._link is None:
            return
        loop = asyncio.get_running_loop()

        def values(tenant: str, payload: bytes) -> None:
            with contextlib.suppress(RuntimeError):  # the loop has ended, and with it all listeners
                loop.call_soon_threadsafe(self._deliver, tenant, payload)

        def state(connected: bool) -> None:
            with contextlib.suppress(RuntimeError):
                loop.call_soon_threadsafe(self._tell_available, connected)

        self._link.on_values, self._link.on_state = values, state

    @contextmanager
    def join(self, access: Access, wanted: Wanted) -> Iterator[Listener]:
        """A listener for as long as the block lasts; `TooManyStreams` when the tenant has enough."""
        context = access.context
        room = self._rooms.get(context.slug)
        if room is None or room.context != context:
            room = self._open(context)
        now = time.time()
        # Those whose tokens expired are on their way out; of clients that read nothing, they stay.
        good = sum(one.expires_at > now for one in room.listeners)
        if good >= self._most or len(room.listeners) >= 2 * self._most:
            raise TooManyStreams(
                f"the tenant has {self._most} streams open here (INSULA_LIVE_STREAMS_PER_TENANT): close some"
            )
        available = self._link is not None and self._link.connected
        listener = Listener(access, wanted, available)
        if self._ended:
            listener.finish(_SHUTDOWN)
        room.forget_places()
        room.listeners.add(listener)
        try:
            yield listener
        finally:
            room.listeners.discard(listener)
            if not room.listeners and self._rooms.get(context.slug) is room:
                self._leave(room)

    async def keep(self) -> None:
        """Say again and again what is wanted, and end the streams of those who may not listen any more."""
        from insula_platform.access import lasting

        wanted_at = time.monotonic()
        while True:
            await asyncio.sleep(lasting.LOOK_EVERY)
            if not self._rooms:
                continue
            if time.monotonic() - wanted_at >= WANTED_EVERY:
                self._tell_wanted()
                wanted_at = time.monotonic()
            try:
                await self.end_refused()
            except (psycopg.Error, TimeoutError) as error:
                log.debug("who may listen is not known at the moment: %s", _line(error))

    async def end_refused(self) -> None:
        """End the streams whose tenant is closed or whose grant is over: one round trip for all of them."""
        from insula_platform.access.lasting import ended

        listeners = [listener for room in self._rooms.values() for listener in room.listeners]
        over = await ended(self._databases, {listener.access for listener in listeners})
        for listener in listeners:
            if why := over.get(listener.access):
                reason: EndReason = "tenant_closed" if why.closed else "access_ended"
                listener.finish(End(reason=reason, detail=why.detail))
        for room in self._rooms.values():
            if any(listener.wanted.within is not None for listener in room.listeners):
                room.forget_places()  # a device that moved out of a building is not for those in it any more

    def end_all(self) -> None:
        """The process is to end: every stream says so and ends."""
        self._ended = True
        for room in self._rooms.values():
            for listener in room.listeners:
                listener.finish(_SHUTDOWN)

    async def close(self) -> None:
        """Close all rooms."""
        self.end_all()
        for room in list(self._rooms.values()):
            self._leave(room)
        await asyncio.gather(*self._closing)

    def _open(self, context: TenantContext) -> Room:
        if old := self._rooms.get(context.slug):  # the slug is another tenant's now
            for listener in old.listeners:
                listener.finish(End(reason="tenant_closed", detail=f"tenant {context.slug!r} was erased"))
            self._leave(old)
        room = self._rooms[context.slug] = Room(context, self._databases)
        if self._link is not None:
            self._link.hear(context.slug)
        return room

    def _leave(self, room: Room) -> None:
        del self._rooms[room.context.slug]
        if self._link is not None:
            self._link.leave(room.context.slug)
        task = asyncio.create_task(room.close())
        self._closing.add(task)
        task.add_done_callback(self._closing.discard)

    def _deliver(self, tenant: str, payload: bytes) -> None:
        if room := self._rooms.get(tenant):
            room.deliver(payload)

    def _tell_wanted(self) -> None:
        if self._link is not None and self._link.connected:
            for tenant in self._rooms:
                self._link.want(tenant)

    def _tell_available(self, available: bool) -> None:
        for room in self._rooms.values():
            for listener in room.listeners:
                listener.tell_available(available)


_SHUTDOWN = End(reason="shutdown", detail="this server is stopping: connect again")


def _at(microseconds: int) -> datetime:
    return datetime.fromtimestamp(microseconds / 1e6, UTC)


def _line(error: Exception) -> str:
    return (str(error) or type(error).__name__).splitlines()[0]
