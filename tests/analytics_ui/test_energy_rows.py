"""From the platform's answers about energy to what charts, cards and tables show."""

from __future__ import annotations

import math
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from insula_analytics_ui.api.energy import (
    Baseline,
    BuildingPeriod,
    Consumption,
    CusumDay,
    Day,
    DegreeDayMonth,
    Energy,
    MeterEnergy,
    PlaceEnergy,
    ProfileHour,
)
from insula_analytics_ui.energy.charts import (
    baseline_chart,
    comparison_chart,
    consumption_chart,
    degree_day_chart,
    profile_chart,
    savings_chart,
)
from insula_analytics_ui.energy.data import (
    Bounds,
    baseline_rows,
    clock_hour,
    column_marks,
    comparison_rows,
    consumption_rows,
    degree_day_rows,
    meters_of,
    profile_rows,
    savings_rows,
    step_for,
)
from insula_analytics_ui.energy.totals import totals
from insula_analytics_ui.periods import between
from insula_analytics_ui.views.energy_baseline import baseline_period
from insula_analytics_ui.views.energy_comparison import cost_text, earlier_period

BRUSSELS = ZoneInfo("Europe/Brussels")
HOUR = 3_600_000
ALWAYS = Bounds(0, 4e12)


def days(first: date, count: int, **fields: float | None) -> list[Day]:
    given = {"consumption": 10.0, "measured": 1.0} | fields
    return [Day.model_validate({"date": first + timedelta(days=number)} | given) for number in range(count)]


def part(name: str, consumption: float | None, **fields: object) -> dict[str, object]:
    return {"name": name, "carrier": "electricity", "unit": "kWh", "consumption": consumption} | fields


def test_a_day_is_as_long_as_it_is_on_the_buildings_clock():
    """On 25 October 2026 the clocks of Brussels went back an hour."""
    rows = consumption_rows(days(date(2026, 10, 24), 3), "day", BRUSSELS, ALWAYS, unit="kWh")
    assert ((rows["until"] - rows["time"]) / HOUR).tolist() == [24, 25, 24]
    assert rows["at"].tolist() == ["Sat 24 Oct", "Sun 25 Oct", "Mon 26 Oct"]
    assert rows["shown"].tolist() == ["10.0 kWh"] * 3


def test_weeks_begin_on_mondays_and_months_on_their_first():
    found = days(date(2026, 10, 30), 5)  # a Friday
    weeks = consumption_rows(found, "week", BRUSSELS, ALWAYS, unit="kWh")
    assert weeks["value"].tolist() == [30, 20]
    assert weeks["at"].tolist() == ["Week of 26 Oct 2026", "Week of 2 Nov 2026"]
    months = consumption_rows(found, "month", BRUSSELS, ALWAYS, unit="kWh")
    assert months["value"].tolist() == [20, 30]
    assert months["at"].tolist() == ["Oct 2026", "Nov 2026"]
    # Of neither month the period holds all the days.
    assert months["whole"].tolist() == ["partly", "partly"]
    assert months["share"].tolist() == ["6 %", "10 %"]


def test_what_was_measured_in_part_says_so_and_what_was_not_is_left_out():
    found = [
        *days(date(2026, 11, 2), 1),
        *days(date(2026, 11, 3), 1, consumption=4.0, measured=0.5),
        *days(date(2026, 11, 4), 1, consumption=None, measured=0.0),
    ]
    rows = consumption_rows(found, "day", BRUSSELS, ALWAYS, unit="kWh")
    assert rows["whole"].tolist() == ["whole", "partly"]
    assert rows["share"].tolist() == ["100 %", "50 %"]


def test_a_day_that_is_not_over_yet_says_so():
    """Of 2 November nothing before noon was asked for; the data end with 3 November at six in the evening."""
    begin, end = (datetime(2026, 11, day, hour, tzinfo=BRUSSELS) for day, hour in ((2, 12), (3, 18)))
    bounds = Bounds(begin.timestamp() * 1000, end.timestamp() * 1000)
    rows = consumption_rows(days(date(2026, 11, 2), 2), "day", BRUSSELS, bounds, unit="kWh")
    assert rows["share"].tolist() == ["50 %", "75 %"]
    assert rows["whole"].tolist() == ["partly", "partly"]
    lines = baseline_rows(baseline(), BRUSSELS, bounds)
    assert lines.empty, "a part of a day beside whole ones would look like a fall"


def test_labels_stand_under_the_middle_of_columns_and_apart():
    rows = consumption_rows(days(date(2026, 11, 2), 30), "day", BRUSSELS, ALWAYS, unit="kWh")
    marks = column_marks(rows, "day", BRUSSELS)
    assert list(marks.values())[:3] == ["Mon 2 Nov", "Fri 6 Nov", "Tue 10 Nov"]
    assert len(marks) == 8
    noon = datetime(2026, 11, 2, 12, tzinfo=BRUSSELS)
    assert min(marks) == noon.timestamp() * 1000
    year = consumption_rows(days(date(2025, 11, 20), 370), "month", BRUSSELS, ALWAYS, unit="kWh")
    assert [*column_marks(year, "month", BRUSSELS).values()][:3] == ["Nov 2025", "Jan 2026", "Mar"]
    assert column_marks(consumption_rows([], "day", BRUSSELS, ALWAYS, unit="kWh"), "day", BRUSSELS) == {}


@pytest.mark.parametrize(("length", "step"), [(7, "day"), (45, "day"), (90, "week"), (365, "month")])
def test_a_period_is_summed_by_what_shows_it_best(length: int, step: str):
    assert step_for(timedelta(days=length)) == step


def test_submeters_stand_under_their_meter_and_are_not_counted_twice():
    meters = (
        MeterEnergy.model_validate(part("Lighting", 30.0, meter=2, submeter_of=1)),
        MeterEnergy.model_validate(part("Sockets", 50.0, meter=3, submeter_of=1)),
        MeterEnergy.model_validate(part("Main", 100.0, meter=1)),
        MeterEnergy.model_validate(part("Of a meter elsewhere", 7.0, meter=4, submeter_of=9)),
        MeterEnergy.model_validate(part("Heat", 7.0, meter=5) | {"carrier": "heat"}),
    )
    listed = meters_of(Energy(meters=meters), "electricity")
    assert [meter.name for meter in listed] == ["Main", "Sockets", "Lighting", "Of a meter elsewhere"]
    assert totals(listed).consumption == 107
    assert totals(listed).per_area is None


def test_buildings_together_have_an_area_only_when_each_is_known_and_metered_whole():
    def building(name: str, consumption: float, area: float | None, *, whole: bool = True) -> Consumption:
        closed = {"night": consumption / 10, "weekend": consumption / 10, "share_of_time": 0.6}
        cost = {"currency": "EUR", "total": consumption / 5, "priced_share": 0.5}
        return PlaceEnergy.model_validate(
            part(name, consumption, id=1, area=area, whole=whole, closed=closed, cost=cost)
        )

    both = totals([building("A", 100, 50), building("B", 300, 150)])
    assert (both.consumption, both.area, both.per_area) == (400, 200, 2)
    assert (both.closed_share, both.closed_time) == (0.2, 0.6)
    assert both.cost == {"EUR": 80}
    assert both.priced_share == 0.5
    assert both.co2e is None
    assert totals([building("A", 100, 50), building("B", 300, None)]).per_area is None
    assert totals([building("A", 100, 50), building("B", 300, 150, whole=False)]).per_area is None
    assert totals([]).consumption is None


def test_a_profile_has_both_kinds_of_day_and_its_hours():
    hours = [ProfileHour(hour=8, mean=3.25, low=2.0, high=4.0), ProfileHour(hour=9)]
    rows = profile_rows(hours, hours[:1], unit="kW")
    assert rows["day"].tolist() == ["Open days", "Open days", "Closed days"]
    assert rows["shown"].tolist() == ["3.2 kW", "", "3.2 kW"]
    assert rows["at"][0] == "08:00\u201309:00"
    assert clock_hour("07:30") == 7.5
    assert clock_hour("24:00") == 24


def baseline() -> Baseline:
    dates = (date(2026, 11, 2), date(2026, 11, 3), date(2026, 11, 6))
    cusum = tuple(
        CusumDay(date=day, predicted=10.0, actual=9.0, cumulative=number + 1.0)
        for number, day in enumerate(dates)
    )
    begin = datetime(2026, 1, 1, tzinfo=UTC)
    return Baseline(carrier="electricity", unit="kWh", baseline_from=begin, baseline_to=begin, cusum=cusum)


def test_days_that_were_not_measured_are_a_gap_in_both_lines():
    rows = baseline_rows(baseline(), BRUSSELS, ALWAYS)
    actual = rows[rows["line"] == "Actual"]
    assert [None if math.isnan(value) else value for value in actual["value"]] == [9, 9, None, 9]
    assert rows[rows["line"] == "Expected"]["shown"].tolist() == ["10.0 kWh", "10.0 kWh", "", "10.0 kWh"]


def test_savings_stand_at_the_end_of_their_day():
    rows = savings_rows(baseline(), BRUSSELS)
    assert rows["value"].tolist() == [1, 2, 3]
    assert rows["time"][0] == datetime(2026, 11, 3, tzinfo=BRUSSELS).timestamp() * 1000
    assert rows["at"][0] == "Mon 2 Nov"


def test_degree_days_stand_by_month_and_kind():
    rows = degree_day_rows([DegreeDayMonth(month="2026-01", heating=402.5, cooling=0, missing_days=2)])
    assert rows[["month", "kind", "value", "shown"]].to_numpy().tolist() == [
        ["Jan 2026", "Heating", 402.5, "402 K·d"],
        ["Jan 2026", "Cooling", 0, "0 K·d"],
    ]


def test_the_periods_to_compare_with_end_where_they_should():
    period = between(datetime(2026, 11, 1, tzinfo=UTC), datetime(2026, 11, 29, tzinfo=UTC))
    assert baseline_period(period, "same") == (datetime(2026, 10, 4, tzinfo=UTC), period.begin)
    assert baseline_period(period, "year") == (datetime(2025, 11, 1, tzinfo=UTC), period.begin)
    assert earlier_period(period, "before") == (datetime(2026, 10, 4, tzinfo=UTC), period.begin)
    # 364 days: a Sunday stands beside a Sunday.
    begin, end = earlier_period(period, "year")
    assert begin.weekday() == period.begin.weekday()
    assert end - begin == period.length


def test_charts_hold_their_numbers_whatever_is_missing():
    rows = consumption_rows(days(date(2026, 11, 2), 3), "day", BRUSSELS, ALWAYS, unit="kWh")
    lines, saved = baseline_rows(baseline(), BRUSSELS, ALWAYS), savings_rows(baseline(), BRUSSELS)
    profile = profile_rows([ProfileHour(hour=8, mean=3.0)], [], unit="kW")
    frame = {"begin": 0.0, "end": 9.0 * HOUR, "unit": "kWh"}
    for chart in (
        consumption_chart(rows, {}, colour="#0072B2", **frame),
        profile_chart(profile, unit="kW", opens=7, closes=19, base=2.1, ink="#000"),
        profile_chart(profile, unit="kW", opens=7, closes=19, base=None, ink="#000"),
        degree_day_chart(degree_day_rows([])),
        baseline_chart(lines, {}, **frame),
        savings_chart(saved, {}, **frame),
        comparison_chart(comparison_rows([], per_area=True, unit="kWh/m²"), [], unit="kWh/m²", ink="#000"),
    ):
        assert chart.to_dict()["layer"]


def test_a_cost_has_its_currency():
    period = {"starting": datetime(2026, 11, 1, tzinfo=UTC), "ending": datetime(2026, 11, 2, tzinfo=UTC)}
    assert cost_text(BuildingPeriod(**period, cost=1050.4, currency="CHF")) == "1\u202f050 CHF"
    assert cost_text(BuildingPeriod(**period)) is None
