"""Device types: what a device of one kind measures, so that nobody describes it point by point.

The built-in ones are part of the release (`built_in.toml`); a tenant makes its own beside them. A device
keeps the slug of its type, and its points are a copy: what a type says later changes no device that is there.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import cache
from importlib.resources import files
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from insula_tenants.devices.models import Device, DeviceType
from insula_tenants.devices.points import NewPoint, check_interval, check_point
from insula_tenants.errors import Conflict, InvalidInput, NotFound
from insula_tenants.names import check_slug

MAX_POINTS = 200


@dataclass(frozen=True, slots=True)
class TypeView:
    """A device type, built in or the tenant's own."""

    slug: str
    name: str
    vendor: str | None = None
    model: str | None = None
    expected_interval: int | None = None
    """Seconds between two messages of such a device."""
    points: tuple[NewPoint, ...] = ()
    version: int = 1
    """Of a built-in one, which a release may improve; 1 for a tenant's own."""
    built_in: bool = False
    hint: str | None = None
    """How to have such a device publish its points by these names."""


@cache
def built_in_types() -> Mapping[str, TypeView]:
    """The types that come with this release, by slug, in the order of their names."""
    told = tomllib.loads((files(__package__) / "built_in.toml").read_text(encoding="utf-8"))
    found = [_built_in(slug, entry) for slug, entry in told.items()]
    return {one.slug: one for one in sorted(found, key=lambda one: one.name.casefold())}


def find_type(session: Session, slug: str) -> TypeView:
    """The type of this slug; `NotFound` when there is none.

    The tenant's own comes first: a release that brings a built-in one of the same slug changes nothing.
    """
    row = session.scalar(select(DeviceType).where(DeviceType.slug == slug))
    if row is not None:
        return _own(row)
    if (found := built_in_types().get(slug)) is not None:
        return found
    raise NotFound(f"there is no device type {slug!r}")


def lock_type(session: Session, slug: str) -> TypeView:
    """The type as it is, and stays until the transaction ends; `NotFound` when there is none."""
    session.execute(select(DeviceType.id).where(DeviceType.slug == slug).with_for_update())
    return find_type(session, slug)


def list_types(session: Session) -> list[TypeView]:
    """The tenant's own types, by name, then the built-in ones."""
    own = [_own(row) for row in session.scalars(select(DeviceType).order_by(DeviceType.name, DeviceType.id))]
    taken = {one.slug for one in own}
    return own + [one for one in built_in_types().values() if one.slug not in taken]


def create_type(session: Session, given: TypeView) -> TypeView:
    """Make a type of the tenant's own. Raises `InvalidInput`, and `Conflict` when the slug is taken."""
    check_slug(given.slug, field="id")
    if given.slug in built_in_types():
        raise Conflict(f"{given.slug!r} is a built-in device type: choose another id")
    if session.scalar(select(DeviceType.id).where(DeviceType.slug == given.slug)) is not None:
        raise Conflict(f"there is a device type {given.slug!r} already")
    row = DeviceType(slug=given.slug, **_columns(given))
    session.add(row)
    session.flush()
    return _own(row)


def change_type(session: Session, given: TypeView) -> TypeView:
    """Let the tenant's type of this slug be as given. Raises as `create_type`; devices stay as they are."""
    row = _own_row(session, given.slug, "changed")
    for field, value in _columns(given).items():
        setattr(row, field, value)
    session.flush()
    return _own(row)


def delete_type(session: Session, slug: str) -> None:
    """Remove a type of the tenant's own; `Conflict` while a device is of it."""
    row = _own_row(session, slug, "deleted")
    devices = session.scalar(select(func.count()).select_from(Device).where(Device.type == slug)) or 0
    if devices:
        raise Conflict(
            f"{devices} {'device is' if devices == 1 else 'devices are'} of type {slug!r}: "
            "give them another type first"
        )
    session.delete(row)
    session.flush()


def check_type(session: Session, slug: str | None, *, field: str = "type") -> TypeView | None:
    """The type that a device is to have; `InvalidInput` when there is none of this slug.

    One of the tenant's own cannot be deleted until the caller's transaction ends.
    """
    if slug is None:
        return None
    session.scalar(select(DeviceType.id).where(DeviceType.slug == slug).with_for_update(read=True))
    try:
        return find_type(session, slug)
    except NotFound as error:
        raise InvalidInput(field, f"{error.detail}: see …/device-types for those there are") from None


def points_with(view: TypeView | None, given: tuple[NewPoint, ...]) -> tuple[NewPoint, ...]:
    """The points of a type, those that are given in place of its own of the same name, and then the rest."""
    given_by_name: dict[str, list[NewPoint]] = {}
    for point in given:
        given_by_name.setdefault(point.name, []).append(point)
    own = view.points if view is not None else ()
    first = [one for point in own for one in given_by_name.pop(point.name, [point])]
    return (*first, *(one for rest in given_by_name.values() for one in rest))


def _own_row(session: Session, slug: str, what: str) -> DeviceType:
    row = session.scalar(select(DeviceType).where(DeviceType.slug == slug).with_for_update())
    if row is not None:
        return row
    if slug in built_in_types():
        raise Conflict(f"{slug!r} is built in and cannot be {what}: make a type of your own like it")
    raise NotFound(f"there is no device type {slug!r}")


def _columns(given: TypeView) -> dict[str, Any]:
    for field, text in (("name", given.name), ("vendor", given.vendor), ("model", given.model)):
        if text is not None and (not 1 <= len(text) <= 200 or not text.isprintable()):
            raise InvalidInput(field, f"give a {field} of 1 to 200 printable characters")
    check_interval(given.expected_interval)
    if len(given.points) > MAX_POINTS:
        raise InvalidInput("points", f"a type has {MAX_POINTS} points at most, not {len(given.points)}")
    points = [check_point(point) for point in given.points]
    names = [point.name for point in points]
    if len(set(names)) < len(names):
        raise InvalidInput("points", "a name stands there twice: a device has each point once")
    return {
        "name": given.name,
        "vendor": given.vendor,
        "model": given.model,
        "expected_interval": given.expected_interval,
        "points": [_written(point) for point in points],
    }


def _written(point: NewPoint) -> dict[str, Any]:
    """A point as JSON: what was not said is left out."""
    return {name: value for name, value in asdict(point).items() if value is not None}


def _read(point: Mapping[str, Any]) -> NewPoint:
    """A point from JSON or TOML. What a later release may write besides is passed over."""
    known = {name: point[name] for name in NewPoint.__dataclass_fields__ if name in point}
    return NewPoint(**known | ({"states": tuple(known["states"])} if known.get("states") else {}))


def _own(row: DeviceType) -> TypeView:
    return TypeView(
        row.slug,
        row.name,
        row.vendor,
        row.model,
        row.expected_interval,
        tuple(_read(point) for point in row.points),
    )


def _built_in(slug: str, entry: Mapping[str, Any]) -> TypeView:
    return TypeView(
        slug,
        entry["name"],
        entry.get("vendor"),
        entry.get("model"),
        entry.get("expected_interval"),
        tuple(_read(point) for point in entry["points"]),
        entry["version"],
        built_in=True,
        hint=entry.get("hint"),
    )
