"""Ingest behind TLS: what is read in records, and paused, is all there in the end."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmarks.broker import publish_all, reserve
from insula_ingest.messages import Message
from insula_ingest.settings import IngestSettings
from insula_ingest.transport import MqttSource
from insula_tenants.errors import ConfigurationError
from tests.servers.certificates import ServerFiles, server_files
from tests.servers.mosquitto import MosquittoServer, free_port
from tests.waiting import eventually

TOPIC = "tenants/acme/devices/desk-1/telemetry"


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> ServerFiles:
    return server_files(tmp_path_factory.mktemp("certificates"))


@pytest.fixture(scope="module")
def brokers(tmp_path_factory: pytest.TempPathFactory, files: ServerFiles) -> Iterator[tuple[int, int]]:
    """Ports of one Mosquitto: in the clear, and over TLS."""
    encrypted = free_port()
    settings = f"allow_anonymous true\nlistener {encrypted} 127.0.0.1\n{files.mosquitto}"
    server = MosquittoServer(tmp_path_factory.mktemp("mosquitto"), settings).start()
    yield server.port, encrypted
    server.stop()


def source(port: int, files: ServerFiles, client_id: str, **settings: object) -> MqttSource:
    return MqttSource(
        IngestSettings(
            mqtt_port=port,
            mqtt_tls=True,
            mqtt_ca_file=files.authority,
            ingest_client_id=client_id,
            **settings,
        )
    )


def take_all(running: MqttSource, count: int) -> list[bytes]:
    """The payloads of this many messages, each acknowledged when it is taken."""
    taken: list[Message] = []

    def more() -> bool:
        arrived = running.take(0.1)
        running.acknowledge(arrived)
        taken.extend(arrived)
        return len(taken) >= count

    eventually(more, seconds=30, what=f"{count} messages, after {len(taken)}")
    return [message.payload for message in taken]


@pytest.mark.parametrize("room", [20_000, 7])
def test_no_message_is_lost_between_records_and_pauses(
    brokers: tuple[int, int], files: ServerFiles, room: int
):
    """Payloads from a byte to several records; with little room, reading stops and goes on all the time."""
    plain, encrypted = brokers
    count, client_id = (6000 if room > 7 else 600), f"ingest-{room}"
    sent = [f"{number}:".encode() + b"x" * (number * 7919 % 4000) for number in range(count)]
    sent[10] = b"10:" + b"y" * 100_000
    reserve(plain, client_id, "tenants/+/devices/+/telemetry")
    publish_all(plain, [(TOPIC, payload) for payload in sent])
    running = source(encrypted, files, client_id, ingest_receive_maximum=room)
    running.start()
    try:
        assert take_all(running, count) == sent
        # The acknowledgements have arrived too: nothing comes again to the same session.
        eventually(lambda: running.in_flight == 0)
    finally:
        running.stop()
    again = source(encrypted, files, client_id)
    again.start()
    try:
        assert again.wait_subscribed(10)
        publish_all(plain, [(TOPIC, b"last")])
        assert take_all(again, 1) == [b"last"]
    finally:
        again.stop()


def test_a_broker_that_nobody_vouches_for_is_not_spoken_to(
    brokers: tuple[int, int], files: ServerFiles, tmp_path: Path, caplog: pytest.LogCaptureFixture
):
    caplog.set_level(logging.WARNING)
    stranger = source(brokers[1], server_files(tmp_path), "ingest-stranger")
    stranger.start()
    try:
        eventually(lambda: "certificate verify failed" in caplog.text, what="the reason in the log")
        assert not stranger.wait_subscribed(0)
    finally:
        stranger.stop()


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"mqtt_ca_file": "missing.pem"}, "INSULA_MQTT_CA_FILE"),
        ({"mqtt_cert_file": "missing.pem"}, "INSULA_MQTT_CERT_FILE"),
    ],
)
def test_a_file_that_cannot_be_read_is_named_with_its_setting(
    files: ServerFiles, settings: dict[str, str], named: str
):
    given = {"mqtt_tls": True, "mqtt_ca_file": files.authority} | settings
    with pytest.raises(ConfigurationError, match=named):
        MqttSource(IngestSettings(**given))
