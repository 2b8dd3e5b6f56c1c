"""Sessions and connections that run under one database role: the core's or a tenant's.

The services log in as a role that can read nothing by itself (NOINHERIT). Each transaction begins with
`SET LOCAL ROLE`, so PostgreSQL itself refuses a neighbour's tables, and the role ends with the transaction:
what goes back to the pool carries none.

Connections are bounded by database: each pool has `pool_size` and never one more. Of those for hot reads,
which may take long, one tenant gets `pool_size - 2` at most, so that no tenant keeps all others waiting. Who
holds a transaction on the registry may open a tenant's inside it, never the other way round: a quarter of the
connections is kept for those, so that no number of requests can have each wait for what the others hold. A
backend keeps in its caches what it learned of every tenant it served, so a connection is replaced after
`MAX_LIFETIME` seconds or `MAX_TENANTS` tenants, whichever comes first.
"""

from __future__ import annotations

import asyncio
import select
import threading
import time
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from typing import Any, TypeVar
from weakref import WeakValueDictionary

import psycopg
from psycopg.rows import DictRow, dict_row
from psycopg_pool import AsyncConnectionPool, PoolTimeout
from sqlalchemy import Connection, Engine, create_engine, event, make_url, text
from sqlalchemy.exc import DisconnectionError
from sqlalchemy.exc import TimeoutError as PoolIsBusy
from sqlalchemy.orm import Session, SessionTransaction, sessionmaker
from sqlalchemy.pool import ConnectionPoolEntry, PoolProxiedConnection

from insula_tenants.context import TenantContext
from insula_tenants.errors import ConfigurationError, NoRole, TenantUnavailable
from insula_tenants.names import CORE_SCHEMA
from insula_tenants.settings import MAIN

__all__ = [
    "LINK",
    "MAIN",
    "MAX_LIFETIME",
    "MAX_TENANTS",
    "SET_ROLE",
    "AsyncDatabases",
    "Databases",
    "RoleSession",
    "sqlalchemy_engine",
]

SET_ROLE = "SELECT set_config('role', %s, true)"
"""`SET LOCAL ROLE` with its name as a parameter. With it the search path follows: it is `"$user"`."""

LONGEST_READ = 15
"""Seconds that one statement of a hot read may take: a question too large must not keep others waiting."""

SET_ROLE_BRIEFLY = "SELECT set_config('role', %s, true), set_config('statement_timeout', %s, true)"
"""`SET_ROLE`, with a limit for each statement of the transaction."""

SNAPSHOT = "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY"
SET_ROLE_FOR_READING = """
SELECT set_config('role', %s, true), set_config('statement_timeout', %s, true),
    set_config('timezone', 'UTC', true), set_config('work_mem', '32MB', true)
"""
"""`SET_ROLE_BRIEFLY`, with times in UTC and room to sort a page's readings, whatever the server is set to."""

MAX_LIFETIME = 1800.0
"""Seconds after which a connection is replaced: a backend's caches grow with each tenant it touched."""

MAX_TENANTS = 100
"""Tenants after which a pooled connection is replaced: docs/benchmarks.md has what each one costs."""

QUIET_FOR = 30.0
"""Seconds of rest after which a connection is asked whether it lives: what is between may have dropped it."""

PATIENCE = 5.0
"""Seconds that a request waits for a connection."""

LINK: dict[str, Any] = {"connect_timeout": 5, "tcp_user_timeout": 10_000, "keepalives_idle": 30}
"""How long libpq waits for a server that says nothing: seconds to connect, milliseconds for what was sent,
and seconds after which it is asked whether it still lives: a statement's own limit ends with its server."""

_SERVED = "insula_served"

T = TypeVar("T")


class RoleSession(Session):
    """A SQLAlchemy session whose every transaction runs under the role in `info["role"]`."""


@event.listens_for(RoleSession, "after_begin")
def _set_role(session: Session, _transaction: SessionTransaction, connection: Connection) -> None:
    role = session.info.get("role")
    if not role:
        raise NoRole
    connection.execute(text("SELECT set_config('role', :role, true)"), {"role": role})
    connection.info.setdefault(_SERVED, set()).add(role)


def sqlalchemy_engine(url: str, *, pool_size: int = 5, application_name: str = "insula") -> Engine:
    """An engine for a plain `postgresql://` URL, set so that no plan outlives its tenant.

    Prepared plans are off: they fail with "cached plan must not change result type" when two tenants are at
    different versions of the schema.
    """
    engine = create_engine(
        make_url(url).set(drivername="postgresql+psycopg"),
        pool_size=pool_size,
        max_overflow=0,
        pool_recycle=int(MAX_LIFETIME),
        pool_pre_ping=True,
        pool_timeout=PATIENCE,
        hide_parameters=True,  # a failed statement is logged without the values bound to it
        connect_args={"prepare_threshold": None, "application_name": application_name} | LINK,
    )
    event.listen(engine, "checkout", _replace_when_full)
    return engine


def _replace_when_full(_raw: object, entry: ConnectionPoolEntry, _proxy: PoolProxiedConnection) -> None:
    if len(entry.info.get(_SERVED, ())) >= MAX_TENANTS:
        # The pool takes this as the way to connect anew; nobody else sees it.
        raise DisconnectionError("the connection has served its number of tenants")


class Databases:
    """The databases of a deployment, by name, and the only way to a session on them."""

    def __init__(
        self, urls: Mapping[str, str], *, pool_size: int = 5, application_name: str = "insula"
    ) -> None:
        """`urls` maps a database's name to the services' URL; `main` holds the registry."""
        if MAIN not in urls:
            msg = f"no database is named {MAIN!r}"
            raise ConfigurationError(msg)
        self._engines = {
            name: sqlalchemy_engine(url, pool_size=pool_size, application_name=application_name)
            for name, url in urls.items()
        }
        self._sessions = {
            name: sessionmaker(engine, class_=RoleSession) for name, engine in self._engines.items()
        }
        self._cores = threading.BoundedSemaphore(max(1, pool_size - max(1, pool_size // 4)))
        """The connections that transactions on the registry may take; the others are tenants' alone."""

    @contextmanager
    def core(self) -> Iterator[Session]:
        """A transaction on the registry, committed at the end of the block, rolled back on an error.

        A tenant's may be opened inside it. Inside a tenant's, or another of its own, it may not be opened.
        """
        if not self._cores.acquire(timeout=PATIENCE):
            raise PoolIsBusy(f"no transaction on the registry was to be had within {PATIENCE:g} s")
        try:
            with self._sessions[MAIN](info={"role": CORE_SCHEMA}) as session, session.begin():
                yield session
        finally:
            self._cores.release()

    @contextmanager
    def tenant(self, context: TenantContext) -> Iterator[Session]:
        """A transaction in the tenant's schema, under the tenant's role, in the database it lives in.

        Raises `TenantUnavailable` when that database is not configured here.
        """
        sessions = _home(self._sessions, context)
        with sessions(info={"role": context.schema}) as session, session.begin():
            yield session

    def close(self) -> None:
        """Close every pooled connection."""
        for engine in self._engines.values():
            engine.dispose()


class _Connection(psycopg.AsyncConnection[DictRow]):
    """A pooled connection that remembers which roles it served."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.served: set[str] = set()
        self.used_at = time.monotonic()

    def is_quiet(self) -> bool:
        """Whether its server said nothing since it was used, which was not long ago.

        A server that ends a connection says so, or its machine does: there is something to read.
        """
        if time.monotonic() - self.used_at > QUIET_FOR:
            return False
        poll = select.poll()
        poll.register(self.fileno(), select.POLLIN)
        return not poll.poll(0)


async def _check(connection: _Connection) -> None:
    """Whether a connection may be handed out: it lives, and has room for tenants. Else it is replaced."""
    if len(connection.served) >= MAX_TENANTS:
        await connection.close()
    elif connection.is_quiet():
        return  # asking would take as long as a statement
    await AsyncConnectionPool.check_connection(connection)


class AsyncDatabases:
    """Pools of asynchronous psycopg connections for the hot reads, by database name."""

    def __init__(
        self, urls: Mapping[str, str], *, pool_size: int = 5, application_name: str = "insula"
    ) -> None:
        """The pools open with `open()`, inside the event loop that uses them."""
        self._share = max(1, pool_size - 2)
        self._shares: WeakValueDictionary[str, asyncio.Semaphore] = WeakValueDictionary()
        """By tenant's role, while it uses connections or waits for one."""
        self._pools: dict[str, AsyncConnectionPool[_Connection]] = {
            name: AsyncConnectionPool(
                url,
                connection_class=_Connection,
                kwargs={
                    "prepare_threshold": None,
                    "row_factory": dict_row,
                    "application_name": application_name,
                }
                | LINK,
                min_size=1,
                max_size=pool_size,
                max_lifetime=MAX_LIFETIME,
                timeout=PATIENCE,
                # After this it tries again when somebody asks, not after ever longer waits.
                reconnect_timeout=PATIENCE,
                check=_check,
                open=False,
                name=f"{application_name}-{name}",
            )
            for name, url in urls.items()
        }

    async def open(self) -> None:
        """Open the pools; connections are made in the background."""
        for pool in self._pools.values():
            await pool.open()

    async def close(self) -> None:
        """Close the pools and their connections."""
        for pool in self._pools.values():
            await pool.close()

    @asynccontextmanager
    async def tenant(self, context: TenantContext) -> AsyncIterator[psycopg.AsyncConnection[DictRow]]:
        """A connection inside a transaction under the tenant's role, in the database the tenant lives in.

        Statements are pipelined: what is wrong with one is raised when its rows are fetched, or at the end.
        Raises `TenantUnavailable` when that database is not configured here.
        """
        pool = _home(self._pools, context)
        async with (
            self._within_share(context.schema),
            self._transaction(pool, context.schema) as connection,
        ):
            yield connection

    @asynccontextmanager
    async def snapshot(self, context: TenantContext) -> AsyncIterator[psycopg.AsyncConnection[DictRow]]:
        """As `tenant`, but all statements of the transaction see one state of the database, and only read it.

        Times come back in UTC.
        """
        pool = _home(self._pools, context)
        async with (
            self._within_share(context.schema),
            self._transaction(pool, context.schema, snapshot=True) as connection,
        ):
            yield connection

    @asynccontextmanager
    async def core(self) -> AsyncIterator[psycopg.AsyncConnection[DictRow]]:
        """A connection inside a transaction under the core's role."""
        async with self._transaction(self._pools[MAIN], CORE_SCHEMA) as connection:
            yield connection

    @asynccontextmanager
    async def _within_share(self, role: str) -> AsyncIterator[None]:
        """A block that takes one connection of a tenant's share. Raises `PoolTimeout`, as the pool does."""
        share = self._shares.get(role)
        if share is None:
            share = self._shares[role] = asyncio.Semaphore(self._share)
        try:
            async with asyncio.timeout(PATIENCE):
                await share.acquire()
        except TimeoutError:
            raise PoolTimeout(f"{role} has {self._share} questions open: no more are asked at once") from None
        try:
            yield
        finally:
            share.release()

    @asynccontextmanager
    async def _transaction(
        self, pool: AsyncConnectionPool[_Connection], role: str, *, snapshot: bool = False
    ) -> AsyncIterator[psycopg.AsyncConnection[DictRow]]:
        # In a pipeline BEGIN and the role travel with the first statement: one round trip for three or four.
        async with pool.connection() as connection, connection.pipeline(), connection.transaction():
            if snapshot:
                await connection.execute(SNAPSHOT)  # before the first query, which would fix what is seen
            begin = SET_ROLE_FOR_READING if snapshot else SET_ROLE_BRIEFLY
            await connection.execute(begin, (role, f"{LONGEST_READ}s"))
            connection.served.add(role)
            yield connection
            connection.used_at = time.monotonic()


def _home(databases: Mapping[str, T], context: TenantContext) -> T:
    """What is kept for the database that the tenant lives in."""
    found = databases.get(context.database)
    if found is None:
        raise TenantUnavailable(
            f"tenant {context.slug!r} lives in the database {context.database!r}, which is not configured "
            "here: add it to INSULA_DATABASE_URLS"
        )
    return found
