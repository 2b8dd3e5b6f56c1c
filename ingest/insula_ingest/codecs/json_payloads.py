"""JSON telemetry: `{"ts": …, "values": {…}}`, an array of these, a flat `{"temperature": 21.5}`, or SenML."""

from __future__ import annotations

import json
import math
from datetime import datetime
from typing import Any

import msgspec

from insula_ingest.codecs.decoded import (
    Decoded,
    Microseconds,
    Reason,
    Value,
    number,
    plausible,
    shown,
    storable,
)
from insula_ingest.codecs.plain_json import decode_plain
from insula_ingest.codecs.senml import decode_senml, is_senml
from insula_tenants.names import is_point_name

_MOST_DIGITS = 400
"""A whole number of more digits is beyond a double."""


def _whole_number(digits: str) -> float:
    return int(digits) if len(digits) <= _MOST_DIGITS else math.inf


def _no_number(name: str) -> float:
    raise ValueError(f"{name} is not JSON")


_decoder = msgspec.json.Decoder()
_patient_decoder = json.JSONDecoder(parse_int=_whole_number, parse_constant=_no_number)


def decode_json(payload: bytes, received_at: Microseconds) -> Decoded:
    """Decode one JSON payload; `received_at` bounds what is plausible as a time."""
    if (plain := decode_plain(payload, received_at)) is not None:
        return plain
    return decode_any_json(payload, received_at)


def decode_any_json(payload: bytes, received_at: Microseconds) -> Decoded:
    """`decode_json` without the short cut for the commonest shape."""
    decoded = Decoded()
    try:
        document = _decoder.decode(payload)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        document = _read_patiently(payload)
        if document is None:
            decoded.reject(Reason.MALFORMED, f"not JSON: {error}")
            return decoded
    if is_senml(document):
        decode_senml(document, received_at, decoded)
    elif isinstance(document, list):
        for position, record in enumerate(document):
            _decode_record(record, received_at, decoded, f"[{position}]")
    else:
        _decode_record(document, received_at, decoded, "")
    if not decoded.values and not decoded.rejected:
        decoded.reject(Reason.BAD_SHAPE, 'no values: send {"values": {"temperature": 21.5}}')
    return decoded


def _read_patiently(payload: bytes) -> Any:
    """The document once more, or None when it is not JSON.

    msgspec refuses a whole document for one number beyond a double, and for half a surrogate pair. That is
    JSON all the same: what is beside it must not be lost.
    """
    try:
        return _patient_decoder.decode(payload.decode())
    except (ValueError, RecursionError):
        return None


def _decode_record(record: Any, received_at: Microseconds, decoded: Decoded, where: str) -> None:
    if not isinstance(record, dict):
        decoded.reject(
            Reason.BAD_SHAPE, f'{where or "payload"}: {shown(record)} is no object; send {{"values": {{…}}}}'
        )
        return
    time: Microseconds | None = None
    if "ts" in record:
        time = _time(record["ts"], received_at, decoded, f"{where}ts")
        if time is None:
            return
    values = record.get("values")
    if values is None:
        values = {name: value for name, value in record.items() if name != "ts"}
    elif not isinstance(values, dict):
        decoded.reject(Reason.BAD_SHAPE, f"{where}values: {shown(values)} is no object of names and numbers")
        return
    for name, value in values.items():
        if not is_point_name(name):
            decoded.reject(
                Reason.BAD_NAME, f"{where}{shown(name)}: a name has 1 to 128 letters, digits and _ . : / -"
            )
        elif (as_number := storable(value)) is None:
            decoded.reject(
                Reason.BAD_VALUE,
                f"{where}{name}: {shown(value)} is neither a finite number nor true or false",
            )
        else:
            decoded.values.append(Value(name, time, as_number))


def _time(value: Any, received_at: Microseconds, decoded: Decoded, where: str) -> Microseconds | None:
    time: float | None = None
    if isinstance(value, str):
        try:
            parsed = msgspec.convert(value, datetime)
        except (msgspec.ValidationError, OverflowError, UnicodeEncodeError):
            parsed = None
        if parsed is not None and parsed.tzinfo is not None:
            time = float(round(parsed.timestamp() * 1e6))
    elif not isinstance(value, bool) and (milliseconds := number(value)) is not None:
        time = milliseconds * 1000
    if time is None:
        decoded.reject(
            Reason.BAD_TIME,
            f"{where}: {shown(value)} is no time; send milliseconds since the epoch, or RFC 3339 with offset",
        )
        return None
    return plausible(time, received_at, decoded, where, value)
