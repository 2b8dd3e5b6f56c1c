"""Every format and every topic of telemetry, from a publish on a real broker to rows in a tenant's schema."""

from __future__ import annotations

import json
import os
import re
import subprocess
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import cbor2
import psycopg
import pytest
from sqlalchemy import select

from insula_ingest.codecs import Reason
from insula_ingest.codecs.sparkplug.payload_pb2 import Metric, Payload
from insula_ingest.settings import IngestSettings
from insula_tenants.broker import INGEST, new_password
from insula_tenants.devices import Device, Point, assign_gateway, create_device
from insula_tenants.telemetry.births import NewBirth, NewMetric
from insula_tenants.telemetry.write import TelemetryWriter, TenantBatch
from tests.conftest import Deployment
from tests.ingest.conftest import RunningIngest
from tests.ingest.test_pipeline import Publish, dead_letters, readings
from tests.servers.mosquitto import MosquittoServer, SecuredMosquitto
from tests.servers.mqtt import MqttClient
from tests.waiting import eventually

TOPIC = "tenants/acme/devices/desk-1/telemetry"
NOW = datetime.now(UTC).replace(microsecond=0)
MS = int(NOW.timestamp()) * 1000


def sparkplug(*metrics: Metric, timestamp: int = MS) -> bytes:
    return Payload(timestamp=timestamp, metrics=metrics).SerializeToString()


BIRTH = sparkplug(
    Metric(name=b"temperature", alias=1, datatype=10, double_value=20),
    Metric(name=b"count", alias=2**64 - 1, datatype=2, int_value=0),
)


def test_all_formats_share_one_topic(devices: Deployment, ingest: RunningIngest, publish: Publish):
    publish(TOPIC, b'{"ts": %d, "values": {"json": 1}}' % MS)
    publish(TOPIC, b'[{"n": "senml", "t": %d, "v": 2}]' % (MS // 1000))
    publish(TOPIC, cbor2.dumps([{0: "cbor", 6: MS // 1000, 2: cbor2.CBORTag(4, [-1, 35])}]))
    publish(TOPIC, sparkplug(Metric(name=b"sparkplug", datatype=3, int_value=2**32 - 4)))
    expected = [("cbor", NOW, 3.5), ("json", NOW, 1.0), ("senml", NOW, 2.0), ("sparkplug", NOW, -4.0)]
    eventually(lambda: len(readings(devices, devices.acme)) == 4)
    assert readings(devices, devices.acme) == expected
    assert dead_letters(devices, devices.acme) == []


def test_the_examples_of_the_documentation_are_stored(
    devices: Deployment, ingest: RunningIngest, mosquitto: MosquittoServer
):
    with devices.databases.tenant(devices.acme) as session:
        create_device(session, "my-first-device", name="First")
    page = (Path(__file__).resolve().parents[2] / "docs" / "topics-and-payloads.md").read_text()
    script = "\n".join(re.findall(r"^```sh\n(.*?)^```", page, re.MULTILINE | re.DOTALL))
    environment = {
        **os.environ,
        "INSULA_MQTT_HOST": "127.0.0.1",
        "INSULA_MQTT_PORT": str(mosquitto.port),
        "INSULA_DEVICE_USERNAME": "acme/my-first-device",
        "INSULA_DEVICE_PASSWORD": "any",
    }
    subprocess.run(["sh", "-eu", "-c", script], env=environment, check=True, timeout=30)
    stored = eventually(lambda: len(found := readings(devices, devices.acme)) == 5 and found)
    assert [(name, value) for name, _, value in stored] == [("door", 1.0), *[("temperature", 21.5)] * 4]
    assert dead_letters(devices, devices.acme) == []


# Sparkplug births


def test_aliases_are_known_from_the_birth_on_and_after_a_restart(
    devices: Deployment, ingest_settings: IngestSettings, publish: Publish
):
    running = RunningIngest(ingest_settings).start()
    publish(TOPIC, sparkplug(Metric(alias=1, double_value=1)))
    (letter,) = eventually(lambda: dead_letters(devices, devices.acme))
    assert letter.reason == Reason.NO_BIRTH
    publish(TOPIC, BIRTH)
    publish(TOPIC, sparkplug(Metric(alias=1, double_value=21), timestamp=MS + 1000))
    eventually(lambda: len(readings(devices, devices.acme)) == 3)
    running.stop()
    running = RunningIngest(ingest_settings).start()
    publish(TOPIC, sparkplug(Metric(alias=2**64 - 1, int_value=0xFFFF), timestamp=MS + 2000))
    eventually(lambda: len(readings(devices, devices.acme)) == 4)
    running.stop()
    assert [(name, value) for name, _, value in readings(devices, devices.acme)] == [
        ("count", 0.0),
        ("count", -1.0),
        ("temperature", 20.0),
        ("temperature", 21.0),
    ]
    assert len(dead_letters(devices, devices.acme)) == 1


def test_aliases_of_one_device_are_nothing_to_another_of_the_same_or_another_tenant(
    devices: Deployment, ingest: RunningIngest, publish: Publish
):
    with devices.databases.tenant(devices.acme) as session:
        create_device(session, "desk-2", name="Desk 2")
    publish(TOPIC, BIRTH)
    data = sparkplug(Metric(alias=1, double_value=21), timestamp=MS + 1000)
    for topic in (TOPIC.replace("desk-1", "desk-2"), TOPIC.replace("acme", "globex"), TOPIC):
        publish(topic, data)
    eventually(lambda: len(readings(devices, devices.acme)) == 3)
    for context in (devices.acme, devices.globex):
        (letter,) = eventually(lambda context=context: dead_letters(devices, context))
        assert letter.reason == Reason.NO_BIRTH
    assert readings(devices, devices.globex) == []


def test_a_birth_that_another_process_received_is_found(
    devices: Deployment, ingest_settings: IngestSettings, publish: Publish
):
    """This process knows the device, and that it had no birth; another one receives one."""
    first = RunningIngest(ingest_settings).start()
    data = sparkplug(Metric(alias=1, double_value=21), timestamp=MS + 1000)
    publish(TOPIC, data)
    eventually(lambda: dead_letters(devices, devices.acme))
    with devices.databases.tenant(devices.acme) as session:
        device_id = session.scalars(select(Device.id)).one()
    told = NewBirth(device_id, [NewMetric("temperature", 1, 10, None)], [])
    with psycopg.connect(devices.service_url, autocommit=True) as second:
        TelemetryWriter(second).write([TenantBatch(devices.acme, births=[told])])
    publish(TOPIC, data)
    eventually(lambda: 21.0 in {value for _, _, value in readings(devices, devices.acme)})
    first.stop()


def test_a_new_birth_gives_aliases_another_meaning(
    devices: Deployment, ingest: RunningIngest, publish: Publish
):
    publish(TOPIC, BIRTH)
    publish(
        TOPIC,
        sparkplug(
            Metric(name=b"humidity", alias=1, datatype=10, double_value=40),
            Metric(name=b"temperature", alias=2, datatype=10, double_value=21),
            timestamp=MS + 1000,
        ),
    )
    publish(TOPIC, sparkplug(Metric(alias=1, double_value=41), timestamp=MS + 2000))
    # Sent before the second birth, received after it: nobody may take it for humidity.
    publish(TOPIC, sparkplug(Metric(alias=1, double_value=20.5), timestamp=MS + 500))
    (letter,) = eventually(lambda: dead_letters(devices, devices.acme))
    assert letter.reason == Reason.NO_BIRTH
    found = readings(devices, devices.acme)
    assert [value for name, _, value in found if name == "humidity"] == [40.0, 41.0]
    assert [value for name, _, value in found if name == "temperature"] == [20.0, 21.0]


# Gateways and their children


CHILD = "tenants/acme/devices/gateway-1/children/lamp/telemetry"


@pytest.fixture
def site(devices: Deployment) -> Deployment:
    """In both tenants: two gateways, a lamp behind the first, and a meter behind none."""
    for context in (devices.acme, devices.globex):
        with devices.databases.tenant(context) as session:
            create_device(session, "gateway-1", name="Gateway")
            create_device(session, "gateway-2", name="Gateway")
            create_device(session, "lamp", name="Lamp", gateway="gateway-1")
            create_device(session, "meter", name="Meter")
    return devices


def points(deployment: Deployment) -> list[tuple[str, str]]:
    """All points of the first tenant, as (device, name)."""
    with deployment.databases.tenant(deployment.acme) as session:
        query = select(Device.slug, Point.name).join(Point, Point.device_id == Device.id)
        return sorted((device, name) for device, name in session.execute(query))


def test_a_gateway_speaks_for_its_children(site: Deployment, ingest: RunningIngest, publish: Publish):
    publish(CHILD, b'{"ts": %d, "values": {"power": 7}}' % MS)
    publish(CHILD, cbor2.dumps([{0: "level", 6: MS // 1000, 2: 80}]))
    publish(CHILD.replace("/children/lamp", ""), b'{"ts": %d, "values": {"own": 1}}' % MS)
    publish(CHILD.replace("gateway-1/children/", ""), b'{"ts": %d, "values": {"itself": 1}}' % MS)
    eventually(lambda: len(readings(site, site.acme)) == 4)
    assert points(site) == [("gateway-1", "own"), ("lamp", "itself"), ("lamp", "level"), ("lamp", "power")]
    assert dead_letters(site, site.acme) == []
    assert readings(site, site.globex) == []


NOT_ITS_OWN = {
    CHILD.replace("gateway-1", "gateway-2"): Reason.NOT_ITS_GATEWAY,
    CHILD.replace("lamp", "meter"): Reason.NOT_ITS_GATEWAY,
    CHILD.replace("lamp", "gateway-1"): Reason.NOT_ITS_GATEWAY,
    CHILD.replace("gateway-1", "lamp"): Reason.NOT_ITS_GATEWAY,
    CHILD.replace("gateway-1", "stranger"): Reason.NOT_ITS_GATEWAY,
    CHILD.replace("lamp", "stranger"): Reason.UNKNOWN_DEVICE,
}


def test_a_gateway_speaks_for_nobody_else(site: Deployment, ingest: RunningIngest, publish: Publish):
    forged = Metric(name=b"forged", alias=1, datatype=10, double_value=1)
    for topic in NOT_ITS_OWN:
        publish(topic, b'{"forged": 7}')
        publish(topic, sparkplug(forged))
    publish(CHILD, b'{"ts": %d, "values": {"power": 7}}' % MS)
    assert eventually(lambda: readings(site, site.acme)) == [("power", NOW, 7.0)]
    letters = dead_letters(site, site.acme)
    assert len(letters) == 2 * len(NOT_ITS_OWN)
    assert {letter.topic: letter.reason for letter in letters} == NOT_ITS_OWN
    assert all(letter.device == letter.topic.split("/")[5] for letter in letters)
    assert points(site) == [("lamp", "power")], "a message that is not taken makes no points"


def test_a_child_that_gets_another_gateway_is_heard_through_that_one(
    site: Deployment, ingest_settings: IngestSettings, publish: Publish
):
    with site.databases.tenant(site.acme) as session:
        assign_gateway(session, "lamp", "gateway-2")
    running = RunningIngest(ingest_settings).start()
    publish(CHILD, b'{"power": 1}')
    publish(CHILD.replace("gateway-1", "gateway-2"), b'{"ts": %d, "values": {"power": 2}}' % MS)
    assert eventually(lambda: readings(site, site.acme)) == [("power", NOW, 2.0)]
    (letter,) = eventually(lambda: dead_letters(site, site.acme))
    assert letter.reason == Reason.NOT_ITS_GATEWAY
    running.stop()


# The broker's side of it


@pytest.fixture
def secured(tmp_path: Path) -> Iterator[SecuredMosquitto]:
    server = SecuredMosquitto(tmp_path).start()
    yield server
    server.stop()


def test_the_broker_lets_a_gateway_alone_publish_below_its_own_children(
    site: Deployment, secured: SecuredMosquitto
):
    password = new_password()
    for device in ("gateway-1", "gateway-2", "lamp"):
        secured.access.grant("acme", device, password)
    secured.access.grant("globex", "gateway-1", password)
    settings = IngestSettings(
        database_url=site.service_url,
        mqtt_port=secured.port,
        mqtt_username=INGEST,
        mqtt_password=secured.passwords[INGEST],
        ingest_batch_seconds=0.05,
    )
    running = RunningIngest(settings).start()
    for username in ("acme/gateway-2", "acme/lamp", "globex/gateway-1"):
        with MqttClient(secured.port, username, password) as intruder:
            assert intruder.publish(CHILD, '{"forged": 1}') != "taken"
    with MqttClient(secured.port, "acme/gateway-1", password) as gateway:
        assert gateway.publish(CHILD, json.dumps({"ts": MS, "values": {"power": 7}})) == "taken"
    assert eventually(lambda: readings(site, site.acme)) == [("power", NOW, 7.0)]
    assert dead_letters(site, site.acme) == []
    running.stop()
