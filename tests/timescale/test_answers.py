"""Questions are answered on TimescaleDB as on plain PostgreSQL, from rollups and from raw readings."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import AbstractContextManager, closing
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import get_args

import psycopg
import pytest
from sqlalchemy import text
from sqlalchemy.orm import Session

from insula_tenants.administration import Administration
from insula_tenants.context import TenantContext
from insula_tenants.database import AsyncDatabases
from insula_tenants.devices import NewPoint, create_device, list_points
from insula_tenants.rollups import refresh_tenant
from insula_tenants.telemetry.aggregates import Aggregate
from insula_tenants.telemetry.buckets import Width
from insula_tenants.telemetry.read import Answer, Buckets, ReadingsQuery, read_readings
from insula_tenants.telemetry.write import TelemetryWriter, TenantBatch
from tests.conftest import Deployment
from tests.tenants.test_storage import BUCKETS
from tests.timescale.conftest import Timescale
from tests.timescale.test_aggregates import DAY, METER, START, corrections, days

WIDTHS = {
    "15 minutes": Width(seconds=900),
    "1 hour": Width(seconds=3600),
    "1 day": Width(seconds=86400),
    "1 month": Width(months=1),
}
Write = Callable[[dict[tuple[int, int], float]], None]


@dataclass(frozen=True)
class House:
    """A tenant on one of the engines, with a gauge and a meter."""

    url: str
    tenant: TenantContext
    points: list[int]

    def ask(self, query: ReadingsQuery, buckets: Buckets | None) -> Answer:
        """Ask as the API does."""
        return asyncio.run(self._ask(query, buckets))

    async def _ask(self, query: ReadingsQuery, buckets: Buckets | None) -> Answer:
        pools = AsyncDatabases({"main": self.url}, pool_size=1)
        await pools.open()
        try:
            async with pools.snapshot(self.tenant) as connection:
                return await read_readings(connection, query, buckets)
        finally:
            await pools.close()


def furnish(
    session: AbstractContextManager[Session], write: Write, refresh: Callable[[], object]
) -> list[int]:
    """Store two weeks, in which Brussels changes to summer time, and roll them up; then correct one day."""
    with session as opened:
        points = [NewPoint("temperature"), NewPoint("energy", kind="counter")]
        create_device(opened, "meter-1", name="Meter", points=points)
        ids = {point.name: point.id for point in list_points(opened, device="meter-1")}
    gauge, meter = ids["temperature"], ids["energy"]
    readings = {
        (meter if point == METER else gauge, time): value
        for (point, time), value in days(0, 14, every=900).items()
    }
    write(readings)
    refresh()
    write(corrections(readings, 5))
    return [gauge, meter]


@pytest.fixture(scope="module")
def houses(deployment: Deployment, database: Timescale) -> tuple[House, House]:
    """One on TimescaleDB, one on the server under test."""

    def write(readings: dict[tuple[int, int], float]) -> None:
        with psycopg.connect(deployment.service_url, autocommit=True) as connection:
            TelemetryWriter(connection).write([TenantBatch(deployment.acme, readings)])

    def refresh(admin_url: str, tenant: TenantContext) -> None:
        with closing(Administration({"main": admin_url})) as admins:
            assert refresh_tenant(admins, tenant, budget=timedelta(minutes=1)) is False

    tenant = database.new_tenant()
    mine = furnish(
        database.session(tenant),
        lambda readings: database.write(tenant, readings),
        lambda: refresh(database.admin_url, tenant),
    )
    theirs = furnish(
        deployment.databases.tenant(deployment.acme),
        write,
        lambda: refresh(deployment.admin_url, deployment.acme),
    )
    return House(database.service_url, tenant, mine), House(deployment.service_url, deployment.acme, theirs)


@BUCKETS
def test_time_buckets_are_aligned_to_local_time(
    timescale: Timescale, tenant: TenantContext, width: str, zone: str, at: datetime, bucket: datetime
):
    with timescale.session(tenant) as session:
        found = session.scalar(
            text("SELECT insula_functions.time_bucket(CAST(:width AS interval), :at, :zone)"),
            {"width": width, "at": at, "zone": zone},
        )
    assert found == bucket


@pytest.mark.usefixtures("timescale")
@pytest.mark.parametrize("zone", ["UTC", "Europe/Brussels"])
@pytest.mark.parametrize("width", [None, *WIDTHS])
def test_both_engines_give_the_same_answers(houses: tuple[House, House], width: str | None, zone: str):
    aggregates: list[Aggregate | None] = [None] if width is None else list(get_args(Aggregate))
    for aggregate in aggregates:
        answers = []
        for house in houses:
            asked = house.points[1:] if aggregate == "consumption" else house.points
            query = ReadingsQuery(asked, START + timedelta(hours=5), START + 12 * DAY, limit=10_000)
            buckets = Buckets(WIDTHS[width], aggregate, zone) if width and aggregate else None
            answers.append((asked, house.ask(query, buckets)))
        (mine, answer), (theirs, other) = answers
        assert answer.rows
        assert answer.served_from == other.served_from
        assert "raw" in answer.served_from, "the day that was corrected is not rolled up yet"
        assert [(mine.index(point), time) for point, time, _ in answer.rows] == [
            (theirs.index(point), time) for point, time, _ in other.rows
        ]
        values, expected = ([row[2] for row in each.rows] for each in (answer, other))
        assert values == pytest.approx(expected, rel=1e-9, abs=1e-9), aggregate


@pytest.mark.usefixtures("timescale")
def test_days_are_answered_from_days(houses: tuple[House, House]):
    house, _ = houses
    query = ReadingsQuery(house.points, START, START + 4 * DAY)
    assert house.ask(query, Buckets(WIDTHS["1 day"], "mean", "UTC")).served_from == ("1d",)
