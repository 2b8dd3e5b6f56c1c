"""MQTT in: one paho client, a persistent session, and acknowledgements by hand.

The broker keeps every message until it is acknowledged, through crashes of this process and its own
restarts. What is in flight is bounded by the receive maximum (MQTT 5) or by the queue (3.1.1, where the
network thread waits and TCP pushes back).
"""

from __future__ import annotations

import logging
import queue
import threading
import time
from collections.abc import Iterable

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from insula_ingest.batch import Message
from insula_ingest.settings import IngestSettings

log = logging.getLogger(__name__)

TELEMETRY = ("tenants/+/devices/+/telemetry", "tenants/+/devices/+/children/+/telemetry")
"""What devices send for themselves, and gateways for the devices behind them."""
SHARE = "$share/ingest/"
BATCH_BYTES = 16 * 1024 * 1024
"""A batch closes with this much payload, whatever it decodes to."""
_NEVER_EXPIRES = 0xFFFFFFFF


class MqttSource:
    """The messages of all tenants, in batches, each acknowledged only when `acknowledge` is called."""

    def __init__(self, settings: IngestSettings) -> None:
        """Nothing is connected before `start`."""
        self._settings = settings
        self._five = settings.mqtt_version == "5"
        self._queue: queue.Queue[Message] = queue.Queue(settings.ingest_receive_maximum)
        self._session = 0
        self._session_lock = threading.Lock()
        self._away = False
        self._subscribed = threading.Event()
        self._stopping = threading.Event()
        self._client = self._make_client()

    def start(self) -> None:
        """Connect in the background; keep trying until the broker is there."""
        self._tell_ready(ready=False)  # a process that was killed left its file
        host, port = self._settings.mqtt_host, self._settings.mqtt_port
        if self._five:
            properties = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call] # paho has no types here
            properties.SessionExpiryInterval = _NEVER_EXPIRES
            properties.ReceiveMaximum = self._settings.ingest_receive_maximum
            self._client.connect_async(host, port, keepalive=30, clean_start=False, properties=properties)
        else:
            self._client.connect_async(host, port, keepalive=30)
        self._client.loop_start()

    def wait_subscribed(self, timeout: float) -> bool:
        """Whether the subscription stands within `timeout` seconds."""
        return self._subscribed.wait(timeout)

    def next_batch(self, *, most: int, seconds: float, idle: float) -> list[Message]:
        """Messages in order of receipt: at most `most`, collected for `seconds` after the first, or until
        their payloads come to `BATCH_BYTES`.

        Empty when none came within `idle` seconds.
        """
        try:
            batch = [self._queue.get(timeout=idle)]
        except queue.Empty:
            return []
        closes = time.monotonic() + seconds
        room = BATCH_BYTES - len(batch[0].payload)
        while len(batch) < most and room > 0:
            try:
                batch.append(self._queue.get_nowait())
            except queue.Empty:
                left = closes - time.monotonic()
                if left <= 0:
                    break
                try:
                    batch.append(self._queue.get(timeout=left))
                except queue.Empty:
                    break
            room -= len(batch[-1].payload)
        return batch

    def acknowledge(self, messages: Iterable[Message]) -> None:
        """Tell the broker that these are stored.

        Messages of an earlier connection are passed over: the broker has sent or will send them again, and
        their packet identifiers may belong to others by now.
        """
        with self._session_lock:
            for message in messages:
                if message.session == self._session:
                    self._client.ack(message.mid, 1)

    def stop(self) -> None:
        """Disconnect; the broker keeps the session and all that is not acknowledged."""
        self._stopping.set()  # else the network thread may wait for room in a queue that nobody empties
        self._client.disconnect()
        self._client.loop_stop()

    def _make_client(self) -> mqtt.Client:
        settings = self._settings
        client = mqtt.Client(
            CallbackAPIVersion.VERSION2,
            client_id=settings.ingest_client_id,
            protocol=mqtt.MQTTv5 if self._five else mqtt.MQTTv311,
            clean_session=None if self._five else False,
            manual_ack=True,
        )
        password = settings.mqtt_password.get_secret_value() if settings.mqtt_password else None
        client.username_pw_set(settings.mqtt_username, password)
        client.reconnect_delay_set(1, 10)
        client.on_connect = self._on_connect
        client.on_connect_fail = self._on_connect_fail
        client.on_disconnect = self._on_disconnect
        client.on_subscribe = self._on_subscribe
        client.on_message = self._on_message
        return client

    def _on_connect(
        self, client: mqtt.Client, _data: object, _flags: object, reason: ReasonCode, _properties: object
    ) -> None:
        if reason.is_failure:
            self._outage(f"the broker refuses {self._settings.mqtt_username}: {reason}")
            return
        # Again on every connect: the broker may have lost its sessions.
        prefix = SHARE if self._settings.ingest_share else ""
        client.subscribe([(prefix + one, 1) for one in TELEMETRY])

    def _on_subscribe(
        self, _client: mqtt.Client, _data: object, _mid: int, codes: list[ReasonCode], _properties: object
    ) -> None:
        if any(code.is_failure for code in codes):
            self._outage(f"the broker refuses the subscription: {codes[0]}")
            return
        self._tell_ready(ready=True)
        self._away = False
        log.info("connected to the broker")

    def _on_connect_fail(self, _client: mqtt.Client, _data: object) -> None:
        self._outage("the broker cannot be reached")

    def _on_disconnect(
        self, _client: mqtt.Client, _data: object, _flags: object, reason: ReasonCode, _properties: object
    ) -> None:
        # At once, not at the next connect: paho queues what is sent in between, and the next connection
        # would begin with acknowledgements of other messages that have these packet identifiers by then.
        with self._session_lock:
            self._session += 1
        self._tell_ready(ready=False)
        if reason.is_failure:
            self._outage(f"the broker is away: {reason}")

    def _tell_ready(self, *, ready: bool) -> None:
        if ready:
            self._subscribed.set()
        else:
            self._subscribed.clear()
        if file := self._settings.ingest_ready_file:
            try:
                file.touch() if ready else file.unlink(missing_ok=True)
            except OSError as error:  # an error must not end the network thread
                log.error("the ready file cannot be written: %s", error)  # noqa: TRY400 - one line

    def _outage(self, what: str) -> None:
        """One line an outage, however often the attempt is repeated."""
        if not self._away:
            self._away = True
            log.warning("%s; trying again until it is back", what)

    def _on_message(self, _client: mqtt.Client, _data: object, message: mqtt.MQTTMessage) -> None:
        received = Message(
            message.topic, bytes(message.payload), time.time_ns() // 1000, message.mid, self._session
        )
        while not self._stopping.is_set():
            try:
                self._queue.put(received, timeout=0.5)
            except queue.Full:
                continue
            return
