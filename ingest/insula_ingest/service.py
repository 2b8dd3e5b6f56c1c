"""The ingest service: its parts, put together.

::

    MqttSource ─► IngestService ─► Lane (one a database)
    network       routes by topic   FairQueue ─► Builder (door, codecs, registry) ─► Store ─► commit
        ▲   └─► TwinPath: reported states, statuses, results ─► commit                         │
        └──────────────── acknowledgements ◄───────────────────────────────────────────────────┤
                                          metering, live values, health ◄──────────────────────┘
"""

from __future__ import annotations

import logging
import signal
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from types import FrameType

from insula_ingest import metrics
from insula_ingest.batch import Builder, Item, Part, Route
from insula_ingest.door import Door
from insula_ingest.health import HealthNotes
from insula_ingest.lane import Lane
from insula_ingest.live import LiveValues
from insula_ingest.messages import Message, address_of
from insula_ingest.metering import Metering
from insula_ingest.outages import Outages, Stopped, patiently
from insula_ingest.registry import DeviceRegistry
from insula_ingest.replays import Replays
from insula_ingest.settings import IngestSettings
from insula_ingest.tenants import TenantEntry, TenantRegistry
from insula_ingest.transport import SHARE, MqttSource
from insula_ingest.twins import FILTERS, TwinPath
from insula_ingest.writer import Home, Store
from insula_tenants.broker.rules import BROKER_LOG
from insula_tenants.broker.topics import LIVE_WANTED, REPLAY
from insula_tenants.database import MAIN, Databases
from insula_tenants.telemetry.trimming import DeadLetterBounds

log = logging.getLogger(__name__)

_MOST_ROUTES = 200_000
_WATCH_SECONDS = 0.5
_FULL_SECONDS = 5.0
"""Seconds without an acknowledgement after which a full window is told of."""


class IngestService:
    """Moves messages from the broker to the databases until it is told to stop."""

    def __init__(self, settings: IngestSettings) -> None:
        """Nothing is connected before `run`."""
        self._settings = settings
        urls = settings.service_urls()
        self._databases = Databases(urls, pool_size=3, application_name="insula-ingest")
        self._outages = Outages()
        self._tenants = TenantRegistry(self._databases, self._outages)
        self._metering = Metering(self._databases, self._outages)
        self._source = MqttSource(settings)
        self._live = LiveValues(self._source.publish)
        self._after_commit: list[Callable[[Sequence[Part]], None]] = [self._meter, self._live.committed]
        self._replays = Replays(
            settings,
            self._databases,
            self._tenants,
            self._outages,
            acknowledge=self._source.acknowledge,
            stored=self._live.stored,
        )
        self._twins = TwinPath(
            settings,
            self._databases,
            self._tenants,
            self._outages,
            acknowledge=self._source.acknowledge,
            throttled=self._throttled,
            is_behind=lambda: self._source.is_behind,
        )
        self._routes: dict[str, Route] = {}
        self._health = HealthNotes(self._databases, self._outages, lambda: list(self._routes.values()))
        self._hear_the_platform()
        self._source.handle_shared(FILTERS, "tenants/", self._twins.receive)
        self._source.handle_if_allowed(BROKER_LOG, BROKER_LOG, self._hear_the_broker)
        bounds = DeadLetterBounds(settings.dead_letters_rows, settings.dead_letters_bytes)
        self._homes = [Home(name, url, bounds) for name, url in urls.items()]
        self._lanes = {home.name: self._lane(home) for home in self._homes}
        self._stopping = threading.Event()
        self._moved = (0, time.monotonic())
        """Acknowledged messages, and when their number last changed."""
        self._told_full = False

    def after_commit(self, call: Callable[[Sequence[Part]], None]) -> None:
        """Before `run`: call this with what was stored, after its commit, in a thread that writes."""
        self._after_commit.append(call)

    def stop(self) -> None:
        """Ask for an end: what is being written is stored and acknowledged, then `run` returns."""
        self._stopping.set()

    def run(self) -> None:
        """Work until `stop`."""
        self._serve_metrics()
        watch = threading.Thread(target=self._watch, name="ingest-watch", daemon=True)
        try:
            self._metering.start()
            for lane in self._lanes.values():
                lane.start()
            self._replays.start()
            self._twins.start()
            self._health.start()
            self._source.start()
            watch.start()
            while not self._stopping.is_set():
                if messages := self._source.take(0.5):
                    self._dispatch(messages)
                for lane in self._lanes.values():
                    if lane.failure is not None:
                        raise lane.failure
        except Stopped:
            pass
        finally:
            self._stopping.set()
            self._close()

    def _close(self) -> None:
        for lane in self._lanes.values():
            lane.stop()
        self._replays.stop()
        self._twins.stop()
        self._source.stop()
        self._health.stop()
        self._metering.stop()
        for home in self._homes:
            home.close()
        self._databases.close()

    def _hear_the_platform(self) -> None:
        """Every process must know who listens; a replay is for one of them."""
        self._source.handle(LIVE_WANTED, LIVE_WANTED.removesuffix("+"), self._wanted)
        filter_ = SHARE + REPLAY if self._settings.ingest_share else REPLAY
        self._source.handle(filter_, REPLAY.removesuffix("+"), self._replays.request)

    def _wanted(self, message: Message) -> None:
        self._live.wanted(message)
        self._source.acknowledge([message])

    def _hear_the_broker(self, message: Message) -> None:
        self._health.hear(message.payload)
        self._source.acknowledge([message])

    def _lane(self, home: Home) -> Lane:
        devices = DeviceRegistry(
            self._databases, self._outages, max_points=self._settings.ingest_max_points_per_device
        )
        builder = Builder(
            self._tenants,
            devices,
            Door(time.monotonic()),
            max_payload_bytes=self._settings.ingest_max_payload_bytes,
            clock=time.monotonic,
        )
        return Lane(
            home.name,
            self._settings,
            builder,
            Store(home, self._tenants, self._outages),
            acknowledge=self._source.acknowledge,
            committed=self._committed,
            throttled=self._throttled,
            is_behind=lambda: self._source.is_behind,
            redirect=self._put,
        )

    def _dispatch(self, messages: list[Message]) -> None:
        """Give each message to the lane of its tenant's database."""
        routes = self._routes
        groups: dict[TenantEntry, list[Item]] = {}
        homeless = []
        for message in messages:
            route = routes.get(message.topic) or self._new_route(message.topic)
            if route is None:
                homeless.append(message)
                continue
            group = groups.get(route.tenant)
            if group is None:
                groups[route.tenant] = [(route, message)]
            else:
                group.append((route, message))
        if homeless:
            log.warning("%d messages are on topics of no device; dropped", len(homeless))
            metrics.HOMELESS.inc(len(homeless))
            self._source.acknowledge(homeless)
        patiently(lambda: self._tenants.refresh(groups.keys()), self._stopping)
        self._put(groups)

    def _put(self, groups: Mapping[TenantEntry, Sequence[Item]]) -> None:
        by_lane: dict[str, dict[TenantEntry, Sequence[Item]]] = {}
        for tenant, items in groups.items():
            by_lane.setdefault(self._home_of(tenant), {})[tenant] = items
        for name, part in by_lane.items():
            self._lanes[name].put(part)

    def _home_of(self, tenant: TenantEntry) -> str:
        """The database of a tenant; `main` looks after those that have none."""
        if tenant.context is None:
            return MAIN
        if tenant.context.database not in self._lanes:
            tenant.unavailable = (
                f"it lives in the database {tenant.context.database!r}, which is not configured here: "
                "add it to INSULA_DATABASE_URLS"
            )
            return MAIN
        return tenant.context.database

    def _new_route(self, topic: str) -> Route | None:
        address = address_of(topic)
        if address is None:
            return None
        if len(self._routes) >= _MOST_ROUTES:
            self._routes.clear()
        route = Route(self._tenants.entry(address.tenant), address.device, address.gateway)
        self._routes[topic] = route
        return route

    def _tell_when_full(self) -> None:
        """One line when held messages fill the window, for then nobody's are taken."""
        now, acknowledged = time.monotonic(), self._source.acknowledged
        if not self._source.is_full or acknowledged != self._moved[0]:
            self._moved = (acknowledged, now)
            self._told_full = self._told_full and self._source.is_full
        elif not self._told_full and now - self._moved[1] > _FULL_SECONDS:
            self._told_full = True
            log.warning(
                "%d messages of %d bytes are held and fill the window (INSULA_INGEST_RECEIVE_MAXIMUM, "
                "INSULA_INGEST_MEMORY_BYTES): nobody's are taken until some can be stored",
                self._source.in_flight,
                self._source.bytes_in_flight,
            )

    def _committed(self, parts: Sequence[Part]) -> None:
        """The messages are acknowledged already: what fails here loses no reading."""
        for each in self._after_commit:
            try:
                each(parts)
            except Exception:
                log.exception("what follows a commit has failed")

    def _meter(self, parts: Sequence[Part]) -> None:
        for part in parts:
            self._metering.stored(part)

    def _throttled(self, tenant: TenantEntry, count: int) -> None:
        if tenant.context is not None:
            self._metering.throttled(tenant.context.id, count)

    def _watch(self) -> None:
        while not self._stopping.wait(_WATCH_SECONDS):
            self._tell_when_full()
            for home in self._homes:
                home.cut_when_stuck()

    def _serve_metrics(self) -> None:
        if self._settings.metrics_port is not None:
            metrics.serve(
                self._settings.metrics_port,
                in_flight=lambda: self._source.in_flight,
                bytes_in_flight=lambda: self._source.bytes_in_flight,
                queued=lambda: sum(lane.queued for lane in self._lanes.values()),
                held_tenants=lambda: sum(lane.held_tenants for lane in self._lanes.values()),
            )


def run(settings: IngestSettings | None = None) -> None:
    """Run until SIGTERM or Ctrl-C."""
    service = IngestService(settings or IngestSettings())

    def on_signal(_number: int, _frame: FrameType | None) -> None:
        service.stop()

    signal.signal(signal.SIGTERM, on_signal)
    signal.signal(signal.SIGINT, on_signal)
    service.run()
