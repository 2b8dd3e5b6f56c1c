"""Many tenants are migrated by one command: in parallel, resumably, and each for itself."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import psycopg
import pytest
from sqlalchemy import text

from insula_tenants import roles
from insula_tenants.administration import Administration
from insula_tenants.errors import ConfigurationError, Conflict
from insula_tenants.migrate import head, migrate
from insula_tenants.registry import resolve_tenant
from tests.conftest import Deployment, deploy
from tests.servers.postgres import PostgresServer
from tests.tenants.crowd import crowd_of
from tests.waiting import eventually

MANY = 30
SLUGS = [f"many-{number:03}" for number in range(MANY)]


@pytest.fixture
def crowd(postgres_server: PostgresServer) -> Iterator[Deployment]:
    """Beside acme and globex, many tenants whose schemas are empty: the tenant tree lies before them."""
    for made in deploy(postgres_server):
        with crowd_of(made, SLUGS, "before"):
            yield made


def run(deployment: Deployment, **more: object):
    return migrate({"main": deployment.admin_url}, {"main": deployment.service_url}, **more)  # type: ignore[arg-type]


def command(deployment: Deployment, *arguments: str) -> subprocess.Popen[str]:
    """`insula migrate`, as an operator starts it."""
    environment = os.environ | {
        "INSULA_DATABASE_URL": deployment.service_url,
        "INSULA_DATABASE_ADMIN_URL": deployment.admin_url,
    }
    return subprocess.Popen(
        [Path(sys.executable).parent / "insula", "migrate", *arguments],
        env=environment,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


def at_head(deployment: Deployment) -> int:
    """How many of the many have the tables of this release."""
    with psycopg.connect(deployment.admin_url) as connection:
        row = connection.execute(
            "SELECT count(*) FROM pg_tables WHERE schemaname LIKE 'tenant_many_%' AND tablename = 'readings'"
        ).fetchone()
    assert row is not None
    return int(row[0])


@pytest.mark.long
def test_all_are_migrated_but_the_one_that_is_locked_which_the_next_run_migrates(crowd: Deployment):
    steps: list[tuple[int, int]] = []
    with psycopg.connect(crowd.admin_url) as other:
        other.execute("CREATE TABLE tenant_many_007.schema_version (version_num varchar(32) PRIMARY KEY)")
        report = run(crowd, progress=lambda done, total: steps.append((done, total)))
        other.rollback()
    everybody = sorted(["acme", "globex", *SLUGS])
    assert report.migrated == [slug for slug in everybody if slug != "many-007"]
    assert set(report.failed) == {"many-007"}
    assert "lock timeout" in report.failed["many-007"]
    assert steps == [(done, MANY + 2) for done in range(MANY + 3)]
    with crowd.databases.core() as core:
        assert resolve_tenant(core, "many-008").slug == "many-008"

    again = run(crowd)
    assert again.migrated == everybody
    assert again.upgraded == ["many-007"]
    assert again.failed == {}


@pytest.mark.long
def test_a_run_that_is_killed_is_continued_by_the_next_one(crowd: Deployment):
    process = command(crowd)
    eventually(lambda: at_head(crowd) > 3, seconds=60, what="the first migrated tenants")
    family = [psutil.Process(process.pid), *psutil.Process(process.pid).children(recursive=True)]
    process.kill()
    process.communicate()
    eventually(lambda: not any(_works(each) for each in family), what="the end of its workers")
    done = at_head(crowd)
    assert 3 < done < MANY, "it was killed too late to tell anything"

    second = command(crowd, "--json")
    output, errors = second.communicate(timeout=90)
    assert second.returncode == 0, errors
    told = json.loads(output)
    assert len(told["migrated"]) == MANY + 2
    assert len(told["upgraded"]) == MANY - done
    assert at_head(crowd) == MANY


def _works(process: psutil.Process) -> bool:
    try:
        return process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def test_a_tenant_of_an_unknown_version_fails_alone_and_the_exit_code_tells(fresh_deployment: Deployment):
    with psycopg.connect(fresh_deployment.admin_url) as connection:
        connection.execute("UPDATE tenant_acme.schema_version SET version_num = 'x''; DROP TABLE y; --'")
    process = command(fresh_deployment, "--json")
    output, errors = process.communicate(timeout=60)
    assert process.returncode == 1, errors
    told = json.loads(output)
    assert told["migrated"] == ["globex"]
    assert "DROP TABLE y" in told["failed"]["acme"]
    readable = command(fresh_deployment)
    output, _ = readable.communicate(timeout=60)
    assert readable.returncode == 1
    assert "acme: " in output
    assert "1 tenants at this release, 0 of them by this run; 1 failed" in output


def test_the_schemas_count_not_what_the_registry_says_of_them(fresh_deployment: Deployment):
    """A database restored from a backup is older than the registry believes; another may be newer."""
    with psycopg.connect(fresh_deployment.admin_url) as connection:
        connection.execute("DROP SCHEMA tenant_acme CASCADE")
        connection.execute("UPDATE insula.tenants SET schema_version = 'older' WHERE slug = 'globex'")
    admins = Administration({"main": fresh_deployment.admin_url})
    with admins.registry.begin() as connection:
        roles.ensure_schema(connection, "tenant_acme")
    admins.close()
    report = run(fresh_deployment)
    assert report.upgraded == ["acme"]
    assert report.migrated == ["acme", "globex"]
    with fresh_deployment.databases.core() as core:
        versions = core.scalars(text("SELECT schema_version FROM tenants")).all()
    assert set(versions) == {head("tenant")}
    with fresh_deployment.databases.tenant(fresh_deployment.acme) as session:
        assert session.scalar(text("SELECT count(*) FROM readings")) == 0


def test_a_tenant_that_is_being_made_is_left_to_its_maker(fresh_deployment: Deployment):
    with fresh_deployment.databases.core() as core:
        core.execute(
            text(
                "INSERT INTO tenants (id, slug, name, status)"
                " VALUES (gen_random_uuid(), 'unborn', 'Unborn', 'creating')"
            )
        )
    report = run(fresh_deployment)
    assert report.migrated == ["acme", "globex"]
    assert report.failed == {}


def test_a_second_migration_waits_a_moment_and_then_says_why_it_cannot(fresh_deployment: Deployment):
    with psycopg.connect(fresh_deployment.admin_url) as first:
        first.execute("SELECT pg_advisory_xact_lock(%s)", (0x1A501A,))
        with pytest.raises(Conflict, match="another `insula migrate` is at work"):
            run(fresh_deployment)
    assert run(fresh_deployment).failed == {}


def test_a_database_with_one_url_of_two_is_named(fresh_deployment: Deployment):
    admins = {"main": fresh_deployment.admin_url, "second": fresh_deployment.admin_url}
    with pytest.raises(ConfigurationError, match="second"):
        migrate(admins, {"main": fresh_deployment.service_url})
