"""Administrators' connections to the databases of a deployment, by name."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from sqlalchemy import Engine, text
from sqlalchemy.orm import Session

from insula_tenants.errors import ConfigurationError, InvalidInput
from insula_tenants.migrate import admin_engine
from insula_tenants.names import CORE_SCHEMA
from insula_tenants.settings import MAIN


class Administration:
    """The one place that opens administrators' connections: schemas, roles and extensions change by these."""

    def __init__(self, urls: Mapping[str, str]) -> None:
        """`urls` maps a database's name to the administrator's URL; `main` holds the registry."""
        if MAIN not in urls:
            msg = f"no database is named {MAIN!r}"
            raise ConfigurationError(msg)
        self._engines = {name: admin_engine(url) for name, url in urls.items()}

    @property
    def registry(self) -> Engine:
        """The database that holds the registry."""
        return self._engines[MAIN]

    def database(self, name: str) -> Engine:
        """The named database; `InvalidInput` when there is none."""
        if name not in self._engines:
            raise InvalidInput(
                "database", f"there is no database {name!r}: use {', '.join(sorted(self._engines))}"
            )
        return self._engines[name]

    @contextmanager
    def core(self) -> Iterator[Session]:
        """A transaction on the registry under the core's own role, as `Databases.core` gives it."""
        with Session(self.registry) as session, session.begin():
            session.execute(
                text("SELECT set_config('role', :role, true), set_config('search_path', :role, true)"),
                {"role": CORE_SCHEMA},
            )
            yield session

    def close(self) -> None:
        """Close what is open."""
        for engine in self._engines.values():
            engine.dispose()
