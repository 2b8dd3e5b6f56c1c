"""How long the analytics UI takes to show each of its pages, in a browser, with a year of minute data.

A building of 36 rooms with five points each, 19 meters and a weather station: 200 points, written by the
server itself and rolled up as the worker does it. Then the platform and the UI as processes of their own, and
Chromium, signed in, opens every page again and again: from the address to a page whose script has ended and
whose charts are drawn. The limit is a 95th percentile of 2 s for each page.

    python -m benchmarks.pages                     # 7 days: 2 million readings
    python -m benchmarks.pages --long              # a year: 105 million
    python -m benchmarks.pages --long --keep FILE  # the same, and the data stay for the next run

Starts a PostgreSQL of its own, or takes the one whose superuser's URL is in INSULA_BENCH_DATABASE_URL.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import secrets
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import urlencode
from urllib.request import urlopen

import psycopg
from playwright.sync_api import Browser, Page
from psycopg import sql
from rich.console import Console
from rich.table import Table

from benchmarks.deployment import Deployment, fresh, record, server
from insula_platform.people.service import add_member, create_account
from insula_tenants.administration import Administration
from insula_tenants.context import TenantContext
from insula_tenants.database import Databases
from insula_tenants.devices import NewPoint, create_device, list_points
from insula_tenants.energy.meters import NewMeter, add_meter
from insula_tenants.rollups.refresh import refresh_tenant
from insula_tenants.spaces import Building, Space, ensure_space
from tests.servers.programs import chromium

ZONE = "Europe/Brussels"
STOREYS, ROOMS, METERS = 4, 9, 19
LIMIT = 2000.0
"""Milliseconds."""
EMAIL, PASSWORD = "bench@insula.example", "a password of the benchmark"

# What each point reads at a time, so that no page is spared its work: days, working hours and noise.
SHAPES = {
    "temperature": "20.5 + 2 * sin(daily) + 1.5 * sin(seed) + noise",
    "co2": "430 + 500 * busy * (0.6 + 0.4 * sin(seed)) + 40 * noise",
    "humidity": "42 + 8 * sin(daily + seed) + 2 * noise",
    "occupancy": "(busy > 0 AND noise > -0.3)::int",
    "illuminance": "greatest(0, 300 * sin(daily)) + 380 * busy",
    "outside": "11 - 8 * cos(yearly) + 5 * sin(daily) + noise",
    "energy": "extract(epoch FROM time)::float8 / 3600 * (1.5 + 0.1 * seed) + 2 * sin(daily)",
}
FILL = """
INSERT INTO readings (point_id, time, value)
SELECT point, time, {shape}
FROM unnest(%(points)s::integer[]) WITH ORDINALITY AS p (point, seed),
    generate_series(%(from)s::timestamptz, %(to)s::timestamptz, interval '1 minute') AS time,
    LATERAL (SELECT
        2 * pi() * (extract(epoch FROM time)::float8 / 86400 - 0.35) AS daily,
        2 * pi() * (extract(doy FROM time)::float8 - 20) / 365 AS yearly,
        (extract(isodow FROM time) < 6 AND extract(hour FROM time) BETWEEN 7 AND 16)::int AS busy,
        sin(extract(epoch FROM time)::float8 * 0.37 + seed * 1.7) AS noise) AS shaped
"""

PAGES = (
    "overview",
    "building",
    "space",
    "explorer",
    "comfort",
    "occupancy",
    "energy",
    "data-quality",
    "devices",
)
"""By their addresses."""


@dataclass(frozen=True)
class House:
    """A tenant with much data, and where it is."""

    admin_url: str
    service_url: str
    engine: str
    slug: str
    points: dict[str, list[int]]
    building: int
    space: int
    secret_key: str
    ui_secret: str


def build(made: Deployment, days: int, say: Callable[[str], object]) -> House:
    """The building, and minute data up to now."""
    slug = f"bench-{secrets.token_hex(4)}"
    (context,) = made.create_tenants(slug)
    with closing(Databases({"main": made.service_url}, pool_size=1)) as databases:
        with databases.core() as core:
            add_member(core, create_account(core, EMAIL, "Bench", PASSWORD), context, "owner")
        house = _furnish(databases, context, made)
    midnight = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    _fill(house, context, midnight - timedelta(days=days), datetime.now(UTC), say)
    return house


def _furnish(databases: Databases, context: TenantContext, made: Deployment) -> House:
    points: dict[str, list[int]] = {name: [] for name in SHAPES}
    rooms = ("temperature", "degC", "Zone_Air_Temperature_Sensor"), ("co2", "ppm", "CO2_Level_Sensor")
    rooms += ("humidity", "percent", "Zone_Air_Humidity_Sensor"), ("occupancy", None, "Occupancy_Sensor")
    rooms += (("illuminance", "lux", "Illuminance_Sensor"),)
    with databases.tenant(context) as session:

        def place(storey: int, name: str) -> int:
            return ensure_space(
                session,
                site="Campus",
                building="Tower",
                time_zone=ZONE,
                storey=f"Storey {storey}",
                level=storey,
                name=name,
            )

        def device(slug: str, space: int, kinds: Sequence[tuple[str, str | None, str]], kind: str) -> None:
            new = [
                NewPoint(name, unit=unit, brick_class=brick_class, kind=kind, expected_interval=60)
                for name, unit, brick_class in kinds
            ]
            create_device(session, slug, name=slug, space_id=space, points=new)

        spaces = [
            place(storey, f"Room {storey}.{room}") for storey in range(STOREYS) for room in range(ROOMS)
        ]
        for number, space in enumerate(spaces):
            session.get_one(Space, space).area = 20.0 + number
            session.get_one(Space, space).capacity = 4 + number % 8
            device(f"room-{number}", space, rooms, "gauge")
        roof = place(STOREYS, "Roof")
        device("weather", roof, [("outside", "degC", "Outside_Air_Temperature_Sensor")], "gauge")
        for number in range(METERS):
            kinds = [("energy", "kWh", "Electrical_Energy_Usage_Sensor")]
            device(f"meter-{number}", spaces[number], kinds, "counter")
        building = session.query(Building).one()
        building.area = 2000.0
        building_id = building.id
    with databases.tenant(context) as session:
        for point in list_points(session, limit=1000):
            points[point.name].append(point.id)
        for space, point in zip(spaces, points["energy"], strict=False):
            add_meter(session, NewMeter(f"Meter {point}", "electricity", point, space_id=space))
    assert sum(map(len, points.values())) == 200
    return House(
        made.admin_url,
        made.service_url,
        made.engine,
        context.slug,
        points,
        building_id,
        spaces[0],
        secrets.token_hex(32),
        secrets.token_hex(32),
    )


def _fill(
    house: House, context: TenantContext, starting: datetime, ending: datetime, say: Callable[[str], object]
) -> None:
    """Written by the server, and rolled up."""
    with psycopg.connect(house.admin_url, autocommit=True) as connection:
        path = sql.SQL("SET search_path = {}, public").format(sql.Identifier(context.schema))
        connection.execute(path)
        connection.execute("UPDATE rollup_state SET complete_until = %s", (starting,))
        day = starting
        while day < ending:
            following = min(day + timedelta(days=10), ending)
            say(f"writing {day:%Y-%m-%d}")
            connection.execute("SELECT ensure_readings_range(%s, %s)", (day, following))
            for name, points in house.points.items():
                statement = sql.SQL(FILL).format(shape=sql.SQL(SHAPES[name]))
                until = following - timedelta(minutes=1)
                connection.execute(statement, {"points": points, "from": day, "to": until})
            day = following
        say("the newest of each point")
        connection.execute(
            "INSERT INTO latest (point_id, time, value)"
            " SELECT DISTINCT ON (point_id) point_id, time, value FROM readings WHERE time > %s"
            " ORDER BY point_id, time DESC",
            (ending - timedelta(hours=1),),
        )
    with closing(Administration({"main": house.admin_url})) as admins:
        rounds = 0
        while refresh_tenant(admins, context):
            say(f"rolling up, {(rounds := rounds + 1)}")
    with psycopg.connect(house.admin_url, autocommit=True) as connection:
        connection.execute("VACUUM ANALYZE")


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


@contextmanager
def running(house: House) -> Iterator[str]:
    """The platform and the UI as processes of their own; the UI's address."""
    api, ui = free_port(), free_port()
    api_url, ui_url = f"http://127.0.0.1:{api}", f"http://127.0.0.1:{ui}"
    environment = os.environ | {
        "INSULA_DATABASE_URL": house.service_url,
        "INSULA_PUBLIC_URL": api_url,
        "INSULA_PLATFORM_URL": api_url,
        "INSULA_UI_URL": ui_url,
        "INSULA_API_PORT": str(api),
        "INSULA_SECRET_KEY": house.secret_key,
        "INSULA_UI_CLIENT_SECRET": house.ui_secret,
    }
    commands = (
        [sys.executable, "-m", "insula_platform", "serve", "api"],
        [sys.executable, "-m", "insula_analytics_ui", "--port", str(ui)],
    )
    processes = [subprocess.Popen(one, env=environment, stderr=subprocess.DEVNULL) for one in commands]
    try:
        for url in (f"{api_url}/readyz", f"{ui_url}/_stcore/health"):
            wait_for(url)
        yield ui_url
    finally:
        for process in processes:
            process.terminate()
        for process in processes:
            process.wait(20)


def wait_for(url: str) -> None:
    """Until it answers."""
    for _ in range(300):
        try:
            with urlopen(url, timeout=2):
                return
        except OSError:
            time.sleep(0.1)
    raise TimeoutError(url)


SETTLED = """() => {
    const app = document.querySelector('[data-testid="stApp"]');
    if (!app || app.dataset.testScriptState !== 'notRunning') return false;
    if (document.querySelector('[data-stale="true"], [data-testid="stSkeleton"]')) return false;
    const charts = document.querySelectorAll('[data-testid="stVegaLiteChart"]');
    return [...charts].every(chart => chart.querySelector('svg, canvas'));
}"""


def sign_in(browser: Browser, ui: str) -> Page:
    """A page that is signed in."""
    page = browser.new_context(viewport={"width": 1360, "height": 900}).new_page()
    page.goto(ui)
    page.get_by_label("E-mail address").fill(EMAIL)
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in").click()
    page.wait_for_function(SETTLED, timeout=60_000)
    return page


def measure(house: House, ui: str, rounds: int, say: Callable[[str], object]) -> dict[str, dict[str, float]]:
    """Milliseconds of each page and period, taken in turn, the first round apart: it fills no figures."""
    questions = {
        f"{name}, {period}": f"{ui}/{name}?"
        + urlencode({"building": house.building, "space": house.space, "period": period})
        for name in PAGES
        for period in ("7d", "12mo")
    }
    took: dict[str, list[float]] = {name: [] for name in questions}
    with chromium() as browser:
        page = sign_in(browser, ui)
        for number in range(rounds + 1):
            for name, url in questions.items():
                say(f"round {number} of {rounds}: {name}")
                started = time.perf_counter()
                page.goto(url)
                page.wait_for_function(SETTLED, timeout=60_000)
                if number:
                    took[name].append((time.perf_counter() - started) * 1000)
    return {name: _figures(times) for name, times in took.items()}


def _figures(times: Sequence[float]) -> dict[str, float]:
    ordered = sorted(times)
    return {
        "median, ms": statistics.median(ordered),
        "p95, ms": ordered[math.ceil(0.95 * len(ordered)) - 1],
        "slowest, ms": ordered[-1],
    }


@contextmanager
def house_of(days: int, keep: Path | None, say: Callable[[str], object]) -> Iterator[House]:
    """The house of an earlier run that was kept, or a new one."""
    if keep is not None and keep.exists():
        yield House(**json.loads(keep.read_text(encoding="utf-8")))
        return
    with server() as url, fresh(url, keep=keep is not None) as made:
        house = build(made, days, say)
        if keep is not None:
            keep.write_text(json.dumps(asdict(house)), encoding="utf-8")
        yield house


def show(console: Console, title: str, results: Mapping[str, Mapping[str, float]]) -> None:
    """A row a page."""
    table = Table(title=title)
    for column in ("page, period", "median, ms", "p95, ms", "slowest, ms", "p95 / limit"):
        table.add_column(column, justify="left" if column.startswith("page") else "right")
    for name, found in results.items():
        table.add_row(name, *(f"{value:,.0f}" for value in found.values()), f"{found['p95, ms'] / LIMIT:.2f}")
    console.print(table)


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--long", action="store_true", help="a year of minutes, 12 rounds")
    parser.add_argument("--keep", type=Path, help="file that names the data, which then stay")
    asked, _ = parser.parse_known_args(arguments)
    days, rounds = (365, 12) if asked.long else (7, 5)
    console = Console()
    with (
        console.status("building") as status,
        house_of(days, asked.keep, status.update) as house,
        running(house) as ui,
    ):
        results = measure(house, ui, rounds, status.update)
    title = f"{house.engine}: 200 points, {days} days of minutes; limit {LIMIT:,.0f} ms"
    show(console, title, results)
    record("pages", house.engine, {"days": days, "rounds": rounds, "pages": results})


if __name__ == "__main__":
    main()
