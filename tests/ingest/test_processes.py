"""Several ingest processes share the messages; one that is killed takes none of them along."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import paho.mqtt.client as mqtt
import pytest
from paho.mqtt.enums import CallbackAPIVersion
from sqlalchemy import select

from insula_tenants.telemetry.models import Reading
from tests.conftest import Deployment
from tests.servers.mosquitto import MosquittoServer
from tests.waiting import eventually

MESSAGES = 6000


class Process:
    """`python -m insula_ingest` with a client id of its own."""

    def __init__(self, number: int, deployment: Deployment, port: int, directory: Path) -> None:
        self._ready = directory / f"ready-{number}"
        self._log = directory / f"log-{number}"
        self._environment = {
            **os.environ,
            "INSULA_DATABASE_URL": deployment.service_url,
            "INSULA_MQTT_PORT": str(port),
            "INSULA_INGEST_CLIENT_ID": f"ingest-{number}",
            "INSULA_INGEST_SHARE": "true",
            "INSULA_INGEST_BATCH_SECONDS": "0.05",
            "INSULA_INGEST_READY_FILE": str(self._ready),
        }

    def start(self) -> None:
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "insula_ingest"], env=self._environment, stdout=log, stderr=log
            )

    def wait_ready(self) -> None:
        eventually(self._ready.exists, seconds=30, what="the subscription")

    def stop(self, how: signal.Signals = signal.SIGTERM) -> int:
        self._process.send_signal(how)
        return self._process.wait(20)


@pytest.fixture
def processes(devices: Deployment, mosquitto: MosquittoServer, tmp_path: Path) -> Iterator[list[Process]]:
    made = [Process(number, devices, mosquitto.port, tmp_path) for number in range(2)]
    for process in made:
        process.start()
    for process in made:
        process.wait_ready()
    yield made
    for process in made:
        process.stop()


def test_a_process_killed_under_load_loses_nothing_and_stores_nothing_twice(
    devices: Deployment, mosquitto: MosquittoServer, processes: list[Process]
):
    client = mqtt.Client(CallbackAPIVersion.VERSION2, protocol=mqtt.MQTTv5)
    client.max_inflight_messages_set(200)
    client.connect("127.0.0.1", mosquitto.port)
    client.loop_start()
    start = int(time.time() * 1000) - MESSAGES
    sent = []
    for number in range(MESSAGES):
        payload = json.dumps({"ts": start + number, "values": {"a": number}})
        sent.append(client.publish("tenants/acme/devices/desk-1/telemetry", payload, qos=1))
        if number == MESSAGES // 3:
            sent[-1].wait_for_publish(30)  # so that the kill comes while both are at work
            assert processes[0].stop(signal.SIGKILL) == -signal.SIGKILL
        if number == 2 * MESSAGES // 3:
            processes[0].start()
    for message in sent:
        message.wait_for_publish(30)
    client.disconnect()
    client.loop_stop()

    def stored() -> list[float]:
        with devices.databases.tenant(devices.acme) as session:
            return list(session.scalars(select(Reading.value)))

    eventually(lambda: len(stored()) >= MESSAGES, seconds=60, what="the readings stored")
    assert sorted(stored()) == [float(number) for number in range(MESSAGES)]
