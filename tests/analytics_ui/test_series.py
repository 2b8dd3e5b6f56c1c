"""What charts are given: gaps, strips of states, and the building's own clock."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from insula_analytics_ui.api import Point, Reading
from insula_analytics_ui.series import PERIODS, lines, strips, ticks, window

BRUSSELS = ZoneInfo("Europe/Brussels")
NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)
TEMPERATURE = Point(
    id=1, device="d", name="temperature", brick_class="Zone_Air_Temperature_Sensor", unit="degC"
)
DOOR = Point(id=2, device="d", name="door", states=("closed", "open"))
NAMES = {1: "Air temperature", 2: "Door"}
MINUTE = timedelta(minutes=1)


def readings(point: Point, *minutes_and_values: tuple[float, float]) -> list[Reading]:
    return [
        Reading(point=point.id, time=NOON + minutes * MINUTE, value=value)
        for minutes, value in minutes_and_values
    ]


def test_a_line_is_broken_where_readings_lack_and_nowhere_else():
    found = readings(TEMPERATURE, *((minute, 20.0) for minute in (0, 1, 2, 4, 30, 31)))
    rows = lines([TEMPERATURE], found, bucket=MINUTE, zone=BRUSSELS, names=NAMES)
    assert rows["value"].fillna(0).tolist() == [20, 20, 20, 20, 0, 20, 20]
    assert rows["time"].is_monotonic_increasing


def test_a_sensor_that_speaks_seldom_has_an_unbroken_line():
    found = readings(TEMPERATURE, *((minute * 10, 20.0) for minute in range(6)))
    rows = lines([TEMPERATURE], found, bucket=MINUTE, zone=BRUSSELS, names=NAMES)
    assert rows["value"].notna().all()


def test_a_reading_is_told_by_the_buildings_clock_and_in_figures_that_matter():
    rows = lines(
        [TEMPERATURE], readings(TEMPERATURE, (0, 21.4567)), bucket=MINUTE, zone=BRUSSELS, names=NAMES
    )
    assert (rows["at"][0], rows["shown"][0]) == ("Mon 23 Nov 13:00", "21.5")


def test_a_short_opening_is_seen_and_the_state_after_it_is_held():
    highest = readings(DOOR, (0, 0), (1, 1), (5, 0))
    last = readings(DOOR, (0, 0), (1, 0), (5, 0))
    rows = strips([DOOR], highest, last, bucket=MINUTE, end=NOON + 6 * MINUTE, zone=BRUSSELS, names=NAMES)
    start = NOON.timestamp() * 1000
    shown = [
        ((row.time - start) / 60_000, (row.until - start) / 60_000, row.state) for row in rows.itertuples()
    ]
    assert shown == [(0, 1, "closed"), (1, 2, "open"), (2, 6, "closed")]
    assert list(rows["level"]) == [0, 1, 0]


def test_a_state_is_held_for_an_hour_and_then_unknown():
    found = readings(DOOR, (0, 1))
    rows = strips([DOOR], found, found, bucket=MINUTE, end=NOON + 600 * MINUTE, zone=BRUSSELS, names=NAMES)
    assert list(rows["until"] - rows["time"]) == [3_600_000]


def test_nothing_measured_makes_empty_tables_of_the_same_shape():
    assert lines([TEMPERATURE], [], bucket=MINUTE, zone=BRUSSELS, names=NAMES).empty
    rows = strips([DOOR], [], [], bucket=MINUTE, end=NOON, zone=BRUSSELS, names=NAMES)
    assert list(rows.columns) == ["time", "until", "point", "level", "state", "at"]


def test_no_period_asks_for_more_than_a_chart_can_show():
    for period in PERIODS.values():
        begin, end = window(period, NOON)
        assert begin < NOON < end
        assert end - begin == period.length
        assert period.length / period.bucket_length <= 300


def test_marks_stand_at_round_times_of_the_building():
    marks = ticks(*window(PERIODS["24h"], NOON), PERIODS["24h"], ZoneInfo("Asia/Kolkata"))
    assert list(marks.values()) == [
        "18:00",
        "21:00",
        "Mon 23 Nov",
        "03:00",
        "06:00",
        "09:00",
        "12:00",
        "15:00",
    ]


def test_days_are_marked_at_midnight_through_the_change_of_the_clocks():
    after = datetime(2026, 10, 28, 12, tzinfo=UTC)  # Brussels left summer time on the 25th
    marks = ticks(*window(PERIODS["7d"], after), PERIODS["7d"], BRUSSELS)
    local = [datetime.fromtimestamp(instant / 1000, tz=BRUSSELS) for instant in marks]
    assert {(time.hour, time.minute) for time in local} == {(0, 0)}
    assert len(marks) == 7
    assert [time.utcoffset() for time in local] == [timedelta(hours=2)] * 4 + [timedelta(hours=1)] * 3
