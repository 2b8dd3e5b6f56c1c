"""What needs TimescaleDB: on the server under test where it offers the extension, else in WebAssembly.

In WebAssembly there is one connection at a time, so each of these opens one and closes it again.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from itertools import islice

import psycopg
import pytest
from sqlalchemy import Connection, text
from sqlalchemy.orm import Session

from insula_tenants.administration import Administration
from insula_tenants.context import TenantContext
from insula_tenants.database import Databases
from insula_tenants.migrate import admin_engine, prepare_databases
from insula_tenants.names import OWNER_ROLE
from insula_tenants.registry import create_tenant, resolve_tenant
from insula_tenants.storage.timescale import TimescaleEngine
from insula_tenants.telemetry.write import COPIED_FROM, TelemetryWriter, TenantBatch
from tests import engines
from tests.servers.mqtt import unique
from tests.servers.postgres import PostgresServer
from tests.servers.timescale_wasm import TimescaleWasm


@dataclass(frozen=True)
class Timescale:
    """A database with TimescaleDB, migrated as far as the core."""

    admin_url: str
    service_url: str
    version: str
    is_native: bool
    """Whether it is a server of its own, not one in WebAssembly."""

    def new_tenant(self) -> TenantContext:
        """A tenant of its own for a test, made as every tenant is."""
        slug = unique("lane")
        with closing(Administration({"main": self.admin_url})) as admins:
            create_tenant(admins, slug, slug.title())
        with (
            closing(Databases({"main": self.service_url}, pool_size=1)) as databases,
            databases.core() as core,
        ):
            return resolve_tenant(core, slug)

    @contextmanager
    def session(self, tenant: TenantContext) -> Iterator[Session]:
        """A transaction under the tenant's role."""
        with (
            closing(Databases({"main": self.service_url}, pool_size=1)) as databases,
            databases.tenant(tenant) as session,
        ):
            yield session

    @contextmanager
    def owner(self, tenant: TenantContext) -> Iterator[Connection]:
        """The administrator's connection in autocommit mode, acting as the owner in the tenant's schema."""
        engine = admin_engine(self.admin_url).execution_options(isolation_level="AUTOCOMMIT")
        with engine.connect() as connection:
            connection.execute(
                text("SELECT set_config('role', :role, false), set_config('search_path', :path, false)"),
                {"role": OWNER_ROLE, "path": tenant.schema},
            )
            yield connection

    def write(self, tenant: TenantContext, readings: dict[tuple[int, int], float]) -> None:
        """Store readings as ingest does: in WebAssembly few at a time, since many are copied."""
        step = len(readings) if self.is_native else COPIED_FROM - 1
        left = iter(readings.items())
        with psycopg.connect(self.service_url, autocommit=True, prepare_threshold=None) as connection:
            writer = TelemetryWriter(connection)
            while batch := dict(islice(left, step)):
                writer.write([TenantBatch(tenant, batch)])


@pytest.fixture(scope="session")
def database() -> Iterator[Timescale]:
    """The one database of these tests."""
    url = os.environ.get("INSULA_TEST_DATABASE_URL")
    if url and _offers_timescale(url):
        server = PostgresServer(url)
        urls = server.create_database()
        yield _prepared(*urls, is_native=True)
        server.drop_database(urls[0])
    else:
        wasm = TimescaleWasm()
        yield _prepared(wasm.admin_url, wasm.service_url, is_native=False)
        wasm.stop()


def _offers_timescale(url: str) -> bool:
    with psycopg.connect(url) as connection:
        query = "SELECT FROM pg_available_extensions WHERE name = 'timescaledb'"
        return connection.execute(query).rowcount > 0


def _prepared(admin_url: str, service_url: str, *, is_native: bool) -> Timescale:
    assert prepare_databases({"main": admin_url}, {"main": service_url}) == {}
    with admin_engine(admin_url).connect() as connection:
        version = TimescaleEngine().version(connection)
    return Timescale(admin_url, service_url, version, is_native)


@pytest.fixture
def timescale(database: Timescale, request: pytest.FixtureRequest) -> Timescale:
    """The database, of which each test takes a tenant: `tenant`, or more by `new_tenant`."""
    if database.is_native:
        engines.used(f"timescaledb {database.version}")
    else:
        part = request.module.__name__.rpartition(".test_")[2]
        engines.used(f"timescaledb {database.version} (WASM)", [part])
    return database


@pytest.fixture
def tenant(timescale: Timescale) -> TenantContext:
    return timescale.new_tenant()
