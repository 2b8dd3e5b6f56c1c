"""The shape that most devices send, `{"ts": 1763860000123, "values": {"temperature": 21.5}}`, read in one go.

msgspec checks the shape while it parses. Whatever is not exactly this, or not entirely good, is left to the
general decoder, which knows what to say about it; where this one answers, both say the same.
"""

from __future__ import annotations

from functools import lru_cache

import msgspec

from insula_ingest.codecs.decoded import EARLIEST, LARGEST, MAX_AHEAD, Decoded, Microseconds, Value
from insula_tenants.names import is_point_name


class _Telemetry(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    values: dict[str, bool | float]
    ts: int | msgspec.UnsetType = msgspec.UNSET


_decode = msgspec.json.Decoder(_Telemetry).decode
_is_name = lru_cache(65_536)(is_point_name)


def decode_plain(payload: bytes, received_at: Microseconds) -> Decoded | None:
    """The values of a payload of this shape; None when it has another, or something to say about it."""
    try:
        telemetry = _decode(payload)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    time: Microseconds | None = None
    if telemetry.ts is not msgspec.UNSET:
        time = telemetry.ts * 1000
        if not EARLIEST <= time <= received_at + MAX_AHEAD:
            return None
    decoded = Decoded()
    for name, value in telemetry.values.items():
        if not _is_name(name) or not abs(value) <= LARGEST:
            return None
        decoded.values.append(Value(name, time, float(value)))
    return decoded if decoded.values else None
