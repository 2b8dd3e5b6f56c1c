"""Make and list spaces."""

from __future__ import annotations

from collections.abc import Collection
from typing import NamedTuple, TypeVar

from sqlalchemy import select
from sqlalchemy.orm import Session

from insula_tenants.errors import InvalidInput
from insula_tenants.models import PerTenant
from insula_tenants.names import time_zones
from insula_tenants.spaces.models import Building, Site, Space, Storey

Row = TypeVar("Row", bound=PerTenant)


class SpaceView(NamedTuple):
    """A space with the names of what it stands in."""

    id: int
    name: str
    storey: str
    building: str
    site: str
    time_zone: str
    storey_id: int
    building_id: int
    site_id: int
    brick_class: str
    area: float | None
    """Net floor area, m²."""
    capacity: int | None
    comfort_category: str | None
    iri: str | None

    @property
    def path(self) -> str:
        """`site/building/storey/space`."""
        return f"{self.site}/{self.building}/{self.storey}/{self.name}"


def ensure_space(
    session: Session, *, site: str, building: str, time_zone: str, storey: str, level: int, name: str
) -> int:
    """The id of the named space; it and what it stands in are made where missing."""
    if time_zone not in time_zones():
        raise InvalidInput(
            "time_zone", f"{time_zone!r} is not an IANA time zone: use one like Europe/Brussels"
        )
    site_row = _ensure(session, Site, name=site)
    building_row = _ensure(session, Building, {"time_zone": time_zone}, site_id=site_row.id, name=building)
    storey_row = _ensure(session, Storey, {"level": level}, building_id=building_row.id, name=storey)
    return _ensure(session, Space, storey_id=storey_row.id, name=name).id


def list_spaces(session: Session, *, within: Collection[int] | None = None) -> list[SpaceView]:
    """All spaces, or those of these ids, by site, building, level and name."""
    query = (
        select(
            Space.id,
            Space.name,
            Storey.name.label("storey"),
            Building.name.label("building"),
            Site.name.label("site"),
            Building.time_zone,
            Space.storey_id,
            Storey.building_id,
            Building.site_id,
            Space.brick_class,
            Space.area,
            Space.capacity,
            Space.comfort_category,
            Space.iri,
        )
        .join(Storey, Storey.id == Space.storey_id)
        .join(Building, Building.id == Storey.building_id)
        .join(Site, Site.id == Building.site_id)
        .order_by(Site.name, Building.name, Storey.level, Space.name, Space.id)
    )
    if within is not None:
        query = query.where(Space.id.in_(within))
    return [SpaceView._make(row) for row in session.execute(query)]


def find_space(session: Session, path: str) -> int:
    """The id of the space `site/building/storey/space`; `InvalidInput` when there is none."""
    wanted = "/".join(part.strip() for part in path.split("/"))
    for space in list_spaces(session):
        if space.path == wanted:
            return space.id
    raise InvalidInput("space", f"there is no space {path[:200]!r}: give site/building/storey/space")


def _ensure(session: Session, model: type[Row], rest: dict[str, object] | None = None, **key: object) -> Row:
    found = session.scalar(select(model).filter_by(**key))
    if found is None:
        found = model(**key, **(rest or {}))
        session.add(found)
        session.flush()
    return found
