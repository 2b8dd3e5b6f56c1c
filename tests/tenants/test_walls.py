"""What PostgreSQL itself refuses: each denial stands beside the same statement allowed."""

from __future__ import annotations

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from insula_tenants.context import TenantContext
from insula_tenants.database import RoleSession, sqlalchemy_engine
from insula_tenants.errors import ConfigurationError, NoRole
from tests.conftest import Deployment


def refused(deployment: Deployment, context: TenantContext, statement: str) -> bool:
    """Whether PostgreSQL refuses the statement for lack of rights."""
    try:
        with deployment.databases.tenant(context) as session:
            session.execute(text(statement))
    except DBAPIError as error:
        assert getattr(error.orig, "sqlstate", None) == "42501", error
        return True
    return False


@pytest.mark.parametrize(
    "table", ["readings", "latest", "devices", "points", "dead_letters", "schema_version"]
)
def test_a_tenant_reads_its_own_tables_and_no_neighbours(deployment: Deployment, table: str):
    own, neighbour = deployment.acme, deployment.globex
    assert not refused(deployment, own, f"SELECT * FROM {table}")
    assert not refused(deployment, own, f"SELECT * FROM {own.schema}.{table}")
    assert refused(deployment, own, f"SELECT * FROM {neighbour.schema}.{table}")
    assert refused(deployment, neighbour, f"SELECT * FROM {own.schema}.{table}")


@pytest.mark.parametrize(
    "statement",
    [
        "INSERT INTO {schema}.sites (name) VALUES ('x')",
        "UPDATE {schema}.sites SET name = 'y'",
        "DELETE FROM {schema}.sites",
    ],
)
def test_a_tenant_writes_its_own_tables_and_no_neighbours(deployment: Deployment, statement: str):
    assert not refused(deployment, deployment.acme, statement.format(schema=deployment.acme.schema))
    assert refused(deployment, deployment.acme, statement.format(schema=deployment.globex.schema))


def test_the_registry_is_closed_to_tenants(deployment: Deployment):
    with deployment.databases.core() as core:
        assert core.scalar(text("SELECT count(*) FROM tenants")) == 2
    assert refused(deployment, deployment.acme, "SELECT * FROM insula.tenants")


def test_the_core_cannot_read_a_tenant(deployment: Deployment):
    with pytest.raises(DBAPIError, match="permission denied"), deployment.databases.core() as core:
        core.execute(text(f"SELECT * FROM {deployment.acme.schema}.readings"))


@pytest.mark.parametrize(
    "statement",
    ["CREATE TABLE x (y int)", "DROP TABLE readings", "ALTER TABLE devices ADD x int", "TRUNCATE devices"],
)
def test_a_service_changes_rows_not_tables(deployment: Deployment, statement: str):
    assert refused(deployment, deployment.acme, statement)


def test_the_services_login_reads_nothing_by_itself(deployment: Deployment):
    engine = sqlalchemy_engine(deployment.service_url)
    with engine.connect() as connection:
        for table in ("insula.tenants", f"{deployment.acme.schema}.readings"):
            with pytest.raises(DBAPIError, match="permission denied"), connection.begin():
                connection.execute(text(f"SELECT * FROM {table}"))
    engine.dispose()


def test_the_role_ends_with_its_transaction(deployment: Deployment):
    """A pooled connection carries no role and no search path from one tenant to the next."""
    engine = sqlalchemy_engine(deployment.service_url, pool_size=1)
    backends = set()
    for context in (deployment.acme, deployment.globex):
        with RoleSession(engine, info={"role": context.schema}) as session, session.begin():
            backends.add(session.scalar(text("SELECT pg_backend_pid()")))
            assert session.scalar(text("SELECT current_schema()")) == context.schema
        with engine.connect() as connection:
            backends.add(connection.scalar(text("SELECT pg_backend_pid()")))
            assert connection.scalar(text("SELECT current_user")) == "insula_service"
            assert connection.scalar(text("SELECT current_schema()")) is None
    assert len(backends) == 1, "the test must see one connection again and again"
    engine.dispose()


def test_the_role_is_set_again_after_a_commit_and_survives_a_savepoint(deployment: Deployment):
    engine = sqlalchemy_engine(deployment.service_url)
    with RoleSession(engine, info={"role": deployment.acme.schema}) as session:
        for _ in range(2):
            with session.begin_nested():
                assert session.scalar(text("SELECT current_user")) == deployment.acme.schema
            session.commit()
    engine.dispose()


def test_a_session_without_a_role_is_an_error(deployment: Deployment):
    engine = sqlalchemy_engine(deployment.service_url)
    with RoleSession(engine) as session, pytest.raises(NoRole):
        session.execute(text("SELECT 1"))
    engine.dispose()


def test_only_the_registry_mints_a_context(deployment: Deployment):
    real = deployment.acme
    with pytest.raises(ConfigurationError, match="registry"):
        TenantContext(id=real.id, slug="acme", schema="tenant_globex", database="main", _mint=object())
