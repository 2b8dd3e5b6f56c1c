"""The way of one database's tenants: a fair queue, a thread that prepares batches, and one that writes them.

The two overlap: while the database works on one batch, the next is decoded. A database that is away or slow
stops its own lane. A tenant that cannot be written is held, and the others of its lane go on.
"""

from __future__ import annotations

import logging
import queue
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial

from sqlalchemy.exc import DBAPIError

from insula_ingest import metrics
from insula_ingest.batch import Builder, Item, Part
from insula_ingest.fair import FairQueue
from insula_ingest.messages import Message
from insula_ingest.outages import RETRY_FROM, RETRY_TO, Stopped, patiently
from insula_ingest.settings import IngestSettings
from insula_ingest.tenants import TenantEntry
from insula_ingest.writer import Outcome, Store

log = logging.getLogger(__name__)

BATCH_BYTES = 16 * 1024 * 1024
"""A batch closes with this much payload, whatever it decodes to."""

_IDLE = 0.2
_EAGER = 0.25
"""Part of a batch's time that is waited while the database has nothing to do: few messages are stored sooner,
and where there are many, batches grow while one is written."""


@dataclass(slots=True)
class _Hold:
    """A tenant's messages that wait until it can be written."""

    reason: str
    items: list[Item] = field(default_factory=list)
    delay: float = RETRY_FROM
    retry_at: float = 0.0


class Lane:
    """One database's way from the queue to the commit."""

    def __init__(
        self,
        name: str,
        settings: IngestSettings,
        builder: Builder,
        store: Store,
        *,
        acknowledge: Callable[[Iterable[Message]], None],
        committed: Callable[[Sequence[Part]], None],
        throttled: Callable[[TenantEntry, int], None],
        is_behind: Callable[[], bool],
        redirect: Callable[[Mapping[TenantEntry, Sequence[Item]]], None],
    ) -> None:
        """`name` is the database's. `committed` is told of parts after their commit and acknowledgement, in
        the writing thread; `redirect` takes messages of tenants that turn out to live elsewhere.
        """
        self.failure: Exception | None = None
        """What ended one of the threads, which nothing should."""
        self._name = name
        self._settings = settings
        self._builder = builder
        self._store = store
        self._acknowledge = acknowledge
        self._committed = committed
        self._throttled = throttled
        self._is_behind = is_behind
        self._redirect = redirect
        self._queue: FairQueue[TenantEntry, Item] = FairQueue(
            lambda item: len(item[1].payload), most_weight=BATCH_BYTES
        )
        self._prepared: queue.Queue[list[tuple[Part, list[Item]]] | None] = queue.Queue(maxsize=1)
        self._held: dict[TenantEntry, _Hold] = {}
        self._told: set[TenantEntry] = set()
        self._is_writing = False
        self._taken = threading.Event()
        """The writing thread has taken what was prepared."""
        self._taken.set()
        self._lock = threading.Lock()
        self._stopping = threading.Event()
        self._threads = [
            threading.Thread(target=self._run, args=(each,), name=f"ingest-{name}", daemon=True)
            for name, each in (("prepare", self._prepare), ("write", self._write))
        ]

    def start(self) -> None:
        """Start both threads."""
        for thread in self._threads:
            thread.start()

    def put(self, groups: Mapping[TenantEntry, Sequence[Item]]) -> None:
        """Take messages in, in order of receipt."""
        self._queue.put(groups)

    @property
    def queued(self) -> int:
        """Messages that wait for a place in a batch."""
        return len(self._queue)

    @property
    def held_tenants(self) -> int:
        """Tenants that are held."""
        return len(self._held)

    def stop(self) -> None:
        """Store what is prepared, and end. What is still in the queue stays with the broker."""
        self._stopping.set()
        self._queue.close()
        for thread in self._threads:
            if thread.is_alive():
                thread.join()

    def _run(self, work: Callable[[], None]) -> None:
        try:
            work()
        except Stopped:
            pass
        except Exception as error:
            log.exception("ingest cannot go on")
            self.failure = error

    # The preparing thread.

    def _prepare(self) -> None:
        try:
            while not self._stopping.is_set():
                # While a prepared batch waits, the next one had better grow: statements cost more than rows.
                if not self._taken.wait(_IDLE):
                    continue
                groups = self._queue.take(
                    most=self._settings.ingest_batch_messages,
                    seconds=self._settings.ingest_batch_seconds * (1.0 if self._is_writing else _EAGER),
                    idle=_IDLE,
                )
                self._builder.tick(is_behind=self._is_behind())
                groups = self._with_held(groups)
                prepared = [part for tenant, items in groups.items() if (part := self._part(tenant, items))]
                if prepared:
                    self._pass_on(prepared)
        finally:
            self._pass_on(None)

    def _pass_on(self, prepared: list[tuple[Part, list[Item]]] | None) -> None:
        """Wait for the writing thread to take it, if it still lives."""
        self._taken.clear()
        while self._threads[1].is_alive():
            try:
                self._prepared.put(prepared, timeout=_IDLE)
            except queue.Full:
                continue
            return

    def _with_held(self, groups: dict[TenantEntry, list[Item]]) -> dict[TenantEntry, list[Item]]:
        """The groups less those of held tenants, and with them those whose time has come to try again."""
        if not self._held:
            return groups
        now = time.monotonic()
        with self._lock:
            for tenant, hold in self._held.items():
                hold.items += groups.pop(tenant, ())
                if hold.items and now >= hold.retry_at:
                    hold.delay = min(hold.delay * 2, RETRY_TO)
                    hold.retry_at = now + hold.delay
                    # In order of receipt: both threads put aside what they had of the tenant.
                    groups[tenant] = sorted(hold.items, key=lambda item: item[1].received_at)
                    hold.items = []
        return groups

    def _part(self, tenant: TenantEntry, items: list[Item]) -> tuple[Part, list[Item]] | None:
        if tenant.unavailable is not None and tenant in self._held:
            patiently(lambda: self._builder.read_again(tenant), self._stopping)
        context = tenant.context
        if tenant.unavailable is not None:
            self._hold(tenant, items, tenant.unavailable)
            return None
        if context is None:
            self._drop(tenant, [message for _, message in items])
            return None
        if context.database != self._name:
            self._redirect({tenant: items})
            return None
        draft = self._builder.admit(tenant, context, items)
        try:
            part = patiently(lambda: self._builder.resolve(draft), self._stopping)
        except DBAPIError as error:  # a role or table is missing: this tenant's trouble alone
            self._hold(tenant, items, str(error.orig).splitlines()[0])
            return None
        self._acknowledge(draft.dropped)
        if draft.throttled:
            metrics.THROTTLED.inc(draft.throttled)
            self._throttled(tenant, draft.throttled)
        if part is None:
            self._drop(tenant, draft.messages)
        return (part, items) if part is not None and part.messages else None

    def _drop(self, tenant: TenantEntry, messages: list[Message]) -> None:
        log.warning("%d messages name tenant %s, which does not exist; dropped", len(messages), tenant.slug)
        metrics.HOMELESS.inc(len(messages))
        self._acknowledge(messages)

    def _hold(self, tenant: TenantEntry, items: list[Item], reason: str) -> None:
        with self._lock:
            hold = self._held.get(tenant)
            if hold is None:
                hold = self._held[tenant] = _Hold(reason, retry_at=time.monotonic() + RETRY_FROM)
            hold.items += items
        if tenant not in self._told:
            self._told.add(tenant)
            log.error("tenant %s is held back: %s; the broker keeps its messages", tenant.slug, reason)

    # The writing thread.

    def _write(self) -> None:
        while (prepared := self._prepared.get()) is not None:
            self._taken.set()
            parts: list[Part] = []
            early: list[tuple[Part, str]] = []
            for part, _ in prepared:
                if self._is_early(part):
                    early.append((part, "earlier messages wait"))
                else:
                    parts.append(part)
            started = time.monotonic()
            self._is_writing = True
            outcome = patiently(partial(self._store.write, parts), self._stopping)
            outcome.held += early
            self._is_writing = not self._prepared.empty()
            metrics.BATCH_SECONDS.observe(time.monotonic() - started)
            metrics.BATCH_MESSAGES.observe(sum(len(part.messages) for part in parts))
            self._finish(outcome, {id(part): items for part, items in prepared})

    def _is_early(self, part: Part) -> bool:
        """Whether its tenant's earlier messages are held, since it was prepared: stored before them, its
        corrections would be undone.
        """
        with self._lock:
            hold = self._held.get(part.tenant)
            first = part.messages[0].received_at
            return hold is not None and any(message.received_at < first for _, message in hold.items)

    def _finish(self, outcome: Outcome, items: dict[int, list[Item]]) -> None:
        for part in outcome.stored + outcome.gone:
            self._builder.settle(part, written=True)
            self._acknowledge(part.messages)
            if self._held:
                self._release(part.tenant)
        for part, reason in outcome.held:
            self._builder.settle(part, written=False)
            waiting = {message.received_at for message in part.messages}
            self._hold(
                part.tenant, [item for item in items[id(part)] if item[1].received_at in waiting], reason
            )
        for part in outcome.stored:
            metrics.MESSAGES.inc(len(part.messages))
            metrics.VALUES.inc(part.values)
            metrics.DEAD_LETTERS.inc(len(part.batch.dead_letters))
        self._committed(outcome.stored)

    def _release(self, tenant: TenantEntry) -> None:
        """The tenant can be written again: its messages go the usual way."""
        with self._lock:
            hold = self._held.get(tenant)
            if hold is not None and not hold.items:
                del self._held[tenant]
                self._told.discard(tenant)
