"""Both storage engines answer alike: this runs on whichever the server has."""

from __future__ import annotations

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from tests.conftest import Deployment

BRUSSELS = ZoneInfo("Europe/Brussels")


BUCKETS = pytest.mark.parametrize(
    ("width", "zone", "at", "bucket"),
    [
        (
            "5 minutes",
            "UTC",
            datetime(2026, 3, 29, 0, 59, 59, tzinfo=UTC),
            datetime(2026, 3, 29, 0, 55, tzinfo=UTC),
        ),
        (
            "1 hour",
            "Asia/Kolkata",
            datetime(2026, 3, 1, 0, 10, tzinfo=UTC),
            datetime(2026, 2, 28, 23, 30, tzinfo=UTC),
        ),
        # When summer time ends, 02:15 comes twice: the hours stay apart.
        (
            "1 hour",
            "Europe/Brussels",
            datetime(2026, 10, 25, 0, 15, tzinfo=UTC),
            datetime(2026, 10, 25, 0, 0, tzinfo=UTC),
        ),
        (
            "1 hour",
            "Europe/Brussels",
            datetime(2026, 10, 25, 1, 15, tzinfo=UTC),
            datetime(2026, 10, 25, 1, 0, tzinfo=UTC),
        ),
        # The day that Brussels changes to summer time is 23 hours long and begins at 23:00 UTC.
        (
            "1 day",
            "Europe/Brussels",
            datetime(2026, 3, 29, 21, 59, tzinfo=UTC),
            datetime(2026, 3, 29, tzinfo=BRUSSELS),
        ),
        (
            "1 day",
            "Europe/Brussels",
            datetime(2026, 3, 29, 22, 0, tzinfo=UTC),
            datetime(2026, 3, 30, tzinfo=BRUSSELS),
        ),
        (
            "1 week",
            "Europe/Brussels",
            datetime(2026, 3, 29, 12, 0, tzinfo=UTC),
            datetime(2026, 3, 23, tzinfo=BRUSSELS),
        ),
        (
            "1 month",
            "Europe/Brussels",
            datetime(2026, 4, 30, 22, 0, tzinfo=UTC),
            datetime(2026, 5, 1, tzinfo=BRUSSELS),
        ),
        ("3 months", "UTC", datetime(2026, 8, 15, tzinfo=UTC), datetime(2026, 7, 1, tzinfo=UTC)),
        ("1 year", "UTC", datetime(1999, 8, 15, tzinfo=UTC), datetime(1999, 1, 1, tzinfo=UTC)),
    ],
)


@BUCKETS
def test_time_buckets_are_aligned_to_local_time(
    deployment: Deployment, width: str, zone: str, at: datetime, bucket: datetime
):
    with deployment.databases.tenant(deployment.acme) as session:
        found = session.scalar(
            text("SELECT insula_functions.time_bucket(CAST(:width AS interval), :at, :zone)"),
            {"width": width, "at": at, "zone": zone},
        )
    assert found == bucket


def test_a_service_can_make_room_only_where_readings_may_be(deployment: Deployment):
    def make_room(starting: str, ending: str) -> None:
        with deployment.databases.tenant(deployment.acme) as session:
            session.execute(
                text("SELECT ensure_readings_range(CAST(:a AS timestamptz), CAST(:b AS timestamptz))"),
                {"a": starting, "b": ending},
            )

    make_room("2015-01-31T23:59:59Z", "2015-03-01T00:00:01Z")
    if deployment.report.engine == "postgresql":
        for starting, ending in (("1970-01-01", "1970-02-01"), ("2026-01-01", "9999-01-01")):
            with pytest.raises(DBAPIError, match="readings are kept from 2000"):
                make_room(starting, ending)
        with deployment.databases.tenant(deployment.acme) as session:
            query = (
                "SELECT relname FROM pg_class WHERE relkind = 'r' AND relname ~ '^readings_2015' ORDER BY 1"
            )
            made = session.scalars(text(query))
            assert made.all() == ["readings_2015_01", "readings_2015_02", "readings_2015_03"]
