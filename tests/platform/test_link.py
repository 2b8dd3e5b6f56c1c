"""The platform's link to the broker, on both brokers: values and wishes cross it, replays reach ingest."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

import pytest

from insula_platform import link as link_module
from insula_platform.link import BrokerLink
from insula_platform.settings import PlatformSettings
from insula_tenants.broker import INGEST, PLATFORM, BrokerUnreachable
from insula_tenants.broker.topics import values_topic
from tests.conftest import Deployment
from tests.servers.amqtt import AmqttServer
from tests.servers.mosquitto import SecuredMosquitto
from tests.servers.mqtt import MqttClient, unique
from tests.waiting import eventually

NOW = datetime.now(UTC).replace(microsecond=0)
MICROSECONDS = round(NOW.timestamp() * 1e6)
MOST_STREAMS = 8


@pytest.fixture(scope="module")
def mosquitto(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SecuredMosquitto]:
    server = SecuredMosquitto(tmp_path_factory.mktemp("broker")).start()
    yield server
    server.stop()


@pytest.fixture(params=["mosquitto", "amqtt"])
def broker(
    request: pytest.FixtureRequest, deployment: Deployment, tmp_path: Path
) -> Iterator[SecuredMosquitto | AmqttServer]:
    server: SecuredMosquitto | AmqttServer
    if request.param == "mosquitto":
        server = SecuredMosquitto(tmp_path / "broker").start()
    else:
        server = AmqttServer(tmp_path, deployment.service_url).start()
    yield server
    server.stop()


def protocol_of(broker: SecuredMosquitto | AmqttServer) -> Literal["5", "3.1.1"]:
    return "3.1.1" if isinstance(broker, AmqttServer) else "5"


@contextmanager
def service(broker: SecuredMosquitto | AmqttServer) -> Iterator[MqttClient]:
    with MqttClient(
        broker.port,
        INGEST,
        broker.passwords[INGEST],
        client_id=unique("ingest"),
        protocol=protocol_of(broker),
    ) as client:
        yield client


@contextmanager
def linked(broker: SecuredMosquitto | AmqttServer, password: str | None = None) -> Iterator[BrokerLink]:
    link = BrokerLink(
        PlatformSettings(
            secret_key="a secret key that is long enough for tests",
            mqtt_port=broker.port,
            mqtt_version=protocol_of(broker),
            live_mqtt_password=password or broker.passwords[PLATFORM],
        )
    )
    link.start()
    yield link
    link.stop()


def test_values_and_wishes_cross_either_broker(
    broker: SecuredMosquitto | AmqttServer, deployment: Deployment
):
    heard: list[tuple[str, bytes]] = []
    with service(broker) as ingest, linked(broker) as link:
        link.on_values = lambda tenant, payload: heard.append((tenant, payload))
        assert ingest.subscribe("insula/live/wanted/+")
        eventually(lambda: link.connected)
        link.hear("acme")
        wish = "insula/live/wanted/acme"
        eventually(lambda: wish in [one.topic for one in ingest.received], what="the wish")

        def arrives() -> bool:
            ingest.send(values_topic("acme"), "x")
            ingest.send(values_topic("globex"), "y")
            return bool(heard)

        eventually(arrives, what="a value of acme")
        assert set(heard) == {("acme", b"x")}
        link.leave("acme")


def test_a_replay_reaches_ingest_by_either_broker(broker: SecuredMosquitto | AmqttServer):
    with service(broker) as ingest, linked(broker) as link:
        assert ingest.subscribe("insula/replay/+")
        link.replay("acme")
        assert ingest.wait_for("").topic == "insula/replay/acme"


def test_a_replay_that_nobody_would_ever_hear_is_refused(mosquitto: SecuredMosquitto):
    with linked(mosquitto) as link, pytest.raises(BrokerUnreachable, match="no ingest service"):
        link.replay("acme")


def test_a_wrong_password_is_told_once_and_not_waited_for(
    mosquitto: SecuredMosquitto, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(link_module, "PATIENCE", 0.5)
    with linked(mosquitto, "wrong") as link:
        eventually(lambda: "refuses insula-platform" in caplog.text)
        with pytest.raises(BrokerUnreachable, match="is away"):
            link.replay("acme")
        time.sleep(1.5)  # it tries again meanwhile
    assert caplog.text.count("refuses insula-platform") == 1
