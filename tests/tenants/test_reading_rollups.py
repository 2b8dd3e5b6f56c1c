"""Every aggregate is the same from raw, from rollups and from both, and what a hand would compute."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from math import isclose
from random import Random
from statistics import fmean
from struct import pack
from typing import get_args

import pytest

from insula_tenants.errors import RawDropped
from insula_tenants.telemetry.aggregates import Aggregate
from insula_tenants.telemetry.buckets import Width, bucket_starts, instant, microseconds
from insula_tenants.telemetry.packed import _unpacked
from insula_tenants.telemetry.read import Buckets, Row
from tests.conftest import Deployment
from tests.tenants.reading import NOTHING, House

BEGIN = datetime(2026, 3, 27, 3, 10, tzinfo=UTC)
END = BEGIN + timedelta(days=5)
MIDNIGHT = datetime(2026, 3, 28, tzinfo=UTC)
DAY, HOUR = Width(86_400), Width(3600)

SIMPLE: dict[Aggregate, Callable[[Sequence[float]], float]] = {
    "mean": fmean,
    "min": min,
    "max": max,
    "sum": sum,
    "count": len,
    "first": lambda values: values[0],
    "last": lambda values: values[-1],
}


@pytest.fixture(scope="module")
def house(deployment: Deployment) -> House:
    """Four points with readings at odd times, one of them silent for days, all rolled up."""
    house = House(deployment, deployment.acme)
    house.store([(point, *reading) for point in range(1, 5) for reading in readings(point)])
    house.roll_up()
    return house


@pytest.fixture(params=["raw", "rollups", "both", "pieces"])
def reached(request: pytest.FixtureRequest, house: House) -> Iterator[House]:
    """The house, with rollups that answer nothing, everything, or what is clean and old enough."""
    if request.param == "raw":
        house.reach(NOTHING)
    elif request.param == "rollups":
        house.reach(END + timedelta(days=2))
    elif request.param == "pieces":
        late = [BEGIN + timedelta(hours=5 * place) for place in range(20)]
        house.reach(END + timedelta(days=2), dirty=[(time, time + timedelta(minutes=15)) for time in late])
    else:
        dirty = [(BEGIN + timedelta(minutes=50), BEGIN + timedelta(hours=9, minutes=5))]
        house.reach(END - timedelta(hours=30, minutes=25), dirty=dirty)
    yield house
    house.reach(NOTHING)


def readings(point: int) -> list[tuple[datetime, float]]:
    chance = Random(point)
    found, time = [], BEGIN - timedelta(hours=point)
    while time < END:
        time += timedelta(seconds=chance.randint(1, 90_000 if point == 4 and chance.random() < 0.3 else 1500))
        found.append((time, chance.uniform(-20, 30)))
    return found


QUESTIONS = [
    (DAY, "Europe/Brussels", BEGIN, END),
    (DAY, "UTC", BEGIN - timedelta(hours=9), END - timedelta(minutes=3, seconds=7)),
    (HOUR, "Asia/Kolkata", BEGIN + timedelta(minutes=7), BEGIN + timedelta(days=2)),
    (Width(300), "UTC", BEGIN, BEGIN + timedelta(hours=4)),
    (Width(604_800), "Europe/Brussels", BEGIN - timedelta(days=9), END),
    # Buckets that are rows of a rollup.
    (DAY, "UTC", MIDNIGHT, MIDNIGHT + timedelta(days=3)),
    (HOUR, "Europe/Brussels", MIDNIGHT + timedelta(hours=13), MIDNIGHT + timedelta(hours=31)),
    (Width(900), "UTC", MIDNIGHT, MIDNIGHT + timedelta(hours=5)),
]


def buckets_of(width: Width, zone: str, starting: datetime, ending: datetime) -> tuple[list[int], list[int]]:
    """The buckets' beginnings as they are named, and the times at which they are cut."""
    names = bucket_starts(width, zone, microseconds(starting), microseconds(ending))
    return names, [microseconds(starting), *names[1:], microseconds(ending)]


def assert_same(found: list[Row], expected: list[Row]) -> None:
    assert [row[:2] for row in found] == [row[:2] for row in expected]
    for (*key, value), (*_, true) in zip(found, expected, strict=True):
        assert isclose(value, true, rel_tol=1e-9, abs_tol=1e-9), (key, value, true)


@pytest.mark.parametrize("aggregate", SIMPLE)
def test_aggregates_are_what_a_hand_would_compute(reached: House, aggregate: Aggregate):
    for width, zone, starting, ending in QUESTIONS:
        names, cuts = buckets_of(width, zone, starting, ending)
        expected = []
        for point in (1, 2, 4):
            groups: dict[int, list[float]] = {}
            for time, value in readings(point):
                if starting <= time < ending:
                    groups.setdefault(bisect_right(cuts, microseconds(time)) - 1, []).append(value)
            expected += [
                (point, instant(names[place]), float(SIMPLE[aggregate](values)))
                for place, values in sorted(groups.items())
            ]
        asked = Buckets(width, aggregate, zone)
        assert_same(reached.rows([4, 2, 1], starting, ending, asked), expected)
        assert_same(reached.rows([4, 2, 1], starting, ending, asked, limit=37), expected)
        assert_same(reached.packed([4, 2, 1], starting, ending, asked), expected)


def test_time_weighted_means_hold_each_value_until_the_next(reached: House):
    for width, zone, starting, ending in QUESTIONS:
        names, cuts = buckets_of(width, zone, starting, ending)
        expected = []
        for point in (1, 2, 4):
            steps = [(microseconds(time), value) for time, value in readings(point)]
            steps = [step for step in steps if step[0] < cuts[-1]] + [(cuts[-1], 0.0)]
            areas: dict[int, float] = {}
            seconds: dict[int, float] = {}
            for (begins, value), (ends, _) in pairwise(steps):
                for place, (lower, upper) in enumerate(pairwise(cuts)):
                    overlap = (min(ends, upper) - max(begins, lower)) / 1e6
                    if overlap > 0:
                        areas[place] = areas.get(place, 0) + value * overlap
                        seconds[place] = seconds.get(place, 0) + overlap
            expected += [
                (point, instant(names[place]), area / seconds[place]) for place, area in sorted(areas.items())
            ]
        asked = Buckets(width, "time_weighted_mean", zone)
        assert_same(reached.rows([1, 2, 4], starting, ending, asked), expected)
        assert_same(reached.rows([1, 2, 4], starting, ending, asked, limit=37), expected)


def test_the_running_bucket_ends_now_and_no_value_holds_longer(house: House):
    now = datetime.now(UTC)
    house.store([(9, now - timedelta(days=2), 5.0), (9, now + timedelta(hours=12), 7.0)])
    asked = Buckets(DAY, "time_weighted_mean", "UTC")
    answer = house.ask([9], now - timedelta(days=3), now + timedelta(days=3), asked)
    assert {round(value, 9) for *_, value in answer.rows} == {5.0}
    assert answer.rows[-1][1].date() == answer.complete_until.date()
    assert now <= answer.complete_until <= datetime.now(UTC)
    assert house.rows([9], now + timedelta(days=2), now + timedelta(days=3), asked) == []
    past = house.ask([9], now - timedelta(days=3), now - timedelta(days=1), asked)
    assert past.complete_until == now - timedelta(days=1)


def test_answers_say_what_they_were_served_from(house: House):
    def served(width: Width | None, zone: str = "UTC") -> tuple[str, ...]:
        starting, ending = (datetime(2026, 3, day, tzinfo=UTC) for day in (28, 31))
        asked = Buckets(width, "mean", zone) if width else None
        return house.ask([1], starting, ending, asked).served_from

    house.reach(END + timedelta(days=2))
    assert served(DAY) == ("1d",)
    assert served(DAY, "Europe/Brussels") == ("1h",)
    assert served(Width(1800)) == ("15m",)
    assert served(Width(60)) == served(None) == ("raw",)
    house.reach(datetime(2026, 3, 30, 5, 15, tzinfo=UTC))
    assert served(DAY) == ("1d", "1h", "15m", "raw")
    house.reach(NOTHING)
    assert served(DAY) == ("raw",)


def test_what_comes_packed_is_put_in_order():
    """Parallel workers of the database each pack a part."""
    second = 1_000_000
    rows = [(2 * second, 7.5), (second, -1.25), (3 * second, 0.0)]
    times, values = _unpacked(b"".join(pack(">qd", *row) for row in rows))
    assert [instant(int(time)) for time in times] == [NOTHING + timedelta(seconds=one) for one in (1, 2, 3)]
    assert values.tolist() == [-1.25, 7.5, 0.0]


def test_raw_pages_are_parts_of_the_whole(house: House):
    whole = [(point, *reading) for point in (1, 2, 3) for reading in readings(point) if reading[0] >= BEGIN]
    whole = [row for row in whole if row[1] < END]
    assert house.rows([3, 1, 2], BEGIN, END) == whole
    assert house.rows([3, 1, 2], BEGIN, END, limit=41) == whole


def test_where_raw_was_dropped_answers_are_right_or_refused(house: House):
    dropped = datetime(2026, 3, 29, tzinfo=UTC)
    starting, ending = datetime(2026, 3, 28, tzinfo=UTC), datetime(2026, 3, 31, tzinfo=UTC)
    house.reach(END + timedelta(days=2))
    expected = {
        aggregate: house.rows([1, 4], starting, ending, Buckets(HOUR, aggregate, "UTC"))
        for aggregate in get_args(Aggregate)
        if aggregate != "consumption"
    }
    with house.administrator() as connection:
        connection.execute("BEGIN")
        connection.execute("CREATE TEMP TABLE kept AS SELECT * FROM readings WHERE time < %s", (dropped,))
        connection.execute("DELETE FROM readings WHERE time < %s", (dropped,))
        connection.execute("COMMIT")
        mark = (starting, starting + timedelta(hours=1))  # of a reading that came too late to be kept
        house.reach(END + timedelta(days=2), raw_from=dropped, dirty=[mark])
        for aggregate, rows in expected.items():
            assert house.rows([1, 4], starting, ending, Buckets(HOUR, aggregate, "UTC")) == rows
        for bucket in (None, Buckets(Width(60), "mean", "UTC")):
            with pytest.raises(RawDropped):
                house.rows([1], starting, ending, bucket)
            assert house.rows([1], dropped, ending, bucket)
        with pytest.raises(RawDropped):
            house.packed([1], starting, ending, Buckets(Width(60), "mean", "UTC"))
        connection.execute("INSERT INTO readings SELECT * FROM kept")
    house.reach(NOTHING)
