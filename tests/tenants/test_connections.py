"""Connections are bounded whatever the number of tenants, and none serves so many that its backend grows."""

from __future__ import annotations

import asyncio
import secrets
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import httpx
import psycopg
import pytest
from fastapi import FastAPI
from sqlalchemy import text

from insula_platform import problems
from insula_tenants import database
from insula_tenants.context import TenantContext
from insula_tenants.database import AsyncDatabases, Databases
from insula_tenants.migrate import head
from insula_tenants.registry import resolve_tenant
from tests.conftest import Deployment
from tests.servers.platform import listen, serving
from tests.tenants.crowd import crowd_of

TENANTS, SESSIONS, BOUND = 50, 300, 4


@pytest.fixture(scope="module")
def tenants(deployment: Deployment) -> Iterator[list[TenantContext]]:
    slugs = [f"pooled-{number:02}" for number in range(TENANTS)]
    with crowd_of(deployment, slugs, head("tenant")):
        with deployment.databases.core() as core:
            contexts = [resolve_tenant(core, slug) for slug in slugs]
        yield contexts


class Watch:
    """Counts the backends of an application, again and again."""

    def __init__(self, admin_url: str) -> None:
        self.application = f"watched-{secrets.token_hex(4)}"
        self.most = self.looks = 0
        self._admin_url = admin_url
        self._ended = threading.Event()

    @contextmanager
    def running(self) -> Iterator[None]:
        thread = threading.Thread(target=self._look)
        thread.start()
        try:
            yield
        finally:
            self._ended.set()
            thread.join(10)

    def _look(self) -> None:
        query = "SELECT count(*) FROM pg_stat_activity WHERE application_name = %s"
        with psycopg.connect(self._admin_url, autocommit=True) as connection:
            while not self._ended.wait(0.002):
                row = connection.execute(query, (self.application,)).fetchone()
                assert row is not None
                self.most, self.looks = max(self.most, row[0]), self.looks + 1


def test_threads_share_a_bounded_number_of_connections(deployment: Deployment, tenants: list[TenantContext]):
    watch = Watch(deployment.admin_url)
    databases = Databases(
        {"main": deployment.service_url}, pool_size=BOUND, application_name=watch.application
    )
    together = threading.Barrier(SESSIONS)

    def serve(number: int) -> bool:
        context = tenants[number % TENANTS]
        together.wait(30)
        with databases.tenant(context) as session:
            session.execute(text("SELECT pg_sleep(0.001)"))
            return session.scalar(text("SELECT current_user")) == context.schema

    with watch.running(), ThreadPoolExecutor(SESSIONS) as threads:
        assert all(threads.map(serve, range(SESSIONS)))
    databases.close()
    assert watch.looks > 3
    assert watch.most == BOUND


def test_tasks_share_a_bounded_number_of_connections(deployment: Deployment, tenants: list[TenantContext]):
    watch = Watch(deployment.admin_url)

    async def serve_all() -> list[bool]:
        pools = AsyncDatabases(
            {"main": deployment.service_url}, pool_size=BOUND, application_name=watch.application
        )
        await pools.open()

        async def serve(context: TenantContext) -> bool:
            async with pools.tenant(context) as connection:
                await connection.execute("SELECT pg_sleep(0.002)")
                row = await (await connection.execute("SELECT current_user AS me")).fetchone()
                return row is not None and row["me"] == context.schema

        answers = await asyncio.gather(*(serve(tenants[number % TENANTS]) for number in range(SESSIONS)))
        await pools.close()
        return answers

    with watch.running():
        assert all(asyncio.run(serve_all()))
    assert watch.looks > 3
    assert watch.most == BOUND


@pytest.mark.parametrize(("served", "backends"), [(25, 3), (1, 1)])
def test_a_connection_is_replaced_after_so_many_tenants_not_after_so_many_sessions(
    deployment: Deployment,
    tenants: list[TenantContext],
    monkeypatch: pytest.MonkeyPatch,
    served: int,
    backends: int,
):
    monkeypatch.setattr(database, "MAX_TENANTS", 10)
    databases = Databases({"main": deployment.service_url}, pool_size=1)
    seen = []
    for number in range(25):
        with databases.tenant(tenants[number % served]) as session:
            seen.append(session.scalar(text("SELECT pg_backend_pid()")))
    databases.close()
    assert len(set(seen)) == backends


@pytest.mark.parametrize(("served", "backends"), [(25, 3), (1, 1)])
def test_an_asynchronous_connection_is_replaced_likewise(
    deployment: Deployment,
    tenants: list[TenantContext],
    monkeypatch: pytest.MonkeyPatch,
    served: int,
    backends: int,
):
    monkeypatch.setattr(database, "MAX_TENANTS", 10)

    async def serve() -> list[int]:
        pools = AsyncDatabases({"main": deployment.service_url}, pool_size=1)
        await pools.open()
        seen = []
        for number in range(25):
            async with pools.tenant(tenants[number % served]) as connection:
                seen.append(connection.info.backend_pid)
        await pools.close()
        return seen

    assert len(set(asyncio.run(serve()))) == backends


def test_a_connection_that_grew_old_is_replaced(
    deployment: Deployment, tenants: list[TenantContext], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(database, "MAX_LIFETIME", 0.0)
    databases = Databases({"main": deployment.service_url}, pool_size=1)
    seen = []
    for _ in range(2):
        with databases.tenant(tenants[0]) as session:
            seen.append(session.scalar(text("SELECT pg_backend_pid()")))
    databases.close()
    assert len(set(seen)) == 2


@pytest.mark.parametrize("quiet_for", [0.0, 60.0])
def test_an_asynchronous_connection_that_its_server_ended_is_replaced_before_it_serves(
    deployment: Deployment,
    tenants: list[TenantContext],
    monkeypatch: pytest.MonkeyPatch,
    quiet_for: float,
):
    monkeypatch.setattr(database, "QUIET_FOR", quiet_for)

    async def serve() -> list[int]:
        pools = AsyncDatabases({"main": deployment.service_url}, pool_size=1)
        await pools.open()
        seen = []
        for _ in range(3):
            async with pools.tenant(tenants[0]) as connection:
                row = await (await connection.execute("SELECT pg_backend_pid() AS pid")).fetchone()
            assert row is not None
            seen.append(row["pid"])
            if len(seen) == 2:
                administrator.execute("SELECT pg_terminate_backend(%s, 5000)", (row["pid"],))
        await pools.close()
        return seen

    with psycopg.connect(deployment.admin_url, autocommit=True) as administrator:
        first, second, third = asyncio.run(serve())
    assert first == second != third


def test_what_is_wrong_with_a_pipelined_statement_is_told_and_the_connection_serves_on(
    deployment: Deployment, tenants: list[TenantContext]
):
    async def serve() -> list[int]:
        pools = AsyncDatabases({"main": deployment.service_url}, pool_size=1)
        await pools.open()
        seen = []
        for query in (
            "SELECT pg_backend_pid() AS pid",
            "SELECT 1 / 0 AS pid",
            "SELECT pg_backend_pid() AS pid",
        ):
            try:
                async with pools.snapshot(tenants[0]) as connection:
                    row = await (await connection.execute(query)).fetchone()
            except psycopg.errors.DivisionByZero:
                seen.append(0)
            else:
                assert row is not None
                seen.append(row["pid"])
        await pools.close()
        return seen

    first, failed, last = asyncio.run(serve())
    assert failed == 0 < first == last


def test_a_request_that_finds_no_free_connection_is_told_to_come_back(
    deployment: Deployment, tenants: list[TenantContext], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(database, "PATIENCE", 0.05)
    databases = Databases({"main": deployment.service_url}, pool_size=1)
    app = FastAPI()
    problems.install(app)

    @app.get("/")
    def ask() -> str:
        with databases.tenant(tenants[0]) as session:
            return str(session.scalar(text("SELECT current_user")))

    with listen() as listener, serving(app, listener):
        url = f"http://127.0.0.1:{listener.getsockname()[1]}/"
        with databases.tenant(tenants[1]) as session:
            session.execute(text("SELECT 1"))
            answer = httpx.get(url)
        assert answer.status_code == 503
        assert answer.headers["retry-after"] == "5"
        assert httpx.get(url).json() == tenants[0].schema
    databases.close()
