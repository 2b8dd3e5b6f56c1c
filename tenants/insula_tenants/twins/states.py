"""JSON objects that two sides agree on: what may stand in one, how it is changed, and what differs.

A change is a JSON merge patch (RFC 7396): what it names is replaced, `null` removes, and the rest stays.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any

from insula_tenants.errors import InvalidInput

State = dict[str, Any]

MAX_BYTES = 32 * 1024
"""Of a state, as the shortest JSON in UTF-8."""
MAX_DEPTH = 16
"""Levels of objects and arrays."""
LARGEST_INTEGER = 2**53
"""The largest that every reader of JSON takes for what it is (RFC 8259, section 6)."""


def check_json(value: Any, *, field: str, most: int = MAX_BYTES) -> None:
    """`InvalidInput` unless PostgreSQL, the broker and any device can take this.

    At most `most` bytes and `MAX_DEPTH` levels, no NUL, no lone surrogates, numbers that are finite.
    """
    waiting = [(value, 1)]
    while waiting:
        each, depth = waiting.pop()
        if isinstance(each, (dict, list)):
            if depth > MAX_DEPTH:
                raise InvalidInput(field, f"it is nested deeper than {MAX_DEPTH} levels: flatten it")
            children = each.values() if isinstance(each, dict) else each
            waiting += [(child, depth + 1) for child in children]
            if isinstance(each, dict):
                for name in each:
                    _check_text(name, field)
        else:
            _check_leaf(each, field)
    if (size := len(encode(value))) > most:
        raise InvalidInput(field, f"it has {size} bytes, and {most} are allowed: keep less in it")


def check_state(value: Any, *, field: str) -> State:
    """`value` when it is an object that `check_json` lets pass."""
    if not isinstance(value, dict):
        raise InvalidInput(field, "give a JSON object")
    check_json(value, field=field)
    return value


def parse_json(payload: bytes, *, field: str) -> Any:
    """What a device sent as JSON; `InvalidInput` for anything else."""
    try:
        return json.loads(payload)
    except (ValueError, RecursionError):
        raise InvalidInput(field, "it is no JSON in UTF-8") from None


def encode(value: Any) -> bytes:
    """The shortest JSON of a value, in UTF-8."""
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode("utf-8", "surrogatepass")


def merge(target: Any, patch: Any) -> Any:
    """`target` after the merge patch (RFC 7396, section 2); neither is changed."""
    if not isinstance(patch, dict):
        return patch
    merged = dict(target) if isinstance(target, dict) else {}
    for name, value in patch.items():
        if value is None:
            merged.pop(name, None)
        else:
            merged[name] = merge(merged.get(name), value)
    return merged


def delta(desired: Mapping[str, Any], reported: Mapping[str, Any]) -> State:
    """What of `desired` is not in `reported`, with the desired values; arrays count as a whole."""
    missing: State = {}
    for name, wanted in desired.items():
        there = reported.get(name)
        if isinstance(wanted, dict) and isinstance(there, dict):
            if wanted and (below := delta(wanted, there)):
                missing[name] = below
        elif name not in reported or not same(wanted, there):
            missing[name] = wanted
    return missing


def same(one: Any, other: Any) -> bool:
    """Whether two values are one to JSON: 1 and 1.0 are, 1 and true are not."""
    if isinstance(one, bool) or isinstance(other, bool):
        return one is other
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(same(one[name], other[name]) for name in one)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(same, one, other))
    return bool(one == other)


def _check_leaf(value: Any, field: str) -> None:
    if isinstance(value, str):
        _check_text(value, field)
    elif isinstance(value, float) and not math.isfinite(value):
        raise InvalidInput(field, "a number in it is not finite: leave out what is not there")
    elif isinstance(value, int) and abs(value) > LARGEST_INTEGER:
        raise InvalidInput(field, "an integer in it is beyond 2^53: write it as text")


def _check_text(value: str, field: str) -> None:
    if "\0" in value or any("\ud800" <= character <= "\udfff" for character in value):
        raise InvalidInput(field, "a text in it has NUL or half of a surrogate pair: take it out")
