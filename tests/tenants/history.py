"""A tenant whose readings and clock the tests make up, and what its rollups should be."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest
from psycopg.rows import dict_row

from insula_tenants.administration import Administration
from insula_tenants.context import TenantContext
from insula_tenants.registry import create_tenant, resolve_tenant
from insula_tenants.rollups import refresh
from insula_tenants.rollups.refresh import refresh_tenant
from insula_tenants.rollups.slices import DAY, HOUR, QUARTER, floor
from insula_tenants.telemetry import write
from insula_tenants.telemetry.write import TelemetryWriter, TenantBatch
from tests.conftest import Deployment

WIDTHS = {"readings_15m": QUARTER, "readings_1h": HOUR, "readings_1d": DAY}

DIRECT = """
WITH paired AS (
    SELECT point_id, date_bin(%(width)s, time, '2000-01-01T00:00:00Z') AS bucket, time, value,
           lead(time) OVER neighbours AS next_time, lead(value) OVER neighbours AS next_value
    FROM readings
    WINDOW neighbours AS (
        PARTITION BY point_id, date_bin(%(width)s, time, '2000-01-01T00:00:00Z') ORDER BY time)
)
SELECT point_id, bucket AS time, count(*) AS count, sum(value) AS sum, min(value) AS min, max(value) AS max,
       min(time) AS first_time, max(time) AS last_time,
       (array_agg(value ORDER BY time))[1] AS first, (array_agg(value ORDER BY time DESC))[1] AS last,
       coalesce(sum(value * extract(epoch FROM next_time - time)::double precision), 0) AS area,
       coalesce(array_agg(ARRAY[value, next_value]) FILTER (WHERE next_value < value / 2 AND value > 0), '{}')
           AS falls
FROM paired GROUP BY 1, 2 ORDER BY 1, 2
"""


@dataclass
class Clock:
    """The time that writers and refreshes of one test go by."""

    now: datetime


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """A clock that stands at Tuesday 6 January 2026, 10:07 UTC until it is set."""
    clock = Clock(datetime(2026, 1, 6, 10, 7, tzinfo=UTC))
    true_state = refresh.read_state
    monkeypatch.setattr(
        refresh, "read_state", lambda connection: true_state(connection)._replace(now=clock.now)
    )
    monkeypatch.setattr(write, "time_ns", lambda: int(clock.now.timestamp()) * 10**9)
    return clock


@dataclass
class Tenant:
    """One tenant, its clock, and connections of a service and of the administrator."""

    deployment: Deployment
    context: TenantContext
    admins: Administration
    clock: Clock
    service: psycopg.Connection
    administrator: psycopg.Connection[dict[str, Any]]
    writer: TelemetryWriter = field(init=False)

    def __post_init__(self) -> None:
        self.writer = TelemetryWriter(self.service)
        self.writer._ahead = 0  # here the database goes by the test's clock

    def write(self, readings: Mapping[tuple[int, datetime], float]) -> None:
        """Store readings as ingest does."""
        microseconds = {
            (point, (time - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)): value
            for (point, time), value in readings.items()
        }
        self.writer.write([TenantBatch(self.context, microseconds)])

    def refresh(self, budget: timedelta = timedelta(seconds=60)) -> bool:
        """Roll up; whether more is to do."""
        return refresh_tenant(self.admins, self.context, budget=budget)

    def rows(self, query: str, **parameters: object) -> list[dict[str, Any]]:
        """What the administrator reads in the tenant's schema."""
        return self.administrator.execute(query, parameters).fetchall()  # type: ignore[call-overload]

    def marks(self) -> list[tuple[datetime, datetime]]:
        """The dirty ranges, as they were added."""
        found = self.rows("SELECT starting, ending FROM dirty_ranges ORDER BY id")
        return [(row["starting"], row["ending"]) for row in found]

    def complete_until(self) -> datetime:
        """W."""
        return self.rows("SELECT complete_until FROM rollup_state")[0]["complete_until"]  # type: ignore[no-any-return]

    def set_complete_until(self, time: datetime) -> None:
        """Put W where a test begins."""
        self.administrator.execute("UPDATE rollup_state SET complete_until = %s", (time,))

    def check(self) -> int:
        """Compare every bucket that readers would use with the raw readings; how many there were."""
        until, raw_from = self.complete_until(), self.rows("SELECT raw_from FROM rollup_state")[0]["raw_from"]
        dirty = self.marks()
        compared = 0
        for name, width in WIDTHS.items():

            def used(row: dict[str, Any], width: timedelta = width) -> bool:
                starting, ending = row["time"], row["time"] + width
                clean = not any(starting < to and since < ending for since, to in dirty)
                return clean and ending <= floor(until, width) and (raw_from is None or starting >= raw_from)

            expected = {
                (row["point_id"], row["time"]): row for row in self.rows(DIRECT, width=width) if used(row)
            }
            found = {
                (row["point_id"], row["time"]): row for row in self.rows(f"SELECT * FROM {name}") if used(row)
            }
            assert found.keys() == expected.keys(), (name, found.keys() ^ expected.keys(), until, dirty)
            for key, row in expected.items():
                _compare(found[key], row, (name, key))
            compared += len(expected)
        return compared


def _compare(found: dict[str, Any], expected: dict[str, Any], where: object) -> None:
    falls = expected.pop("falls")
    kept = sorted(map(list, zip(found["falls"][::2], found["falls"][1::2], strict=True)))
    assert found["fall_count"] == len(falls), where
    assert kept == (sorted(falls) if len(falls) <= 4 else []), where
    for column, value in expected.items():
        if column in {"sum", "area"}:
            assert found[column] == pytest.approx(value, rel=1e-9, abs=1e-6), (where, column)
        else:
            assert found[column] == value, (where, column)


@contextmanager
def tenant_of(deployment: Deployment, slug: str, clock: Clock) -> Iterator[Tenant]:
    """A new tenant, whose rollups begin half an hour before its clock."""
    admins = Administration({"main": deployment.admin_url})
    create_tenant(admins, slug, slug)
    with deployment.databases.core() as core:
        context = resolve_tenant(core, slug)
    with (
        psycopg.connect(deployment.service_url, autocommit=True) as service,
        psycopg.connect(deployment.admin_url, autocommit=True, row_factory=dict_row) as administrator,
    ):
        administrator.execute(f"SET search_path = {context.schema}; SET timezone = 'UTC'")  # type: ignore[arg-type]
        tenant = Tenant(deployment, context, admins, clock, service, administrator)
        tenant.set_complete_until(floor(clock.now - refresh.DISTANCE, QUARTER))
        yield tenant
    admins.close()
