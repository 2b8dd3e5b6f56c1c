"""What charts are given: gaps, strips of states, and the building's own clock."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from insula_analytics_ui.api.model import Point
from insula_analytics_ui.api.readings import Reading
from insula_analytics_ui.charts import TimeFrame, line_chart
from insula_analytics_ui.periods import MOST_BUCKETS, PRESETS, asked_period, between, bucket_for, recent
from insula_analytics_ui.series import completeness, lines, strips
from insula_analytics_ui.times import local_text, ticks
from insula_analytics_ui.views.explorer import brushed
from insula_analytics_ui.words import speaking

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


def covered(minutes: list[float], length: int, *, now: datetime) -> float | None:
    period = between(NOON, NOON + length * MINUTE)
    assert period.bucket_length == MINUTE
    found = readings(TEMPERATURE, *((minute, 20.0) for minute in minutes))
    return completeness([TEMPERATURE], found, period, now=now, zone=BRUSSELS).share


def test_a_period_is_complete_up_to_now_and_lacks_its_gaps():
    late = NOON + timedelta(days=1)
    every_minute = [float(minute) for minute in range(240)]
    assert covered(every_minute, 240, now=late) == pytest.approx(1)
    assert covered(every_minute[:120], 240, now=NOON + 120 * MINUTE) == pytest.approx(1)
    assert covered(every_minute[:120], 240, now=late) == pytest.approx(0.5, abs=0.01)
    assert covered([*every_minute[:60], *every_minute[120:]], 240, now=late) == pytest.approx(0.75, abs=0.01)
    assert covered([], 240, now=late) == 0
    assert covered([], 240, now=NOON) is None


def test_a_sensor_that_speaks_seldom_is_complete():
    assert covered([minute * 10.0 for minute in range(24)], 240, now=NOON + 240 * MINUTE) == pytest.approx(1)


def test_the_strip_shows_where_the_data_lacks():
    period = between(NOON, NOON + 240 * MINUTE)
    found = readings(TEMPERATURE, *((minute, 20.0) for minute in range(120)))
    silent = Point(id=9, device="e", name="temperature")
    cells = completeness([TEMPERATURE, silent], found, period, now=period.end, zone=BRUSSELS).cells
    assert list(cells["share"]) == [0.5, 0.0]
    assert next(iter(cells["at"])) == "Mon 23 Nov 13:00 to 15:00"


def test_no_period_asks_for_more_than_a_chart_can_show():
    for preset in PRESETS.values():
        period = recent(preset, NOON)
        assert period.begin < NOON < period.end
        assert period.length == preset.length
        assert period.length / period.bucket_length <= MOST_BUCKETS
    for days in (0.001, 0.1, 1, 40, 400, 1097):
        length = timedelta(days=days)
        assert length / bucket_for(length)[1] <= MOST_BUCKETS


def test_a_closer_look_is_asked_for_in_finer_buckets():
    year, day, hour = (between(NOON, NOON + timedelta(days=days)) for days in (365, 1, 1 / 24))
    assert [period.bucket for period in (year, day, hour)] == ["1d", "5m", "10s"]


@pytest.mark.parametrize(
    ("begin", "end"),
    [
        ("2026-11-20T00:00:00Z", None),
        ("yesterday", "today"),
        ("2026-11-21T00:00:00Z", "2026-11-20T00:00:00Z"),
        ("1970-01-01T00:00:00Z", "2026-11-20T00:00:00Z"),
    ],
)
def test_an_address_without_a_good_period_is_read_as_its_preset(begin: str, end: str | None):
    assert asked_period("7d", begin, end, NOON).preset == PRESETS["7d"]
    assert asked_period("1 fortnight", begin, end, NOON).preset == PRESETS["24h"]


def test_an_address_with_two_times_is_read_to_the_second():
    period = asked_period("7d", "2026-11-20T00:00:00+01:00", "2026-11-21T06:30:15+01:00", NOON)
    assert (period.begin, period.end) == (
        datetime(2026, 11, 19, 23, tzinfo=UTC),
        datetime(2026, 11, 21, 5, 30, 15, tzinfo=UTC),
    )
    assert period.preset is None
    assert period.words(BRUSSELS) == "20 Nov 2026 00:00 \u2013 21 Nov 2026 06:30"


def test_marks_stand_at_round_times_of_the_building():
    period = recent(PRESETS["24h"], NOON)
    marks = ticks(period.begin, period.end, ZoneInfo("Asia/Kolkata"))
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
    period = recent(PRESETS["7d"], datetime(2026, 10, 28, 12, tzinfo=UTC))  # it left summer time on the 25th
    marks = ticks(period.begin, period.end, BRUSSELS)
    local = [datetime.fromtimestamp(instant / 1000, tz=BRUSSELS) for instant in marks]
    assert {(time.hour, time.minute) for time in local} == {(0, 0)}
    assert len(marks) == 7
    assert [time.utcoffset() for time in local] == [timedelta(hours=2)] * 4 + [timedelta(hours=1)] * 3


def test_a_year_is_marked_at_the_first_of_months():
    period = recent(PRESETS["12mo"], NOON)
    assert list(ticks(period.begin, period.end, BRUSSELS).values()) == [
        "Jan 2026",
        "Mar",
        "May",
        "Jul",
        "Sep",
        "Nov",
    ]


def test_times_are_told_in_the_language_of_the_page():
    with speaking("fr"):
        assert local_text(NOON.timestamp() * 1000, BRUSSELS) == "lun. 23 nov. 13:00"


def test_a_brush_is_widened_to_whole_buckets_and_a_click_is_none():
    begin, end = NOON + timedelta(seconds=61), NOON + timedelta(hours=20, seconds=7)
    edges = [edge.timestamp() * 1000 for edge in (end, begin)]
    stretch = brushed({"selection": {"zoom": {"time": edges}}})
    assert stretch == (NOON, NOON + timedelta(hours=20, minutes=5))
    for nothing in ({}, {"zoom": {}}, {"zoom": {"time": [edges[0], edges[0] + 5]}}):
        assert brushed({"selection": nothing}) is None


def test_a_value_axis_has_the_decimal_mark_of_the_language_and_no_other():
    # Vega's own labels write a thousand as 1,000, which is one in French.
    labels = {}
    for chosen in ("en", "fr"):
        with speaking(chosen):
            chart = line_chart(
                TimeFrame(NOON, NOON + MINUTE, {}),
                lines([TEMPERATURE], [], bucket=MINUTE, zone=BRUSSELS, names=NAMES),
                strips([DOOR], [], [], zone=BRUSSELS, names=NAMES, bucket=MINUTE, end=NOON),
                unit="ppm",
                points=["Air temperature"],
                states=[],
                colours={"Air temperature": "#D55E00"},
                comfort=None,
                ink="#59636e",
            )
        (labels[chosen],) = {
            layer["encoding"]["y"]["axis"]["labelExpr"]
            for layer in chart["layer"]
            if "axis" in layer["encoding"].get("y", {})
        }
    assert labels == {
        "en": "format(datum.value, '~f')",
        "fr": "replace(format(datum.value, '~f'), '.', ',')",
    }
