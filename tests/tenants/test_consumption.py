"""What a meter counted: as exact arithmetic has it, from raw readings and from rollups alike."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from math import ceil, inf, isclose, isnan
from random import Random

import numpy as np
import pytest

from insula_tenants.errors import InvalidInput
from insula_tenants.telemetry.buckets import Microseconds, Width, bucket_starts, instant, microseconds
from insula_tenants.telemetry.plan import RawDropped
from insula_tenants.telemetry.read import Buckets
from tests.conftest import Deployment
from tests.tenants.reading import NOTHING, House

SPRING = datetime(2026, 3, 28, 20, tzinfo=UTC)
"""Some hours before Brussels changes to summer time."""
AUTUMN = datetime(2026, 10, 24, 20, tzinfo=UTC)
"""Some hours before it changes back."""
HOUR, DAY, WEEK = Width(3600), Width(86_400), Width(604_800)

Readings = list[tuple[datetime, float]]


def by_hand(readings: Readings, rollover_at: float | None, edges: Sequence[Microseconds]) -> dict[int, float]:
    """What was counted between edges, by the number of the first: lines between readings, cut."""
    found: dict[int, float] = {}
    for (earlier, before), (later, after) in pairwise(readings):
        amount = after - before
        if before > 0 and after < before / 2:
            amount = rollover_at - before + after if before > (rollover_at or inf) / 2 else after
        begins, ends = microseconds(earlier), microseconds(later)
        for place in range(
            max(bisect_right(edges, begins) - 1, 0), min(bisect_left(edges, ends), len(edges) - 1)
        ):
            overlap = min(ends, edges[place + 1]) - max(begins, edges[place])
            if overlap > 0:
                found[place] = found.get(place, 0) + amount * overlap / (ends - begins)
    return found


@dataclass(frozen=True)
class Meter:
    """A generated meter."""

    rollover_at: float | None
    readings: Readings


def meter(chance: Random) -> Meter:
    """A meter that counts, and now and then is replaced, corrected or silent for days.

    Its values are eighths, whose sums are exact in binary: what differs is wrong.
    """

    def gap() -> timedelta:
        return timedelta(seconds=chance.randint(1, chance.choice((600, 600, 9000, 300_000))))

    def amount() -> float:
        return chance.randint(0, 400) / 8

    rollover_at = chance.choice((None, None, 100.0, 1000.0))
    time, value = chance.choice((SPRING, AUTUMN)) + gap(), amount()
    readings = [(time, value)]
    for _ in range(chance.randint(0, 30)):
        time += gap()
        happens = chance.random()
        if happens < 0.1:
            value = amount()
        elif happens < 0.2:
            value = max(value - 1, ceil(value * 4) / 8)
        elif happens < 0.9:
            value += amount()
            value %= rollover_at or 1e9
        readings.append((time, value))
    return Meter(rollover_at, readings)


@pytest.fixture(scope="module")
def house(deployment: Deployment) -> House:
    return House(deployment, deployment.acme)


@pytest.fixture
def fresh(house: House) -> Iterator[House]:
    house.reach(NOTHING)
    yield house
    house.remove()


def hours(number: float) -> timedelta:
    return timedelta(hours=number)


QUESTIONS = [
    (HOUR, "UTC", SPRING, hours(30)),
    (DAY, "Europe/Brussels", SPRING, hours(9 * 24)),
    (DAY, "UTC", AUTUMN - timedelta(minutes=37, seconds=11), hours(9 * 24)),
    (WEEK, "Europe/Brussels", AUTUMN - hours(48), hours(30 * 24)),
    (Width(7200), "Europe/Brussels", AUTUMN + hours(3.5), hours(40)),
    (Width(900), "Asia/Kathmandu", SPRING + hours(5), hours(7)),
    (Width(420), "UTC", AUTUMN + hours(5), hours(3)),
    (Width(months=1), "Europe/Brussels", SPRING - hours(219.2), hours(9000)),
]
REACHES = {
    "raw": (NOTHING, ()),
    "rollups": (AUTUMN + timedelta(days=90), ()),
    "both": (
        AUTUMN + timedelta(days=2, hours=1, minutes=15),
        (
            (SPRING + timedelta(hours=2), SPRING + timedelta(hours=7)),
            (AUTUMN, AUTUMN + timedelta(minutes=15)),
        ),
    ),
}


def test_thousands_of_meters_count_the_same_by_hand_from_raw_and_from_rollups(fresh: House):
    chance = Random(4)
    generated = [meter(chance) for _ in range(2000)]
    points = fresh.counters([meter.rollover_at for meter in generated])
    fresh.store(
        [
            (point, *reading)
            for point, meter in zip(points, generated, strict=True)
            for reading in meter.readings
        ]
    )
    fresh.roll_up()
    told = 0
    for number, (width, zone, starting, length) in enumerate(QUESTIONS):
        asked = dict(list(zip(points, generated, strict=True))[number % 4 :: 4])  # two questions for each
        ending = starting + length
        cuts = bucket_starts(width, zone, microseconds(starting), microseconds(ending))
        edges = [max(cuts[0], microseconds(starting)), *cuts[1:], microseconds(ending)]
        expected = {
            (point, instant(cuts[place])): amount
            for point, meter in asked.items()
            for place, amount in by_hand(meter.readings, meter.rollover_at, edges).items()
        }
        for name, (complete_until, dirty) in REACHES.items():
            fresh.reach(complete_until, dirty=dirty)
            answer = fresh.ask(list(asked), starting, ending, Buckets(width, "consumption", zone))
            found = {(point, time): value for point, time, value in answer.rows}
            assert found.keys() == expected.keys(), (name, width, zone)
            wrong = [
                key
                for key, value in found.items()
                if not isclose(value, expected[key], rel_tol=1e-9, abs_tol=1e-9)
            ]
            assert not wrong, (name, width, zone)
            lines = fresh.registers(list(asked), starting, ending, cuts)
            if lines is None:  # of meters that fall too often for a rollup's row
                continue
            spread = {
                (point, instant(cut)): amount
                for point, one in lines.items()
                for cut, amount in zip(cuts, one.spread(np.array(edges)).tolist(), strict=True)
                if not isnan(amount)
            }
            assert spread == pytest.approx(expected, rel=1e-9, abs=1e-9), (name, width, zone)
            told += 1
    assert told >= 12, "lines tell most questions"


NOON = datetime(2026, 5, 4, 12, tzinfo=UTC)


def at(hours_after_noon: float) -> datetime:
    return NOON + hours(hours_after_noon)


@pytest.mark.parametrize("reach", ["raw", "rollups"])
@pytest.mark.parametrize(
    ("rollover_at", "readings", "expected"),
    [
        pytest.param(None, [(0, 100), (1, 110), (2, 125)], {0: 10, 1: 15}, id="counts"),
        pytest.param(None, [(0, 100), (0.5, 110), (0.75, 4), (1, 6)], {0: 16}, id="reset"),
        pytest.param(
            None, [(0, 100), (0.75, 8), (1.25, 2), (2, 6)], {0: 9, 1: 5}, id="reset twice, once at an edge"
        ),
        pytest.param(1000.0, [(0, 990), (0.5, 5), (1, 8)], {0: 18}, id="rollover"),
        pytest.param(1000.0, [(0, 400), (0.5, 5), (1, 8)], {0: 8}, id="reset of a meter that can roll over"),
        pytest.param(1000.0, [(0.5, 990), (1.5, 10)], {0: 10, 1: 10}, id="rollover across an edge"),
        pytest.param(None, [(0, 100), (0.5, 120), (0.75, 115), (1, 118)], {0: 18}, id="correction"),
        pytest.param(
            None, [(0.5, 100), (4.5, 180)], {0: 10, 1: 20, 2: 20, 3: 20, 4: 10}, id="gap over many buckets"
        ),
        pytest.param(None, [(0.25, 100), (0.75, 103)], {0: 3}, id="first and last bucket are partial"),
        pytest.param(None, [(0.25, 100)], {}, id="a single reading tells nothing"),
        pytest.param(None, [(0, 0), (0.5, 0), (1, 7)], {0: 7}, id="from zero"),
    ],
)
def test_what_meters_do(
    fresh: House,
    reach: str,
    rollover_at: float | None,
    readings: list[tuple[float, float]],
    expected: dict[float, float],
):
    (point,) = fresh.counters([rollover_at])
    fresh.store([(point, at(after), float(value)) for after, value in readings])
    fresh.roll_up()
    fresh.reach(*REACHES[reach][:1])
    rows = fresh.rows([point], NOON - hours(5), NOON + hours(12), Buckets(HOUR, "consumption", "UTC"))
    assert {(time - NOON) / hours(1): value for _, time, value in rows} == pytest.approx(expected)


def test_a_reading_that_comes_late_changes_the_hours_it_lies_in_at_once(fresh: House):
    (point,) = fresh.counters([None])
    hourly = Buckets(HOUR, "consumption", "UTC")
    fresh.store([(point, at(0), 100.0), (point, at(4), 180.0)])
    fresh.roll_up()
    fresh.reach(at(24))
    assert [value for *_, value in fresh.rows([point], at(0), at(5), hourly)] == [20, 20, 20, 20]
    fresh.store([(point, at(2), 170.0)])
    fresh.reach(at(24), dirty=[(at(2), at(2.25))])
    late = fresh.ask([point], at(0), at(5), hourly)
    assert [value for *_, value in late.rows] == [35, 35, 5, 5]
    assert late.served_from == ("1h", "15m", "raw")
    fresh.roll_up()
    fresh.reach(at(24))
    assert fresh.ask([point], at(0), at(5), hourly).rows == late.rows


def test_the_line_to_readings_outside_the_question_is_cut_at_its_ends(fresh: House):
    (point,) = fresh.counters([None])
    fresh.store([(point, at(-100), 0.0), (point, at(100), 200.0)])
    hourly = Buckets(HOUR, "consumption", "UTC")
    assert [value for *_, value in fresh.rows([point], at(0.5), at(2), hourly)] == [0.5, 1]
    assert fresh.rows([point], at(-200), at(-150), hourly) == []
    assert fresh.rows([point], at(150), at(200), hourly) == []


def test_a_meter_that_falls_all_day_is_told_from_finer_rollups_and_in_the_end_from_raw(fresh: House):
    (point,) = fresh.counters([None])
    readings = [(point, at(-12 + minute / 60), float(minute % 2 * 10)) for minute in range(24 * 60)]
    quiet = [(point, at(12 + minute / 60), 20.0 + minute) for minute in range(24 * 60)]
    fresh.store(readings + quiet)
    fresh.roll_up()
    daily = Buckets(DAY, "consumption", "UTC")
    expected = fresh.ask([point], at(-12), at(36), daily)
    assert expected.served_from == ("raw",)
    fresh.reach(at(48))
    answer = fresh.ask([point], at(-12), at(36), daily)
    assert [value for *_, value in answer.rows] == pytest.approx([value for *_, value in expected.rows])
    assert answer.served_from == ("1d", "raw")
    fresh.reach(at(48), raw_from=at(12))
    with pytest.raises(RawDropped):
        fresh.ask([point], at(-12), at(36), daily)


def test_where_raw_was_dropped_consumption_comes_from_rollups_and_their_neighbours(fresh: House):
    (point,) = fresh.counters([None])
    fresh.store([(point, at(12 * n), 10.0 * n) for n in range(-8, 9)])
    fresh.roll_up()
    six = Buckets(Width(6 * 3600), "consumption", "UTC")
    fresh.reach(at(72))
    before = fresh.rows([point], at(-36), at(36), six)
    with fresh.administrator() as connection:
        connection.execute("DELETE FROM readings WHERE time < %s", (at(12),))
    fresh.reach(at(72), raw_from=at(12))
    assert fresh.rows([point], at(-36), at(36), six) == before
    assert fresh.rows([point], at(-36), at(-24), six) == before[:2]
    assert [value for *_, value in before] == [5.0] * 12


def test_a_gauge_has_no_consumption_and_a_gauge_among_meters_is_named(fresh: House):
    counter, gauge = fresh.counters([None, None])
    with fresh.administrator() as connection:
        connection.execute("UPDATE points SET kind = 'gauge' WHERE id = %s", (gauge,))
    assert fresh.rows([counter], at(0), at(1), Buckets(HOUR, "consumption", "UTC")) == []
    with pytest.raises(InvalidInput, match=rf"point {gauge} \('p2'\) is no counter"):
        fresh.rows([counter, gauge], at(0), at(1), Buckets(HOUR, "consumption", "UTC"))


def test_pages_of_consumption_are_parts_of_the_whole(fresh: House):
    points = fresh.counters([None, None, None])
    fresh.store([(point, at(7 * n), 3.0 * n * point) for point in points for n in range(40)])
    fresh.roll_up()
    fresh.reach(at(100))
    hourly = Buckets(HOUR, "consumption", "Europe/Brussels")
    whole = fresh.rows(points, at(0.25), at(200), hourly)
    assert len(whole) == 3 * 200
    paged = fresh.rows(points, at(0.25), at(200), hourly, limit=7 * 11)
    assert [row[:2] for row in paged] == [row[:2] for row in whole]
    assert [row[2] for row in paged] == pytest.approx([row[2] for row in whole])
