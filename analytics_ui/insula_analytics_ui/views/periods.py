"""The chooser of a period: presets, or from one time to another by the building's clock."""

from __future__ import annotations

from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import streamlit as st

from insula_analytics_ui.api.client import rfc3339
from insula_analytics_ui.periods import PRESETS, Period, asked_period
from insula_analytics_ui.views.elements import write
from insula_analytics_ui.words import _

CUSTOM = "custom"


def period_of_address(now: datetime, default: str = "24h") -> Period:
    """The period that the address names."""
    asked = st.query_params
    return asked_period(asked.get("period"), asked.get("from"), asked.get("to"), now, default=default)


def choose_period(period: Period, zone: ZoneInfo) -> None:
    """Presets beside one another, and a form for any other period."""
    st.session_state["period"] = period.preset.key if period.preset else None
    st.segmented_control(
        _("Period"),
        list(PRESETS),
        format_func=lambda key: _(PRESETS[key].name),
        key="period",
        on_change=_preset_chosen,
        label_visibility="collapsed",
    )
    begin, end = period.begin.astimezone(zone), period.end.astimezone(zone)
    last = end - timedelta(microseconds=1)  # a period to midnight holds nothing of the day that begins then
    label = _("From … to …") if period.preset else f"{begin:%Y-%m-%d} … {last:%Y-%m-%d}"
    with st.popover(label, icon=":material/date_range:"), st.form("from and to", border=False):
        st.caption(_("By the clock of {zone}.").format(zone=zone.key))
        left, right = st.columns(2)
        for column, name, text, time in ((left, "from", _("From"), begin), (right, "to", _("To"), end)):
            with column:
                st.session_state[f"{name} day"] = time.date()
                st.session_state[f"{name} time"] = time.time().replace(second=0, microsecond=0)
                st.date_input(text, key=f"{name} day", format="YYYY-MM-DD")
                st.time_input(_("Time"), key=f"{name} time", step=900)
        st.form_submit_button(_("Show"), on_click=_times_chosen, args=(zone.key,), type="primary")


def _preset_chosen() -> None:
    write({"period": st.session_state.get("period"), "from": None, "to": None})


def _times_chosen(zone: str) -> None:
    """Put what the form has into the address; a period that ends before it begins is turned round."""
    times = [
        datetime.combine(st.session_state[f"{name} day"], st.session_state[f"{name} time"], ZoneInfo(zone))
        for name in ("from", "to")
    ]
    begin, end = sorted(times)
    write({"from": rfc3339(begin), "to": rfc3339(end), "period": None})
