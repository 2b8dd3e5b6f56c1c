"""Energy, third section: buildings beside each other, and each beside itself in an earlier period."""

from __future__ import annotations

from datetime import datetime, timedelta

import pandas as pd  # type: ignore[import-untyped] # ships no type information
import streamlit as st

from insula_analytics_ui.api.client import Query, rfc3339
from insula_analytics_ui.api.energy import BuildingComparison, BuildingPeriod, comparison
from insula_analytics_ui.axes import INKS
from insula_analytics_ui.energy.charts import comparison_chart
from insula_analytics_ui.energy.data import CARRIERS, comparison_rows
from insula_analytics_ui.periods import Period
from insula_analytics_ui.theme import BLUE, GREY
from insula_analytics_ui.times import date_text
from insula_analytics_ui.views.choices import choose
from insula_analytics_ui.views.frame import Shown
from insula_analytics_ui.views.parts import figure, table
from insula_analytics_ui.words import N_, _, number_text

AGAINST = {"before": N_("With the period before"), "year": N_("With a year before")}


def comparison_section(shown: Shown, carrier: str) -> None:
    """Draw it: one question."""
    chosen = choose("against", {key: _(name) for key, name in AGAINST.items()}, label=_("Compared"))
    begin, end = earlier_period(shown.period, chosen)
    asked: Query = [
        *shown.question(),
        ("carrier", carrier),
        ("against_from", rfc3339(begin)),
        ("against_to", rfc3339(end)),
    ]
    found = comparison(shown.api, asked)
    measured = [each for each in found.buildings if each.now.consumption is not None]
    if not measured:
        st.info(
            _("No building has a {carrier} meter that was read in this period.").format(
                carrier=_(CARRIERS[carrier]).lower()
            ),
            icon=":material/info:",
        )
        return
    per_area = all(each.now.per_area is not None for each in measured)
    unit = f"{measured[0].unit}/m²" if per_area else measured[0].unit
    ordered = sorted(
        measured, key=lambda each: -((each.now.per_area if per_area else each.now.consumption) or 0)
    )
    rows = comparison_rows(ordered, per_area=per_area, unit=unit)
    zone = shown.place.zone
    figure(
        shown.report,
        "comparison",
        comparison_chart(
            rows,
            [each.name for each in ordered],
            unit=unit,
            ink=INKS[st.context.theme.type or "light"].quiet,
        ),
        title=_("Buildings, now and before"),
        note=_("before: {begin} \u2013 {end}").format(
            begin=date_text(begin.astimezone(zone)), end=date_text(end.astimezone(zone))
        )
        + (
            ""
            if per_area
            else f"; {_('not by area: of some building it is not known, or not all is metered')}"
        ),
        key=[(_("Now"), BLUE), (_("Before"), GREY)],
        complete=found.completeness.share,
        rows=rows[["building", "period", "shown"]].rename(
            columns={"building": _("Building"), "period": _("Period"), "shown": unit}
        ),
        alt_text=_("Two bars for each building: the consumption of this period and of the one before."),
    )
    _table(shown, ordered)


def earlier_period(period: Period, chosen: str) -> tuple[datetime, datetime]:
    """The half-open interval to compare with: as long, directly before, or 364 days before.

    364 days are 52 weeks: a Monday stands beside a Monday.
    """
    back = timedelta(days=364) if chosen == "year" else period.length
    return period.begin - back, period.end - back


def _table(shown: Shown, buildings: list[BuildingComparison]) -> None:
    unit = buildings[0].unit
    rows = pd.DataFrame(
        [
            {
                _("Building"): each.name,
                _("Now, {unit}").format(unit=unit): _rounded(each.now.consumption, 0),
                _("Before, {unit}").format(unit=unit): _rounded(each.before.consumption, 0),
                _("Change, %"): _percent(each.change),
                _("Change per degree day, %"): _percent(each.change_per_degree_day),
                f"{unit}/m²": _rounded(each.now.per_area, 1),
                _("Rank by area"): each.rank,
                _("Heating degree days"): _rounded(each.now.heating_degree_days, 0),
                _("Degree days before"): _rounded(each.before.heating_degree_days, 0),
                _("Cost"): cost_text(each.now),
                _("CO₂e, kg"): _rounded(each.now.co2e, 0),
                _("Complete, %"): _percent(each.now.completeness.share),
                _("Complete before, %"): _percent(each.before.completeness.share),
            }
            for each in buildings
        ]
    ).dropna(axis="columns", how="all")
    change = st.column_config.NumberColumn(format="%+.1f")
    percent = st.column_config.NumberColumn(format="%.1f")
    columns = {name: percent for name in rows.columns if "%" in name}
    columns |= {_("Change, %"): change, _("Change per degree day, %"): change}
    table(shown.report, "buildings", rows, columns=columns, right=list(rows.columns[1:]))


def cost_text(period: BuildingPeriod) -> str | None:
    """What a period cost, with its currency; None where no tariff says."""
    if period.cost is None:
        return None
    return f"{number_text(period.cost, 0)} {period.currency or ''}".strip()


def _rounded(value: float | None, decimals: int) -> float | None:
    return None if value is None else round(value, decimals)


def _percent(share: float | None) -> float | None:
    return None if share is None else round(100 * share, 1)
