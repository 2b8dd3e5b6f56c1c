"""Which relation answers which stretch of a question: the coarsest rollup that is exact, raw for the rest.

Pure: intervals in, stretches out. Intervals are half-open, times whole microseconds since the epoch.

A row of a rollup serves when its whole width lies inside the question and inside one bucket of it, and when
it is right: before `Coverage.complete_until`, and where no late reading waits to be rolled up. What is left
over at the edges goes to the next finer relation, in the end to raw readings.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Literal

from insula_tenants.errors import RawDropped
from insula_tenants.telemetry.buckets import DAY, Microseconds, instant

Relation = Literal["1d", "1h", "15m", "raw"]
Range = tuple[Microseconds, Microseconds]

QUARTER: Microseconds = DAY // 96
WIDTHS: Mapping[Relation, Microseconds] = {"1d": DAY, "1h": DAY // 24, "15m": QUARTER}
"""Width of a row of each rollup, the coarsest first. Rows begin on multiples of it, in UTC."""


WORTHWHILE = 4
"""How many rows wide buckets must be for a rollup to serve whose rows do not fit them."""


@dataclass(frozen=True, slots=True)
class Coverage:
    """What the storage holds of a tenant."""

    complete_until: Microseconds
    """Rollups hold everything before it, but for what is unfit."""
    raw_from: Microseconds | None = None
    """Raw readings before it were dropped."""
    dirty: Sequence[Range] = ()
    """Where readings came late and no rollup is right; in order, apart."""
    unfit: Mapping[Relation, Sequence[Range]] = field(default_factory=dict)
    """Rows of a rollup that cannot answer this question, by relation; in order, apart."""


@dataclass(frozen=True, slots=True)
class Stretch:
    """A part of the question that one relation answers."""

    starting: Microseconds
    ending: Microseconds
    relation: Relation


def plan(
    starting: Microseconds, ending: Microseconds, edges: Sequence[Microseconds] | None, coverage: Coverage
) -> list[Stretch]:
    """Stretches that make up `[starting, ending)`, in order; neighbours are of different relations.

    `edges` are the times in order at which buckets begin; those outside the interval don't matter. None asks
    for the readings as stored. Raises `RawDropped` when that needs raw readings that retention dropped.
    """
    if edges is None:
        stretches = [Stretch(starting, ending, "raw")] if starting < ending else []
    else:
        stretches = list(_joined(_cover(starting, ending, edges, tuple(WIDTHS), coverage)))
    dropped = coverage.raw_from
    if dropped is not None and any(one.relation == "raw" and one.starting < dropped for one in stretches):
        raise RawDropped(
            "from",
            f"of the time before {instant(dropped):%Y-%m-%dT%H:%M:%SZ} only rollups of 15 minutes and wider "
            "are kept, as the tenant's retention has it: ask for buckets of 15m or wider, with `from` and "
            "`to` on quarters of an hour, or begin there",
        )
    return stretches


def _cover(
    starting: Microseconds,
    ending: Microseconds,
    edges: Sequence[Microseconds],
    relations: tuple[Relation, ...],
    coverage: Coverage,
) -> Iterator[Stretch]:
    if starting >= ending:
        return
    if not relations:
        yield Stretch(starting, ending, "raw")
        return
    relation, *rest = relations
    width, finer = WIDTHS[relation], tuple(rest)
    inner = edges[bisect_right(edges, starting) : bisect_left(edges, ending)]
    bounds: Sequence[Microseconds] = (starting, ending)
    if any(edge % width for edge in inner):
        # Rows do not fit the buckets: of each bucket, those within it serve, where that spares enough.
        bounds = (starting, *inner, ending)
        if max(later - earlier for earlier, later in pairwise(bounds)) < WORTHWHILE * width:
            yield from _cover(starting, ending, inner, finer, coverage)
            return
    done = starting
    for earlier, later in pairwise(bounds):
        for begins, ends in _usable(-(-earlier // width) * width, later // width * width, relation, coverage):
            yield from _cover(done, begins, inner, finer, coverage)
            yield Stretch(begins, ends, relation)
            done = ends
    yield from _cover(done, ending, inner, finer, coverage)


def _usable(
    starting: Microseconds, ending: Microseconds, relation: Relation, coverage: Coverage
) -> Iterator[Range]:
    """The parts of an aligned interval in which rows of a rollup are right."""
    width = WIDTHS[relation]
    ending = min(ending, coverage.complete_until // width * width)
    if starting >= ending:
        return
    wrong = merged((*_within(coverage.dirty, starting, ending), *coverage.unfit.get(relation, ())))
    for begins, ends in wrong:
        if begins >= ending:
            break
        clean = begins // width * width  # a row is wrong when any part of it is
        if clean > starting:
            yield starting, min(clean, ending)
        starting = max(starting, -(-ends // width) * width)
    if starting < ending:
        yield starting, ending


def _within(ranges: Sequence[Range], starting: Microseconds, ending: Microseconds) -> Sequence[Range]:
    """Those of the ranges, in order and apart, that meet the interval."""
    return ranges[
        bisect_right(ranges, starting, key=lambda one: one[1]) : bisect_left(
            ranges, ending, key=lambda one: one[0]
        )
    ]


def merged(ranges: Iterable[Range]) -> list[Range]:
    """The same time in order, ranges that touch made one."""
    found: list[Range] = []
    for starting, ending in sorted(ranges):
        if found and starting <= found[-1][1]:
            found[-1] = (found[-1][0], max(found[-1][1], ending))
        else:
            found.append((starting, ending))
    return found


def _joined(stretches: Iterable[Stretch]) -> Iterator[Stretch]:
    """Neighbours of one relation made one."""
    open_: Stretch | None = None
    for stretch in stretches:
        if open_ is not None and open_.relation == stretch.relation and open_.ending == stretch.starting:
            open_ = Stretch(open_.starting, stretch.ending, stretch.relation)
            continue
        if open_ is not None:
            yield open_
        open_ = stretch
    if open_ is not None:
        yield open_
