"""Database roles: who owns, who serves, who may become whom.

::

    administrator (login)   migrates; member of insula_owner
    insula_owner            NOLOGIN, owns every schema and table
    insula                  NOLOGIN, the core's role: rows of schema insula
    tenant_<slug>           NOLOGIN, one per tenant: rows of its own schema
    <service login>         LOGIN NOINHERIT, member of insula and of every tenant role; has no own right
"""

from __future__ import annotations

import psycopg
from psycopg import sql
from sqlalchemy import Connection, make_url, text

from insula_tenants.names import CORE_SCHEMA, OWNER_ROLE


def execute(connection: Connection, statement: sql.Composable | str) -> None:
    """Run a statement as it is. Roles and schemas take no bound parameters: psycopg quotes their names."""
    written = statement if isinstance(statement, str) else statement.as_string()
    connection.exec_driver_sql(written, execution_options={"no_parameters": True})


def ensure_role(connection: Connection, role: str) -> None:
    """Create the NOLOGIN role when it is missing, and let the administrator act for it."""
    exists = connection.scalar(text("SELECT 1 FROM pg_roles WHERE rolname = :role"), {"role": role})
    if not exists:
        execute(connection, sql.SQL("CREATE ROLE {} NOLOGIN").format(sql.Identifier(role)))
    # From PostgreSQL 16 on, creating a role no longer makes one a member of it; a superuser needs no grant.
    superuser = connection.scalar(text("SELECT rolsuper FROM pg_roles WHERE rolname = current_user"))
    if not superuser:
        execute(connection, sql.SQL("GRANT {} TO CURRENT_USER").format(sql.Identifier(role)))


def ensure_service_login(connection: Connection, service_url: str) -> str:
    """Create or align the login that the services use, as `service_url` names it; returns its name."""
    url = make_url(service_url)
    login = url.username
    if not login:
        msg = "INSULA_DATABASE_URL names no user: the services need a login of their own"
        raise ValueError(msg)
    exists = connection.scalar(text("SELECT 1 FROM pg_roles WHERE rolname = :role"), {"role": login})
    name = sql.Identifier(login)
    if not exists:
        execute(connection, sql.SQL("CREATE ROLE {} LOGIN NOINHERIT").format(name))
        if url.password:
            verifier = _scram_verifier(connection, login, str(url.password))
            execute(connection, sql.SQL("ALTER ROLE {} PASSWORD {}").format(name, sql.Literal(verifier)))
    # Written exactly so: quoted as '"$user"' it would resolve to nothing.
    execute(connection, sql.SQL('ALTER ROLE {} SET search_path = "$user"').format(name))
    execute(connection, sql.SQL("ALTER ROLE {} SET timezone = 'UTC'").format(name))
    return login


def grant_membership(connection: Connection, role: str, login: str) -> None:
    """Let `login` become `role` by SET ROLE."""
    execute(connection, sql.SQL("GRANT {} TO {}").format(sql.Identifier(role), sql.Identifier(login)))


def grant_tenants(connection: Connection, login: str) -> None:
    """Let `login` become every tenant of this database: it may be new, or the roles may be restored ones."""
    query = text(
        "SELECT nspname FROM pg_namespace WHERE nspname ~ '^tenant_' AND NOT EXISTS ("
        " SELECT FROM pg_auth_members a"
        " JOIN pg_roles g ON g.oid = a.roleid JOIN pg_roles m ON m.oid = a.member"
        " WHERE g.rolname = nspname AND m.rolname = :login) ORDER BY nspname"
    )
    for schema in connection.scalars(query, {"login": login}).all():
        ensure_role(connection, schema)
        grant_membership(connection, schema, login)


def ensure_schema(connection: Connection, schema: str) -> None:
    """Create the schema, owned by the owner role, with rights on its rows for the role named like it.

    The rights are default privileges, so that tables of later migrations need no grants of their own.
    """
    names = {
        "schema": sql.Identifier(schema),
        "role": sql.Identifier(schema),
        "owner": sql.Identifier(OWNER_ROLE),
    }
    for statement in (
        "CREATE SCHEMA IF NOT EXISTS {schema} AUTHORIZATION {owner}",
        "GRANT USAGE ON SCHEMA {schema} TO {role}",
        "ALTER DEFAULT PRIVILEGES FOR ROLE {owner} IN SCHEMA {schema}"
        " GRANT SELECT, INSERT, UPDATE, DELETE ON TABLES TO {role}",
        "ALTER DEFAULT PRIVILEGES FOR ROLE {owner} IN SCHEMA {schema} GRANT USAGE ON SEQUENCES TO {role}",
    ):
        execute(connection, sql.SQL(statement).format(**names))


def forbid_temporary_objects(connection: Connection) -> None:
    """Take the right to make temporary tables, functions and views, which PostgreSQL gives to everybody.

    They live as long as the connection and stand before every schema, so on a pooled connection one tenant's
    `pg_temp.readings` would be what the next tenant reads and writes.
    """
    database = str(connection.scalar(text("SELECT current_database()")))
    execute(
        connection, sql.SQL("REVOKE TEMPORARY ON DATABASE {} FROM PUBLIC").format(sql.Identifier(database))
    )


def service_logins(connection: Connection) -> list[str]:
    """Names of the logins that may become the core's role."""
    query = text(
        "SELECT m.rolname FROM pg_auth_members a"
        " JOIN pg_roles g ON g.oid = a.roleid JOIN pg_roles m ON m.oid = a.member"
        " WHERE g.rolname = :core AND m.rolcanlogin AND NOT m.rolinherit ORDER BY m.rolname"
    )
    return list(connection.scalars(query, {"core": CORE_SCHEMA}))


def _scram_verifier(connection: Connection, login: str, password: str) -> str:
    """What PostgreSQL keeps of a password. The statement that sets it may end up in the server's log."""
    driver = connection.connection.driver_connection
    assert isinstance(driver, psycopg.Connection)  # noqa: S101 - the one driver that is used
    made = driver.pgconn.encrypt_password(password.encode(), login.encode(), b"scram-sha-256")
    return made.decode("ascii")
