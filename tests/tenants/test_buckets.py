"""Where buckets begin: as the database's `time_bucket` groups readings, across changes of the clock."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy import text

from insula_tenants.telemetry.buckets import Width, bucket_starts, instant, microseconds
from tests.conftest import Deployment


def starts(width: Width, zone: str, starting: datetime, ending: datetime) -> list[str]:
    found = bucket_starts(width, zone, microseconds(starting), microseconds(ending))
    return [f"{instant(each):%m-%dT%H:%M}" for each in found]


@pytest.mark.parametrize(
    ("width", "zone", "starting", "expected"),
    [
        # The hour that comes twice is two buckets.
        (
            Width(3600),
            "Europe/Brussels",
            (2026, 10, 24, 23, 30),
            ["10-24T23:00", "10-25T00:00", "10-25T01:00", "10-25T02:00"],
        ),
        # Two hours by the clock are cut where it changes: one hour before it, then from 3 to 4 o'clock.
        (
            Width(7200),
            "Europe/Brussels",
            (2026, 3, 28, 23, 30),
            ["03-28T23:00", "03-29T01:00", "03-29T02:00"],
        ),
        (Width(86_400), "Europe/Brussels", (2026, 3, 28, 22), ["03-27T23:00", "03-28T23:00"]),
        (Width(86_400), "Asia/Kathmandu", (2026, 3, 28, 18), ["03-27T18:15", "03-28T18:15"]),
        # Midnight is skipped in Beirut: the day begins at the change.
        (Width(86_400), "Asia/Beirut", (2026, 3, 28, 21), ["03-27T22:00", "03-28T22:00"]),
        (Width(604_800), "UTC", (2026, 3, 28, 21), ["03-23T00:00"]),
        (Width(months=1), "America/New_York", (2026, 3, 1, 4), ["02-01T05:00", "03-01T05:00"]),
    ],
)
def test_buckets_begin_by_the_local_clock(
    width: Width, zone: str, starting: tuple[int, ...], expected: list[str]
):
    begins = datetime(*starting, tzinfo=UTC)
    assert starts(width, zone, begins, begins + timedelta(hours=3)) == expected


ZONES = (
    "UTC",
    "Europe/Brussels",
    "Asia/Kolkata",
    "Australia/Lord_Howe",
    "America/Sao_Paulo",
    "America/Havana",
    "Africa/Casablanca",
    "Asia/Beirut",
    "Asia/Gaza",
)
WIDTHS = {
    "7 minutes": Width(420),
    "15 minutes": Width(900),
    "1 hour": Width(3600),
    "7 hours": Width(25_200),
    "1 day": Width(86_400),
    "36 hours": Width(129_600),
    "1 week": Width(604_800),
    "1 month": Width(months=1),
    "5 months": Width(months=5),
    "1 year": Width(months=12),
}


@pytest.mark.parametrize("zone", ZONES)
def test_buckets_hold_together_what_the_databases_own_function_does(deployment: Deployment, zone: str):
    """Two readings are in one bucket exactly when `time_bucket` says so. In odd zones, too."""
    try:
        ZoneInfo(zone)
    except KeyError:
        pytest.skip(f"this machine does not know {zone}")
    starting, ending = datetime(2017, 9, 30, 11, tzinfo=UTC), datetime(2018, 11, 20, tzinfo=UTC)
    query = text(
        "SELECT time, insula_functions.time_bucket(CAST(:width AS interval), time, :zone)"
        " FROM generate_series("
        "   CAST(:a AS timestamptz), CAST(:b AS timestamptz), CAST(:step AS interval)) AS time"
    )
    for name, width in WIDTHS.items():
        step = "5 hours 20 minutes" if width.months or width.seconds >= 86_400 else "53 minutes"
        with deployment.databases.tenant(deployment.acme) as session:
            asked = {"width": name, "zone": zone, "a": starting, "b": ending, "step": step}
            rows = session.execute(query, asked).all()
        edges = bucket_starts(width, zone, microseconds(starting), microseconds(ending))
        assert all(earlier < later for earlier, later in pairwise(edges))
        assert edges[0] <= microseconds(starting)
        place, pairs = 0, set()
        for time, bucket in rows:
            while place + 1 < len(edges) and edges[place + 1] <= microseconds(time):
                place += 1
            pairs.add((edges[place], bucket))
        assert len(pairs) == len({ours for ours, _ in pairs}) == len({theirs for _, theirs in pairs}), name
