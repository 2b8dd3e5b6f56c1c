"""What a reading takes on disk, before and after the worker has been there, and how fast it is rolled up.

Minute data of several kinds of sensors, with the resolution that such sensors have, and three kinds of times:
whole minutes, a device's clock that wanders by seconds, and the time of receipt to the microsecond.

    python benchmarks/storage.py                 # 100 points, two weeks
    python benchmarks/storage.py --long          # 100 points, twelve weeks
    python benchmarks/storage.py --data DIR      # also the CSV files of an office room in DIR/occupancy

Takes the server of INSULA_BENCH_DATABASE_URL, as `benchmarks/tenants.py` does.
"""

from __future__ import annotations

import argparse
import csv
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import psycopg
import pyarrow as pa
from numpy.typing import NDArray
from psycopg import sql
from rich.console import Console
from rich.table import Table

if __package__ in {None, ""}:
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.deployment import Deployment, fresh, record, server
from insula_tenants.administration import Administration
from insula_tenants.bundle.readings import SCHEMA, copy_in
from insula_tenants.context import TenantContext
from insula_tenants.rollups import refresh_tenant, tend_tenant
from insula_tenants.storage import detect_engine
from insula_tenants.telemetry.sql import statement

TARGET = 4.0
"""Bytes a raw reading, indexes and all, that TimescaleDB should need after compression."""
DAY = 1440
ENDING = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0) - timedelta(days=42)
"""Old enough for every chunk to be compressed, whatever it spans."""

Values = NDArray[np.float64]
Times = NDArray[np.int64]


def _walk(random: np.random.Generator, minutes: int, step: float) -> Values:
    """A daily wave with a slow random walk on it."""
    wave = np.sin(np.arange(minutes) * 2 * np.pi / DAY)
    return wave + np.cumsum(random.normal(0, step, minutes))


def _switch(random: np.random.Generator, minutes: int, chance: float) -> Values:
    """0 and 1, changing now and then."""
    return (np.cumsum(random.random(minutes) < chance) % 2).astype(np.float64)


KINDS: dict[str, Callable[[np.random.Generator, int], Values]] = {
    "temperature, 0.1 °C": lambda r, n: np.round(21 + 2 * _walk(r, n, 0.02), 1),
    "humidity, 0.5 %": lambda r, n: np.round(2 * (45 + 8 * _walk(r, n, 0.02))) / 2,
    "CO2, 1 ppm": lambda r, n: np.round(np.abs(600 + 200 * _walk(r, n, 0.01)) + r.normal(0, 3, n)),
    "light, 1 lux": lambda r, n: np.round(np.clip(300 * _walk(r, n, 0.01), 0, None)),
    "occupancy": lambda r, n: _switch(r, n, 0.02),
    "door": lambda r, n: _switch(r, n, 0.01),
    "power, 1 W": lambda r, n: np.round(150 + 1500 * _switch(r, n, 0.03) + r.normal(0, 4, n)),
    "energy counter, 1 Wh": lambda r, n: np.cumsum(r.poisson(5, n)).astype(np.float64) + 1e6,
    "temperature, 0.01 °C": lambda r, n: np.round(21 + 2 * _walk(r, n, 0.02) + r.normal(0, 0.02, n), 2),
    "water counter, 1 l": lambda r, n: np.cumsum(r.poisson(0.4, n)).astype(np.float64) + 1e5,
}


def _minutes(days: int) -> Times:
    """Whole minutes up to `ENDING`, in microseconds since the epoch."""
    last = int(ENDING.timestamp())
    return (last - 60 * np.arange(days * DAY, 0, -1, dtype=np.int64)) * 1_000_000


TIMES: dict[str, Callable[[np.random.Generator, Times], Times]] = {
    "whole minutes": lambda _, minutes: minutes,
    "a clock that wanders by seconds": lambda r, minutes: (
        minutes + r.choice([0, 0, 0, 1, -1], len(minutes)).cumsum() % 60 * 1_000_000
    ),
    "time of receipt, microseconds": lambda r, minutes: minutes + r.integers(0, 200_000, len(minutes)),
}


@dataclass
class Sample:
    """Readings of some points."""

    name: str
    batches: Callable[[], Iterator[pa.RecordBatch]]


def samples(days: int, points: int, data: Path | None) -> list[Sample]:
    """The mix of all kinds with each kind of time, each kind by itself, an office room if there is one."""

    def batches(kinds: list[str], times: str, count: int) -> Callable[[], Iterator[pa.RecordBatch]]:
        def made() -> Iterator[pa.RecordBatch]:
            minutes = _minutes(days)
            for point in range(count):
                random = np.random.default_rng(point)
                values = KINDS[kinds[point % len(kinds)]](random, len(minutes))
                yield batch(point + 1, TIMES[times](random, minutes), values)

        return made

    found = [Sample(f"all kinds, {times}", batches(list(KINDS), times, points)) for times in TIMES]
    found += [Sample(kind, batches([kind], "whole minutes", points // 10)) for kind in KINDS]
    if data is not None and (data / "occupancy" / "datatraining.csv").exists():
        found.append(Sample("office room, public data", lambda: office(data / "occupancy")))
    return found


def office(folder: Path) -> Iterator[pa.RecordBatch]:
    """Temperature, humidity, light, CO2 and occupancy of an office room in February 2015, each minute."""
    rows = []
    for name in ("datatraining.csv", "datatest.csv", "datatest2.csv"):
        with (folder / name).open(encoding="utf-8") as lines:
            next(lines)
            rows += [row for row in csv.reader(lines) if row]
    times = [datetime.fromisoformat(row[1]).replace(tzinfo=UTC).timestamp() for row in rows]
    order = np.unique(np.array(times, np.int64) * 1_000_000, return_index=True)
    for point, column in enumerate((2, 3, 4, 5, 7), 1):
        yield batch(point, order[0], np.array([float(rows[at][column]) for at in order[1]]))


def batch(point: int, times: Times, values: Values) -> pa.RecordBatch:
    """Readings of one point, as `copy_in` takes them."""
    columns = [
        pa.array(np.full(len(times), point, np.int32)),
        pa.array(times).view(pa.timestamp("us", tz="UTC")),
        pa.array(values),
    ]
    return pa.RecordBatch.from_arrays(columns, schema=SCHEMA)


def measure(deployment: Deployment, number: int, sample: Sample) -> dict[str, float]:
    """Load a tenant, roll it up, compress it; what it takes on disk before and after."""
    (context,) = deployment.create_tenants(f"storage-{number}")
    with closing(Administration({"main": deployment.admin_url})) as admins:
        load(deployment, context, sample)
        began = time.perf_counter()
        while refresh_tenant(admins, context, budget=timedelta(minutes=5)):
            pass
        took = time.perf_counter() - began
        before = sizes(deployment, context)
        told = tend_tenant(admins, context, None, budget=timedelta(minutes=30))
        assert told is not None
        after = sizes(deployment, context)
    readings = before["readings"]
    return {
        "readings": readings,
        "raw before, bytes a reading": before["raw"] / readings,
        "raw after, bytes a reading": after["raw"] / readings,
        "rollups before, bytes a reading": before["rollups"] / readings,
        "rollups after, bytes a reading": after["rollups"] / readings,
        "rolled up, readings a second": readings / took,
    }


def load(deployment: Deployment, context: TenantContext, sample: Sample) -> None:
    """Copy the readings in, and say that nothing is rolled up."""
    with psycopg.connect(deployment.admin_url) as connection:
        name = sql.Identifier(context.schema)
        connection.execute(sql.SQL("SET search_path = {}").format(name))
        batches = list(sample.batches())
        for day in {at // 86_400_000_000 for one in batches for at in ends(one)}:
            connection.execute(statement("ensure_day"), {"day": day})
        copy_in(connection, batches, lambda _: None)
        connection.execute("UPDATE rollup_state SET complete_until = '2000-01-01T00:00:00Z'")
    with psycopg.connect(deployment.admin_url, autocommit=True) as connection:
        connection.execute(sql.SQL("VACUUM (ANALYZE) {}").format(sql.Identifier(context.schema, "readings")))


def ends(one: pa.RecordBatch) -> Iterator[int]:
    """A day apart, all times of a batch from its first to its last."""
    times = one.column("time").cast(pa.int64()).to_numpy()
    yield from range(int(times[0]), int(times[-1]), 86_400_000_000)
    yield int(times[-1])


def sizes(deployment: Deployment, context: TenantContext) -> dict[str, float]:
    """Exact rows, and bytes on disk with indexes."""
    with (
        closing(Administration({"main": deployment.admin_url})) as admins,
        admins.registry.connect() as connection,
    ):
        connection.exec_driver_sql(f'SET search_path = "{context.schema}"')
        storage = detect_engine(connection)
        raw = sum(piece.bytes for piece in storage.pieces(connection) if piece.relation == "readings")
        rows = connection.exec_driver_sql("SELECT count(*) FROM readings").scalar_one()
        return {"readings": rows, "raw": raw, "rollups": storage.rollup_bytes(connection)}


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--short", action="store_true", help="two weeks: what is measured by default")
    parser.add_argument("--long", action="store_true", help="twelve weeks")
    parser.add_argument("--data", type=Path, help="folder with the public data of an office room")
    options = parser.parse_args()
    console = Console()
    results: dict[str, dict[str, Any]] = {}
    with server() as url, fresh(url) as deployment:
        for number, sample in enumerate(samples(84 if options.long else 14, 100, options.data)):
            with console.status(f"{deployment.engine}: {sample.name}"):
                results[sample.name] = measure(deployment, number, sample)
    show(console, deployment.engine, results)
    record("storage", deployment.engine, results)


def show(console: Console, engine: str, results: dict[str, dict[str, Any]]) -> None:
    """A table: a row a sample."""
    table = Table(title=f"{engine}: what minute data takes on disk")
    table.add_column("")
    for name in next(iter(results.values())):
        table.add_column(name, justify="right")
    for name, figures in results.items():
        table.add_row(
            name, *(f"{value:,.0f}" if value > 1000 else f"{value:.2f}" for value in figures.values())
        )
    console.print(table)
    if engine.startswith("timescaledb"):
        mixed = results["all kinds, whole minutes"]["raw after, bytes a reading"]
        console.print(f"all kinds, whole minutes: {mixed:.2f} bytes a reading; at most {TARGET} are wanted")
    else:
        console.print("plain PostgreSQL compresses nothing: after is as before")


if __name__ == "__main__":
    main()
