"""From the names that rows give to the ids of points; names not seen before become points, within limits."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from sqlalchemy import func, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from insula_tenants.devices.models import Device, Point
from insula_tenants.quotas import Allowance, room_for_points

_ROWS_AT_ONCE = 10_000  # a statement takes 65 535 parameters

PointName = tuple[str, str]
"""A device's slug and the name of one of its points."""


@dataclass(slots=True)
class Resolved:
    """What became of the names."""

    ids: dict[PointName, int] = field(default_factory=dict)
    new: set[PointName] = field(default_factory=set)
    """Points that were made, or would be; in the latter case they have no id."""
    devices: set[str] = field(default_factory=set)
    """The devices there are. A name of one that is neither known nor new is one too many."""


def resolve_points(
    session: Session,
    wanted: Mapping[str, Collection[str]],
    *,
    most: int,
    allowance: Allowance,
    within: Collection[int] | None = None,
    make: bool = True,
) -> Resolved:
    """The points of `wanted` (device's slug → names). A device has at most `most` points by being named.

    New ones end where the tenant's allowance does. With `within`, devices outside of these spaces are none.
    With `make` the missing ones are made, else only told.
    """
    query = select(Device.slug, Device.id).where(Device.slug.in_(list(wanted)))
    if within is not None:
        query = query.where(Device.space_id.in_(within))
    devices: dict[str, int] = {row[0]: row[1] for row in session.execute(query)}
    resolved = Resolved(devices=set(devices))
    resolved.ids = _known(session, wanted, devices)
    missing = {
        slug: fresh
        for slug in devices
        if (fresh := sorted(name for name in wanted[slug] if (slug, name) not in resolved.ids))
    }
    if not missing:
        return resolved
    counts = _counts(session, [devices[slug] for slug in missing])
    for slug, names in missing.items():
        room = max(0, most - counts.get(devices[slug], 0))
        resolved.new.update((slug, name) for name in names[:room])
    if resolved.new:
        room = room_for_points(session, allowance, len(resolved.new))
        resolved.new = set(sorted(resolved.new)[:room])
    if make and resolved.new:
        rows = [{"device_id": devices[slug], "name": name} for slug, name in sorted(resolved.new)]
        for start in range(0, len(rows), _ROWS_AT_ONCE):
            session.execute(
                insert(Point).values(rows[start : start + _ROWS_AT_ONCE]).on_conflict_do_nothing()
            )
        named = {slug: [name for device, name in resolved.new if device == slug] for slug in missing}
        resolved.ids |= _known(session, named, devices)
    return resolved


def known_points(
    session: Session, ids: Collection[int], *, within: Collection[int] | None = None
) -> set[int]:
    """Those of these ids that are points; with `within` only of devices in these spaces."""
    query = select(Point.id).where(Point.id.in_(list(ids)))
    if within is not None:
        query = query.join(Device, Device.id == Point.device_id).where(Device.space_id.in_(within))
    return set(session.scalars(query))


def _known(
    session: Session, wanted: Mapping[str, Collection[str]], devices: Mapping[str, int]
) -> dict[PointName, int]:
    slugs = {device_id: slug for slug, device_id in devices.items()}
    names = {name for slug in devices for name in wanted[slug]}
    query = select(Point.device_id, Point.name, Point.id).where(
        Point.device_id.in_(list(slugs)), Point.name.in_(list(names))
    )
    return {(slugs[device_id], name): point_id for device_id, name, point_id in session.execute(query)}


def _counts(session: Session, device_ids: Collection[int]) -> dict[int, int]:
    query = (
        select(Point.device_id, func.count())
        .where(Point.device_id.in_(list(device_ids)))
        .group_by(Point.device_id)
    )
    return {row[0]: row[1] for row in session.execute(query)}
