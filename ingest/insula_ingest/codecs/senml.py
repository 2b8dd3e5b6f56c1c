"""SenML (RFC 8428), the JSON representation, already parsed.

Base fields apply to their own record and to all that follow (section 4.1); times below 2**28 are seconds
relative to now, others seconds since the epoch (section 4.5.3).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

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
from insula_tenants.names import is_point_name

_LABELS = frozenset({"bn", "bt", "bu", "bv", "bs", "bver", "n", "u", "v", "vs", "vb", "vd", "s", "t", "ut"})
_RELATIVE_BELOW = 2**28
_VERSION = 10
_LONG_NAME = 200


def is_senml(document: Any) -> bool:
    """Whether a JSON document is a SenML pack, told by its shape: an array of records with SenML's labels."""
    return (
        isinstance(document, list)
        and bool(document)
        and isinstance(document[0], dict)
        and not document[0].keys().isdisjoint({"n", "bn"})
        and all(label in _LABELS or label.endswith("_") for label in document[0])
    )


@dataclass(slots=True)
class _Base:
    name: str = ""
    time: float = 0.0
    value: float = 0.0


def decode_senml(pack: list[Any], received_at: Microseconds, decoded: Decoded) -> None:
    """Add the pack's values to `decoded`, and what cannot be stored to its rejections."""
    base = _Base()
    for position, record in enumerate(pack):
        where = f"[{position}]"
        if not isinstance(record, dict):
            decoded.reject(Reason.BAD_SHAPE, f"{where}: {shown(record)} is no SenML record")
        elif not _base_fields(record, base, decoded, where):
            # What follows would be read with the wrong base: it cannot be told apart from right values.
            decoded.reject(Reason.BAD_SHAPE, f"{where}: the records from here on have no base to stand on")
            return
        elif "n" in record or _has_value(record):
            _record(record, base, received_at, decoded, where)


def _base_fields(record: dict[str, Any], base: _Base, decoded: Decoded, where: str) -> bool:
    must_understand = [label for label in record if label.endswith("_")]
    if must_understand:
        decoded.reject(
            Reason.BAD_SHAPE, f"{where}{shown(must_understand[0])}: unknown, and SenML says to stop there"
        )
        return False
    version = record.get("bver", _VERSION)
    if not isinstance(version, int) or version > _VERSION:
        decoded.reject(Reason.BAD_SHAPE, f"{where}bver: {shown(version)} is newer than {_VERSION}")
        return False
    if "bn" in record:
        if not isinstance(record["bn"], str):
            decoded.reject(Reason.BAD_NAME, f"{where}bn: {shown(record['bn'])} is no text")
            return False
        # Before each record's own name a long one would be copied anew; no point has one as long as this.
        base.name = record["bn"][:_LONG_NAME]
    for label, attribute in (("bt", "time"), ("bv", "value")):
        if label in record:
            given = number(record[label])
            if given is None or isinstance(record[label], bool):
                decoded.reject(
                    Reason.BAD_VALUE, f"{where}{label}: {shown(record[label])} is no finite number"
                )
                return False
            setattr(base, attribute, given)
    return True


def _has_value(record: dict[str, Any]) -> bool:
    return not record.keys().isdisjoint({"v", "vb", "vs", "vd", "s"})


def _record(
    record: dict[str, Any], base: _Base, received_at: Microseconds, decoded: Decoded, where: str
) -> None:
    own_name = record.get("n", "")
    name = base.name + own_name if isinstance(own_name, str) else ""
    if not is_point_name(name):
        decoded.reject(
            Reason.BAD_NAME, f"{where}n: {shown(own_name)} gives no name of letters, digits and _ . : / -"
        )
        return
    time = _time(record.get("t", 0), base, received_at, decoded, where)
    value = _value(record, base, decoded, where)
    if time is not None and value is not None:
        decoded.values.append(Value(name, time, value))


def _time(
    given: Any, base: _Base, received_at: Microseconds, decoded: Decoded, where: str
) -> Microseconds | None:
    own = number(given)
    if own is None or isinstance(given, bool):
        decoded.reject(Reason.BAD_TIME, f"{where}t: {shown(given)} is no number of seconds")
        return None
    seconds = base.time + own
    if seconds < _RELATIVE_BELOW:
        return plausible(received_at + seconds * 1e6, received_at, decoded, f"{where}t", given)
    return plausible(seconds * 1e6, received_at, decoded, f"{where}t", given)


def _value(record: dict[str, Any], base: _Base, decoded: Decoded, where: str) -> float | None:
    if isinstance(record.get("vb"), bool):
        return float(record["vb"])
    given = record.get("v")
    value = None if isinstance(given, bool) else number(given)
    if value is not None and (total := storable(value + base.value)) is not None:
        return total
    label = next((label for label in ("v", "vb", "vs", "vd", "s") if label in record), "v")
    decoded.reject(
        Reason.BAD_VALUE,
        f"{where}{label}: {shown(record.get(label))} cannot be stored; a point takes v (finite) or vb",
    )
    return None
