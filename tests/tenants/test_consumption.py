"""What a meter counted: as exact arithmetic has it, from raw readings and from rollups alike."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from math import ceil, inf, isclose
from random import Random

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
    """What was counted between edges, by the number of the first: lines between readings, cut at the edges."""
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
    for width, zone, starting, length in QUESTIONS:
        ending = starting + length
        cuts = bucket_starts(width, zone, microseconds(starting), microseconds(ending))
        edges = [max(cuts[0], microseconds(starting)), *cuts[1:], microseconds(ending)]
        expected = {
            (point, instant(cuts[place])): amount
            for point, meter in zip(points, generated, strict=True)
            for place, amount in by_hand(meter.readings, meter.rollover_at, edges).items()
        }
        for name, (complete_until, dirty) in REACHES.items():
            fresh.reach(complete_until, dirty=dirty)
            answer = fresh.ask(points, starting, ending, Buckets(width, "consumption", zone))
            found = {(point, time): value for point, time, value in answer.rows}
            assert found.keys() == expected.keys(), (name, width, zone)
            wrong = [
                key
                for key, value in found.items()
                if not isclose(value, expected[key], rel_tol=1e-9, abs_tol=1e-9)
            ]
            assert not wrong, (name, width, zone)
