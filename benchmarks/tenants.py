"""What a tenant costs when there are 10, 100 or 1 000 of them.

Starts a PostgreSQL of its own, or takes the one whose superuser's URL is in INSULA_BENCH_DATABASE_URL (on
this machine: a backend's memory is read from /proc). What is made is dropped at the end.

    python -m benchmarks.tenants           # 10 and 100 tenants
    python -m benchmarks.tenants --long    # and 1 000: some minutes
"""

from __future__ import annotations

import argparse
import asyncio
import os
import random
import secrets
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from unittest import mock

import psycopg
from alembic.config import Config
from psycopg import sql
from rich.console import Console
from rich.table import Table

from benchmarks.deployment import Deployment, fresh, record, server
from insula_tenants import database, migrate
from insula_tenants.administration import Administration
from insula_tenants.context import TenantContext
from insula_tenants.database import AsyncDatabases, Databases
from insula_tenants.devices import NewPoint, create_device, list_points
from insula_tenants.registry import create_tenant, list_tenants, resolve_tenant
from insula_tenants.telemetry.read import ReadingsQuery, read_latest, read_readings
from insula_tenants.telemetry.write import TelemetryWriter, TenantBatch

SAMPLE = 10
"""Tenants that hold readings and are asked for them."""
ROUNDS = 40
NOW = datetime.now(UTC).replace(minute=0, second=0, microsecond=0)
CATALOGS = ("pg_class", "pg_attribute", "pg_depend", "pg_constraint", "pg_index", "pg_proc", "pg_type")

Results = dict[str, float]


class Bench:
    """A migrated database, and the tenants made in it so far."""

    def __init__(self, deployment: Deployment) -> None:
        self.admin_url, self.service_url = deployment.admin_url, deployment.service_url
        self.migrate = deployment.migrate
        self.admins = Administration({"main": self.admin_url})
        self.databases = Databases({"main": self.service_url}, pool_size=1)
        self.tag = secrets.token_hex(2)
        self.slugs = deployment.slugs
        self.empty = self.catalog()

    def close(self) -> None:
        self.databases.close()
        self.admins.close()

    def grow(self, count: int) -> list[float]:
        """Create tenants up to `count`; the milliseconds each took."""
        took = []
        while len(self.slugs) < count:
            slug = f"bench-{self.tag}-{len(self.slugs):04}"
            took.append(timed(lambda slug=slug: create_tenant(self.admins, slug, slug)))
            self.slugs.append(slug)
        return took

    def catalog(self) -> Results:
        """Rows and bytes of the system catalogs that grow with tenants."""
        with psycopg.connect(self.admin_url, autocommit=True) as connection:
            connection.execute("VACUUM pg_class")
            rows = {
                f"{name} rows": scalar(
                    connection, sql.SQL("SELECT count(*) FROM {}").format(sql.Identifier(name))
                )
                for name in CATALOGS[:2]
            }
            query = "SELECT sum(pg_total_relation_size(c::regclass)) FROM unnest(%s::text[]) AS c"
            found = connection.execute(query, (list(CATALOGS),)).fetchone()
            assert found is not None
            size = scalar(connection, "SELECT pg_database_size(current_database())")
        return rows | {"catalog kB": float(found[0]) / 1024, "database kB": size / 1024}

    def contexts(self) -> list[TenantContext]:
        with self.databases.core() as core:
            return [resolve_tenant(core, slug) for slug in self.slugs]


def timed(work: Callable[[], object]) -> float:
    """Milliseconds that `work` took."""
    started = time.perf_counter()
    work()
    return (time.perf_counter() - started) * 1000


def scalar(connection: psycopg.Connection, query: Any) -> float:
    row = connection.execute(query).fetchone()
    assert row is not None
    return float(row[0])


def measure(bench: Bench, count: int, progress: Callable[[str], object]) -> Results:
    """All figures with `count` tenants in the database."""
    progress(f"{count} tenants: creating")
    took = bench.grow(count)[-max(SAMPLE, count // 10) :]
    results: Results = {
        "create, median ms": statistics.median(took),
        "create, p95 ms": sorted(took)[round(0.95 * (len(took) - 1))],
    }
    results["for scale: a query that knows no tenant, ms"] = yardstick(bench)
    progress(f"{count} tenants: migrating")
    noop = statistics.median(timed(bench.migrate) for _ in range(3))
    results["migrate, nothing to do, ms in all"] = noop
    results["migrate, nothing to do, ms a tenant"] = noop / count
    results["migrate, an empty step, ms a tenant"] = empty_step(bench) / count
    for name, value in bench.catalog().items():
        results[f"{name} a tenant"] = (value - bench.empty[name]) / count
    progress(f"{count} tenants: asking")
    contexts = bench.contexts()
    sample = contexts[:: max(1, count // SAMPLE)][:SAMPLE]
    points = {context.slug: fill(bench, context) for context in sample}
    results |= asyncio.run(query_times(bench, contexts, sample, points))
    return results


def yardstick(bench: Bench) -> float:
    """Milliseconds of a fixed piece of work: where it grows too, the machine was busy with something else."""
    with psycopg.connect(bench.admin_url) as connection:
        query = "SELECT sum(sqrt(n)) FROM generate_series(1, 300000) AS n"
        return statistics.median(timed(lambda: connection.execute(query)) for _ in range(20))


def empty_step(bench: Bench) -> float:
    """Milliseconds for a revision that changes nothing, in one process; taken back afterwards."""
    newest = migrate.head("tenant")
    original = migrate._config
    with tempfile.TemporaryDirectory() as directory:
        (Path(directory) / "bench.py").write_text(
            f'revision = "bench"\ndown_revision = "{newest}"\n\n\ndef upgrade() -> None:\n    pass\n'
        )

        def config(tree: str) -> Config:
            made = original(tree)
            if tree == "tenant":
                ours = f"{made.get_main_option('script_location')}/versions"
                made.set_main_option("version_locations", os.pathsep.join((ours, directory)))
            return made

        with mock.patch.object(migrate, "_config", config):
            took = timed(lambda: bench.migrate(workers=1))
    with psycopg.connect(bench.admin_url) as connection:
        for slug in bench.slugs:
            schema = sql.Identifier(migrate.schema_of(slug))
            connection.execute(
                sql.SQL("UPDATE {}.schema_version SET version_num = %s").format(schema), (newest,)
            )
        connection.execute("UPDATE insula.tenants SET schema_version = %s", (newest,))
    return took


def fill(bench: Bench, context: TenantContext) -> list[int]:
    """A device with two points and a thousand readings, unless it is there; the points' ids."""
    with bench.databases.tenant(context) as session:
        points = [point.id for point in list_points(session)]
        if points:
            return points
        create_device(session, "room", name="Room", points=[NewPoint("a"), NewPoint("b")])
        points = [point.id for point in list_points(session)]
    batch = TenantBatch(context)
    for point in points:
        for minute in range(500):
            at = NOW - timedelta(minutes=minute)
            batch.readings[point, round(at.timestamp() * 1e6)] = float(minute)
    with psycopg.connect(bench.service_url, autocommit=True, prepare_threshold=None) as connection:
        TelemetryWriter(connection).write([batch])
    return points


async def query_times(
    bench: Bench, contexts: list[TenantContext], sample: list[TenantContext], points: dict[str, list[int]]
) -> Results:
    """Median milliseconds through the session layer, and what one backend holds after serving all."""
    with mock.patch.object(database, "MAX_TENANTS", len(contexts) + 2):  # one backend for them and the core
        pools = AsyncDatabases({"main": bench.service_url}, pool_size=1)
        await pools.open()

        async def latest(context: TenantContext) -> float:
            started = time.perf_counter()
            async with pools.tenant(context) as connection:
                await read_latest(connection)
            return (time.perf_counter() - started) * 1000

        async def readings(context: TenantContext) -> float:
            query = ReadingsQuery(points[context.slug], NOW - timedelta(hours=6), NOW)
            started = time.perf_counter()
            async with pools.tenant(context) as connection:
                await read_readings(connection, query)
            return (time.perf_counter() - started) * 1000

        async with pools.core() as connection:
            before = private_kb(connection.info.backend_pid)
        first = [await latest(context) for context in random.sample(contexts, len(contexts))]
        for context in contexts:  # what a backend learns of a tenant, it learns from all that is asked
            async with pools.tenant(context) as connection:
                await read_readings(connection, ReadingsQuery([1], NOW - timedelta(hours=6), NOW))
        async with pools.core() as connection:
            after = private_kb(connection.info.backend_pid)
        for context in sample:
            await readings(context)
        again = [
            (await latest(context), await readings(context)) for _ in range(ROUNDS) for context in sample
        ]
        await pools.close()
    return {
        "latest, first time in a backend, ms": statistics.median(first),
        "latest, ms": statistics.median(one for one, _ in again),
        "readings, ms": statistics.median(one for _, one in again),
        "backend's memory, MB in all": after / 1024,
        "backend's memory, kB a tenant": (after - before) / len(contexts),
    }


def private_kb(pid: int) -> float:
    """Memory of a process that it shares with no other."""
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="ascii").splitlines()
    return float(sum(int(line.split()[1]) for line in lines if line.startswith("Private")))


def show(console: Console, engine: str, results: dict[int, Results]) -> None:
    """A table: a row a figure, a column a number of tenants, and what growth does to it."""
    counts = sorted(results)
    table = Table(title=f"{engine}, by number of tenants")
    table.add_column("", no_wrap=True)
    for count in counts:
        table.add_column(f"{count:,}".replace(",", " "), justify="right", no_wrap=True)
    table.add_column(f"{counts[-1]} vs {counts[0]}", justify="right")
    for name in results[counts[0]]:
        values = [results[count][name] for count in counts]
        table.add_row(name, *(f"{value:,.2f}" for value in values), f"{values[-1] / values[0]:.2f}")
    console.print(table)


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--short", action="store_true", help="10 and 100 tenants only: the default")
    parser.add_argument("--long", action="store_true", help="1 000 tenants too")
    counts = (10, 100, 1000) if parser.parse_args(argv).long else (10, 100)
    console = Console(width=110)
    with server() as url, fresh(url) as deployment, closing(Bench(deployment)) as bench:
        results: dict[int, Results] = {}
        with console.status(deployment.engine) as status:
            bench.grow(3)  # imports, caches and the first pages are nobody's cost
            for count in counts:
                results[count] = measure(bench, count, status.update)
        with bench.databases.core() as core:
            assert len(list_tenants(core)) == counts[-1]
    show(console, deployment.engine, results)
    record("tenants", deployment.engine, results)


if __name__ == "__main__":
    main()
