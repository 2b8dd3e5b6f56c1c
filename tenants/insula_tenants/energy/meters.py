"""Which counter measures what: register, change and list meters."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from typing import Any, LiteralString

from psycopg import AsyncConnection
from psycopg.rows import DictRow
from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from insula_tenants.analytics.measured import MeasuredPoint, Where
from insula_tenants.building_model.models import Equipment
from insula_tenants.devices.models import Point
from insula_tenants.devices.service import check_name
from insula_tenants.energy.concurrent import first_come_first_served
from insula_tenants.energy.models import Carrier, Meter
from insula_tenants.energy.units import factor_of
from insula_tenants.errors import Conflict, InvalidInput, NotFound
from insula_tenants.models import PerTenant
from insula_tenants.spaces.models import Building, Space, Storey

MEASURED: Mapping[str, type[PerTenant]] = {
    "building_id": Building,
    "storey_id": Storey,
    "space_id": Space,
    "equipment_id": Equipment,
}
"""What a meter may measure: exactly one of these."""


@dataclass(frozen=True, slots=True)
class NewMeter:
    """A meter before there is one; see `models.Meter`."""

    name: str
    carrier: Carrier
    point_id: int
    building_id: int | None = None
    storey_id: int | None = None
    space_id: int | None = None
    equipment_id: int | None = None
    submeter_of: int | None = None
    calorific_value: float | None = None


@dataclass(frozen=True, slots=True)
class MeterView:
    """A meter, its counter, and where what it measures stands."""

    id: int
    name: str
    carrier: Carrier
    point_id: int
    building_id: int | None
    """With the next three: what it measures, one of the four."""
    storey_id: int | None
    space_id: int | None
    equipment_id: int | None
    submeter_of: int | None
    calorific_value: float | None
    building: int | None
    """Where it stands: of an equipment, as far as that is known."""
    storey: int | None
    space: int | None
    time_zone: str | None
    ancestors: tuple[int, ...]
    """The meters that take its consumption in, however far above."""
    submeters: int
    """How many are directly below."""
    device: str
    point_name: str
    brick_class: str | None
    unit: str | None
    """Of the counter."""
    kind: str
    expected_interval: int | None

    @property
    def measured_point(self) -> MeasuredPoint:
        """Its counter."""
        return MeasuredPoint(
            id=self.point_id,
            device=self.device,
            name=self.point_name,
            brick_class=self.brick_class,
            unit=self.unit,
            kind=self.kind,
            states=None,
            minimum=None,
            maximum=None,
            expected_interval=self.expected_interval,
            space=self.space,
            storey=self.storey,
            building=self.building,
            time_zone=self.time_zone,
        )


_COVERED: LiteralString = """
SELECT coalesce(bool_and(spaces.id = ANY(%(within)s::integer[])), false)
FROM spaces
JOIN storeys ON storeys.id = spaces.storey_id
LEFT JOIN equipment ON equipment.id = %(equipment_id)s::integer
WHERE CASE
    WHEN coalesce(%(space_id)s::integer, equipment.space_id) IS NOT NULL
        THEN spaces.id = coalesce(%(space_id)s::integer, equipment.space_id)
    WHEN equipment.zone_id IS NOT NULL
        THEN spaces.id IN (SELECT space_id FROM zone_spaces WHERE zone_id = equipment.zone_id)
    WHEN coalesce(%(storey_id)s::integer, equipment.storey_id) IS NOT NULL
        THEN spaces.storey_id = coalesce(%(storey_id)s::integer, equipment.storey_id)
    ELSE storeys.building_id = coalesce(%(building_id)s::integer, equipment.building_id)
END
"""

_METERS: LiteralString = """
WITH RECURSIVE above (meter, ancestor, path) AS (
    SELECT id, submeter_of_id, ARRAY[id] FROM meters WHERE submeter_of_id IS NOT NULL
    UNION ALL
    SELECT above.meter, next.submeter_of_id, above.path || next.id
    FROM above
    JOIN meters AS next ON next.id = above.ancestor
    WHERE next.submeter_of_id IS NOT NULL AND next.id <> ALL(above.path)
)
SELECT meters.id, meters.name, meters.carrier, meters.point_id, meters.building_id, meters.storey_id,
    meters.space_id, meters.equipment_id, meters.submeter_of_id AS submeter_of, meters.calorific_value,
    buildings.id AS building, storeys.id AS storey, spaces.id AS space, buildings.time_zone,
    ARRAY(SELECT ancestor FROM above WHERE above.meter = meters.id ORDER BY cardinality(path)) AS ancestors,
    (SELECT count(*) FROM meters AS below WHERE below.submeter_of_id = meters.id) AS submeters,
    devices.slug AS device, points.name AS point_name, points.brick_class, points.unit, points.kind,
    coalesce(points.expected_interval, devices.expected_interval) AS expected_interval
FROM meters
JOIN points ON points.id = meters.point_id
JOIN devices ON devices.id = points.device_id
LEFT JOIN equipment ON equipment.id = meters.equipment_id
LEFT JOIN spaces ON spaces.id = coalesce(meters.space_id, equipment.space_id)
LEFT JOIN storeys ON storeys.id = coalesce(meters.storey_id, equipment.storey_id, spaces.storey_id)
LEFT JOIN buildings ON buildings.id = coalesce(
    meters.building_id, equipment.building_id, storeys.building_id,
    (SELECT min(zone_storeys.building_id)
     FROM zone_spaces
     JOIN spaces AS zoned ON zoned.id = zone_spaces.space_id
     JOIN storeys AS zone_storeys ON zone_storeys.id = zoned.storey_id
     WHERE zone_spaces.zone_id = equipment.zone_id)
)
WHERE (%(meter)s::integer IS NULL OR meters.id = %(meter)s)
  AND (%(site)s::integer IS NULL OR buildings.site_id = %(site)s)
  AND (%(building)s::integer IS NULL OR buildings.id = %(building)s)
  AND (%(storey)s::integer IS NULL OR storeys.id = %(storey)s)
  AND (%(space)s::integer IS NULL OR spaces.id = %(space)s)
  AND (%(within)s::integer[] IS NULL OR (
      -- Who has some spaces sees what measures these alone: all that a meter measures must be among them.
      SELECT coalesce(bool_and(inside.id = ANY(%(within)s)), false)
      FROM spaces AS inside
      JOIN storeys AS floors ON floors.id = inside.storey_id
      WHERE CASE
          WHEN spaces.id IS NOT NULL THEN inside.id = spaces.id
          WHEN equipment.zone_id IS NOT NULL
              THEN inside.id IN (SELECT space_id FROM zone_spaces WHERE zone_id = equipment.zone_id)
          WHEN storeys.id IS NOT NULL THEN inside.storey_id = storeys.id
          ELSE floors.building_id = buildings.id
      END
  ))
  AND meters.id > %(after)s
ORDER BY meters.id
LIMIT %(limit)s
"""


async def find_meters(connection: AsyncConnection[DictRow], where: Where) -> list[MeterView]:
    """The meters of what stands in these places, by id; none for a place that does not exist."""
    found = [_view(row) for row in await (await connection.execute(_METERS, _parameters(where))).fetchall()]
    if where.within is None:
        return found
    cursor = await connection.execute(_METERS, _parameters(Where(within=where.within)))
    return _told(found, {row["id"] for row in await cursor.fetchall()})


def list_meters(
    session: Session, where: Where, *, after: int = 0, limit: int | None = None
) -> list[MeterView]:
    """The same in a session, those after `after`, at most `limit`."""
    return _told_of(session, _parameters(where, after=after, limit=limit), where.within)


def find_meter(session: Session, meter: int, *, within: Collection[int] | None = None) -> MeterView:
    """The meter of this id; `NotFound` when there is none, or with `within` none of these spaces alone."""
    found = _told_of(session, _parameters(Where(within=within), meter=meter), within)
    if not found:
        raise NotFound(f"there is no meter {meter}")
    return found[0]


def lock_meter(session: Session, meter: int, *, within: Collection[int] | None = None) -> MeterView:
    """`find_meter`, and it stays as it is until the transaction ends."""
    session.execute(select(Meter.id).where(Meter.id == meter).with_for_update())
    return find_meter(session, meter, within=within)


def check_covered(session: Session, told: Mapping[str, Any], within: Collection[int]) -> None:
    """`NotFound` for a place or an equipment of which these spaces are not all, as for one that is not there.

    `told` names what a meter is to measure, by the fields of `NewMeter`.
    """
    for name in MEASURED:
        if told.get(name) is not None:
            parameters = dict.fromkeys(MEASURED) | {name: told[name], "within": list(within)}
            if not session.connection().exec_driver_sql(_COVERED, parameters).scalar():
                raise NotFound(f"there is no {name.removesuffix('_id')} {told[name]}")


def add_meter(session: Session, new: NewMeter) -> MeterView:
    """Register a meter. Raises `InvalidInput`, and `Conflict` when another one reads the counter."""
    _check(session, new)
    row = Meter(**_columns(new))
    session.add(row)
    with first_come_first_served():
        session.flush()
    return find_meter(session, row.id)


def change_meter(session: Session, meter: int, changes: Mapping[str, Any]) -> MeterView:
    """Change fields of `NewMeter`, but for the carrier. Naming what it measures replaces what it measured.

    Raises as `add_meter`, and `NotFound`.
    """
    view = lock_meter(session, meter)
    there = NewMeter(**{name: getattr(view, name) for name in NewMeter.__dataclass_fields__})
    if any(changes.get(name) is not None for name in MEASURED):
        there = replace(there, building_id=None, storey_id=None, space_id=None, equipment_id=None)
    wanted = replace(there, **changes)
    _check(session, wanted, meter=meter)
    row = session.get_one(Meter, meter)
    for name, value in _columns(wanted).items():
        setattr(row, name, value)
    with first_come_first_served():
        session.flush()
    return find_meter(session, meter)


def delete_meter(session: Session, meter: int) -> None:
    """Forget a meter; the counter and its readings stay, and its submeters become main meters."""
    session.execute(delete(Meter).where(Meter.id == meter))


def _check(session: Session, meter_: NewMeter, *, meter: int | None = None) -> None:
    check_name(meter_.name)
    _check_counter(session, meter_, meter)
    measured = [name for name in MEASURED if getattr(meter_, name) is not None]
    if len(measured) != 1:
        raise InvalidInput(
            measured[1] if measured else "building_id",
            f"a meter measures one thing: give exactly one of {', '.join(MEASURED)}",
        )
    (name,) = measured
    if session.get(MEASURED[name], getattr(meter_, name)) is None:
        raise InvalidInput(name, f"there is no {name.removesuffix('_id')} {getattr(meter_, name)}")
    if meter_.submeter_of is not None:
        _check_above(session, meter_, meter)


def _check_counter(session: Session, new: NewMeter, meter: int | None) -> None:
    point = session.get(Point, new.point_id)
    if point is None:
        raise InvalidInput("point_id", f"there is no point {new.point_id}")
    if point.kind != "counter":
        raise InvalidInput(
            "point_id",
            f"point {point.id} ({point.name!r}) is a gauge: a meter reads a running total, so choose that "
            "point, or change this one's kind to counter",
        )
    other = session.scalar(select(Meter.id).where(Meter.point_id == point.id, Meter.id != (meter or 0)))
    if other is not None:
        raise Conflict(f"meter {other} reads point {point.id} already: change that one")
    factor_of(new.carrier, point.unit, new.calorific_value)


def _check_above(session: Session, new: NewMeter, meter: int | None) -> None:
    try:
        above = find_meter(session, new.submeter_of or 0)
    except NotFound as error:
        raise InvalidInput("submeter_of", error.detail) from None
    if above.carrier != new.carrier:
        raise InvalidInput("submeter_of", f"meter {above.id} counts {above.carrier}, not {new.carrier}")
    if meter is not None and meter in {above.id, *above.ancestors}:
        raise InvalidInput(
            "submeter_of", f"meter {above.id} is this one or below it: no meter is a submeter of itself"
        )


def _columns(new: NewMeter) -> dict[str, Any]:
    return {
        "name": new.name,
        "carrier": new.carrier,
        "point_id": new.point_id,
        **{name: getattr(new, name) for name in MEASURED},
        "submeter_of_id": new.submeter_of,
        "calorific_value": new.calorific_value,
    }


def _told_of(session: Session, parameters: dict[str, Any], within: Collection[int] | None) -> list[MeterView]:
    connection = session.connection()
    found = [_view(row._asdict()) for row in connection.exec_driver_sql(_METERS, parameters)]
    if within is None:
        return found
    covered = connection.exec_driver_sql(_METERS, _parameters(Where(within=within)))
    return _told(found, {row.id for row in covered})


def _told(found: list[MeterView], covered: Collection[int]) -> list[MeterView]:
    """The same; of a meter above that the grant does not cover nothing is told."""
    return [one if one.submeter_of in covered else replace(one, submeter_of=None) for one in found]


def _parameters(
    where: Where, *, meter: int | None = None, after: int = 0, limit: int | None = None
) -> dict[str, Any]:
    return {
        "meter": meter,
        "site": where.site,
        "building": where.building,
        "storey": where.storey,
        "space": where.space,
        "within": list(where.within) if where.within is not None else None,
        "after": after,
        "limit": limit,
    }


def _view(row: Mapping[str, Any]) -> MeterView:
    return MeterView(**{**row, "ancestors": tuple(row["ancestors"])})
