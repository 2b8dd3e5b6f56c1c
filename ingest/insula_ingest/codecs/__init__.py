"""From payloads to values: one module a format, told apart by topic and shape.

A codec never raises for what a device sent. It returns what it could read beside what it could not, so that
one bad record never drops its neighbours.
"""

from insula_ingest.codecs.decoded import Decoded, Microseconds, Reason, Rejected, Value
from insula_ingest.codecs.json_payloads import decode_json

__all__ = ["Decoded", "Reason", "Rejected", "Value", "decode", "decode_json"]


def decode(payload: bytes, received_at: Microseconds) -> Decoded:
    """Decode a telemetry payload of whichever format; `received_at` bounds what is plausible as a time."""
    return decode_json(payload, received_at)
