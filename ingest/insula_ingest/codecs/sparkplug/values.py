"""What a metric's value is worth, by its datatype (Sparkplug 3.0, section 6.4.16)."""

from __future__ import annotations

from insula_ingest.codecs.decoded import storable

NAMES = {
    1: "Int8",
    2: "Int16",
    3: "Int32",
    4: "Int64",
    5: "UInt8",
    6: "UInt16",
    7: "UInt32",
    8: "UInt64",
    9: "Float",
    10: "Double",
    11: "Boolean",
    12: "String",
    13: "DateTime",
    14: "Text",
    15: "UUID",
    16: "DataSet",
    17: "Bytes",
    18: "File",
    19: "Template",
    20: "PropertySet",
    21: "PropertySetList",
}
"""Datatypes by their number; the arrays (22 to 34) have no name here."""

_SIGNED = {1: 8, 2: 16, 3: 32, 4: 64}
_UNSIGNED = {5: 8, 6: 16, 7: 32, 8: 64}
_FLOATS = frozenset({9, 10})
_BOOLEAN = 11

_INTEGER_FIELDS = {"int_value": 32, "long_value": 64}
_FLOAT_FIELDS = frozenset({"float_value", "double_value"})
NUMERIC_FIELDS = frozenset({*_INTEGER_FIELDS, *_FLOAT_FIELDS, "boolean_value"})
"""Fields of a metric whose value a point can hold."""


class Unstorable(Exception):
    """The value is not one of its datatype, or the datatype not one that a point holds."""


def says_all(field: str, datatype: int) -> bool:
    """Whether the value can be read without a birth: only whole numbers need their datatype."""
    return datatype != 0 or field not in _INTEGER_FIELDS


def is_integer(datatype: int) -> bool:
    """Whether values of this datatype need it to be read."""
    return datatype in _SIGNED or datatype in _UNSIGNED


def read_value(field: str, raw: float, datatype: int) -> float:
    """The value as a finite double; `Unstorable` with the reason when it is none.

    Negative whole numbers come in unsigned fields, as two's complement in the bits of their datatype, or
    sign-extended to those of the field: senders do both.
    """
    if datatype in _SIGNED or datatype in _UNSIGNED:
        if field not in _INTEGER_FIELDS or not isinstance(raw, int):
            raise Unstorable(f"{NAMES[datatype]} comes in int_value or long_value, not in {field}")
        return float(_whole(raw, datatype, _INTEGER_FIELDS[field]))
    if datatype in _FLOATS or (datatype == 0 and field in _FLOAT_FIELDS):
        if field not in _FLOAT_FIELDS:
            raise Unstorable(f"{NAMES[datatype]} comes in float_value or double_value, not in {field}")
        value = storable(raw)
        if value is None:
            raise Unstorable(f"{raw} is no finite number, or too large")
        return value
    if datatype == _BOOLEAN or (datatype == 0 and field == "boolean_value"):
        if field != "boolean_value":
            raise Unstorable(f"Boolean comes in boolean_value, not in {field}")
        return float(raw)
    raise Unstorable(
        f"values of type {NAMES.get(datatype, datatype)} cannot be stored; "
        "a point takes integers, Float, Double and Boolean"
    )


def _whole(raw: int, datatype: int, field_bits: int) -> int:
    if (bits := _UNSIGNED.get(datatype, 0)) != 0:
        if raw >> bits:
            raise Unstorable(f"{raw} is no {NAMES[datatype]}")
        return raw
    bits = _SIGNED[datatype]
    low = raw & (1 << bits) - 1
    value = low - (1 << bits) if low >> (bits - 1) else low
    if raw not in (low, value & (1 << field_bits) - 1):
        raise Unstorable(f"{raw} is no {NAMES[datatype]}")
    return value
