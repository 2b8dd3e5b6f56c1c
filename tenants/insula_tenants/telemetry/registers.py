"""What counters counted, as lines: for many meters' many hours at once.

A page of consumption by bucket is cut into buckets by the database, which takes it some ten microseconds a
value. Here it packs what its rollups hold of each counter, and the line through it is cut where it is asked
for: the same amounts (`aggregates.FLOWS`, consumption), in a tenth of the time.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np
from numpy.typing import NDArray
from psycopg import AsyncConnection, sql
from psycopg.rows import DictRow, tuple_row

from insula_tenants.telemetry.aggregates import FLOWS
from insula_tenants.telemetry.buckets import EARLIEST, Microseconds, instant, microseconds
from insula_tenants.telemetry.plan import plan
from insula_tenants.telemetry.sql import statement
from insula_tenants.telemetry.stretches import bounds_of, by_relation, items_of, read_coverage, within_bounds

MOST_RAW = timedelta(days=32)
"""Time that may come from raw readings: more, where nothing is rolled up, would not fit into memory."""
_ITEM = np.dtype([("starts", ">i8"), ("ends", ">i8"), ("first", ">f8"), ("last", ">f8"), ("within", ">f8")])
_EPOCH = microseconds(datetime.fromisoformat("2000-01-01T00:00:00Z"))
"""From which PostgreSQL counts."""


@dataclass(frozen=True, slots=True)
class Register:
    """What a counter counted since the first of these times."""

    times: NDArray[np.int64]
    """Of readings, in order, each once; microseconds since the epoch. Not of all: what is between two of them
    lies within one bucket."""
    counted: NDArray[np.float64]
    """Until each, in the counter's unit: 0 at the first."""

    def spread(self, edges: NDArray[np.int64]) -> NDArray[np.float64]:
        """The amount between each edge and the next, NaN where there is no time between readings."""
        if len(self.times) < 2:
            return np.full(len(edges) - 1, np.nan)
        # Times are counted from the first, for a float holds no microseconds of centuries exactly.
        at = np.interp((edges - self.times[0]) / 1e6, (self.times - self.times[0]) / 1e6, self.counted)
        overlap = np.minimum(edges[1:], self.times[-1]) - np.maximum(edges[:-1], self.times[0])
        return np.where(overlap > 0, np.diff(at), np.nan)


async def read_registers(
    connection: AsyncConnection[DictRow],
    points: Sequence[int],
    starting: datetime,
    ending: datetime,
    edges: Sequence[Microseconds],
) -> Mapping[int, Register] | None:
    """The lines of some counters, that can be cut at `starting`, `ending` and the edges of buckets between.

    None where it must be read in pages (`read_readings`): too much of it is not rolled up yet, or a row of a
    rollup had to keep more falls than it can. A counter without readings is left out.

    The connection is one of `AsyncDatabases.snapshot`. Raises `RawDropped` as `read_readings`.
    """
    begins, until = within_bounds(starting), within_bounds(ending)
    if begins >= until or not points:
        return {}
    coverage, _ = await read_coverage(connection, begins, until)
    cuts = [begins, *(edge for edge in edges if begins < edge < until)]
    stretches = await asyncio.to_thread(plan, begins, until, cuts, coverage)
    raw = sum(one.ending - one.starting for one in stretches if one.relation == "raw")
    if not stretches or raw > MOST_RAW // timedelta(microseconds=1):
        return None
    relations, flow = by_relation(stretches), FLOWS["consumption"]
    query = sql.SQL(statement("registers")).format(
        items=sql.SQL(" UNION ALL ").join(items_of(one, len(some)) for one, some in relations.items()),
        before=sql.SQL(statement("before")).format(),
        after=sql.SQL(statement(flow.after)).format(),
        within=sql.SQL(flow.within),
        unfit=sql.SQL(flow.unfit),
    )
    parameters = {
        "points": sorted(set(points)),
        "cuts": [instant(begins), instant(until)],
        "buckets": 1,
        "raw_from": instant(coverage.raw_from) if coverage.raw_from else EARLIEST,
    }
    cursor = connection.cursor(row_factory=tuple_row, binary=True)
    await cursor.execute(query, parameters | bounds_of(relations))
    rows = await cursor.fetchall()
    if any(unfit for *_, unfit in rows):
        return None
    return await asyncio.to_thread(
        lambda: {point: line(np.frombuffer(packed, _ITEM), rollover) for point, packed, rollover, _ in rows}
    )


def line(items: NDArray[np.void], rollover_at: float | None) -> Register:
    """The line through some items; `rollover_at` is where the counter's register begins anew."""
    items = items[np.argsort(items["starts"], kind="stable")]
    starts, ends = (items[name].astype(np.int64) + _EPOCH for name in ("starts", "ends"))
    first, last, within = (items[name].astype(np.float64) for name in ("first", "last", "within"))
    before, after = last[:-1], first[1:]
    # As the statement for pages has it: see `aggregates`.
    anew = after.copy()
    if rollover_at is not None:
        anew = np.where(before > rollover_at / 2, rollover_at - before + after, after)
    between = np.where((before > 0) & (after < before / 2), anew, after - before)
    steps = np.zeros(2 * len(items))
    steps[1::2], steps[2::2] = within, between
    times = np.stack([starts, ends], axis=1).ravel()
    counted = np.cumsum(steps)
    # An item of one reading begins and ends at once.
    kept = np.append(times[1:] > times[:-1], True)
    return Register(times[kept], counted[kept])
