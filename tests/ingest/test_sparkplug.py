"""What the Sparkplug B codec reads by itself, and what births add to it."""

from __future__ import annotations

import math
import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from insula_ingest.codecs import Decoded, Reason, decode
from insula_ingest.codecs.decoded import Pending, Told
from insula_ingest.codecs.sparkplug import Births, Metric, read_pending
from insula_ingest.codecs.sparkplug import births as births_module
from insula_ingest.codecs.sparkplug.payload_pb2 import Metric as Sent
from insula_ingest.codecs.sparkplug.payload_pb2 import Payload
from insula_ingest.codecs.sparkplug.values import NAMES

NOW = 1_763_860_000_000_000
MS = NOW // 1000
INT8, INT16, INT32, INT64, UINT8, UINT16, UINT32, UINT64, FLOAT, DOUBLE, BOOLEAN, STRING = range(1, 13)


def payload(*metrics: Sent, timestamp: int | None = MS) -> bytes:
    return Payload(timestamp=timestamp, metrics=metrics).SerializeToString()


def read(*metrics: Sent, timestamp: int | None = MS, births: Births | None = None) -> Decoded:
    """What the payload comes to when its device's births are `births`."""
    decoded = decode(payload(*metrics, timestamp=timestamp), NOW)
    known = births or Births()
    if decoded.metrics:
        known = known.learn(decoded.metrics.told, decoded.metrics.told_at).births
    read_pending(decoded, known, NOW)
    return decoded


def born(*metrics: Sent, at: int = MS, before: Births | None = None) -> Births:
    """What is known after a birth with these metrics."""
    decoded = decode(payload(*metrics, timestamp=at), NOW)
    assert decoded.metrics is not None
    return (before or Births()).learn(decoded.metrics.told, decoded.metrics.told_at).births


def values(decoded: Decoded) -> list[tuple[str, float]]:
    return [(value.point, value.value) for value in decoded.values]


def reasons(decoded: Decoded) -> list[Reason]:
    return [rejected.reason for rejected in decoded.rejected]


# Values


@pytest.mark.parametrize(
    ("datatype", "field", "raw", "value"),
    [
        (INT8, "int_value", 127, 127),
        (INT8, "int_value", 0x80, -128),
        (INT8, "int_value", 0xFF, -1),
        (INT8, "int_value", 0xFFFFFFFF, -1),
        (INT8, "int_value", 0xFFFFFF80, -128),
        (INT16, "int_value", 0xFFFE, -2),
        (INT16, "int_value", 0xFFFF8000, -32768),
        (INT32, "int_value", 0x7FFFFFFF, 2**31 - 1),
        (INT32, "int_value", 0x80000000, -(2**31)),
        (INT32, "long_value", 0xFFFFFFFF, -1),
        (INT32, "long_value", 0xFFFFFFFFFFFFFFFF, -1),
        (INT64, "long_value", 0xFFFFFFFFFFFFFFFF, -1),
        (INT64, "long_value", 2**62, 2**62),
        (INT64, "int_value", 5, 5),
        (UINT8, "int_value", 255, 255),
        (UINT16, "int_value", 65535, 65535),
        (UINT32, "int_value", 0xFFFFFFFF, 2**32 - 1),
        (UINT32, "long_value", 0xFFFFFFFF, 2**32 - 1),
        (UINT64, "long_value", 2**64 - 1, float(2**64 - 1)),
        (FLOAT, "float_value", 21.5, 21.5),
        (FLOAT, "double_value", 21.1, 21.1),
        (DOUBLE, "double_value", -1e280, -1e280),
        (BOOLEAN, "boolean_value", True, 1),
        (BOOLEAN, "boolean_value", False, 0),
        (0, "float_value", 21.5, 21.5),
        (0, "double_value", 21.1, 21.1),
        (0, "boolean_value", True, 1),
    ],
)
def test_values_are_read_by_their_datatype(datatype: int, field: str, raw: float, value: float):
    decoded = read(Sent(name=b"a", datatype=datatype, **{field: raw}))
    assert values(decoded) == [("a", value)]
    assert not decoded.rejected


@pytest.mark.parametrize(
    ("datatype", "field", "raw"),
    [
        (INT8, "int_value", 256),
        (INT8, "int_value", 0xFF80),
        (INT16, "int_value", 0x10000),
        (INT32, "long_value", 2**32),
        (UINT8, "int_value", 256),
        (UINT8, "int_value", 0xFFFFFFFF),
        (UINT32, "long_value", 2**32),
        (INT32, "float_value", 1.0),
        (INT32, "boolean_value", True),
        (FLOAT, "int_value", 1),
        (BOOLEAN, "int_value", 1),
        (FLOAT, "float_value", math.nan),
        (DOUBLE, "double_value", math.inf),
        (0, "double_value", -math.inf),
        (STRING, "int_value", 1),
        (13, "long_value", MS),
        (STRING, "string_value", b"\xff"),
        (14, "string_value", b"text"),
        (15, "string_value", b"uuid"),
        (16, "dataset_value", b"\x08\x01"),
        (17, "bytes_value", b"x"),
        (19, "template_value", b""),
        (25, "bytes_value", b"\0" * 8),
        (99, "int_value", 1),
        (0, "extension_value", b""),
    ],
)
def test_what_a_point_cannot_hold_spoils_its_own_metric_alone(datatype: int, field: str, raw: object):
    good = Sent(name=b"good", datatype=INT32, int_value=1)
    decoded = read(good, Sent(name=b"bad", datatype=datatype, **{field: raw}), good)
    assert values(decoded) == [("good", 1)] * 2
    assert reasons(decoded) == [Reason.BAD_VALUE]
    assert decoded.rejected[0].detail.startswith("metrics[1] bad: ")


@given(st.sampled_from(range(1, 9)), st.integers(0, 2**64 - 1))
def test_whole_numbers_stay_within_their_datatype(datatype: int, raw: int):
    field = "int_value" if raw < 2**32 else "long_value"
    bits = int(NAMES[datatype].strip("UInt"))
    for _, value in values(read(Sent(name=b"a", datatype=datatype, **{field: raw}))):
        low, high = (
            (0, 2**bits - 1) if NAMES[datatype].startswith("U") else (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1)
        )
        assert float(low) <= value <= float(high)


# The flags of a metric, and its name


def test_nulls_and_transient_metrics_are_nothing_to_store():
    decoded = read(
        Sent(name=b"a", datatype=INT32, is_null=True),
        Sent(name=b"b", datatype=INT32, is_transient=True, int_value=1),
        Sent(name=b"c", alias=9, datatype=STRING, is_null=True),
    )
    assert not decoded.values
    assert not decoded.rejected


def test_historical_metrics_are_stored_at_their_time():
    decoded = read(Sent(name=b"a", datatype=DOUBLE, double_value=1, is_historical=True, timestamp=MS - 5000))
    assert decoded.values == [("a", NOW - 5_000_000, 1.0)]


def test_metrics_of_the_session_measure_nothing():
    decoded = read(
        Sent(name=b"bdSeq", datatype=INT64, long_value=3),
        Sent(name=b"Node Control/Rebirth", datatype=BOOLEAN, boolean_value=False),
        Sent(name=b"Device Control/Reboot", datatype=BOOLEAN, boolean_value=False),
        Sent(name=b"a", datatype=FLOAT, float_value=1),
    )
    assert values(decoded) == [("a", 1)]
    assert not decoded.rejected


@pytest.mark.parametrize("name", [b"a b", b"\xff", "ä".encode(), b"x" * 129, b"\0", b"/a"])
def test_a_name_that_no_point_can_have_is_rejected(name: bytes):
    decoded = read(Sent(name=name, alias=3, datatype=FLOAT, float_value=1), Sent(name=b"b", float_value=2))
    assert values(decoded) == [("b", 2)]
    assert reasons(decoded) == [Reason.BAD_NAME]


def test_a_metric_without_name_and_alias_and_one_without_value_are_rejected():
    decoded = read(Sent(datatype=FLOAT, float_value=1), Sent(name=b"a", datatype=FLOAT), Sent(alias=0))
    assert reasons(decoded) == [Reason.BAD_NAME, Reason.BAD_VALUE, Reason.BAD_VALUE]


# Times


def test_a_metrics_own_time_counts_over_its_payloads_and_without_both_the_receipts():
    assert read(Sent(name=b"a", float_value=1, timestamp=MS - 7)).values == [("a", NOW - 7000, 1.0)]
    assert read(Sent(name=b"a", float_value=1), timestamp=MS - 9).values == [("a", NOW - 9000, 1.0)]
    assert read(Sent(name=b"a", float_value=1), timestamp=None).values == [("a", None, 1.0)]


def test_a_bad_time_spoils_what_it_is_the_time_of():
    decoded = read(
        Sent(name=b"a", float_value=1),
        Sent(name=b"b", float_value=2, timestamp=MS),
        Sent(name=b"c", float_value=3),
        timestamp=MS // 1000,
    )
    assert values(decoded) == [("b", 2)]
    assert reasons(decoded) == [Reason.IMPLAUSIBLE_TIME]
    assert decoded.not_kept == 1
    decoded = read(Sent(name=b"a", float_value=1), Sent(name=b"b", float_value=2, timestamp=2**64 - 1))
    assert values(decoded) == [("a", 1)]
    assert reasons(decoded) == [Reason.IMPLAUSIBLE_TIME]


# Births


def test_data_by_alias_is_read_with_what_the_birth_told():
    births = born(
        Sent(name=b"temperature", alias=1, datatype=DOUBLE, double_value=20),
        Sent(name=b"count", alias=2**64 - 1, datatype=INT16, int_value=0),
    )
    decoded = read(Sent(alias=1, double_value=21.5), Sent(alias=2**64 - 1, int_value=0xFFFF), births=births)
    assert values(decoded) == [("temperature", 21.5), ("count", -1)]
    assert not decoded.rejected


def test_the_birth_itself_is_data_too_and_may_come_with_it():
    decoded = read(Sent(name=b"a", alias=0, datatype=INT32, int_value=7), Sent(alias=0, int_value=8))
    assert values(decoded) == [("a", 7), ("a", 8)]


def test_an_alias_that_no_birth_told_is_rejected_and_its_neighbours_are_read():
    births = born(Sent(name=b"a", alias=1, datatype=DOUBLE, double_value=20))
    decoded = read(Sent(alias=2, double_value=1), Sent(alias=1, double_value=2), births=births)
    assert values(decoded) == [("a", 2)]
    assert reasons(decoded) == [Reason.NO_BIRTH]
    assert "alias 2" in decoded.rejected[0].detail
    assert "send a birth" in decoded.rejected[0].detail


def test_a_whole_number_by_name_needs_a_datatype_from_it_or_from_a_birth():
    births = born(Sent(name=b"a", datatype=INT32, int_value=1))
    assert values(read(Sent(name=b"a", int_value=2**32 - 1), births=births)) == [("a", -1)]
    assert reasons(read(Sent(name=b"a", int_value=1))) == [Reason.NO_BIRTH]
    untyped = born(Sent(name=b"a", alias=4, double_value=1))
    assert reasons(read(Sent(alias=4, int_value=1), births=untyped)) == [Reason.NO_BIRTH]
    assert values(read(Sent(alias=4, double_value=1), births=untyped)) == [("a", 1)]


def test_aliases_that_change_hands_mean_their_new_metrics_from_then_on():
    first = born(
        Sent(name=b"a", alias=5, datatype=DOUBLE, double_value=1),
        Sent(name=b"b", alias=6, datatype=INT8, int_value=1),
        at=MS - 60_000,
    )
    crossed = [Told("b", 5, 0), Told("a", 6, 0), Told("c", 7, FLOAT)]
    second, changed, forgotten, _ = first.learn(crossed, NOW - 30_000_000)
    assert not forgotten
    assert set(changed) == {
        Metric("b", 5, INT8, NOW - 30_000_000),
        Metric("a", 6, DOUBLE, NOW - 30_000_000),
        Metric("c", 7, FLOAT, 0),
    }
    late = Sent(alias=6, double_value=2.5)
    assert values(read(late, births=second)) == [("a", 2.5)]
    # What was on its way before the aliases crossed must not be taken for the other metric.
    assert reasons(read(late, births=second, timestamp=MS - 45_000)) == [Reason.NO_BIRTH]
    # Kept by the device and sent after its birth: that is of the new one.
    kept = Sent(alias=6, double_value=2.5, timestamp=MS - 45_000, is_historical=True)
    assert values(read(kept, births=second)) == [("a", 2.5)]
    assert values(read(Sent(alias=6, int_value=0xFF), births=first)) == [("b", -1)], (
        "the old ones still stand"
    )


def test_a_metric_whose_alias_is_taken_is_forgotten():
    births = born(
        Sent(name=b"b", alias=5, double_value=1), before=born(Sent(name=b"a", alias=5, double_value=1))
    )
    assert set(births.by_name) == {"b"}


def test_the_same_birth_again_changes_nothing():
    told = [Told("a", 1, INT32), Told("b", None, INT8)]
    learned = Births().learn(told, NOW)
    assert len(learned.changed) == 2
    again = learned.births.learn(told, NOW + 1)
    assert again.births is learned.births
    assert again.changed == []


def test_births_tell_only_so_many_metrics(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(births_module, "MOST_METRICS", 3)
    learned = Births().learn([Told(f"m{number}", number, INT8) for number in range(5)], NOW)
    assert set(learned.births.by_name) == {"m0", "m1", "m2"}
    assert learned.without_room == ["m3", "m4"]
    learned = learned.births.learn([Told("new", 1, INT8)], NOW)
    assert set(learned.births.by_name) == {"m0", "new", "m2"}
    assert learned.forgotten == ["m1"]
    assert learned.without_room == []


names = st.sampled_from(["a", "b", "c", "d"])
told = st.builds(Told, names, st.none() | st.integers(0, 3), st.integers(0, 3))


@given(st.lists(st.lists(told, max_size=6), max_size=5))
def test_names_and_aliases_stay_one_to_one_and_changes_tell_all(all_births: list[list[Told]]):
    """Kept by what each birth changes, the metrics come to the same."""
    births, stored = Births(), {}
    for at, birth in enumerate(all_births, start=1):
        births, changed, forgotten, _ = births.learn(birth, at)
        for name in forgotten:
            del stored[name]
        stored |= {metric.name: metric for metric in changed}
        assert stored == births.by_name
        aliases = [metric.alias for metric in births.by_name.values() if metric.alias is not None]
        assert len(aliases) == len(set(aliases))
        for alias in aliases:
            metric = births.of(Pending("", None, alias, None, "int_value", 0, 1, historical=False))
            assert metric is births.by_name[metric.name if metric else ""]


# Payloads that are none


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"\x08", Reason.MALFORMED),
        (b"\x12\xff\xff\xff\xff\x7f", Reason.MALFORMED),
        (b"\x12\x05\x0a\x09", Reason.MALFORMED),
        (b"\x08\x01" + b"\x33" * 1_000_000, Reason.MALFORMED),
        (b"\x08\x01", Reason.BAD_SHAPE),
        (b"\x18\x01", Reason.BAD_SHAPE),
        (b"\x12\x00", Reason.BAD_NAME),
    ],
)
def test_what_is_no_payload_is_rejected_with_a_reason(content: bytes, reason: Reason):
    decoded = decode(content, NOW)
    assert not decoded.values
    assert reasons(decoded) == [reason]


def test_unknown_fields_are_passed_over():
    metric = Sent(name=b"a", float_value=1).SerializeToString() + b"\x4a\x02\x0a\x00" + b"\xa2\x06\x01x"
    content = (
        b"\x08\xa0\xfa\xac\xf7\xaa\x33\x12" + bytes([len(metric)]) + metric + b"\x18\x05\x22\x01u\x2a\x01b"
    )
    decoded = decode(content, NOW)
    assert values(decoded) == [("a", 1)]


def test_memory_stays_in_proportion_to_the_payload():
    content = b"\x12\x00" * 200_000
    tracemalloc.start()
    decoded = decode(content, NOW)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert len(decoded.rejected) == 20
    assert decoded.not_kept == 199_980
    assert peak < len(content) * 50
