"""Queries answer on TimescaleDB as they do on plain PostgreSQL."""

from __future__ import annotations

import asyncio
import random
from datetime import UTC, datetime, timedelta
from typing import Any, get_args

import psycopg
import pytest
from psycopg.rows import dict_row
from sqlalchemy import text

from insula_tenants.context import TenantContext
from insula_tenants.database import SET_ROLE
from insula_tenants.telemetry.read import Aggregate, Buckets, ReadingsQuery, read_readings
from insula_tenants.telemetry.write import TelemetryWriter, TenantBatch
from tests.conftest import Deployment
from tests.tenants.test_storage import BUCKETS
from tests.timescale.conftest import Timescale

START = datetime(2026, 3, 20, tzinfo=UTC)
DAYS = 14
"""Two weeks, in the middle of which Brussels changes to summer time; on TimescaleDB, three chunks."""


def readings() -> dict[tuple[int, int], float]:
    """Values of three points at times that repeat on every run, with holes."""
    dice = random.Random(7)
    start = round(START.timestamp() * 1e6)
    times = range(start, start + DAYS * 86_400_000_000, 700_000_000)
    return {(point, time): dice.gauss(21, 4) for point in (1, 2, 3) for time in times if dice.random() < 0.6}


async def ask(url: str, schema: str, *queries: tuple[ReadingsQuery, Buckets | None]) -> list[Any]:
    """The answers of one connection under the tenant's role, those of the API."""
    connection = await psycopg.AsyncConnection[dict[str, Any]].connect(
        url, row_factory=dict_row, prepare_threshold=None
    )
    async with connection:
        await connection.execute(SET_ROLE, (schema,))
        return [await read_readings(connection, *query) for query in queries]


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


@pytest.mark.parametrize("width", [None, "15 minutes", "1 hour", "1 day", "1 week", "1 month"])
def test_both_engines_give_the_same_answers(
    deployment: Deployment, timescale: Timescale, tenant: TenantContext, width: str | None
):
    stored = readings()
    with psycopg.connect(deployment.service_url, autocommit=True) as connection:
        TelemetryWriter(connection).write([TenantBatch(deployment.acme, stored)])
    timescale.write(tenant, stored)
    query = ReadingsQuery(
        [1, 3], START + timedelta(hours=5), START + timedelta(days=12, minutes=7), limit=5000
    )
    if width is None:
        queries: list[Any] = [(query, None)]
    else:
        queries = [(query, Buckets(width, aggregate, "Europe/Brussels")) for aggregate in get_args(Aggregate)]
    answers = asyncio.run(ask(timescale.service_url, tenant.schema, *queries))
    expected = asyncio.run(ask(deployment.service_url, deployment.acme.schema, *queries))
    for answer, other in zip(answers, expected, strict=True):
        assert answer
        assert [(row["point"], row["time"]) for row in answer] == [
            (row["point"], row["time"]) for row in other
        ]
        assert [row["value"] for row in answer] == pytest.approx([row["value"] for row in other], rel=1e-12)
