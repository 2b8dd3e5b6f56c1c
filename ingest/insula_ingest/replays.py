"""Process dead letters again when the API asks for it: the same codecs, the same registry, the same writer.

A request is a message like any other: it waits in the persistent session, and is acknowledged when the work
is done. The door's limits of rates do not count, as these messages were let in once; those of points and of
retention do.
"""

from __future__ import annotations

import logging
import queue
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime

import psycopg

from insula_ingest.batch import Builder, Item, Route
from insula_ingest.door import Door
from insula_ingest.messages import Message, address_of
from insula_ingest.outages import Outages, Stopped, patiently
from insula_ingest.registry import DeviceRegistry
from insula_ingest.settings import IngestSettings
from insula_ingest.tenants import TenantEntry, TenantRegistry
from insula_tenants.broker.topics import REPLAY, tenant_of
from insula_tenants.context import TenantContext
from insula_tenants.database import LINK, Databases
from insula_tenants.names import is_slug
from insula_tenants.quotas import Allowance, Quotas
from insula_tenants.telemetry.reasons import Reason
from insula_tenants.telemetry.replays import MarkedLetter, StillDead, settle, take_marked
from insula_tenants.telemetry.write import TelemetryWriter, TenantBatch

log = logging.getLogger(__name__)

LETTERS_AT_ONCE = 100
"""Dead letters in one transaction: at most 6.4 MB of payloads."""
_STATEMENT_SECONDS = 60
"""Seconds for a statement, and between two: rollups count on a writer's transactions to be short."""

Readings = dict[tuple[int, int], float]


class _Gone(Exception):
    """The tenant was erased meanwhile."""


@dataclass(slots=True)
class _Again:
    """What became of one letter: readings, or why there are none."""

    letter: MarkedLetter
    batch: TenantBatch
    refused: StillDead | None


class Replays:
    """Works off requests in a thread of its own."""

    def __init__(
        self,
        settings: IngestSettings,
        databases: Databases,
        tenants: TenantRegistry,
        outages: Outages,
        *,
        acknowledge: Callable[[Iterable[Message]], None],
        stored: Callable[[TenantContext, Mapping[tuple[int, int], float]], None],
    ) -> None:
        """`stored` is told of readings after their commit."""
        self._settings = settings
        self._urls = settings.service_urls()
        self._databases = databases
        self._tenants = tenants
        self._outages = outages
        self._acknowledge = acknowledge
        self._stored = stored
        self._requests: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        """Topics."""
        self._waiting: dict[str, Message] = {}
        """The request that waits, by topic."""
        self._lock = threading.Lock()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="replays", daemon=True)

    def request(self, message: Message) -> None:
        """Take a request in; it is acknowledged when the work is done.

        It takes the place of one for the same tenant that waits, whose marks it finds as well: else requests
        without end would fill the window, which belongs to all tenants' messages.
        """
        with self._lock:
            before = self._waiting.get(message.topic)
            self._waiting[message.topic] = message
        if before is None:
            self._requests.put(message.topic)
        else:
            self._acknowledge([before])

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def stop(self) -> None:
        """Finish the transaction at hand, and end; what is left stays with the broker."""
        self._stopping.set()
        self._requests.put(None)
        if self._thread.is_alive():
            self._thread.join()

    def _run(self) -> None:
        while not self._stopping.is_set() and (topic := self._requests.get()) is not None:
            with self._lock:
                message = self._waiting.pop(topic)
            try:
                self._work(message)
            except Stopped:
                return
            except _Gone:
                log.warning("dead letters on %s: the tenant is gone", message.topic)
            except Exception:
                # The marks stay: who asks again has it tried again.
                log.exception("dead letters could not be processed again, on %s", message.topic)
            self._acknowledge([message])

    def _work(self, message: Message) -> None:
        slug = tenant_of(message.topic, REPLAY)
        if slug is None or not is_slug(slug):
            return
        entry = self._tenants.entry(slug)
        patiently(lambda: self._tenants.refresh([entry]), self._stopping)
        context = entry.context
        if context is None or context.database not in self._urls:
            log.warning("dead letters of tenant %s wait: %s", slug, entry.unavailable or "it is not here")
            return
        while patiently(lambda: self._next(entry, context), self._stopping):
            if self._stopping.is_set():
                raise Stopped

    def _next(self, entry: TenantEntry, context: TenantContext) -> bool:
        """Work off some letters in one transaction; whether there were any. Raises `DatabaseAway`."""
        with (
            self._outages.watching(context.database),
            psycopg.connect(
                self._urls[context.database],
                autocommit=True,
                prepare_threshold=None,
                application_name="insula-replays",
                **LINK,
            ) as connection,
        ):
            connection.execute(
                "SELECT set_config('statement_timeout', %(most)s, false),"
                " set_config('idle_in_transaction_session_timeout', %(most)s, false)",
                {"most": f"{_STATEMENT_SECONDS}s"},
            )
            writer = TelemetryWriter(connection)
            with connection.transaction():
                letters = take_marked(connection, context, limit=LETTERS_AT_ONCE)
                builder = self._new_builder()
                again = [_process(builder, letter, entry, context) for letter in letters]
                stored = _write(writer, context, again)
                settle(connection, letters, [one.refused for one in again if one.refused is not None])
        self._stored(context, stored)
        return bool(letters)

    def _new_builder(self) -> Builder:
        """One for each transaction: it knows what was registered a moment ago, and forgets what fails."""
        return Builder(
            self._tenants,
            DeviceRegistry(
                self._databases, self._outages, max_points=self._settings.ingest_max_points_per_device
            ),
            Door(time.monotonic()),
            max_payload_bytes=self._settings.ingest_max_payload_bytes,
            clock=time.monotonic,
        )


def _process(builder: Builder, letter: MarkedLetter, entry: TenantEntry, context: TenantContext) -> _Again:
    """Decode and resolve one letter, as if it came when it did."""
    address = address_of(letter.topic)
    if address is None:
        refused = StillDead(letter, Reason.BAD_SHAPE, "its topic is none of telemetry")
        return _Again(letter, TenantBatch(context), refused)
    quotas = Quotas(points=entry.quotas.points, retention_days=entry.quotas.retention_days)
    unhurried = TenantEntry(entry.slug, context, quotas=quotas, raw_from=entry.raw_from)
    items: list[Item] = [
        (Route(unhurried, address.device, address.gateway), _message(letter, received_at))
        # Where it names no time, it was measured when it came: the first time, and the last.
        for received_at in sorted({letter.first_received_at, letter.last_received_at})
    ]
    part = builder.resolve(builder.admit(unhurried, context, items))
    if part is None:
        raise _Gone
    batch = part.batch
    dead, batch.dead_letters = batch.dead_letters, []
    refusal = StillDead(letter, dead[0].reason, dead[0].detail) if dead else None
    if _drop_expired(batch.readings, entry.allowance) and refusal is None:
        refusal = StillDead(letter, Reason.BEYOND_RETENTION, "it is older than readings are kept by now")
    return _Again(letter, batch, refusal)


def _drop_expired(readings: Readings, allowance: Allowance) -> bool:
    """Take out what is older than readings are kept by now; whether there was any."""
    oldest = allowance.kept_from(time.time_ns() // 1000)
    expired = [key for key in readings if key[1] < oldest]
    for key in expired:
        del readings[key]
    return bool(expired)


def _write(writer: TelemetryWriter, context: TenantContext, again: list[_Again]) -> Readings:
    """Write all at once; when the database refuses that, one letter after the other. What was stored."""
    together = TenantBatch(context)
    for one in again:
        together.readings |= one.batch.readings
        together.births += one.batch.births
    if not together.readings and not together.births:
        return {}
    try:
        writer.write([together])
    except (psycopg.OperationalError, psycopg.InterfaceError):
        raise
    except psycopg.Error:
        return _write_apart(writer, again)
    return together.readings


def _write_apart(writer: TelemetryWriter, again: list[_Again]) -> Readings:
    stored: Readings = {}
    for one in again:
        try:
            writer.write([one.batch])
        except (psycopg.OperationalError, psycopg.InterfaceError):
            raise
        except psycopg.Error as error:
            one.refused = StillDead(one.letter, Reason.NOT_STORED, str(error).splitlines()[0])
        else:
            stored |= one.batch.readings
    return stored


def _message(letter: MarkedLetter, received_at: datetime) -> Message:
    return Message(
        letter.topic,
        letter.payload,
        len(letter.payload),
        round(received_at.timestamp() * 1e6),
        mid=0,
        session=0,
    )
