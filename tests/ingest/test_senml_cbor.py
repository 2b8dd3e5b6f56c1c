"""What the SenML CBOR codec reads, and what a hostile pack can make it do: nothing."""

from __future__ import annotations

import json
import math
import tracemalloc
from io import BytesIO
from typing import Any

import cbor2
import pytest
from cbor2 import CBORTag
from hypothesis import given
from hypothesis import strategies as st

from insula_ingest.codecs import Decoded, Reason, decode, decode_json
from insula_ingest.codecs.senml_cbor import _TAGS, MAX_DEPTH, Unreadable, _unknown_tag

NOW = 1_763_860_000_000_000
LABELS = {
    "bn": -2,
    "bt": -3,
    "bu": -4,
    "bv": -5,
    "bver": -1,
    "n": 0,
    "u": 1,
    "v": 2,
    "vs": 3,
    "vb": 4,
    "t": 6,
}


def read(document: object) -> Decoded:
    return decode(cbor2.dumps(document), NOW)


def reasons(decoded: Decoded) -> list[Reason]:
    return [rejected.reason for rejected in decoded.rejected]


def test_the_example_of_the_specification_is_read():
    """The pack of RFC 8428, section 5.1.2, in CBOR, with a later base time."""
    pack = cbor2.loads(
        bytes.fromhex(
            "87a721781b75726e3a6465763a6f773a3130653230373361303130383030363a22fb41d303a15b00106223614120050067766f"
            "6c7461676501615602fb405e066666666666a3006763757272656e74062402fb3ff3333333333333a3006763757272656e7406"
            "2302fb3ff4cccccccccccda3006763757272656e74062202fb3ff6666666666666a3006763757272656e74062102f93e00a300"
            "6763757272656e74062002fb3ff999999999999aa3006763757272656e74060002fb3ffb333333333333"
        )
    )
    pack[0][LABELS["bt"]] = 1_763_859_000
    base = "urn:dev:ow:10e2073a0108006:"
    assert [(value.point, value.value) for value in read(pack).values] == [
        (base + "voltage", 120.1),
        *((base + "current", amperes) for amperes in (1.2, 1.3, 1.4, 1.5, 1.6, 1.7)),
    ]


fields = st.fixed_dictionaries(
    {},
    optional={
        "bn": st.sampled_from(["urn:dev:1:", "a", "", 7]),
        "bt": st.sampled_from([0, 1_763_859_000, 1.7638590005e9, -60, "x", 2**70]),
        "bv": st.floats() | st.integers(-10, 10),
        "bver": st.sampled_from([5, 10, 11, "x"]),
        "n": st.sampled_from(["temperature", "b", "a b", "", None]),
        "u": st.sampled_from(["Cel", "V"]),
        "v": st.floats() | st.integers(-(2**63), 2**64) | st.booleans() | st.text(max_size=3),
        "vb": st.booleans() | st.integers(0, 1),
        "vs": st.text(max_size=3),
        "t": st.integers(-100_000, 100) | st.sampled_from([1_763_859_000, 1.5e9, 1e300, True]),
        "x_": st.just(1),
    },
)


@given(st.lists(fields, min_size=1, max_size=5))
def test_cbor_means_what_the_same_pack_means_in_json(pack: list[dict[str, Any]]):
    in_json = [{key: value for key, value in record.items() if not _is_odd(value)} for record in pack]
    in_json[0] = {"bn": "", **in_json[0]}  # without a name in its first record JSON would not be SenML
    in_cbor = [{LABELS.get(key, key): value for key, value in record.items()} for record in in_json]
    expected, got = decode_json(json.dumps(in_json).encode(), NOW), read(in_cbor)
    assert got.values == expected.values
    if got.values or expected.values:
        assert reasons(got) == reasons(expected)


def _is_odd(value: object) -> bool:
    return isinstance(value, float) and not math.isfinite(value)


@pytest.mark.parametrize(
    ("number", "value"),
    [
        (21, 21.0),
        (-1, -1.0),
        (2**64 - 1, float(2**64 - 1)),
        (2**70, float(2**70)),
        (-(2**70), -float(2**70)),
        (2**900, 2.0**900),
        (CBORTag(4, [-1, 215]), 21.5),
        (CBORTag(4, [2, -3]), -300.0),
        (CBORTag(4, [-25, 2**80]), 2**80 / 1e25),
        (CBORTag(4, [0, CBORTag(2, b"\x01\x00")]), 256.0),
        (CBORTag(55799, 7), 7.0),
    ],
)
def test_numbers_of_every_kind_are_read(number: object, value: float):
    decoded = read([{0: "a", 2: number}])
    assert [one.value for one in decoded.values] == [pytest.approx(value, rel=1e-15)]
    assert not decoded.rejected


@pytest.mark.parametrize(
    "number",
    [
        math.nan,
        math.inf,
        2**1024,
        -(2**1024),
        CBORTag(2, b"\xff" * 1_000_000),
        CBORTag(2, "text"),
        CBORTag(4, [400, 10]),
        CBORTag(4, [2**63, 1]),
        CBORTag(4, [-(2**63), 1]),
        CBORTag(4, [1]),
        CBORTag(4, [1.5, 2]),
        CBORTag(4, [True, 2]),
        CBORTag(4, 5),
        CBORTag(5, [1, 3]),
        CBORTag(0, "2025-11-23T01:06:40Z"),
        CBORTag(1, 1_763_860_000),
        CBORTag(28, [CBORTag(29, 0)]),
        CBORTag(30, [1, 3]),
        CBORTag(35, "(a+)+$"),
        CBORTag(36, "Content-Type: text/plain\n\nx"),
        CBORTag(256, ["aaa", CBORTag(25, 0)]),
        CBORTag(43000, [1.0, 2.0]),
        CBORTag(2**64 - 1, 1),
        cbor2.undefined,
        cbor2.CBORSimpleValue(99),
        None,
        b"21",
        [21],
        {2: 21},
    ],
)
def test_what_is_no_number_spoils_its_own_record_alone(number: object):
    decoded = read([{0: "a", 2: 1}, {0: "b", 2: number}, {0: "c", 2: 3}])
    assert [value.point for value in decoded.values] == ["a", "c"]
    assert reasons(decoded) == [Reason.BAD_VALUE]
    assert decoded.rejected[0].detail.startswith("[1]v: ")


@pytest.mark.parametrize("label", [-3, -5])
def test_an_unreadable_base_ends_the_pack_there(label: int):
    decoded = read([{0: "a", 2: 1}, {0: "b", 2: 1, label: CBORTag(1, 5)}, {0: "c", 2: 1}])
    assert [value.point for value in decoded.values] == ["a"]
    assert len(decoded.rejected) == 2


def test_no_tag_makes_anything_but_numbers_and_text():
    """cbor2 knows many tags and may come to know more: none may reach a value unseen."""
    inner = [
        0,
        b"a",
        "a",
        [1, 2],
        {1: 2},
        "2020-01-01",
        "2020-01-01T00:00:00Z",
        b"\0" * 16,
        [["a", 1]],
        "a/b",
    ]
    tags = [*range(1100), 43000, 43001, 55800, 2**32, 2**64 - 1]
    made: set[tuple[int, type]] = set()
    for tag in tags:
        for value in inner:
            decoder = cbor2.CBORDecoder(
                BytesIO(cbor2.dumps(CBORTag(tag, value))),
                semantic_decoders=_TAGS,
                tag_hook=_unknown_tag,
                max_depth=MAX_DEPTH,
            )
            made.add((tag, type(decoder.decode())))
    assert {(tag, kind) for tag, kind in made if kind is not Unreadable} == {(2, int), (3, int), (4, float)}


@pytest.mark.parametrize(
    ("payload", "reason"),
    [
        (b"\x81", Reason.MALFORMED),
        (b"\x9b\x0f" + b"\xff" * 7, Reason.MALFORMED),
        (b"\x9a\xff\xff\xff\xff", Reason.MALFORMED),
        (b"\x81\xbb\x0f" + b"\xff" * 7, Reason.MALFORMED),
        (b"\x81\x5b\x0f" + b"\xff" * 7 + b"x", Reason.MALFORMED),
        (b"\x81\x7a\x7f\xff\xff\xffx", Reason.MALFORMED),
        (b"\x81" * 1_000_000, Reason.MALFORMED),
        (b"\x81" + b"\xc1" * 1_000_000, Reason.MALFORMED),
        (b"\xd9\xd9\xf7" * 300_000, Reason.MALFORMED),
        (b"\x81\xff", Reason.MALFORMED),
        (b"\x81\x61\xff", Reason.MALFORMED),
        (cbor2.dumps([{0: "a", 2: 1}]) + b"\0", Reason.MALFORMED),
        (b"\xd9\xd9", Reason.MALFORMED),
        (b"\xa0", Reason.BAD_SHAPE),
        (b"\x80", Reason.BAD_SHAPE),
        (b"\x81\xa0", Reason.BAD_SHAPE),
        (cbor2.dumps({"temperature": 21.5}), Reason.BAD_SHAPE),
        (cbor2.dumps([7]), Reason.BAD_SHAPE),
        (cbor2.dumps([{0: "a b", 2: 1}]), Reason.BAD_NAME),
        (cbor2.dumps([{0: "a", 6: "x", 2: 1}]), Reason.BAD_TIME),
        (cbor2.dumps([{0: "a", 6: 1e12, 2: 1}]), Reason.IMPLAUSIBLE_TIME),
    ],
)
def test_what_cannot_be_read_is_rejected_with_a_reason(payload: bytes, reason: Reason):
    decoded = decode(payload, NOW)
    assert not decoded.values
    assert reasons(decoded) == [reason]


def test_packs_of_indefinite_length_and_the_tag_that_says_cbor_are_read():
    """RFC 8949, sections 3.2.2 and 3.4.6."""
    record = cbor2.dumps({0: "a", 2: 1})
    for payload in (
        b"\x9f" + record + b"\xff",
        b"\xd9\xd9\xf7\x81" + record,
        b"\x81\xbf\x00\x61a\x02\x01\xff",
    ):
        assert [value.point for value in decode(payload, NOW).values] == ["a"]


def test_labels_may_be_text_and_unknown_ones_are_passed_over():
    decoded = read([{"n": "a", "v": 1, 99: 5, "note": [1, {2: 3}], b"x": 1, None: 1, True: 9, 1.5: 2}])
    assert [(value.point, value.value) for value in decoded.values] == [("a", 1.0)]


@pytest.mark.parametrize("item", [b"\xa0", b"\x80", b"\x00", b"\xf6", b"\xa1\x00\x60", b"\xc2\x40"])
def test_memory_stays_in_proportion_to_the_payload(item: bytes):
    """The most that one byte can cost: an empty map, which Python keeps in 64 bytes and 8 for its place."""
    count = 200_000
    payload = b"\x9a" + count.to_bytes(4, "big") + item * count
    tracemalloc.start()
    decoded = decode(payload, NOW)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert not decoded.values
    assert peak < len(payload) * 250
