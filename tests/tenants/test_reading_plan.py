"""Which relation answers what: the coarsest that is exact, whatever the zone, the edges and the marks."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from insula_tenants.errors import RawDropped
from insula_tenants.telemetry.buckets import DAY, Microseconds, Width, bucket_starts, instant, microseconds
from insula_tenants.telemetry.plan import WIDTHS, WORTHWHILE, Coverage, Range, Stretch, merged, plan

FROM, TO = datetime(2026, 3, 2, tzinfo=UTC), datetime(2026, 4, 6, tzinfo=UTC)
ALL = Coverage(complete_until=microseconds(TO))
HOUR, MINUTE = DAY // 24, DAY // 1440


def planned(
    width: Width | None,
    zone: str = "UTC",
    starting: datetime = FROM,
    ending: datetime = TO,
    coverage: Coverage = ALL,
) -> list[tuple[str, str, str]]:
    """The plan in words: relation, from, to."""
    begins, ends = microseconds(starting), microseconds(ending)
    edges = bucket_starts(width, zone, begins, ends) if width else None
    stretches = plan(begins, ends, edges, coverage)
    assert [one.ending for one in stretches[:-1]] == [one.starting for one in stretches[1:]]
    return [
        (one.relation, f"{instant(one.starting):%m-%dT%H:%M}", f"{instant(one.ending):%m-%dT%H:%M}")
        for one in stretches
    ]


@pytest.mark.parametrize(
    ("width", "zone", "relation"),
    [
        (Width(86_400), "UTC", "1d"),
        (Width(604_800), "UTC", "1d"),
        (Width(3600), "UTC", "1h"),
        (Width(2700), "UTC", "15m"),
        (Width(900), "Asia/Kathmandu", "15m"),
        (Width(86_400), "Asia/Kathmandu", "15m"),
        (Width(86_400), "Asia/Kolkata", "15m"),
        (Width(3600), "Europe/Brussels", "1h"),
        (Width(300), "UTC", "raw"),
        (Width(960), "UTC", "raw"),
        (Width(129_600), "UTC", "1h"),
        (None, "UTC", "raw"),
    ],
)
def test_one_relation_answers_what_is_aligned_to_it(width: Width | None, zone: str, relation: str):
    begins = (
        FROM if zone != "Asia/Kathmandu" or width == Width(900) else FROM - timedelta(hours=5, minutes=45)
    )
    found = {each for each, *_ in planned(width, zone, begins)}
    assert relation in found
    if zone == "UTC" and width != Width(129_600):
        assert found == {relation}


def test_days_of_brussels_are_made_of_hours_of_utc_across_the_change_to_summer_time():
    brussels = ZoneInfo("Europe/Brussels")
    starting, ending = (datetime(2026, 3, day, tzinfo=brussels) for day in (20, 31))
    assert planned(Width(86_400), "Europe/Brussels", starting, ending) == [
        ("1h", "03-19T23:00", "03-30T22:00")
    ]


def test_weeks_of_brussels_are_made_of_days_of_utc_and_hours_at_their_ends():
    brussels = ZoneInfo("Europe/Brussels")
    starting, ending = (datetime(2026, 3, day, tzinfo=brussels) for day in (2, 16))
    assert planned(Width(604_800), "Europe/Brussels", starting, ending) == [
        ("1h", "03-01T23:00", "03-02T00:00"),
        ("1d", "03-02T00:00", "03-08T00:00"),
        ("1h", "03-08T00:00", "03-09T00:00"),
        ("1d", "03-09T00:00", "03-15T00:00"),
        ("1h", "03-15T00:00", "03-15T23:00"),
    ]


def test_ragged_ends_come_from_ever_finer_relations():
    starting, ending = FROM + timedelta(hours=21, minutes=40, seconds=5), TO - timedelta(minutes=50)
    assert planned(Width(86_400), "UTC", starting, ending) == [
        ("raw", "03-02T21:40", "03-02T21:45"),
        ("15m", "03-02T21:45", "03-02T22:00"),
        ("1h", "03-02T22:00", "03-03T00:00"),
        ("1d", "03-03T00:00", "04-05T00:00"),
        ("1h", "04-05T00:00", "04-05T23:00"),
        ("raw", "04-05T23:00", "04-05T23:10"),
    ]


def test_what_is_not_rolled_up_yet_is_raw():
    coverage = Coverage(complete_until=microseconds(TO - timedelta(hours=5, minutes=45)))
    assert planned(Width(86_400), coverage=coverage) == [
        ("1d", "03-02T00:00", "04-05T00:00"),
        ("1h", "04-05T00:00", "04-05T18:00"),
        ("15m", "04-05T18:00", "04-05T18:15"),
        ("raw", "04-05T18:15", "04-06T00:00"),
    ]


def test_where_readings_came_late_only_their_own_quarters_are_raw():
    late = microseconds(datetime(2026, 3, 10, 10, 15, tzinfo=UTC))
    coverage = Coverage(ALL.complete_until, dirty=[(late, late + 15 * MINUTE)])
    assert planned(Width(86_400), coverage=coverage) == [
        ("1d", "03-02T00:00", "03-10T00:00"),
        ("1h", "03-10T00:00", "03-10T10:00"),
        ("15m", "03-10T10:00", "03-10T10:15"),
        ("raw", "03-10T10:15", "03-10T10:30"),
        ("15m", "03-10T10:30", "03-10T11:00"),
        ("1h", "03-10T11:00", "03-11T00:00"),
        ("1d", "03-11T00:00", "04-06T00:00"),
    ]


def test_a_row_that_does_not_serve_is_replaced_by_finer_ones():
    day = microseconds(datetime(2026, 3, 10, tzinfo=UTC))
    coverage = Coverage(ALL.complete_until, unfit={"1d": [(day, day + DAY)]})
    assert planned(Width(86_400), coverage=coverage) == [
        ("1d", "03-02T00:00", "03-10T00:00"),
        ("1h", "03-10T00:00", "03-11T00:00"),
        ("1d", "03-11T00:00", "04-06T00:00"),
    ]


def test_where_raw_readings_were_dropped_rollups_answer_or_the_question_is_refused():
    dropped = datetime(2026, 3, 20, tzinfo=UTC)
    coverage = Coverage(ALL.complete_until, raw_from=microseconds(dropped))
    assert planned(Width(900), coverage=coverage) == [("15m", "03-02T00:00", "04-06T00:00")]
    assert planned(Width(300), starting=dropped, coverage=coverage)
    assert planned(None, starting=dropped, coverage=coverage)
    for width, starting in ((Width(300), FROM), (None, FROM), (Width(86_400), FROM + timedelta(minutes=1))):
        with pytest.raises(RawDropped, match=r"before 2026-03-20T00:00:00Z only rollups of 15 minutes"):
            planned(width, starting=starting, coverage=coverage)


def test_an_interval_without_length_needs_nothing():
    assert planned(Width(3600), starting=TO) == planned(None, starting=TO) == []


ZONES = st.sampled_from(("UTC", "Europe/Brussels", "Asia/Kolkata", "Australia/Lord_Howe", "America/St_Johns"))
WIDTHS_ASKED = st.sampled_from(
    [*map(Width, (60, 420, 900, 1800, 3600, 7200, 25_200, 86_400, 604_800)), Width(months=1)]
)
TIMES = st.integers(microseconds(FROM) // MINUTE, microseconds(TO) // MINUTE).map(
    lambda minute: minute * MINUTE
)
QUARTERS = TIMES.map(lambda time: time // (15 * MINUTE) * (15 * MINUTE))
RANGES = st.tuples(QUARTERS, st.integers(1, 300)).map(lambda one: (one[0], one[0] + one[1] * 15 * MINUTE))


def usable(row: Range, edges: list[Microseconds], question: Range, coverage: Coverage) -> bool:
    """Whether a row of a rollup may serve, said plainly."""
    inside = question[0] <= row[0] and row[1] <= question[1] and row[1] <= coverage.complete_until
    one_bucket = not any(row[0] < edge < row[1] for edge in edges)
    return (
        inside
        and one_bucket
        and not any(row[0] < ends and begins < row[1] for begins, ends in coverage.dirty)
    )


@settings(max_examples=60, derandomize=True, database=None, deadline=None)
@given(WIDTHS_ASKED, ZONES, st.tuples(TIMES, TIMES), QUARTERS, st.lists(RANGES, max_size=4))
def test_every_stretch_is_exact_and_no_coarser_relation_is_worthwhile(
    width: Width, zone: str, times: Range, until: Microseconds, dirty: list[Range]
):
    question = min(times), max(times)
    if question[0] == question[1]:
        return
    coverage = Coverage(until, dirty=merged(dirty))
    edges = bucket_starts(width, zone, *question)
    stretches = plan(*question, edges, coverage)
    assert (stretches[0].starting, stretches[-1].ending) == question
    assert all(
        one.ending == other.starting and one.relation != other.relation for one, other in pairwise(stretches)
    )
    for stretch in stretches:
        near = [edge for edge in edges if stretch.starting - DAY <= edge <= stretch.ending + DAY]
        _check(stretch, near, question, coverage, width)


def _check(
    stretch: Stretch, edges: list[Microseconds], question: Range, coverage: Coverage, asked: Width
) -> None:
    coarser = list(WIDTHS)
    if stretch.relation != "raw":
        coarser = coarser[: coarser.index(stretch.relation)]
        own = WIDTHS[stretch.relation]
        assert stretch.starting % own == stretch.ending % own == 0
        for begins in range(stretch.starting, stretch.ending, own):
            assert usable((begins, begins + own), edges, question, coverage)
    for relation in coarser:
        own = WIDTHS[relation]
        if (
            any(edge % own for edge in edges)
            and asked.seconds * 1_000_000 < WORTHWHILE * own
            and not asked.months
        ):
            continue  # it would serve in many small stretches, and spare little
        for begins in range(stretch.starting // own * own, stretch.ending, own):
            assert not usable((begins, begins + own), edges, question, coverage), (relation, instant(begins))
