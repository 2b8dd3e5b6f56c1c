"""What a broker refused a device, so that its tenant can be told why it is silent.

Where the platform decides (`http`, `none`), it knows what and why, and notes it. Mosquitto tells in its log,
which it publishes on `rules.BROKER_LOG`, and tells less: see `parse_line`.
"""

from __future__ import annotations

import re
import threading
from datetime import UTC, datetime
from typing import Literal, NamedTuple

from insula_tenants.broker.x509 import parse_certificate_name
from insula_tenants.names import DeviceLogin, parse_username

What = Literal["connection", "publish", "subscribe"]

_MOST = 10_000
"""Devices whose refusals are kept until they are taken; further ones are passed over."""


class Refused(NamedTuple):
    """One refusal."""

    tenant: str
    device: str
    what: What
    reason: str
    """A sentence for the tenant's people, without a full stop. It holds no secret."""


class Noted(NamedTuple):
    """The last of a device's refusals, when it was, and how many there were."""

    refused: Refused
    at: datetime
    times: int


class Refusals:
    """Refusals until somebody writes them down: the last one of each device, and their number.

    Bounded, as anybody can be refused as often as he likes. May be used from any thread.
    """

    def __init__(self) -> None:
        """Nothing was refused yet."""
        self._lock = threading.Lock()
        self._noted: dict[tuple[str, str], Noted] = {}

    def note(self, refused: Refused) -> None:
        """Keep it."""
        key = (refused.tenant, refused.device)
        with self._lock:
            before = self._noted.get(key)
            if before is not None or len(self._noted) < _MOST:
                self._noted[key] = Noted(refused, datetime.now(UTC), before.times + 1 if before else 1)

    def take(self) -> list[Noted]:
        """What was kept since the last time."""
        with self._lock:
            taken, self._noted = self._noted, {}
        return list(taken.values())


def parse_line(line: str) -> Refused | None:
    """The refusal that a line of Mosquitto's log tells of; None when it tells of none, or not whose.

    Seen with 2.0.11: it ends the connection of a client that it refused a publish, and that is a notice. The
    topic is in a line of the level `debug` alone. A refused connection has no name on any level.
    """
    text = line.partition(": ")[2]
    if found := _CLOSED.fullmatch(text):
        reason = "the broker ended the connection: it does not allow the device a topic that it published on"
        return _refused(found["client"], reason)
    if found := _DENIED.match(text):
        return _refused(found["client"], not_allowed("publish", found["topic"]))
    return None


def not_allowed(what: What, topic: str) -> str:
    """The reason when a device may not use a topic."""
    return f"the device may not {what} on {topic[:200]!r}: it has topics of its own"


_CLOSED = re.compile(r"Bad socket read/write on client (?P<client>\S+): Unknown error\.")
_DENIED = re.compile(r"Denied PUBLISH from (?P<client>\S+) \(d\d, q\d, r\d, m\d+, '(?P<topic>.*)', ")


def _refused(client_id: str, reason: str) -> Refused | None:
    login: DeviceLogin | None = parse_username(client_id) or parse_certificate_name(client_id)
    return Refused(login.tenant, login.device, "publish", reason) if login else None
