"""Which revision each of many schemas is at, asked in few statements."""

from __future__ import annotations

from collections.abc import Sequence

from psycopg import sql
from sqlalchemy import Connection, text
from sqlalchemy.exc import DBAPIError

_AT_ONCE = 100
"""Schemas whose revisions are read by one statement: it locks one table of each for that long."""


def versions(connection: Connection, schemas: Sequence[str]) -> dict[str, str]:
    """Revisions of the tenant tree, by schema, as the schemas themselves have them.

    Schemas that have none, or that somebody holds locked, are left out. Ends the connection's transaction.
    """
    present = connection.scalars(
        text(
            "SELECT n.nspname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace"
            " WHERE c.relname = 'schema_version' AND n.nspname = ANY(:schemas)"
        ),
        {"schemas": list(schemas)},
    ).all()
    connection.rollback()
    found: dict[str, str] = {}
    for first in range(0, len(present), _AT_ONCE):
        some = present[first : first + _AT_ONCE]
        try:
            found |= _versions(connection, some)
        except DBAPIError:  # one of them is locked: tell the others by asking one at a time
            connection.rollback()
            for schema in some:
                found |= _version_unless_locked(connection, schema)
    return found


def _version_unless_locked(connection: Connection, schema: str) -> dict[str, str]:
    try:
        return _versions(connection, [schema])
    except DBAPIError:
        connection.rollback()
        return {}


def _versions(connection: Connection, schemas: Sequence[str]) -> dict[str, str]:
    asked = sql.SQL(" UNION ALL ").join(
        sql.SQL("SELECT {name}, version_num FROM {schema}.schema_version").format(
            name=sql.Literal(schema), schema=sql.Identifier(schema)
        )
        for schema in schemas
    )
    connection.execute(text("SET LOCAL lock_timeout = '100ms'"))
    rows = connection.exec_driver_sql(asked.as_string(), execution_options={"no_parameters": True})
    found = {str(schema): str(version) for schema, version in rows}
    connection.rollback()
    return found
