"""A report of a page: one file that needs nothing else, and says what the page said."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pandas as pd
import pytest

from insula_analytics_ui.api.model import Point
from insula_analytics_ui.api.readings import Reading
from insula_analytics_ui.periods import between
from insula_analytics_ui.report import Figure, Number, Numbers, Report, Table
from insula_analytics_ui.traces import Traces

BRUSSELS = ZoneInfo("Europe/Brussels")
NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)
MADE = datetime(2026, 11, 23, 14, 5, tzinfo=BRUSSELS)


@pytest.fixture(scope="module")
def document() -> str:
    """A report with a part of each kind, whose names are hostile."""
    report = Report(
        title="Room",
        place="Forum · <Attic>",
        period="23 Nov",
        tenant="Acme & Sons",
        person="Anna",
        language="en",
        url="https://ui.example/space?space=3&period=24h",
    )
    point = Point(
        id=1, device="d", name="t", brick_class="Zone_Air_Temperature_Sensor", unit="degC", kind="gauge"
    )
    values = [
        Reading(point=1, time=NOON + timedelta(minutes=minute), value=20 + minute / 10)
        for minute in range(0, 60, 5)
    ]
    traces = Traces(
        (point,),
        between(NOON, NOON + timedelta(hours=1)),
        BRUSSELS,
        NOON + timedelta(hours=1),
        {1: "<script>alert(1)</script>"},
        {1: "#D55E00"},
        values,
        [],
        [],
    )
    report.add("numbers", Numbers("Now", [Number("Air <b>temperature</b>", "21.5", "°C", "fresh")]))
    report.add("table", Table("Rooms", pd.DataFrame({"Room": ["A & B"], "°C": ["21.5"]}), right=["°C"]))
    report.add("replaced", Table("Old", pd.DataFrame({"x": ["gone"]})))
    report.add("replaced", Table("New", pd.DataFrame({"x": ["here"]})))
    chart = traces.chart([point], "°C", ink="#59636e")
    report.add("chart", Figure("Air temperature", chart, "data 99 % complete", traces.table([point])))
    return report.html(MADE)


def test_it_has_no_script_and_asks_the_network_for_nothing(document: str):
    assert "<script" not in document
    assert not re.search(r"\son\w+=", document)
    outside = set(re.findall(r"https?://[^\s\"'<&]+", document))
    assert outside <= {
        "https://ui.example/space?space=3",
        "http://www.w3.org/2000/svg",
        "http://www.w3.org/1999/xlink",
    }
    assert "default-src 'none'" in document
    assert not re.search(r"<(link|img|iframe|object|embed)\b|@import|url\((?!#)", document)


def test_it_says_who_made_it_when_of_which_place_and_period(document: str):
    for said in ("Acme &amp; Sons", "Anna", "23 Nov 2026 14:05 (Europe/Brussels)", "Forum · &lt;Attic&gt;"):
        assert said in document
    assert "@media print" in document


def test_it_has_the_chart_as_svg_and_its_numbers_as_a_table(document: str):
    assert document.count("<svg") == 1
    line = re.search(r'<path[^>]* d="(M[^"]+)"[^>]*stroke="#D55E00"', document)
    assert line is not None
    assert line[1].count("L") == 11
    assert "<td>Mon 23 Nov 13:55</td>" in document
    assert '<td class="n">25.5</td>' in document
    assert "data 99 % complete" in document


def test_a_part_that_was_drawn_again_is_there_once(document: str):
    assert "here" in document
    assert "gone" not in document


def test_its_file_says_whose_it_is_and_of_which_page():
    report = Report("Vue d\u2019ensemble", "", "", "Acme & Sons", "Anna", "fr", "")
    assert report.file_name(MADE) == f"insula-Acme-Sons-Vue-d-ensemble-{MADE:%Y-%m-%d}.html"
