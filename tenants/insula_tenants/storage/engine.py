"""Which storage engine a database has, and what every engine must be able to do."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol

from sqlalchemy import Connection, text

from insula_tenants.storage.rollups import Rollup

FUNCTIONS_SCHEMA = "insula_functions"
"""Schema of the few functions that every tenant's queries may call, such as `time_bucket`."""


@dataclass(frozen=True, slots=True)
class Piece:
    """A chunk or partition of the readings, or of a rollup that is laid out in such."""

    table: str
    """The piece itself, with its schema, quoted: what the engine's methods take."""
    relation: str
    """`readings`, or the name of a rollup."""
    starting: datetime
    ending: datetime
    rows: int
    """As the server estimates them."""
    bytes: int
    """On disk, with indexes."""
    compressed: bool
    partial: bool
    """Compressed, but for rows that came later."""


class StorageEngine(Protocol):
    """How one engine lays out readings, and what it does with them.

    Where a schema is not named, it is the one on the connection's search path.
    """

    name: str
    """`timescaledb` or `postgresql`, as shown to operators."""
    compresses: bool
    """Whether readings can be compressed."""

    def version(self, connection: Connection) -> str:
        """The engine's version, as the server tells it."""

    def create_functions(self, connection: Connection) -> None:
        """Create `insula_functions.time_bucket(width interval, time timestamptz, time_zone text)`.

        Its buckets are aligned like TimescaleDB's, in local time of `time_zone`: to midnight of Monday
        3 January 2000, or for widths in months to 1 January 2000. Buckets shorter than a day keep the two
        hours apart that have the same name when summer time ends.
        """

    def create_readings(self, connection: Connection) -> None:
        """Create the table `readings` and the function `ensure_readings_range(from, to)` beside it.

        The function makes room for readings of that half-open range; where the engine makes room by
        itself, it does nothing.
        """

    def create_rollups(self, connection: Connection) -> None:
        """Create the rollups beside `readings`, empty; let old readings be compressed where they can be."""

    def refresh(self, connection: Connection, rollup: Rollup, starting: datetime, ending: datetime) -> None:
        """Make the rollup's buckets in `[starting, ending)` anew from its source; both are edges of buckets.

        `connection` must be in autocommit mode, as the owner.
        """

    def pieces(self, connection: Connection) -> list[Piece]:
        """Chunks and partitions, by relation and time."""

    def rollup_bytes(self, connection: Connection) -> int:
        """Bytes of all rollups on disk, with indexes."""

    def compress(self, connection: Connection, piece: Piece) -> None:
        """Compress a piece, or what came to a compressed one since. Only where `compresses`."""

    def drop(self, connection: Connection, piece: Piece) -> None:
        """Drop a piece of the raw readings. Rollups stay."""

    def resize(self, connection: Connection, span: timedelta) -> None:
        """Let chunks of readings that are made from now on span so long, where that can be chosen."""


CREATE_TIME_INDEX = "CREATE INDEX readings_time ON readings USING brin (time) WITH (autosummarize = on)"
"""For reading a short stretch of all points, as a refresh does: readings come nearly in order of time, so an
index of a few pages finds it."""

SHORT_BUCKET = """(
    date_bin(width, at AT TIME ZONE time_zone, timestamp '2000-01-03')
    - ((at AT TIME ZONE time_zone) - (at AT TIME ZONE 'UTC'))
) AT TIME ZONE 'UTC'"""
"""A bucket shorter than a day: aligned in local time, then moved back by the reading's own offset."""


def detect_engine(connection: Connection) -> StorageEngine:
    """The engine of this database: TimescaleDB when the extension is installed in it."""
    from insula_tenants.storage.partitions import PartitionEngine
    from insula_tenants.storage.timescale import TimescaleEngine

    installed = connection.scalar(text("SELECT 1 FROM pg_extension WHERE extname = 'timescaledb'"))
    return TimescaleEngine() if installed else PartitionEngine()


def install_extension(connection: Connection) -> None:
    """Install TimescaleDB into this database when the server offers it and the administrator may."""
    offered = connection.scalar(
        text(
            "SELECT 1 FROM pg_available_extensions WHERE name = 'timescaledb' AND installed_version IS NULL"
            " AND current_setting('shared_preload_libraries') LIKE '%timescaledb%'"
        )
    )
    if offered:
        connection.exec_driver_sql("CREATE EXTENSION IF NOT EXISTS timescaledb SCHEMA public")
