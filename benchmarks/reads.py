"""What averages of days cost: through the API, by bare SQL on the rollup, and from raw readings.

What is compared, in turn, is how long programs take until they hold the same rows. One asks the API over
HTTP, page by page, and parses the JSON; the others have a connection to the database, group the rollup that
fits or the raw readings, and fetch all rows. The limits are for a year of 100 points: in the short form most
of the API's time is what any request costs.

Minute data of some points, written by the server itself and rolled up as the worker does it. Starts a
PostgreSQL of its own, or takes the one whose superuser's URL is in INSULA_BENCH_DATABASE_URL. What is made is
dropped at the end.

    python benchmarks/reads.py            # 20 points, 60 days: 1.7 million readings
    python benchmarks/reads.py --long     # 100 points, 365 days: 52.6 million
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import secrets
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import httpx
import psycopg
from psycopg import sql
from rich.console import Console
from rich.table import Table
from sqlalchemy import make_url

from benchmarks.deployment import server
from insula_platform.oauth.clients import create_service_client
from insula_tenants.administration import Administration
from insula_tenants.context import TenantContext
from insula_tenants.database import Databases
from insula_tenants.devices import NewPoint, create_device, list_points
from insula_tenants.migrate import migrate
from insula_tenants.registry import create_tenant, resolve_tenant
from insula_tenants.rollups.refresh import refresh_tenant

OUTPUT = Path(__file__).resolve().parents[1] / "build" / "benchmarks.json"
ROUNDS = 9
BRUSSELS = "Europe/Brussels"

MINUTES = """
INSERT INTO readings (point_id, time, value)
SELECT point, time, 20 + 5 * sin(extract(epoch FROM time)::float8 / 13751 + point) + (point %% 7)
FROM unnest(%s::integer[]) AS point,
    generate_series(%s::timestamptz, %s::timestamptz, interval '1 minute') AS time
"""
ON_ROLLUP = """
SELECT point_id, insula_functions.time_bucket('1 day', time, %(zone)s) AS day, sum(sum) / sum(count)
FROM {rollup} WHERE point_id = ANY(%(points)s) AND time >= %(from)s AND time < %(to)s
GROUP BY 1, 2 ORDER BY 1, 2
"""
ON_RAW = """
SELECT point_id, insula_functions.time_bucket('1 day', time, %(zone)s) AS day, avg(value)
FROM readings WHERE point_id = ANY(%(points)s) AND time >= %(from)s AND time < %(to)s
GROUP BY 1, 2 ORDER BY 1, 2
"""


@dataclass(frozen=True)
class House:
    """A tenant with minute data."""

    context: TenantContext
    admin_url: str
    service_url: str
    engine: str
    points: list[int]
    credentials: tuple[str, str]


@contextmanager
def house(server_url: str, points: int) -> Iterator[House]:
    """A tenant in a database of its own; it and its roles are dropped at the end."""
    tag = secrets.token_hex(4)
    name, slug = f"insula_bench_{tag}", f"bench-{tag}"
    admin = make_url(server_url).set(database=name)
    service = admin.set(username=f"{name}_service", password=secrets.token_hex(16))
    admin_url, service_url = (url.render_as_string(hide_password=False) for url in (admin, service))
    with psycopg.connect(server_url, autocommit=True) as connection:
        connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
        try:
            report = migrate({"main": admin_url}, {"main": service_url})
            admins = Administration({"main": admin_url})
            create_tenant(admins, slug, "Bench")
            admins.close()
            databases = Databases({"main": service_url}, pool_size=1)
            with databases.core() as core:
                context = resolve_tenant(core, slug)
                credentials = create_service_client(core, context, "bench", "readings:read")
            with databases.tenant(context) as session:
                create_device(
                    session, "meter", name="Meter", points=[NewPoint(f"p{n}") for n in range(points)]
                )
                ids = [point.id for point in list_points(session, limit=points)]
            databases.close()
            engine = f"{report.engine} {report.engine_version}"
            yield House(context, admin_url, service_url, engine, ids, credentials)
        finally:
            connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))
            for role in (f"tenant_{slug.replace('-', '_')}", f"{name}_service"):
                connection.execute(sql.SQL("DROP ROLE IF EXISTS {}").format(sql.Identifier(role)))


def administrator(home: House) -> psycopg.Connection:
    """A connection in the tenant's schema."""
    connection = psycopg.connect(home.admin_url, autocommit=True)
    path = sql.SQL("SET search_path = {}, public").format(sql.Identifier(home.context.schema))
    connection.execute(path)
    return connection


def fill(home: House, starting: datetime, ending: datetime, progress: Callable[[str], object]) -> None:
    """Minute data, rolled up up to half an hour before now."""
    with administrator(home) as connection:
        connection.execute("UPDATE rollup_state SET complete_until = %s", (starting.astimezone(UTC),))
        day = starting
        while day < ending:
            following = min(day + timedelta(days=10), ending)
            progress(f"writing {day:%Y-%m-%d}")
            connection.execute("SELECT ensure_readings_range(%s, %s)", (day, following))
            connection.execute(MINUTES, (home.points, day, following - timedelta(minutes=1)))
            day = following
    admins = Administration({"main": home.admin_url})
    rounds = 0
    while refresh_tenant(admins, home.context):
        progress(f"rolling up, {(rounds := rounds + 1)}")
    admins.close()
    with administrator(home) as connection:
        connection.execute("VACUUM ANALYZE")


@contextmanager
def api(home: House) -> Iterator[httpx.Client]:
    """The API in a process of its own, and a client with a token."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    url = f"http://127.0.0.1:{port}"
    environment = os.environ | {
        "INSULA_DATABASE_URL": home.service_url,
        "INSULA_PUBLIC_URL": url,
        "INSULA_API_PORT": str(port),
        "INSULA_SECRET_KEY": secrets.token_hex(32),
    }
    program = "from insula_platform.serve import run; run()"
    process = subprocess.Popen([sys.executable, "-c", program], env=environment, stderr=subprocess.DEVNULL)
    try:
        with httpx.Client(base_url=url, timeout=120) as client:
            for _ in range(200):
                try:
                    client.get("/readyz").raise_for_status()
                    break
                except httpx.HTTPError:
                    time.sleep(0.1)
            answer = client.post(
                "/oauth/token", data={"grant_type": "client_credentials"}, auth=home.credentials
            )
            client.headers["Authorization"] = f"Bearer {answer.raise_for_status().json()['access_token']}"
            yield client
    finally:
        process.terminate()
        process.wait(20)


def ask(client: httpx.Client, home: House, query: dict[str, Any], accept: str) -> int:
    """Rows (JSON) or bytes of the whole answer."""
    asked = query | {"point": home.points, "bucket": "1d", "aggregate": "mean"}
    path = f"/api/v1/tenants/{home.context.slug}/readings"
    if accept != "application/json":
        return len(client.get(path, params=asked, headers={"Accept": accept}).raise_for_status().content)
    rows, cursor = 0, {}
    while cursor is not None:
        page = client.get(path, params=asked | {"limit": 10_000} | cursor).raise_for_status().json()
        rows += len(page["items"])
        cursor = {"cursor": page["next_cursor"]} if page["next_cursor"] else None
    return rows


def fetch(connection: psycopg.Connection, query: sql.Composable, parameters: Mapping[str, Any]) -> int:
    """Rows of a statement, all of them fetched."""
    return len(connection.execute(query, parameters).fetchall())


def timed(works: Mapping[str, Callable[[], Any]], rounds: int = ROUNDS) -> dict[str, float]:
    """Median milliseconds of each, taken in turn: what else the machine does is then the same for all."""
    took: dict[str, list[float]] = {name: [] for name in works}
    for _ in range(rounds):
        for name, work in works.items():
            started = time.perf_counter()
            work()
            took[name].append((time.perf_counter() - started) * 1000)
    return {name: statistics.median(times) for name, times in took.items()}


def measure(home: House, days: int, ending: datetime, progress: Callable[[str], object]) -> dict[str, Any]:
    """Milliseconds for the days of Brussels (rollup of hours) and of UTC (rollup of days)."""
    results: dict[str, Any] = {}
    with api(home) as client, administrator(home) as connection:
        for zone, rollup in ((BRUSSELS, "readings_1h"), ("UTC", "readings_1d")):
            progress(f"asking, {zone}")
            until = ending.replace(tzinfo=ZoneInfo(zone))
            since = until - timedelta(days=days)
            parameters = {"zone": zone, "points": home.points, "from": since, "to": until}
            query = {"from": since.isoformat(), "to": until.isoformat(), "time_zone": zone}
            bare = sql.SQL(ON_ROLLUP).format(rollup=sql.Identifier(rollup))
            rows = fetch(connection, bare, parameters)
            assert rows == ask(client, home, query, "application/json") == len(home.points) * days
            found = {"rows": rows} | timed(
                {
                    "API, JSON, ms": partial(ask, client, home, query, "application/json"),
                    "API, Arrow, ms": partial(
                        ask, client, home, query, "application/vnd.apache.arrow.stream"
                    ),
                    "bare SQL on the rollup, ms": partial(fetch, connection, bare, parameters),
                }
            )
            found |= timed(
                {"bare SQL on raw, ms": partial(fetch, connection, sql.SQL(ON_RAW), parameters)}, 2
            )
            found["API / bare SQL (limit 2, --long)"] = (
                found["API, JSON, ms"] / found["bare SQL on the rollup, ms"]
            )
            found["raw / API (limit 50, --long)"] = found["bare SQL on raw, ms"] / found["API, JSON, ms"]
            results[f"days of {zone}"] = found
    return results


def show(console: Console, title: str, results: dict[str, Any]) -> None:
    """A row a figure, a column a question."""
    table = Table(title=title)
    table.add_column("")
    for question in results:
        table.add_column(question, justify="right")
    for name in next(iter(results.values())):
        table.add_row(name, *(f"{found[name]:,.1f}" for found in results.values()))
    console.print(table)


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--long", action="store_true", help="a year of 100 points: 52.6 million readings")
    points, days = (100, 365) if parser.parse_args(arguments).long else (20, 60)
    console = Console()
    midnight = datetime.now(UTC).replace(tzinfo=None, hour=0, minute=0, second=0, microsecond=0)
    midnight -= timedelta(days=1)
    starting, ending = (midnight.replace(tzinfo=UTC) + timedelta(days=more) for more in (-days - 1, 1))
    with server() as url, house(url, points) as home, console.status("writing") as status:
        fill(home, starting, ending, status.update)
        results = measure(home, days, midnight, status.update)
    title = f"{home.engine}: {points} points, {days} days of minutes, averages of days"
    show(console, title, results)
    OUTPUT.parent.mkdir(exist_ok=True)
    known = json.loads(OUTPUT.read_text(encoding="utf-8")) if OUTPUT.exists() else {}
    known["reads"] = {
        "engine": home.engine,
        "machine": f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}",
        "measured_at": datetime.now(UTC).isoformat(),
        "points": points,
        "days": days,
    } | results
    OUTPUT.write_text(json.dumps(known, indent=2) + "\n", encoding="utf-8")
    console.print(f"written to {OUTPUT}")


if __name__ == "__main__":
    sys.exit(main())
