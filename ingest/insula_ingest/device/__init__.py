"""The device's side of MQTT: `Device`, its payloads and its errors.

Everything here but `options.py` needs paho-mqtt and nothing else of this project: copy it. The renewal of
certificates alone needs `cryptography` besides.
"""

from insula_ingest.device.certificate import Certificate
from insula_ingest.device.client import PASSWORD_VARIABLE, Device, Protocol
from insula_ingest.device.errors import (
    DeviceError,
    DeviceRefusedError,
    PublishRefusedError,
    UnacknowledgedError,
)
from insula_ingest.device.payload import Record, Value, is_point_name

__all__ = [
    "PASSWORD_VARIABLE",
    "Certificate",
    "Device",
    "DeviceError",
    "DeviceRefusedError",
    "Protocol",
    "PublishRefusedError",
    "Record",
    "UnacknowledgedError",
    "Value",
    "is_point_name",
]
