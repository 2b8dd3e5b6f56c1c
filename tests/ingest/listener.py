"""What a broker delivers, seen by a client of its own; and brokers that ask for passwords."""

from __future__ import annotations

import json
import secrets
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion

from tests.servers.mosquitto import MosquittoServer

DEADLINE = 20.0
PASSWORD = "correct horse"


class Listener:
    """Everything published below `tenants/`, in the order of arrival, over restarts of the broker."""

    def __init__(self, port: int, username: str | None = None) -> None:
        self._messages: list[mqtt.MQTTMessage] = []
        self._changed = threading.Condition()
        self._subscribed = threading.Event()
        self._client = mqtt.Client(
            CallbackAPIVersion.VERSION2,
            client_id=f"listener-{secrets.token_hex(6)}",
            clean_session=False,
            protocol=mqtt.MQTTv311,
        )
        if username:
            self._client.username_pw_set(username, PASSWORD)
        self._client.on_connect = lambda client, *_: client.subscribe("tenants/#", qos=1)
        self._client.on_subscribe = lambda *_: self._subscribed.set()
        self._client.on_message = self._received
        self._client.connect("127.0.0.1", port)
        self._client.loop_start()
        assert self._subscribed.wait(DEADLINE)

    def _received(self, _client: object, _userdata: object, message: mqtt.MQTTMessage) -> None:
        with self._changed:
            self._messages.append(message)
            self._changed.notify_all()

    def wait(self, leaf: str, enough: Callable[[list[Any]], object]) -> list[Any]:
        """The payloads received on topics ending in `leaf`, decoded, once `enough` of them holds."""
        with self._changed:
            assert self._changed.wait_for(lambda: enough(self.payloads(leaf)), DEADLINE), self.payloads(leaf)
            return self.payloads(leaf)

    def payloads(self, leaf: str) -> list[Any]:
        """The payloads received so far on topics ending in `leaf`, JSON decoded, `status` as text."""
        with self._changed:
            found = [m for m in self._messages if f"/{m.topic}".endswith(f"/{leaf}")]
        return [m.payload.decode() if leaf == "status" else json.loads(m.payload) for m in found]

    def topics(self, leaf: str = "telemetry") -> list[str]:
        """The topics ending in `leaf` that were seen so far, sorted."""
        with self._changed:
            return sorted({m.topic for m in self._messages if m.topic.endswith("/" + leaf)})

    def close(self) -> None:
        """Disconnect."""
        self._client.disconnect()
        self._client.loop_stop()


@contextmanager
def listening(port: int, username: str | None = None) -> Iterator[Listener]:
    """A `Listener` for the block."""
    listener = Listener(port, username)
    try:
        yield listener
    finally:
        listener.close()


def locked_settings(directory: Path, acl: Mapping[str, str]) -> str:
    """Lines for a broker with one user per key of `acl` (password `PASSWORD`) and that user's ACL lines."""
    passwords = directory / "passwords"
    passwords.touch(mode=0o600)
    for user in acl:
        subprocess.run(["mosquitto_passwd", "-b", passwords, user, PASSWORD], check=True, capture_output=True)
    (directory / "acl").write_text("".join(f"user {user}\n{lines}\n" for user, lines in acl.items()))
    return f"allow_anonymous false\npassword_file {passwords}\nacl_file {directory}/acl"


@contextmanager
def broker(directory: Path, settings: str = "allow_anonymous true") -> Iterator[MosquittoServer]:
    """A running broker for the block."""
    server = MosquittoServer(directory, settings).start()
    try:
        yield server
    finally:
        server.stop()


def eventually(condition: Callable[[], object]) -> None:
    """Wait until `condition` holds."""
    deadline = time.monotonic() + DEADLINE
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.01)
