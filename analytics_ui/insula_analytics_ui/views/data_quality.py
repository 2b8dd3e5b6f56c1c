"""Data quality: what is wrong with the data, the worst first, what to do, and what analyses noticed."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

import pandas as pd  # type: ignore[import-untyped] # ships no type information
import streamlit as st

from insula_analytics_ui.api.analytics import both
from insula_analytics_ui.api.forecasts import Finding, Findings, findings
from insula_analytics_ui.api.quality import DataQuality, PointQuality, data_quality
from insula_analytics_ui.backend import backend
from insula_analytics_ui.forecasts.data import ADVICE, KINDS, SEVERITIES, finding_text, open_first
from insula_analytics_ui.quality.charts import calendar_chart
from insula_analytics_ui.quality.data import (
    GOOD,
    calendar_rows,
    day_marks,
    how_much,
    percent,
    problem_name,
    seconds_text,
    tasks,
    verdict,
)
from insula_analytics_ui.quality.names import point_name, point_place, point_unit
from insula_analytics_ui.report import Number
from insula_analytics_ui.times import local_text, milliseconds
from insula_analytics_ui.views.elements import address, empty, link
from insula_analytics_ui.views.frame import Shown, frame, live
from insula_analytics_ui.views.parts import chart_head, figure, numbers, table
from insula_analytics_ui.words import _, ngettext, number_text

ROWS = 20
"""Points that the calendar shows: the worst."""

NAMED = 4
"""Points that a task names; the table has them all."""


def page() -> None:
    """The page."""
    shown = frame(
        _("Data quality"),
        levels=("building", "storey", "space"),
        default_period="7d",
        what=_("Here you will see how far to trust your data: what is missing, stuck or out of range."),
    )
    if shown:
        live(shown, _draw)


def _draw(shown: Shown) -> None:
    shown.report.parts.clear()
    asked = shown.question()
    found, noticed = both(lambda: data_quality(shown.api, asked), lambda: findings(shown.api, asked))
    if not found.points:
        _no_points()
        return
    _numbers(shown, found, noticed)
    _tasks(shown, found.items)
    _table(shown, found)
    _calendar(shown, found)
    _findings(shown, noticed)
    _places(shown, found)


def _numbers(shown: Shown, found: DataQuality, noticed: Findings) -> None:
    share = percent(found.completeness.share)
    lasting = [each for each in noticed.items if each.closed_at is None]
    missing = found.completeness.expected - found.completeness.present
    numbers(
        shown.report,
        "numbers",
        [
            Number(
                _("Complete"),
                "\u2013" if share is None else number_text(share, 1),
                "" if share is None else "%",
                _("{missing} of {expected} readings missing").format(
                    missing=number_text(missing, 0), expected=number_text(found.completeness.expected, 0)
                ),
            ),
            Number(
                _("Points with a problem"),
                number_text(found.with_problems, 0),
                "",
                ngettext("of {count} point", "of {count} points", found.points).format(
                    count=number_text(found.points, 0)
                ),
            ),
            Number(
                _("Findings that last"),
                number_text(len(lasting), 0),
                "",
                _("noticed by analyses") if noticed.complete_until else _("no analysis has run yet"),
            ),
        ],
    )


def _tasks(shown: Shown, points: Sequence[PointQuality]) -> None:
    """What to do, one kind of problem after the other."""
    found = tasks(points)
    chart_head(_("What to do"))
    if not found:
        st.caption(_("Nothing: no point has a problem in this period."))
        return
    items = []
    for task in found:
        named = [
            link(point_name(shown.estate, point), address("explorer", points=point.point))
            for point in task.points[:NAMED]
        ]
        rest = len(task.points) - len(named)
        if rest:
            named.append(escape(ngettext("{number} more", "{number} more", rest).format(number=rest)))
        items.append(
            f"<li><strong>{escape(task.name)}</strong> · {len(task.points)}<br>{escape(task.todo)}"
            f'<br><span class="in-quiet">{" · ".join(named)}</span></li>'
        )
    st.html(f'<ol class="in-tasks">{"".join(items)}</ol>')


def _table(shown: Shown, found: DataQuality) -> None:
    rows = pd.DataFrame(
        [
            {
                _("State"): f"{verdict(point).dot} {_(verdict(point).word)}",
                _("Point"): point_name(shown.estate, point),
                _("Problems"): _problems(shown, point),
                _("Complete, %"): percent(point.completeness.share),
                _("Gaps"): point.gaps.count,
                _("Longest gap"): seconds_text(point.gaps.longest) if point.gaps.count else None,
                _("Expected every"): seconds_text(point.interval) if point.interval else None,
                _("Clock off by"): None
                if point.clock_offset is None
                else f"{number_text(point.clock_offset, 1)} s",
                _("Place"): point_place(shown.estate, point.point),
            }
            for point in found.items
        ]
    )
    table(
        shown.report,
        "points",
        rows,
        title=_("Point by point, the worst first"),
        columns={
            _("Complete, %"): st.column_config.NumberColumn(format="%.1f"),
            _("Point"): st.column_config.TextColumn(width=290),
            _("Problems"): st.column_config.TextColumn(width=270),
        },
        right=[_("Complete, %"), _("Gaps")],
    )
    if found.points > len(found.items):
        st.caption(
            _("These are the {count} worst of {all} points.").format(
                count=number_text(len(found.items), 0), all=number_text(found.points, 0)
            )
        )


def _problems(shown: Shown, point: PointQuality) -> str:
    unit = point_unit(shown.estate, point.point, point.unit)
    told = []
    for kind in dict.fromkeys(problem.kind for problem in point.problems):
        much = how_much(point, kind, unit)
        told.append(f"{problem_name(kind)} ({much})" if much else problem_name(kind))
    return ", ".join(told)


def _calendar(shown: Shown, found: DataQuality) -> None:
    """Each day of each of the worst points, beneath all points together."""
    worst = [(point_name(shown.estate, point), point) for point in found.items if verdict(point) is not GOOD]
    drawn = worst[:ROWS]
    everything = _("All points")
    rows = calendar_rows(found.days, drawn, everything=everything)
    if rows.empty:
        return
    begin, end = rows["time"].min(), rows["until"].max()
    names = [everything, *dict.fromkeys(name for name, _point in drawn)]
    figure(
        shown.report,
        "calendar",
        calendar_chart(
            rows, names, day_marks(found.days), begin=begin, end=end, theme=st.context.theme.type or "light"
        ),
        title=_("Day by day"),
        note=_("all points, and the worst ones; days of UTC"),
        complete=found.completeness.share,
        rows=rows[rows["name"] == everything][["at", "shown"]].rename(
            columns={"at": _("Day"), "shown": _("Complete")}
        ),
        alt_text=_(
            "For each day the share of the expected readings that came, of all points and of the worst ones."
        ),
    )


def _findings(shown: Shown, noticed: Findings) -> None:
    chart_head(_("Findings"))
    if not noticed.complete_until:
        st.caption(_("No analysis has run yet. One runs each hour, when a worker is there."))
        return
    until = local_text(milliseconds(noticed.complete_until), shown.place.zone)
    if not noticed.items:
        said = _("Nothing unusual, stuck, flat or drifting was noticed in this period. Looked until {time}.")
        st.caption(said.format(time=until))
        return
    found = [_finding(shown, each) for each in open_first(noticed.items) if each.closed_at is None]
    over = [_finding(shown, each) for each in open_first(noticed.items) if each.closed_at is not None]
    if found:
        table(shown.report, "findings", pd.DataFrame(found))
    else:
        st.caption(_("Nothing of it lasts."))
    if over:
        with st.expander(_("What is over: {number}").format(number=len(over))):
            table(shown.report, "findings that are over", pd.DataFrame(over))
    st.caption(_("Noticed by analyses of each point's own past. Looked until {time}.").format(time=until))


def _finding(shown: Shown, finding: Finding) -> dict[str, str | None]:
    word, rank = SEVERITIES.get(finding.severity, (finding.severity, 0))
    zone, unit = shown.place.zone, point_unit(shown.estate, finding.point, finding.unit)
    return {
        _("Severity"): f"{'●◐○'[rank]} {_(word)}",
        _("Finding"): _(KINDS.get(finding.kind, finding.kind)),
        _("Point"): point_name(shown.estate, finding),
        _("What"): finding_text(finding, unit),
        _("Since"): local_text(milliseconds(finding.opened_at), zone),
        _("Until"): local_text(milliseconds(finding.closed_at), zone) if finding.closed_at else _("it lasts"),
        _("What to do"): _(ADVICE[finding.kind]) if finding.kind in ADVICE else "",
    }


def _places(shown: Shown, found: DataQuality) -> None:
    kinds = {"building": _("Building"), "storey": _("Storey"), "space": _("Room")}
    rows = pd.DataFrame(
        [
            {
                _("Place"): place.name,
                _("Kind"): kinds[place.kind],
                _("Points"): place.points,
                _("With a problem"): place.with_problems,
                _("Complete, %"): percent(place.completeness.share),
            }
            for place in found.places
            if place.kind in kinds
        ]
    )
    if len(rows) < 2:
        return
    with st.expander(_("Place by place, the worst first")):
        table(
            shown.report,
            "places",
            rows,
            columns={_("Complete, %"): st.column_config.NumberColumn(format="%.1f")},
            right=[_("Points"), _("With a problem"), _("Complete, %")],
        )


def _no_points() -> None:
    empty(
        _("Here you will see how far to trust your data: what is missing, stuck or out of range."),
        _("Nothing is measured in this place yet. Bring in a device, and say how often it reports."),
        link=_("How devices come in"),
        url=f"{backend().settings.platform_url}/docs",
    )
