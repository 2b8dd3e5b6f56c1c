"""What a device sends: records of values as the platform's JSON telemetry, checked before they leave."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

Value = bool | int | float | str
"""A number, a truth value (stored as 0 or 1), or the name of one of the point's states."""

Record = tuple[datetime, Mapping[str, Value]]
"""When something was measured (an aware time), and the values by point name."""

MAX_REPORT = 32 * 1024
"""Bytes that the platform keeps of a device's state."""

_POINT = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.:/-]{0,127}")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)


def is_point_name(name: str) -> bool:
    """Whether a point may be called this: 1 to 128 of letters, digits and `_ . : / -` (RFC 8428, 4.5.1)."""
    return _POINT.fullmatch(name) is not None


def encode_record(record: Record) -> bytes:
    """One record as a JSON object, `{"ts": ms since the epoch, "values": {...}}`.

    Numbers keep full precision (the shortest text that reads back as the same number). `ValueError` names the
    point whose value cannot be sent, or says that the time has no zone.
    """
    return _json(_checked(record))


def encode_records(records: Iterable[Record]) -> bytes:
    """Several records as one JSON array; `ValueError` as for `encode_record`, or when there are none."""
    checked = [_checked(record) for record in records]
    if not checked:
        msg = "there are no records to send"
        raise ValueError(msg)
    return _json(checked)


def encode_report(state: Mapping[str, Any]) -> bytes:
    """What is new of a device's state, as a JSON object; `ValueError` for what cannot be sent."""
    payload = _json(dict(state))
    if len(payload) > MAX_REPORT:
        msg = f"a report of {len(payload)} bytes: the platform keeps {MAX_REPORT} of a device's state"
        raise ValueError(msg)
    return payload


def _checked(record: Record) -> dict[str, object]:
    at, values = record
    if at.utcoffset() is None:
        msg = "the time of a record needs a zone: use datetime.now(UTC), or give tzinfo"
        raise ValueError(msg)
    if not values:
        msg = "a record needs at least one value"
        raise ValueError(msg)
    for name, value in values.items():
        if not is_point_name(name):
            msg = f"{name!r} cannot name a point: use 1 to 128 letters, digits or any of _ . : / -"
            raise ValueError(msg)
        if isinstance(value, float) and not math.isfinite(value):
            msg = f"point {name!r} has the value {value}: leave a value out that is not there"
            raise ValueError(msg)
    return {"ts": (at - _EPOCH) // _MILLISECOND, "values": dict(values)}


def _json(document: object) -> bytes:
    return json.dumps(document, separators=(",", ":"), allow_nan=False, ensure_ascii=False).encode()
