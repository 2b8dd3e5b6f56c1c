"""Fixtures shared by all tests: a PostgreSQL server, and databases with two tenants in them."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from insula_tenants.administration import Administration
from insula_tenants.context import TenantContext
from insula_tenants.database import Databases
from insula_tenants.migrate import MigrationReport, admin_engine, migrate
from insula_tenants.registry import create_tenant, resolve_tenant
from insula_tenants.roles import forbid_temporary_objects
from tests import engines
from tests.servers.postgres import EmbeddedPostgres, PostgresServer


def pytest_configure(config: pytest.Config) -> None:
    """Several processes would fight over the roles of a server that is given: roles belong to no database."""
    if os.environ.get("INSULA_TEST_DATABASE_URL") and getattr(config.option, "numprocesses", None):
        raise pytest.UsageError(
            "on the server of INSULA_TEST_DATABASE_URL the tests run in one process: -n 0"
        )


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[PostgresServer]:
    """One server for the whole run. Tests that kill a server start one of their own."""
    if url := os.environ.get("INSULA_TEST_DATABASE_URL"):
        given = PostgresServer(url)
        yield given
        if template := _templates.pop(url, None):
            given.drop_database(template.admin_url)
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


@dataclass(frozen=True)
class _Template:
    """What every deployment of a server is a copy of: making it takes several times as long."""

    admin_url: str
    name: str
    report: MigrationReport


_templates: dict[str, _Template] = {}
"""By the server's URL."""


def deploy(server: PostgresServer) -> Iterator[Deployment]:
    """A database of its own on `server`, migrated, with two tenants; dropped at the end."""
    template = _templates.get(server.admin_url) or _make_template(server)
    admin_url, service_url = server.create_database(template.name)
    with admin_engine(admin_url).begin() as connection:
        forbid_temporary_objects(connection)
    databases = Databases({"main": service_url})
    with databases.core() as core:
        contexts = {slug: resolve_tenant(core, slug) for slug in ("acme", "globex")}
    yield Deployment(admin_url, service_url, template.report, databases, **contexts)
    databases.close()
    server.drop_database(admin_url)


def _make_template(server: PostgresServer) -> _Template:
    admin_url, service_url = server.create_database()
    report = migrate({"main": admin_url}, {"main": service_url})
    admin = Administration({"main": admin_url})
    for slug in ("acme", "globex"):
        create_tenant(admin, slug, slug.title())
    admin.close()
    engines.used(f"{report.engine} {report.engine_version}")
    made = _Template(admin_url, server.close_database(admin_url), report)
    _templates[server.admin_url] = made
    return made


@pytest.fixture(scope="module")
def deployment(postgres_server: PostgresServer) -> Iterator[Deployment]:
    """A database with two tenants that the tests of one module share."""
    yield from deploy(postgres_server)


@pytest.fixture
def fresh_deployment(postgres_server: PostgresServer) -> Iterator[Deployment]:
    """A database with two tenants for one test alone."""
    yield from deploy(postgres_server)


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Hand what one process of pytest-xdist has noted to the one that prints."""
    if hasattr(session.config, "workeroutput"):
        session.config.workeroutput["engines"] = engines.handed_over()


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    """Take over what such a process has noted."""
    engines.take_over(getattr(node, "workeroutput", {}).get("engines", {}))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say which storage engines this run has used."""
    if told := engines.summary():
        terminalreporter.write_line(told)
