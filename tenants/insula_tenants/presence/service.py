"""Tell whether devices are there: by their status, by what they send, and by how often they should.

::

    offline   the last status says so, and nothing has come since
    stale     nothing came for `PATIENCE` times the expected interval
    online    the last status says so, or messages come as they should
    unknown   no status, and nobody said how often it sends

Silence is told when somebody reads, not when the worker comes by: the worker only writes its history.
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

from sqlalchemy import Integer as SqlInteger
from sqlalchemy import (
    Select,
    Values,
    column,
    delete,
    func,
    insert,
    or_,
    select,
    update,
    values,
)
from sqlalchemy import Text as SqlText
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.orm import Session

from insula_tenants.devices.models import Device, Point
from insula_tenants.devices.types import list_types
from insula_tenants.diagnostics.models import DeviceHealth
from insula_tenants.errors import NotFound
from insula_tenants.presence.models import DevicePresence, PresenceChange, PresenceState
from insula_tenants.telemetry.models import Latest

PATIENCE = 3.0
"""A device is silent after so many expected intervals: two messages may be lost on the way."""
LEAST = 10.0
"""Seconds of silence that are never called so: ingest collects messages, and clocks differ."""
KEPT = timedelta(days=90)
"""How long the history goes back."""
MOST_CHANGES = 10_000
"""Entries of the history that are kept of a device: one with a loose contact comes and goes all day."""


class PresenceView(NamedTuple):
    """Whether a device is there."""

    device: str
    state: PresenceState
    since: datetime | None
    """Since when its status says so, or since when nothing comes; None when nobody knows."""
    connected_at: datetime | None
    disconnected_at: datetime | None
    last_heard_at: datetime | None
    """When it last sent something."""
    expected_interval: int | None
    """Seconds: the device's own, or its type's."""


class ChangeView(NamedTuple):
    """An entry of the history."""

    number: int
    state: PresenceState
    at: datetime


def presence_of(session: Session, slug: str) -> PresenceView:
    """Whether the device is there; `NotFound` when there is none of this slug."""
    found = presences(session, [slug])
    if not found:
        raise NotFound(f"there is no device {slug!r}")
    return found[slug]


def presences(session: Session, slugs: Collection[str]) -> dict[str, PresenceView]:
    """Whether these devices are there, by slug; one statement however many they are."""
    rows = session.execute(_seen(session).where(Device.slug.in_(slugs))).all()
    now = datetime.now(UTC)
    return {row.slug: _view(row, now) for row in rows}


def list_changes(
    session: Session, slug: str, *, before: int | None = None, limit: int = 100
) -> list[ChangeView]:
    """When a device came, left and fell silent, newest first; before the entry with the number `before`."""
    query = (
        select(PresenceChange.id, PresenceChange.state, PresenceChange.at)
        .join(Device, Device.id == PresenceChange.device_id)
        .where(Device.slug == slug)
    )
    if before is not None:
        query = query.where(PresenceChange.id < before)
    return [
        ChangeView(*row) for row in session.execute(query.order_by(PresenceChange.id.desc()).limit(limit))
    ]


def note_silence(session: Session) -> int:
    """Write into the history which devices fell silent, and which are heard again; how many changes.

    For the worker, as often as the history is to be exact.
    """
    now = datetime.now(UTC)
    changes: list[dict[str, Any]] = []
    silent, heard = [], []
    spoken_of = or_(Device.expected_interval.is_not(None), Device.type.is_not(None))
    for row in session.execute(_seen(session).where(Device.state == "active", spoken_of)):
        view = _view(row, now)
        if view.state == "stale" and row.stale_since is None:
            silent.append(row.id)
            changes.append({"device_id": row.id, "state": "stale", "at": view.since or now})
        elif view.state != "stale" and row.stale_since is not None:
            heard.append(row.id)
            if view.state == "online":
                changes.append({"device_id": row.id, "state": "online", "at": view.last_heard_at or now})
    if silent:
        rows = [{"device_id": each, "connected": True, "since": now, "stale_since": now} for each in silent]
        session.execute(
            upsert(DevicePresence)
            .values(rows)
            .on_conflict_do_update(index_elements=["device_id"], set_={"stale_since": now})
        )
    if heard:
        session.execute(
            update(DevicePresence)
            .where(DevicePresence.device_id.in_(heard))
            .values(stale_since=None)
            .execution_options(synchronize_session=False)
        )
    if changes:
        session.execute(insert(PresenceChange), changes)
    return len(changes)


def tidy_changes(session: Session) -> None:
    """Forget what is older than `KEPT`, and of each device all but the last `MOST_CHANGES`."""
    order = func.row_number().over(partition_by=PresenceChange.device_id, order_by=PresenceChange.id.desc())
    ranked = select(PresenceChange.id, order.label("place")).subquery()
    surplus = select(ranked.c.id).where(ranked.c.place > MOST_CHANGES)
    for old in (PresenceChange.at < func.now() - KEPT, PresenceChange.id.in_(surplus)):
        session.execute(delete(PresenceChange).where(old).execution_options(synchronize_session=False))


def _seen(session: Session) -> Select[*tuple[Any, ...]]:
    newest = (
        select(func.max(Latest.time))
        .join(Point, Point.id == Latest.point_id)
        .where(Point.device_id == Device.id)
        .scalar_subquery()
    )
    types = _intervals(session)
    return (
        select(
            Device.id,
            Device.slug,
            func.coalesce(Device.expected_interval, types.c.seconds).label("interval"),
            DevicePresence.connected,
            DevicePresence.since,
            DevicePresence.connected_at,
            DevicePresence.disconnected_at,
            DevicePresence.stale_since,
            DeviceHealth.last_message_at,
            newest.label("newest"),
        )
        .outerjoin(DevicePresence, DevicePresence.device_id == Device.id)
        .outerjoin(DeviceHealth, DeviceHealth.device_id == Device.id)
        .outerjoin(types, types.c.slug == Device.type)
    )


def _intervals(session: Session) -> Values:
    """The expected intervals of types, as a table."""
    known = [(one.slug, one.expected_interval) for one in list_types(session) if one.expected_interval]
    return values(column("slug", SqlText), column("seconds", SqlInteger), name="types").data(
        known or [("-", 1)]  # no type is called so
    )


def _view(row: Any, now: datetime) -> PresenceView:
    # A reading's time is the device's own clock's: one that is ahead must not keep it alive.
    newest = row.newest and min(row.newest, now)
    heard = max((at for at in (row.last_message_at, newest) if at is not None), default=None)
    state, since = _state(row, heard, now)
    return PresenceView(row.slug, state, since, row.connected_at, row.disconnected_at, heard, row.interval)


def _state(row: Any, heard: datetime | None, now: datetime) -> tuple[PresenceState, datetime | None]:
    told = row.connected_at is not None or row.disconnected_at is not None
    if told and not row.connected and not (row.last_message_at and row.last_message_at > row.since):
        return "offline", row.since
    # From when it is connected, it has its interval to send something.
    began = max((at for at in (heard, row.connected_at) if at is not None), default=None)
    if row.interval is not None and began is not None:
        patience = timedelta(seconds=max(LEAST, PATIENCE * row.interval))
        if now - began > patience:
            return "stale", began + patience
        return "online", row.since if told and row.connected else heard
    if told and row.connected:
        return "online", row.since
    if told:
        return "online", heard
    return "unknown", None
