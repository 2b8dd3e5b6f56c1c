"""Write batches: a transaction each; when one is refused, find whose part it is, and store the others'."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, field

import psycopg

from insula_ingest.batch import Part, dead_letters_of
from insula_ingest.outages import Outages
from insula_ingest.tenants import TenantRegistry
from insula_ingest.writer.home import Home
from insula_tenants.telemetry.write import TelemetryWriter

log = logging.getLogger(__name__)

_OF_ONE_TENANT = (
    psycopg.errors.QueryCanceled,
    psycopg.errors.LockNotAvailable,
    psycopg.errors.ConfigurationLimitExceeded,
    psycopg.errors.ProgramLimitExceeded,
)
"""Operational errors of a database that answers: one tenant's tables are locked, or its rows too much."""


@dataclass(slots=True)
class Outcome:
    """What became of the parts of a batch."""

    stored: list[Part] = field(default_factory=list)
    gone: list[Part] = field(default_factory=list)
    """Of tenants that are there no more."""
    held: list[tuple[Part, str]] = field(default_factory=list)
    """Those that cannot be stored at the moment, and why."""


class Store:
    """Writes to one database. Used by one thread."""

    def __init__(self, home: Home, tenants: TenantRegistry, outages: Outages) -> None:
        """Nothing is connected before `write`."""
        self._home = home
        self._tenants = tenants
        self._outages = outages

    def write(self, parts: Sequence[Part]) -> Outcome:
        """Store the parts. Raises `DatabaseAway`; nothing is lost by doing it again then."""
        try:
            with self._outages.watching(self._home.name):
                return self._write(self._home.open(), parts)
        except BaseException:
            self._home.close()
            raise
        finally:
            self._home.done()

    def _write(self, writer: TelemetryWriter, parts: Sequence[Part]) -> Outcome:
        outcome = Outcome()
        try:
            writer.write([part.batch for part in parts])
        except psycopg.Error as error:
            if _is_outage(error):
                raise
            for part in parts:
                self._write_alone(self._home.open(), part, outcome)  # each has the time of a whole write
        else:
            outcome.stored += parts
        return outcome

    def _write_alone(self, writer: TelemetryWriter, part: Part, outcome: Outcome) -> None:
        try:
            writer.write([part.batch])
        except psycopg.Error as error:
            if _is_outage(error):
                raise
            reason = str(error).splitlines()[0]
            if isinstance(error, _OF_ONE_TENANT):  # it may go by: nothing is wrong with the messages
                outcome.held.append((part, reason))
                return
        else:
            outcome.stored.append(part)
            return
        if self._tenants.is_gone(part.tenant, part.batch.context):
            outcome.gone.append(part)
            return
        log.error("the database refuses a batch of tenant %s: %s", part.tenant.slug, reason)
        part.batch = dead_letters_of(part, part.messages, reason)
        part.values = 0
        try:
            writer.write([part.batch])
        except psycopg.Error as error:
            if _is_outage(error):
                raise
            outcome.held.append((part, reason))
        else:
            outcome.stored.append(part)


def _is_outage(error: psycopg.Error) -> bool:
    """Whether the database is away, so that nobody's part can be written."""
    return isinstance(error, (psycopg.OperationalError, psycopg.InterfaceError)) and not isinstance(
        error, _OF_ONE_TENANT
    )
