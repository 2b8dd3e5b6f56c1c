"""What energy costs and emits: make, change and list tariffs and emission factors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any, LiteralString

from psycopg import AsyncConnection
from psycopg.rows import DictRow
from sqlalchemy import BigInteger, literal, select
from sqlalchemy.orm import Session

from insula_tenants.analytics.energy import tariffs as priced
from insula_tenants.devices.service import check_name
from insula_tenants.energy.concurrent import first_come_first_served
from insula_tenants.energy.models import EmissionFactor, Tariff
from insula_tenants.errors import Conflict, InvalidInput, NotFound
from insula_tenants.spaces.models import Building

_EPOCH = date(1970, 1, 1)


def list_tariffs(session: Session, *, after: int = 0, limit: int = 100) -> list[Tariff]:
    """Tariffs by id, those after `after`, at most `limit`."""
    query = select(Tariff).where(Tariff.id > literal(after, BigInteger))
    return list(session.scalars(query.order_by(Tariff.id).limit(limit)))


def find_tariff(session: Session, tariff: int, *, lock: bool = False) -> Tariff:
    """The tariff of this id, which with `lock` stays as it is; `NotFound` when there is none."""
    row = session.get(Tariff, tariff, with_for_update=lock or None)
    if row is None:
        raise NotFound(f"there is no tariff {tariff}")
    return row


def add_tariff(session: Session, facts: Mapping[str, Any]) -> Tariff:
    """Make a tariff of columns of `models.Tariff`.

    Raises `InvalidInput`, and `Conflict` when there is one from this day on for this carrier and building.
    """
    row = Tariff(**facts)
    check_name(row.name)
    if row.building_id is not None and session.get(Building, row.building_id) is None:
        raise InvalidInput("building_id", f"there is no building {row.building_id}")
    _check_alone(session, row)
    session.add(row)
    with first_come_first_served():
        session.flush()
    return row


def change_tariff(session: Session, row: Tariff, changes: Mapping[str, Any]) -> None:
    """Change columns of a tariff. Raises as `add_tariff`."""
    for name, value in changes.items():
        setattr(row, name, value)
    check_name(row.name)
    with session.no_autoflush:
        _check_alone(session, row)
    with first_come_first_served():
        session.flush()


def list_factors(session: Session, *, after: int = 0, limit: int = 100) -> list[EmissionFactor]:
    """Emission factors by id, those after `after`, at most `limit`."""
    query = select(EmissionFactor).where(EmissionFactor.id > literal(after, BigInteger))
    return list(session.scalars(query.order_by(EmissionFactor.id).limit(limit)))


def find_factor(session: Session, factor: int, *, lock: bool = False) -> EmissionFactor:
    """The emission factor of this id, which with `lock` stays as it is; `NotFound` when there is none."""
    row = session.get(EmissionFactor, factor, with_for_update=lock or None)
    if row is None:
        raise NotFound(f"there is no emission factor {factor}")
    return row


def add_factor(session: Session, facts: Mapping[str, Any]) -> EmissionFactor:
    """Make an emission factor of columns of `models.EmissionFactor`.

    Raises `Conflict` when there is one from this day on for this carrier.
    """
    row = EmissionFactor(**facts)
    _check_only(session, row)
    session.add(row)
    with first_come_first_served():
        session.flush()
    return row


def change_factor(session: Session, row: EmissionFactor, changes: Mapping[str, Any]) -> None:
    """Change columns of an emission factor. Raises as `add_factor`."""
    for name, value in changes.items():
        setattr(row, name, value)
    with session.no_autoflush:
        _check_only(session, row)
    with first_come_first_served():
        session.flush()


@dataclass(frozen=True, slots=True)
class Prices:
    """All tariffs and emission factors of a tenant."""

    tariffs: Mapping[tuple[str, int | None], Sequence[priced.Tariff]]
    """By carrier and building; None is for buildings without one of their own."""
    factors: Mapping[str, Sequence[priced.Factor]]
    """By carrier."""

    def tariffs_of(self, carrier: str, building: int | None) -> Sequence[priced.Tariff]:
        """Those of the building where it has any, else the tenant's."""
        return self.tariffs.get((carrier, building)) or self.tariffs.get((carrier, None)) or ()


_TARIFFS: LiteralString = """
SELECT carrier, building_id, valid_from, currency, price, periods, standing_charge FROM tariffs
"""
_FACTORS: LiteralString = "SELECT carrier, valid_from, factor, source FROM emission_factors"


async def read_prices(connection: AsyncConnection[DictRow]) -> Prices:
    """All tariffs and emission factors, as analytics compute with them."""
    tariffs: dict[tuple[str, int | None], list[priced.Tariff]] = {}
    for row in await (await connection.execute(_TARIFFS)).fetchall():
        of = tariffs.setdefault((row["carrier"], row["building_id"]), [])
        of.append(
            priced.Tariff(
                valid_from=(row["valid_from"] - _EPOCH).days,
                currency=row["currency"],
                price=row["price"],
                periods=tuple(_period(one) for one in row["periods"]),
                standing_charge=row["standing_charge"],
            )
        )
    factors: dict[str, list[priced.Factor]] = {}
    for row in await (await connection.execute(_FACTORS)).fetchall():
        factor = priced.Factor((row["valid_from"] - _EPOCH).days, row["factor"], row["source"])
        factors.setdefault(row["carrier"], []).append(factor)
    return Prices(tariffs, factors)


def minutes_of(clock: str) -> int:
    """Minutes since midnight of a local time such as `07:30`; `24:00` is the day's end."""
    hours, minutes = clock.split(":")
    return int(hours) * 60 + int(minutes)


def _period(told: Mapping[str, Any]) -> priced.Period:
    return priced.Period(
        name=told["name"],
        weekdays=frozenset(told["weekdays"]),
        starts=minutes_of(told["starts"]),
        ends=minutes_of(told["ends"]),
        price=told["price"],
    )


def _check_alone(session: Session, row: Tariff) -> None:
    query = select(Tariff.id).where(
        Tariff.carrier == row.carrier,
        Tariff.building_id.is_not_distinct_from(row.building_id),
        Tariff.valid_from == row.valid_from,
        Tariff.id != (row.id or 0),
    )
    if (other := session.scalar(query)) is not None:
        raise Conflict(f"tariff {other} holds from {row.valid_from} on there: change that one")


def _check_only(session: Session, row: EmissionFactor) -> None:
    query = select(EmissionFactor.id).where(
        EmissionFactor.carrier == row.carrier,
        EmissionFactor.valid_from == row.valid_from,
        EmissionFactor.id != (row.id or 0),
    )
    if (other := session.scalar(query)) is not None:
        raise Conflict(f"emission factor {other} holds from {row.valid_from} on: change that one")
