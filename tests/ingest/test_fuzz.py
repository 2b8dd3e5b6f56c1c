"""Broken payloads by the thousand: nothing escapes, nothing implausible is taken, no good record is lost.

`make test` takes a few thousand, always the same ones. `make fuzz` takes more than 100 000, and others each
time; it names its seed, so that what it finds can be found again with `INSULA_FUZZ_SEED`.

Which good records must be kept beside broken ones, by format:

- JSON, an array: every record, wherever it stands, as long as the array is well-formed and its first record
  does not make it SenML. In an object: every value.
- SenML, JSON or CBOR: every record before the first whose base fields cannot be read, and those after records
  without base fields. (A base field that can be read is meant for what follows, whatever it says.)
- Sparkplug B: every metric with a name, a datatype and a time of its own.

What is not well-formed is rejected whole.
"""

from __future__ import annotations

import json
import math
import os
import random
import sys
import time
import tracemalloc
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import cbor2
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import select

from insula_ingest.codecs import Decoded, Reason, decode
from insula_ingest.codecs.decoded import EARLIEST, MAX_AHEAD, MOST_REJECTIONS
from insula_ingest.codecs.sparkplug import Births, read_pending
from insula_ingest.codecs.sparkplug.payload_pb2 import Metric, Payload
from insula_ingest.messages import Message
from insula_tenants.devices import Device, Point, create_device
from insula_tenants.names import is_point_name
from insula_tenants.telemetry.models import DeadLetter, Reading
from tests.conftest import Deployment
from tests.ingest.assembled import Pipeline
from tests.ingest.mutations import MS, NOW, Mutator

PAYLOADS = int(os.environ.get("INSULA_FUZZ_PAYLOADS", "4000"))
LONG = "INSULA_FUZZ_PAYLOADS" in os.environ
SEED = int(os.environ.get("INSULA_FUZZ_SEED", str(random.SystemRandom().randrange(2**32)) if LONG else "1"))

STALLED = 5.0
"""Seconds that no payload of these sizes takes, however busy the machine: milliseconds are usual."""
fuzzing = settings(max_examples=max(100, PAYLOADS // 20), derandomize=not LONG, deadline=None)


@dataclass
class Seen:
    """What a run came to."""

    payloads: int = 0
    values: int = 0
    rejected: int = 0
    nothing: int = 0
    slowest: float = 0.0


def read_whole(payload: bytes, births: Births) -> tuple[Decoded, Births]:
    """Decode, learn and read what is pending, as the pipeline does."""
    decoded = decode(payload, NOW)
    if decoded.metrics is not None:
        births = births.learn(decoded.metrics.told, decoded.metrics.told_at).births
    read_pending(decoded, births, NOW)
    return decoded, births


def check(decoded: Decoded) -> None:
    """What holds of every payload, good or broken."""
    for value in decoded.values:
        assert math.isfinite(value.value), value
        assert isinstance(value.value, float), value
        assert is_point_name(value.point), value
        assert value.time is None or EARLIEST <= value.time <= NOW + MAX_AHEAD, value
    assert len(decoded.rejected) <= MOST_REJECTIONS
    for rejected in decoded.rejected:
        assert 0 < len(rejected.detail) < 700, rejected
        rejected.detail.encode()
    assert not decoded.not_kept or decoded.rejected


def test_broken_payloads_are_read_or_rejected(capsys: pytest.CaptureFixture[str]):
    seen, births, began = Seen(), Births(), time.perf_counter()
    for payload in Mutator(SEED).payloads(PAYLOADS):
        started = time.perf_counter()
        try:
            decoded, births = read_whole(payload, births)
            check(decoded)
        except Exception as error:
            pytest.fail(f"seed {SEED}: {payload!r}: {error!r}")
        took = time.perf_counter() - started
        assert took < STALLED, payload
        seen.payloads += 1
        seen.values += len(decoded.values)
        seen.rejected += bool(decoded.rejected)
        seen.nothing += not decoded.rejected and not decoded.values
        seen.slowest = max(seen.slowest, took)
    if LONG:
        with capsys.disabled():
            sys.stdout.write(f"\nseed {SEED}: {seen} in {time.perf_counter() - began:.0f} s\n")
    # The engine must break much and not everything.
    assert seen.rejected > PAYLOADS / 3
    assert seen.values > PAYLOADS / 3
    assert seen.nothing < PAYLOADS / 10


def test_memory_stays_in_proportion_to_the_payload():
    tracemalloc.start()
    for payload in Mutator(SEED + 1).payloads(PAYLOADS // 10):
        tracemalloc.reset_peak()
        before = tracemalloc.get_traced_memory()[0]
        decode(payload, NOW)
        assert tracemalloc.get_traced_memory()[1] - before < 300 * len(payload) + 100_000, payload
    tracemalloc.stop()


# Good records beside broken ones

GOOD = {"kept-1": 1.0, "kept-2": 2.5, "kept-3": -3.0}


def kept(payload: bytes) -> dict[str, float]:
    """The good values that were read."""
    decoded, _ = read_whole(payload, Births())
    check(decoded)
    return {value.point: value.value for value in decoded.values if value.point in GOOD}


def between(records: list[Any], broken: Iterator[Any]) -> list[Any]:
    """The good records with a broken one after each."""
    return [record for pair in zip(records, broken, strict=False) for record in pair] + [records[-1]]


def without_base(record: Any) -> Any:
    """The record without what would be meant for those that follow, or says that they cannot be read."""
    if not isinstance(record, dict):
        return record
    base = {"bn", "bt", "bv", "bver", -1, -2, -3, -5}
    return {
        key: value
        for key, value in record.items()
        if key not in base and not (isinstance(key, str) and key.endswith("_")) and str(value) not in GOOD
    }


def test_good_records_beside_broken_ones_are_kept():
    mutator = Mutator(SEED + 2)
    for _ in range(PAYLOADS // 20):
        arrays = [{"ts": MS, "values": {name: value}} for name, value in GOOD.items()]
        broken = iter([mutator.tree(arrays[0]["values"]), mutator.any(cbor=False), mutator.tree(arrays[1])])
        assert kept(json.dumps(between(arrays, broken)).encode()).keys() >= {"kept-1", "kept-2", "kept-3"}

        pack = [{"n": name, "v": value} for name, value in GOOD.items()]
        broken = iter(without_base(mutator.tree({"n": "x", "v": 1, "t": -5, "vs": "a"})) for _ in range(3))
        assert kept(json.dumps(between(pack, broken)).encode()) == GOOD

        pack_in_cbor = [{0: name, 2: value} for name, value in GOOD.items()]
        broken = iter(without_base(mutator.tree({0: "x", 2: 1, 6: -5, 3: "a"}, cbor=True)) for _ in range(3))
        assert _kept_unless_too_deep(cbor2.dumps(between(pack_in_cbor, broken)))

        message = Payload(timestamp=MS)
        for name, value in GOOD.items():
            message.metrics.add(name=name.encode(), datatype=10, double_value=value, timestamp=MS)
            mutator.change_metric(message.metrics.add(name=b"x", alias=1, datatype=3, int_value=1))
        assert kept(message.SerializeToString()) == GOOD


def _kept_unless_too_deep(payload: bytes) -> bool:
    decoded = decode(payload, NOW)
    if decoded.rejected and "depth" in decoded.rejected[0].detail:
        return not decoded.values
    return kept(payload) == GOOD


anything = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=9),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["ts", "values", "n", "v", "t", "vb"]) | st.text(max_size=3), inner, max_size=4
        )
    ),
    max_leaves=12,
)


@fuzzing
@given(st.lists(anything, min_size=2, max_size=2))
def test_whatever_stands_between_them_good_records_are_kept(broken: list[Any]):
    arrays = [{"ts": MS, "values": {name: value}} for name, value in GOOD.items()]
    assert kept(json.dumps(between(arrays, iter(broken))).encode()) == GOOD
    safe = [without_base(record) for record in broken]
    pack = [{"n": name, "v": value} for name, value in GOOD.items()]
    assert kept(json.dumps(between(pack, iter(safe))).encode()) == GOOD
    assert (
        kept(cbor2.dumps(between([{0: name, 2: value} for name, value in GOOD.items()], iter(safe)))) == GOOD
    )


@fuzzing
@given(
    st.dictionaries(st.text(max_size=5).filter(lambda key: key not in ("ts", "values")), anything, max_size=5)
)
def test_whatever_else_an_object_holds_good_values_are_kept(others: dict[str, Any]):
    assert kept(json.dumps({**others, **GOOD}).encode()) == GOOD
    assert kept(json.dumps({"values": {**GOOD, **others}, "ts": MS}).encode()) == GOOD


@fuzzing
@given(
    st.binary(max_size=60),
    st.sampled_from([b"\x9f", b"\xbf", b"\x08\x01\x12", b"\x12\x08", b"[", b'{"a":', b""]),
)
def test_any_bytes_are_read_or_rejected(payload: bytes, first: bytes):
    decoded, _ = read_whole(first + payload, Births())
    check(decoded)


# Through the pipeline


def test_good_messages_between_broken_ones_are_all_stored(devices: Deployment):
    """The real batch and the real writer; broken messages of the same device, of a child and of nobody."""
    with devices.databases.tenant(devices.acme) as session:
        create_device(session, "gateway-1", name="Gateway")
        create_device(session, "lamp", name="Lamp", gateway="gateway-1")
        # Broken payloads name points of their own, up to the device's limit: the good one's is there before.
        good = session.scalar(select(Device).where(Device.slug == "desk-1"))
        assert good is not None
        session.add(Point(device_id=good.id, name="kept"))
    topics = [
        "tenants/acme/devices/desk-1/telemetry",
        "tenants/acme/devices/gateway-1/children/lamp/telemetry",
        "tenants/acme/devices/gateway-1/children/desk-1/telemetry",
        "tenants/globex/devices/desk-1/telemetry",
        "tenants/acme/devices/nobody/telemetry",
        "tenants/nobody/devices/desk-1/telemetry",
    ]
    began = time.time_ns() // 1_000_000_000
    good_ones: dict[datetime, float] = {}
    messages: list[Message] = []
    mutator = Mutator(SEED + 3)
    for number, payload in enumerate(mutator.payloads(PAYLOADS // 3)):
        messages.append(_message(mutator.random.choices(topics, (8, 3, 1, 2, 1, 1))[0], payload, number))
        if number % 3 == 0:
            at = began - number
            good_ones[datetime.fromtimestamp(at, UTC)] = float(number)
            messages.append(_message(topics[0], _good_message(number, at), number))
    pipeline = Pipeline(devices)
    for first in range(0, len(messages), 500):
        pipeline.store(messages[first : first + 500])
    pipeline.close()
    with devices.databases.tenant(devices.acme) as session:
        kept_points = select(Point.id).where(Point.name == "kept")
        query = select(Reading.time, Reading.value).where(Reading.point_id.in_(kept_points))
        assert {row.time: row.value for row in session.execute(query)} == good_ones
        reasons = set(session.scalars(select(DeadLetter.reason).distinct()))
    assert Reason.NOT_STORED not in reasons, "the database never has to refuse what the codecs took"
    assert reasons >= {
        Reason.MALFORMED,
        Reason.BAD_VALUE,
        Reason.BAD_NAME,
        Reason.NO_BIRTH,
        Reason.NOT_ITS_GATEWAY,
    }


def _message(topic: str, payload: bytes, number: int) -> Message:
    received_at = time.time_ns() // 1000
    return Message(topic, payload, len(payload), received_at, mid=number % 65535 + 1, session=1)


def _good_message(number: int, at: int) -> bytes:
    """The same reading in each of the formats in turn."""
    match number // 3 % 4:
        case 0:
            return json.dumps({"ts": at * 1000, "values": {"kept": number}}).encode()
        case 1:
            return json.dumps([{"bn": "ke", "bt": at, "n": "pt", "v": number}]).encode()
        case 2:
            return cbor2.dumps([{0: "kept", 6: at, 2: number}])
        case _:
            metric = Metric(name=b"kept", datatype=3, int_value=number, timestamp=at * 1000)
            return Payload(metrics=[metric]).SerializeToString()
