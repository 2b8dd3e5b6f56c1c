"""The connection of API and worker to the broker: live values, replays, desired states and commands.

paho works in a thread of its own; what it tells is handed to callbacks in that thread. The connection is kept
up and made anew by itself; an outage is one line, and so is its end.
"""

from __future__ import annotations

import logging
import queue
import secrets
import threading
from collections.abc import Callable
from typing import Any

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode
from paho.mqtt.subscribeoptions import SubscribeOptions

from insula_platform.settings import PlatformSettings
from insula_tenants.broker import BrokerRefused, BrokerUnreachable
from insula_tenants.broker.tls import broker_tls
from insula_tenants.broker.topics import LIVE_VALUES, replay_topic, tenant_of, values_topic, wanted_topic

log = logging.getLogger("insula.link")

PATIENCE = 5.0
"""Seconds that a message may take to reach the broker."""
_NO_SUBSCRIBER = 0x10


class _Forgetful(mqtt.Client):
    """What the broker did not acknowledge is the caller's to send again. paho would do so by itself after it
    has reconnected, and an old desired state would come after a newer one of another process.
    """

    def _messages_reconnect_reset_out(self) -> None:
        with self._out_message_mutex:
            self._out_messages.clear()
            self._inflight_messages = 0


class BrokerLink:
    """One connection under the login `INSULA_LIVE_MQTT_USERNAME`. Methods may be called from any thread."""

    def __init__(self, settings: PlatformSettings) -> None:
        """Nothing is connected before `start`."""
        self._address = (settings.mqtt_host, settings.mqtt_port)
        self._username = settings.live_mqtt_username
        self._five = settings.mqtt_version == "5"
        self._heard: set[str] = set()
        self._lock = threading.Lock()
        self._answers: dict[int, queue.SimpleQueue[ReasonCode | None]] = {}
        self._connected = threading.Event()
        self._away = False
        self.on_values: Callable[[str, bytes], None] = lambda _tenant, _payload: None
        """Told of each message of live values: the tenant's slug, and the payload."""
        self.on_state: Callable[[bool], None] = lambda _connected: None
        """Told when the connection is there (True) and when it is not any more (False)."""
        self._client = _Forgetful(
            CallbackAPIVersion.VERSION2,
            client_id=f"{self._username}-{secrets.token_hex(8)}",
            protocol=mqtt.MQTTv5 if self._five else mqtt.MQTTv311,
            clean_session=None if self._five else True,
        )
        password = settings.live_mqtt_password.get_secret_value() if settings.live_mqtt_password else None
        self._client.username_pw_set(self._username, password)
        if (tls := broker_tls(settings)) is not None:
            self._client.tls_set_context(tls)
        self._client.reconnect_delay_set(1, 10)
        self._client.on_connect = self._on_connect
        self._client.on_connect_fail = self._on_connect_fail
        self._client.on_disconnect = self._on_disconnect
        self._client.on_publish = self._on_publish
        self._client.on_subscribe = self._on_subscribe
        self._client.on_message = self._on_message

    @property
    def connected(self) -> bool:
        """Whether the broker is there at the moment."""
        return self._connected.is_set()

    def start(self) -> None:
        """Connect in the background; keep trying until the broker is there."""
        self._client.connect_async(*self._address, keepalive=30)
        self._client.loop_start()

    def stop(self) -> None:
        """Disconnect."""
        self._client.disconnect()
        self._client.loop_stop()
        # A circle of references would keep paho's sockets open until the garbage collector comes by.
        self._client.on_connect = self._client.on_connect_fail = self._client.on_disconnect = None
        self._client.on_publish = self._client.on_subscribe = self._client.on_message = None

    def hear(self, tenant: str) -> None:
        """Hear the tenant's values from now on, and have ingest publish them."""
        with self._lock:
            self._heard.add(tenant)
        self._client.subscribe(values_topic(tenant), qos=0)
        self.want(tenant)

    def leave(self, tenant: str) -> None:
        """Hear nothing of the tenant any more."""
        with self._lock:
            self._heard.discard(tenant)
        self._client.unsubscribe(values_topic(tenant))

    def want(self, tenant: str) -> None:
        """Say that somebody listens: ingest publishes the tenant's values for a while."""
        self._client.publish(wanted_topic(tenant), b"", qos=0)

    def replay(self, tenant: str) -> None:
        """Have ingest process the tenant's marked dead letters; returns when the broker has it for ingest.

        Raises `BrokerUnreachable` when the broker is away or has nobody to keep it for, `BrokerRefused`.
        """
        if not self.send(replay_topic(tenant), b"", wait=PATIENCE):
            raise BrokerUnreachable("no ingest service has subscribed yet: start one, then try again")

    def send(
        self,
        topic: str,
        payload: bytes,
        *,
        retain: bool = False,
        expires_in: int | None = None,
        wait: float = 0.0,
    ) -> bool:
        """Publish at QoS 1; when the broker has it, whether it has somebody to give it to or keep it for.

        `expires_in` seconds the broker may drop it (MQTT 5); `wait` is how long the connection may take. MQTT
        3.1.1 does not tell who takes it: then the answer is always True. Raises `BrokerUnreachable` when the
        broker is away or silent, and `BrokerRefused`.
        """
        if not self._connected.wait(wait):
            raise BrokerUnreachable(f"the broker at {self._where} is away: try again when it is back")
        properties = None
        if expires_in is not None and self._five:
            properties = Properties(PacketTypes.PUBLISH)  # type: ignore[no-untyped-call] # paho has no types here
            properties.MessageExpiryInterval = expires_in
        answer: queue.SimpleQueue[ReasonCode | None] = queue.SimpleQueue()
        with self._lock:  # else the answer may come before we know what to
            mid = self._client.publish(topic, payload, qos=1, retain=retain, properties=properties).mid
            self._answers[mid] = answer
        try:
            code = answer.get(timeout=PATIENCE)
        except queue.Empty:
            code = None
        finally:
            with self._lock:
                self._answers.pop(mid, None)
        if code is None:
            raise BrokerUnreachable(f"the broker at {self._where} did not answer: try again")
        if code.is_failure:
            raise BrokerRefused(f"the broker at {self._where} refused to pass it on: {code}")
        return code.value != _NO_SUBSCRIBER

    def retained(self, topic_filter: str) -> dict[str, bytes]:
        """What the broker keeps on the topics of this filter, by topic.

        Raises `BrokerUnreachable`, and `BrokerRefused` when we may not see it. One call at a time.
        """
        found: dict[str, bytes] = {}
        if not self._connected.is_set():
            raise BrokerUnreachable(f"the broker at {self._where} is away: try again when it is back")

        def keep(_client: mqtt.Client, _data: object, message: mqtt.MQTTMessage) -> None:
            if message.payload:
                found[message.topic] = bytes(message.payload)

        self._client.message_callback_add(topic_filter, keep)
        try:
            self._subscribe(topic_filter)
            # The broker hands out what it keeps before it answers to what comes after.
            self._subscribe(topic_filter, only_new=True)
        finally:
            self._client.unsubscribe(topic_filter)
            self._client.message_callback_remove(topic_filter)
        return found

    def _subscribe(self, topic_filter: str, *, only_new: bool = False) -> None:
        """Subscribe at QoS 0, and wait for the answer. `only_new`: nothing of what is kept (MQTT 5)."""
        answer: queue.SimpleQueue[ReasonCode | None] = queue.SimpleQueue()
        options: dict[str, Any] = {"qos": 0}
        if self._five and only_new:
            options = {"options": SubscribeOptions(qos=0, retainHandling=SubscribeOptions.RETAIN_DO_NOT_SEND)}
        with self._lock:
            mid = self._client.subscribe(topic_filter, **options)[1]
            if mid is not None:
                self._answers[mid] = answer
        try:
            code = answer.get(timeout=PATIENCE)
        except queue.Empty:
            code = None
        finally:
            with self._lock:
                self._answers.pop(mid or 0, None)
        if code is None:
            raise BrokerUnreachable(f"the broker at {self._where} did not answer: try again")
        if code.is_failure:
            raise BrokerRefused(f"the broker at {self._where} does not show {topic_filter}: {code}")

    @property
    def _where(self) -> str:
        return "{}:{}".format(*self._address)

    def _on_connect(
        self, client: mqtt.Client, _data: object, _flags: object, reason: ReasonCode, _properties: object
    ) -> None:
        if reason.is_failure:
            self._outage(f"the broker refuses {self._username}: {reason}")
            return
        with self._lock:
            heard = sorted(self._heard)
        for tenant in heard:
            client.subscribe(values_topic(tenant), qos=0)
            self.want(tenant)
        if self._away:
            log.info("the broker is back: live values flow again")
        self._away = False
        self._connected.set()
        self.on_state(True)

    def _on_connect_fail(self, _client: mqtt.Client, _data: object) -> None:
        self._outage(f"the broker at {self._where} cannot be reached")

    def _on_disconnect(
        self, _client: mqtt.Client, _data: object, _flags: object, reason: ReasonCode, _properties: object
    ) -> None:
        self._connected.clear()
        with self._lock:
            for answer in self._answers.values():
                answer.put(None)
        if reason.is_failure:
            self._outage(f"the broker is away: {reason}")
            self.on_state(False)

    def _outage(self, what: str) -> None:
        """One line an outage, however often the attempt is repeated."""
        if not self._away:
            self._away = True
            log.warning("%s; no live values, no replays and no commands until it is back", what)

    def _on_subscribe(
        self, _client: mqtt.Client, _data: object, mid: int, codes: list[ReasonCode], _properties: object
    ) -> None:
        self._answer(mid, codes[0])

    def _on_publish(
        self, _client: mqtt.Client, _data: object, mid: int, reason: ReasonCode, _properties: object
    ) -> None:
        self._answer(mid, reason)

    def _answer(self, mid: int, reason: ReasonCode) -> None:
        with self._lock:
            answer = self._answers.get(mid)
        if answer is not None:
            answer.put(reason)

    def _on_message(self, _client: mqtt.Client, _data: object, message: mqtt.MQTTMessage) -> None:
        if tenant := tenant_of(message.topic, LIVE_VALUES):
            self.on_values(tenant, bytes(message.payload))
