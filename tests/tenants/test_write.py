"""The writer, whichever way it takes: copied or inserted, the same is stored."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime

import psycopg
import pytest
from sqlalchemy import select

from insula_tenants.context import TenantContext
from insula_tenants.database import SET_ROLE
from insula_tenants.telemetry import write
from insula_tenants.telemetry.models import DeadLetter, Latest, Reading
from insula_tenants.telemetry.write import (
    COPIED_FROM,
    MAX_DETAIL,
    MAX_KEPT_PAYLOAD,
    NewDeadLetter,
    TelemetryWriter,
    TenantBatch,
)
from tests.conftest import Deployment
from tests.waiting import eventually

NOW = time.time_ns() // 1000
MANY = 3 * COPIED_FROM


@pytest.fixture
def connection(fresh_deployment: Deployment) -> Iterator[psycopg.Connection]:
    with psycopg.connect(fresh_deployment.service_url, autocommit=True, prepare_threshold=None) as connection:
        yield connection


def batch(context: TenantContext, count: int, *, first: int = 0, plus: float = 0.0) -> TenantBatch:
    return TenantBatch(
        context, {(number % 7 + 1, NOW + number): number + plus for number in range(first, first + count)}
    )


def stored(deployment: Deployment, context: TenantContext) -> dict[tuple[int, int], float]:
    with deployment.databases.tenant(context) as session:
        return {
            (point, round(time.timestamp() * 1e6)): value
            for point, time, value in session.execute(select(Reading.point_id, Reading.time, Reading.value))
        }


def latest(deployment: Deployment, context: TenantContext) -> dict[int, float]:
    with deployment.databases.tenant(context) as session:
        rows = session.execute(select(Latest.point_id, Latest.value))
        return {row.point_id: row.value for row in rows}


def test_many_and_few_of_several_tenants_are_stored_in_one_transaction(
    fresh_deployment: Deployment, connection: psycopg.Connection
):
    many, few = batch(fresh_deployment.acme, MANY), batch(fresh_deployment.globex, 3)
    TelemetryWriter(connection).write([few, many])
    for context, given in ((fresh_deployment.acme, many), (fresh_deployment.globex, few)):
        assert stored(fresh_deployment, context) == given.readings
        newest = {point: value for (point, _), value in sorted(given.readings.items())}
        assert latest(fresh_deployment, context) == newest


def test_copied_readings_that_are_there_already_replace_the_old_ones(
    fresh_deployment: Deployment, connection: psycopg.Connection
):
    acme, writer = fresh_deployment.acme, TelemetryWriter(connection)
    first, second = batch(acme, MANY), batch(acme, MANY, first=MANY - 1, plus=0.5)
    writer.write([first])
    writer.write([second, batch(fresh_deployment.globex, 3)])
    assert stored(fresh_deployment, acme) == first.readings | second.readings
    writer.write([first])
    assert stored(fresh_deployment, acme) == first.readings | second.readings | first.readings
    assert len(stored(fresh_deployment, fresh_deployment.globex)) == 3


def test_one_who_copies_and_one_who_inserts_the_same_reading_wait_for_each_other_in_turn(
    fresh_deployment: Deployment, connection: psycopg.Connection
):
    acme = fresh_deployment.acme
    TelemetryWriter(connection).write([batch(acme, 1)])
    again = batch(acme, 1, plus=1.0)
    failed: list[BaseException] = []

    def insert() -> None:
        try:
            TelemetryWriter(connection).write([again])
        except BaseException as error:
            failed.append(error)

    with psycopg.connect(fresh_deployment.service_url, autocommit=True) as copying:
        with copying.transaction():
            copying.execute(SET_ROLE, (acme.schema,))
            copying.execute("UPDATE readings SET value = value")  # it holds the reading, as after its COPY
            thread = threading.Thread(target=insert)
            thread.start()
            eventually(lambda: waits(fresh_deployment, connection))
            copying.execute("UPDATE latest SET value = value")
        thread.join(10)
    assert failed == []
    assert stored(fresh_deployment, acme) == again.readings


def waits(deployment: Deployment, connection: psycopg.Connection) -> bool:
    """Whether this connection waits for a lock of another."""
    with psycopg.connect(deployment.admin_url) as admin:
        query = "SELECT cardinality(pg_blocking_pids(%s)) > 0"
        row = admin.execute(query, (connection.info.backend_pid,)).fetchone()
    return row == (True,)


def test_a_writer_that_was_stopped_in_the_middle_does_not_commit_later(
    fresh_deployment: Deployment, connection: psycopg.Connection, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(write, "LONGEST_PAUSE", 1)
    writer = TelemetryWriter(connection)

    def write_and_stop_before_the_commit() -> None:
        with connection.transaction():
            writer.write([batch(fresh_deployment.acme, 3)])
            eventually(lambda: not is_there(fresh_deployment, connection))

    with pytest.raises(psycopg.errors.IdleInTransactionSessionTimeout):
        write_and_stop_before_the_commit()
    assert stored(fresh_deployment, fresh_deployment.acme) == {}


def is_there(deployment: Deployment, connection: psycopg.Connection) -> bool:
    """Whether the server still serves this connection."""
    with psycopg.connect(deployment.admin_url) as admin:
        query = "SELECT FROM pg_stat_activity WHERE pid = %s"
        return admin.execute(query, (connection.info.backend_pid,)).rowcount > 0


def test_a_refused_batch_stores_nothing_of_anybody(
    fresh_deployment: Deployment, connection: psycopg.Connection
):
    bad = batch(fresh_deployment.globex, MANY)
    bad.readings[2**40, NOW] = 1.0
    with pytest.raises(psycopg.DataError):
        TelemetryWriter(connection).write([batch(fresh_deployment.acme, MANY), bad])
    assert stored(fresh_deployment, fresh_deployment.acme) == {}
    assert stored(fresh_deployment, fresh_deployment.globex) == {}


def test_of_a_dead_letter_no_more_is_kept_than_is_counted(
    fresh_deployment: Deployment, connection: psycopg.Connection
):
    """Bounds are of rows and of payloads: a detail without an end would fill the disk beside them."""
    acme = fresh_deployment.acme
    letter = NewDeadLetter(datetime.now(UTC), "topic", "lamp", "malformed", "x" * 1_000_000, b"x" * 1_000_000)
    TelemetryWriter(connection).write([TenantBatch(acme, dead_letters=[letter])])
    with fresh_deployment.databases.tenant(acme) as session:
        (kept,) = session.execute(select(DeadLetter.detail, DeadLetter.payload)).all()
    assert [len(part) for part in kept] == [MAX_DETAIL, MAX_KEPT_PAYLOAD]


def test_the_role_is_the_tenants_own_on_both_ways(
    fresh_deployment: Deployment, connection: psycopg.Connection
):
    with psycopg.connect(fresh_deployment.admin_url, autocommit=True) as admin:
        schema = fresh_deployment.globex.schema
        admin.execute(f"REVOKE INSERT ON {schema}.readings FROM {schema}")  # type: ignore[arg-type]
    for count in (3, MANY):
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            TelemetryWriter(connection).write([batch(fresh_deployment.globex, count)])
    TelemetryWriter(connection).write([batch(fresh_deployment.acme, MANY)])
    assert len(stored(fresh_deployment, fresh_deployment.acme)) == MANY
