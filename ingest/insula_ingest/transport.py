"""MQTT in: one paho client, a persistent session, and acknowledgements by hand.

The broker keeps every message until it is acknowledged, through crashes of this process and its own
restarts. What is in flight is bounded twice: in number, by the receive maximum that the broker is told
(MQTT 3.1.1 has none: there nothing is read while so many are in flight), and in bytes, by not reading on,
so that TCP holds the broker back.

MQTT's keep-alive is off. While nothing is read, its answer would wait behind the messages and the connection
would be given up for lost. TCP's own keep-alive tells of a broker that is gone.
"""

from __future__ import annotations

import logging
import select
import socket
import threading
from collections import deque
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import Any

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from insula_ingest.connection import MessageClient, MessageSocket
from insula_ingest.messages import Message
from insula_ingest.packets import PacketSplitter
from insula_ingest.settings import IngestSettings
from insula_tenants.broker.tls import broker_tls
from insula_tenants.errors import ConfigurationError
from insula_tenants.telemetry.write import MAX_KEPT_PAYLOAD

log = logging.getLogger(__name__)

TELEMETRY = ("tenants/+/devices/+/telemetry", "tenants/+/devices/+/children/+/telemetry")
SHARE = "$share/ingest/"
_NEVER_EXPIRES = 0xFFFFFFFF
_ENVELOPE = 2 * 65_535 + 16
"""Bytes of a PUBLISH besides its payload, at most: a topic and properties."""
_RECONNECT_FROM, _RECONNECT_TO = 0.1, 5.0
_MOST_TO_SEND = 256
"""Messages that wait to be sent, when the broker takes them slowly."""

Handler = Callable[[Message], None]
"""Takes a message of another kind, in the network thread: it must be quick, and acknowledges by itself."""


class MqttSource:
    """The messages of all tenants, each acknowledged only when `acknowledge` is called."""

    def __init__(self, settings: IngestSettings) -> None:
        """Nothing is connected before `start`. `ConfigurationError` for settings that would lose messages."""
        if settings.ingest_share and settings.broker_access == "x509":
            msg = (
                "INSULA_INGEST_SHARE is true while INSULA_BROKER_ACCESS is x509: a device could join "
                "the shared subscription and drop its share. Run one ingest process, without sharing"
            )
            raise ConfigurationError(msg)
        self._settings = settings
        self._five = settings.mqtt_version == "5"
        self._client = self._make_client()
        shared = [SHARE + each for each in TELEMETRY]
        self._filters, self._others = (
            (shared, list(TELEMETRY)) if settings.ingest_share else (list(TELEMETRY), shared)
        )
        self._handlers: dict[str, Handler] = {}
        self._optional: list[str] = []
        self._optional_mid: int | None = None
        self._session = 0
        self._chunks: deque[list[Message]] = deque()
        self._received = threading.Condition()
        self._in_flight = self._bytes = self._acknowledged = 0
        self._to_send: deque[tuple[str, bytes]] = deque()
        self._acks: deque[tuple[int, int]] = deque()
        """Session and packet identifier."""
        self._away = self._connected = False
        self._subscribed = threading.Event()
        self._stopping = threading.Event()
        self._wakes, self._waker = socket.socketpair()
        self._wakes.setblocking(False)
        self._waker.setblocking(False)
        self._thread = threading.Thread(target=self._run, name="mqtt", daemon=True)

    def handle(self, topic_filter: str, prefix: str, handler: Handler) -> None:
        """Before `start`: subscribe to `topic_filter` too; what begins with `prefix` goes to `handler`.

        Telemetry never does.
        """
        self._filters.append(topic_filter)
        self._handlers[prefix] = handler

    def handle_if_allowed(self, topic_filter: str, prefix: str, handler: Handler) -> None:
        """`handle` at QoS 0 for what a broker may not have, or not give us: then it is done without."""
        self._optional.append(topic_filter)
        self._handlers[prefix] = handler

    def handle_shared(self, topic_filters: Iterable[str], prefix: str, handler: Handler) -> None:
        """`handle` for what one of the ingest processes is to take, where there are several."""
        for topic_filter in topic_filters:
            filters = SHARE + topic_filter, topic_filter
            wanted, other = filters if self._settings.ingest_share else filters[::-1]
            self.handle(wanted, prefix, handler)
            self._others.append(other)

    def start(self) -> None:
        """Connect in the background; keep trying until the broker is there."""
        self._tell_ready(ready=False)  # a process that was killed left its file
        host, port = self._settings.mqtt_host, self._settings.mqtt_port
        if self._five:
            properties = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call] # paho has no types here
            properties.SessionExpiryInterval = _NEVER_EXPIRES
            properties.ReceiveMaximum = self._settings.ingest_receive_maximum
            self._client.connect_async(host, port, keepalive=0, clean_start=False, properties=properties)
        else:
            self._client.connect_async(host, port, keepalive=0)
        self._thread.start()

    def wait_subscribed(self, timeout: float) -> bool:
        """Whether the subscription stands within `timeout` seconds."""
        return self._subscribed.wait(timeout)

    def take(self, timeout: float) -> list[Message]:
        """What has arrived, in order of receipt; empty when nothing came within `timeout` seconds."""
        with self._received:
            if not self._chunks:
                self._received.wait(timeout)
            chunks, self._chunks = self._chunks, deque()
        return [message for chunk in chunks for message in chunk]

    @property
    def in_flight(self) -> int:
        """Messages that were received and not acknowledged."""
        return self._in_flight

    @property
    def bytes_in_flight(self) -> int:
        """Their payloads' bytes."""
        return self._bytes

    @property
    def is_full(self) -> bool:
        """Whether no more is taken in before something is acknowledged."""
        return (
            self._in_flight >= self._settings.ingest_receive_maximum
            or self._bytes >= self._settings.ingest_memory_bytes
        )

    @property
    def acknowledged(self) -> int:
        """Messages that were acknowledged since the start."""
        return self._acknowledged

    @property
    def is_behind(self) -> bool:
        """Whether messages are likely to wait: at the broker, for want of room here, or at devices that have
        no broker.
        """
        return (
            not self._subscribed.is_set()
            or self._in_flight >= 0.9 * self._settings.ingest_receive_maximum
            or self.is_full
        )

    def acknowledge(self, messages: Iterable[Message]) -> None:
        """Tell the broker that these are stored.

        Messages of an earlier connection are passed over: the broker has sent or will send them again, and
        their packet identifiers may belong to others by now.
        """
        count = size = 0
        acks = []
        for _, payload, _, _, mid, session in messages:
            count += 1
            size += len(payload)
            if mid:
                acks.append((session, mid))
        self._acks.extend(acks)
        with self._received:
            self._in_flight -= count
            self._acknowledged += count
            self._bytes -= size
        self._wake()

    def publish(self, topic: str, payload: bytes) -> bool:
        """Send a message at QoS 0, from any thread; lost when the broker is away.

        False, and not sent, when too many wait already.
        """
        if len(self._to_send) >= _MOST_TO_SEND:
            return False
        self._to_send.append((topic, payload))
        self._wake()
        return True

    def stop(self) -> None:
        """Send the acknowledgements and disconnect; the broker keeps the session and all that is left."""
        self._stopping.set()
        self._wake()
        if self._thread.is_alive():
            self._thread.join()
        self._wakes.close()
        self._waker.close()

    def _make_client(self) -> MessageClient:
        settings = self._settings
        client = MessageClient(
            CallbackAPIVersion.VERSION2,
            client_id=settings.ingest_client_id,
            protocol=mqtt.MQTTv5 if self._five else mqtt.MQTTv311,
            clean_session=None if self._five else False,
            manual_ack=True,
        )
        password = settings.mqtt_password.get_secret_value() if settings.mqtt_password else None
        client.username_pw_set(settings.mqtt_username, password)
        client.tls = broker_tls(settings)
        client.on_connect = self._on_connect
        client.on_disconnect = self._on_disconnect
        client.on_subscribe = self._on_subscribe
        client.new_splitter = self._new_splitter
        # With somebody to tell, paho queues what it is given instead of sending each packet at once.
        client.on_socket_register_write = lambda _client, _data, _socket: None
        return client

    def _new_splitter(self) -> PacketSplitter:
        return PacketSplitter(
            properties=self._five,
            most=self._settings.ingest_max_payload_bytes + _ENVELOPE,
            kept=MAX_KEPT_PAYLOAD + _ENVELOPE,
            session=self._session,
        )

    def _run(self) -> None:
        delay = _RECONNECT_FROM
        while not self._stopping.is_set():
            try:
                self._client.reconnect()
            except OSError as error:
                self._outage(f"the broker cannot be reached: {error.strerror or error}")
            else:
                self._serve_whatever_comes()
                if self._subscribed.is_set():
                    delay = _RECONNECT_FROM
                self._lost()
            self._stopping.wait(delay)
            delay = min(delay * 2, _RECONNECT_TO)

    def _serve_whatever_comes(self) -> None:
        try:
            self._serve()
        except Exception:  # this thread must not end: nobody would notice
            log.exception("the connection to the broker is given up")

    def _serve(self) -> None:
        """Read, acknowledge and write until the connection ends."""
        client, link = self._client, self._client.link
        if link is None:
            return
        flushed = True
        while self._is_open(link):
            paused = self._is_paused()
            reading: list[Any] = [self._wakes]
            if link.writing_waits_to_read or not paused:
                reading.append(link)
            to_send = not flushed and not link.writing_waits_to_read
            writing = [link] if to_send or client.want_write() or link.reading_waits_to_write else []
            readable, writable, _ = select.select(reading, writing, [], 1.0)
            if self._wakes in readable:
                self._wakes.recv(4096)
            if (link in readable and not paused) or (link.reading_waits_to_write and writable):
                self._hand_over(link.receive())
            while link.pending() and self._is_open(link):
                client.loop_read()
            link.acknowledge(self._mids_to_acknowledge())
            if flushed and self._connected:
                self._send_what_waits()
            if self._stopping.is_set():
                client.disconnect()
            client.loop_write()
            flushed = link.flush()
            client.loop_misc()

    def _is_open(self, link: MessageSocket) -> bool:
        return self._client.link is link and self._client.socket() is not None

    def _send_what_waits(self) -> None:
        for _ in range(len(self._to_send)):
            topic, payload = self._to_send.popleft()
            self._client.publish(topic, payload)

    def _is_paused(self) -> bool:
        return self._connected and self.is_full  # before that, it is the broker's answer that is waited for

    def _mids_to_acknowledge(self) -> list[int]:
        acks = [self._acks.popleft() for _ in range(len(self._acks))]
        return [mid for session, mid in acks if session == self._session]

    def _hand_over(self, arrived: list[Message]) -> None:
        if not arrived:
            return
        telemetry = [message for message in arrived if message.topic.endswith("/telemetry")]
        with self._received:
            self._in_flight += len(arrived)
            self._bytes += sum(len(message.payload) for message in arrived)
            self._chunks.append(telemetry)
            self._received.notify()
        if len(telemetry) < len(arrived):
            for message in arrived:
                if not message.topic.endswith("/telemetry"):
                    self._handle(message)

    def _handle(self, message: Message) -> None:
        for prefix, handler in self._handlers.items():
            if message.topic.startswith(prefix):
                handler(message)
                return
        log.warning("a message on %s, which nobody takes; dropped", message.topic)
        self.acknowledge([message])

    def _wake(self) -> None:
        with suppress(BlockingIOError, OSError):
            self._waker.send(b"\0")

    def _on_connect(
        self, client: mqtt.Client, _data: object, _flags: object, reason: ReasonCode, _properties: object
    ) -> None:
        if reason.is_failure:
            self._outage(f"the broker refuses {self._settings.mqtt_username}: {reason}")
            return
        self._connected = True
        # Again on every connect: the broker may have lost its sessions.
        client.subscribe([(each, 1) for each in self._filters])
        if self._optional:
            _, self._optional_mid = client.subscribe([(each, 0) for each in self._optional])
        if self._five:
            # The session may have them from before INSULA_INGEST_SHARE was changed, and each message would
            # come twice. After the subscription, so that there is no moment without one.
            client.unsubscribe(self._others)

    def _on_subscribe(
        self, _client: mqtt.Client, _data: object, mid: int, codes: list[ReasonCode], _properties: object
    ) -> None:
        if mid == self._optional_mid:
            return
        if any(code.is_failure for code in codes):
            self._outage(f"the broker refuses the subscription: {codes[0]}")
            return
        self._tell_ready(ready=True)
        self._away = False
        log.info("connected to the broker")

    def _on_disconnect(
        self, _client: mqtt.Client, _data: object, _flags: object, reason: ReasonCode, _properties: object
    ) -> None:
        if reason.is_failure and not self._stopping.is_set():
            self._outage(f"the broker is away: {reason}")

    def _lost(self) -> None:
        # What is acknowledged from here on belongs to no connection: the next one gives the same packet
        # identifiers to other messages.
        self._session += 1
        self._to_send.clear()
        self._connected = False
        self._tell_ready(ready=False)

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
