"""Devices that publish without pause and write down what they have sent and what was acknowledged."""

from __future__ import annotations

import json
import random
import threading
import time
from datetime import UTC, datetime
from typing import Protocol

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from insula_ingest.device import Device
from tests.chaos.ledger import Key
from tests.waiting import eventually

POINTS = ("temperature", "humidity", "co2")
_NOBODY_TAKES_IT = 0x10


class Sender(Protocol):
    """A device of the load."""

    slug: str
    sent: dict[Key, float]
    """What was sent, with the last value for each reading."""

    def send(self, dice: random.Random) -> None:
        """Send one message."""

    def finish(self) -> None:
        """Wait until the broker has acknowledged everything, and disconnect."""


class Clock:
    """Milliseconds since the epoch, never the same twice."""

    def __init__(self) -> None:
        self._last = 0

    def tick(self) -> int:
        self._last = max(self._last + 1, time.time_ns() // 1_000_000)
        return self._last


class LibraryDevice:
    """A device that uses our library, and sometimes corrects what it has just sent."""

    def __init__(self, tenant: str, slug: str, password: str, port: int, *, corrects: bool = True) -> None:
        self.sent: dict[Key, float] = {}
        self.slug = slug
        self._name = (tenant, slug)
        self._clock = Clock()
        self._last = 0
        self._count = 0
        self._corrects = corrects
        self._device = Device(tenant, slug, password=password, port=port, queue_limit=1_000_000)
        self._device.open()

    def send(self, dice: random.Random) -> None:
        """A message of one to three values; every tenth corrects the one before."""
        if not (self._corrects and self._last and dice.random() < 0.1):
            self._last = self._clock.tick()
        values: dict[str, float] = {}
        for point in dice.sample(POINTS, dice.randint(1, 3)):
            self._count += 1
            values[point] = self._count
            self.sent[Key(*self._name, point, self._last * 1000)] = self._count
        self._device.publish(values, at=datetime.fromtimestamp(self._last / 1000, UTC))

    def flush(self) -> None:
        """Wait until the broker has acknowledged everything."""
        self._device.flush(60)

    def finish(self) -> None:
        """Everything sent is acknowledged, or it is an error."""
        self.flush()
        assert self._device.dropped == 0
        self._device.close()


class PlainDevice:
    """A device of somebody else's making: MQTT 5, QoS 1, and nothing against a broker that forgets."""

    def __init__(self, tenant: str, slug: str, password: str, port: int) -> None:
        self.sent: dict[Key, float] = {}
        self.slug = slug
        self.accepted: dict[Key, tuple[float, int]] = {}
        """Which readings the broker has acknowledged: when, in monotonic seconds, and on which connection."""
        self.connections: list[tuple[float, float]] = []
        """From when to when each connection lasted."""
        self._name = (tenant, slug)
        self._topic = f"tenants/{tenant}/devices/{slug}/telemetry"
        self._clock = Clock()
        self._count = 0
        self._lock = threading.Lock()
        self._pending: dict[int, Key] = {}
        self._early: dict[int, tuple[ReasonCode, float]] = {}
        self._client = mqtt.Client(
            CallbackAPIVersion.VERSION2, client_id=f"{tenant}/{slug}", protocol=mqtt.MQTTv5
        )
        self._client.username_pw_set(f"{tenant}/{slug}", password)
        self._client.reconnect_delay_set(1, 1)
        self._client.on_publish = self._acknowledged
        self._client.on_connect = lambda *_: self.connections.append((time.monotonic(), float("inf")))
        self._client.on_disconnect = self._disconnected
        properties = Properties(PacketTypes.CONNECT)
        properties.SessionExpiryInterval = 3600
        self._client.connect("127.0.0.1", port, clean_start=False, properties=properties)
        self._client.loop_start()

    def send(self, dice: random.Random) -> None:  # noqa: ARG002 - it has nothing to choose
        """A message of one value."""
        at, self._count = self._clock.tick(), self._count + 1
        key = Key(*self._name, "power", at * 1000)
        self.sent[key] = self._count
        payload = json.dumps({"ts": at, "values": {"power": self._count}})
        mid = self._client.publish(self._topic, payload, qos=1).mid
        with self._lock:
            self._pending[mid] = key
            early = self._early.pop(mid, None)
        if early:
            self._settle(mid, *early)

    def finish(self) -> None:
        """Everything sent is answered."""
        eventually(lambda: not self._pending, seconds=60, what="acknowledgements")
        self._client.disconnect()
        self._client.loop_stop()
        self._client.on_publish = self._client.on_connect = self._client.on_disconnect = None

    def accepted_before(self, moment: float, seconds: float) -> set[Key]:
        """What was acknowledged on the connection of that moment, not longer before it than this."""
        return {
            key
            for key, (at, number) in self.accepted.items()
            if moment - at < seconds and self.connections[number][0] < moment <= self.connections[number][1]
        }

    def _disconnected(self, *_: object) -> None:
        if self.connections:
            self.connections[-1] = (self.connections[-1][0], time.monotonic())

    def _acknowledged(
        self, _client: mqtt.Client, _data: object, mid: int, reason: ReasonCode, _properties: object
    ) -> None:
        now = time.monotonic()
        with self._lock:
            if mid not in self._pending:
                self._early[mid] = (reason, now)
                return
        self._settle(mid, reason, now)

    def _settle(self, mid: int, reason: ReasonCode, now: float) -> None:
        with self._lock:
            key = self._pending.pop(mid)
        assert not reason.is_failure, reason
        if reason.value != _NOBODY_TAKES_IT:
            self.accepted[key] = (now, len(self.connections) - 1)


class Load:
    """All senders, one message each in turn, until told to stop."""

    def __init__(self, senders: list[Sender], seed: int, pause: float = 0.03) -> None:
        self.senders = senders
        self.messages = 0
        self._dice = random.Random(seed)
        self._pause = pause
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="load")

    def start(self) -> None:
        """Begin to send."""
        self._thread.start()

    def stop(self) -> None:
        """Send no more."""
        self._stopping.set()
        self._thread.join()

    def finish(self) -> None:
        """Send no more, and wait for every acknowledgement."""
        self.stop()
        for sender in self.senders:
            sender.finish()

    @property
    def sent(self) -> dict[Key, float]:
        """What all of them have sent."""
        return {key: value for sender in self.senders for key, value in sender.sent.items()}

    def _run(self) -> None:
        while not self._stopping.wait(self._pause):
            for sender in self.senders:
                sender.send(self._dice)
                self.messages += 1
