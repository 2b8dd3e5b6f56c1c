"""An MQTT client that waits for each answer and tells what it was."""

from __future__ import annotations

import itertools
import queue
import ssl
import time
from typing import Any, Literal, NamedTuple, Self

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from tests.waiting import eventually

PATIENCE = 10.0


class Received(NamedTuple):
    """A message as it arrived."""

    topic: str
    payload: str


class MqttClient:
    """One client with one connection; close it, or use it as a context."""

    def __init__(
        self,
        port: int,
        username: str | None,
        password: str | None,
        *,
        protocol: Literal["5", "3.1.1"] = "5",
        client_id: str | None = None,
        persistent: bool = False,
        acknowledge: bool = True,
        will: tuple[str, str] | None = None,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self.port = port
        self.persistent = persistent
        self.received: list[Received] = []
        self.messages: list[mqtt.MQTTMessage] = []
        self.closed = False  # paho's is_connected() stays true when the broker says DISCONNECT
        self._five = protocol == "5"
        self._answers: queue.SimpleQueue[tuple[str, Any]] = queue.SimpleQueue()
        self._client = mqtt.Client(
            CallbackAPIVersion.VERSION2,
            client_id=(username or "") if client_id is None else client_id,
            protocol=mqtt.MQTTv5 if self._five else mqtt.MQTTv311,
            clean_session=None if self._five else not persistent,
            reconnect_on_failure=False,
            manual_ack=not acknowledge,
        )
        if username is not None:
            self._client.username_pw_set(username, password)
        if tls is not None:
            self._client.tls_set_context(tls)
        if will is not None:
            self._client.will_set(*will, qos=1)
        answer = self._answers.put
        self._client.on_connect = lambda _c, _u, _f, code, _p: answer(("connected", code))
        self._client.on_disconnect = self._on_disconnect
        self._client.on_subscribe = lambda _c, _u, _m, codes, _p: answer(("subscribed", codes[0]))
        self._client.on_publish = lambda _c, _u, mid, code, _p: answer((f"published {mid}", code))
        self._client.on_message = self._on_message

    def __enter__(self) -> Self:
        assert self.connect()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def connect(self) -> bool:
        """Whether the broker lets us in."""
        options: dict[str, Any] = {}
        if self._five:
            options["clean_start"] = not self.persistent
            if self.persistent:
                options["properties"] = Properties(PacketTypes.CONNECT)
                options["properties"].SessionExpiryInterval = 3600
        self._client.connect("127.0.0.1", self.port, keepalive=30, **options)
        self._client.loop_start()
        code = self._wait("connected")
        return code is not None and not code.is_failure

    def publish(
        self, topic: str, payload: str, *, retain: bool = False
    ) -> Literal["taken", "refused", "closed"]:
        """Publish at QoS 1 and wait for the answer; MQTT 3.1.1 knows no refusal."""
        mid = self._client.publish(topic, payload, qos=1, retain=retain).mid
        code = self._wait(f"published {mid}")
        if code is None:
            return "closed"
        return "refused" if code.is_failure else "taken"

    def send(self, topic: str, payload: str) -> None:
        """Publish at QoS 1 without waiting for the answer."""
        self._client.publish(topic, payload, qos=1)

    def send_at_most_once(self, topic: str, payload: str) -> None:
        """Publish at QoS 0: a refusal is silent."""
        self._client.publish(topic, payload, qos=0)

    def subscribe(self, topic_filter: str) -> bool:
        """Whether the broker grants the subscription."""
        self._client.subscribe(topic_filter, qos=1)
        code = self._wait("subscribed")
        return code is not None and not code.is_failure

    def acknowledge_all(self) -> None:
        """Acknowledge what was received by hand."""
        for message in self.messages:
            self._client.ack(message.mid, message.qos)

    def wait_for(self, payload: str) -> Received:
        """The first message with this payload."""
        return eventually(
            lambda: next((one for one in self.received if one.payload == payload), None),
            what=f"the message {payload!r}, after {self.received}",
        )

    def wait_closed(self, seconds: float = PATIENCE) -> None:
        """Wait until the broker has closed the connection."""
        eventually(lambda: self.closed, seconds=seconds, what="the end of the connection")

    def vanish(self) -> None:
        """Close the socket without a word, as a device does that loses its power."""
        sock = self._client.socket()
        assert sock is not None
        sock.close()
        self._end()

    def close(self) -> None:
        """Disconnect in good order."""
        self._client.disconnect()
        self._end()

    def _end(self) -> None:
        self._client.loop_stop()
        # A circle of references would keep paho's sockets open until the garbage collector complains.
        self._client.on_disconnect = self._client.on_message = None

    def _on_disconnect(
        self, _client: mqtt.Client, _data: object, _flags: object, code: Any, _p: object
    ) -> None:
        self.closed = True
        self._answers.put(("disconnected", code))

    def _on_message(self, _client: mqtt.Client, _data: object, message: mqtt.MQTTMessage) -> None:
        self.messages.append(message)
        self.received.append(Received(message.topic, bytes(message.payload).decode()))

    def _wait(self, what: str) -> Any:
        """The code of the next answer of this kind; None when the connection closes instead."""
        deadline = time.monotonic() + PATIENCE
        while True:
            answer, code = self._answers.get(timeout=max(0.01, deadline - time.monotonic()))
            if answer == what:
                return code
            if answer == "disconnected":
                return None


_numbers = itertools.count(1)


def unique(word: str) -> str:
    """A payload or name that no other test uses."""
    return f"{word}-{next(_numbers)}"
