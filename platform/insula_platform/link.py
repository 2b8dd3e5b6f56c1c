"""The API's own connection to the broker: it hears live values and asks ingest for replays.

paho works in a thread of its own; what it tells is handed to callbacks in that thread. The connection is kept
up and made anew by itself; an outage is one line, and so is its end.
"""

from __future__ import annotations

import logging
import queue
import secrets
import threading
from collections.abc import Callable

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.reasoncodes import ReasonCode

from insula_platform.settings import PlatformSettings
from insula_tenants.broker import BrokerRefused, BrokerUnreachable
from insula_tenants.broker.tls import broker_tls
from insula_tenants.broker.topics import LIVE_VALUES, replay_topic, tenant_of, values_topic, wanted_topic

log = logging.getLogger("insula.link")

PATIENCE = 5.0
"""Seconds that a replay may take to reach the broker."""
_NO_SUBSCRIBER = 0x10


class BrokerLink:
    """One connection under the login `INSULA_LIVE_MQTT_USERNAME`. Methods may be called from any thread."""

    def __init__(self, settings: PlatformSettings) -> None:
        """Nothing is connected before `start`."""
        self._address = (settings.mqtt_host, settings.mqtt_port)
        self._username = settings.live_mqtt_username
        self._five = settings.mqtt_version == "5"
        self._heard: set[str] = set()
        self._lock = threading.Lock()
        self._answers: dict[int, queue.SimpleQueue[ReasonCode]] = {}
        self._connected = threading.Event()
        self._away = False
        self.on_values: Callable[[str, bytes], None] = lambda _tenant, _payload: None
        """Told of each message of live values: the tenant's slug, and the payload."""
        self.on_state: Callable[[bool], None] = lambda _connected: None
        """Told when the connection is there (True) and when it is not any more (False)."""
        self._client = mqtt.Client(
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
        self._client.on_publish = self._client.on_message = None

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
        if not self._connected.wait(PATIENCE):
            raise BrokerUnreachable(f"the broker at {self._where} is away: try again when it is back")
        answer: queue.SimpleQueue[ReasonCode] = queue.SimpleQueue()
        with self._lock:  # else the answer may come before we know what to
            mid = self._client.publish(replay_topic(tenant), b"", qos=1).mid
            self._answers[mid] = answer
        try:
            code = answer.get(timeout=PATIENCE)
        except queue.Empty:
            raise BrokerUnreachable(f"the broker at {self._where} did not answer: try again") from None
        finally:
            with self._lock:
                self._answers.pop(mid, None)
        if code.is_failure:
            raise BrokerRefused(f"the broker at {self._where} refused to pass it on to ingest: {code}")
        if code.value == _NO_SUBSCRIBER:
            raise BrokerUnreachable("no ingest service has subscribed yet: start one, then try again")

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
        if reason.is_failure:
            self._outage(f"the broker is away: {reason}")
            self.on_state(False)

    def _outage(self, what: str) -> None:
        """One line an outage, however often the attempt is repeated."""
        if not self._away:
            self._away = True
            log.warning("%s; no live values and no replays until it is back", what)

    def _on_publish(
        self, _client: mqtt.Client, _data: object, mid: int, reason: ReasonCode, _properties: object
    ) -> None:
        with self._lock:
            answer = self._answers.get(mid)
        if answer is not None:
            answer.put(reason)

    def _on_message(self, _client: mqtt.Client, _data: object, message: mqtt.MQTTMessage) -> None:
        if tenant := tenant_of(message.topic, LIVE_VALUES):
            self.on_values(tenant, bytes(message.payload))
