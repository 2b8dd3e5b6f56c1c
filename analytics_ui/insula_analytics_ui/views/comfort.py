"""Comfort: how many occupied hours each room kept to its band, and the hours of one room."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import timedelta

import pandas as pd  # type: ignore[import-untyped] # ships no type information
import streamlit as st

from insula_analytics_ui.api.analytics import both, question
from insula_analytics_ui.api.client import Query
from insula_analytics_ui.api.comfort import (
    Comfort,
    Hours,
    Judged,
    SpaceComfort,
    comfort,
    comfort_hours,
)
from insula_analytics_ui.axes import INKS
from insula_analytics_ui.backend import backend
from insula_analytics_ui.comfort.charts import (
    COLOURS,
    Window,
    band_chart,
    category_chart,
    limit_chart,
    pmv_chart,
)
from insula_analytics_ui.comfort.data import (
    CO2_LIMITS,
    VIEWS,
    band_rows,
    category_name,
    category_rows,
    hour_rows,
    hours_of,
    occupied_rows,
    outside_rows,
    worst_first,
)
from insula_analytics_ui.comfort.words import TITLES, assumption_rows, occupied_text, outdoor_co2
from insula_analytics_ui.report import Number
from insula_analytics_ui.theme import VERMILLION
from insula_analytics_ui.times import milliseconds, ticks, zone_of
from insula_analytics_ui.views.choices import asked, choose, choose_from_list
from insula_analytics_ui.views.elements import empty
from insula_analytics_ui.views.frame import Shown, frame, live
from insula_analytics_ui.views.parts import chart_head, figure, numbers, table
from insula_analytics_ui.words import _, number_text

BARS = 20
"""Rooms that the chart shows; the table has them all."""

HOURS_SHOWN = timedelta(days=31)
"""How much of the period the chart of hours shows: its end. A year of hours is more than a chart can show."""


def page() -> None:
    """The page."""
    shown = frame(
        _("Comfort"),
        levels=("building", "storey", "space"),
        default_period="30d",
        what=_("Here you will see whether your rooms are comfortable while people are in them."),
    )
    if shown:
        live(shown, _draw)


def _draw(shown: Shown) -> None:
    shown.report.parts.clear()
    with st.container(horizontal=True, vertical_alignment="center"):
        view = choose("by", {key: _(name) for key, name in VIEWS.items()}, label=_("Judged by"))
        occupied = choose(
            "occupied",
            {"schedule": _("Working hours"), "measured": _("When people were there")},
            label=_("Which hours count"),
        )
    found, hours = _ask(shown, [("occupied", occupied)])
    if not found.spaces:
        _no_sensors()
        return
    st.caption(occupied_text(found.occupied))
    _numbers(shown, found)
    spaces = worst_first(found.spaces, view)
    if spaces:
        _categories(shown, found, spaces, view)
    else:
        _not_judged(view)
    _table(shown, found.spaces)
    if hours is None:
        worst = (spaces[0][0] if spaces else found.spaces[0]).space
        hours = _hours_of_chosen(shown, found, str(worst), [("occupied", occupied)])
    _hours(shown, hours, view)
    _assumptions(shown, found.spaces)


def _ask(shown: Shown, more: Query) -> tuple[Comfort, Hours | None]:
    """The comfort of the place, and the hours where the place is one room: both are asked for at once."""
    asked_for: Query = [*shown.question(), *more]
    if "space" not in shown.place.chosen:
        return comfort(shown.api, asked_for), None
    space = shown.place.rooms[0].space.id
    return both(
        lambda: comfort(shown.api, asked_for),
        lambda: comfort_hours(shown.api, [*_end_of_period(shown, space), *more]),
    )


def _hours_of_chosen(shown: Shown, found: Comfort, worst: str, more: Query) -> Hours:
    names = {str(space.space): space.name for space in found.spaces}
    chosen = asked("room", names, worst)
    chart_head(_("Hour by hour"))
    choose_from_list("room", names, label=_("Room"), default=worst)
    return comfort_hours(shown.api, [*_end_of_period(shown, int(chosen)), *more])


def _end_of_period(shown: Shown, space: int) -> Query:
    end = shown.period.end
    begin = max(shown.period.begin, min(end, shown.now) - HOURS_SHOWN)
    return question(begin, end, space=space)


def _numbers(shown: Shown, found: Comfort) -> None:
    """The few numbers that tell whether all is well."""
    warm, warm_out = hours_of(found, "temperature")
    air, air_out = hours_of(found, "co2")
    hot = sum(space.overheating.above_26 for space in found.spaces if space.overheating)
    hours = sum(space.overheating.hours for space in found.spaces if space.overheating)
    overheated = [
        space
        for space in found.spaces
        if space.overheating and space.overheating.tm52 and space.overheating.tm52.overheats
    ]
    rooms = len(found.spaces)
    numbers(
        shown.report,
        "numbers",
        [
            Number(_("Rooms judged"), number_text(rooms, 0)),
            _share(_("Out of band"), warm_out, warm),
            _share(_("Too much CO₂"), air_out, air),
            _share(_("Over 26 °C"), hot, hours),
            Number(
                _("Rooms that overheat"),
                number_text(len(overheated), 0),
                "",
                _("CIBSE TM52, May to September"),
            ),
        ],
    )


def _share(label: str, part: float, whole: float) -> Number:
    if whole <= 0:
        return Number(label, "\u2013", "", _("not measured"))
    note = _("{hours} of {all} occupied hours judged").format(
        hours=number_text(part, 0), all=number_text(whole, 0)
    )
    return Number(label, number_text(100 * part / whole, 1), "%", note)


def _categories(
    shown: Shown, found: Comfort, spaces: Sequence[tuple[SpaceComfort, Judged]], view: str
) -> None:
    drawn = spaces[:BARS]
    note = ""
    if len(spaces) > BARS:
        note = _("the {count} rooms most out of their band, of {all}; the table has them all").format(
            count=BARS, all=len(spaces)
        )
    beyond = sum(judged.outside_limits for _space, judged in spaces)
    if beyond:
        left_out = _("{hours} occupied hours are left out: the method does not hold in their conditions")
        note = " · ".join(filter(None, (note, left_out.format(hours=number_text(beyond, 0)))))
    rows = category_rows(drawn)
    figure(
        shown.report,
        "categories",
        category_chart(rows, [space.name for space, _judged in drawn]),
        title=_("{view}: occupied hours by category of EN 16798-1").format(view=_(VIEWS[view])),
        note=note,
        key=[(category_name(category), colour) for category, colour in COLOURS.items()],
        complete=found.completeness.share,
        rows=rows[["space", "category", "hours"]].rename(
            columns={"space": _("Room"), "category": _("Category"), "hours": _("Occupied hours")}
        ),
        alt_text=_("For each room the share of its occupied hours in categories I to IV and beyond."),
    )


def _table(shown: Shown, spaces: Iterable[SpaceComfort]) -> None:
    rows = pd.DataFrame([_row(space) for space in spaces]).dropna(axis="columns", how="all")
    worst = _("Out of band, %")
    if worst in rows:
        rows = rows.sort_values(worst, ascending=False, kind="stable", na_position="last", ignore_index=True)
    figures = [name for name in rows.columns if name not in {_("Room"), _("Storey"), _("Category")}]
    percent = st.column_config.NumberColumn(format="%.1f")
    table(
        shown.report,
        "rooms",
        rows,
        title=_("Room by room"),
        columns={name: percent for name in figures if "%" in name},
        right=figures,
    )


def _row(space: SpaceComfort) -> dict[str, str | float | None]:
    """A line of the table; what a room has no sensor for is None."""
    warm, vote, air, heat = space.temperature, space.pmv, space.co2, space.overheating
    return {
        _("Room"): space.name,
        _("Storey"): space.storey,
        _("Category"): space.category,
        _("Occupied, h"): _rounded(space.hours, 0),
        _("Judged, h"): _rounded(warm.hours if warm else None, 0),
        _("Out of band, %"): _out(warm),
        _("Too cold, h"): _rounded(warm.below if warm else None, 0),
        _("Too warm, h"): _rounded(warm.above if warm else None, 0),
        _("Over 26 °C, h"): _rounded(heat.above_26 if heat else None, 0),
        _("Over 28 °C, h"): _rounded(heat.above_28 if heat else None, 0),
        _("Mean PMV"): _rounded(vote.pmv if vote else None, 2),
        _("Dissatisfied, %"): _rounded(vote.ppd if vote else None, 1),
        _("Too much CO₂, %"): _out(air),
        _("Highest CO₂, ppm"): _rounded(air.highest if air else None, 0),
        _("Complete, %"): _rounded(_hundred(space.completeness.share), 1),
    }


def _hours(shown: Shown, found: Hours, view: str) -> None:
    """The hours of one room in this view."""
    hours, zone = found.hours, zone_of(found.time_zone)
    if not hours:
        st.caption(_("No hour of this room was measured in the period."))
        return
    begin, end = hours[0].time, hours[-1].time + timedelta(hours=1)
    window = Window(milliseconds(begin), milliseconds(end), ticks(begin, end, zone))
    occupied = occupied_rows(hours)
    ink = INKS[st.context.theme.type or "light"].quiet
    note = _("by the clock of {zone}; the grey strip marks occupied hours").format(zone=zone.key)
    title, name = TITLES[view]
    if view == "co2":
        rows = hour_rows(hours, "co2", zone, unit="ppm", decimals=0)
        outdoor = outdoor_co2(found.assumed)
        limits = {category: outdoor + above for category, above in CO2_LIMITS.items()} if outdoor else {}
        chart = limit_chart(window, rows, occupied, limits, unit="ppm", name=_(name), ink=ink)
    elif view == "pmv":
        rows = hour_rows(hours, "pmv", zone, unit="", decimals=2)
        chart = pmv_chart(window, rows, occupied, ink=ink)
    else:
        low, high = ("adaptive_lower", "adaptive_upper") if view == "adaptive" else ("lower", "upper")
        rows = hour_rows(hours, "temperature", zone, unit="°C", decimals=1)
        chart = band_chart(
            window,
            rows,
            band_rows(hours, low, high),
            outside_rows(hours, "temperature", low, high, zone),
            occupied,
            unit="°C",
            name=_(name),
            colour=VERMILLION,
        )
        note = f"{note}; {_('triangles mark occupied hours out of the band')}"
    measured = rows.dropna(subset=["value"])
    figure(
        shown.report,
        "hours",
        chart,
        title=_(title).format(room=found.name, category=found.category),
        note=note,
        complete=found.completeness.share,
        rows=measured[["at", "shown"]].rename(columns={"at": _("Time"), "shown": _(name)}),
        alt_text=_("{name} of {room}, hour by hour, with its limits.").format(name=_(name), room=found.name),
    )


def _assumptions(shown: Shown, spaces: Sequence[SpaceComfort]) -> None:
    rows = assumption_rows([assumed for space in spaces for assumed in space.assumed])
    if rows.empty:
        return
    table(shown.report, "assumed", rows, title=_("What was assumed, because nobody measured or said it"))


def _not_judged(view: str) -> None:
    st.info(
        _("No room could be judged by this: {what} needs readings that are not there in this period.").format(
            what=_(VIEWS[view])
        ),
        icon=":material/info:",
    )
    if view == "co2":
        st.caption(_("Put a CO₂ sensor in a room, and give its point the class CO2_Sensor."))
    elif view == "adaptive":
        st.caption(
            _(
                "Adaptive comfort goes by the outdoor temperature: bring in a point of the class "
                "Outside_Air_Temperature_Sensor for the building or its site."
            )
        )


def _no_sensors() -> None:
    empty(
        _("Here you will see whether your rooms are comfortable while people are in them."),
        _(
            "No room here has a temperature or CO₂ sensor. Place one, and give its point a class such as "
            "{name}."
        ).format(name="Zone_Air_Temperature_Sensor"),
        link=_("How devices come in"),
        url=f"{backend().settings.platform_url}/docs",
    )


def _out(judged: Judged | None) -> float | None:
    return _rounded(_hundred(judged.out_of_band), 1) if judged else None


def _hundred(share: float | None) -> float | None:
    return None if share is None else 100 * share


def _rounded(value: float | None, decimals: int) -> float | None:
    return None if value is None else round(value, decimals)
