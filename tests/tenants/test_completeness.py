"""How complete readings are: counted by hand, from raw readings and from rollups alike."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from insula_tenants.analytics.cadence import Cadence
from insula_tenants.analytics.completeness import Completeness, complete, completeness_of, together
from insula_tenants.analytics.measured import Where, find_points
from insula_tenants.database import AsyncDatabases
from insula_tenants.telemetry.buckets import microseconds
from insula_tenants.telemetry.digests import Digests
from tests.conftest import Deployment
from tests.tenants.reading import NOTHING, House

DAY0 = datetime(2026, 3, 2, tzinfo=UTC)
DAYS = 4
MINUTE, DAY = timedelta(minutes=1), timedelta(days=1)
END = DAY0 + DAYS * DAY

POINTS = """
INSERT INTO devices (slug, name, expected_interval, created_at) VALUES
    ('clock', 'Clock', 60, '2025-01-01'), ('door', 'Door', 120, '2025-01-01'),
    ('quiet', 'Quiet', NULL, '2025-01-01');
INSERT INTO points (device_id, name, brick_class, states, expected_interval, created_at)
SELECT devices.id, given.name, given.class, given.states, given.own, given.made::timestamptz
FROM (VALUES
    ('clock', 'whole', NULL, NULL::text[], NULL::integer, '2025-01-01'),
    ('clock', 'lacking', NULL, NULL, NULL, '2025-01-01'),
    ('clock', 'slow', NULL, NULL, 600, '2025-01-01'),
    ('clock', 'presence', 'Occupancy_Sensor', '{free,occupied}', NULL, '2025-01-01'),
    ('clock', 'new', NULL, NULL, NULL, '2026-03-05T12:00Z'),
    ('clock', 'brought', NULL, NULL, NULL, '2026-05-01'),
    ('clock', 'dead', NULL, NULL, NULL, '2025-01-01'),
    ('door', 'door', 'Contact_Sensor', '{closed,open}', NULL, '2025-01-01'),
    ('quiet', 'unsaid', NULL, NULL, NULL, '2025-01-01')
) AS given (device, name, class, states, own, made)
JOIN devices ON devices.slug = given.device
"""


def readings() -> Iterator[tuple[str, datetime]]:
    for minute in range(DAYS * 1440):
        at = DAY0 + minute * MINUTE
        yield "whole", at
        if not 600 <= minute < 1500:  # 900 minutes, over midnight
            yield "lacking", at
        if minute < 1440:  # ten times as often as expected, on one day of the four
            yield "slow", at
        yield "presence", at + timedelta(seconds=7)
        if at >= DAY0 + 3.5 * DAY:
            yield "new", at
        if minute // 1440 in {0, 2}:
            yield "brought", at
        if minute % 5 == 0 and minute != 1000:
            yield "unsaid", at
    for hour in (1, 1.01, 3, 3.2, 9, 9.1, 9.11, 30, 31, 55, 55.2, 80, 80.5):
        yield "door", DAY0 + timedelta(hours=hour)


@pytest.fixture(scope="module")
def house(deployment: Deployment) -> House:
    house = House(deployment, deployment.acme)
    with house.administrator() as connection:
        connection.execute(POINTS)
        ids = dict(connection.execute("SELECT name, id FROM points").fetchall())
    house.store([(ids[name], at, 1.0) for name, at in readings()])
    house.roll_up()
    return house


async def ask(house: House, starting: datetime, ending: datetime) -> dict[str, Completeness]:
    pools = AsyncDatabases({"main": house.deployment.service_url}, pool_size=1)
    await pools.open()
    try:
        async with pools.snapshot(house.context) as connection:
            points = await find_points(connection, Where())
            found = await completeness_of(connection, points, starting, ending)
    finally:
        await pools.close()
    return {point.name: found[point.id] for point in points}


@pytest.mark.parametrize("until", [NOTHING, DAY0 + 1.5 * DAY, END], ids=["raw", "both", "rollups"])
def test_readings_are_counted_against_what_is_expected(house: House, until: datetime):
    house.reach(until)
    found = asyncio.run(ask(house, DAY0, END))
    assert found["whole"] == Completeness(5760, 5760)
    assert found["lacking"] == Completeness(5760, 4860)
    assert found["slow"] == Completeness(576, 145), "one day's too many do not make up for three without"
    assert found["presence"] == Completeness(5760, 5760), "what keeps to a clock is held to it"
    assert found["new"] == Completeness(720, 720), "nothing is expected before a point was made"
    assert found["dead"] == Completeness(5760, 0)
    assert found["door"] == Completeness(0, 0), "a door that stays shut lacks nothing"
    assert found["unsaid"] == Completeness(1152, 1151, estimated=True)
    assert found["door"].share is None
    assert found["lacking"].share == pytest.approx(0.84375)


def test_a_part_of_a_day_is_counted_by_the_minute(house: House):
    house.reach(END)
    found = asyncio.run(ask(house, DAY0 + 590 * MINUTE, DAY0 + 610 * MINUTE))
    assert found["lacking"] == Completeness(20, 10)
    assert found["whole"] == Completeness(20, 20)


def test_what_was_brought_in_is_expected_from_its_first_reading_on(house: House):
    """Of a point that was made in May, the second and the fourth day of March are missing."""
    house.reach(END)
    found = [
        asyncio.run(ask(house, DAY0 + begin * DAY, DAY0 + end * DAY))["brought"]
        for begin, end in ((-3, 4), (0, 4), (1, 2), (1, 4), (3, 4))
    ]
    assert found == [
        Completeness(5760, 2880),
        Completeness(5760, 2880),
        Completeness(1440, 0),
        Completeness(4320, 1440),
        Completeness(1440, 0),
    ]


def test_nothing_is_expected_of_the_future(house: House):
    now = datetime.now(UTC)
    found = asyncio.run(ask(house, now - timedelta(hours=1), now + timedelta(hours=5)))
    assert found["whole"].expected == pytest.approx(60, abs=1)
    assert asyncio.run(ask(house, now + DAY, now + 2 * DAY))["whole"] == Completeness(0, 0)


@pytest.mark.parametrize(
    ("seconds", "counts", "expected", "present"),
    [
        (3600, [25, 23, 24, 24], 96, 96),  # a reading that came a second before midnight
        (3600, [25, 25, 25, 25, 25, 0, 25, 25], 192, 170),  # a day of silence, and one more on all others
        (86_400, [2, 2, 2, 0, 0, 0], 6, 4),  # no day is twice as good
        (86_400, [0, 2, 1, 1, 0, 2], 6, 6),  # about midnight
        (7 * 86_400, [0, 0, 1, *[0] * 6, 1, *[0] * 6, 1, *[0] * 4, 1], 3, 3),
        (7 * 86_400, [1, 1, 1, 1, *[0] * 24], 4, 2),  # a week's four at once, and three weeks of silence
    ],
)
def test_a_day_with_too_many_hides_none_without(seconds: int, counts: list[int], expected: int, present: int):
    begins = np.array([microseconds(DAY0 + place * DAY) for place, count in enumerate(counts) if count])
    some = np.array([count for count in counts if count])
    values = np.zeros(len(some))
    digests = Digests(begins, some, values, values, begins, begins)
    cadence = Cadence(seconds, "stated", 0, 2**62)
    ending = microseconds(DAY0 + len(counts) * DAY)
    assert complete(digests, cadence, microseconds(DAY0), ending) == Completeness(expected, present)


def test_together_they_are_one():
    assert together([Completeness(10, 5), Completeness(30, 30, estimated=True)]) == Completeness(40, 35, True)
    assert together([]) == Completeness(0, 0)
