"""What a page is made of: numbers, charts and tables. Each is drawn, and goes into the page's report."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from html import escape
from typing import Any

import pandas as pd  # type: ignore[import-untyped] # ships no type information
import streamlit as st

from insula_analytics_ui.report import Chart, Figure, Number, Numbers, Report, Rows, Table
from insula_analytics_ui.series import Complete
from insula_analytics_ui.words import _, share_text

ROW_HEIGHT = 33
ROWS_SHOWN = 24
"""More rows than these scroll beneath the head, which stays."""


def numbers(report: Report, name: str, found: Sequence[Number], *, title: str = "") -> None:
    """Cards for the few numbers that answer whether everything is well."""
    report.add(name, Numbers(title, found))
    cells = "".join(
        f'<div class="in-value"><div>{escape(each.label)}</div>'
        f'<div class="in-number">{escape(each.value)} <small>{escape(each.unit)}</small></div>'
        f'<div class="in-quiet">{escape(each.note)}</div></div>'
        for each in found
    )
    heading = f"<h3>{escape(title)}</h3>" if title else ""
    st.html(f'{heading}<div class="in-values">{cells}</div>')


def figure(
    report: Report,
    name: str,
    chart: Chart,
    *,
    title: str,
    note: str = "",
    key: Sequence[tuple[str, str]] = (),
    complete: Complete | float | None = None,
    rows: Rows = None,
    alt_text: str = "",
) -> None:
    """A chart under its title. `key` are the words and colours of its lines where there is more than one.

    `complete` is how much of the data is there (0 to 1); `rows` are its numbers, as text, or what makes them
    for the report.
    """
    share = complete.share if isinstance(complete, Complete) else complete
    said = " · ".join(part for part in (note, complete_text(share)) if part)
    report.add(name, Figure(title, chart, said, rows))
    chart_head(title, key, said)
    if isinstance(chart, dict):
        st.vega_lite_chart(chart, key=f"chart {name}", alt=alt_text or title)
    else:
        st.altair_chart(chart, key=f"chart {name}", alt=alt_text or title)


def chart_head(title: str, key: Sequence[tuple[str, str]] = (), note: str = "") -> None:
    """The title of a chart, the key to its lines, and what to know of it."""
    keys = "".join(
        f'<span class="in-key in-quiet"><i style="background:{colour}"></i>{escape(word)}</span>'
        for word, colour in key
    )
    said = f'<span class="in-quiet">{escape(note)}</span>' if note else ""
    st.html(f'<div class="in-chart-head"><h3>{escape(title)}</h3>{keys}{said}</div>')


def complete_text(share: float | None) -> str:
    """How complete data is, in words; nothing where nobody can say."""
    if share is None:
        return ""
    return _("data {share} complete").format(share=share_text(share))


def table(
    report: Report,
    name: str,
    rows: pd.DataFrame,
    *,
    title: str = "",
    ink: Mapping[str, Callable[[Any], str]] | None = None,
    columns: Mapping[str, Any] | None = None,
    right: Sequence[str] = (),
) -> None:
    """A table as people read it; `columns` as `st.dataframe` takes its `column_config`.

    `right` names the columns of numbers; `ink` gives the colour of the text in a column by its value.
    """
    report.add(name, Table(title, rows, right))
    if title:
        chart_head(title)
    styled = rows.style
    for column, colour in (ink or {}).items():
        styled = styled.map(lambda value, colour=colour: f"color: {colour(value)}", subset=[column])
    st.dataframe(
        styled if ink else rows,
        hide_index=True,
        row_height=ROW_HEIGHT,
        placeholder="\u2013",
        height="content" if len(rows) <= ROWS_SHOWN else (ROWS_SHOWN + 1) * ROW_HEIGHT,
        column_config=dict(columns) if columns else None,
        key=f"table {name}",
    )
