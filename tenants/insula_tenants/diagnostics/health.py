"""Write down what ingest and the broker noticed of devices, many at a time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

from sqlalchemy import text
from sqlalchemy.orm import Session

MAX_REASON = 500
"""Characters of a refusal's reason that are kept."""


@dataclass(frozen=True, slots=True)
class Heard:
    """What ingest noticed of a device since it last wrote that down."""

    device: str
    last_message_at: datetime | None
    clock_offset: float | None
    """Seconds; None when no message named a time."""
    throttled: int = 0
    throttled_at: datetime | None = None


class Refusal(NamedTuple):
    """That the broker refused something, the last of `times`."""

    device: str
    at: datetime
    what: str
    """`connection`, `publish` or `subscribe`."""
    reason: str
    times: int = 1


# By id, so that two processes that write down the same devices never wait for each other in turn.
_HEARD = text(
    "INSERT INTO device_health"
    " (device_id, last_message_at, clock_offset, clock_offset_at, throttled, throttled_at)"
    " SELECT devices.id, heard.last_message_at, heard.clock_offset,"
    " CASE WHEN heard.clock_offset IS NOT NULL THEN heard.last_message_at END,"
    " heard.throttled, heard.throttled_at"
    " FROM unnest(CAST(:devices AS text[]), CAST(:last_message_at AS timestamptz[]),"
    " CAST(:clock_offset AS float8[]), CAST(:throttled AS bigint[]), CAST(:throttled_at AS timestamptz[]))"
    " AS heard (device, last_message_at, clock_offset, throttled, throttled_at)"
    " JOIN devices ON devices.slug = heard.device"
    " ORDER BY devices.id"
    " ON CONFLICT (device_id) DO UPDATE SET"
    " last_message_at = greatest(device_health.last_message_at, excluded.last_message_at),"
    " clock_offset = coalesce(excluded.clock_offset, device_health.clock_offset),"
    " clock_offset_at = coalesce(excluded.clock_offset_at, device_health.clock_offset_at),"
    " throttled = device_health.throttled + excluded.throttled,"
    " throttled_at = greatest(device_health.throttled_at, excluded.throttled_at)"
)
_REFUSED = text(
    "INSERT INTO device_health (device_id, refused, refused_at, refused_what, refused_reason)"
    " SELECT devices.id, refusal.times, refusal.at, refusal.what, refusal.reason"
    " FROM unnest(CAST(:devices AS text[]), CAST(:at AS timestamptz[]), CAST(:what AS text[]),"
    " CAST(:reason AS text[]), CAST(:times AS bigint[])) AS refusal (device, at, what, reason, times)"
    " JOIN devices ON devices.slug = refusal.device"
    " ORDER BY devices.id"
    " ON CONFLICT (device_id) DO UPDATE SET"
    " refused = device_health.refused + excluded.refused,"
    " refused_at = excluded.refused_at,"
    " refused_what = excluded.refused_what,"
    " refused_reason = excluded.refused_reason"
)


def note_heard(session: Session, heard: Sequence[Heard]) -> None:
    """Add what was noticed, one entry a device. Devices that there are none of are passed over."""
    session.execute(
        _HEARD,
        {
            "devices": [each.device for each in heard],
            "last_message_at": [each.last_message_at for each in heard],
            "clock_offset": [each.clock_offset for each in heard],
            "throttled": [each.throttled for each in heard],
            "throttled_at": [each.throttled_at for each in heard],
        },
    )


def note_refusals(session: Session, refusals: Sequence[Refusal]) -> None:
    """Add what the broker refused. Of several of one device, the last is kept, and all are counted."""
    last: dict[str, Refusal] = {}
    for refusal in refusals:
        before = last.get(refusal.device)
        times = refusal.times + (before.times if before is not None else 0)
        last[refusal.device] = refusal._replace(times=times)
    session.execute(
        _REFUSED,
        {
            "devices": list(last),
            "at": [each.at for each in last.values()],
            "what": [each.what for each in last.values()],
            "reason": [each.reason[:MAX_REASON] for each in last.values()],
            "times": [each.times for each in last.values()],
        },
    )
