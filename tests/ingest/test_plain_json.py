"""The short cut for common payloads says what the general decoder says, or nothing."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from insula_ingest.codecs.json_payloads import decode_any_json, decode_json
from insula_ingest.codecs.plain_json import decode_plain

NOW = 1_763_860_000_000_000
GOOD = b'{"ts":1763860000123,"values":{"temperature":21.5,"door":true}}'

names = st.one_of(
    st.sampled_from(["temperature", "door", "a/b", "ts", "values", "", "é", "x" * 129]), st.text()
)
numbers = st.one_of(
    st.floats(),
    st.booleans(),
    st.integers(),
    st.integers(min_value=2**53 - 2, max_value=2**53 + 2),
    st.sampled_from([2**63, 2**64, -(2**63) - 1, 10**400, None, "1", [1], {}]),
)
times = st.one_of(
    st.integers(min_value=1_763_859_000_000, max_value=1_763_960_000_000),
    st.integers(),
    st.floats(),
    st.sampled_from([None, True, "2025-11-23T01:06:40Z", 0, 946_684_799_999, 946_684_800_000]),
)
documents: st.SearchStrategy[Any] = st.fixed_dictionaries(
    {}, optional={"ts": times, "values": st.dictionaries(names, numbers, max_size=4), "more": numbers}
)


def same(payload: bytes) -> None:
    assert repr(decode_json(payload, NOW)) == repr(decode_any_json(payload, NOW))


@given(documents)
def test_documents_give_the_same_on_both_ways(document: Any):
    same(json.dumps(document).encode())


@given(st.lists(st.tuples(st.integers(0, len(GOOD)), st.binary(max_size=4)), max_size=3))
def test_so_do_payloads_that_something_happened_to(splices: list[tuple[int, bytes]]):
    payload = GOOD
    for position, put in splices:
        payload = payload[:position] + put + payload[position + len(put) :]
    same(payload)


def test_odd_ones_by_hand():
    for payload in (
        b'{"ts":null,"values":{"a":1}}',
        b'{"values":{"a":1},"values":{"b":2}}',
        b'{"ts":1,"ts":1763860000123,"values":{"a":1}}',
        b'{"values":{"a":1},"\\u0074s":null}',
        b'{"values":{"a":1,"a":2}}',
        b'{"values":{"a":1e400}}',
        b'{"values":{"a":' + b"9" * 500 + b"}}",
        b'{"values":{"a":-0}}',
        b'{"values":{"a":18446744073709551617}}',
        b'{"values":null,"ts":1763860000123}',
        b'{"values":{"a":1},"x":"\xff"}',
        b'{"values":{"a\xff":1}}',
        b"\xef\xbb\xbf" + GOOD,
        GOOD + b" ",
        GOOD + b"x",
        b"[" * 5000,
    ):
        same(payload)


def test_it_takes_the_common_shape():
    assert decode_plain(GOOD, NOW) is not None
    assert decode_plain(b'{"values":{"temperature":21}}', NOW) is not None
