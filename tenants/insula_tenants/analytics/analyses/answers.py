"""What analyses have left, read for those who ask: forecasts of points, and findings."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import Select, func, or_, select
from sqlalchemy.orm import Session

from insula_tenants.analytics.analyses.models import Analysis, Finding, Forecast, Kind, Severity
from insula_tenants.analytics.completeness import Completeness
from insula_tenants.analytics.measured import Where
from insula_tenants.devices.models import Device, Point
from insula_tenants.spaces.models import Building, Space, Storey


class Named(NamedTuple):
    """A point as answers name it."""

    point: int
    device: str
    name: str
    space: int | None
    unit: str | None


_EVERYWHERE = Where()


@dataclass(frozen=True, slots=True)
class Which:
    """Which findings are meant; what is None does not narrow them."""

    where: Where = _EVERYWHERE
    starting: datetime | None = None
    """Those that lasted then or later."""
    ending: datetime | None = None
    """Those that opened before it."""
    points: Collection[int] | None = None
    kind: Kind | None = None
    severity: Severity | None = None
    open: bool | None = None


def list_forecasts(
    session: Session, points: Collection[int], *, within: Collection[int] | None
) -> list[tuple[Named, Forecast | None]]:
    """The forecasts of these points, by point, as far as they stand in the spaces `within`."""
    query = (
        select(*_NAMED, Forecast)
        .join(Device, Device.id == Point.device_id)
        .outerjoin(Forecast, Forecast.point_id == Point.id)
        .where(Point.id.in_(points), Device.state != "held")
        .order_by(Point.id)
    )
    if within is not None:
        query = query.where(Device.space_id.in_(within))
    return [(Named(*row[:-1]), row[-1]) for row in session.execute(query)]


def list_findings(
    session: Session, which: Which, *, before: int | None = None, limit: int = 100
) -> list[tuple[Named, Finding]]:
    """Findings, newest first; those before the one with the id `before`."""
    query = _placed(select(*_NAMED, Finding).join(Finding, Finding.point_id == Point.id), which)
    if which.starting is not None:
        query = query.where(or_(Finding.closed_at.is_(None), Finding.closed_at > which.starting))
    if which.ending is not None:
        query = query.where(Finding.opened_at < which.ending)
    if which.kind is not None:
        query = query.where(Finding.kind == which.kind)
    if which.severity is not None:
        query = query.where(Finding.severity == which.severity)
    if which.open is not None:
        query = query.where(Finding.closed_at.is_(None) if which.open else Finding.closed_at.is_not(None))
    if before is not None:
        query = query.where(Finding.id < before)
    rows = session.execute(query.order_by(Finding.id.desc()).limit(limit))
    return [(Named(*row[:-1]), row[-1]) for row in rows]


def looked_until(session: Session) -> datetime | None:
    """Readings before it were looked at by the last analysis that is done; None when none is."""
    return session.scalar(select(func.max(Analysis.until)).where(Analysis.state == "done"))


def completeness_of_histories(session: Session, which: Which) -> Completeness:
    """Hours of the histories of the points in these places, and how many of them have a value."""
    sums = (
        func.coalesce(func.sum(column), 0) for column in (Forecast.hours_expected, Forecast.hours_present)
    )
    query = _placed(select(*sums).select_from(Point).join(Forecast, Forecast.point_id == Point.id), which)
    return Completeness(*session.execute(query).one())


_NAMED = (Point.id, Device.slug, Point.name, Device.space_id, Point.unit)


def _placed(query: Select[*tuple[Any, ...]], which: Which) -> Select[*tuple[Any, ...]]:
    """The query, which has points, for those in these places."""
    query = (
        query.join(Device, Device.id == Point.device_id)
        .outerjoin(Space, Space.id == Device.space_id)
        .outerjoin(Storey, Storey.id == Space.storey_id)
        .outerjoin(Building, Building.id == Storey.building_id)
        .where(Device.state != "held")
    )
    where = which.where
    for column, value in (
        (Building.site_id, where.site),
        (Building.id, where.building),
        (Storey.id, where.storey),
        (Space.id, where.space),
    ):
        if value is not None:
            query = query.where(column == value)
    if where.within is not None:
        query = query.where(Device.space_id.in_(where.within))
    if which.points is not None:
        query = query.where(Point.id.in_(which.points))
    return query
