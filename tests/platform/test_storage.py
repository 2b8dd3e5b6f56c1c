"""The worker looks after every tenant's storage; tenant and operator are told how it does."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta

import psycopg
import pytest
from prometheus_client import CollectorRegistry, generate_latest
from pydantic import SecretStr
from sqlalchemy import text
from typer.testing import CliRunner

from insula_platform.cli import app as command_line
from insula_platform.oauth.clients import create_operator_client
from insula_platform.settings import PlatformSettings
from insula_platform.worker.app import make_app
from insula_platform.worker.metrics import StorageMetrics
from insula_platform.worker.storage import tend_storage_of
from insula_tenants.administration import Administration
from insula_tenants.database import Databases
from insula_tenants.lifecycle import cancel_deletion, request_deletion, resume_tenant, suspend_tenant
from insula_tenants.rollups import survey
from insula_tenants.telemetry.write import TelemetryWriter, TenantBatch
from tests.conftest import Deployment
from tests.platform.conftest import Live

DAY = timedelta(days=1)


@pytest.fixture(scope="module")
def settings(live: Live) -> PlatformSettings:
    """The platform's, with the administrator's URL, which the worker has."""
    return live.settings.model_copy(update={"database_admin_url": SecretStr(live.deployment.admin_url)})


@pytest.fixture
def admins(deployment: Deployment) -> Iterator[Administration]:
    with closing(Administration({"main": deployment.admin_url})) as admins:
        yield admins


def write_late(deployment: Deployment, *, days: int = 3) -> None:
    start = datetime.now(UTC) - days * DAY
    readings = {(1, int((start + n * timedelta(minutes=1)).timestamp() * 1e6)): float(n) for n in range(600)}
    with psycopg.connect(deployment.service_url, autocommit=True) as connection:
        TelemetryWriter(connection).write([TenantBatch(deployment.acme, readings)])


def rolled_up(deployment: Deployment) -> int:
    with deployment.databases.tenant(deployment.acme) as session:
        return int(session.scalar(text("SELECT coalesce(sum(count), 0) FROM readings_1d")) or 0)


def marks(deployment: Deployment) -> int:
    with deployment.databases.tenant(deployment.acme) as session:
        return int(session.scalar(text("SELECT count(*) FROM dirty_ranges")) or 0)


def operator_token(live: Live, scope: str) -> str:
    with live.deployment.databases.core() as core:
        credentials = create_operator_client(core, "tests", scope)
    answer = live.token_request(credentials, grant_type="client_credentials")
    return str(answer.json()["access_token"])


def test_the_worker_rolls_up_whoever_is_behind(
    live: Live, settings: PlatformSettings, admins: Administration
):
    write_late(live.deployment)
    due = {one.slug: one for one in survey(admins)}
    assert "acme" in due
    assert "globex" in due  # it was never looked through
    with live.deployment.databases.core() as core:
        status = core.execute(text("SELECT * FROM storage_status WHERE dirty_ranges > 0")).one()
    assert status.engine == live.deployment.report.engine
    assert 600 * 60 <= status.dirty_seconds <= 660 * 60
    assert status.lag_seconds <= 900

    async def work() -> None:
        databases = Databases({"main": live.deployment.service_url})
        app = make_app(settings, databases)
        async with app.open_async():
            await app.tasks["tend-storage"].defer_async(tenant="acme")
            await app.tasks["tend-storage"].defer_async(tenant="no-such-tenant")
            await app.run_worker_async(queues=["storage"], wait=False, install_signal_handlers=False)
        databases.close()

    asyncio.run(work())
    assert marks(live.deployment) == 0
    assert rolled_up(live.deployment) >= 500
    with live.deployment.databases.core() as core:
        failed = core.scalar(text("SELECT count(*) FROM procrastinate_jobs WHERE status = 'failed'"))
    assert failed == 0
    assert "acme" not in {one.slug for one in survey(admins)}


def test_suspended_tenants_are_rolled_up_and_those_being_deleted_left_alone(
    live: Live, settings: PlatformSettings, admins: Administration
):
    write_late(live.deployment, days=5)
    with live.deployment.databases.core() as core:
        request_deletion(core, "acme", DAY)
    assert "acme" not in {one.slug for one in survey(admins)}
    assert tend_storage_of(settings, "acme") is False
    assert marks(live.deployment) == 1
    with live.deployment.databases.core() as core:
        cancel_deletion(core, "acme")
        suspend_tenant(core, "acme", "unpaid")
    tend_storage_of(settings, "acme")
    assert marks(live.deployment) == 0
    with live.deployment.databases.core() as core:
        resume_tenant(core, "acme")


def test_a_tenant_that_vanishes_under_the_worker_is_a_line_in_the_log(
    fresh_deployment: Deployment, settings: PlatformSettings, caplog: pytest.LogCaptureFixture
):
    own = settings.model_copy(
        update={
            "database_url": SecretStr(fresh_deployment.service_url),
            "database_admin_url": SecretStr(fresh_deployment.admin_url),
        }
    )
    with psycopg.connect(fresh_deployment.admin_url, autocommit=True) as connection:
        connection.execute("DROP SCHEMA tenant_acme CASCADE")
    assert tend_storage_of(own, "acme") is False
    assert "the storage of tenant acme was not tended to its end" in caplog.text
    with closing(Administration({"main": fresh_deployment.admin_url})) as admins:
        assert [one.slug for one in survey(admins)] == ["globex"]


def test_a_tenant_and_the_operator_are_told(live: Live, settings: PlatformSettings, admins: Administration):
    token = live.tokens_of("ada@example.com", tenant="acme", scope="readings:read")["access_token"]
    survey(admins)
    tend_storage_of(settings, "acme")
    answer = live.get("/api/v1/tenants/acme/storage", token)
    assert answer.status_code == 200, answer.text
    told = answer.json()
    assert told["engine"] == live.deployment.report.engine
    assert told["compresses"] == (told["engine"] == "timescaledb")
    assert told["lag_seconds"] <= 900
    assert told["retention_days"] == 1100
    assert told["raw_bytes"] > 0
    assert live.get("/api/v1/tenants/globex/storage", token).status_code == 404

    own = operator_token(live, "tenants:read")
    first = live.get("/api/v1/operator/storage?limit=1", own).json()
    assert [one["tenant"] for one in first["items"]] == ["acme"]
    assert first["items"][0] == {"tenant": "acme", **told}
    second = live.get(f"/api/v1/operator/storage?limit=1&cursor={first['next_cursor']}", own).json()
    assert [one["tenant"] for one in second["items"]] == ["globex"]
    assert second["next_cursor"] is None
    assert live.get("/api/v1/operator/storage", token).status_code in {401, 403}


def test_metrics_tell_of_every_tenant(live: Live, admins: Administration):
    survey(admins)
    metrics, registry = StorageMetrics(), CollectorRegistry()
    registry.register(metrics)
    metrics.look(admins)
    told = generate_latest(registry).decode()
    assert 'insula_storage_lag_seconds{tenant="acme"}' in told
    assert 'insula_storage_dirty_seconds{tenant="globex"} 0.0' in told


def test_the_command_line_shows_storage_and_has_rollups_made_anew(
    live: Live, settings: PlatformSettings, admins: Administration
):
    environment = {
        "INSULA_DATABASE_URL": live.deployment.service_url,
        "INSULA_DATABASE_ADMIN_URL": live.deployment.admin_url,
        "COLUMNS": "200",
    }

    def insula(*arguments: str) -> str:
        return CliRunner().invoke(command_line, list(arguments), env=environment).output

    survey(admins)
    shown = insula("storage", "status")
    assert "acme" in shown
    if live.deployment.report.engine == "postgresql":
        assert "plain PostgreSQL compresses no readings" in shown
    assert {one["tenant"] for one in json.loads(insula("storage", "status", "--json"))} == {"acme", "globex"}
    assert "the worker makes them anew from 2000-01-01 00:00" in insula("storage", "rebuild", "acme")
    assert marks(live.deployment) == 1
    assert "is furthest behind" in insula("doctor")
    while tend_storage_of(settings, "acme"):
        pass
    assert marks(live.deployment) == 0


def test_a_database_that_says_nothing_keeps_the_others_waiting_for_some_seconds_alone(
    fresh_deployment: Deployment, caplog: pytest.LogCaptureFixture
):
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        port = silent.getsockname()[1]
        urls = {"main": fresh_deployment.admin_url, "away": f"postgresql://postgres@127.0.0.1:{port}/insula"}
        with fresh_deployment.databases.core() as core:
            core.execute(text("UPDATE tenants SET database = 'away' WHERE slug = 'acme'"))
        with closing(Administration(urls)) as admins:
            assert [one.slug for one in survey(admins)] == ["globex"]
    assert "the storage of 1 tenants was not looked at" in caplog.text
