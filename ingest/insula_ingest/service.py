"""The ingest service: receive, batch, store, acknowledge; over and over, whatever happens around it."""

from __future__ import annotations

import logging
import signal
import threading
import time
from types import FrameType

import psycopg
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from insula_ingest.batch import Batch, Message, build_batch, dead_letters_of
from insula_ingest.registry import DeviceRegistry
from insula_ingest.settings import IngestSettings
from insula_ingest.transport import MqttSource
from insula_tenants.database import MAIN, MAX_LIFETIME, Databases
from insula_tenants.telemetry.write import TelemetryWriter, TenantBatch

log = logging.getLogger(__name__)

_RETRY_FROM, _RETRY_TO = 0.2, 5.0


class DatabaseAway(Exception):
    """The database cannot be reached or asks to try again; nothing of the batch was stored."""


class Store:
    """Resolves and writes batches, on connections that are made anew when they break or grow old."""

    def __init__(self, settings: IngestSettings) -> None:
        self._settings = settings
        self._url = settings.require_database_url()
        self._databases = Databases({MAIN: self._url}, pool_size=2, application_name="insula-ingest")
        self._registry = DeviceRegistry(self._databases, max_points=settings.ingest_max_points_per_device)
        self._connection: psycopg.Connection | None = None
        self._writer: TelemetryWriter | None = None
        self._opened = 0.0

    def store(self, messages: list[Message]) -> Batch:
        """Store what the messages hold; when it returns, all but the held tenants' is committed.

        Raises `DatabaseAway` when it should be tried again.
        """
        try:
            batch = build_batch(
                messages, self._registry, max_payload_bytes=self._settings.ingest_max_payload_bytes
            )
            self._write(batch, messages)
        except (psycopg.OperationalError, psycopg.InterfaceError) as error:
            self._disconnect()
            raise DatabaseAway(str(error).splitlines()[0]) from error
        except DBAPIError as error:
            if error.connection_invalidated or isinstance(error.orig, psycopg.OperationalError):
                raise DatabaseAway(str(error.orig).splitlines()[0]) from error
            raise
        except SQLAlchemyError as error:  # the pool's time-out
            raise DatabaseAway(str(error).splitlines()[0]) from error
        return batch

    def close(self) -> None:
        """Close all connections."""
        self._disconnect()
        self._databases.close()

    def _disconnect(self) -> None:
        if self._connection is not None:
            self._connection.close()
        self._connection = self._writer = None

    def _write(self, batch: Batch, messages: list[Message]) -> None:
        writer = self._open()
        parts = sorted(batch.tenants.values(), key=lambda part: part.context.slug)
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

    def _open(self) -> TelemetryWriter:
        if self._writer is not None and time.monotonic() - self._opened < MAX_LIFETIME:
            return self._writer
        self._disconnect()
        self._connection = psycopg.connect(
            self._url, autocommit=True, prepare_threshold=None, application_name="insula-ingest"
        )
        self._opened = time.monotonic()
        self._writer = TelemetryWriter(self._connection)
        return self._writer


class IngestService:
    """Moves messages from the broker to the database until it is told to stop."""

    def __init__(self, settings: IngestSettings) -> None:
        """Nothing is connected before `run`."""
        self._settings = settings
        self._source = MqttSource(settings)
        self._store = Store(settings)
        self._stopping = threading.Event()
        self._held: set[str] = set()

    def stop(self) -> None:
        """Ask for an end: the present batch is stored and acknowledged, then `run` returns."""
        self._stopping.set()

    def run(self) -> None:
        """Work until `stop`."""
        self._source.start()
        try:
            while not self._stopping.is_set():
                messages = self._source.next_batch(
                    most=self._settings.ingest_batch_messages,
                    seconds=self._settings.ingest_batch_seconds,
                    idle=0.5,
                )
                if messages:
                    self._process(messages)
        finally:
            self._source.stop()
            self._store.close()

    def _process(self, messages: list[Message]) -> None:
        """Store one batch, however long the database is away; then acknowledge it."""
        delay, away_since = _RETRY_FROM, 0.0
        while True:
            try:
                batch = self._store.store(messages)
            except DatabaseAway as error:
                if not away_since:
                    away_since = time.monotonic()
                    log.warning("the database is away: %s; the broker keeps what comes", error)
                if self._stopping.wait(delay):
                    return
                delay = min(delay * 2, _RETRY_TO)
                continue
            if away_since:
                log.info("the database is back after %.1f s", time.monotonic() - away_since)
            self._report(batch)
            self._source.acknowledge(message for message in messages if message.tenant not in batch.held)
            return

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
