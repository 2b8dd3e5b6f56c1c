"""Fixtures shared by all tests: a PostgreSQL server, and databases with two tenants in them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from insula_tenants.administration import Administration
from insula_tenants.context import TenantContext
from insula_tenants.database import Databases
from insula_tenants.migrate import MigrationReport, migrate
from insula_tenants.registry import create_tenant, resolve_tenant
from tests.servers.postgres import EmbeddedPostgres, PostgresServer

_engines: set[str] = set()


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[PostgresServer]:
    """One server for the whole run. Tests that kill a server start one of their own."""
    import os

    if url := os.environ.get("INSULA_TEST_DATABASE_URL"):
        yield PostgresServer(url)
        return
    server = EmbeddedPostgres()
    yield server
    server.stop()


@dataclass(frozen=True)
class Deployment:
    """A migrated database with the tenants `acme` and `globex`."""

    admin_url: str
    service_url: str
    report: MigrationReport
    databases: Databases
    acme: TenantContext
    globex: TenantContext


def deploy(server: PostgresServer) -> Iterator[Deployment]:
    """A database of its own on `server`, migrated, with two tenants; dropped at the end."""
    admin_url, service_url = server.create_database()
    report = migrate({"main": admin_url}, {"main": service_url})
    _engines.add(f"{report.engine} {report.engine_version}")
    admin = Administration({"main": admin_url})
    for slug in ("acme", "globex"):
        create_tenant(admin, slug, slug.title())
    databases = Databases({"main": service_url})
    with databases.core() as core:
        contexts = {slug: resolve_tenant(core, slug) for slug in ("acme", "globex")}
    yield Deployment(admin_url, service_url, report, databases, **contexts)
    databases.close()
    admin.close()
    server.drop_database(admin_url)


@pytest.fixture(scope="module")
def deployment(postgres_server: PostgresServer) -> Iterator[Deployment]:
    """A database with two tenants that the tests of one module share."""
    yield from deploy(postgres_server)


@pytest.fixture
def fresh_deployment(postgres_server: PostgresServer) -> Iterator[Deployment]:
    """A database with two tenants for one test alone."""
    yield from deploy(postgres_server)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say which storage engines this run has used."""
    if _engines:
        terminalreporter.write_line(f"storage engines: {', '.join(sorted(_engines))}")
