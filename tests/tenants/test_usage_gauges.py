"""What a tenant has is measured: everything of it, and nothing of another's."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, date, datetime, timedelta

import psycopg
import pytest
from sqlalchemy import text

from insula_tenants.administration import Administration
from insula_tenants.audit import SYSTEM, list_entries
from insula_tenants.devices import NewPoint, create_device, list_points
from insula_tenants.quotas import put_quotas
from insula_tenants.telemetry.write import TelemetryWriter, TenantBatch
from insula_tenants.usage import DayOfUse, UsageGauge, UsagePosition, add_usage, read_usage
from insula_tenants.usage.gauges import measure_tenants
from tests.conftest import Deployment

START = date(2020, 1, 1)
END = date(2100, 1, 1)


@pytest.fixture
def admins(fresh_deployment: Deployment) -> Iterator[Administration]:
    with closing(Administration({"main": fresh_deployment.admin_url})) as opened:
        yield opened


def latest(deployment: Deployment) -> dict[str, DayOfUse]:
    with deployment.databases.core() as core:
        return {each.tenant: each for each in read_usage(core, START, END)}


def store(deployment: Deployment, readings: int) -> None:
    """Readings of acme in two months."""
    with deployment.databases.tenant(deployment.acme) as session:
        create_device(session, "meter", name="Meter", points=[NewPoint("power"), NewPoint("energy")])
        point = list_points(session, device="meter")[0].id
    batch = TenantBatch(deployment.acme)
    for month in (1, 2):
        begin = datetime(2026, month, 3, tzinfo=UTC)
        for second in range(readings // 2):
            at = begin + timedelta(seconds=second)
            batch.readings[point, round(at.timestamp() * 1e6)] = float(second)
    with psycopg.connect(deployment.service_url, autocommit=True) as connection:
        TelemetryWriter(connection).write([batch])


def test_devices_points_and_every_byte_are_measured(
    fresh_deployment: Deployment, admins: Administration
) -> None:
    assert measure_tenants(admins) == 2
    empty = latest(fresh_deployment)
    assert (empty["acme"].devices, empty["acme"].points) == (0, 0)
    store(fresh_deployment, 10_000)
    measure_tenants(admins)
    full = latest(fresh_deployment)

    assert (full["acme"].devices, full["acme"].points) == (1, 2)
    assert full["acme"].day == datetime.now(UTC).date()
    grown = (full["acme"].storage_bytes or 0) - (empty["acme"].storage_bytes or 0)
    assert grown > 10_000 * 40  # a row and its place in the index, at the least
    assert full["globex"].storage_bytes == empty["globex"].storage_bytes
    assert full["globex"].devices == 0


def test_compressed_chunks_count_too(fresh_deployment: Deployment, admins: Administration) -> None:
    if fresh_deployment.report.engine != "timescaledb":
        pytest.skip("PostgreSQL does not compress")
    measure_tenants(admins)
    before = latest(fresh_deployment)["acme"].storage_bytes or 0
    store(fresh_deployment, 10_000)
    with psycopg.connect(fresh_deployment.admin_url, autocommit=True) as connection:
        (plain,) = connection.execute("SELECT hypertable_size('tenant_acme.readings')").fetchone() or (0,)
        connection.execute("ALTER TABLE tenant_acme.readings SET (timescaledb.compress)")
        connection.execute("SELECT compress_chunk(c) FROM show_chunks('tenant_acme.readings') c")
        (small,) = connection.execute("SELECT hypertable_size('tenant_acme.readings')").fetchone() or (0,)
    assert small < plain
    measure_tenants(admins)
    after = latest(fresh_deployment)["acme"].storage_bytes or 0
    assert abs((after - before) - small) < 300_000  # what the other tables grew by


def test_a_tenant_whose_schema_just_went_holds_up_nobody(
    fresh_deployment: Deployment, admins: Administration
) -> None:
    with psycopg.connect(fresh_deployment.admin_url, autocommit=True) as connection:
        connection.execute("ALTER SCHEMA tenant_globex RENAME TO elsewhere")
    assert measure_tenants(admins) == 1
    assert set(latest(fresh_deployment)) == {"acme"}


def test_who_passes_the_quota_of_storage_is_told_once(
    fresh_deployment: Deployment, admins: Administration
) -> None:
    def told() -> list[str]:
        with fresh_deployment.databases.core() as core:
            entries = list_entries(core, tenant=fresh_deployment.acme.id)
            return [entry.action for entry in entries if entry.action.startswith("tenant.storage")]

    def limit(storage_bytes: int) -> None:
        with fresh_deployment.databases.core() as core:
            put_quotas(core, "acme", own={"storage_bytes": storage_bytes}, actor=SYSTEM)

    measure_tenants(admins)
    assert told() == []
    with fresh_deployment.databases.core() as core:
        core.execute(text("DELETE FROM usage_gauges"))
    limit(1000)
    measure_tenants(admins)
    measure_tenants(admins)
    assert told() == ["tenant.storage_over_quota"]
    with fresh_deployment.databases.core() as core:
        core.execute(text("UPDATE usage_gauges SET storage_bytes = 1001"))
    with psycopg.connect(fresh_deployment.admin_url, autocommit=True) as connection:
        connection.execute("UPDATE insula.tenants SET quotas = '{\"storage_bytes\": 1000}'")
        connection.execute("UPDATE insula.usage_gauges SET storage_bytes = 10 ^ 12")
        connection.execute("UPDATE insula.tenants SET quotas = '{\"storage_bytes\": 100000000000}'")
    measure_tenants(admins)
    assert told() == ["tenant.storage_within_quota", "tenant.storage_over_quota"]


def test_usage_is_read_by_tenant_and_day_in_pages(fresh_deployment: Deployment) -> None:
    monday, tuesday = date(2026, 11, 23), date(2026, 11, 24)
    acme, globex = fresh_deployment.acme.id, fresh_deployment.globex.id
    with fresh_deployment.databases.core() as core:
        add_usage(core, acme, monday, {"messages": 2, "values": 20}, {1, 2, 3})
        add_usage(core, acme, tuesday, {"api_calls": 5})
        add_usage(core, globex, monday, {}, {7})
        core.add(UsageGauge(tenant_id=acme, day=tuesday, devices=4, points=8, storage_bytes=16))
    with fresh_deployment.databases.core() as core:
        everything = read_usage(core, START, END)
        pages, after = [], None
        while page := read_usage(core, START, END, after=after, limit=1):
            pages += page
            after = UsagePosition(page[-1].tenant, page[-1].day)
        own = read_usage(core, monday, tuesday, tenant_id=acme)
    assert pages == everything
    assert [(each.tenant, each.day) for each in everything] == [
        ("acme", monday), ("acme", tuesday), ("globex", monday),
    ]  # fmt: skip
    first, second, third = everything
    assert (first.messages, first.values, first.api_calls, first.devices_seen) == (2, 20, 0, 3)
    assert first.devices is None
    assert (second.api_calls, second.devices, second.points, second.storage_bytes) == (5, 4, 8, 16)
    assert (third.messages, third.devices_seen) == (0, 1)
    assert own == [first]
