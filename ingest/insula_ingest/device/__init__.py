"""The device's side of MQTT: `Device`, its payloads and its errors.

`client.py`, `sent.py`, `payload.py` and `errors.py` need paho-mqtt and nothing else of this project: copy
them.
"""

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
