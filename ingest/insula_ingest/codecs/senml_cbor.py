"""SenML (RFC 8428), the CBOR representation of section 6: the JSON one with whole numbers for labels.

What CBOR can do beyond that is not acted on. A tag can make of a value a date, a regular expression, or a
reference to what encloses it. Here a number may be a bignum or a decimal fraction, as section 6 allows, and a
pack may carry the tag that says "this is CBOR". Whatever has any other tag is `Unreadable`: it spoils its own
record alone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from io import BytesIO
from typing import Any

from cbor2 import CBORDecodeEOF, CBORDecoder, CBORError, CBORTag

from insula_ingest.codecs.decoded import Decoded, Microseconds, Reason, shown
from insula_ingest.codecs.senml import decode_senml

_LABELS = {
    -6: "bs",
    -5: "bv",
    -4: "bu",
    -3: "bt",
    -2: "bn",
    -1: "bver",
    0: "n",
    1: "u",
    2: "v",
    3: "vs",
    4: "vb",
    5: "s",
    6: "t",
    7: "ut",
    8: "vd",
}
"""Table 4 of RFC 8428."""

MAX_DEPTH = 16
"""A pack is four deep at most: array, record, decimal fraction, bignum. The rest is for extensions."""
_MOST_BITS = 1024
"""A whole number of more bits is beyond a double."""
_MOST_EXPONENT = 400
"""A decimal exponent beyond this one is beyond a double, whatever it multiplies."""


class Unreadable:
    """Stands for what has a tag that SenML does not use."""

    def __init__(self, what: str) -> None:
        """`what` is shown where the value is quoted."""
        self._what = what

    def __repr__(self) -> str:
        """As error messages quote it."""
        return self._what


def decode_senml_cbor(payload: bytes, received_at: Microseconds) -> Decoded:
    """Decode one SenML pack in CBOR; `received_at` bounds what is plausible as a time.

    Bytes that are not well-formed CBOR are rejected whole: nothing tells where the next record begins.
    """
    decoded = Decoded()
    try:
        decoder = CBORDecoder(
            BytesIO(payload), semantic_decoders=_TAGS, tag_hook=_unknown_tag, max_depth=MAX_DEPTH
        )
        document = decoder.decode()
        if not _is_at_end(decoder):
            decoded.reject(Reason.MALFORMED, "more bytes follow the CBOR pack; send one pack a message")
            return decoded
    except (CBORError, RecursionError) as error:
        decoded.reject(Reason.MALFORMED, f"not CBOR: {_first_of(error)}")
        return decoded
    # cbor2 makes what the self-describing tag encloses immutable: a tuple.
    if not isinstance(document, (list, tuple)):
        decoded.reject(
            Reason.BAD_SHAPE, f"payload: {shown(document)} is no SenML pack; send an array of records"
        )
        return decoded
    decode_senml([_with_names(record) for record in document], received_at, decoded)
    if not decoded.values and not decoded.rejected:
        decoded.reject(Reason.BAD_SHAPE, 'no values: send a record such as {0: "temperature", 2: 21.5}')
    return decoded


def _with_names(record: Any) -> Any:
    """The record under JSON's labels. Labels that are neither whole numbers nor text are nobody's."""
    if not isinstance(record, Mapping):
        return record
    named = {}
    for label, value in record.items():
        if isinstance(label, str):
            named[label] = value
        elif isinstance(label, int) and not isinstance(label, bool) and label in _LABELS:
            named[_LABELS[label]] = value
    return named


def _is_at_end(decoder: CBORDecoder) -> bool:
    try:
        decoder.read(1)
    except CBORDecodeEOF:
        return True
    return False


def _first_of(error: Exception) -> str:
    cause = error.__cause__
    return f"{error}: {cause}" if cause else str(error)


def _bignum(value: Any, _immutable: bool) -> int | Unreadable:
    if not isinstance(value, bytes) or len(value) * 8 > _MOST_BITS:
        return Unreadable("a bignum beyond a double")
    return int.from_bytes(value, "big")


def _negative_bignum(value: Any, immutable: bool) -> int | Unreadable:
    magnitude = _bignum(value, immutable)
    return magnitude if isinstance(magnitude, Unreadable) else -1 - magnitude


def _decimal_fraction(value: Any, _immutable: bool) -> float | Unreadable:
    """`[exponent, mantissa]` is mantissa · 10**exponent (RFC 8949, section 3.4.4), rounded once."""
    if isinstance(value, Sequence) and len(value) == 2:
        exponent, mantissa = value
        if _is_whole(exponent) and _is_whole(mantissa):
            if abs(exponent) <= _MOST_EXPONENT and mantissa.bit_length() <= _MOST_BITS:
                return float(f"{mantissa}e{exponent}")
            return Unreadable("a decimal fraction beyond a double")
    return Unreadable("no decimal fraction")


def _is_whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _unread(number: int) -> Any:
    return lambda _value, _immutable: Unreadable(f"tag {number}")


def _unknown_tag(tag: CBORTag, _immutable: bool) -> Unreadable:
    return Unreadable(f"tag {tag.tag}")


_BUILT_IN = (0, 1, 5, 25, 28, 29, 30, 35, 36, 37, 52, 54, 100, 256, 258, 260, 261, 1004, 43000)
"""Tags that cbor2 would act on. A test asks it for all others."""
_TAGS = {number: _unread(number) for number in _BUILT_IN} | {
    2: _bignum,
    3: _negative_bignum,
    4: _decimal_fraction,
}
