"""What can go wrong between a device and its broker.

::

    DeviceError
    ├── DeviceRefusedError     wrong password, unknown device, distrusted certificate, ousted session
    ├── PublishRefusedError    the broker answered "no" to a message (MQTT 5 alone can say so)
    └── UnacknowledgedError    no answer in time; the messages are still kept and sent later
"""

from __future__ import annotations


class DeviceError(Exception):
    """A device cannot do its work."""


class DeviceRefusedError(DeviceError):
    """The broker does not accept this device."""


class PublishRefusedError(DeviceError):
    """The broker refused messages; `count` says how many since this was last raised."""

    def __init__(self, device: str, reason: str, count: int) -> None:
        """`device` is `{tenant}/{device}`, `reason` the broker's word for it."""
        super().__init__(f"the broker refused {_messages(count)} of device {device}: {reason}")
        self.reason = reason
        self.count = count


class UnacknowledgedError(DeviceError):
    """The broker has not acknowledged everything in time; `count` says how many messages it has not."""

    def __init__(self, device: str, count: int, cause: str) -> None:
        """`cause` says what stands in the way, as far as the device knows."""
        super().__init__(f"{_messages(count)} of device {device} not acknowledged by the broker: {cause}")
        self.count = count


def _messages(count: int) -> str:
    return "1 message" if count == 1 else f"{count} messages"
