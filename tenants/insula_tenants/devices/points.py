"""What a device measures or is told: make, change and list its points."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from math import isfinite
from typing import Any, NamedTuple

from sqlalchemy import BigInteger, literal, select
from sqlalchemy.orm import Session

from insula_tenants.devices.models import Device, Point
from insula_tenants.devices.units import check_unit
from insula_tenants.errors import Conflict, InvalidInput, NotFound
from insula_tenants.names import is_point_name

MAX_INTERVAL = 366 * 86_400
"""Seconds: what is silent for longer is not expected any more."""
MAX_STATES = 100

_BRICK_CLASS = re.compile(r"[A-Z][A-Za-z0-9_.]{0,99}")


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
    minimum: float | None = None
    """Lowest value that can be right, in `unit`: a reading below is stored all the same."""
    maximum: float | None = None
    """Highest value that can be right, in `unit`."""
    expected_interval: int | None = None
    """Seconds between two readings; None when it is the device's."""


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
    minimum: float | None
    maximum: float | None
    expected_interval: int | None


_VIEW = select(
    Point.id,
    Device.slug,
    Point.name,
    Point.brick_class,
    Point.unit,
    Point.kind,
    Point.states,
    Point.rollover_at,
    Point.minimum,
    Point.maximum,
    Point.expected_interval,
).join(Device, Device.id == Point.device_id)


def check_point(point: NewPoint, *, field: str = "points") -> NewPoint:
    """The point as it is kept; `InvalidInput`, of `field`, says what cannot be so and what can."""
    name = point.name
    if not is_point_name(name):
        raise InvalidInput(field, f"{name!r} is not a point name: use letters, digits and _ . : / -")
    if point.kind not in {"gauge", "counter"}:
        raise InvalidInput(field, f"{name!r} is a {point.kind!r}: use gauge or counter")
    if point.rollover_at is not None and (
        point.kind != "counter" or not isfinite(point.rollover_at) or point.rollover_at <= 0
    ):
        raise InvalidInput(
            field, f"{name!r} cannot roll over there: give a counter a positive number, a gauge none"
        )
    if point.brick_class is not None and not _BRICK_CLASS.fullmatch(point.brick_class):
        raise InvalidInput(
            field, f"{name!r}: {point.brick_class!r} is no Brick class: use one such as Contact_Sensor"
        )
    _check_states(point, field)
    _check_range(point, field)
    check_interval(point.expected_interval, field=field)
    return replace(point, unit=check_unit(point.unit, field=field)) if point.unit is not None else point


def check_interval(seconds: int | None, *, field: str = "expected_interval") -> None:
    """`InvalidInput` when this is no interval, in seconds, to expect something in."""
    if seconds is not None and not 1 <= seconds <= MAX_INTERVAL:
        raise InvalidInput(
            field, f"{seconds} s is no expected interval: use 1 to {MAX_INTERVAL} (a leap year)"
        )


def add_points(session: Session, device_id: int, points: Iterable[NewPoint]) -> None:
    """Give a device these points. Raises `InvalidInput`, also for a name that stands twice."""
    seen: set[str] = set()
    for given in points:
        point = check_point(given)
        if point.name in seen:
            raise InvalidInput("points", f"{point.name!r} stands there twice: a device has each point once")
        seen.add(point.name)
        session.add(Point(device_id=device_id, **_columns(point)))
    session.flush()


def add_point(session: Session, device: str, point: NewPoint) -> PointView:
    """Give a device one more point, before its first reading. Room for it is claimed by the caller.

    Raises `NotFound` for a device that is none, `Conflict` for a name it has, `InvalidInput`.
    """
    device_id = session.scalar(select(Device.id).where(Device.slug == device))
    if device_id is None:
        raise NotFound(f"there is no device {device!r}")
    if session.scalar(select(Point.id).where(Point.device_id == device_id, Point.name == point.name)):
        raise Conflict(f"device {device!r} has a point {point.name!r} already: change that one")
    row = Point(device_id=device_id, **_columns(check_point(point, field="body")))
    session.add(row)
    session.flush()
    return find_point(session, row.id)


def find_point(session: Session, point_id: int, *, within: Collection[int] | None = None) -> PointView:
    """The point of this id; `NotFound` when there is none, or with `within` none in these spaces."""
    query = _VIEW.where(Point.id == point_id)
    if within is not None:
        query = query.where(Device.space_id.in_(within))
    row = session.execute(query).one_or_none()
    if row is None:
        raise NotFound(f"there is no point {point_id}")
    return PointView(*row)


def lock_point(session: Session, point_id: int, *, within: Collection[int] | None = None) -> PointView:
    """`find_point`, and it stays as it is until the transaction ends."""
    session.execute(select(Point.id).where(Point.id == point_id).with_for_update())
    return find_point(session, point_id, within=within)


def change_point(session: Session, point_id: int, changes: Mapping[str, Any]) -> PointView:
    """Change what is said of a point: fields of `NewPoint`, but for its name, which is a contract.

    Raises `NotFound`, and `InvalidInput` when what comes out cannot be so.
    """
    row = session.scalar(select(Point).where(Point.id == point_id).with_for_update())
    if row is None:
        raise NotFound(f"there is no point {point_id}")
    there = NewPoint(
        **{field: getattr(row, field) for field in NewPoint.__dataclass_fields__ if field != "states"},
        states=tuple(row.states) if row.states is not None else None,
    )
    for field, value in _columns(check_point(replace(there, **changes), field="body")).items():
        setattr(row, field, value)
    session.flush()
    return find_point(session, point_id)


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
    query = _VIEW
    if device is not None:
        query = query.where(Device.slug == device)
    if space_id is not None:
        query = query.where(Device.space_id == space_id)
    if within is not None:
        query = query.where(Device.space_id.in_(within))
    if after is not None:
        query = query.where(Point.id > literal(after, BigInteger))  # a cursor may hold more than an id can
    return [PointView(*row) for row in session.execute(query.order_by(Point.id).limit(limit))]


def _columns(point: NewPoint) -> dict[str, Any]:
    return asdict(point) | {"states": list(point.states) if point.states else None}


def _check_states(point: NewPoint, field: str) -> None:
    if not point.states:
        return
    if point.kind == "counter":
        raise InvalidInput(field, f"{point.name!r} counts, so its values have no names: give no states")
    if not 2 <= len(point.states) <= MAX_STATES or len(set(point.states)) < len(point.states):
        raise InvalidInput(
            field, f"the states of {point.name!r}: name 2 to {MAX_STATES} values, from 0 up, each by its own"
        )
    if not all(1 <= len(state) <= 100 and state.isprintable() for state in point.states):
        raise InvalidInput(field, f"a state of {point.name!r} has no name of 1 to 100 printable characters")


def _check_range(point: NewPoint, field: str) -> None:
    for bound in (point.minimum, point.maximum):
        if bound is not None and not isfinite(bound):
            raise InvalidInput(field, f"the range of {point.name!r}: use finite numbers, or leave it open")
    if point.minimum is not None and point.maximum is not None and point.minimum > point.maximum:
        raise InvalidInput(
            field, f"the range of {point.name!r}: {point.minimum} is more than {point.maximum}"
        )
