"""Compressed chunks are smaller, answer the same, and take late readings."""

from __future__ import annotations

from sqlalchemy import Connection, text

from insula_tenants.context import TenantContext
from insula_tenants.storage.engine import Piece
from insula_tenants.storage.timescale import TimescaleEngine
from tests.timescale.conftest import Timescale
from tests.timescale.rollup_model import differences
from tests.timescale.test_aggregates import START, corrections, days, microseconds, refresh

ENGINE = TimescaleEngine()


def raw_pieces(connection: Connection) -> list[Piece]:
    return [piece for piece in ENGINE.pieces(connection) if piece.relation == "readings"]


def content(connection: Connection) -> dict[tuple[int, int], float]:
    query = text("SELECT point_id, round(date_part('epoch', time) * 1e6)::bigint, value FROM readings")
    return {(point, time): value for point, time, value in connection.execute(query)}


def test_a_compressed_chunk_is_smaller_and_answers_the_same(timescale: Timescale, tenant: TenantContext):
    readings = days(0, 20, every=600)
    timescale.write(tenant, readings)
    with timescale.owner(tenant) as connection:
        before = raw_pieces(connection)
        assert len(before) >= 3
        assert not any(piece.compressed for piece in before)
        for piece in before[:-1]:
            ENGINE.compress(connection, piece)
        after = raw_pieces(connection)
        assert [piece.compressed for piece in after] == [True] * (len(before) - 1) + [False]
        assert not any(piece.partial for piece in after)
        assert after[1].bytes < before[1].bytes
        assert content(connection) == readings
        refresh(connection, 0, 20)
        assert differences(connection, readings) == []


def test_late_readings_and_corrections_go_into_a_compressed_chunk(
    timescale: Timescale, tenant: TenantContext
):
    readings = days(0, 8, every=600)
    timescale.write(tenant, readings)
    late = {(point, time + 1): value for (point, time), value in days(1, 2, seed=8).items()}
    corrected = corrections(readings, 1)
    with timescale.owner(tenant) as connection:
        refresh(connection, 0, 8)
        for piece in raw_pieces(connection):
            ENGINE.compress(connection, piece)
    timescale.write(tenant, late | corrected)
    now = readings | late | corrected
    with timescale.owner(tenant) as connection:
        assert content(connection) == now
        (partial,) = [piece for piece in raw_pieces(connection) if piece.partial]
        ENGINE.compress(connection, partial)
        assert all(piece.compressed and not piece.partial for piece in raw_pieces(connection))
        assert content(connection) == now
        refresh(connection, 1, 2)
        assert differences(connection, now) == []


def test_many_compressed_readings_may_come_again_at_once(timescale: Timescale, tenant: TenantContext):
    points = 130  # each has a thousand readings packed together, of which one comes again
    start = microseconds(START)
    readings = {
        (point, start + n * 60_000_000): float(n) for point in range(1, points + 1) for n in range(1000)
    }
    timescale.write(tenant, readings)
    with timescale.owner(tenant) as connection:
        for piece in raw_pieces(connection):
            ENGINE.compress(connection, piece)
    corrected = {(point, start): -1.0 for point in range(1, points + 1)}
    timescale.write(tenant, corrected)
    with timescale.owner(tenant) as connection:
        query = text("SELECT count(*), count(*) FILTER (WHERE value = -1) FROM readings")
        assert connection.execute(query).one() == (len(readings), points)


def test_rollups_are_compressed_too_and_still_refreshed(timescale: Timescale, tenant: TenantContext):
    readings = days(0, 3)
    timescale.write(tenant, readings)
    with timescale.owner(tenant) as connection:
        refresh(connection, 0, 3)
        for piece in ENGINE.pieces(connection):
            ENGINE.compress(connection, piece)
        assert all(piece.compressed for piece in ENGINE.pieces(connection))
        assert differences(connection, readings) == []
        late = {(point, time + 1): value for (point, time), value in days(1, 2, seed=8).items()}
    timescale.write(tenant, late)
    with timescale.owner(tenant) as connection:
        refresh(connection, 1, 2)
        assert differences(connection, readings | late) == []
