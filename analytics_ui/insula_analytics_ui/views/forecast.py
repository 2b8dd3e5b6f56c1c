"""The forecast of one point: the next 24 hours with their interval, and the naive forecast beside it."""

from __future__ import annotations

from datetime import timedelta

import streamlit as st

from insula_analytics_ui.api.analytics import both
from insula_analytics_ui.api.forecasts import Forecast, forecast
from insula_analytics_ui.api.model import Point
from insula_analytics_ui.api.readings import Reading, readings
from insula_analytics_ui.forecasts.charts import forecast_chart
from insula_analytics_ui.forecasts.data import STATES, forecast_rows, measured_rows, trust_text
from insula_analytics_ui.periods import Period
from insula_analytics_ui.quantities import has_states, quantity, unit
from insula_analytics_ui.theme import BLUE, GREY
from insula_analytics_ui.times import milliseconds, ticks
from insula_analytics_ui.views.frame import Shown
from insula_analytics_ui.views.parts import figure
from insula_analytics_ui.words import _

BEFORE = timedelta(hours=48)
"""How much of what was measured stands before a forecast."""


def forecast_section(shown: Shown, point: Point, *, name: str, colour: str | None = None) -> None:
    """Draw the forecast of `point` in `shown`'s time zone; where there is none, say why and what to do.

    `name` is what the page calls the point, `colour` that of its line there.
    """
    if has_states(point):
        return
    found, before = _ask(shown, point)
    if found is None or not found.values:
        why, todo = STATES.get(found.state if found else None, STATES[None])
        st.html(f'<p class="in-quiet">{_(why)} {_(todo)}</p>')
        return
    zone, sign = shown.place.zone, unit(point)
    rows = forecast_rows(found, zone, unit=sign)
    measured = measured_rows(before, zone, unit=sign)
    last = found.values[-1].time + timedelta(hours=1)
    first = min([found.values[0].time, *(reading.time for reading in before)])
    line = colour or quantity(point).colour or BLUE
    level = round(100 * (found.level or 0.9))
    figure(
        shown.report,
        f"forecast {point.id}",
        forecast_chart(
            measured,
            rows,
            ticks(first, last, zone),
            begin=milliseconds(first),
            end=milliseconds(last),
            unit=sign,
            colour=line,
        ),
        title=_("{point}: the next 24 hours").format(point=name),
        note=trust_text(found, unit=sign),
        key=[
            (_("forecast (dashed), {level} % interval").format(level=level), line),
            (_("naive (dotted)"), GREY),
        ],
        complete=found.completeness.share if found.completeness else None,
        rows=rows[["at", "shown", "range", "naive_shown"]].rename(
            columns={
                "at": _("Time"),
                "shown": _("Forecast"),
                "range": _("Interval"),
                "naive_shown": _("Naive"),
            }
        ),
        alt_text=_(
            "The last two days of {point}, and a forecast of the next 24 hours with its interval."
        ).format(point=name),
    )


def _ask(shown: Shown, point: Point) -> tuple[Forecast | None, list[Reading]]:
    """The forecast, and what was measured before it; of a counter, what it counted is not in its readings."""
    if point.kind == "counter":
        return forecast(shown.api, point.id), []
    hour = shown.now.replace(minute=0, second=0, microsecond=0)
    period = Period(hour - BEFORE, hour, "1h", timedelta(hours=1))
    return both(
        lambda: forecast(shown.api, point.id),
        lambda: readings(shown.api, [point.id], period, aggregate="mean", time_zone=shown.place.zone.key),
    )
