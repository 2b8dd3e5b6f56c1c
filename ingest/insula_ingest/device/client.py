"""A device on the broker: connect, publish, know that it arrived, and do as it is told.

    with Device("acme", "room-1-temperature", password="…", host="127.0.0.1", port=1883) as device:
        device.publish({"temperature": 21.5})

Readings, and what it reports of its state, go out at QoS 1 and wait in a bounded queue while the broker is
away, on disk when asked; the connection comes back by itself, and what the broker may have lost is sent
again. `tenants/{tenant}/devices/{device}/status` says `online` or, by the last will, `offline`. `on_desired`
and `on_command` are how the platform speaks to the device.
"""

from __future__ import annotations

import logging
import os
import re
import ssl
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from insula_ingest.device.certificate import Certificate, Renewal
from insula_ingest.device.disk import DiskBuffer, Outgoing
from insula_ingest.device.errors import (
    DeviceError,
    DeviceRefusedError,
    PublishRefusedError,
    UnacknowledgedError,
)
from insula_ingest.device.inbox import CommandHandler, DesiredHandler, Inbox
from insula_ingest.device.payload import Record, Value, encode_record, encode_records, encode_report
from insula_ingest.device.sent import Sent, SentMessages

log = logging.getLogger(__name__)

PASSWORD_VARIABLE = "INSULA_DEVICE_PASSWORD"  # noqa: S105 - the variable's name
"""Environment variable that holds the password when the program gives none."""

Protocol = Literal["5", "3.1.1"]
"""MQTT 5, or 3.1.1 for a broker that knows no better; there it cannot say that it refused a message."""

_PROTOCOLS = {"5": mqtt.MQTTv5, "3.1.1": mqtt.MQTTv311}
_SLUG = re.compile(r"[a-z][a-z0-9-]{1,38}[a-z0-9]")
_KEEPALIVE = 30
"""Seconds of silence after which either side looks whether the other is still there."""
_SESSION_EXPIRY = 24 * 3600
"""Seconds for which the broker keeps the session of a device that is away."""
_FIRST_ATTEMPT = 15.0
"""Seconds to wait for the outcome of the first attempt to connect."""
_IN_FLIGHT = 100
"""Messages sent and not yet acknowledged, unless the broker allows fewer (its Receive Maximum)."""
_TRY_LATER = {0x88, 0x89, 0x97, 0x9F}
"""Reasons of a CONNACK that pass by themselves: server unavailable, busy, quota exceeded, rate exceeded."""
_SESSION_TAKEN_OVER = 0x8E
_NO_MATCHING_SUBSCRIBERS = 0x10
_TRY_AGAIN = 1.0
"""Seconds after which a message that nobody took is sent again."""
_SHORT = 5.0
"""Seconds; a connection lost sooner than this makes one suspect a second program of the same name."""


class Device:
    """One device's connection. Use it as a context manager; every method may be called from any thread."""

    def __init__(
        self,
        tenant: str,
        device: str,
        *,
        username: str | None = None,
        password: str | None = None,
        host: str = "127.0.0.1",
        port: int = 1883,
        tls: ssl.SSLContext | None = None,
        certificate: Certificate | None = None,
        renew_at: str | None = None,
        protocol: Protocol = "5",
        queue_limit: int = 10_000,
        buffer: Path | str | None = None,
        on_refused: Callable[[DeviceError], None] | None = None,
    ) -> None:
        """Nothing is connected before the `with` block (or `open`).

        `password` falls back to the environment variable INSULA_DEVICE_PASSWORD. `queue_limit` counts
        messages: when that many wait, each new one pushes out the oldest, and `dropped` counts them.
        `on_refused` is called, on the network thread, with each refusal of a message or of a later
        connection. `ValueError` names the argument that is wrong.

        `username` is that of a login made later, `{tenant}/{device}/2`; without one it is the first's,
        `{tenant}/{device}`. The client id is `{tenant}/{device}` with all of them: the broker takes no other,
        and so a device has one connection.

        With a `certificate` there is no password; it is renewed at the URL `renew_at` in time, if that is
        given. `buffer` is the path of a file that keeps what waits, for a device that may be switched off
        meanwhile: it is used as long as the device is open, by one program at a time.
        """
        _check_slugs(tenant, device)
        if certificate is not None:
            secret, tls = None, certificate.context()
        else:
            secret = _secret(f"{tenant}/{device}", password)
        self.name = f"{tenant}/{device}"
        """`{tenant}/{device}`, which is also the MQTT client id."""
        self.username = _login(self.name, username)
        self.dropped = 0
        """Messages pushed out of the full queue, unsent, since the start."""
        self._address = (host, port)
        self._protocol = _PROTOCOLS[protocol]
        self._own = f"tenants/{tenant}/devices/{device}/"
        self._status_topic = f"{self._own}status"
        self._queue_limit = queue_limit
        self._on_refused = on_refused

        # paho calls back with a lock of its own held, so this one is never held while calling paho.
        self._changed = threading.Condition()
        self._queue: deque[Outgoing] = deque()
        self._again: deque[Outgoing] = deque()
        """Goes out before the queue, and counts for no limit: it was accepted once."""
        self._sent: SentMessages[Outgoing] = SentMessages(self._forget)
        self._on_their_way: dict[int, Sent[Outgoing]] = {}
        """By packet identifier."""
        self._answered: dict[int, ReasonCode] = {}
        """Answers that came before `publish` told the packet identifier."""
        self._status_mids: set[int] = set()
        self._patience: threading.Timer | None = None
        self._status: bytes | None = None
        self._in_flight = 0
        self._resuming = False
        """Readings wait: what an earlier connection had on its way goes first."""
        self._window = _IN_FLIGHT
        self._sending = False
        self._state: Literal["new", "away", "connected", "ousted", "closed"] = "new"
        self._trouble = "not connected yet"
        self._attempted = False
        self._since = 0.0
        self._refusal: DeviceRefusedError | None = None
        self._refused_messages = 0
        self._refused_reason = ""
        self._refusing = False
        self._buffer_path = Path(buffer) if buffer is not None else None
        self._buffer: DiskBuffer | None = None
        self._inbox = Inbox(self.name, self._send_result)
        self._renewal: Renewal | None = None
        if certificate is not None and renew_at is not None and tls is not None:
            self._renewal = Renewal(certificate, renew_at, tls, self._tell)
        self._client = self._make_client(secret, tls)

    def _make_client(self, password: str | None, tls: ssl.SSLContext | None) -> mqtt.Client:
        client = mqtt.Client(
            CallbackAPIVersion.VERSION2,
            client_id=self.name,
            clean_session=None if self._protocol == mqtt.MQTTv5 else False,
            protocol=self._protocol,
            manual_ack=True,
        )
        if password is not None:
            client.username_pw_set(self.username, password)
        if tls is not None:
            client.tls_set_context(tls)
        client.will_set(self._status_topic, b"offline", qos=1, retain=True)
        client.reconnect_delay_set(min_delay=1, max_delay=60)
        client.max_inflight_messages_set(0)  # `_take` keeps the window, and knows what the broker allows
        client.on_connect = self._connected
        client.on_connect_fail = self._unreachable
        client.on_disconnect = self._disconnected
        client.on_publish = self._acknowledged
        client.on_message = self._arrived
        return client

    def __enter__(self) -> Self:
        """Connect; see `open`."""
        self.open()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Close; an error of the closing is only logged when the block itself has failed."""
        try:
            self.close()
        except DeviceError as lost:
            if error is None:
                raise
            log.warning("%s", lost)

    def open(self) -> None:
        """Connect, and keep connected until `close`.

        `DeviceRefusedError` when the broker refuses this device. A broker that cannot be reached is no error:
        readings are kept, and sent when it is there. What an earlier program left in the buffer goes first;
        `DeviceError` when the buffer cannot be used.
        """
        if self._buffer_path is not None and self._buffer is None:
            self._buffer = DiskBuffer(self._buffer_path)
            self._queue.extendleft(reversed(self._buffer.load()))
            self._inbox.remember(self._buffer.results())
        self._inbox.start()
        if self._renewal is not None:
            self._renewal.start()
        properties = None
        if self._protocol == mqtt.MQTTv5:
            properties = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]  # paho leaves it bare
            properties.SessionExpiryInterval = _SESSION_EXPIRY
        host, port = self._address
        self._client.connect_async(host, port, keepalive=_KEEPALIVE, clean_start=False, properties=properties)
        self._client.loop_start()
        with self._changed:
            self._changed.wait_for(lambda: self._attempted, _FIRST_ATTEMPT)
            if not self._attempted:
                hint = "; without MQTT 5 it needs protocol='3.1.1'" if self._protocol == mqtt.MQTTv5 else ""
                self._away(f"{host}:{port} does not answer{hint}")
            refusal = self._refusal
        if refusal is not None:
            self._leave()
            raise refusal

    def close(self, timeout: float = 10.0) -> None:
        """Wait up to `timeout` seconds for the outstanding acknowledgements, say `offline`, disconnect.

        `UnacknowledgedError`, or a refusal, when something published has not arrived; closed it is anyway.
        """
        if self._state == "closed":
            return
        self._inbox.stop(timeout)
        try:
            self.flush(timeout)
        finally:
            with self._changed:
                if self._state == "connected":
                    self._status = b"offline"
            self._send()
            with self._changed:
                self._changed.wait_for(lambda: self._status is None and not self._in_flight, 1.0)
            self._leave()

    def publish(self, values: Mapping[str, Value], *, at: datetime | None = None) -> None:
        """Send values by point name, measured `at` an aware time (now, when absent).

        Returns at once; `flush` waits for the acknowledgement. `ValueError` when a value cannot be sent,
        `DeviceError` when the device is not open.
        """
        self._enqueue("telemetry", encode_record((at or datetime.now(UTC), values)))

    def publish_many(self, records: Iterable[Record]) -> None:
        """Send several records, `(time, values)`, in one message; otherwise as `publish`."""
        self._enqueue("telemetry", encode_records(records))

    def report(self, state: Mapping[str, Any]) -> None:
        """Say what of the device's state is new: merged into what is known, null removes (RFC 7396).

        Returns at once, as `publish`. `ValueError` when it is nothing that JSON can say, or too much.
        """
        self._enqueue("attributes", encode_report(state))

    def on_desired(self, handler: DesiredHandler) -> DesiredHandler:
        """Before `open`: call this with the state that the device is to have, now and when it changes.

        A decorator as well. Handlers are called one after the other, in a thread of their own; what one
        raises is logged, and the state comes again with the next connection.
        """
        self._inbox.on_desired(handler)
        return handler

    def on_command(self, name: str) -> Callable[[CommandHandler], CommandHandler]:
        """Before `open`, a decorator: do commands of this name with that function.

        It gets the command's payload; what it returns, anything that JSON can say, is the result. What it
        raises makes the command fail. A command that comes twice is done once.
        """

        def register(handler: CommandHandler) -> CommandHandler:
            self._inbox.on_command(name, handler)
            return handler

        return register

    @property
    def unacknowledged(self) -> int:
        """Messages that the broker has not acknowledged: waiting, or on their way."""
        with self._changed:
            return self._outstanding()

    def flush(self, timeout: float, *, down_to: int = 0) -> None:
        """Wait until at most `down_to` messages are unacknowledged.

        `UnacknowledgedError` when that takes longer than `timeout` seconds, `PublishRefusedError` when the
        broker refused messages since the last flush, `DeviceRefusedError` when it now refuses the device.
        """
        with self._changed:
            self._changed.wait_for(
                lambda: self._outstanding() <= down_to or self._refusal or self._refused_messages, timeout
            )
            if self._refusal is not None:
                raise self._refusal
            if self._refused_messages:
                count, self._refused_messages = self._refused_messages, 0
                raise PublishRefusedError(self.name, self._refused_reason, count)
            if (count := self._outstanding()) > down_to:
                raise UnacknowledgedError(self.name, count, self._trouble or "no answer in time")

    def _outstanding(self) -> int:
        waiting = len(self._queue) + len(self._again) + self._sent.returned
        return waiting + self._in_flight + (self._status is not None)

    def _send_result(self, command: str, result: bytes) -> None:
        self._enqueue(f"commands/{command}/result", result, command=command)

    def _forget(self, messages: Iterable[Outgoing]) -> None:
        if self._buffer is not None:
            self._buffer.forget(messages)

    def _enqueue(self, leaf: str, payload: bytes, *, command: str | None = None) -> None:
        with self._changed:
            if self._state == "ousted" and self._refusal is not None:
                raise self._refusal
            if self._state in ("new", "closed"):
                msg = f"device {self.name} is not open: publish inside its `with` block"
                raise DeviceError(msg)
            if len(self._queue) >= self._queue_limit:
                self._forget([self._queue.popleft()])
                if not self.dropped:
                    waiting = len(self._queue) + 1
                    log.error("%s: %d messages wait: dropping the oldest from now on", self.name, waiting)
                self.dropped += 1
            if self._buffer is not None:
                self._queue.append(self._buffer.add(leaf, payload, command=command))
            else:
                self._queue.append(Outgoing(leaf, payload))
        self._send()

    def _send(self) -> None:
        """Hand over to paho, in order, what the window has room for; one thread at a time."""
        while (message := self._take()) is not None:
            topic, payload, sent = message
            try:
                mid = self._client.publish(topic, payload, qos=1, retain=sent is None).mid
                self._handed_over(mid, sent)
            finally:
                with self._changed:
                    self._sending = False

    def _take(self) -> tuple[str, bytes, Sent[Outgoing] | None] | None:
        with self._changed:
            if self._sending or self._state != "connected" or self._in_flight >= self._window:
                return None
            message: tuple[str, bytes, Sent[Outgoing] | None]
            if self._status is not None:
                message, self._status = (self._status_topic, self._status, None), None
            elif (waiting := self._again or self._queue) and self._patience is None and not self._resuming:
                first = waiting.popleft()
                sent = self._sent.add(first, time.monotonic())
                message = (self._own + first.leaf, first.payload, sent)
            else:
                return None
            self._sending = True
            self._in_flight += 1
            return message

    def _handed_over(self, mid: int, sent: Sent[Outgoing] | None) -> None:
        with self._changed:
            if sent is None:
                self._status_mids.add(mid)
            else:
                self._on_their_way[mid] = sent
            answer = self._answered.pop(mid, None)
        if answer is not None:
            self._settle(mid, answer)

    def _leave(self) -> None:
        with self._changed:
            self._state = "closed"
            if self._patience is not None:
                self._patience.cancel()
        if self._renewal is not None:
            self._renewal.stop()
        self._client.disconnect()
        self._client.loop_stop()
        with self._changed:
            if self._buffer is not None:
                self._buffer.close()
                self._buffer = None

    # What follows runs on paho's thread.

    def _connected(
        self,
        client: mqtt.Client,
        _userdata: object,
        _flags: mqtt.ConnectFlags,
        reason: ReasonCode,
        properties: Properties | None,
    ) -> None:
        if reason.is_failure:
            self._connection_refused(reason)
            return
        if self._state == "closed":  # `close` came while paho was connecting
            client.disconnect()
            return
        with self._changed:
            if self._state == "away":
                log.info("%s is connected; %d messages to send", self.name, self._outstanding())
            self._state, self._trouble, self._refusal, self._attempted = "connected", "", None, True
            self._since = time.monotonic()
            # A broker that says nothing allows 65 535 (MQTT 5, 3.2.2.3.3).
            self._window = min(_IN_FLIGHT, getattr(properties, "ReceiveMaximum", _IN_FLIGHT))
            self._status = b"online"
            # After this, paho repeats what was on its way. A reading sent now would come before that, and
            # what it corrects would be the last to arrive. One that a thread is just handing over may do so
            # anyway: then all are sent again.
            self._resuming = self._in_flight > 0
            # At once, not after those: their answers prove nothing of what the broker acknowledged before.
            self._again.extendleft(reversed(self._sent.take_all(out_of_order=self._sending)))
            self._changed.notify_all()
        if leaves := self._inbox.leaves:
            client.subscribe([(self._own + leaf, 1) for leaf in leaves])
        self._send()

    def _arrived(self, client: mqtt.Client, _userdata: object, message: mqtt.MQTTMessage) -> None:
        def acknowledge() -> None:
            client.ack(message.mid, message.qos)

        self._inbox.receive(message.topic.removeprefix(self._own), bytes(message.payload), acknowledge)

    def _connection_refused(self, reason: ReasonCode) -> None:
        if reason.value in _TRY_LATER:
            self._away(f"the broker answers but is not ready: {reason}")
            return
        hint = "set protocol='3.1.1'" if "rotocol" in str(reason) else "check tenant, device and password"
        self._refuse(f"the broker refused the connection of {self.name}: {reason} ({hint})")

    def _unreachable(self, _client: mqtt.Client, _userdata: object) -> None:
        host, port = self._address
        # paho calls this from its `except OSError` and passes no error on.
        error = sys.exc_info()[1]
        if isinstance(error, ssl.SSLCertVerificationError):
            self._refuse(f"the certificate of {host}:{port} is not trusted: {error.verify_message}")
        else:
            self._away(f"cannot reach {host}:{port}: {error or 'no connection'}")

    def _disconnected(
        self,
        client: mqtt.Client,
        _userdata: object,
        flags: mqtt.DisconnectFlags,
        reason: ReasonCode,
        _properties: Properties | None,
    ) -> None:
        told = flags.is_disconnect_packet_from_server
        if told and reason.value == _SESSION_TAKEN_OVER:
            # To come back would oust the other in turn, for ever.
            message = f"another program has connected as {self.name}: run one program per device"
            self._refuse(message, "ousted")
            client.disconnect()
        elif told:
            self._away(f"the broker ended the connection: {reason}")
        elif self._state == "connected":
            # Not every broker says why it hangs up on the older of two programs.
            brief = time.monotonic() - self._since < _SHORT
            hint = f"; is another program {self.name}, too?" if brief else ""
            self._away(f"the connection was lost{hint}")
        elif self._state == "new":
            self._away("the broker hung up without an answer")

    def _acknowledged(
        self,
        _client: mqtt.Client,
        _userdata: object,
        message_id: int,
        reason: ReasonCode,
        _properties: Properties,
    ) -> None:
        with self._changed:
            if message_id not in self._on_their_way and message_id not in self._status_mids:
                self._answered[message_id] = reason
                return
        self._settle(message_id, reason)
        self._send()

    def _settle(self, mid: int, reason: ReasonCode) -> None:
        with self._changed:
            sent = self._on_their_way.pop(mid, None)
            self._status_mids.discard(mid)
            self._in_flight -= 1
            self._resuming = self._resuming and self._in_flight > 0
            first, self._refusing = reason.is_failure and not self._refusing, reason.is_failure
            if reason.is_failure:
                self._refused_messages += 1
                self._refused_reason = str(reason)
            if sent is not None:
                self._settle_reading(sent, reason)
            self._changed.notify_all()
        if first:
            log.error("%s: the broker refuses its messages: %s", self.name, reason)
        if reason.is_failure:
            self._tell(PublishRefusedError(self.name, str(reason), 1))

    def _settle_reading(self, sent: Sent[Outgoing], reason: ReasonCode) -> None:
        if reason.is_failure:
            self._sent.refuse(sent)
        elif reason.value == _NO_MATCHING_SUBSCRIBERS:
            self._sent.give_back(sent)
            if self._patience is None:
                if not self._trouble:
                    log.warning("%s: nobody takes its readings; they are kept", self.name)
                self._trouble = "nobody takes its readings: is ingest connected to this broker?"
                self._patience = threading.Timer(_TRY_AGAIN, self._try_again)
                self._patience.daemon = True
                self._patience.start()
        else:
            self._sent.acknowledge(sent, time.monotonic())
            self._trouble = ""

    def _try_again(self) -> None:
        with self._changed:
            self._patience = None
            self._again.extendleft(reversed(self._sent.take_returned()))
        self._send()

    def _away(self, trouble: str) -> None:
        with self._changed:
            if self._state == "closed" or self._refusal is not None:
                return
            if self._state != "away":
                log.warning("%s: %s; readings are kept until it is back", self.name, trouble)
            self._state, self._trouble, self._attempted = "away", trouble, True
            self._changed.notify_all()

    def _refuse(self, message: str, state: Literal["away", "ousted"] = "away") -> None:
        error = DeviceRefusedError(message)
        with self._changed:
            # The first attempt's refusal is raised by `open`, and one that repeats itself is told once.
            told = not self._attempted or self._refusal is not None
            self._state, self._trouble, self._attempted, self._refusal = state, message, True, error
            self._changed.notify_all()
        if not told:
            log.error("%s", message)
            self._tell(error)

    def _tell(self, error: DeviceError) -> None:
        if self._on_refused is None:
            return
        try:
            self._on_refused(error)
        except Exception:
            log.exception("%s: on_refused failed", self.name)


def _check_slugs(tenant: str, device: str) -> None:
    for field, value in (("tenant", tenant), ("device", device)):
        if not _SLUG.fullmatch(value):
            msg = (
                f"{field} {value!r} is no slug: use 3 to 40 lower-case letters, digits and hyphens, "
                "starting with a letter"
            )
            raise ValueError(msg)


def _secret(name: str, password: str | None) -> str:
    secret = password if password is not None else os.environ.get(PASSWORD_VARIABLE)
    if not secret:
        msg = f"device {name} has no password: give password=…, or set {PASSWORD_VARIABLE}"
        raise ValueError(msg)
    return secret


def _login(name: str, username: str | None) -> str:
    if username is not None and username != name and not re.fullmatch(rf"{name}/[1-9][0-9]*", username):
        msg = f"username {username!r} is no login of {name}: use a name like {name}/2"
        raise ValueError(msg)
    return name if username is None else username
