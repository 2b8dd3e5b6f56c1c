"""Whatever happens behind, memory is bounded, and nothing the broker accepted is lost."""

from __future__ import annotations

import json
import logging
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import psycopg
import pytest
from sqlalchemy import func, make_url, select

from insula_ingest.batch import Part
from insula_ingest.codecs.sparkplug.payload_pb2 import Metric, Payload
from insula_ingest.settings import IngestSettings
from insula_ingest.writer import Outcome, home
from insula_tenants.context import TenantContext
from insula_tenants.devices import SparkplugMetric
from insula_tenants.telemetry.models import Reading
from tests.conftest import Deployment
from tests.ingest.conftest import RunningIngest
from tests.servers.postgres import PostgresServer
from tests.waiting import eventually

Publish = Callable[[str, bytes], None]
TOPIC = "tenants/acme/devices/desk-1/telemetry"
MEBIBYTE = 1024 * 1024


def count(deployment: Deployment, context: TenantContext) -> int:
    with deployment.databases.tenant(context) as session:
        return session.scalar(select(func.count()).select_from(Reading)) or 0


@contextmanager
def away(server: PostgresServer, deployment: Deployment) -> Iterator[None]:
    """Nobody gets into the database while the block runs, and who is in is put out."""
    name = make_url(deployment.admin_url).database
    with psycopg.connect(server.admin_url, autocommit=True) as admin:
        admin.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS false")  # type: ignore[arg-type]
        admin.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = %s AND usename = 'insula_service'",
            (name,),
        )
        try:
            yield
        finally:
            admin.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS true")  # type: ignore[arg-type]


def test_large_payloads_wait_in_the_broker_while_the_database_is_away(
    postgres_server: PostgresServer,
    devices: Deployment,
    ingest_settings: IngestSettings,
    publish: Publish,
    caplog: pytest.LogCaptureFixture,
):
    caplog.set_level(logging.INFO, "insula_ingest.outages")
    settings = ingest_settings.model_copy(update={"ingest_memory_bytes": MEBIBYTE})
    running = RunningIngest(settings).start()
    source = running.service._source
    start = int(time.time() * 1000) - 1000
    with away(postgres_server, devices):
        for number in range(60):
            document = {"ts": start + number, "values": {"a": number}, "padding": "x" * 100_000}
            publish(TOPIC, json.dumps(document).encode())
        eventually(lambda: source.is_full, seconds=20)
        for _ in range(20):
            assert source.bytes_in_flight < 1.5 * MEBIBYTE
            time.sleep(0.02)
    eventually(lambda: count(devices, devices.acme) == 60, seconds=30)
    eventually(lambda: source.in_flight == source.bytes_in_flight == 0)
    running.stop()
    told = [line.message.split(":")[0] for line in caplog.records if "outages" in line.name]
    assert told == ["the database is away", "the database is back"]


def test_a_write_that_never_ends_is_given_up_and_done_again(
    devices: Deployment,
    ingest_settings: IngestSettings,
    publish: Publish,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
):
    monkeypatch.setattr(home, "LONGEST_WRITE", 0.5)
    monkeypatch.setattr("insula_ingest.service._WATCH_SECONDS", 0.1)
    publish_one = json.dumps({"values": {"a": 1}}).encode()
    running = RunningIngest(ingest_settings).start()
    publish(TOPIC, publish_one)
    eventually(lambda: count(devices, devices.acme) == 1)
    with psycopg.connect(devices.admin_url) as other:
        other.execute(f"LOCK TABLE {devices.acme.schema}.latest IN ACCESS EXCLUSIVE MODE")  # type: ignore[arg-type]
        publish(TOPIC, publish_one)
        eventually(lambda: "has not answered" in caplog.text)
        other.rollback()
    eventually(lambda: count(devices, devices.acme) == 2)
    running.stop()


def test_a_tenant_whose_tables_are_locked_is_held_and_the_others_go_on(
    devices: Deployment,
    ingest_settings: IngestSettings,
    publish: Publish,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
):
    monkeypatch.setattr(home, "LONGEST_STATEMENT", 2)
    neighbours = "tenants/globex/devices/desk-1/telemetry"
    running = RunningIngest(ingest_settings).start()
    for topic, context in ((TOPIC, devices.acme), (neighbours, devices.globex)):
        publish(topic, b'{"values": {"a": 1}}')
        eventually(lambda context=context: count(devices, context) == 1)
    with psycopg.connect(devices.admin_url) as other:
        other.execute(f"LOCK TABLE {devices.acme.schema}.latest IN ACCESS EXCLUSIVE MODE")  # type: ignore[arg-type]
        publish(TOPIC, b'{"values": {"a": 2}}')
        publish(neighbours, b'{"values": {"a": 2}}')
        eventually(lambda: count(devices, devices.globex) == 2, seconds=20)
        eventually(lambda: "tenant acme is held back: canceling statement" in caplog.text, seconds=20)
        other.rollback()
    eventually(lambda: count(devices, devices.acme) == 2, seconds=20)
    running.stop()


def test_what_was_prepared_before_a_tenant_was_held_waits_for_what_is_held(
    devices: Deployment, ingest: RunningIngest, publish: Publish, monkeypatch: pytest.MonkeyPatch
):
    source, lane = ingest.service._source, ingest.service._lanes["main"]
    store = lane._store.write
    has_begun, may_go_on = threading.Event(), threading.Event()

    def refuse_the_first(parts: Sequence[Part]) -> Outcome:
        if has_begun.is_set():
            return store(parts)
        has_begun.set()
        assert may_go_on.wait(20)
        return Outcome(held=[(part, "its tables are locked") for part in parts])

    monkeypatch.setattr(lane._store, "write", refuse_the_first)
    at = int(time.time() * 1000)
    publish(TOPIC, json.dumps({"ts": at, "values": {"a": 10}}).encode())
    eventually(has_begun.is_set)
    publish(TOPIC, json.dumps({"ts": at, "values": {"a": 11}}).encode())
    eventually(lane._prepared.full)
    may_go_on.set()
    eventually(lambda: source.acknowledged == 2, seconds=20)
    with devices.databases.tenant(devices.acme) as session:
        assert session.scalars(select(Reading.value)).all() == [11]


def test_what_a_held_birth_tells_is_stored_with_it(
    devices: Deployment, ingest: RunningIngest, publish: Publish, monkeypatch: pytest.MonkeyPatch
):
    store = ingest.service._lanes["main"]._store.write
    held: list[Part] = []

    def refuse_the_first(parts: Sequence[Part]) -> Outcome:
        if held:
            return store(parts)
        held.extend(parts)
        return Outcome(held=[(part, "its tables are locked") for part in parts])

    monkeypatch.setattr(ingest.service._lanes["main"]._store, "write", refuse_the_first)
    metric = Metric(name=b"temperature", alias=7, datatype=3, int_value=21)
    publish(TOPIC, Payload(timestamp=time.time_ns() // 1_000_000, metrics=[metric]).SerializeToString())
    eventually(lambda: ingest.service._source.acknowledged == 1, seconds=20)
    assert held
    with devices.databases.tenant(devices.acme) as session:
        assert session.scalars(select(Reading.value)).all() == [21]
        assert session.execute(select(SparkplugMetric.name, SparkplugMetric.alias)).all() == [
            ("temperature", 7)
        ]


def test_stopping_does_not_wait_for_a_database_that_is_away(
    postgres_server: PostgresServer, devices: Deployment, ingest_settings: IngestSettings, publish: Publish
):
    settings = ingest_settings.model_copy(update={"ingest_batch_messages": 5})
    start = int(time.time() * 1000) - 1000
    running = RunningIngest(settings).start()
    with away(postgres_server, devices):
        for number in range(40):  # more than the lane's threads hold between them
            publish(TOPIC, json.dumps({"ts": start + number, "values": {"a": 1}}).encode())
        eventually(lambda: running.service._source.in_flight == 40)
        stopping = threading.Thread(target=running.stop)
        stopping.start()
        stopping.join(20)
        assert not stopping.is_alive()
    again = RunningIngest(ingest_settings).start()
    eventually(lambda: count(devices, devices.acme) == 40)
    again.stop()
