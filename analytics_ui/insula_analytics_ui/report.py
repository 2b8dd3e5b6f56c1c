"""A page as one HTML file that needs nothing else: no script, no network, charts as SVG, numbers as tables.

A page adds its parts as it draws them; the file is made when somebody asks for it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from html import escape
from pathlib import Path
from string import Template
from typing import Any, TypeAlias

import altair as alt
import pandas as pd  # type: ignore[import-untyped] # ships no type information

from insula_analytics_ui.charts import Spec
from insula_analytics_ui.theme import REPORT_CONFIG
from insula_analytics_ui.times import date_text
from insula_analytics_ui.words import _, speaking

Chart = Spec | alt.Chart | alt.LayerChart | alt.VConcatChart | alt.HConcatChart

Rows: TypeAlias = pd.DataFrame | Callable[[], pd.DataFrame] | None
"""The numbers of a chart as text, or what makes them when a report is asked for."""

CHART_WIDTH = 680
"""Pixels: the width of a sheet of paper between its margins."""


@dataclass(frozen=True)
class Number:
    """One number: what it is, its value and unit as text, and what to know of it."""

    label: str
    value: str
    unit: str = ""
    note: str = ""


@dataclass(frozen=True)
class Numbers:
    """Numbers that stand together."""

    title: str
    numbers: Sequence[Number]


@dataclass(frozen=True)
class Table:
    """Rows under a head; columns of the names in `right` are numbers."""

    title: str
    rows: pd.DataFrame
    right: Sequence[str] = ()


@dataclass(frozen=True)
class Figure:
    """A chart, what to know of it, and its numbers as a table of text."""

    title: str
    chart: Chart
    note: str = ""
    rows: Rows = None


Part = Numbers | Table | Figure

_SHEET = Template(Path(__file__).with_name("report.html").read_text(encoding="utf-8"))


@dataclass
class Report:
    """What a page shows: where, when, for whom; `parts` by the names under which the page draws them."""

    title: str
    place: str
    period: str
    tenant: str
    person: str
    language: str
    url: str
    parts: dict[str, Part] = field(default_factory=dict)

    def add(self, name: str, part: Part) -> None:
        """Take a part in, in place of the one of that name when it was there."""
        self.parts[name] = part

    def file_name(self, at: datetime) -> str:
        """What to call the file, made at this local time: `insula-Acme-Comfort-2026-11-23.html`."""
        words = "-".join(re.findall(r"\w+", f"{self.tenant} {self.title}"))
        return f"insula-{words}-{at:%Y-%m-%d}.html"

    def html(self, at: datetime) -> str:
        """The file, made at this local time."""
        with speaking(self.language):
            parts = list(self.parts.items())
            return _SHEET.substitute(
                language=self.language,
                title=escape(self.title),
                tenant=escape(self.tenant),
                facts=_facts(self, at),
                parts="\n".join(_part(part) for _name, part in parts),
                numbers=_all_numbers([part for _name, part in parts if isinstance(part, Figure)]),
            )


def _facts(report: Report, at: datetime) -> str:
    made = f"{date_text(at)} {at:%H:%M} ({at.tzinfo})"
    facts = [
        (_("Place"), escape(report.place)),
        (_("Period"), escape(report.period)),
        (_("Made"), escape(made)),
        (_("By"), escape(report.person)),
        (_("Page"), f'<a href="{escape(report.url)}">{escape(report.url)}</a>'),
    ]
    return "".join(f"<dt>{escape(name)}</dt><dd>{value}</dd>" for name, value in facts if value)


def _part(part: Part) -> str:
    head = f"<h2>{escape(part.title)}</h2>" if part.title else ""
    if isinstance(part, Numbers):
        cells = "".join(
            f"<div><span>{escape(each.label)}</span><strong>{escape(each.value)} "
            f"<small>{escape(each.unit)}</small></strong><em>{escape(each.note)}</em></div>"
            for each in part.numbers
        )
        return f'<section>{head}<div class="numbers">{cells}</div></section>'
    if isinstance(part, Table):
        return f"<section>{head}{table_html(part.rows, part.right)}</section>"
    note = f"<p>{escape(part.note)}</p>" if part.note else ""
    return f"<section>{head}{note}<figure>{svg(part.chart)}</figure></section>"


def _all_numbers(figures: Sequence[Figure]) -> str:
    """The numbers that the charts were drawn from."""
    found = [(figure.title, figure.rows() if callable(figure.rows) else figure.rows) for figure in figures]
    tables = [
        f"<h3>{escape(title)}</h3>{table_html(rows, rows.columns[1:])}"
        for title, rows in found
        if rows is not None and len(rows)
    ]
    title = escape(_("The numbers of the charts"))
    return f'<section class="all"><h2>{title}</h2>{"".join(tables)}</section>' if tables else ""


def table_html(rows: pd.DataFrame, right: Sequence[str] = ()) -> str:
    """A table; everything in it is text to be shown as it is."""
    kinds = [' class="n"' if name in set(right) else "" for name in rows.columns]
    head = "".join(
        f"<th{kind}>{escape(str(name))}</th>" for name, kind in zip(rows.columns, kinds, strict=True)
    )
    body = "".join(
        "<tr>"
        + "".join(
            f"<td{kind}>{'' if pd.isna(cell) else escape(str(cell))}</td>"
            for cell, kind in zip(row, kinds, strict=True)
        )
        + "</tr>"
        for row in rows.itertuples(index=False)
    )
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def svg(chart: Chart) -> str:
    """A chart as SVG, in the colours of paper."""
    import vl_convert

    if isinstance(chart, dict):
        spec = chart | {"datasets": {name: _records(rows) for name, rows in chart["datasets"].items()}}
    else:
        drawn = chart.copy(deep=True)
        _inline(drawn)
        spec = drawn.to_dict()
    spec |= {"width": CHART_WIDTH, "config": REPORT_CONFIG}
    return str(vl_convert.vegalite_to_svg(spec))


def _records(rows: pd.DataFrame) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(rows.to_json(orient="records"))
    return found


def _inline(chart: Any) -> None:
    """Put the rows of each layer into its specification.

    Altair would do so by a transformer that is one for the whole process, and that Streamlit changes while it
    draws for others.
    """
    rows = getattr(chart, "data", alt.Undefined)
    if isinstance(rows, pd.DataFrame):
        chart.data = alt.InlineData(values=_records(rows))
    for name in ("layer", "vconcat", "hconcat", "concat"):
        inner = getattr(chart, name, alt.Undefined)
        for each in inner if isinstance(inner, list) else []:
            _inline(each)
