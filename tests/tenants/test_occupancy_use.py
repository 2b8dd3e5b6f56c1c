"""The use of a space from its buckets: counted by hand."""

from __future__ import annotations

from datetime import UTC, date, datetime

import numpy as np
import pytest

from insula_tenants.analytics.occupancy.use import (
    Clock,
    all_weeks,
    average,
    clock_of,
    compare,
    days_of,
    largest,
    middle_time,
    people_of,
    week_of,
)
from insula_tenants.telemetry.buckets import microseconds

HOUR = 3_600_000_000
NAN = float("nan")


def clock(starting: datetime, hours: int, zone: str = "Europe/Brussels") -> Clock:
    begins = microseconds(starting) + np.arange(hours, dtype=np.int64) * HOUR
    return clock_of(begins, HOUR, zone)


def test_the_clock_is_the_buildings_across_a_change_of_offset():
    spring = clock(datetime(2026, 3, 28, 22, tzinfo=UTC), 6)  # Saturday 23:00 in Brussels
    assert spring.weekdays.tolist() == [5, 6, 6, 6, 6, 6]
    assert spring.hours.tolist() == [23, 0, 1, 3, 4, 5], "there is no two o'clock"
    autumn = clock(datetime(2026, 10, 24, 22, tzinfo=UTC), 5)
    assert autumn.hours.tolist() == [0, 1, 2, 2, 3], "two o'clock comes twice"
    assert clock(datetime(2026, 7, 6, tzinfo=UTC), 1, "Asia/Kathmandu").hours.tolist() == [5]


def test_a_week_of_hours():
    buckets = clock(datetime(2026, 7, 5, 22, tzinfo=UTC), 8 * 24)  # from Monday, midnight, eight days
    shares = np.zeros(8 * 24)
    shares[9] = 1.0  # Monday 9:00
    shares[7 * 24 + 9] = 0.5  # the Monday after
    shares[24 + 10] = NAN  # Tuesday 10:00 is not known
    week = week_of(buckets, shares)
    told = week.shares()
    assert (len(told), {len(row) for row in told}) == (7, {24})
    assert told[0][9] == 0.75
    assert told[1][10] is None
    assert sum(share or 0 for row in told for share in row) == 0.75
    both = all_weeks([week, week_of(buckets, np.ones(8 * 24))])
    assert both.shares()[0][9] == pytest.approx(3.5 / 4)
    assert both.shares()[1][10] == 1.0


def test_days_begin_at_local_midnight():
    buckets = clock(datetime(2026, 7, 5, 20, tzinfo=UTC), 30)  # Sunday 22:00 to Tuesday 4:00 in Brussels
    shares = np.zeros(30)
    shares[[1, 11, 14]] = (0.25, 1, 0.5)  # Sunday 23:00; Monday 9:00 and 12:00
    shares[26:] = NAN
    people = np.zeros(30)
    people[[11, 14]] = (7, 2)
    sunday, monday = days_of(buckets, shares, people)
    assert (sunday.day, monday.day) == (date(2026, 7, 5), date(2026, 7, 6))
    assert (sunday.hours_observed, sunday.hours_in_use) == (2, 0.25)
    assert (monday.hours_observed, monday.hours_in_use, monday.peak_people) == (24, 1.5, 7)
    assert monday.first_use == datetime(2026, 7, 6, 7, tzinfo=UTC)
    assert monday.last_use == datetime(2026, 7, 6, 11, tzinfo=UTC), "the end of the bucket"
    assert sunday.last_use == datetime(2026, 7, 5, 22, tzinfo=UTC)
    assert days_of(buckets, np.full(30, NAN)) == []


def test_the_middle_of_first_and_last_uses():
    buckets = clock(datetime(2026, 7, 5, 22, tzinfo=UTC), 3 * 24)
    shares = np.zeros(3 * 24)
    shares[[8, 17, 24 + 10, 24 + 15, 48 + 9, 48 + 23]] = 1
    assert middle_time(buckets, shares, last=False) == "09:00"
    assert middle_time(buckets, shares, last=True) == "18:00"
    assert middle_time(buckets, np.zeros(72), last=True) is None


def test_people_are_averaged_over_the_time_in_use():
    buckets = clock(datetime(2026, 7, 5, 22, tzinfo=UTC), 4)
    means, most = np.array([0, 4, 2, NAN]), np.array([0, 9, 3, NAN])
    people = people_of(buckets, means, most, np.array([0, 1, 0.5, NAN]), 12)
    assert people is not None
    assert people.average == pytest.approx(4)
    assert (people.peak, people.peak_at) == (9, datetime(2026, 7, 5, 23, tzinfo=UTC))
    assert (people.average_share, people.peak_share) == (pytest.approx(1 / 3), 0.75)
    nobody = people_of(buckets, np.zeros(4), np.zeros(4), np.zeros(4), None)
    assert nobody is not None
    assert (nobody.average, nobody.peak, nobody.peak_at, nobody.peak_share) == (None, 0, None, None)
    assert people_of(buckets, np.full(4, NAN), np.full(4, NAN), np.zeros(4), 12) is None


def test_a_sensor_and_the_model_are_compared_where_both_tell():
    seen = np.array([1, 0.6, 0.4, 0, NAN, 1])
    inferred = np.array([1, 0, 1, 0, 1, NAN])
    found = compare("co2", seen, inferred)
    assert found is not None
    assert (found.seen_and_inferred, found.seen_only, found.inferred_only, found.neither) == (1, 1, 1, 1)
    assert (found.compared, found.agreement) == (4, 0.5)
    assert compare("co2", np.full(6, NAN), inferred) is None


def test_several_sensors_of_one_room():
    several = [np.array([1, NAN, NAN, 0.2]), np.array([0, 0.5, NAN, 0.4])]
    assert np.array_equal(largest(several), [1, 0.5, NAN, 0.4], equal_nan=True)
    assert average(several)[:2].tolist() == [0.5, 0.5]
    assert np.isnan(average(several)[2])
    assert average(several)[3] == pytest.approx(0.3)
