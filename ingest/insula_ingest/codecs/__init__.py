"""From payloads to values: one module a format, told apart by the first byte.

A codec never raises for what a device sent. It returns what it could read beside what it could not, so that
one bad record never drops its neighbours. What is not even well-formed is rejected whole: nothing tells
where its next record begins.
"""

from insula_ingest.codecs.decoded import Decoded, Microseconds, Reason, Rejected, Value
from insula_ingest.codecs.json_payloads import decode_json
from insula_ingest.codecs.senml_cbor import decode_senml_cbor
from insula_ingest.codecs.sparkplug import decode_sparkplug

__all__ = [
    "Decoded",
    "Reason",
    "Rejected",
    "Value",
    "decode",
    "decode_json",
    "decode_senml_cbor",
    "decode_sparkplug",
]

_CBOR_CONTAINERS = {bytes([first]): decode_senml_cbor for first in range(0x80, 0xC0)}
_CBOR_SAYS_SO = {b"\xd9": decode_senml_cbor}
"""Of the tag 55799, which means "this is CBOR" (RFC 8949, section 3.4.6)."""
_SPARKPLUG = {bytes([field]): decode_sparkplug for field in (0x08, 0x12, 0x18)}
"""The tags of timestamp, metrics and seq, in that order in every payload."""
_BY_FIRST_BYTE = _CBOR_CONTAINERS | _CBOR_SAYS_SO | _SPARKPLUG
"""None of these bytes begins a JSON text."""


def decode(payload: bytes, received_at: Microseconds) -> Decoded:
    """Decode a telemetry payload of whichever format; `received_at` bounds what is plausible as a time."""
    return _BY_FIRST_BYTE.get(payload[:1], decode_json)(payload, received_at)
