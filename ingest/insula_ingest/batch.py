"""From a tenant's messages to its part of a batch: let in, decode, resolve, and put bad records aside."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from sqlalchemy.exc import DataError, ProgrammingError

from insula_ingest.births import Arrival, BirthBook, Lessons
from insula_ingest.codecs import Decoded, Reason, Rejected, decode
from insula_ingest.door import Account, Door
from insula_ingest.messages import Message, address_of
from insula_ingest.registry import DeviceEntry, DeviceRegistry
from insula_ingest.tenants import TenantEntry, TenantRegistry
from insula_tenants.context import TenantContext
from insula_tenants.telemetry.write import NewDeadLetter, TenantBatch

log = logging.getLogger(__name__)

_DETAILS_SHOWN = 5
NO_LAG = 2**63
"""More microseconds than any message is behind."""


@dataclass(slots=True, eq=False)
class Route:
    """What a topic stands for. One for each topic, kept as long as the process."""

    tenant: TenantEntry
    device: str
    gateway: str | None = None
    account: Account = field(default_factory=Account)
    heard_at: int = 0
    """Receipt of the last message that was taken, in microseconds; 0 before the first. This and what follows
    is for `health`, which writes it down."""
    lag: int = NO_LAG
    """The least time from what a message names to its receipt, in microseconds."""
    throttled: int = 0
    """Messages over a limit that are not written down."""
    throttled_at: int = 0
    written_at: int = 0
    """`heard_at`, as it was last written down."""


Item = tuple[Route, Message]


@dataclass(slots=True)
class Draft:
    """A tenant's messages, let in and decoded. Nobody was asked for this."""

    tenant: TenantEntry
    context: TenantContext
    decoded: list[tuple[Route, Message, Decoded]] = field(default_factory=list)
    letters: list[NewDeadLetter] = field(default_factory=list)
    messages: list[Message] = field(default_factory=list)
    """To be acknowledged when this is stored."""
    dropped: list[Message] = field(default_factory=list)
    """Over a limit: to be acknowledged at once, and not stored."""
    throttled: int = 0
    has_sparkplug: bool = False
    lessons: Lessons | None = None
    """What its Sparkplug payloads teach, once they were read."""


@dataclass(slots=True)
class Part:
    """What one tenant has in a batch, ready to be written."""

    tenant: TenantEntry
    batch: TenantBatch
    messages: list[Message]
    """To be acknowledged when it is written."""
    values: int = 0
    devices: set[int] = field(default_factory=set)
    """Ids of the devices that sent something that is stored."""
    lessons: Lessons | None = None
    """What is stored of Sparkplug births with it."""


class Builder:
    """Makes parts of messages. One per database; used by one thread."""

    def __init__(
        self,
        tenants: TenantRegistry,
        devices: DeviceRegistry,
        door: Door,
        *,
        max_payload_bytes: int,
        clock: Callable[[], float],
    ) -> None:
        """`clock` is the door's."""
        self._tenants = tenants
        self._devices = devices
        self._door = door
        self._births = BirthBook(devices)
        self._max_payload_bytes = max_payload_bytes
        self._clock = clock

    def tick(self, *, is_behind: bool) -> None:
        """Once a batch: whether ingest has fallen behind (see `Door.tick`)."""
        self._door.tick(self._clock(), is_behind=is_behind)

    def read_again(self, tenant: TenantEntry) -> None:
        """Ask the registry for the tenant anew. Raises `DatabaseAway`."""
        self._tenants.read_again([tenant])

    def admit(self, tenant: TenantEntry, context: TenantContext, items: Sequence[Item]) -> Draft:
        """Ask the door, and decode what it lets in."""
        draft = Draft(tenant, context)
        now = self._clock()
        closed = self._tenants.why_closed(context)
        for route, message in items:
            if over := self._door.message_over(tenant.quotas, route.account, tenant.account, now):
                self._throttle(draft, route, message, over, now)
            elif closed is not None:
                draft.messages.append(message)
                self._letter(draft, route, message, [Rejected(Reason.SUSPENDED, closed.detail)], 0, now)
            # Before it is decoded: what is over the limit must cost the others no time.
            elif over := self._door.values_over(tenant.quotas, route.account, tenant.account, 0, now):
                self._throttle(draft, route, message, over, now)
            else:
                decoded = self._decode(message)
                count = decoded.counted
                self._door.values_over(tenant.quotas, route.account, tenant.account, count, now)
                draft.has_sparkplug |= decoded.metrics is not None
                draft.messages.append(message)
                draft.decoded.append((route, message, decoded))
        return draft

    def resolve(self, draft: Draft) -> Part | None:
        """The draft with ids for names; asks the database for those not known, at most twice, and twice more
        when there are Sparkplug payloads.

        None when the tenant is gone. Raises `DatabaseAway`, and SQLAlchemy's errors about the tenant's
        schema or role; it can be called again then.
        """
        part = Part(draft.tenant, TenantBatch(draft.context), draft.messages)
        if draft.decoded:
            try:
                entries = self._entries(draft)
            except (ProgrammingError, DataError):
                # No schema, or no role: it was erased since it was last read.
                if self._tenants.is_gone(draft.tenant, draft.context):
                    self._devices.forget(draft.context)
                    return None
                raise
            self._take(draft, entries, part)
            if draft.lessons is not None and draft.lessons.new:
                self._births.keep(draft.context, draft.lessons)
                part.lessons, part.batch.births = draft.lessons, draft.lessons.new
        part.batch.dead_letters += draft.letters
        return part

    def settle(self, part: Part, *, written: bool) -> None:
        """The part was written, or its messages come again; the one thing that another thread may ask."""
        if part.lessons is not None:
            # What the database refuses is written as dead letters alone, without its births.
            stored = written and part.batch.births is part.lessons.new
            self._births.settle(part.batch.context, part.lessons, stored=stored)

    def _decode(self, message: Message) -> Decoded:
        if message.size > self._max_payload_bytes:
            decoded = Decoded()
            decoded.reject(
                Reason.TOO_LARGE,
                f"payload: {message.size} bytes, at most {self._max_payload_bytes} are taken; send less",
            )
            return decoded
        try:
            return decode(message.payload, message.received_at)
        except Exception:
            # A codec must not raise for what a device sent. One that does is our fault, and still must not
            # end ingest for everybody: the broker would send the message again after every restart.
            log.exception("the codec failed on a message on %s", message.topic)
            decoded = Decoded()
            decoded.reject(Reason.MALFORMED, "it could not be read; the fault is in the platform's codec")
            return decoded

    def _throttle(self, draft: Draft, route: Route, message: Message, over: str, now: float) -> None:
        draft.throttled += 1
        route.throttled += 1
        route.throttled_at = message.received_at
        if self._door.tells(route.account, now):
            rejected = Rejected(
                Reason.OVER_QUOTA,
                f"more than {over}: this and what follows above that is not stored. Send less often, or "
                "several values in one message, or ask for a larger plan",
            )
            draft.letters.append(_dead_letter(route, message, [rejected], 0))
            draft.messages.append(message)
        else:
            draft.dropped.append(message)

    def _letter(
        self,
        draft: Draft,
        route: Route,
        message: Message,
        rejected: Sequence[Rejected],
        not_kept: int,
        now: float,
    ) -> None:
        if self._door.letter(route.account, draft.tenant.account, now):
            draft.letters.append(_dead_letter(route, message, rejected, not_kept))
        else:
            draft.throttled += 1

    def _entries(self, draft: Draft) -> dict[str, DeviceEntry]:
        """The tenant's devices, with the points that the draft names of those it may speak for."""
        known = self._devices.known(draft.context)
        fresh_since = self._devices.fresh_since()
        unread, new = _unknown(draft, known, fresh_since)
        if unread:
            self._devices.find(draft.context, unread, allowance=draft.tenant.allowance)
        if draft.has_sparkplug and draft.lessons is None:
            draft.lessons = self._births.read(draft.context, _arrivals(draft, known))
        if unread or draft.has_sparkplug:
            _, new = _unknown(draft, known, fresh_since)
        if new:
            self._devices.find(draft.context, new, allowance=draft.tenant.allowance)
        return known

    def _take(self, draft: Draft, entries: dict[str, DeviceEntry], part: Part) -> None:
        now = self._clock()
        allowance = draft.tenant.allowance
        readings, devices = part.batch.readings, part.devices
        for route, message, decoded in draft.decoded:
            entry = entries.get(route.device)
            if entry is None or (route.gateway is not None and route.gateway != entry.gateway):
                self._letter(draft, route, message, [_refusal(route, entry)], 0, now)
                continue
            devices.add(entry.id)
            received_at = route.heard_at = message.received_at
            if decoded.values and (named := decoded.values[-1][1]) is not None:
                route.lag = min(route.lag, received_at - named)
            oldest = allowance.kept_from(received_at)
            points = entry.points
            refused: dict[str, Rejected] = {}
            stored = len(decoded.values)
            for point, given, value in decoded.values:
                point_id = points.get(point)
                time = received_at if given is None else given
                if point_id is None:
                    refused[point] = _no_room_for(point, entry)
                    stored -= 1
                elif time < oldest:
                    refused[point] = _beyond_retention(point, time, oldest)
                    stored -= 1
                else:
                    readings[point_id, time] = value
            part.values += stored
            if decoded.rejected or refused:
                rejected = [*decoded.rejected, *refused.values()]
                self._letter(draft, route, message, rejected, decoded.not_kept, now)


def _unknown(
    draft: Draft, known: dict[str, DeviceEntry], fresh_since: float
) -> tuple[dict[str, set[str]], dict[str, set[str]]]:
    """Devices to read, with no points; and points to make, by device.

    No message makes points of a device that it does not speak for.
    """
    unread: dict[str, set[str]] = {}
    new: dict[str, set[str]] = {}
    for route, _, decoded in draft.decoded:
        entry = known.get(route.device)
        if entry is None or entry.read_at < fresh_since:
            unread[route.device] = set()
        elif route.gateway is None or route.gateway == entry.gateway:
            points = entry.points
            for point, _time, _value in decoded.values:
                if point not in points:
                    new.setdefault(route.device, set()).add(point)
    return unread, new


def _arrivals(draft: Draft, known: dict[str, DeviceEntry]) -> list[Arrival]:
    """The Sparkplug payloads that came from their own device, or its gateway."""
    return [
        Arrival(entry.id, decoded, message.received_at)
        for route, message, decoded in draft.decoded
        if decoded.metrics is not None
        and (entry := known.get(route.device)) is not None
        and route.gateway in (None, entry.gateway)
    ]


def _refusal(route: Route, entry: DeviceEntry | None) -> Rejected:
    if entry is None:
        return Rejected(Reason.UNKNOWN_DEVICE, f"device {route.device!r} is not registered with this tenant")
    return Rejected(
        Reason.NOT_ITS_GATEWAY,
        f"device {route.device!r} is no child of {route.gateway!r}; make {route.gateway!r} its gateway",
    )


def _no_room_for(point: str, entry: DeviceEntry) -> Rejected:
    return Rejected(
        Reason.TOO_MANY_POINTS,
        f"{point}: the device has {len(entry.points)} points already, and it or the tenant may make no more",
    )


def _beyond_retention(point: str, time: int, oldest: int) -> Rejected:
    given, kept = (datetime.fromtimestamp(at / 1e6, UTC) for at in (time, oldest))
    return Rejected(
        Reason.BEYOND_RETENTION,
        f"{point}: {given:%Y-%m-%d %H:%M} is before {kept:%Y-%m-%d %H:%M}, from when on readings are kept",
    )


def _dead_letter(
    route: Route, message: Message, rejected: Sequence[Rejected], not_kept: int
) -> NewDeadLetter:
    details = "; ".join(each.detail for each in rejected[:_DETAILS_SHOWN])
    if more := max(0, len(rejected) - _DETAILS_SHOWN) + not_kept:
        details += f"; and {more} more"
    return NewDeadLetter(
        received_at=datetime.fromtimestamp(message.received_at / 1e6, UTC),
        topic=message.topic,
        device=route.device,
        reason=rejected[0].reason.value,
        detail=details,
        payload=message.payload,
        payload_bytes=message.size,
    )


def dead_letters_of(part: Part, messages: Iterable[Message], detail: str) -> TenantBatch:
    """The messages as dead letters: for a batch that the database refuses for what is in it."""
    letters = [
        NewDeadLetter(
            received_at=datetime.fromtimestamp(message.received_at / 1e6, UTC),
            topic=message.topic,
            device=address.device if (address := address_of(message.topic)) is not None else "",
            reason=Reason.NOT_STORED.value,
            detail=detail,
            payload=message.payload,
            payload_bytes=message.size,
        )
        for message in messages
    ]
    return TenantBatch(part.batch.context, dead_letters=letters)
