"""A tenant's tables on TimescaleDB, as the migrations make them and the walls around them."""

from __future__ import annotations

import psycopg
import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from insula_tenants.context import TenantContext
from insula_tenants.database import SET_ROLE
from insula_tenants.migrate import head
from insula_tenants.storage import detect_engine
from insula_tenants.telemetry.columns import Columns
from insula_tenants.telemetry.sql import statement
from tests.timescale.conftest import Timescale

HOUR = 3_600_000_000
START = 1_767_225_600_000_000  # 2026-01-01T00:00:00Z


def test_readings_are_a_hypertable_in_the_tenants_schema(timescale: Timescale, tenant: TenantContext):
    with timescale.owner(tenant) as connection:
        assert detect_engine(connection).name == "timescaledb"
        query = text(
            "SELECT hypertable_name, column_name FROM timescaledb_information.dimensions"
            " WHERE hypertable_schema = :schema AND hypertable_name = 'readings'"
        )
        assert connection.execute(query, {"schema": tenant.schema}).all() == [("readings", "time")]
        assert connection.scalar(text("SELECT version_num FROM schema_version")) == head("tenant")


def test_a_tenant_writes_and_reads_its_chunks_and_no_neighbours(timescale: Timescale, tenant: TenantContext):
    neighbour = timescale.new_tenant()
    weeks = {(1, START + week * 7 * 24 * HOUR): float(week) for week in range(4)}
    timescale.write(tenant, weeks)
    timescale.write(neighbour, {(1, START): 99.0})
    with timescale.session(tenant) as session:
        assert session.scalar(text("SELECT count(*) FROM readings")) == 4
    with timescale.owner(neighbour) as connection:
        chunk = connection.scalar(text("SELECT public.show_chunks('readings')::text"))
    for table in (f"{neighbour.schema}.readings", chunk):
        with timescale.session(neighbour) as session:
            assert session.scalar(text(f"SELECT value FROM {table}")) == 99.0
        with pytest.raises(DBAPIError, match="permission denied"), timescale.session(tenant) as session:
            session.scalar(text(f"SELECT value FROM {table}"))


def test_a_reading_is_stored_once_and_the_last_value_counts(timescale: Timescale, tenant: TenantContext):
    for value in (1.0, 1.0, 2.0):
        timescale.write(tenant, {(1, START): value})
    with timescale.session(tenant) as session:
        assert session.scalars(text("SELECT value FROM readings")).all() == [2.0]
        assert session.scalars(text("SELECT value FROM latest")).all() == [2.0]


def test_a_statement_larger_than_a_packet_arrives_whole(timescale: Timescale, tenant: TenantContext):
    readings = {(point, START + n * HOUR): 1.0 for point in range(5) for n in range(2000)}
    with psycopg.connect(timescale.service_url, prepare_threshold=None) as connection:
        connection.execute(SET_ROLE, (tenant.schema,))
        connection.execute(statement("store_readings"), Columns.of(readings).parameters())
    with timescale.session(tenant) as session:
        assert session.scalar(text("SELECT count(*) FROM readings")) == len(readings)
