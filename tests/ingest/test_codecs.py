"""What the JSON codec reads, and how it names what it cannot read."""

from __future__ import annotations

import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from insula_ingest.codecs import Decoded, Reason, decode_json

NOW = 1_763_860_000_000_000


def decode(document: object) -> Decoded:
    return decode_json(json.dumps(document).encode(), NOW)


def reasons(decoded: Decoded) -> list[Reason]:
    return [rejected.reason for rejected in decoded.rejected]


@pytest.mark.parametrize(
    ("document", "expected"),
    [
        ({"temperature": 21.5}, [("temperature", None, 21.5)]),
        ({"values": {"temperature": 21.5, "door": True}}, [("temperature", None, 21.5), ("door", None, 1.0)]),
        ({"ts": 1763860000123, "values": {"door": False}}, [("door", 1763860000123000, 0.0)]),
        ({"ts": 1763860000123.5, "values": {"n": 1}}, [("n", 1763860000123500, 1.0)]),
        ({"ts": "2025-11-23T01:06:40.000001Z", "values": {"n": 1}}, [("n", 1763860000000001, 1.0)]),
        ({"ts": "2025-11-23T02:06:40+01:00", "values": {"n": 1}}, [("n", 1763860000000000, 1.0)]),
        (
            [{"ts": 1763860000000, "values": {"n": 1}}, {"ts": 1763860001000, "values": {"n": 2}}],
            [("n", 1763860000000000, 1.0), ("n", 1763860001000000, 2.0)],
        ),
    ],
)
def test_telemetry_is_read(document: object, expected: list[tuple[str, int | None, float]]):
    decoded = decode(document)
    assert decoded.values == expected
    assert not decoded.rejected


@pytest.mark.parametrize(
    ("payload", "reason"),
    [
        (b"", Reason.MALFORMED),
        (b"hello", Reason.MALFORMED),
        (b'{"a": NaN}', Reason.MALFORMED),
        (b'{"a": 1}}', Reason.MALFORMED),
        (b'{"a\xff": 1}', Reason.MALFORMED),
        (b"[" * 100_000, Reason.MALFORMED),
        (b'{"a": 1e999}', None),
        (b'{"a": ' + b"9" * 400 + b"}", None),
        (b'{"a": "21.5"}', Reason.BAD_VALUE),
        (b'{"a": null}', Reason.BAD_VALUE),
        (b'{"a": {"b": 1}}', Reason.BAD_VALUE),
        (b'{"": 1}', Reason.BAD_NAME),
        (b'{"a b": 1}', Reason.BAD_NAME),
        (b'{"\\u0000": 1}', Reason.BAD_NAME),
        (b"{}", Reason.BAD_SHAPE),
        (b"[]", Reason.BAD_SHAPE),
        (b"7", Reason.BAD_SHAPE),
        (b'{"values": 7}', Reason.BAD_SHAPE),
        (b'{"ts": true, "values": {"a": 1}}', Reason.BAD_TIME),
        (b'{"ts": "yesterday", "values": {"a": 1}}', Reason.BAD_TIME),
        (b'{"ts": "2025-11-23T01:06:40", "values": {"a": 1}}', Reason.BAD_TIME),
        (b'{"ts": "9999-12-31T23:59:59Z", "values": {"a": 1}}', Reason.IMPLAUSIBLE_TIME),
        (b'{"ts": 253402300799000, "values": {"a": 1}}', Reason.IMPLAUSIBLE_TIME),
        (b'{"ts": 1763860000, "values": {"a": 1}}', Reason.IMPLAUSIBLE_TIME),
        (b'{"ts": 0, "values": {"a": 1}}', Reason.IMPLAUSIBLE_TIME),
        (b'{"ts": 1e300, "values": {"a": 1}}', Reason.IMPLAUSIBLE_TIME),
        (b'{"ts": 1e306, "values": {"a": 1}}', Reason.IMPLAUSIBLE_TIME),
        (b'{"ts": -1.7e308, "values": {"a": 1}}', Reason.IMPLAUSIBLE_TIME),
        (b'[{"n": "a", "t": 1e305, "v": 1}]', Reason.IMPLAUSIBLE_TIME),
        (b'[{"bn": "a", "bt": -1e308, "t": -1e308, "v": 1}]', Reason.IMPLAUSIBLE_TIME),
    ],
)
def test_what_cannot_be_read_is_rejected_with_a_reason(payload: bytes, reason: Reason | None):
    decoded = decode_json(payload, NOW)
    assert not decoded.values
    assert len(decoded.rejected) == 1
    assert reason is None or decoded.rejected[0].reason == reason


@pytest.mark.parametrize("depth", range(900, 1100, 7))
def test_nesting_of_any_depth_is_rejected(depth: int):
    for payload in (b"[" * depth + b"]" * depth, b'{"a":' * depth + b"1" + b"}" * depth):
        decoded = decode_json(payload, NOW)
        assert not decoded.values
        assert decoded.rejected


def test_of_endless_garbage_only_the_beginning_is_kept():
    decoded = decode([1] * 100_000)
    assert len(decoded.rejected) == 20
    assert decoded.not_kept == 99_980


def test_what_is_said_of_garbage_is_short_however_long_it_is():
    name = "x" * 100_000
    for document in (
        {name: 1},
        {"a": name},
        [{"n": "a", "v": 1}, {name + "_": 1}],
        [{"bn": name, "n": "a", "v": 1}],
        [{"n": name, "v": 1}],
    ):
        decoded = decode(document)
        assert decoded.rejected
        assert all(len(each.detail) < 200 for each in decoded.rejected)


def test_good_neighbours_of_a_bad_value_are_read():
    decoded = decode([{"values": {"a": 1, "b": "x"}}, 5, {"ts": "no", "values": {"c": 1}}, {"d": 2}])
    assert [(value.point, value.value) for value in decoded.values] == [("a", 1.0), ("d", 2.0)]
    assert reasons(decoded) == [Reason.BAD_VALUE, Reason.BAD_SHAPE, Reason.BAD_TIME]


@pytest.mark.parametrize("number", ["1e400", "-1e400", "9" * 400, "9" * 5000, "-" + "9" * 5000])
def test_a_number_beyond_a_double_spoils_its_own_value_alone(number: str):
    payload = f'[{{"a": 1}}, {{"b": {number}, "c": 2}}, {{"ts": {number}, "d": 3}}, {{"e": 4}}]'
    decoded = decode_json(payload.encode(), NOW)
    assert [(value.point, value.value) for value in decoded.values] == [("a", 1.0), ("c", 2.0), ("e", 4.0)]
    assert reasons(decoded)[0] == Reason.BAD_VALUE
    assert reasons(decoded)[1] in (Reason.BAD_TIME, Reason.IMPLAUSIBLE_TIME)


@pytest.mark.parametrize("number", ["1e281", "-1e281", "1.7e308"])
def test_values_that_no_two_of_which_could_be_added_are_rejected(number: str):
    for payload in ('{"values": {"a": %s, "b": 1}}', '[{"n": "a", "v": %s}, {"n": "b", "v": 1}]'):
        decoded = decode_json((payload % number).encode(), NOW)
        assert [(value.point, value.value) for value in decoded.values] == [("b", 1.0)]
        assert [each.reason for each in decoded.rejected] == [Reason.BAD_VALUE]
    assert decode_json(b'{"values": {"a": 1e280, "b": -1e280}}', NOW).rejected == []


def test_half_a_surrogate_pair_spoils_its_own_record_alone():
    payload = rb'[{"a": 1}, {"\ud800": 1}, {"b": "\ud800"}, {"ts": "\ud800", "values": {"c": 1}}, {"d": 2}]'
    decoded = decode_json(payload, NOW)
    assert [value.point for value in decoded.values] == ["a", "d"]
    assert reasons(decoded) == [Reason.BAD_NAME, Reason.BAD_VALUE, Reason.BAD_TIME]


def test_what_only_looks_like_json_stays_malformed():
    for payload in (
        b'[{"a": 1}, {"b": NaN}]',
        b'[{"a": 1}, {"b": -Infinity}]',
        b'{"a": 1e400,}',
        b'{"a": 01}',
    ):
        decoded = decode_json(payload, NOW)
        assert not decoded.values
        assert reasons(decoded) == [Reason.MALFORMED]


def test_seconds_are_recognized_and_the_fix_is_named():
    assert "send milliseconds" in decode({"ts": 1763860000, "values": {"a": 1}}).rejected[0].detail


def test_senml_resolves_base_fields():
    """The example of RFC 8428, section 5.1.3, with a base value added (section 4.1)."""
    decoded = decode(
        [
            {
                "bn": "urn:dev:ow:10e2073a0108006:",
                "bt": 1.763859000e9,
                "bu": "A",
                "bver": 5,
                "n": "voltage",
                "u": "V",
                "v": 120.1,
            },
            {"n": "current", "t": -5, "v": 1.2},
            {"n": "current", "t": 0, "bv": 10, "v": 1.7},
            {"n": "on", "vb": True},
        ]
    )
    base = "urn:dev:ow:10e2073a0108006:"
    assert decoded.values == [
        (base + "voltage", 1763859000000000, 120.1),
        (base + "current", 1763858995000000, 1.2),
        (base + "current", 1763859000000000, 11.7),
        (base + "on", 1763859000000000, 1.0),
    ]
    assert not decoded.rejected


def test_senml_times_without_a_base_are_relative_to_now():
    """RFC 8428, section 4.5.3."""
    assert decode([{"n": "a", "v": 1}, {"n": "a", "t": -60, "v": 2}]).values == [
        ("a", NOW, 1.0),
        ("a", NOW - 60_000_000, 2.0),
    ]


@pytest.mark.parametrize(
    ("pack", "kept", "rejected"),
    [
        ([{"n": "a", "vs": "text"}, {"n": "b", "v": 1}], ["b"], [Reason.BAD_VALUE]),
        (
            [{"n": "a", "v": 1}, {"n": "b", "v": 1, "must_": 1}, {"n": "c", "v": 1}],
            ["a"],
            [Reason.BAD_SHAPE] * 2,
        ),
        ([{"bn": "x", "bver": 11, "n": "a", "v": 1}], [], [Reason.BAD_SHAPE] * 2),
        ([{"n": "a", "v": 1}, "b"], ["a"], [Reason.BAD_SHAPE]),
        ([{"n": "a", "t": "x", "v": 1}], [], [Reason.BAD_TIME]),
        ([{"n": "ä", "v": 1}], [], [Reason.BAD_NAME]),
    ],
)
def test_senml_says_what_it_cannot_store(pack: object, kept: list[str], rejected: list[Reason]):
    decoded = decode(pack)
    assert [value.point for value in decoded.values] == kept
    assert reasons(decoded) == rejected


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=20,
)


@given(json_values | st.dictionaries(st.sampled_from(["ts", "values", "n", "v", "bn", "bt"]), json_values))
def test_any_json_is_read_or_rejected_and_never_raises(document: object):
    decoded = decode_json(json.dumps(document).encode(), NOW)
    assert decoded.values or decoded.rejected
    assert all(math.isfinite(value.value) for value in decoded.values)


@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_rejected_and_never_raise(payload: bytes):
    decoded = decode_json(payload, NOW)
    assert decoded.values or decoded.rejected
