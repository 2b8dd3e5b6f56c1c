"""From received messages to one batch per tenant: decode, resolve, and put bad records aside."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import NamedTuple

from sqlalchemy.exc import DataError, DBAPIError, ProgrammingError

from insula_ingest.births import Arrival, read_births
from insula_ingest.codecs import Decoded, Reason, Rejected, decode
from insula_ingest.outages import DatabaseAway
from insula_ingest.registry import DeviceEntry, DeviceRegistry
from insula_tenants.context import TenantContext
from insula_tenants.errors import TenantClosed, TenantUnavailable
from insula_tenants.telemetry.write import NewDeadLetter, TenantBatch

log = logging.getLogger(__name__)

_DETAILS_SHOWN = 5


@dataclass(frozen=True, slots=True)
class Message:
    """One MQTT message as the transport received it."""

    topic: str
    payload: bytes
    received_at: int
    """Microseconds since the epoch."""
    mid: int
    """Packet identifier, for the acknowledgement."""
    session: int
    """Which connection it came by: an acknowledgement is good for that connection alone."""

    @property
    def tenant(self) -> str:
        """The tenant that the topic names, empty when the topic is none of ours."""
        levels = self.topic.split("/", 2)
        return levels[1] if len(levels) == 3 and levels[0] == "tenants" else ""


@dataclass(slots=True)
class Batch:
    """What the messages of one batch come to."""

    tenants: dict[str, TenantBatch] = field(default_factory=dict)
    """By tenant slug."""
    homeless: int = 0
    """Messages whose tenant the registry does not have."""
    held: dict[str, str] = field(default_factory=dict)
    """Tenants that cannot be written at the moment, with the reason: their messages stay with the broker."""
    away: set[str] = field(default_factory=set)
    """Tenants whose database is away: held as well, but told of once a database."""

    def is_held(self, message: Message) -> bool:
        """Whether the message could not be stored and must not be acknowledged."""
        return message.tenant in self.held or message.tenant in self.away


class Address(NamedTuple):
    """Who a topic of telemetry is about."""

    tenant: str
    device: str
    """The device that measured."""
    gateway: str | None = None
    """The device that sent it, where another one measured."""


def address_of(topic: str) -> Address | None:
    """What a topic of telemetry names; None when it is no such topic."""
    levels = topic.split("/")
    if levels[0] != "tenants" or levels[2:3] != ["devices"] or levels[-1] != "telemetry":
        return None
    if len(levels) == 5:
        return Address(levels[1], levels[3])
    if len(levels) == 7 and levels[4] == "children":
        return Address(levels[1], levels[5], gateway=levels[3])
    return None


@dataclass(frozen=True, slots=True)
class _Parsed:
    message: Message
    tenant: str
    device: str
    gateway: str | None
    decoded: Decoded


def build_batch(messages: Sequence[Message], registry: DeviceRegistry, *, max_payload_bytes: int) -> Batch:
    """Decode the messages and resolve what they name; asks the registry at most three times a tenant.

    Tenants that cannot be resolved at the moment, or whose database is away, are held.
    """
    parsed = [item for message in messages if (item := _parse(message, max_payload_bytes)) is not None]
    batch = Batch(homeless=len(messages) - len(parsed))
    by_tenant: dict[str, list[_Parsed]] = {}
    for item in parsed:
        by_tenant.setdefault(item.tenant, []).append(item)
    for tenant, items in by_tenant.items():
        try:
            context = registry.tenant(tenant)
            if context is None:
                batch.homeless += len(items)
            elif closed := registry.why_closed(context):
                batch.tenants[tenant] = _closed_batch(context, items, closed)
            elif (part := _tenant_batch_unless_gone(context, items, registry)) is None:
                batch.homeless += len(items)
            else:
                batch.tenants[tenant] = part
        except TenantUnavailable as error:
            batch.held[tenant] = error.detail
        except DatabaseAway:
            batch.away.add(tenant)
        except DBAPIError as error:  # a role or table is missing: this tenant's trouble alone
            batch.held[tenant] = str(error.orig).splitlines()[0]
    return batch


def _parse(message: Message, max_payload_bytes: int) -> _Parsed | None:
    address = address_of(message.topic)
    if address is None:
        return None
    if len(message.payload) > max_payload_bytes:
        decoded = Decoded()
        decoded.reject(
            Reason.TOO_LARGE,
            f"payload: {len(message.payload)} bytes, at most {max_payload_bytes} are taken; send less",
        )
    else:
        decoded = _decode(message)
    return _Parsed(message, *address, decoded)


def _decode(message: Message) -> Decoded:
    try:
        return decode(message.payload, message.received_at)
    except Exception:
        # A codec must not raise for what a device sent. One that does is our fault, and still must not end
        # ingest for everybody: the broker would send the message again after every restart.
        log.exception("the codec failed on a message on %s", message.topic)
        decoded = Decoded()
        decoded.reject(Reason.MALFORMED, "it could not be read; the fault is in the platform's codec")
        return decoded


def _closed_batch(context: TenantContext, items: list[_Parsed], closed: TenantClosed) -> TenantBatch:
    rejected = [Rejected(Reason.SUSPENDED, closed.detail)]
    letters = (_dead_letter(item, rejected) for item in items)
    return TenantBatch(context, dead_letters=[letter for letter in letters if letter is not None])


def _tenant_batch_unless_gone(
    context: TenantContext, items: list[_Parsed], registry: DeviceRegistry
) -> TenantBatch | None:
    try:
        return _tenant_batch(context, items, registry)
    except (ProgrammingError, DataError):
        # No schema, or no role: it was erased since it was last read.
        if registry.is_gone(context):
            return None
        raise


def _tenant_batch(context: TenantContext, items: list[_Parsed], registry: DeviceRegistry) -> TenantBatch:
    batch = TenantBatch(context)
    entries = registry.devices(context, {item.device for item in items})
    admitted: list[tuple[_Parsed, DeviceEntry]] = []
    for item in items:
        entry = entries.get(item.device)
        refused = _refusal(item, entry)
        if refused is None and entry is not None:
            admitted.append((item, entry))
        elif refused is not None and (letter := _dead_letter(item, [refused])):
            batch.dead_letters.append(letter)
    batch.births = read_births(
        context,
        (Arrival(entry, item.decoded, item.message.received_at) for item, entry in admitted),
        registry,
    )
    wanted: dict[int, tuple[DeviceEntry, set[str]]] = {}
    for item, entry in admitted:
        wanted.setdefault(entry.id, (entry, set()))[1].update(value.point for value in item.decoded.values)
    registry.add_points(context, wanted)
    for item, entry in admitted:
        if letter := _dead_letter(item, [*item.decoded.rejected, *_take_values(item, entry, batch)]):
            batch.dead_letters.append(letter)
    return batch


def _refusal(item: _Parsed, entry: DeviceEntry | None) -> Rejected | None:
    """Why nothing of the message is taken, before anything that it names is made."""
    if entry is None:
        return Rejected(Reason.UNKNOWN_DEVICE, f"device {item.device!r} is not registered with this tenant")
    if item.gateway is not None and item.gateway != entry.gateway:
        return Rejected(
            Reason.NOT_ITS_GATEWAY,
            f"device {item.device!r} is no child of {item.gateway!r}; make {item.gateway!r} its gateway",
        )
    return None


def _take_values(item: _Parsed, entry: DeviceEntry, batch: TenantBatch) -> list[Rejected]:
    refused: dict[str, Rejected] = {}
    for point, time, value in item.decoded.values:
        point_id = entry.points.get(point)
        if point_id is None:
            refused[point] = Rejected(
                Reason.TOO_MANY_POINTS,
                f"{point}: the device has {len(entry.points)} points already and may make no more",
            )
        else:
            batch.readings[point_id, item.message.received_at if time is None else time] = value
    return list(refused.values())


def _dead_letter(item: _Parsed, rejected: list[Rejected]) -> NewDeadLetter | None:
    if not rejected:
        return None
    details = "; ".join(each.detail for each in rejected[:_DETAILS_SHOWN])
    if more := max(0, len(rejected) - _DETAILS_SHOWN) + item.decoded.not_kept:
        details += f"; and {more} more"
    return NewDeadLetter(
        received_at=datetime.fromtimestamp(item.message.received_at / 1e6, UTC),
        topic=item.message.topic,
        device=item.device,
        reason=rejected[0].reason.value,
        detail=details,
        payload=item.message.payload,
    )


def dead_letters_of(batch: TenantBatch, messages: Iterable[Message], detail: str) -> TenantBatch:
    """The tenant's messages as dead letters: for a batch that the database refuses for what is in it."""
    letters = [
        NewDeadLetter(
            received_at=datetime.fromtimestamp(message.received_at / 1e6, UTC),
            topic=message.topic,
            device=address.device,
            reason=Reason.NOT_STORED.value,
            detail=detail,
            payload=message.payload,
        )
        for message in messages
        if (address := address_of(message.topic)) is not None and address.tenant == batch.context.slug
    ]
    return TenantBatch(batch.context, dead_letters=letters)
