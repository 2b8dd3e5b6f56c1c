"""Register, change and list devices."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, Select, func, select
from sqlalchemy.orm import Session, aliased

from insula_tenants.devices.models import Device, DeviceState, Point
from insula_tenants.devices.points import NewPoint, add_points, check_interval
from insula_tenants.devices.types import check_type, points_with
from insula_tenants.errors import Conflict, InvalidInput, NotFound
from insula_tenants.names import check_slug
from insula_tenants.spaces.models import Space
from insula_tenants.telemetry.models import Latest

MAX_LABELS = 32
_LABEL = re.compile(r"[a-z0-9](?:[a-z0-9._/-]{0,61}[a-z0-9])?")


@dataclass(frozen=True, slots=True)
class NewDevice:
    """A device to bring in."""

    slug: str
    name: str
    space_id: int | None = None
    points: tuple[NewPoint, ...] = ()
    """Those it has besides its type's, or in place of one of the same name."""
    gateway: str | None = None
    """Slug of the device that may publish for it, which is there already or before it in the list."""
    type: str | None = None
    """Slug of its device type, built in or the tenant's own."""
    expected_interval: int | None = None
    """Seconds between two messages; None for what its type says."""
    serial: str | None = None
    """The maker's number."""
    labels: Mapping[str, str] = field(default_factory=dict)


class DeviceView(NamedTuple):
    """A device as lists show it; `last_seen` is the time of its newest reading."""

    id: str
    name: str
    space_id: int | None
    gateway: str | None
    created_at: datetime
    last_seen: datetime | None
    type: str | None
    state: DeviceState
    expected_interval: int | None
    serial: str | None
    labels: dict[str, str]
    decommissioned_at: datetime | None


@dataclass(frozen=True, slots=True)
class WhichDevices:
    """Which devices a list is to hold; what is None does not matter."""

    search: str | None = None
    """Part of the slug, the name or the serial number, whatever the case."""
    state: DeviceState | None = None
    type: str | None = None
    space_id: int | None = None
    gateway: str | None = None
    label: tuple[str, str] | None = None
    within: frozenset[int] | None = None
    """Only those in these spaces: what a grant for a part of the tenant covers."""


def register(session: Session, new: NewDevice, *, state: DeviceState = "active") -> Device:
    """Register a device with the points that it and its type are known to have.

    Quotas are not looked at here: `onboard` does, and whoever else registers devices calls `claim_room`
    first, in the same transaction.

    Raises `InvalidInput` for what cannot be so, `Conflict` when the slug is taken.
    """
    check_slug(new.slug, field="device")
    check_name(new.name)
    check_serial(new.serial)
    check_labels(new.labels)
    if session.scalar(select(Device.id).where(Device.slug == new.slug)) is not None:
        raise Conflict(f"there is a device {new.slug!r} already")
    check_space_exists(session, new.space_id)
    view = check_type(session, new.type)
    interval = new.expected_interval
    if interval is None and view is not None:
        interval = view.expected_interval
    check_interval(interval)
    device = Device(
        slug=new.slug,
        name=new.name,
        space_id=new.space_id,
        gateway_id=gateway_id_of(session, new.gateway) if new.gateway is not None else None,
        type=new.type,
        state=state,
        expected_interval=interval,
        serial=new.serial,
        labels=dict(new.labels),
    )
    session.add(device)
    session.flush()
    add_points(session, device.id, points_with(view, new.points))
    return device


def create_device(
    session: Session,
    slug: str,
    *,
    name: str,
    space_id: int | None = None,
    points: Sequence[NewPoint] = (),
    gateway: str | None = None,
) -> Device:
    """`register` for a device of no type."""
    return register(session, NewDevice(slug, name, space_id, tuple(points), gateway))


def assign_gateway(session: Session, slug: str, gateway: str | None) -> None:
    """Let this gateway publish for the device, and no other; None lets none. Ingest knows within 30 seconds.

    Raises `NotFound` for a device that is none, `InvalidInput` for such a gateway.
    """
    device = session.scalar(select(Device).where(Device.slug == slug))
    if device is None:
        raise NotFound(f"there is no device {slug!r}")
    if gateway == slug:
        raise InvalidInput("gateway", "a device is not its own gateway: it publishes on its own topic")
    device.gateway_id = gateway_id_of(session, gateway) if gateway is not None else None
    session.flush()


def gateway_id_of(session: Session, slug: str) -> int:
    """The id of the device that is to be a gateway; `InvalidInput` when it cannot be one."""
    row = session.execute(select(Device.id, Device.state).where(Device.slug == slug)).one_or_none()
    if row is None:
        raise InvalidInput("gateway", f"there is no device {slug!r}: register the gateway first")
    if row.state == "decommissioned":
        raise InvalidInput("gateway", f"device {slug!r} is decommissioned: it publishes for nobody")
    return int(row.id)


def find_device(session: Session, slug: str) -> DeviceView:
    """The device of this slug; `NotFound` when there is none."""
    row = session.execute(_views().where(Device.slug == slug)).one_or_none()
    if row is None:
        raise NotFound(f"there is no device {slug!r}")
    return DeviceView(*row)


def list_devices(
    session: Session,
    which: WhichDevices | None = None,
    *,
    space_id: int | None = None,
    after: str | None = None,
    limit: int = 100,
) -> list[DeviceView]:
    """Devices by slug, those after `after`, at most `limit`."""
    query = _matching(_views(), which or WhichDevices(space_id=space_id))
    if after is not None:
        query = query.where(Device.slug > after)
    return [DeviceView(*row) for row in session.execute(query.order_by(Device.slug).limit(limit))]


def check_name(name: str, *, field: str = "name") -> None:
    """`InvalidInput` when people could not read it."""
    if not 1 <= len(name) <= 200 or not name.isprintable() or name != name.strip():
        raise InvalidInput(field, "give a name of 1 to 200 printable characters, without blanks around it")


def check_serial(serial: str | None) -> None:
    """`InvalidInput` when this is no serial number."""
    if serial is not None and (not 1 <= len(serial) <= 100 or not serial.isprintable()):
        raise InvalidInput("serial", "give a serial number of 1 to 100 printable characters")


def check_labels(labels: Mapping[str, str]) -> None:
    """`InvalidInput` when a label has no name, or too much to say."""
    if len(labels) > MAX_LABELS:
        raise InvalidInput("labels", f"a device has {MAX_LABELS} labels at most, not {len(labels)}")
    for name, value in labels.items():
        if not _LABEL.fullmatch(name):
            raise InvalidInput(
                "labels", f"{name[:80]!r} names no label: use 1 to 63 lower-case letters, digits and . _ / -"
            )
        if len(value) > 200 or not value.isprintable():
            raise InvalidInput("labels", f"the label {name!r}: use up to 200 printable characters")


def check_space_exists(session: Session, space_id: int | None) -> None:
    """`InvalidInput` for a space that is none."""
    if space_id is not None and session.get(Space, space_id) is None:
        raise InvalidInput("space_id", f"there is no space {space_id}")


def _views() -> Select[*tuple[Any, ...]]:
    last_seen = (
        select(func.max(Latest.time))
        .join(Point, Point.id == Latest.point_id)
        .where(Point.device_id == Device.id)
        .scalar_subquery()
    )
    gateway = aliased(Device)
    return select(
        Device.slug,
        Device.name,
        Device.space_id,
        gateway.slug,
        Device.created_at,
        last_seen,
        Device.type,
        Device.state,
        Device.expected_interval,
        Device.serial,
        Device.labels,
        Device.decommissioned_at,
    ).outerjoin(gateway, gateway.id == Device.gateway_id)


def _matching(query: Select[*tuple[Any, ...]], which: WhichDevices) -> Select[*tuple[Any, ...]]:
    if which.search is not None:
        part = which.search.lower()
        query = query.where(
            func.strpos(func.lower(Device.slug), part)
            + func.strpos(func.lower(Device.name), part)
            + func.strpos(func.lower(func.coalesce(Device.serial, "")), part)
            > 0
        )
    if which.state is not None:
        query = query.where(Device.state == which.state)
    if which.type is not None:
        query = query.where(Device.type == which.type)
    if which.space_id is not None:
        query = query.where(Device.space_id == which.space_id)
    if which.within is not None:
        query = query.where(Device.space_id.in_(which.within))
    if which.gateway is not None:
        query = query.where(_is_child_of(which.gateway))
    if which.label is not None:
        name, value = which.label
        query = query.where(Device.labels[name].astext == value)
    return query


def _is_child_of(gateway: str) -> ColumnElement[bool]:
    other = aliased(Device)
    return Device.gateway_id.in_(select(other.id).where(other.slug == gateway))
