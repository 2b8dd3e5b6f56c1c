"""The ingest service: receive, batch, store, acknowledge; over and over, whatever happens around it."""

from __future__ import annotations

import logging
import signal
import threading
import time
from types import FrameType

import psycopg

from insula_ingest.batch import Batch, Message, build_batch, dead_letters_of
from insula_ingest.outages import DatabaseAway, Outages
from insula_ingest.registry import DeviceRegistry
from insula_ingest.settings import IngestSettings
from insula_ingest.transport import MqttSource
from insula_tenants.database import LINK, MAX_LIFETIME, Databases
from insula_tenants.telemetry.write import TelemetryWriter, TenantBatch

log = logging.getLogger(__name__)

_RETRY_FROM, _RETRY_TO = 0.2, 5.0


class Home:
    """A database that tenants live in: one connection to write on, made anew when it breaks or grows old."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._connection: psycopg.Connection | None = None
        self._writer: TelemetryWriter | None = None
        self._opened = 0.0

    def open(self) -> TelemetryWriter:
        """The writer, connected; psycopg's errors pass through."""
        if self._writer is not None and time.monotonic() - self._opened < MAX_LIFETIME:
            return self._writer
        self.close()
        self._connection = psycopg.connect(
            self._url, autocommit=True, prepare_threshold=None, application_name="insula-ingest", **LINK
        )
        self._opened = time.monotonic()
        self._writer = TelemetryWriter(self._connection)
        return self._writer

    def close(self) -> None:
        """Close the connection; the next `open` makes another."""
        if self._connection is not None:
            self._connection.close()
        self._connection = self._writer = None


class Store:
    """Resolves and writes batches: a transaction in each database that has tenants in the batch."""

    def __init__(self, settings: IngestSettings) -> None:
        self._settings = settings
        urls = settings.service_urls()
        self._databases = Databases(urls, pool_size=2, application_name="insula-ingest")
        self._outages = Outages()
        self._registry = DeviceRegistry(
            self._databases, self._outages, max_points=settings.ingest_max_points_per_device
        )
        self._homes = {name: Home(url) for name, url in urls.items()}

    def store(self, messages: list[Message], *, try_again: bool) -> Batch:
        """Store what the messages hold; when it returns, all but what `Batch.is_held` is committed.

        With `try_again`, databases that were away are asked once more; else their tenants are held at once.
        """
        if try_again:
            self._outages.reopen()
        batch = build_batch(
            messages, self._registry, max_payload_bytes=self._settings.ingest_max_payload_bytes
        )
        homes: dict[str, list[TenantBatch]] = {}
        for slug in sorted(batch.tenants):
            part = batch.tenants[slug]
            homes.setdefault(part.context.database, []).append(part)
        for database, parts in homes.items():
            try:
                with self._outages.watching(database):
                    self._write(self._homes[database], parts, messages, batch)
            except DatabaseAway:
                self._homes[database].close()
                batch.away.update(part.context.slug for part in parts)
        return batch

    def close(self) -> None:
        """Close all connections."""
        for home in self._homes.values():
            home.close()
        self._databases.close()

    def _write(self, home: Home, parts: list[TenantBatch], messages: list[Message], batch: Batch) -> None:
        writer = home.open()
        try:
            writer.write(parts)
        except (psycopg.OperationalError, psycopg.InterfaceError):
            raise
        except psycopg.Error:
            # Somebody's part is refused for what it is: find whose, and store the others'.
            for part in parts:
                self._write_alone(writer, part, messages, batch)

    def _write_alone(
        self, writer: TelemetryWriter, part: TenantBatch, messages: list[Message], batch: Batch
    ) -> None:
        slug = part.context.slug
        try:
            writer.write([part])
        except (psycopg.OperationalError, psycopg.InterfaceError):
            raise
        except psycopg.Error as error:
            if self._registry.is_gone(part.context):
                batch.homeless += sum(message.tenant == slug for message in messages)
                return
            reason = str(error).splitlines()[0]
            log.error("the database refuses a batch of tenant %s: %s", slug, reason)  # noqa: TRY400 - one line
            try:
                writer.write([dead_letters_of(part, messages, reason)])
            except psycopg.OperationalError:
                raise
            except psycopg.Error:
                batch.held[slug] = reason


class IngestService:
    """Moves messages from the broker to the database until it is told to stop."""

    def __init__(self, settings: IngestSettings) -> None:
        """Nothing is connected before `run`."""
        self._settings = settings
        self._source = MqttSource(settings)
        self._store = Store(settings)
        self._stopping = threading.Event()
        self._held: set[str] = set()
        self._kept: list[Message] = []
        """What could not be stored yet, in order of receipt. The broker counts it as in flight."""
        self._next_try = 0.0
        self._delay = _RETRY_FROM
        self._full = False

    def stop(self) -> None:
        """Ask for an end: the present batch is stored and acknowledged, then `run` returns."""
        self._stopping.set()

    def run(self) -> None:
        """Work until `stop`."""
        self._source.start()
        try:
            while not self._stopping.is_set():
                self._process(self._next_messages())
        finally:
            self._source.stop()
            self._store.close()

    def _next_messages(self) -> list[Message]:
        room = self._settings.ingest_receive_maximum - len(self._kept)
        idle = 0.5
        if self._kept:
            idle = min(idle, max(0.0, self._next_try - time.monotonic()))
        if room <= 0:
            self._tell_full()
            self._stopping.wait(idle)
            return []
        return self._source.next_batch(
            most=min(room, self._settings.ingest_batch_messages),
            seconds=self._settings.ingest_batch_seconds,
            idle=idle,
        )

    def _process(self, messages: list[Message]) -> None:
        """Store one batch and acknowledge it; what is held waits, and is tried again after ever longer times.

        A tenant's messages stay in order: those that come while it is held wait behind what is kept.
        """
        try_again = time.monotonic() >= self._next_try
        if try_again:
            messages, self._kept = self._kept + messages, []
        else:
            waiting = {message.tenant for message in self._kept}
            self._kept += [message for message in messages if message.tenant in waiting]
            messages = [message for message in messages if message.tenant not in waiting]
        if not messages:
            return
        batch = self._store.store(messages, try_again=try_again)
        self._report(batch)
        self._source.acknowledge(message for message in messages if not batch.is_held(message))
        held = [message for message in messages if batch.is_held(message)]
        self._kept += held
        if not self._kept:
            self._delay, self._full = _RETRY_FROM, False
        elif try_again:
            self._next_try = time.monotonic() + self._delay
            self._delay = min(self._delay * 2, _RETRY_TO)

    def _tell_full(self) -> None:
        if not self._full:
            self._full = True
            log.warning(
                "%d messages of held tenants fill the window (INSULA_INGEST_RECEIVE_MAXIMUM): "
                "nobody's are taken until some can be stored",
                len(self._kept),
            )

    def _report(self, batch: Batch) -> None:
        if batch.homeless:
            log.warning("%d messages name a tenant or topic that does not exist; dropped", batch.homeless)
        for slug in batch.held.keys() - self._held:
            log.error("tenant %s is held back: %s; the broker keeps its messages", slug, batch.held[slug])
        self._held = (self._held - batch.tenants.keys()) | batch.held.keys()


def run(settings: IngestSettings | None = None) -> None:
    """Run until SIGTERM or Ctrl-C."""
    service = IngestService(settings or IngestSettings())

    def on_signal(_number: int, _frame: FrameType | None) -> None:
        service.stop()

    signal.signal(signal.SIGTERM, on_signal)
    signal.signal(signal.SIGINT, on_signal)
    service.run()
