"""From findings to plain words: what is wrong with a device, and what to do about it.

The first of the rules below that holds is the verdict. They stand in the order in which a message travels:
whether the device may connect at all, connects, may publish, sends, sends often enough, and sends what can be
stored.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from insula_tenants.diagnostics.service import Findings, Letters

Code = Literal[
    "decommissioned",
    "held",
    "no_credentials",
    "connection_refused",
    "never_connected",
    "offline",
    "publish_refused",
    "dead_letters",
    "throttled",
    "stale",
    "clock_wrong",
    "credentials_expiring",
    "well",
]

RECENT = timedelta(hours=1)
"""What is older and was followed by a message is over."""
CLOCK_TOLERANCE = 60.0
"""Seconds that a clock may be off: readings are still where people look for them."""
EXPIRES_SOON = timedelta(days=7)


@dataclass(frozen=True, slots=True)
class Verdict:
    """What is the matter, and the remedy."""

    code: Code
    summary: str
    to_do: str | None
    """None when there is nothing to do."""


def judge(findings: Findings) -> Verdict:
    """The first thing that is wrong, or that all is well."""
    for rule in _RULES:
        if (verdict := rule(findings)) is not None:
            return verdict
    return Verdict("well", "The device sends as it should.", None)


def _state(found: Findings) -> Verdict | None:
    if found.device.state == "decommissioned":
        return Verdict(
            "decommissioned",
            "The device is decommissioned: it has no login, and nothing it sends is taken.",
            "Reactivate it to take it back into use.",
        )
    if found.device.state == "held":
        return Verdict(
            "held", "The device waits to be approved: until then it has no way in.", "Approve the device."
        )
    return None


def _connection(found: Findings) -> Verdict | None:
    refusal = found.refusal
    if refusal is None or refusal.what != "connection" or _came_after(found, refusal.at):
        return None
    return Verdict(
        "connection_refused",
        f"The broker turns the device away: {refusal.reason}. Last at {_time(refusal.at)}.",
        "Check user name, password and client id in the device against those in its connection details; "
        "rotate its credentials when the password is lost.",
    )


def _credentials(found: Findings) -> Verdict | None:
    if found.device.gateway is not None or found.certificates or not found.credentials:
        return None  # a gateway speaks for it, or it has a certificate
    if any(one.state in ("good", "expiring") for one in found.credentials):
        return None
    return Verdict(
        "no_credentials",
        "Every login of the device has expired or was revoked.",
        "Rotate its credentials, and give the device the new ones.",
    )


def _never(found: Findings) -> Verdict | None:
    presence = found.presence
    if presence.connected_at or presence.disconnected_at or _last(found) or found.dead_letters:
        return None
    return Verdict(
        "never_connected",
        "Nothing was ever heard of the device, and the broker has not refused it either.",
        "Check that it has power and network, this broker's address and port, and the right user name and "
        "password (Mosquitto does not say whom it turned away); with TLS, that it trusts the broker's "
        "authority.",
    )


def _publish(found: Findings) -> Verdict | None:
    refusal = found.refusal
    if refusal is None or refusal.what == "connection":
        return None
    if found.at - refusal.at > RECENT and _came_after(found, refusal.at):
        return None
    return Verdict(
        "publish_refused",
        f"The device is connected, and the broker refuses what it does: {refusal.reason}. "
        f"Last at {_time(refusal.at)}.",
        "Have the device use its own topics alone: they are in its connection details.",
    )


def _offline(found: Findings) -> Verdict | None:
    if found.presence.state != "offline":
        return None
    return Verdict(
        "offline",
        f"The device has been gone since {_time(found.presence.since)}.",
        "Check its power and its network; and its password, if that was changed.",
    )


def _dead_letters(found: Findings) -> Verdict | None:
    if not found.dead_letters:
        return None
    newest = found.dead_letters[0]
    stored = found.presence.last_heard_at
    if stored is not None and stored > newest.last_received_at + RECENT:
        return None
    if newest.reason == "over_quota":
        return None  # said in other words below
    return Verdict(
        "dead_letters",
        f"Messages arrive and cannot be stored: {newest.detail}. "
        f"{_count(newest)} within the last day with the reason {newest.reason}.",
        "Correct what the device sends; then replay its dead letters, if they can be read by then.",
    )


def _throttled(found: Findings) -> Verdict | None:
    at = found.throttled_at
    if at is None or found.at - at > RECENT:
        return None
    return Verdict(
        "throttled",
        f"The device, or the tenant as a whole, sends more than its limit: {found.throttled} messages were "
        f"not taken so far, the last at {_time(at)}.",
        "Send less often, or several values in one message, or ask for a larger plan.",
    )


def _stale(found: Findings) -> Verdict | None:
    if found.presence.state != "stale":
        return None
    interval = found.presence.expected_interval
    connected = found.presence.connected_at is not None
    return Verdict(
        "stale",
        f"The device should send every {interval} s, and nothing came since {_time(_last(found))}.",
        "It is connected and sends nothing: restart its program."
        if connected
        else "Check its power, its network and its battery.",
    )


def _clock(found: Findings) -> Verdict | None:
    offset = found.clock_offset
    if offset is None or abs(offset) <= CLOCK_TOLERANCE:
        return None
    way = "ahead" if offset < 0 else "behind"
    return Verdict(
        "clock_wrong",
        f"The device's clock is {_duration(abs(offset))} {way}: its readings are there, at wrong times"
        + (", or it sends what it kept back." if offset > 0 else "."),
        "Set the device's clock (NTP), or have it leave the time out: then the time of receipt counts.",
    )


def _expiring(found: Findings) -> Verdict | None:
    good = [one.expires_at for one in found.credentials if one.state in ("good", "expiring")]
    ends = [*good, *(one.expires_at for one in found.certificates)]
    last = max((at for at in ends if at is not None), default=None)
    if last is None or None in ends or last - found.at > EXPIRES_SOON:
        return None
    return Verdict(
        "credentials_expiring",
        f"The device sends as it should, and the last of its credentials ends at {_time(last)}.",
        "Have it renew its certificate, or rotate its credentials, before that.",
    )


_RULES: tuple[Callable[[Findings], Verdict | None], ...] = (
    _state,
    _connection,
    _credentials,
    _never,
    _publish,
    _offline,
    _dead_letters,
    _throttled,
    _stale,
    _clock,
    _expiring,
)


def _came_after(found: Findings, at: datetime) -> bool:
    """Whether the device got through after a refusal."""
    came = (found.presence.connected_at, found.last_message_at)
    return any(each is not None and each > at for each in came)


def _last(found: Findings) -> datetime | None:
    return found.presence.last_heard_at or found.last_message_at


def _count(letters: Letters) -> str:
    return "1 message" if letters.letters == 1 else f"{letters.letters} messages"


def _time(at: datetime | None) -> str:
    return "a time that nobody noted" if at is None else f"{at:%Y-%m-%d %H:%M:%S} UTC"


def _duration(seconds: float) -> str:
    for size, unit in ((86_400, "days"), (3600, "hours"), (60, "minutes")):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.0f} seconds"
