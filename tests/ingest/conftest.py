"""A broker, a deployment with devices, and a running ingest service."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import paho.mqtt.client as mqtt
import pytest
from paho.mqtt.enums import CallbackAPIVersion

from insula_ingest.service import IngestService
from insula_ingest.settings import IngestSettings
from insula_tenants.devices import create_device
from tests.conftest import Deployment
from tests.servers.mosquitto import MosquittoServer


@pytest.fixture
def mosquitto(tmp_path: Path) -> Iterator[MosquittoServer]:
    server = MosquittoServer(tmp_path).start()
    yield server
    server.stop()


@pytest.fixture
def devices(fresh_deployment: Deployment) -> Deployment:
    """Both tenants have a device `desk-1`."""
    for context in (fresh_deployment.acme, fresh_deployment.globex):
        with fresh_deployment.databases.tenant(context) as session:
            create_device(session, "desk-1", name="Desk 1")
    return fresh_deployment


@pytest.fixture
def ingest_settings(devices: Deployment, mosquitto: MosquittoServer) -> IngestSettings:
    return IngestSettings(
        database_url=devices.service_url, mqtt_port=mosquitto.port, ingest_batch_seconds=0.05
    )


class RunningIngest:
    """An ingest service in a thread of this process."""

    def __init__(self, settings: IngestSettings) -> None:
        self.service = IngestService(settings)
        self._thread = threading.Thread(target=self.service.run, name="ingest")

    def start(self) -> RunningIngest:
        self._thread.start()
        assert self.service._source.wait_subscribed(10), "ingest did not subscribe"
        return self

    def stop(self) -> None:
        self.service.stop()
        self._thread.join(10)
        assert not self._thread.is_alive()


@pytest.fixture
def ingest(ingest_settings: IngestSettings) -> Iterator[RunningIngest]:
    running = RunningIngest(ingest_settings).start()
    yield running
    running.stop()


@pytest.fixture
def publish(mosquitto: MosquittoServer) -> Iterator[Callable[[str, bytes], None]]:
    """Publish at QoS 1 and wait for the broker's acknowledgement."""
    client = mqtt.Client(CallbackAPIVersion.VERSION2, protocol=mqtt.MQTTv5)
    client.connect("127.0.0.1", mosquitto.port)
    client.loop_start()

    def send(topic: str, payload: bytes) -> None:
        client.publish(topic, payload, qos=1).wait_for_publish(10)

    yield send
    client.disconnect()
    client.loop_stop()
