"""Energy, first section: consumption, the load of a day and a week, waste, cost, and every meter."""

from __future__ import annotations

from datetime import datetime

import pandas as pd  # type: ignore[import-untyped] # ships no type information
import streamlit as st

from insula_analytics_ui.api.analytics import both
from insula_analytics_ui.api.client import Query
from insula_analytics_ui.api.energy import Energy, PlaceEnergy, Profile, energy, profile
from insula_analytics_ui.axes import INKS
from insula_analytics_ui.energy.charts import CARRIER_COLOURS, consumption_chart, profile_chart
from insula_analytics_ui.energy.data import (
    CARRIERS,
    STEPS,
    Bounds,
    clock_hour,
    column_marks,
    consumption_rows,
    load_unit,
    meters_of,
    profile_rows,
    step_for,
)
from insula_analytics_ui.energy.totals import Totals, totals
from insula_analytics_ui.heatmap import week_cells, week_chart, week_table
from insula_analytics_ui.report import Number
from insula_analytics_ui.theme import BLUE, ORANGE
from insula_analytics_ui.times import local_text, milliseconds, zone_of
from insula_analytics_ui.views.choices import choose
from insula_analytics_ui.views.frame import Shown
from insula_analytics_ui.views.parts import figure, numbers, table
from insula_analytics_ui.words import _, number_text


def use_section(shown: Shown, carrier: str) -> None:
    """Draw it: two questions, asked at once."""
    asked = shown.question()
    of_carrier: Query = [*asked, ("carrier", carrier)]
    found, load = both(lambda: energy(shown.api, asked), lambda: profile(shown.api, of_carrier))
    if not any(meter.carrier == carrier for meter in found.meters):
        st.info(
            _(
                "No {carrier} meter measures this place. Choose a wider place, or declare a meter for this "
                "one by POST …/meters."
            ).format(carrier=_(CARRIERS[carrier]).lower()),
            icon=":material/info:",
        )
        return
    places = _places(shown, found, carrier)
    _numbers(shown, totals(places or meters_of(found, carrier)), load)
    _consumption(shown, load)
    _day(shown, load)
    _week(shown, load)
    _meters(shown, found, carrier)
    _by_place(shown, found, carrier)


def _places(shown: Shown, found: Energy, carrier: str) -> list[PlaceEnergy]:
    """What the place on screen comes to: the space, storey or building that was chosen, or all buildings."""
    chosen = shown.place.chosen
    listed = found.spaces if "space" in chosen else found.storeys if "storey" in chosen else found.buildings
    return [place for place in listed if place.carrier == carrier]


def _numbers(shown: Shown, total: Totals, load: Profile) -> None:
    zone, kilowatts = zone_of(load.time_zone), load_unit(load.unit)
    peak_at = local_text(milliseconds(load.load.peak_at), zone) if load.load.peak_at else ""
    area = (
        _("{amount} {unit}/m² of {area} m²").format(
            amount=number_text(total.per_area, 1), unit=load.unit, area=number_text(total.area, 0)
        )
        if total.per_area is not None and total.area
        else _("not by area: it is not known, or not all is metered")
    )
    base_share = (
        _("{share} % of the consumption").format(share=number_text(100 * load.load.base_share, 0))
        if load.load.base_share is not None
        else ""
    )
    shown_numbers = [
        Number(_("Consumption"), _or_dash(total.consumption, 0), load.unit, area),
        Number(_("Base load"), _or_dash(load.load.base, 1), kilowatts, base_share),
        Number(_("Peak"), _or_dash(load.load.peak, 1), kilowatts, peak_at),
        _closed(total, load),
        *(
            Number(
                _("Cost"),
                number_text(amount, 0),
                currency,
                ""
                if total.priced_share >= 0.999
                else _("of {share} % of the consumption: the rest has no tariff").format(
                    share=number_text(100 * total.priced_share, 0)
                ),
            )
            for currency, amount in total.cost.items()
        ),
        *([] if total.cost else [Number(_("Cost"), "\u2013", "", _("no tariff is set"))]),
        Number(
            _("CO₂e"),
            _or_dash(total.co2e, 0),
            "kg",
            "" if total.co2e is not None else _("no emission factor is set"),
        ),
    ]
    numbers(shown.report, "numbers", shown_numbers)


def bounds_of(shown: Shown, complete_until: datetime | None) -> Bounds:
    """What an answer of the period on screen knows of."""
    end = min(shown.period.end, complete_until or shown.now)
    return Bounds(milliseconds(shown.period.begin), milliseconds(end))


def _closed(total: Totals, load: Profile) -> Number:
    hours = load.opening_hours
    if total.closed_share is None:
        return Number(_("While closed"), "\u2013", "%")
    note = _("{time} % of the time; open {opens}\u2013{closes}").format(
        time=_or_dash(None if total.closed_time is None else 100 * total.closed_time, 0),
        opens=hours.opens,
        closes=hours.closes,
    )
    return Number(_("While closed"), number_text(100 * total.closed_share, 0), "%", note)


def _consumption(shown: Shown, load: Profile) -> None:
    zone = zone_of(load.time_zone)
    step = choose(
        "step",
        {key: _(name) for key, name in STEPS.items()},
        label=_("Summed by"),
        default=step_for(shown.period.length),
    )
    rows = consumption_rows(load.days, step, zone, bounds_of(shown, load.complete_until), unit=load.unit)
    if rows.empty:
        st.caption(_("Nothing was measured in this period."))
        return
    begin, end = float(rows["time"].min()), float(rows["until"].max())
    marks = column_marks(rows, step, zone)
    figure(
        shown.report,
        "consumption",
        consumption_chart(
            rows, marks, begin=begin, end=end, unit=load.unit, colour=CARRIER_COLOURS.get(load.carrier, BLUE)
        ),
        title=_("Consumption by {step}").format(step=_(STEPS[step]).lower()),
        note=_("by the clock of {zone}; outlined: measured in part").format(zone=zone.key),
        complete=load.completeness.share,
        rows=rows[["at", "shown", "share"]].rename(
            columns={"at": _("When"), "shown": _("Consumption"), "share": _("Measured")}
        ),
        alt_text=_("Columns of the consumption by {step}.").format(step=_(STEPS[step]).lower()),
    )


def _day(shown: Shown, load: Profile) -> None:
    unit = load_unit(load.unit)
    rows = profile_rows(load.open_day, load.closed_day, unit=unit)
    rows = rows.dropna(subset=["mean"])
    if rows.empty:
        return
    hours = load.opening_hours
    ink = INKS[st.context.theme.type or "light"].quiet
    figure(
        shown.report,
        "day",
        profile_chart(
            rows,
            unit=unit,
            opens=clock_hour(hours.opens),
            closes=clock_hour(hours.closes),
            base=load.load.base,
            ink=ink,
        ),
        title=_("Load of a typical day"),
        note=_(
            "mean, and between which values eight of ten days lie; grey: open {opens}\u2013{closes}"
        ).format(opens=hours.opens, closes=hours.closes),
        key=[(_("open days"), BLUE), (_("closed days (dashed)"), ORANGE)],
        complete=load.completeness.share,
        rows=rows[["at", "day", "shown"]].rename(
            columns={"at": _("When"), "day": _("Days"), "shown": _("Mean")}
        ),
        alt_text=_("The mean load hour by hour, of open and of closed days, with the base load."),
    )


def _week(shown: Shown, load: Profile) -> None:
    unit = load_unit(load.unit)
    values = [value for hours in load.week for value in hours if value is not None]
    if not values:
        return
    cells = week_cells(load.week, unit=unit, decimals=0 if max(values) >= 20 else 1)
    figure(
        shown.report,
        "week",
        week_chart(cells, title=_("Mean load"), theme=st.context.theme.type or "light"),
        title=_("The week: mean load, {unit}").format(unit=unit),
        note=_("dashed: not measured"),
        complete=load.completeness.share,
        rows=week_table(cells),
        alt_text=_("A heat map: the mean load in each hour of each day of the week."),
    )


def _meters(shown: Shown, found: Energy, carrier: str) -> None:
    listed = meters_of(found, carrier)
    known = {meter.meter for meter in listed}
    unit = listed[0].unit
    kilowatts = load_unit(unit)
    rows = pd.DataFrame(
        [
            {
                _("Meter"): f"{'└ ' if meter.submeter_of in known else ''}{meter.name}",
                _("Consumption, {unit}").format(unit=unit): _rounded(meter.consumption, 1),
                _("Not submetered, {unit}").format(unit=unit): _rounded(meter.unmetered, 1),
                _("Base load, {unit}").format(unit=kilowatts): _rounded(meter.load.base, 2),
                _("Peak, {unit}").format(unit=kilowatts): _rounded(meter.load.peak, 2),
                _("While closed, %"): _percent(meter.closed.share if meter.closed else None),
                _("Cost"): f"{number_text(meter.cost.total, 2)} {meter.cost.currency}"
                if meter.cost
                else None,
                _("CO₂e, kg"): _rounded(meter.emissions.co2e if meter.emissions else None, 1),
                _("Complete, %"): _percent(meter.completeness.share),
                _("Problem"): meter.problem,
            }
            for meter in listed
        ]
    ).dropna(axis="columns", how="all")
    table(
        shown.report,
        "meters",
        rows,
        title=_("Meter by meter"),
        columns=_formats(rows),
        right=[name for name in rows.columns[1:] if name != _("Problem")],
    )


def _by_place(shown: Shown, found: Energy, carrier: str) -> None:
    """Buildings, storeys and rooms that are metered."""
    kinds = ((_("Building"), found.buildings), (_("Storey"), found.storeys), (_("Room"), found.spaces))
    listed = [(kind, place) for kind, places in kinds for place in places if place.carrier == carrier]
    if len(listed) < 2:
        return
    unit = listed[0][1].unit
    rows = pd.DataFrame(
        [
            {
                _("Place"): place.name,
                _("Kind"): kind,
                _("Consumption, {unit}").format(unit=unit): _rounded(place.consumption, 1),
                _("Area, m²"): _rounded(place.area, 0),
                f"{unit}/m²": _rounded(place.per_area, 2),
                _("Metered"): _("whole") if place.whole else _("in part"),
                _("Complete, %"): _percent(place.completeness.share),
            }
            for kind, place in listed
        ]
    ).dropna(axis="columns", how="all")
    table(
        shown.report,
        "places",
        rows,
        title=_("Place by place"),
        columns=_formats(rows),
        right=[name for name in rows.columns if pd.api.types.is_numeric_dtype(rows[name])],
    )


def _formats(rows: pd.DataFrame) -> dict[str, object]:
    return {
        name: st.column_config.NumberColumn(format="%.1f")
        for name in rows.columns
        if pd.api.types.is_float_dtype(rows[name])
    }


def _or_dash(value: float | None, decimals: int) -> str:
    return "\u2013" if value is None else number_text(value, decimals)


def _rounded(value: float | None, decimals: int) -> float | None:
    return None if value is None else round(value, decimals)


def _percent(share: float | None) -> float | None:
    return None if share is None else round(100 * share, 1)
