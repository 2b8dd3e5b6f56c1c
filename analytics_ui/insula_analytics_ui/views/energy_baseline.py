"""Energy, second section: consumption beside what an earlier period leads to expect, and the weather."""

from __future__ import annotations

from datetime import datetime, timedelta

import streamlit as st

from insula_analytics_ui.api.analytics import both
from insula_analytics_ui.api.client import Query, rfc3339
from insula_analytics_ui.api.energy import Baseline, DegreeDays, Fit, Savings, baseline, degree_days
from insula_analytics_ui.backend import backend
from insula_analytics_ui.energy.charts import baseline_chart, degree_day_chart, savings_chart
from insula_analytics_ui.energy.data import CARRIERS, baseline_rows, degree_day_rows, midnight, savings_rows
from insula_analytics_ui.periods import Period
from insula_analytics_ui.report import Number
from insula_analytics_ui.theme import BLUE, GREY, VERMILLION
from insula_analytics_ui.times import date_text, instant, ticks, zone_of
from insula_analytics_ui.views.choices import choose
from insula_analytics_ui.views.elements import empty
from insula_analytics_ui.views.energy_use import bounds_of
from insula_analytics_ui.views.frame import Shown
from insula_analytics_ui.views.parts import figure, numbers
from insula_analytics_ui.words import N_, _, number_text

BASELINES = {
    "year": N_("The 12 months before"),
    "quarter": N_("The 3 months before"),
    "same": N_("As long, directly before"),
}
"""Baseline periods, as addresses and people name them. Guideline 14 asks for all seasons: twelve months."""


def baseline_section(shown: Shown, carrier: str) -> None:
    """Draw it: two questions, asked at once."""
    chosen = choose("baseline", {key: _(name) for key, name in BASELINES.items()}, label=_("Baseline period"))
    begin, end = baseline_period(shown.period, chosen)
    asked = shown.question()
    model: Query = [
        *asked,
        ("carrier", carrier),
        ("baseline_from", rfc3339(begin)),
        ("baseline_to", rfc3339(end)),
    ]
    found, weather = both(lambda: baseline(shown.api, model), lambda: degree_days(shown.api, asked))
    _baseline(shown, found, carrier)
    _weather(shown, weather)


def baseline_period(period: Period, chosen: str) -> tuple[datetime, datetime]:
    """The baseline's half-open interval: it ends where the period begins."""
    lengths = {"year": timedelta(days=365), "quarter": timedelta(days=91)}
    return period.begin - lengths.get(chosen, period.length), period.begin


def _baseline(shown: Shown, found: Baseline, carrier: str) -> None:
    zone = zone_of(found.time_zone)
    dates = (date_text(found.baseline_from.astimezone(zone)), date_text(found.baseline_to.astimezone(zone)))
    if found.savings is None or found.hourly is None:
        _no_model(carrier, dates)
        return
    _numbers(shown, found, found.savings, found.hourly)
    st.caption(
        _("Baseline {begin} \u2013 {end}: {model}. {weather}").format(
            begin=dates[0],
            end=dates[1],
            model=found.model,
            weather=_("It knows the outdoor temperature.")
            if found.outdoor_point is not None
            else _("It knows the time of the week alone, for nothing measures the outdoor temperature here."),
        )
    )
    if not found.cusum:
        return
    begin, end = midnight(found.cusum[0].date, zone), midnight(found.cusum[-1].date, zone) + 86_400_000
    marks = ticks(instant(begin, zone), instant(end, zone), zone)
    rows = baseline_rows(found, zone, bounds_of(shown, found.complete_until))
    figure(
        shown.report,
        "baseline",
        baseline_chart(rows, marks, begin=begin, end=end, unit=found.unit),
        title=_("Consumption by day, and what the baseline expects"),
        key=[(_("actual"), BLUE), (_("expected (dashed)"), GREY)],
        complete=found.completeness.share,
        rows=rows.dropna(subset=["value"])[["at", "line", "shown"]].rename(
            columns={"at": _("Day"), "line": _("Line"), "shown": _("Consumption")}
        ),
        alt_text=_("Two lines: what was consumed each day, and what the baseline says it would have been."),
    )
    saved = savings_rows(found, zone)
    figure(
        shown.report,
        "savings",
        savings_chart(saved, marks, begin=begin, end=end, unit=found.unit),
        title=_("Saved since the period began"),
        note=_("rising: less is consumed than expected; falling: more"),
        complete=found.completeness.share,
        rows=saved[["at", "shown"]].rename(columns={"at": _("Until"), "shown": _("Saved")}),
        alt_text=_("A line of the savings, added up day by day."),
    )


def _numbers(shown: Shown, found: Baseline, savings: Savings, fit: Fit) -> None:
    spread = next((each for each in savings.uncertainty if each.confidence >= 0.9), None)
    interval = (
        _("{low} to {high} {unit} at {level} % confidence").format(
            low=number_text(spread.low, 0),
            high=number_text(spread.high, 0),
            unit=found.unit,
            level=number_text(100 * spread.confidence, 0),
        )
        if spread
        else ""
    )
    numbers(
        shown.report,
        "numbers",
        [
            Number(_("Expected"), number_text(savings.predicted, 0), found.unit),
            Number(_("Actual"), number_text(savings.actual, 0), found.unit),
            Number(_("Saved"), number_text(savings.savings, 0), found.unit, interval),
            Number(
                _("Saved, relative"),
                "\u2013" if savings.fraction is None else number_text(100 * savings.fraction, 1),
                "%",
                _("firm enough for ASHRAE Guideline 14")
                if savings.meets_guideline
                else _("not firm enough for ASHRAE Guideline 14"),
            ),
            _limit(_("CV(RMSE)"), fit.cv_rmse, fit.cv_rmse_limit),
            _limit(_("NMBE"), fit.nmbe, fit.nmbe_limit),
        ],
    )
    if savings.extrapolated_share > 0.05:
        st.warning(
            _(
                "{share} % of the hours were colder or warmer than any of the baseline: there it is a guess."
            ).format(share=number_text(100 * savings.extrapolated_share, 0)),
            icon=":material/thermostat:",
        )


def _limit(label: str, value: float | None, limit: float) -> Number:
    """A measure of fit beside what Guideline 14 allows for hourly data."""
    if value is None:
        return Number(label, "\u2013", "%")
    allowed = number_text(100 * limit, 0)
    # A word beside the number: whether it is within is not left to a colour.
    said = _("within ±{limit} %") if abs(value) <= limit else _("beyond ±{limit} %")
    return Number(label, number_text(100 * value, 1), "%", said.format(limit=allowed))


def _no_model(carrier: str, dates: tuple[str, str]) -> None:
    empty(
        _("Here you will see what was saved: the consumption beside what an earlier period leads to expect."),
        _(
            "From {begin} to {end} there is too little {carrier} data for a baseline. Choose a baseline "
            "period in which the meters were read, of two weeks at least."
        ).format(begin=dates[0], end=dates[1], carrier=_(CARRIERS[carrier]).lower()),
        link=_("What the API tells of baselines"),
        url=f"{backend().settings.platform_url}/docs#/Energy",
    )


def _weather(shown: Shown, found: DegreeDays) -> None:
    if found.outdoor_point is None:
        st.info(
            _(
                "There are no degree days: nothing measures the outdoor temperature. Bring in a point of the "
                "class Outside_Air_Temperature_Sensor for the building or its site."
            ),
            icon=":material/thermostat:",
        )
        return
    rows = degree_day_rows(found.months)
    if rows.empty:
        return
    figure(
        shown.report,
        "degree days",
        degree_day_chart(rows),
        title=_("Degree days by month"),
        note=_(
            "heating {heating} K·d below {heating_base} °C, cooling {cooling} K·d above {cooling_base} °C; "
            "{missing} days not measured"
        ).format(
            heating=number_text(found.heating, 0),
            heating_base=number_text(found.heating_base, 1),
            cooling=number_text(found.cooling, 0),
            cooling_base=number_text(found.cooling_base, 1),
            missing=found.missing_days,
        ),
        key=[(_("Heating"), VERMILLION), (_("Cooling"), BLUE)],
        complete=found.completeness.share,
        rows=rows[["month", "kind", "shown"]].rename(
            columns={"month": _("Month"), "kind": _("Degree days"), "shown": _("Value")}
        ),
        alt_text=_("Columns of heating and cooling degree days, month by month."),
    )
