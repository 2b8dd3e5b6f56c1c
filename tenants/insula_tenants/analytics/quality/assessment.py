"""How good one point's data is, from its digests. Pure."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from typing import Literal, TypeVar

import numpy as np
from numpy.typing import NDArray

from insula_tenants.analytics.cadence import Cadence
from insula_tenants.analytics.completeness import Completeness, by_day, complete
from insula_tenants.analytics.measured import MeasuredPoint
from insula_tenants.analytics.quality.detection import (
    FLATNESS,
    Gaps,
    OutOfRange,
    Stuck,
    find_gaps,
    find_out_of_range,
    find_stuck,
)
from insula_tenants.analytics.quality.verdicts import Evidence, Problem, problems_of, score_of
from insula_tenants.telemetry.buckets import DAY, Microseconds
from insula_tenants.telemetry.digests import Digests

Resolution = Literal["raw", "15m", "1h", "1d"]
_Scalar = TypeVar("_Scalar", np.int64, np.float64)

LACKING = 0.01
"""Share of a day's expected readings that may be missing before the day is looked at more closely."""


@dataclass(frozen=True, slots=True)
class Device:
    """What ingest noticed of the point's device."""

    clock_offset: float | None = None
    """Seconds that its clock is behind."""
    clock_offset_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Period:
    """What was asked about, up to now. Microseconds since the epoch."""

    starting: Microseconds
    ending: Microseconds


@dataclass(frozen=True, slots=True)
class PointQuality:
    """How good a point's data is."""

    measured: MeasuredPoint
    device: Device
    cadence: Cadence
    digests: Digests
    """Of days."""
    resolution: Resolution
    readings: int
    completeness: Completeness
    expected: NDArray[np.float64]
    """Of each UTC day of the period."""
    present: NDArray[np.float64]
    gaps: Gaps
    stuck: tuple[Stuck, ...]
    out_of_range: OutOfRange | None
    problems: tuple[Problem, ...]
    score: float

    @property
    def rank(self) -> tuple[int, int]:
        """Where it stands in the list: by its score in millionths, the worst first, then by id."""
        return -round(self.score * 1e6), self.measured.id


def assess(
    point: MeasuredPoint, device: Device, cadence: Cadence, days: Digests, period: Period
) -> PointQuality:
    """From digests of days alone."""
    _, expected, present = by_day(days, cadence, period.starting, period.ending)
    first = PointQuality(
        measured=point,
        device=device,
        cadence=cadence,
        digests=days,
        resolution="1d",
        readings=int(days.counts.sum()),
        completeness=complete(days, cadence, period.starting, period.ending),
        expected=expected,
        present=np.minimum(present, expected),
        gaps=Gaps(0, 0.0, 0.0, ()),
        stuck=(),
        out_of_range=None,
        problems=(),
        score=0.0,
    )
    return look(first, days, "1d", period)


def look(known: PointQuality, digests: Digests, resolution: Resolution, period: Period) -> PointQuality:
    """The same, its gaps, stuck and impossible values found in digests that may be finer than days."""
    cadence, point = known.cadence, known.measured
    since, until = max(period.starting, cadence.begins), min(period.ending, cadence.ends)
    gaps = Gaps(0, 0.0, 0.0, ())
    if cadence.interval is not None and since < until:
        gaps = find_gaps(digests, cadence.interval, since, until)
    flatness = FLATNESS.get(point.quantity) if point.quantity is not None else None
    stuck = find_stuck(digests, flatness, cadence.interval) if flatness is not None else ()
    out_of_range = find_out_of_range(digests, point.minimum, point.maximum)
    evidence = Evidence(
        seconds=max(until - since, 0) / 1e6,
        readings=known.readings,
        cadence=cadence,
        completeness=known.completeness,
        gaps=gaps,
        stuck=stuck,
        out_of_range=out_of_range,
        clock_offset=known.device.clock_offset,
    )
    return replace(
        known,
        resolution=resolution,
        gaps=gaps,
        stuck=stuck,
        out_of_range=out_of_range,
        problems=tuple(problems_of(evidence)),
        score=score_of(evidence) if resolution == "1d" else known.score,
    )


def lacking_days(known: PointQuality, period: Period) -> NDArray[np.int64]:
    """The beginnings of the days that lack readings, though they have some: there gaps may hide."""
    days = np.arange(period.starting // DAY * DAY, period.ending, DAY, dtype=np.int64)
    missing = known.expected - known.present
    some = np.isin(days, known.digests.begins)
    return days[(missing > np.maximum(known.expected * LACKING, 2)) & some]


def refined(days: Digests, finer: Digests) -> Digests:
    """Digests of days, those days for which there are finer ones replaced by them."""
    kept = ~np.isin(days.begins, finer.begins // DAY * DAY)
    order = np.argsort(np.concatenate([days.begins[kept], finer.begins]), kind="stable")

    def merged(coarse: NDArray[_Scalar], fine: NDArray[_Scalar]) -> NDArray[_Scalar]:
        both: NDArray[_Scalar] = np.concatenate([coarse[kept], fine])[order]
        return both

    return Digests(
        merged(days.begins, finer.begins),
        merged(days.counts, finer.counts),
        merged(days.lows, finer.lows),
        merged(days.highs, finer.highs),
        merged(days.firsts, finer.firsts),
        merged(days.lasts, finer.lasts),
    )
