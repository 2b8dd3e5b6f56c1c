"""Gaps, stuck values and values out of range: found in readings and in digests, checked by hand."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import groupby

import numpy as np
import pytest

from insula_tenants.analytics.cadence import Cadence, interval_of, interval_of_days
from insula_tenants.analytics.completeness import Completeness
from insula_tenants.analytics.quality.assessment import refined
from insula_tenants.analytics.quality.detection import (
    MOST,
    Flatness,
    Gaps,
    OutOfRange,
    Stuck,
    find_gaps,
    find_out_of_range,
    find_stuck,
)
from insula_tenants.analytics.quality.service import one_by_one
from insula_tenants.analytics.quality.verdicts import Evidence, problems_of, score_of
from insula_tenants.analytics.series import EMPTY, Series
from insula_tenants.telemetry.buckets import microseconds
from insula_tenants.telemetry.digests import Digests

START = datetime(2026, 5, 4, tzinfo=UTC)
MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
NO_GAPS = Gaps(0, 0.0, 0.0, ())


def series(minutes: list[int], values: list[float] | None = None) -> Series:
    times = [microseconds(START + minute * MINUTE) for minute in minutes]
    return Series(np.array(times, np.int64), np.array(values or [1.0 * one for one in minutes]))


def digests_of(one: Series, width: timedelta) -> Digests:
    """What rollups would hold, made with the standard library."""
    step = width // timedelta(microseconds=1)
    rows = []
    for begin, some in groupby(
        zip(one.times.tolist(), one.values.tolist(), strict=True), lambda r: r[0] // step
    ):
        readings = list(some)
        values = [value for _, value in readings]
        rows.append((begin * step, len(values), min(values), max(values), readings[0][0], readings[-1][0]))
    columns = list(zip(*rows, strict=True))
    whole = [np.array(columns[place], np.int64) for place in (0, 1, 4, 5)]
    return Digests(whole[0], whole[1], np.array(columns[2]), np.array(columns[3]), whole[2], whole[3])


def gaps(digests: Digests, interval: float = 60) -> Gaps:
    return find_gaps(digests, interval, microseconds(START), microseconds(START + 2 * DAY))


def told(found: Gaps) -> list[tuple[float, float]]:
    """From and to, in minutes of the period."""
    return [((one.starting - START) / MINUTE, (one.ending - START) / MINUTE) for one in found.items]


WITH_GAPS = [
    *range(10, 100),
    *range(102, 600),  # two readings are missing: no gap
    *range(700, 1430),
    *range(1600, 2870),  # over midnight
]


@pytest.mark.parametrize("width", [None, 15 * MINUTE, HOUR], ids=["raw", "15m", "1h"])
def test_gaps_have_their_true_ends(width: timedelta | None):
    one = series(WITH_GAPS)
    found = gaps(digests_of(one, width) if width else one_by_one(one))
    assert told(found) == [(0, 10), (599, 700), (1429, 1600), (2869, 2880)]
    assert (found.count, found.longest) == (4, 171 * 60)
    assert found.seconds == (10 + 101 + 171 + 11) * 60


def test_days_show_the_gaps_between_them_alone():
    found = gaps(digests_of(series(WITH_GAPS), DAY))
    assert told(found) == [(0, 10), (1429, 1600), (2869, 2880)]


def test_days_that_lack_readings_are_replaced_by_their_hours():
    one = series(WITH_GAPS)
    days = digests_of(one, DAY)
    first_day = series([minute for minute in WITH_GAPS if minute < 1440])
    both = refined(days, digests_of(first_day, HOUR))
    assert told(gaps(both)) == told(gaps(one_by_one(one)))
    assert both.counts.sum() == len(one)


def test_nothing_at_all_is_one_gap_and_many_are_counted_though_few_are_told():
    assert told(gaps(one_by_one(EMPTY))) == [(0, 2880)]
    assert gaps(one_by_one(series(list(range(2880))))) == NO_GAPS
    many = gaps(one_by_one(series(list(range(0, 2880, 10)))))
    assert (many.count, len(many.items), many.longest) == (288, MOST, 600)


def test_a_value_that_does_not_move_is_stuck_once_it_is_too_long():
    values = [20 + minute % 7 / 10 for minute in range(2880)]
    values[300:1800] = [21.5] * 1500
    flatness = Flatness(24 * 3600)
    one = series(list(range(2880)), values)
    (stuck,) = find_stuck(one_by_one(one), flatness, 60)
    assert (stuck.value, (stuck.starting - START) / MINUTE, (stuck.ending - START) / MINUTE) == (
        21.5,
        300,
        1799,
    )
    (by_hours,) = find_stuck(digests_of(one, HOUR), flatness, 60)
    assert stuck.starting <= by_hours.starting
    assert by_hours.ending <= stuck.ending
    assert by_hours.seconds > stuck.seconds - 2 * 3600
    assert find_stuck(one_by_one(one), Flatness(26 * 3600), 60) == ()
    assert find_stuck(one_by_one(EMPTY), flatness, 60) == ()


def test_a_gap_and_another_value_end_a_flat_stretch_and_zero_may_stay():
    minutes = [minute for minute in range(2880) if not 1400 <= minute < 1500]
    one = one_by_one(series(minutes, [5.0] * len(minutes)))
    assert find_stuck(one, Flatness(24 * 3600), 60) == (), "neither side of the gap lasts a day"
    assert len(find_stuck(one, Flatness(20 * 3600), 60)) == 2
    assert len(find_stuck(one, Flatness(24 * 3600), None)) == 1, "who reports changes has no gaps"
    two = one_by_one(series(list(range(2880)), [5.0] * 1440 + [6.0] * 1440))
    assert [stuck.value for stuck in find_stuck(two, Flatness(20 * 3600), 60)] == [5.0, 6.0]
    dark = one_by_one(series(list(range(2880)), [0.0] * 2880))
    assert find_stuck(dark, Flatness(24 * 3600, zero_too=False), 60) == ()
    assert len(find_stuck(dark, Flatness(24 * 3600), 60)) == 1


def test_what_is_out_of_range_is_counted_from_readings_and_seen_from_days():
    values = [20.0] * 2880
    values[100] = values[101] = -127.0
    values[2000] = 90.0
    one = series(list(range(2880)), values)
    assert find_out_of_range(one_by_one(one), -40, 85) == OutOfRange(-40, 85, -127, 90, 3, 2)
    assert find_out_of_range(digests_of(one, DAY), -40, 85) == OutOfRange(-40, 85, -127, 90, None, 2)
    assert find_out_of_range(one_by_one(one), None, 85) == OutOfRange(None, 85, -127, 90, 1, 1)
    assert find_out_of_range(one_by_one(one), -127, 90) is None, "the bounds themselves can be right"
    assert find_out_of_range(one_by_one(one), None, None) is None
    assert find_out_of_range(one_by_one(EMPTY), -40, 85) is None


def test_an_interval_is_told_by_readings_that_keep_to_a_clock():
    regular = np.array([minute * 60.0 + minute % 3 for minute in range(100) if minute not in range(40, 60)])
    assert interval_of(regular) == pytest.approx(60, abs=1)
    chance = np.random.default_rng(3)
    assert interval_of(np.cumsum(chance.exponential(600, 100))) is None, "a door"
    assert interval_of(np.arange(5) * 60.0) is None, "too few"
    days = digests_of(series(list(range(2880))), DAY)
    assert interval_of_days(days) == 60


def evidence(**changes: object) -> Evidence:
    plain = Evidence(
        seconds=86_400,
        readings=1440,
        cadence=Cadence(60, "stated", 0, 2**62),
        completeness=Completeness(1440, 1440),
        gaps=NO_GAPS,
        stuck=(),
        out_of_range=None,
        clock_offset=None,
    )
    fields = {name: getattr(plain, name) for name in plain.__dataclass_fields__}
    return Evidence(**fields | changes)  # type: ignore[arg-type]


def test_each_fault_is_told_with_what_to_do_and_takes_its_share():
    assert (problems_of(evidence()), score_of(evidence())) == ([], 0)
    stuck = Stuck(START, START + 6 * HOUR, 21.5)
    one_gap = Gaps(1, 7200, 7200, (find_gaps(one_by_one(EMPTY), 60, 0, 7_200_000_000).items))
    found = evidence(
        completeness=Completeness(1440, 1296),
        gaps=one_gap,
        stuck=(stuck,),
        out_of_range=OutOfRange(-40, 85, -127, 20, 3, 1),
        clock_offset=-7200.0,
    )
    problems = problems_of(found)
    kinds = [(one.kind, one.severity) for one in problems]
    assert kinds == [
        ("stuck", "serious"),
        ("out_of_range", "serious"),
        ("clock_ahead", "serious"),
        ("incomplete", "minor"),
        ("gap", "minor"),
    ]
    assert all(one.what_to_do for one in problems)
    assert "21.5 for 6 h from 2026-05-04 00:00 UTC" in problems[0].detail
    assert "3 readings on 1 day are out of -40 to 85" in problems[1].detail
    assert "2 h ahead" in problems[2].detail
    assert "90.0% of the readings are there: 144 of 1,440" in problems[3].detail
    assert score_of(evidence(completeness=Completeness(1440, 1296))) == pytest.approx(0.1)
    assert score_of(evidence(stuck=(stuck,))) == pytest.approx(0.25)
    assert score_of(evidence(clock_offset=61.0)) == pytest.approx(0.2)
    assert score_of(evidence(clock_offset=60.0)) == 0
    assert score_of(evidence(stuck=(stuck,), clock_offset=99.0)) == pytest.approx(1 - 0.75 * 0.8)


def test_silence_is_a_fault_of_a_thermometer_and_not_of_a_door():
    silent = evidence(readings=0, completeness=Completeness(1440, 0))
    assert [one.kind for one in problems_of(silent)] == ["silent"]
    assert score_of(silent) == 1
    door = evidence(readings=0, completeness=Completeness(0, 0), cadence=Cadence(None, "events", 0, 2**62))
    assert [(one.kind, one.severity) for one in problems_of(door)] == [("silent", "minor")]
    assert score_of(door) == 0.05
    unborn = evidence(readings=0, completeness=Completeness(0, 0), seconds=0.0)
    assert (problems_of(unborn), score_of(unborn)) == ([], 0)
    unknown = evidence(completeness=Completeness(0, 0), cadence=Cadence(None, "unknown", 0, 2**62))
    assert [one.kind for one in problems_of(unknown)] == ["interval_unknown"]
