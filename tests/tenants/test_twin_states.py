"""JSON states: merge patches as RFC 7396 has them, deltas, and what may stand in a state."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from insula_tenants.errors import InvalidInput
from insula_tenants.twins.states import MAX_BYTES, MAX_DEPTH, check_state, delta, merge, same

OF_THE_RFC = [
    ({"a": "b"}, {"a": "c"}, {"a": "c"}),
    ({"a": "b"}, {"b": "c"}, {"a": "b", "b": "c"}),
    ({"a": "b"}, {"a": None}, {}),
    ({"a": "b", "b": "c"}, {"a": None}, {"b": "c"}),
    ({"a": ["b"]}, {"a": "c"}, {"a": "c"}),
    ({"a": "c"}, {"a": ["b"]}, {"a": ["b"]}),
    ({"a": {"b": "c"}}, {"a": {"b": "d", "c": None}}, {"a": {"b": "d"}}),
    ({"a": [{"b": "c"}]}, {"a": [1]}, {"a": [1]}),
    (["a", "b"], ["c", "d"], ["c", "d"]),
    ({"a": "b"}, ["c"], ["c"]),
    ({"a": "foo"}, None, None),
    ({"a": "foo"}, "bar", "bar"),
    ({"e": None}, {"a": 1}, {"e": None, "a": 1}),
    ([1, 2], {"a": "b", "c": None}, {"a": "b"}),
    ({}, {"a": {"bb": {"ccc": None}}}, {"a": {"bb": {}}}),
]
"""Its appendix A: the original, the patch, the result."""

VALUES = st.recursive(
    st.booleans() | st.integers(-9, 9) | st.floats(-9, 9) | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("abc"), inner, max_size=3),
    max_leaves=8,
)
STATES = st.dictionaries(st.sampled_from("abcd"), VALUES, max_size=4)


@pytest.mark.parametrize(("original", "patch", "result"), OF_THE_RFC)
def test_a_merge_patch(original: Any, patch: Any, result: Any) -> None:
    before = json.dumps(original)
    assert merge(original, patch) == result
    assert json.dumps(original) == before


@given(STATES, STATES)
def test_what_reports_its_delta_has_none(desired: dict[str, Any], reported: dict[str, Any]) -> None:
    missing = delta(desired, reported)
    assert delta(desired, merge(reported, missing)) == {}
    assert delta(desired, desired) == {}


def test_a_delta_names_what_differs_and_nothing_else() -> None:
    desired = {"on": True, "light": {"hue": 1, "sat": 2}, "list": [1, 2], "new": {}, "same": 1.0}
    reported = {"on": 1, "light": {"hue": 1, "sat": 3, "more": 4}, "list": [1], "same": 1, "else": 5}
    assert delta(desired, reported) == {"on": True, "light": {"sat": 2}, "list": [1, 2], "new": {}}


@pytest.mark.parametrize(
    ("one", "other", "equal"),
    [
        (1, 1.0, True),
        (1, True, False),
        (0, False, False),
        ([1], [True], False),
        ({"a": [1, {"b": 0}]}, {"a": [1.0, {"b": 0}]}, True),
        ({"a": 1}, {"a": 1, "b": None}, False),
        (None, False, False),
        ("1", 1, False),
    ],
)
def test_sameness_is_jsons(one: Any, other: Any, equal: bool) -> None:
    assert same(one, other) is equal
    assert same(other, one) is equal


def nested(levels: int) -> dict[str, Any]:
    return {"a": nested(levels - 1)} if levels > 1 else {"a": 1}


def test_a_state_has_bounds() -> None:
    check_state(nested(MAX_DEPTH), field="state")
    check_state({"a": "x" * (MAX_BYTES - 8)}, field="state")
    for bad in (
        nested(MAX_DEPTH + 1),
        {"a": "x" * (MAX_BYTES - 7)},
        {"é": "é" * (MAX_BYTES // 2)},
        {"a": float("inf")},
        {"a": [2**53 + 1]},
        {"\ud800": 1},
        {"a": "\0"},
        [],
        None,
        "x",
    ):
        with pytest.raises(InvalidInput) as told:
            check_state(bad, field="state")
        assert told.value.field == "state"
