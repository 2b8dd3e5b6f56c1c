"""Tenants share connections, and nothing of one stays on them for the next: whatever happened in between."""

from __future__ import annotations

import asyncio
import random
import threading
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, asynccontextmanager, contextmanager, suppress
from typing import Any

import psycopg
import pytest
from psycopg.rows import dict_row
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from insula_tenants.context import TenantContext
from insula_tenants.database import AsyncDatabases, Databases
from insula_tenants.devices import list_devices
from insula_tenants.telemetry import read
from insula_tenants.telemetry.buckets import Width, bucket_starts
from insula_tenants.telemetry.read import Answer, Buckets, ReadingsQuery, read_latest, read_readings
from tests.attacks.conftest import READ_AT, House
from tests.conftest import Deployment

POOL = 3
REQUESTS = 200

STATE = """
SELECT session_user::text AS login, current_user::text AS role, current_setting('role') AS role_setting,
    current_setting('search_path') AS path, pg_my_temp_schema()::int AS temp_schema,
    (SELECT count(*) FROM pg_prepared_statements) AS plans,
    (SELECT count(*) FROM pg_locks WHERE pid = pg_backend_pid() AND locktype = 'advisory') AS locks,
    (SELECT count(*) FROM pg_listening_channels()) AS channels,
    (SELECT count(*) FROM pg_cursors WHERE is_holdable) AS cursors,
    (SELECT count(*) FROM pg_settings
     -- PostgreSQL itself puts a transaction's own two back, and still says that the session has set them.
     WHERE source = 'session' AND (name, setting) NOT IN
        (('transaction_isolation', 'read committed'), ('transaction_read_only', 'off'))) AS settings
"""
CLEAN = {
    "login": "insula_service",
    "role": "insula_service",
    "role_setting": "none",
    "path": '"$user"',
    "temp_schema": 0,
    "plans": 0,
    "locks": 0,
    "channels": 0,
    "cursors": 0,
    "settings": 0,
}


class Abandoned(Exception):
    """A request that fails in the middle."""


@contextmanager
def sync_pool(deployment: Deployment) -> Iterator[Databases]:
    """A small pool; at the end, every connection in it must be clean."""
    databases = Databases({"main": deployment.service_url}, pool_size=POOL)
    engine = databases._engines["main"]
    try:
        yield databases
        with ExitStack() as stack:
            for _ in range(POOL):
                connection = stack.enter_context(engine.connect())
                assert dict(connection.execute(text(STATE)).mappings().one()) == CLEAN
    finally:
        databases.close()


@asynccontextmanager
async def async_pool(deployment: Deployment) -> AsyncIterator[AsyncDatabases]:
    """The same of the asynchronous reads."""
    databases = AsyncDatabases({"main": deployment.service_url}, pool_size=POOL)
    await databases.open()
    pool = databases._pools["main"]
    try:
        yield databases
        connections = [await pool.getconn() for _ in range(POOL)]
        for connection in connections:
            row = await (await connection.execute(STATE)).fetchone()
            assert row == CLEAN
            await pool.putconn(connection)
    finally:
        await databases.close()


def ask(databases: Databases, house: House, incident: str) -> None:
    """One request of a tenant on the sync path, with an incident in the middle."""
    with databases.tenant(house.context) as session:
        if incident == "savepoint":
            with pytest.raises(DBAPIError), session.begin_nested():
                session.execute(text("SELECT 1 / 0"))
        if incident == "neighbour":
            with pytest.raises(DBAPIError, match="permission denied"), session.begin_nested():
                session.execute(text("SELECT * FROM insula.tenants"))
        if incident == "cursor":
            many = text("SELECT generate_series(1, 10000)").execution_options(yield_per=10)
            with session.execute(many) as result:
                next(iter(result))
        devices = [device.id for device in list_devices(session, limit=1000)]
        assert house.device in devices
        assert session.scalar(text("SELECT current_user")) == house.context.schema
        if incident == "exception":
            raise Abandoned
        if incident == "sql error":
            session.execute(text("SELECT * FROM nowhere"))
        if incident == "commit":
            session.commit()


def test_requests_that_need_registry_and_tenant_at_a_time_do_not_starve_each_other(
    deployment: Deployment, acme: House
):
    together = threading.Barrier(POOL)

    def onboard(_: int) -> str:
        with databases.core() as core:
            core.execute(text("SELECT 1"))
            with suppress(threading.BrokenBarrierError):  # as many as can, hold the registry at this moment
                together.wait(0.5)
            with databases.tenant(acme.context) as session:
                return str(session.scalar(text("SELECT current_user")))

    with sync_pool(deployment) as databases, ThreadPoolExecutor(3 * POOL) as threads:
        assert set(threads.map(onboard, range(3 * POOL))) == {acme.context.schema}


def test_two_hundred_sync_requests_each_see_their_own_tenant(
    deployment: Deployment, acme: House, globex: House
):
    incidents = ("none", "savepoint", "neighbour", "cursor", "exception", "sql error", "commit")
    with sync_pool(deployment) as databases, ThreadPoolExecutor(POOL + 3) as threads:
        asked = [
            threads.submit(ask, databases, (acme, globex)[number % 2], incidents[number % len(incidents)])
            for number in range(REQUESTS)
        ]
        failed = [error for request in asked if (error := request.exception()) is not None]
    assert {type(error).__name__ for error in failed} == {"Abandoned", "ProgrammingError"}
    assert len(failed) == sum(
        incidents[number % 7] in {"exception", "sql error"} for number in range(REQUESTS)
    )


async def ask_async(databases: AsyncDatabases, house: House, incident: str) -> None:
    """One request of a tenant on the async path."""
    async with databases.tenant(house.context) as connection:
        if incident == "slow":
            await connection.execute("SELECT pg_sleep(0.05)")
        if incident == "stuck":
            await connection.execute("SELECT pg_sleep(30)")
        if incident == "savepoint":
            with pytest.raises(psycopg.errors.DivisionByZero):
                async with connection.transaction():
                    await connection.execute("SELECT 1 / 0")
        if incident == "pipeline":
            async with connection.pipeline():
                await connection.execute("SELECT 1")
        rows = await read_latest(connection)
        assert {row["value"] for row in rows} == {house.value}
        row = await (await connection.execute("SELECT current_user::text AS role")).fetchone()
        assert row == {"role": house.context.schema}
        if incident == "exception":
            raise Abandoned
        if incident == "sql error":
            await connection.execute("SELECT * FROM nowhere")


def test_two_hundred_async_requests_each_see_their_own_tenant_though_many_are_cancelled(
    deployment: Deployment, acme: House, globex: House
):
    incidents = ("none", "slow", "savepoint", "pipeline", "exception", "sql error", "stuck")
    chosen = [incidents[number % len(incidents)] for number in range(REQUESTS)]
    dice = random.Random(7)

    async def one(databases: AsyncDatabases, number: int) -> str:
        work = ask_async(databases, (acme, globex)[number % 2], chosen[number])
        # What is stuck is cancelled for sure, some of the rest at any moment, in the pool's queue too.
        patience = 0.02 if chosen[number] == "stuck" else dice.choice([None, None, None, 0.05])
        try:
            async with asyncio.timeout(patience):
                await work
        except (TimeoutError, Abandoned, psycopg.errors.UndefinedTable) as error:
            return type(error).__name__
        return "answered"

    async def all_of_them() -> list[str]:
        async with async_pool(deployment) as databases:
            return await asyncio.gather(*(one(databases, number) for number in range(REQUESTS)))

    ended = asyncio.run(all_of_them())
    for number, how in enumerate(ended):
        assert chosen[number] != "stuck" or how == "TimeoutError"
    assert {"answered", "Abandoned", "UndefinedTable", "TimeoutError"} == set(ended)


def test_a_tenant_that_asks_much_at_once_leaves_connections_to_its_neighbours(
    deployment: Deployment, acme: House, globex: House
):
    async def scenario() -> None:
        go = asyncio.Event()

        async def hold(databases: AsyncDatabases) -> None:
            async with databases.tenant(acme.context):
                await go.wait()

        async with async_pool(deployment) as databases:
            held = [asyncio.create_task(hold(databases)) for _ in range(POOL + 2)]
            await asyncio.sleep(0.3)
            for _ in range(3):
                await ask_async(databases, globex, "none")
            go.set()
            await asyncio.gather(*held)

    asyncio.run(scenario())


def test_a_question_of_many_buckets_is_planned_while_others_are_answered(
    deployment: Deployment, acme: House, globex: House, monkeypatch: pytest.MonkeyPatch
):
    planning, answered = threading.Event(), threading.Event()

    def at_length(*question: Any) -> list[int]:
        planning.set()
        assert answered.wait(10), "nobody is answered meanwhile"
        return bucket_starts(*question)

    monkeypatch.setattr(read, "bucket_starts", at_length)

    async def many(databases: AsyncDatabases) -> Answer:
        query = ReadingsQuery([acme.point], *READ_AT)
        async with databases.snapshot(acme.context) as connection:
            return await read_readings(connection, query, Buckets(Width(3600), "mean", "UTC"))

    async def scenario() -> None:
        async with async_pool(deployment) as databases:
            asked = asyncio.create_task(many(databases))
            await asyncio.to_thread(planning.wait, 10)
            await ask_async(databases, globex, "none")
            answered.set()
            assert [value for *_, value in (await asked).rows] == [acme.value]

    asyncio.run(scenario())


@pytest.mark.parametrize("moment", ["before the role", "after the role", "in a query"])
def test_a_request_cancelled_at_any_moment_leaves_a_clean_connection(
    deployment: Deployment, acme: House, globex: House, moment: str
):
    """The role is set by a round trip of its own: cancelled there, the connection must not keep it."""

    async def cancelled(databases: AsyncDatabases) -> None:
        begun = asyncio.Event()

        async def work() -> None:
            if moment == "before the role":
                begun.set()
            async with databases.tenant(acme.context) as connection:
                begun.set()
                if moment == "in a query":
                    await connection.execute("SELECT pg_sleep(30)")
                await asyncio.sleep(30)

        task = asyncio.create_task(work())
        await begun.wait()
        for _ in range(1 if moment == "before the role" else 3):
            await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    async def scenario() -> None:
        async with async_pool(deployment) as databases:
            for _ in range(4):
                await cancelled(databases)
                await ask_async(databases, globex, "none")

    asyncio.run(scenario())


def test_a_connection_that_dies_in_a_request_is_replaced_by_a_clean_one(
    deployment: Deployment, administrator: psycopg.Connection, acme: House, globex: House
):
    def killed(databases: Databases, context: TenantContext) -> None:
        with databases.tenant(context) as session:
            pid = session.scalar(text("SELECT pg_backend_pid()"))
            administrator.execute("SELECT pg_terminate_backend(%s, 5000)", (pid,))
            session.execute(text("SELECT 1"))

    with sync_pool(deployment) as databases:
        for house, neighbour in ((acme, globex), (globex, acme)):
            with pytest.raises(DBAPIError):
                killed(databases, house.context)
            ask(databases, neighbour, "none")


def test_the_state_that_these_tests_look_at_shows_what_would_stay(deployment: Deployment, acme: House):
    """Each item is dirty for somebody who means it: the checks above can fail."""
    dirt: dict[str, Any] = {
        "role": "SET ROLE tenant_acme",
        "path": "SET search_path = public",
        "plans": "PREPARE p AS SELECT 1",
        "locks": "SELECT pg_advisory_lock(1)",
        "channels": "LISTEN c",
        "cursors": "DECLARE c CURSOR WITH HOLD FOR SELECT 1",
        "settings": "SET statement_timeout = 0",
    }
    for item, statement in dirt.items():
        with psycopg.connect(deployment.service_url, autocommit=True) as one:
            one.execute(statement)  # type: ignore[call-overload]
            row = one.cursor(row_factory=dict_row).execute(STATE).fetchone()
            assert row is not None
            assert row[item] != CLEAN[item]
