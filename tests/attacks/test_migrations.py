"""A migration runs with its owner's rights: what stands in a tenant's schema must never be the tenant's."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import psycopg
import pytest
from psycopg import sql
from sqlalchemy import text

from insula_tenants.administration import Administration
from insula_tenants.context import TenantContext
from insula_tenants.database import Databases
from insula_tenants.migrate import MigrationReport, migrate
from insula_tenants.registry import create_tenant, resolve_tenant
from tests.attacks.intruder import DENIED, Intruder
from tests.conftest import Deployment
from tests.waiting import eventually


def migrate_again(deployment: Deployment) -> MigrationReport:
    return migrate({"main": deployment.admin_url}, {"main": deployment.service_url})


def forget_version(administrator: psycopg.Connection, context: TenantContext) -> None:
    """The schema is as it was before its migrations: they run anew, over whatever is there."""
    administrator.execute(sql.SQL("DELETE FROM {}").format(sql.Identifier(context.schema, "schema_version")))


def trap(schema: str) -> list[sql.Composed]:
    """Objects that a migration's own statements would find before PostgreSQL's, were they there."""
    names = {"schema": sql.Identifier(schema)}
    return [
        sql.SQL(statement).format(**names)
        for statement in (
            "CREATE FUNCTION {schema}.now() RETURNS timestamptz LANGUAGE sql RETURN timestamptz 'epoch'",
            "CREATE FUNCTION {schema}.format(text, text) RETURNS text LANGUAGE sql RETURN 'x'",
            "CREATE FUNCTION {schema}.current_schema() RETURNS text LANGUAGE sql RETURN 'x'",
            "CREATE TABLE {schema}.sites_ (x int)",
            "CREATE TYPE {schema}.text AS (x int)",
            "CREATE DOMAIN {schema}.timestamptz AS int",
            "CREATE OPERATOR {schema}.< (LEFTARG = text, RIGHTARG = text, FUNCTION = text_gt)",
            "CREATE EVENT TRIGGER mine ON ddl_command_end EXECUTE FUNCTION {schema}.ensure_readings_range()",
            "ALTER TABLE {schema}.sites OWNER TO CURRENT_USER",
            "ALTER TABLE {schema}.schema_version RENAME TO other",
            "UPDATE {schema}.schema_version SET version_num = '0001; DROP SCHEMA insula CASCADE'",
            "DELETE FROM {schema}.schema_version",
            "INSERT INTO {schema}.schema_version VALUES ('x')",
        )
    ]


@pytest.mark.parametrize("role", ["tenant_acme", "insula", None])
def test_nobody_but_the_owner_lays_a_trap_for_a_migration(deployment: Deployment, role: str | None):
    """Neither a tenant, nor the core, nor the services' login."""
    with psycopg.connect(deployment.service_url, autocommit=True) as connection:
        intruder = Intruder(connection, role or "none")
        for schema in ("tenant_acme", "tenant_globex", "insula", "insula_functions"):
            for statement in trap(schema):
                assert intruder.error(statement) in {DENIED.__name__, "UndefinedTable", "UndefinedFunction"}


def test_the_owner_could_and_so_the_statements_are_sound(administrator: psycopg.Connection):
    """The same statements, by one who may: they fail for lack of rights and not because they are wrong."""
    for statement in trap("tenant_acme")[:6]:
        with administrator.transaction(force_rollback=True):
            administrator.execute("SET LOCAL ROLE insula_owner")
            administrator.execute(statement)


def test_what_a_tenant_sets_for_its_role_does_not_reach_a_migration(
    fresh_deployment: Deployment,
):
    """A role may change its own defaults; they count at a login, which it has none of."""
    with psycopg.connect(fresh_deployment.service_url, autocommit=True) as connection:
        connection.execute("SET ROLE tenant_acme")
        connection.execute("ALTER ROLE tenant_acme SET search_path = pg_temp")
        connection.execute("ALTER ROLE tenant_acme SET statement_timeout = 1")
    try:
        report = migrate_again(fresh_deployment)
        assert (sorted(report.migrated), report.failed) == (["acme", "globex"], {})
        with fresh_deployment.databases.tenant(fresh_deployment.acme) as session:
            session.execute(text("SELECT pg_sleep(0.01)"))
            assert session.scalar(text("SELECT current_schema()")) == "tenant_acme"
    finally:
        with psycopg.connect(fresh_deployment.admin_url, autocommit=True) as connection:
            connection.execute("ALTER ROLE tenant_acme RESET ALL")


def test_a_tenant_whose_migration_fails_is_left_as_it_was_and_fails_alone(fresh_deployment: Deployment):
    with psycopg.connect(fresh_deployment.admin_url, autocommit=True) as administrator:
        forget_version(administrator, fresh_deployment.acme)
        report = migrate_again(fresh_deployment)
        assert report.migrated == ["globex"]
        assert list(report.failed) == ["acme"]
        assert "already exists" in report.failed["acme"]
        left = "SELECT count(*) FROM tenant_acme.schema_version"
        assert administrator.execute(left).fetchone() == (0,)


def test_two_migrations_wait_for_one_another(fresh_deployment: Deployment):
    reports: list[MigrationReport] = []
    with psycopg.connect(fresh_deployment.admin_url) as holder:
        holder.execute("SELECT pg_advisory_xact_lock(%s)", (0x1A501A,))
        threads = [
            threading.Thread(target=lambda: reports.append(migrate_again(fresh_deployment))) for _ in range(2)
        ]
        for thread in threads:
            thread.start()
        with psycopg.connect(fresh_deployment.admin_url, autocommit=True) as watcher:
            waiting = (
                "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"
                " AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"
            )
            eventually(lambda: watcher.execute(waiting).fetchone() == (2,), seconds=4, what="two that wait")
        assert reports == []
    for thread in threads:
        thread.join(60)
    assert [report.failed for report in reports] == [{}, {}]
    assert [sorted(report.migrated) for report in reports] == [["acme", "globex"]] * 2


def test_tenants_made_at_the_same_time_are_each_made_whole(fresh_deployment: Deployment):
    """Threads of one process, as requests are: Alembic would mix up what it is at."""
    slugs = [f"attack-{number}" for number in range(6)]
    admins = Administration({"main": fresh_deployment.admin_url})
    with ThreadPoolExecutor(len(slugs)) as threads:
        list(threads.map(lambda slug: create_tenant(admins, slug, slug), slugs))
    admins.close()
    for slug in slugs:
        with fresh_deployment.databases.core() as core:
            context = resolve_tenant(core, slug)
        with fresh_deployment.databases.tenant(context) as session:
            assert session.scalar(text("SELECT count(*) FROM devices")) == 0


def test_a_tenant_cannot_take_the_migrations_lock_for_longer_than_its_own_query(deployment: Deployment):
    """It shares the database's advisory locks; whoever waits for one gives up after five seconds."""
    with psycopg.connect(deployment.admin_url) as administrator:
        databases = Databases({"main": deployment.service_url})
        with databases.tenant(deployment.acme) as session:
            session.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": 0x1A501A})
            taken = administrator.execute("SELECT pg_try_advisory_xact_lock(%s)", (0x1A501A,)).fetchone()
            assert taken == (False,)
        taken = administrator.execute("SELECT pg_try_advisory_xact_lock(%s)", (0x1A501A,)).fetchone()
        assert taken == (True,)
        databases.close()
