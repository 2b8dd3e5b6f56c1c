"""From the platform's answers about comfort and occupancy to what charts and tables show."""

from __future__ import annotations

import math
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from insula_analytics_ui.api.comfort import Assumption, Comfort, Hour, Judged, Occupied, SpaceComfort
from insula_analytics_ui.api.occupancy import DayOfUse, SpaceUse
from insula_analytics_ui.comfort.charts import Window, band_chart, category_chart, limit_chart, pmv_chart
from insula_analytics_ui.comfort.data import (
    band_rows,
    category_rows,
    hour_rows,
    hours_of,
    occupied_rows,
    outside_rows,
    worst_first,
)
from insula_analytics_ui.comfort.words import (
    assumption_rows,
    days_text,
    occupied_text,
    outdoor_co2,
    value_text,
)
from insula_analytics_ui.heatmap import week_cells, week_chart, week_table
from insula_analytics_ui.occupancy.charts import days_chart, use_chart
from insula_analytics_ui.occupancy.data import busiest_first, day_rows, peak_hour, use_rows, week_percent
from insula_analytics_ui.words import speaking

BRUSSELS = ZoneInfo("Europe/Brussels")
MIDNIGHT = datetime(2026, 11, 23, 23, tzinfo=UTC)
"""By the clock of Brussels."""
HOUR = 3_600_000


def judged(hours: float, below: float, above: float, **by_category: float) -> dict[str, object]:
    out = (below + above) / hours if hours else None
    return {
        "hours": hours,
        "by_category": by_category,
        "below": below,
        "above": above,
        "out_of_band": out,
    }


def space(number: int, name: str, **views: object) -> SpaceComfort:
    return SpaceComfort.model_validate({"space": number, "name": name} | views)


def hour(after: int, **fields: object) -> Hour:
    given = {"time": MIDNIGHT + timedelta(hours=after), "occupied": True} | fields
    return Hour.model_validate(given)


def test_bars_are_laid_end_to_end_and_small_parts_have_no_room_for_a_number():
    hall = space(1, "Hall", temperature=judged(200, 4, 6, I=150.0, II=40.0, beyond=10.0))
    rows = category_rows(worst_first([hall], "temperature"))
    assert rows[["category", "begin", "end", "shown", "hours"]].to_numpy().tolist() == [
        ["Category I", 0, 75, "75 %", "150 h · 75.0 %"],
        ["Category II", 75, 95, "20 %", "40 h · 20.0 %"],
        ["Beyond all", 95, 100, "", "10 h · 5.0 %"],
    ]


def test_the_worst_rooms_come_first_and_those_without_a_sensor_or_an_hour_not_at_all():
    rooms = [
        space(1, "Good", temperature=judged(100, 0, 1, I=100.0)),
        space(2, "Bad", temperature=judged(100, 10, 20, I=70.0, beyond=30.0)),
        space(3, "No sensor"),
        space(4, "Closed", temperature=judged(0, 0, 0)),
    ]
    assert [room.name for room, _ in worst_first(rooms, "temperature")] == ["Bad", "Good"]
    assert hours_of(Comfort(spaces=tuple(rooms)), "temperature") == (200, 31)
    assert hours_of(Comfort(spaces=tuple(rooms)), "co2") == (0, 0)


def test_a_band_is_one_stretch_while_it_is_the_same_and_ends_where_it_is_unknown():
    hours = [
        hour(0, lower=20.0, upper=26.0),
        hour(1, lower=20.0, upper=26.0),
        hour(2, lower=20.0, upper=25.0),
        hour(3),
        hour(4, lower=20.0, upper=25.0),
    ]
    begin = MIDNIGHT.timestamp() * 1000
    assert band_rows(hours, "lower", "upper").to_numpy().tolist() == [
        [begin, begin + 2 * HOUR, 20, 26],
        [begin + 2 * HOUR, begin + 3 * HOUR, 20, 25],
        [begin + 4 * HOUR, begin + 5 * HOUR, 20, 25],
    ]


def test_only_occupied_hours_beyond_their_band_are_marked():
    band = {"lower": 20.0, "upper": 26.0}
    hours = [
        hour(0, temperature=26.0, **band),
        hour(1, temperature=26.1, **band),
        hour(2, temperature=19.9, **band),
        hour(3, temperature=30.0, occupied=False, **band),
        hour(4, **band),
        hour(5, temperature=30.0),
    ]
    rows = outside_rows(hours, "temperature", "lower", "upper", BRUSSELS)
    assert rows[["value", "side", "at"]].to_numpy().tolist() == [
        [26.1, "above", "Tue 24 Nov 01:00"],
        [19.9, "below", "Tue 24 Nov 02:00"],
    ]


def test_an_hour_without_a_value_is_a_gap_and_occupied_hours_are_stretches():
    hours = [hour(0, pmv=-0.25), hour(1), hour(2, pmv=0.5, occupied=False), hour(3, pmv=0.5)]
    rows = hour_rows(hours, "pmv", BRUSSELS, unit="", decimals=2)
    assert math.isnan(rows["value"][1])
    assert rows["shown"].tolist() == ["\u22120.25", "", "0.50", "0.50"]
    begin = MIDNIGHT.timestamp() * 1000
    assert occupied_rows(hours).to_numpy().tolist() == [
        [begin, begin + 2 * HOUR],
        [begin + 3 * HOUR, begin + 4 * HOUR],
    ]


def test_what_was_assumed_is_told_once_for_all_rooms():
    assumed = [
        Assumption(what="humidity", value="50", unit="%", hours=220),
        Assumption(what="humidity", value="50", unit="%", hours=200.4),
        Assumption(what="outdoor_co2", value="400", unit="ppm", hours=220),
        Assumption(what="outdoor_temperature", hours=220),
    ]
    assert assumption_rows(assumed).to_numpy().tolist() == [
        ["Relative humidity", "50 %", "2 rooms", "420"],
        ["CO₂ of the outdoor air", "400 ppm", "1 room", "220"],
        ["Outdoor temperature", "\u2013", "1 room", "220"],
    ]
    clothing = Assumption(what="clothing", value="0.5 to 1.0", unit="clo", hours=1)
    season = Assumption(what="season", value="May to September", hours=1)
    assert [value_text(each) for each in (clothing, season)] == ["0.5 to 1.0 clo", "May to September"]
    with speaking("fr"):
        assert value_text(clothing) == "0,5 à 1,0 clo"
        assert value_text(season) == "de mai à septembre"
    assert outdoor_co2(assumed) == 400
    assert outdoor_co2(assumed[:2]) is None


def test_which_hours_count_is_said_in_the_language_of_the_page():
    assert days_text([1, 2, 3, 4, 5]) == "Mon\u2013Fri"
    assert days_text([1, 3, 7]) == "Mon, Wed, Sun"
    said = occupied_text(Occupied(by="measured", from_hour=7, until_hour=20))
    assert "saw somebody" in said
    assert "Mon\u2013Fri 7:00\u201320:00" in said
    with speaking("fr"):
        assert days_text([1, 2, 3, 4, 5]) == "lun.\u2013ven."


def test_a_week_has_its_numbers_and_what_was_not_observed_has_none():
    week: list[list[float | None]] = [[0.0] * 24 for _ in range(7)]
    week[1][10], week[6][0] = 0.905, None
    cells = week_cells(week_percent(week), unit="%")
    assert len(cells) == 168
    busiest = cells[(cells["number"] == 2) & (cells["hour"] == 10)].iloc[0]
    assert (busiest["shown"], busiest["told"], busiest["at"]) == ("90", "90 %", "Tue 10:00\u201311:00")
    unknown = cells[(cells["number"] == 7) & (cells["hour"] == 0)].iloc[0]
    assert (unknown["shown"], unknown["told"]) == ("", "not measured")
    table = week_table(cells)
    assert table["Day"].tolist() == ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"]
    assert table["10"].tolist() == ["0", "90", "0", "0", "0", "0", "0"]
    assert peak_hour(week) == (1, 10, 0.905)
    assert peak_hour([[0.0, None]]) is None


def test_of_two_hours_as_busy_the_earlier_one_is_the_peak():
    assert peak_hour([[0.0, 0.5, 0.5], [0.5, 0.0, 0.0]]) == (0, 1, 0.5)


def test_rooms_are_told_with_where_their_use_comes_from():
    rooms = [
        SpaceUse(
            space=1, name="Quiet", source="inferred", share_in_use=0.12, hours_in_use=84, hours_observed=700
        ),
        SpaceUse(space=2, name="Busy", source="counted", share_in_use=0.3, heat_map=((0.0, 0.9),)),
        SpaceUse(space=3, name="Unknown", source="none"),
    ]
    listed = busiest_first(rooms)
    assert [room.name for room in listed] == ["Busy", "Quiet"]
    rows = use_rows(listed)
    assert rows["shown"].tolist() == ["30 %", "≈ 12 %"]
    assert rows["told"].tolist() == ["0 / 0 h", "84 / 700 h"]
    assert rows["peak"][0] == 90
    assert math.isnan(rows["peak"][1])


def test_a_day_is_drawn_by_the_clock_of_the_building_and_ends_at_midnight():
    days = [
        DayOfUse(
            day=date(2026, 11, 24),
            hours_observed=24,
            hours_in_use=6.25,
            first_use=datetime(2026, 11, 24, 7, 45, tzinfo=UTC),
            last_use=datetime(2026, 11, 24, 23, 0, tzinfo=UTC),
        ),
        DayOfUse(day=date(2026, 11, 25), hours_observed=24, hours_in_use=0),
    ]
    rows = day_rows(days, BRUSSELS)
    assert rows.to_numpy().tolist() == [["Tue 24 Nov", 8.75, 24.0, "08:45 \u2013 00:00", "6.2 h"]]


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_charts_hold_their_numbers_whatever_is_missing(theme: str):
    window = Window(0, 2 * HOUR, {0: "0:00"})
    hours = [hour(0, temperature=21.0, lower=20.0, upper=26.0, co2=900.0, pmv=0.1), hour(1)]
    temperature = hour_rows(hours, "temperature", BRUSSELS, unit="°C", decimals=1)
    nothing = outside_rows([], "temperature", "lower", "upper", BRUSSELS)
    rows = category_rows([(space(1, "Hall"), Judged(hours=10, by_category={"I": 10.0}))])
    week = week_cells([[None] * 24] * 7, unit="%")
    days = day_rows([], BRUSSELS)
    for chart in (
        category_chart(rows, ["Hall"]),
        band_chart(
            window,
            temperature,
            band_rows(hours, "lower", "upper"),
            nothing,
            occupied_rows(hours),
            unit="°C",
            name="Temperature",
            colour="#D55E00",
        ),
        pmv_chart(window, temperature, occupied_rows([]), ink="#000"),
        limit_chart(window, temperature, occupied_rows([]), {"I": 950.0}, unit="ppm", name="CO₂", ink="#000"),
        week_chart(week, title="In use", theme=theme),
        use_chart(use_rows([]), [], ink="#000"),
        days_chart(days, ["Tue 24 Nov"]),
    ):
        assert chart.to_dict()["layer"]
