"""A connection breaks with readings on their way: their corrections still arrive after them."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from itertools import count

import pytest

from insula_ingest.device import Device, PublishRefusedError, UnacknowledgedError
from tests.ingest.listener import DEADLINE, PASSWORD, eventually

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)
TAKEN, NOBODY_TAKES_IT, REFUSED = 0x00, 0x10, 0x87

Answer = Callable[[int, float], int | None]
"""From the number of the connection and a reading's value to the reason of its PUBACK; None for silence."""


class ScriptedBroker:
    """Serves one connection after the other, and writes down in which order the readings come."""

    def __init__(self, server: socket.socket, answer: Answer, receive_maximum: int) -> None:
        self.seen: list[list[float]] = []
        """The values of each connection."""
        self.statuses: list[str] = []
        self._server = server
        self._answer = answer
        self._accepted = bytes.fromhex("20 06 00 00 03 21") + receive_maximum.to_bytes(2)
        self._connection: socket.socket | None = None
        self._open = threading.Event()
        self._open.set()
        self._closed = False
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    @property
    def port(self) -> int:
        return int(self._server.getsockname()[1])

    def go_away(self) -> None:
        """Break the connection, and take no other before `come_back`."""
        self._open.clear()
        assert self._connection is not None
        self._connection.shutdown(socket.SHUT_RDWR)

    def come_back(self) -> None:
        self._open.set()

    def close(self) -> None:
        self._closed = True
        self._open.set()
        with socket.create_connection(("127.0.0.1", self.port)):
            self._thread.join(DEADLINE)
        assert not self._thread.is_alive()

    def _run(self) -> None:
        for number in count():
            self._open.wait(DEADLINE)
            self._connection, _ = self._server.accept()
            if self._closed:
                self._connection.close()
                return
            with self._connection, suppress(OSError), self._connection.makefile("rb") as packets:
                while head := packets.read(1):
                    self._handle(self._connection, number, head[0], packets.read(_length(packets.read)))

    def _handle(self, connection: socket.socket, number: int, head: int, body: bytes) -> None:
        if head >> 4 == 1:
            self.seen.append([])
            connection.sendall(self._accepted)
        elif head >> 4 == 3:
            topic_ends = 2 + int.from_bytes(body[:2])
            mid, payload = body[topic_ends : topic_ends + 2], body[topic_ends + 3 :]  # no properties
            reason: int | None = TAKEN
            if body[:topic_ends].endswith(b"/status"):
                self.statuses.append(payload.decode())
            else:
                value = json.loads(payload)["values"]["illuminance"]
                self.seen[-1].append(value)
                reason = self._answer(number, value)
            if reason is not None:
                connection.sendall(b"\x40\x03" + mid + bytes([reason]))


def _length(read: Callable[[int], bytes]) -> int:
    """A "variable byte integer" (MQTT 5, 1.5.5)."""
    length = shift = 0
    while True:
        [byte] = read(1)
        length |= (byte & 0x7F) << shift
        if byte < 0x80:
            return length
        shift += 7


@contextmanager
def scripted(answer: Answer, receive_maximum: int = 100) -> Iterator[tuple[ScriptedBroker, Device]]:
    """A broker with these answers, and a device that is connected to it."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        broker = ScriptedBroker(server, answer, receive_maximum)
        device = Device("acme", "lamp-1", password=PASSWORD, port=broker.port)
        try:
            device.open()
            yield broker, device
        finally:
            with suppress(UnacknowledgedError, PublishRefusedError):
                device.close(0.0)
            broker.close()


def publish(device: Device, *values: float) -> None:
    """Readings of one point and time: each corrects the one before."""
    for value in values:
        device.publish({"illuminance": value}, at=NOON)


def lose(broker: ScriptedBroker, caplog: pytest.LogCaptureFixture) -> None:
    """Break the connection; return when the device knows."""
    known = caplog.text.count("readings are kept")
    broker.go_away()
    eventually(lambda: caplog.text.count("readings are kept") > known)


def test_a_correction_goes_out_after_what_was_on_its_way(caplog: pytest.LogCaptureFixture) -> None:
    with scripted(lambda connection, _: TAKEN if connection else None) as (broker, device):
        publish(device, 10)
        eventually(lambda: broker.seen == [[10]])
        lose(broker, caplog)
        publish(device, 11)
        broker.come_back()
        device.flush(DEADLINE)
        assert broker.seen[1:] == [[10, 11]]


@pytest.mark.parametrize("receive_maximum", [2, 100])
def test_what_was_acknowledged_is_repeated_after_what_was_on_its_way(
    receive_maximum: int, caplog: pytest.LogCaptureFixture
) -> None:
    def answer(connection: int, value: float) -> int | None:
        return TAKEN if connection or value < 5 else None

    with scripted(answer, receive_maximum) as (broker, device):
        publish(device, 1, 2, 3, 4)
        device.flush(DEADLINE)
        publish(device, 5)
        eventually(lambda: broker.seen == [[1, 2, 3, 4, 5]])
        lose(broker, caplog)
        publish(device, 6)
        broker.come_back()
        device.flush(DEADLINE)
        assert broker.seen[1:] == [[5, 1, 2, 3, 4, 5, 6]]


def test_a_connection_that_breaks_again_meanwhile_changes_nothing(caplog: pytest.LogCaptureFixture) -> None:
    def answer(connection: int, value: float) -> int | None:
        return TAKEN if connection == 2 or (connection == 1 and value == 10) else None

    with scripted(answer) as (broker, device):
        publish(device, 10, 11)
        eventually(lambda: broker.seen == [[10, 11]])
        lose(broker, caplog)
        publish(device, 12)
        broker.come_back()
        eventually(lambda: broker.seen[1:] == [[10, 11]] and device.unacknowledged == 2)
        lose(broker, caplog)
        broker.come_back()
        device.flush(DEADLINE)
        # 10 was acknowledged just before the second break: it is repeated, and so is what came after it.
        assert broker.seen[2:] == [[11, 10, 11, 12]]


def test_a_reading_that_nobody_takes_after_the_break_is_still_the_first(
    caplog: pytest.LogCaptureFixture,
) -> None:
    refusals = iter([NOBODY_TAKES_IT])
    with scripted(lambda connection, _: next(refusals, TAKEN) if connection else None) as (broker, device):
        publish(device, 10)
        eventually(lambda: broker.seen == [[10]])
        lose(broker, caplog)
        publish(device, 11)
        broker.come_back()
        device.flush(DEADLINE)
        assert broker.seen[1:] == [[10, 10, 11]]


def test_a_reading_that_is_refused_after_the_break_holds_up_none(caplog: pytest.LogCaptureFixture) -> None:
    def answer(connection: int, value: float) -> int | None:
        return None if connection == 0 else REFUSED if value == 10 else TAKEN

    with scripted(answer) as (broker, device):
        publish(device, 10)
        eventually(lambda: broker.seen == [[10]])
        lose(broker, caplog)
        publish(device, 11)
        broker.come_back()
        with pytest.raises(PublishRefusedError, match="1 message"):
            device.flush(DEADLINE)
        device.flush(DEADLINE)
        assert broker.seen[1:] == [[10, 11]]


def test_closing_does_not_wait_for_a_broker_that_no_longer_answers(caplog: pytest.LogCaptureFixture) -> None:
    with scripted(lambda *_: None) as (broker, device):
        publish(device, 10)
        eventually(lambda: broker.seen == [[10]])
        lose(broker, caplog)
        publish(device, 11)
        broker.come_back()
        eventually(lambda: broker.seen[1:] == [[10]])
        began = time.monotonic()
        with pytest.raises(UnacknowledgedError, match="2 messages"):
            device.close(0.1)
        assert time.monotonic() - began < DEADLINE / 2
        eventually(lambda: broker.statuses[-1] == "offline")
        assert broker.seen[1:] == [[10]]


def test_a_thread_that_publishes_over_the_break_is_not_ahead_of_what_it_corrects(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    with scripted(lambda connection, _: TAKEN if connection else None) as (broker, device):
        publish(device, 10)
        eventually(lambda: broker.seen == [[10]])
        client = device._client
        hand_over, connected = client.publish, client.on_connect
        has_begun, may_go_on, done = threading.Event(), threading.Event(), threading.Event()

        def slow_publish(topic: str, *arguments: object, **named: object) -> object:
            if not topic.endswith("/telemetry") or done.is_set():
                return hand_over(topic, *arguments, **named)  # type: ignore[arg-type]
            has_begun.set()
            assert may_go_on.wait(DEADLINE)
            info = hand_over(topic, *arguments, **named)  # type: ignore[arg-type]
            done.set()
            return info

        def slow_connected(*arguments: object) -> None:
            connected(*arguments)  # type: ignore[arg-type,call-arg,misc]
            may_go_on.set()
            assert done.wait(DEADLINE)  # paho repeats only now what was on its way

        monkeypatch.setattr(client, "publish", slow_publish)
        client.on_connect = slow_connected  # type: ignore[assignment]
        thread = threading.Thread(target=publish, args=(device, 11))
        thread.start()
        assert has_begun.wait(DEADLINE)
        lose(broker, caplog)
        broker.come_back()
        thread.join(DEADLINE)
        device.flush(DEADLINE)
        assert broker.seen[1:] == [[11, 10, 10, 11]]
