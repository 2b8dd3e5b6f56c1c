"""Sparkplug births on their way to the database: learn what they tell, and read the data that needs it.

What a birth tells counts at once, for what was received after it, and is stored with the batch that brought
it. While that is on its way, this memory is ahead of the database, and is not read anew. A batch that cannot
be stored takes back what it taught: its messages come again, and teach it then.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import NamedTuple
from uuid import UUID

from insula_ingest.codecs import Decoded, Reason
from insula_ingest.codecs.decoded import Metrics, Microseconds
from insula_ingest.codecs.sparkplug import MOST_METRICS, Births, Learned, read_pending
from insula_ingest.registry import STALENESS, DeviceRegistry
from insula_tenants.context import TenantContext
from insula_tenants.telemetry.births import NewBirth, NewMetric


class Arrival(NamedTuple):
    """A Sparkplug payload, and the id of the device whose it is."""

    device_id: int
    decoded: Decoded
    received_at: Microseconds


@dataclass(slots=True)
class Lessons:
    """What the payloads of one tenant's part of a batch have taught."""

    births: dict[int, Births] = field(default_factory=dict)
    """By id of the device, for those that told something new."""
    new: list[NewBirth] = field(default_factory=list)
    """To be stored, in order of receipt."""


@dataclass(slots=True)
class _Known:
    births: Births
    read_at: float
    unwritten: int = 0
    """Parts of batches that taught it something, and are not stored yet."""


class BirthBook:
    """What births have told of all devices of a database.

    Used by the thread that prepares batches; `settle` belongs to the one that writes them.
    """

    def __init__(self, devices: DeviceRegistry, *, clock: Callable[[], float] = time.monotonic) -> None:
        """`devices` is asked for what is not known."""
        self._devices = devices
        self._clock = clock
        self._known: dict[tuple[UUID, int], _Known] = {}
        self._lock = threading.Lock()

    def read(self, context: TenantContext, arrivals: Iterable[Arrival]) -> Lessons:
        """Read what is pending in payloads of one tenant, in order of receipt; what they teach.

        Asks the database at most twice: the second time for devices whose births another process may have
        received. Raises `DatabaseAway`, with nothing changed.
        """
        arrivals = list(arrivals)
        births = self._births(context, {arrival.device_id for arrival in arrivals})
        puzzling = {
            each.device_id
            for each in arrivals
            if each.decoded.metrics and _is_puzzling(each.decoded.metrics, births[each.device_id])
        }
        if puzzling:
            births |= self._births(context, puzzling, anew=True)
        lessons = Lessons()
        for device_id, decoded, received_at in arrivals:
            metrics = decoded.metrics
            if metrics is None:
                continue
            learned = births[device_id].learn(metrics.told, metrics.told_at)
            if learned.changed or learned.forgotten:
                births[device_id] = lessons.births[device_id] = learned.births
                lessons.new.append(_new_birth(device_id, learned))
            for name in learned.without_room:
                decoded.reject(
                    Reason.TOO_MANY_POINTS,
                    f"{name}: the device's births have told {MOST_METRICS} metrics and may tell no more",
                )
            read_pending(decoded, learned.births, received_at)
        return lessons

    def keep(self, context: TenantContext, lessons: Lessons) -> None:
        """The part of the batch goes to be written: what it teaches counts from here on."""
        with self._lock:
            for device_id, births in lessons.births.items():
                known = self._known[context.id, device_id]
                known.births = births
                known.unwritten += 1

    def settle(self, context: TenantContext, lessons: Lessons, *, stored: bool) -> None:
        """The part of the batch was written, or could not be."""
        with self._lock:
            for device_id in lessons.births:
                known = self._known[context.id, device_id]
                known.unwritten -= 1
                if not stored:
                    known.read_at = float("-inf")

    def _births(
        self, context: TenantContext, device_ids: Collection[int], *, anew: bool = False
    ) -> dict[int, Births]:
        fresh_since = self._clock() - STALENESS
        asked = []
        with self._lock:
            for device_id in device_ids:
                known = self._known.get((context.id, device_id))
                if known is None or (known.unwritten == 0 and (anew or known.read_at < fresh_since)):
                    asked.append(device_id)
        if asked:
            read_at = self._clock()
            found = self._devices.read_metrics(context, asked)
            for device_id in asked:
                self._known[context.id, device_id] = _Known(Births(found.get(device_id, ())), read_at)
        return {device_id: self._known[context.id, device_id].births for device_id in device_ids}


def _is_puzzling(metrics: Metrics, births: Births) -> bool:
    """Whether something is pending that neither the device's births nor the payload itself explain."""
    unexplained = [pending for pending in metrics.pending if births.of(pending) is None]
    if not unexplained:
        return False
    told = Births().learn(metrics.told, metrics.told_at).births
    return any(told.of(pending) is None for pending in unexplained)


def _new_birth(device_id: int, learned: Learned) -> NewBirth:
    metrics = [
        NewMetric(name, alias, datatype, datetime.fromtimestamp(since / 1e6, UTC) if since else None)
        for name, alias, datatype, since in learned.changed
    ]
    return NewBirth(device_id, metrics, learned.forgotten)
