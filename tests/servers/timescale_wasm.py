"""TimescaleDB in WebAssembly, for machines whose PostgreSQL has no such extension.

It is enough for SQL: tables, aggregates, compression, retention, answers. It has one session and no `COPY`,
and everybody is its superuser: what needs two connections or a login of its own is tested elsewhere.
"""

from __future__ import annotations

import subprocess
from pathlib import Path

from tests.servers.programs import program, unavailable

_PGLITE = Path(__file__).parent / "pglite"


class TimescaleWasm:
    """One server with one database, as a child process that takes all data with it."""

    def __init__(self) -> None:
        if not (_PGLITE / "node_modules").is_dir():
            unavailable("PGlite is not installed: run make pglite")
        self._process = subprocess.Popen(
            [program("node", "nodejs"), str(_PGLITE / "server.mjs")],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        assert self._process.stdout
        port = self._process.stdout.readline().decode().strip()
        assert port, f"PGlite did not start: exit code {self._process.wait(10)}"
        address = f"any@127.0.0.1:{port}/postgres?sslmode=disable"
        self.admin_url = f"postgresql://postgres:{address}"
        self.service_url = f"postgresql://insula_service:{address}"

    def stop(self) -> None:
        """End the process."""
        self._process.communicate(timeout=10)
