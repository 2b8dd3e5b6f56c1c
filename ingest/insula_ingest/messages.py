"""What the transport hands on, and how a topic is read."""

from __future__ import annotations

from typing import NamedTuple

LONGEST_TOPIC = 256
"""Characters. With three slugs a topic of telemetry has 157; a gateway may give its children any names."""


class Message(NamedTuple):
    """One MQTT message as the transport received it."""

    topic: str
    payload: bytes
    """Its beginning alone, where it is larger than ingest takes."""
    size: int
    """Bytes of the whole payload."""
    received_at: int
    """Microseconds since the epoch; no two messages of a process have the same."""
    mid: int
    """Packet identifier, for the acknowledgement; 0 when none is wanted."""
    session: int
    """Which connection it came by: an acknowledgement is good for that connection alone."""


class Address(NamedTuple):
    """Who a topic of telemetry is about."""

    tenant: str
    device: str
    """The device that measured."""
    gateway: str | None = None
    """The device that sent it, where another one measured."""


def address_of(topic: str) -> Address | None:
    """What a topic of telemetry names; None when it is no such topic."""
    if len(topic) > LONGEST_TOPIC:
        return None
    levels = topic.split("/")
    if levels[0] != "tenants" or levels[2:3] != ["devices"] or levels[-1] != "telemetry":
        return None
    if len(levels) == 5:
        return Address(levels[1], levels[3])
    if len(levels) == 7 and levels[4] == "children":
        return Address(levels[1], levels[5], gateway=levels[3])
    return None
