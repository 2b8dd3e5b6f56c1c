"""Take in what devices, and their last wills, say on `status`."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import NamedTuple

from sqlalchemy import insert, select
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.orm import Session

from insula_tenants.presence.models import DevicePresence, PresenceChange

STATUSES = {b"online": True, b"offline": False}
"""The payloads there are: whether the device is connected."""


class NewStatus(NamedTuple):
    """What came on a device's `status`."""

    device_id: int
    connected: bool
    at: datetime
    """Its receipt."""


def store_statuses(session: Session, statuses: Sequence[NewStatus]) -> Collection[int]:
    """Keep the last status of each device, and its changes; the devices that have come.

    A status that is kept at the broker comes again whenever ingest subscribes: what says nothing new changes
    nothing. One that was received before the last that is known is passed over.
    """
    ids = sorted({status.device_id for status in statuses})
    locked = (
        select(DevicePresence).where(DevicePresence.device_id.in_(ids)).order_by(DevicePresence.device_id)
    )
    known = {row.device_id: row for row in session.scalars(locked.with_for_update())}
    changes, come = [], set()
    for device_id, connected, at in statuses:
        row = known.get(device_id)
        told = row is not None and (row.connected_at is not None or row.disconnected_at is not None)
        if row is None:
            row = known[device_id] = _first(session, device_id, connected, at)
        elif told and (at <= row.since or connected == row.connected):
            continue
        row.connected, row.since = connected, at
        if connected:
            row.connected_at = at
            come.add(device_id)
        else:
            row.disconnected_at = at
        changes.append({"device_id": device_id, "state": "online" if connected else "offline", "at": at})
    session.flush()
    if changes:
        session.execute(insert(PresenceChange), changes)
    return come


def _first(session: Session, device_id: int, connected: bool, at: datetime) -> DevicePresence:
    """A row of the device's own, made unless another process was faster."""
    row = upsert(DevicePresence).values(device_id=device_id, connected=connected, since=at)
    session.execute(row.on_conflict_do_nothing())
    return session.scalars(
        select(DevicePresence).where(DevicePresence.device_id == device_id).with_for_update()
    ).one()
