"""Rows of a tenant's tables between PostgreSQL and lines of JSON. PostgreSQL does both conversions itself."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator

import psycopg
from psycopg import sql

from insula_tenants.bundle.manifest import TABLES, BundleRefused

MAX_LINE_BYTES = 4 * 1024 * 1024
_BATCH_BYTES = 1024 * 1024

_UNSTORABLE = (
    psycopg.DataError,
    psycopg.IntegrityError,
    psycopg.errors.ProgramLimitExceeded,
    psycopg.errors.StatementTooComplex,
    UnicodeDecodeError,
)
"""What PostgreSQL says of a row that no tenant can have."""

_COLUMNS = """
SELECT attname FROM pg_attribute
WHERE attrelid = to_regclass(%s) AND attnum > 0 AND NOT attisdropped AND attgenerated = ''
ORDER BY attnum
"""


def lines_of(connection: psycopg.Connection, table: str) -> Iterator[bytes]:
    """Each row of `table` as a line of JSON, by id, through a cursor on the server."""
    with connection.cursor(name="bundle_rows") as cursor:
        cursor.itersize = 200
        cursor.execute(
            sql.SQL("SELECT row_to_json(one)::text FROM {} AS one ORDER BY id").format(sql.Identifier(table))
        )
        for (line,) in cursor:
            yield line.encode() + b"\n"


def insert_lines(
    connection: psycopg.Connection, table: str, lines: Iterable[bytes], *, older: bool = False
) -> int:
    """Insert a row for each line, ids as they are; returns the rows.

    With `older` the lines may lack columns that were added since: those get their defaults. Which ones is
    told by the first line, as an export writes the same of each row. Raises `BundleRefused` for lines that
    are no such row.
    """
    names = [name for (name,) in connection.execute(_COLUMNS, (table,))]
    statement = None if older else _insertion(table, names)
    rows = 0
    for batch in _batches(lines):
        if statement is None:
            told = parse_line(batch[0], table)
            if "id" not in told:
                raise BundleRefused(f"a row of {table} has no id")
            statement = _insertion(table, [name for name in names if name in told])
        array = b"[" + b",".join(batch) + b"]"
        try:
            inserted = connection.execute(statement, (array.decode(),)).rowcount
        except _UNSTORABLE as error:
            raise BundleRefused(f"a row of {table} cannot be stored: {_first_line(error)}") from None
        if inserted != len(batch):
            raise BundleRefused(f"the lines of {table} are not one row each")
        rows += inserted
    return rows


def _insertion(table: str, columns: Iterable[str]) -> sql.Composed:
    return sql.SQL(
        "INSERT INTO {table} ({columns}) OVERRIDING SYSTEM VALUE"
        " SELECT {columns} FROM jsonb_populate_recordset(NULL::{table}, %b::jsonb)"
    ).format(table=sql.Identifier(table), columns=sql.SQL(", ").join(map(sql.Identifier, columns)))


def advance_identities(connection: psycopg.Connection) -> None:
    """Let the next row of each table get an id after those that were inserted. Needs the owner's rights."""
    for table in TABLES:
        highest = connection.execute(
            sql.SQL("SELECT coalesce(max(id), 0) FROM {}").format(sql.Identifier(table))
        ).fetchone()
        connection.execute(
            "SELECT setval(pg_get_serial_sequence(%s, 'id'), %s, false)",
            (table, (highest[0] if highest else 0) + 1),
        )


def parse_line(line: bytes, table: str) -> dict[str, object]:
    """The object in a line; `BundleRefused` when it holds none."""
    try:
        row = json.loads(line)
    except (ValueError, RecursionError):
        row = None
    if not isinstance(row, dict):
        raise BundleRefused(f"a line of {table} is no JSON object")
    return row


def _batches(lines: Iterable[bytes]) -> Iterator[list[bytes]]:
    batch: list[bytes] = []
    size = 0
    for line in lines:
        batch.append(line)
        size += len(line)
        if size >= _BATCH_BYTES:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


def _first_line(error: Exception) -> str:
    if isinstance(error, psycopg.Error) and error.diag.message_primary:
        return error.diag.message_primary
    return str(error).splitlines()[0]
