"""Births while batches are on their way: prepared before the last one is stored, refused, or sent again."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from insula_ingest.codecs import Reason
from insula_ingest.codecs.sparkplug.payload_pb2 import Metric, Payload
from insula_ingest.messages import Message
from tests.conftest import Deployment
from tests.ingest.assembled import Pipeline
from tests.ingest.test_pipeline import dead_letters, readings

TOPIC = "tenants/acme/devices/desk-1/telemetry"
MS = int(time.time()) * 1000 - 60_000


@pytest.fixture
def pipeline(devices: Deployment) -> Iterator[Pipeline]:
    assembled = Pipeline(devices)
    yield assembled
    assembled.close()


def message(*metrics: Metric, after: int = 0) -> Message:
    """A Sparkplug payload of `after` seconds after the first."""
    payload = Payload(timestamp=MS + after * 1000, metrics=metrics).SerializeToString()
    return Message(TOPIC, payload, len(payload), time.time_ns() // 1000, 1, 1)


def birth(after: int = 0, **aliases: int) -> Message:
    """A birth of metrics by name, each with this alias and the value 0."""
    return message(
        *(Metric(name=name.encode(), alias=a, datatype=3, int_value=0) for name, a in aliases.items()),
        after=after,
    )


def data(alias: int, value: int, *, after: int) -> Message:
    return message(Metric(alias=alias, int_value=value), after=after)


def stored(deployment: Deployment) -> list[tuple[str, float]]:
    """The values of the first tenant that are not births' own."""
    return [(name, value) for name, _, value in readings(deployment, deployment.acme) if value]


def test_data_is_read_while_its_birth_is_still_on_its_way(devices: Deployment, pipeline: Pipeline):
    first = pipeline.prepare([birth(a=1)])
    second = pipeline.prepare([data(1, 5, after=1)])
    third = pipeline.prepare([birth(after=2, b=1), data(1, 6, after=3)])
    fourth = pipeline.prepare([data(1, 7, after=4)])
    for parts in (first, second, third, fourth):
        pipeline.write(parts)
    assert stored(devices) == [("a", 5.0), ("b", 6.0), ("b", 7.0)]
    anew = Pipeline(devices)
    anew.store([data(1, 8, after=5)])
    anew.close()
    assert stored(devices)[-1] == ("b", 8.0)


def test_a_batch_that_is_refused_has_taught_nothing(devices: Deployment, pipeline: Pipeline):
    pipeline.store([birth(a=1)])
    (refused,) = pipeline.prepare([birth(after=1, b=1)])
    refused.batch.readings[2**40, 0] = 0.0  # no point can have this id
    pipeline.write([refused])
    (letter,) = dead_letters(devices, devices.acme)
    assert letter.reason == Reason.NOT_STORED
    pipeline.store([data(1, 5, after=2)])
    assert stored(devices) == [("a", 5.0)]
    pipeline.store([birth(after=3, b=1)])
    pipeline.store([data(1, 6, after=4)])
    assert stored(devices) == [("a", 5.0), ("b", 6.0)]


def test_a_batch_that_comes_again_after_its_commit_is_never_read_wrong(
    devices: Deployment, pipeline: Pipeline
):
    """Ingest was killed between the commit and the acknowledgement: the broker sends the batch again."""
    pipeline.store([birth(a=1)])
    batch = [data(1, 5, after=1), birth(after=2, b=1), data(1, 6, after=3)]
    pipeline.store(batch)
    before = readings(devices, devices.acme)
    anew = Pipeline(devices)
    anew.store(batch)
    anew.close()
    assert readings(devices, devices.acme) == before
    assert stored(devices) == [("a", 5.0), ("b", 6.0)]
    (letter,) = dead_letters(devices, devices.acme)
    assert letter.reason == Reason.NO_BIRTH


def test_aliases_that_cross_are_stored_as_they_are_known(devices: Deployment, pipeline: Pipeline):
    pipeline.store([birth(a=1, b=2), birth(after=1, b=1, a=2)])
    anew = Pipeline(devices)
    anew.store([data(1, 5, after=2), data(2, 6, after=2)])
    anew.close()
    assert stored(devices) == [("a", 6.0), ("b", 5.0)]
