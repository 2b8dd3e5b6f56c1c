"""The way of reported states, statuses and results: one thread, apart from telemetry.

They are few, and their order counts, so each tenant's are stored in order of receipt. A message is
acknowledged when it is stored. A tenant that cannot be written is held, and the others go on. None of this is
in the way of telemetry: the network thread puts a message into a queue, and that is all.
"""

from __future__ import annotations

import logging
import queue
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from insula_ingest import metrics
from insula_ingest.codecs import Reason
from insula_ingest.door import BURST, Account, Door
from insula_ingest.messages import Message
from insula_ingest.outages import RETRY_FROM, RETRY_TO, DatabaseAway, Outages, Stopped, patiently
from insula_ingest.settings import IngestSettings
from insula_ingest.tenants import TenantEntry, TenantRegistry
from insula_ingest.twins.arrivals import Sender, Unfit, read, sender_of
from insula_ingest.twins.store import Arrival, Refused, letter_of, store, store_letters
from insula_tenants.context import TenantContext
from insula_tenants.database import Databases
from insula_tenants.telemetry.trimming import DeadLetterBounds, Trimming

log = logging.getLogger(__name__)

FILTERS = (
    "tenants/+/devices/+/attributes",
    "tenants/+/devices/+/status",
    "tenants/+/devices/+/commands/+/result",
)
MOST_AT_ONCE = 500
"""Messages in one round."""

_IDLE = 0.2
_MOST_ACCOUNTS = 200_000
_STATUSES_A_SECOND = 1.0


@dataclass(slots=True)
class _Hold:
    """A tenant's messages that wait until it can be written."""

    messages: list[tuple[Sender, Message]] = field(default_factory=list)
    delay: float = RETRY_FROM
    retry_at: float = 0.0


class TwinPath:
    """Takes messages from the network thread, and stores them in its own."""

    def __init__(
        self,
        settings: IngestSettings,
        databases: Databases,
        tenants: TenantRegistry,
        outages: Outages,
        *,
        acknowledge: Callable[[Iterable[Message]], None],
        throttled: Callable[[TenantEntry, int], None],
        is_behind: Callable[[], bool],
    ) -> None:
        """`throttled` is told how many messages of a tenant were over a limit."""
        self._bounds = DeadLetterBounds(settings.dead_letters_rows, settings.dead_letters_bytes)
        self._urls = settings.service_urls()
        self._databases = databases
        self._tenants = tenants
        self._outages = outages
        self._acknowledge = acknowledge
        self._throttled = throttled
        self._is_behind = is_behind
        self._door = Door(time.monotonic())
        self._accounts: dict[tuple[str, str], Account] = {}
        self._totals: dict[str, Account] = {}
        self._trimming = Trimming()
        self._arrived: queue.SimpleQueue[Message | None] = queue.SimpleQueue()
        self._held: dict[TenantEntry, _Hold] = {}
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="twins", daemon=True)

    def receive(self, message: Message) -> None:
        """Take a message in; it is acknowledged when it is stored."""
        self._arrived.put(message)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def stop(self) -> None:
        """Finish the transaction at hand, and end; what is left stays with the broker."""
        self._stopping.set()
        self._arrived.put(None)
        if self._thread.is_alive():
            self._thread.join()

    def _run(self) -> None:
        while not self._stopping.is_set():
            try:
                self._work(self._take())
            except Stopped:
                return
            except Exception:
                # It is not acknowledged, so it comes again with the next connection. This thread must not
                # end: nobody would notice.
                log.exception("what devices said of themselves could not be stored")

    def _take(self) -> list[Message]:
        """What came, waiting a little for the first."""
        taken: list[Message] = []
        try:
            message = self._arrived.get(timeout=_IDLE)
            while message is not None and len(taken) < MOST_AT_ONCE:
                taken.append(message)
                if len(taken) == MOST_AT_ONCE:
                    break
                message = self._arrived.get_nowait()
        except queue.Empty:
            pass
        return taken

    def _work(self, messages: Sequence[Message]) -> None:
        groups: dict[TenantEntry, list[tuple[Sender, Message]]] = {}
        for message in messages:
            sender = sender_of(message.topic)
            if sender is None:
                metrics.HOMELESS.inc()
                self._acknowledge([message])
            else:
                groups.setdefault(self._tenants.entry(sender.tenant), []).append((sender, message))
        self._with_held(groups)
        if not groups:
            return
        self._door.tick(time.monotonic(), is_behind=self._is_behind())
        patiently(lambda: self._tenants.refresh(groups.keys()), self._stopping)
        for tenant, items in groups.items():
            self._store_of(tenant, items)

    def _with_held(self, groups: dict[TenantEntry, list[tuple[Sender, Message]]]) -> None:
        """Put what comes for a held tenant behind what waits, and take out those whose time has come."""
        now = time.monotonic()
        for tenant, hold in self._held.items():
            hold.messages += groups.pop(tenant, ())
            if hold.messages and now >= hold.retry_at:
                groups[tenant], hold.messages = hold.messages, []

    def _store_of(self, tenant: TenantEntry, items: list[tuple[Sender, Message]]) -> None:
        context = tenant.context
        if tenant.unavailable is not None or (context is not None and context.database not in self._urls):
            self._hold(tenant, items, tenant.unavailable or "its database is not configured here")
        elif context is None:
            log.warning("%d messages name tenant %s, which does not exist; dropped", len(items), tenant.slug)
            metrics.HOMELESS.inc(len(items))
            self._acknowledge([message for _, message in items])
        else:
            try:
                self._write(tenant, context, items)
            except DatabaseAway as error:
                self._hold(tenant, items, f"the database {error} is away")
            except DBAPIError as error:
                self._find_culprit(tenant, context, items, error)
            else:
                self._held.pop(tenant, None)

    def _find_culprit(
        self,
        tenant: TenantEntry,
        context: TenantContext,
        items: list[tuple[Sender, Message]],
        error: DBAPIError,
    ) -> None:
        """The database refuses something of this: store one message after the other."""
        if self._tenants.is_gone(tenant, context):
            self._acknowledge([message for _, message in items])
            return
        reason = str(error.orig).splitlines()[0]
        if len(items) == 1:
            self._hold(tenant, items, reason)  # a lock, or a table that is not there yet: it goes by
            return
        for place, item in enumerate(items):
            try:
                self._write(tenant, context, [item])
            except (DatabaseAway, DBAPIError):
                self._hold(tenant, items[place:], reason)
                return

    def _write(
        self, tenant: TenantEntry, context: TenantContext, items: Sequence[tuple[Sender, Message]]
    ) -> None:
        """Store in one transaction, then acknowledge. Raises `DatabaseAway` and SQLAlchemy's errors."""
        admitted, refused, over = self._admit(tenant, context, items)
        try:
            with self._outages.watching(context.database), self._databases.tenant(context) as session:
                session.execute(text("SELECT set_config('statement_timeout', '10s', true)"))
                refused = [*refused, *store(session, admitted)]
                kept, surplus = self._ration(tenant, refused)
                letters = map(letter_of, kept)
                store_letters(session, context.schema, letters, self._trimming, self._bounds)
        except Exception:
            self._trimming.forget(context.schema)
            raise
        self._acknowledge([message for _, message in items])
        metrics.DEAD_LETTERS.inc(len(kept))
        if lost := over + surplus:
            metrics.THROTTLED.inc(lost)
            self._throttled(tenant, lost)

    def _admit(
        self, tenant: TenantEntry, context: TenantContext, items: Sequence[tuple[Sender, Message]]
    ) -> tuple[list[Arrival], list[Refused], int]:
        """What is let in, what is refused and to be told, and how many more are over a limit."""
        admitted, refused, over = [], [], 0
        now = time.monotonic()
        closed = self._tenants.why_closed(context)
        for sender, message in items:
            account = self._account(sender)
            if excess := self._over(tenant, sender, account, now):
                if self._door.tells(account, now):
                    unfit = Unfit(Reason.OVER_QUOTA, f"more than {excess}: send less often")
                    refused.append(Refused(Arrival(sender, message, unfit), unfit))
                else:
                    over += 1
            elif closed is not None and sender.kind != "status":
                unfit = Unfit(Reason.SUSPENDED, closed.detail)
                refused.append(Refused(Arrival(sender, message, unfit), unfit))
            else:
                admitted.append(Arrival(sender, message, read(sender, message)))
        return admitted, refused, over

    def _over(self, tenant: TenantEntry, sender: Sender, account: Account, now: float) -> str | None:
        if sender.kind == "status":
            # Of all devices at once when ingest subscribes: no limit of the tenant's.
            taken = account.values.take(1, _STATUSES_A_SECOND, _STATUSES_A_SECOND * 10 * BURST, now)
            return None if taken else f"{_STATUSES_A_SECOND:.0f} status a second"
        total = self._totals.setdefault(sender.tenant, Account())
        return self._door.message_over(tenant.quotas, account, total, now)

    def _ration(self, tenant: TenantEntry, refused: Sequence[Refused]) -> tuple[list[Refused], int]:
        """Those that are kept as dead letters, and how many are too many."""
        now = time.monotonic()
        total = self._totals.setdefault(tenant.slug, Account())
        kept = [each for each in refused if self._door.letter(self._account(each.arrival.sender), total, now)]
        return kept, len(refused) - len(kept)

    def _account(self, sender: Sender) -> Account:
        key = sender.tenant, sender.device
        account = self._accounts.get(key)
        if account is None:
            if len(self._accounts) >= _MOST_ACCOUNTS:
                self._accounts.clear()
            account = self._accounts[key] = Account()
        return account

    def _hold(self, tenant: TenantEntry, items: Sequence[tuple[Sender, Message]], reason: str) -> None:
        hold = self._held.get(tenant)
        if hold is None:
            hold = self._held[tenant] = _Hold()
            log.error("what devices of tenant %s say of themselves is held back: %s", tenant.slug, reason)
        hold.messages[:0] = items
        hold.retry_at = time.monotonic() + hold.delay
        hold.delay = min(hold.delay * 2, RETRY_TO)
