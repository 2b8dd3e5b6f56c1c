"""Make and list devices and points."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from math import inf
from typing import NamedTuple

from sqlalchemy import BigInteger, func, literal, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session, aliased

from insula_tenants.broker.passwords import hash_password
from insula_tenants.devices.models import Device, DeviceCredential, Point
from insula_tenants.errors import Conflict, InvalidInput, NotFound
from insula_tenants.names import check_slug, is_point_name
from insula_tenants.spaces.models import Space
from insula_tenants.telemetry.models import Latest


@dataclass(frozen=True, slots=True)
class NewPoint:
    """What is known of a point before its first reading."""

    name: str
    brick_class: str | None = None
    unit: str | None = None
    kind: str = "gauge"
    states: tuple[str, ...] | None = None
    rollover_at: float | None = None
    """Of a counter: where its register begins anew at 0, such as 100 000 for one of five digits."""


class DeviceView(NamedTuple):
    """A device as lists show it; `last_seen` is the time of its newest reading."""

    id: str
    name: str
    space_id: int | None
    gateway: str | None
    created_at: datetime
    last_seen: datetime | None


class PointView(NamedTuple):
    """A point with the slug of its device."""

    id: int
    device: str
    name: str
    brick_class: str | None
    unit: str | None
    kind: str
    states: list[str] | None
    rollover_at: float | None


def create_device(
    session: Session,
    slug: str,
    *,
    name: str,
    space_id: int | None = None,
    points: Sequence[NewPoint] = (),
    gateway: str | None = None,
) -> Device:
    """Register a device with the points it is known to have; `gateway` may publish for it.

    Quotas are not looked at here: `onboard` does, and whoever else makes devices calls `claim_room` first, in
    the same transaction.

    Raises `InvalidInput` for a bad slug, space, point or gateway, `Conflict` when the slug is taken.
    """
    check_slug(slug, field="device")
    if session.scalar(select(Device.id).where(Device.slug == slug)) is not None:
        raise Conflict(f"there is a device {slug!r} already")
    if space_id is not None and session.get(Space, space_id) is None:
        raise InvalidInput("space_id", f"there is no space {space_id}")
    gateway_id = _gateway_id(session, gateway) if gateway is not None else None
    device = Device(slug=slug, name=name, space_id=space_id, gateway_id=gateway_id)
    session.add(device)
    session.flush()
    for point in points:
        _check_point(point)
        session.add(
            Point(
                device_id=device.id,
                name=point.name,
                brick_class=point.brick_class,
                unit=point.unit,
                kind=point.kind,
                rollover_at=point.rollover_at,
                states=list(point.states) if point.states else None,
            )
        )
    session.flush()
    return device


def assign_gateway(session: Session, slug: str, gateway: str | None) -> None:
    """Let this gateway publish for the device, and no other; None lets none. Ingest knows within 30 seconds.

    Raises `NotFound` for a device that is none, `InvalidInput` for such a gateway.
    """
    device = session.scalar(select(Device).where(Device.slug == slug))
    if device is None:
        raise NotFound(f"there is no device {slug!r}")
    if gateway == slug:
        raise InvalidInput("gateway", "a device is not its own gateway: it publishes on its own topic")
    device.gateway_id = _gateway_id(session, gateway) if gateway is not None else None
    session.flush()


def _gateway_id(session: Session, slug: str) -> int:
    gateway_id = session.scalar(select(Device.id).where(Device.slug == slug))
    if gateway_id is None:
        raise InvalidInput("gateway", f"there is no device {slug!r}: register the gateway first")
    return gateway_id


def _check_point(point: NewPoint) -> None:
    if not is_point_name(point.name):
        raise InvalidInput("points", f"{point.name!r} is not a point name: use letters, digits and _ . : / -")
    if point.kind not in {"gauge", "counter"}:
        raise InvalidInput("points", f"{point.name!r} is a {point.kind!r}: use gauge or counter")
    if point.rollover_at is not None and (point.kind != "counter" or not 0 < point.rollover_at < inf):
        raise InvalidInput(
            "points", f"{point.name!r} cannot roll over there: give a counter a positive number, a gauge none"
        )


def set_password(session: Session, slug: str, password: str) -> None:
    """Keep the hash of a device's MQTT password, in place of an older one."""
    device_id = session.scalar(select(Device.id).where(Device.slug == slug))
    if device_id is None:
        raise NotFound(f"there is no device {slug!r}")
    hashed = hash_password(password)
    values = {"password_hash": hashed.hash, "salt": hashed.salt, "iterations": hashed.iterations}
    statement = insert(DeviceCredential).values(device_id=device_id, **values)
    session.execute(
        statement.on_conflict_do_update(
            index_elements=["device_id"], set_={**values, "created_at": func.now()}
        )
    )


def list_devices(
    session: Session,
    *,
    space_id: int | None = None,
    within: Collection[int] | None = None,
    after: str | None = None,
    limit: int = 100,
) -> list[DeviceView]:
    """Devices by slug, those after `after`, at most `limit`; with `within` only those in these spaces."""
    last_seen = (
        select(func.max(Latest.time))
        .join(Point, Point.id == Latest.point_id)
        .where(Point.device_id == Device.id)
        .scalar_subquery()
    )
    gateway = aliased(Device)
    query = select(
        Device.slug, Device.name, Device.space_id, gateway.slug, Device.created_at, last_seen
    ).outerjoin(gateway, gateway.id == Device.gateway_id)
    if space_id is not None:
        query = query.where(Device.space_id == space_id)
    if within is not None:
        query = query.where(Device.space_id.in_(within))
    if after is not None:
        query = query.where(Device.slug > after)
    return [DeviceView(*row) for row in session.execute(query.order_by(Device.slug).limit(limit))]


def list_points(
    session: Session,
    *,
    device: str | None = None,
    space_id: int | None = None,
    within: Collection[int] | None = None,
    after: int | None = None,
    limit: int = 100,
) -> list[PointView]:
    """Points by id, those after `after`, at most `limit`; with `within` only of devices in these spaces."""
    query = select(
        Point.id,
        Device.slug,
        Point.name,
        Point.brick_class,
        Point.unit,
        Point.kind,
        Point.states,
        Point.rollover_at,
    ).join(Device, Device.id == Point.device_id)
    if device is not None:
        query = query.where(Device.slug == device)
    if space_id is not None:
        query = query.where(Device.space_id == space_id)
    if within is not None:
        query = query.where(Device.space_id.in_(within))
    if after is not None:
        query = query.where(Point.id > literal(after, BigInteger))  # a cursor may hold more than an id can
    return [PointView(*row) for row in session.execute(query.order_by(Point.id).limit(limit))]
