"""From the platform's answers about data quality, findings and forecasts to what charts and tables show."""

from __future__ import annotations

import math
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from insula_analytics_ui.api.analytics import Completeness
from insula_analytics_ui.api.forecasts import Finding, Forecast
from insula_analytics_ui.api.quality import Day, PointQuality
from insula_analytics_ui.api.readings import Reading
from insula_analytics_ui.forecasts.charts import forecast_chart
from insula_analytics_ui.forecasts.data import (
    finding_text,
    forecast_rows,
    measured_rows,
    open_first,
    trust_text,
)
from insula_analytics_ui.quality.charts import calendar_chart
from insula_analytics_ui.quality.data import (
    GOOD,
    MINOR,
    PROBLEMS,
    SERIOUS,
    calendar_rows,
    day_marks,
    how_much,
    tasks,
    verdict,
)

BRUSSELS = ZoneInfo("Europe/Brussels")
STRETCH = {"from": "2026-11-20T08:00:00Z", "to": "2026-11-21T10:00:00Z", "seconds": 93_600.0}


def point(number: int, *problems: tuple[str, str], **fields: object) -> PointQuality:
    found = [{"kind": kind, "severity": severity} for kind, severity in problems]
    given: dict[str, object] = {"point": number, "device": f"d-{number}", "name": "temperature"}
    return PointQuality.model_validate(given | {"problems": found} | fields)


def finding(number: int, kind: str = "stuck", **fields: object) -> Finding:
    evidence = {"basis": "past", "from": STRETCH["from"], "to": STRETCH["to"], "value": 21.5}
    evidence |= fields.pop("evidence", {})  # type: ignore[arg-type]
    given = {
        "id": number,
        "point": number,
        "device": "d",
        "name": "temperature",
        "kind": kind,
        "severity": "warning",
        "opened_at": "2026-11-20T08:00:00Z",
        "evidence": evidence,
    }
    return Finding.model_validate(given | fields)


def test_a_point_is_as_bad_as_the_worst_of_its_problems():
    assert verdict(point(1)) is GOOD
    assert verdict(point(1, ("clock_ahead", "minor"))) is MINOR
    assert verdict(point(1, ("clock_ahead", "minor"), ("stuck", "serious"))) is SERIOUS
    assert [each.dot for each in (GOOD, MINOR, SERIOUS)] == ["●", "◐", "○"]


def test_there_is_one_task_for_each_kind_of_problem_the_worst_first():
    points = [
        point(1, ("clock_ahead", "minor"), score=0.1),
        point(2, ("silent", "serious"), ("gap", "serious"), score=0.9),
        point(3, ("gap", "minor"), score=0.3),
    ]
    found = tasks(points)
    assert [(task.kind, [each.point for each in task.points]) for task in found] == [
        ("silent", [2]),
        ("gap", [2, 3]),
        ("clock_ahead", [1]),
    ]
    assert found[0].name == "Silent"
    assert "power" in found[0].todo
    assert tasks([point(1)]) == []


def test_a_problem_is_told_in_figures():
    gaps = {"count": 3, "seconds": 30_000.0, "longest": 10_080.0}
    bad = point(
        1,
        gaps=gaps,
        stuck=[STRETCH | {"value": 21.5}],
        out_of_range={"lowest": -127.0, "highest": 24.06},
        clock_offset=-95.0,
        completeness={"expected": 1000, "present": 713, "share": 0.713},
    )
    assert {kind: how_much(bad, kind, "°C") for kind in PROBLEMS} == {
        "silent": "71.3 % of the readings",
        "incomplete": "71.3 % of the readings",
        "gap": "3 gaps, the longest 2 h",
        "stuck": "21.5 °C for 1 d",
        "out_of_range": "\u2212127.0 to 24.1 °C",
        "clock_ahead": "1 min",
        "clock_behind": "1 min",
        "interval_unknown": "",
    }


def test_a_problem_that_this_page_does_not_know_yet_is_named_as_it_is():
    [task] = tasks([point(1, ("very_late", "minor"))])
    assert (task.name, task.todo) == ("Very late", "")


def test_the_calendar_rounds_down_and_leaves_out_what_nobody_expected():
    days = [
        Day(day=date(2026, 11, 20), expected=100, present=99, share=0.9999),
        Day(day=date(2026, 11, 21), expected=0, present=0, share=None),
    ]
    rows = calendar_rows(days, [("Hall", point(1, days=[0.29, 1.0]))], everything="All points")
    assert rows[["name", "shown", "whole", "at"]].to_numpy().tolist() == [
        ["All points", "99.9\u202f%", "99", "Fri 20 Nov"],
        ["Hall", "29.0\u202f%", "29", "Fri 20 Nov"],
        ["Hall", "100\u202f%", "100", "Sat 21 Nov"],
    ]
    noon = datetime(2026, 11, 20, 12, tzinfo=UTC).timestamp() * 1000
    assert min(day_marks(days)) == noon


def test_what_lasts_stands_before_what_is_over_and_the_worst_first():
    found = [
        finding(1, closed_at="2026-11-21T00:00:00Z", severity="critical"),
        finding(2, severity="info"),
        finding(3, severity="critical"),
        finding(4, severity="critical", opened_at="2026-11-22T00:00:00Z"),
    ]
    assert [each.id for each in open_first(found)] == [4, 3, 2, 1]


@pytest.mark.parametrize(
    ("kind", "evidence", "text"),
    [
        ("stuck", {}, "21.5 °C for 1 d"),
        (
            "unusual",
            {"value": 31.2, "expected_low": 19.5, "expected_high": 24.0},
            "31.2 °C, where 19.5 to 24.0 °C was expected",
        ),
        ("unusual", {"value": 31.2}, "31.2 °C"),
        ("drifting", {"per_day": -0.35}, "\u22120.35 °C a day"),
    ],
)
def test_a_finding_is_told_in_figures(kind: str, evidence: dict[str, float], text: str):
    assert finding_text(finding(1, kind, evidence=evidence), "°C") == text


def test_of_a_kind_that_this_page_does_not_know_yet_the_platforms_own_words_are_shown():
    assert finding_text(finding(1, "jumping", detail="it jumps"), "°C") == "it jumps"


def scores(mae: float) -> dict[str, float]:
    return {"mae": mae, "mase": 1.0, "coverage": 0.91}


def test_a_forecast_tells_how_far_to_trust_it():
    backtest = {"folds": 28, "season_hours": 168, "model": scores(0.31), "naive": scores(0.52)}
    better = Forecast.model_validate(
        {"point": 1, "state": "ready", "model": "ridge", "level": 0.9, "backtest": backtest}
    )
    assert trust_text(better, unit="°C") == (
        "Over 28 past days it was off by 0.31 °C on average, the same hour a week before by 0.52 °C. "
        "91 % of the values lay within the interval; 90 % should."
    )
    naive = better.model_copy(update={"model": "seasonal_naive"})
    assert trust_text(naive, unit="°C").startswith("The same hour a week before does best here")
    assert trust_text(Forecast(point=1), unit="°C") == ""


def test_a_forecast_and_what_came_before_it_are_rows_with_a_gap_where_nothing_was_measured():
    hour = datetime(2026, 11, 24, 8, tzinfo=UTC)
    value = {"time": hour, "value": 21.4, "lower": 20.9, "upper": 21.9, "naive": 21.1}
    forecast = Forecast.model_validate({"point": 1, "state": "ready", "values": [value]})
    rows = forecast_rows(forecast, BRUSSELS, unit="°C")
    assert rows[["at", "shown", "range", "naive_shown"]].to_numpy().tolist() == [
        ["Tue 24 Nov 09:00", "21.4 °C", "20.9 to 21.9 °C", "21.1 °C"]
    ]
    before = [Reading(point=1, time=hour - timedelta(hours=back), value=20.0 + back) for back in (1, 2, 5)]
    measured = measured_rows(before, BRUSSELS, unit="°C")
    assert [None if math.isnan(each) else each for each in measured["value"]] == [25, None, 22, 21]
    chart = forecast_chart(measured, rows, {}, begin=0, end=1, unit="°C", colour="#D55E00")
    assert len(chart.to_dict()["layer"]) == 8


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_cells_have_their_numbers_while_there_is_room_for_them(theme: str):
    days = [
        Day(day=date(2026, 11, 1) + timedelta(days=number), expected=1, present=1, share=1.0)
        for number in range(20)
    ]
    for count, layers in ((7, 3), (20, 2)):
        rows = calendar_rows(days[:count], [], everything="All points")
        begin, end = rows["time"].min(), rows["until"].max()
        chart = calendar_chart(rows, ["All points"], {}, begin=begin, end=end, theme=theme)
        assert len(chart.to_dict()["layer"]) == layers


def test_completeness_is_unknown_until_somebody_says_how_often_a_point_reports():
    assert Completeness().share is None
    assert how_much(point(1), "incomplete", "") == ""
