"""Ask for readings as the API does, with rollups that reach as far as a test wants."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import psycopg
from psycopg import sql

from insula_tenants.context import TenantContext
from insula_tenants.database import AsyncDatabases
from insula_tenants.storage.rollups import ROLLUPS, rollup_query
from insula_tenants.telemetry.buckets import instant
from insula_tenants.telemetry.packed import read_packed
from insula_tenants.telemetry.read import START, Answer, Buckets, Position, ReadingsQuery, Row, read_readings
from insula_tenants.telemetry.registers import Register, read_registers
from tests.conftest import Deployment

NOTHING = datetime(2000, 1, 1, tzinfo=UTC)
"""Rollups that hold everything before this hold nothing."""


@dataclass(frozen=True)
class House:
    """One tenant's readings, written past the pipeline, and rollups that are as far as a test says."""

    deployment: Deployment
    context: TenantContext

    @contextmanager
    def administrator(self):
        """A connection that may do everything, in the tenant's schema."""
        with psycopg.connect(self.deployment.admin_url, autocommit=True) as connection:
            path = sql.SQL("SET search_path = {}").format(sql.Identifier(self.context.schema))
            connection.execute(path)
            yield connection

    def store(self, readings: Collection[tuple[int, datetime, float]]) -> None:
        """Write `(point, time, value)`."""
        with self.administrator() as connection:
            times = [time for _, time, _ in readings]
            day, last = min(times), max(times)
            while day.date() <= last.date():
                connection.execute("SELECT ensure_readings_range(%s, %s)", (day, day + timedelta(seconds=1)))
                day += timedelta(days=20)
            connection.execute("SELECT ensure_readings_range(%s, %s)", (last, last + timedelta(seconds=1)))
            with (
                connection.cursor() as cursor,
                cursor.copy("COPY readings (point_id, time, value) FROM STDIN") as copy,
            ):
                for row in readings:
                    copy.write_row(row)

    def remove(self) -> None:
        """Remove all readings, and what is said of rollups."""
        with self.administrator() as connection:
            connection.execute("TRUNCATE readings, dirty_ranges")
        self.roll_up()
        self.reach(NOTHING)

    def counters(self, rollovers: Sequence[float | None]) -> list[int]:
        """As many counters; their points' ids."""
        with self.administrator() as connection:
            device = connection.execute(
                "INSERT INTO devices (slug, name) VALUES ('meter-' || left(md5(random()::text), 8), 'Meter')"
                " RETURNING id"
            ).fetchone()
            rows = connection.execute(
                "INSERT INTO points (device_id, name, kind, rollover_at)"
                " SELECT %s, 'p' || place, 'counter', one"
                " FROM unnest(%s::float8[]) WITH ORDINALITY AS given (one, place) RETURNING id",
                (device[0], list(rollovers)),
            ).fetchall()
        return [id_ for (id_,) in rows]

    def roll_up(self) -> None:
        """Make every rollup anew from all readings."""
        timescale = self.deployment.report.engine == "timescaledb"
        with self.administrator() as connection:
            for rollup in ROLLUPS:
                name = sql.Identifier(self.context.schema, rollup.name)
                if timescale:
                    connection.execute(
                        sql.SQL("CALL public.refresh_continuous_aggregate({}, NULL, NULL)").format(
                            sql.Literal(name.as_string(connection))
                        )
                    )
                    continue
                bucket = sql.SQL("date_bin({}, time, timestamptz '2000-01-01T00:00:00Z')").format(
                    sql.Literal(rollup.width)
                )
                columns = sql.SQL(
                    "point_id, time, count, sum, min, max, first, first_time, last, last_time,"
                    " area, fall_count, falls"
                )
                connection.execute(sql.SQL("TRUNCATE {}").format(name))
                connection.execute(
                    sql.SQL("INSERT INTO {} ({}) {}").format(name, columns, rollup_query(rollup, bucket))
                )

    def reach(
        self,
        complete_until: datetime,
        *,
        raw_from: datetime | None = None,
        dirty: Collection[tuple[datetime, datetime]] = (),
    ) -> None:
        """Say how far the rollups reach, and where they are not right."""
        with self.administrator() as connection:
            connection.execute(
                "UPDATE rollup_state SET complete_until = %s, raw_from = %s", (complete_until, raw_from)
            )
            connection.execute("TRUNCATE dirty_ranges")
            for starting, ending in dirty:
                connection.execute(
                    "INSERT INTO dirty_ranges (starting, ending) VALUES (%s, %s)", (starting, ending)
                )

    def ask(
        self,
        points: Sequence[int],
        starting: datetime,
        ending: datetime,
        buckets: Buckets | None = None,
        *,
        limit: int = 1_000_000,
        after: Position = START,
    ) -> Answer:
        """One page."""
        return asyncio.run(self._ask(ReadingsQuery(points, starting, ending, after, limit), buckets))

    def rows(
        self,
        points: Sequence[int],
        starting: datetime,
        ending: datetime,
        buckets: Buckets | None = None,
        *,
        limit: int = 1_000_000,
    ) -> list[Row]:
        """All pages."""
        found: list[Row] = []
        while True:
            after = found[-1][:2] if found else START
            page = self.ask(points, starting, ending, buckets, limit=limit, after=after).rows
            found += page
            if len(page) < limit:
                return found

    def packed(
        self, points: Sequence[int], starting: datetime, ending: datetime, buckets: Buckets
    ) -> list[Row]:
        """The same as arrays, made rows again."""
        return asyncio.run(self._packed(points, starting, ending, buckets))

    async def _packed(
        self, points: Sequence[int], starting: datetime, ending: datetime, buckets: Buckets
    ) -> list[Row]:
        pools = AsyncDatabases({"main": self.deployment.service_url}, pool_size=1)
        await pools.open()
        try:
            async with pools.snapshot(self.context) as connection:
                packed = await read_packed(connection, points, starting, ending, buckets, most=1_000_000)
        finally:
            await pools.close()
        return [
            (point, instant(int(time)), float(value))
            for point, (times, values) in sorted(packed.points.items())
            for time, value in zip(times, values, strict=True)
        ]

    def registers(
        self, points: Sequence[int], starting: datetime, ending: datetime, edges: Sequence[int]
    ) -> Mapping[int, Register] | None:
        """What counters counted, as lines."""
        return asyncio.run(self._registers(points, starting, ending, edges))

    async def _registers(
        self, points: Sequence[int], starting: datetime, ending: datetime, edges: Sequence[int]
    ) -> Mapping[int, Register] | None:
        pools = AsyncDatabases({"main": self.deployment.service_url}, pool_size=1)
        await pools.open()
        try:
            async with pools.snapshot(self.context) as connection:
                return await read_registers(connection, points, starting, ending, edges)
        finally:
            await pools.close()

    async def _ask(self, query: ReadingsQuery, buckets: Buckets | None) -> Answer:
        pools = AsyncDatabases({"main": self.deployment.service_url}, pool_size=1)
        await pools.open()
        try:
            async with pools.snapshot(self.context) as connection:
                return await read_readings(connection, query, buckets)
        finally:
            await pools.close()
