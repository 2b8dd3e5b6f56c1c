"""Export one tenant, import it as another, and compare: seconds, rows a second, peak memory.

::

    python -m benchmarks.bundle --readings 5000000
    INSULA_BENCH_DATABASE_URL=postgresql://… python -m benchmarks.bundle --readings 5000000

Without a URL it starts a PostgreSQL of its own. The database is made for the run and dropped at its end.
Export and import each run in a process of their own, whose peak memory (VmHWM) is their own too.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from rich.console import Console
from rich.table import Table
from sqlalchemy import text

from insula_tenants.administration import Administration
from insula_tenants.context import TenantContext
from insula_tenants.database import Databases
from insula_tenants.devices import NewPoint, create_device, set_password
from insula_tenants.migrate import migrate
from insula_tenants.registry import create_tenant, resolve_tenant
from insula_tenants.spaces import ensure_space

ROOT = Path(__file__).resolve().parents[1]
POINTS = 100
SOURCE, COPY = "bundle-source", "bundle-copy"

FILL = """
INSERT INTO readings (point_id, time, value)
SELECT 1 + n % :points, timestamptz '2026-01-01' + n / :points * :step * interval '1 second',
    round((20 + 5 * sin(n / 1000.0) + n % 7 / 10.0)::numeric, 2)
FROM generate_series(0, :readings - 1) AS n
"""
CHECKSUM = """
SELECT count(*) AS readings,
    coalesce(sum(hashtextextended(concat_ws('|', point_id, time, value), 0)), 0) AS checksum
FROM readings
"""


class Measured(NamedTuple):
    """What a phase took."""

    seconds: float
    peak_mb: float
    idle_mb: float
    """Peak before the work began: the interpreter and its libraries."""


def fill(databases: Databases, context: TenantContext, readings: int) -> None:
    """Give the tenant a building, devices with passwords, and readings of 90 days from January 2026 on."""
    step = max(1, 90 * 86_400 * POINTS // max(readings, POINTS))
    with databases.tenant(context) as session:
        space = ensure_space(
            session, site="S", building="B", time_zone="UTC", storey="0", level=0, name="Room 1"
        )
        for number in range(POINTS // 10):
            slug = f"device-{number}"
            points = [NewPoint(f"p{one}", unit="degC", states=("a", "b")) for one in range(10)]
            create_device(session, slug, name=slug, space_id=space, points=points)
            set_password(session, slug, f"password of {slug}")
        days = {"until": 92}
        session.execute(
            text(
                "SELECT ensure_readings_range(timestamptz '2026-01-01',"
                " timestamptz '2026-01-01' + :until * interval '1 day')"
            ),
            days,
        )
        session.execute(text(FILL), {"points": POINTS, "step": step, "readings": readings})
        session.execute(
            text(
                "INSERT INTO latest (point_id, time, value)"
                " SELECT DISTINCT ON (point_id) point_id, time, value"
                " FROM readings ORDER BY point_id, time DESC"
            )
        )


def checksum(databases: Databases, context: TenantContext) -> tuple[int, str]:
    """Rows and an order-independent checksum of a tenant's readings, computed by SQL of its own."""
    with databases.tenant(context) as session:
        row = session.execute(text(CHECKSUM)).one()
    return row.readings, str(row.checksum)


def context_of(databases: Databases, slug: str) -> TenantContext:
    """The tenant's context."""
    with databases.core() as core:
        return resolve_tenant(core, slug)


def phase(name: str, urls: dict[str, str], path: Path) -> Measured:
    """Run `export` or `import` in a process of its own."""
    command = [sys.executable, "-m", "benchmarks.bundle", "--phase", name, "--path", str(path)]
    environment = os.environ | {"BUNDLE_URLS": json.dumps(urls)}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise RuntimeError(f"{name} failed:\n{done.stderr}")
    return Measured(**json.loads(done.stdout))


def run_phase(name: str, urls: dict[str, str], path: Path) -> Measured:
    """What the process of a phase does."""
    from insula_tenants.bundle.export import export_tenant
    from insula_tenants.bundle.restore import import_bundle

    work: Callable[[], Any]
    databases = Databases({"main": urls["service"]}, pool_size=1)
    admins = Administration({"main": urls["admin"]})
    if name == "export":
        context = context_of(databases, SOURCE)
        work = lambda: export_tenant(databases, context, path)  # noqa: E731
    else:
        work = lambda: import_bundle(admins, path, COPY)  # noqa: E731
    idle = peak_mb()
    started = time.perf_counter()
    work()
    measured = Measured(time.perf_counter() - started, peak_mb(), idle)
    databases.close()
    admins.close()
    return measured


def peak_mb() -> float:
    """The most memory this process has held, in MB. Unlike ru_maxrss it begins anew with a new program."""
    status = Path("/proc/self/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) / 1024


def measure(admin_url: str, service_url: str, readings: int, path: Path) -> dict[str, Any]:
    """Fill, export, import, compare; `admin_url` is of an empty database."""
    report = migrate({"main": admin_url}, {"main": service_url})
    admins = Administration({"main": admin_url})
    databases = Databases({"main": service_url})
    urls = {"admin": admin_url, "service": service_url}
    try:
        create_tenant(admins, SOURCE, "Source")
        source = context_of(databases, SOURCE)
        fill(databases, source, readings)
        exported = phase("export", urls, path)
        imported = phase("import", urls, path)
        before, after = checksum(databases, source), checksum(databases, context_of(databases, COPY))
    finally:
        databases.close()
        admins.close()
    return {
        "engine": f"{report.engine} {report.engine_version}",
        "readings": readings,
        "bundle_mb": path.stat().st_size / 2**20,
        "export": exported._asdict(),
        "import": imported._asdict(),
        "source": before,
        "copy": after,
        "equal": before == after and before[0] == readings,
    }


@contextmanager
def server() -> Iterator[Any]:
    """The server to measure on."""
    from tests.servers.postgres import EmbeddedPostgres, PostgresServer

    if url := os.environ.get("INSULA_BENCH_DATABASE_URL"):
        yield PostgresServer(url)
        return
    embedded = EmbeddedPostgres()
    yield embedded
    embedded.stop()


def main() -> int:
    """0 when what came back is what went out."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--readings", type=int, default=5_000_000)
    parser.add_argument("--phase", choices=("export", "import"), help=argparse.SUPPRESS)
    parser.add_argument("--path", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.phase:
        measured = run_phase(options.phase, json.loads(os.environ["BUNDLE_URLS"]), options.path)
        print(json.dumps(measured._asdict()))
        return 0
    with server() as running, tempfile.TemporaryDirectory() as directory:
        admin_url, service_url = running.create_database()
        try:
            result = measure(admin_url, service_url, options.readings, Path(directory) / "bundle.zip")
        finally:
            running.drop_database(admin_url)
    show(result)
    return 0 if result["equal"] else 1


def show(result: dict[str, Any]) -> None:
    """Print the result."""
    table = Table("", "seconds", "rows/s", "peak MB", "of that, idle MB")
    for name in ("export", "import"):
        one = Measured(**result[name])
        table.add_row(
            name,
            f"{one.seconds:.1f}",
            f"{result['readings'] / one.seconds:,.0f}",
            f"{one.peak_mb:.0f}",
            f"{one.idle_mb:.0f}",
        )
    console = Console()
    console.print(
        f"{result['readings']:,} readings on {result['engine']}, bundle of {result['bundle_mb']:.1f} MB"
    )
    console.print(table)
    console.print(
        f"source {result['source']}, copy {result['copy']}: {'equal' if result['equal'] else 'DIFFERENT'}"
    )


if __name__ == "__main__":
    sys.exit(main())
