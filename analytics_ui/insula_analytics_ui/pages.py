"""The pages there are, and the way from one to another with place, period and language kept."""

from __future__ import annotations

from html import escape

import streamlit as st
from streamlit.navigation.page import StreamlitPage

from insula_analytics_ui.views import (
    building,
    comfort,
    data_quality,
    devices,
    energy,
    explorer,
    occupancy,
    overview,
    space,
)
from insula_analytics_ui.views.elements import kept_query
from insula_analytics_ui.words import _

Pages = dict[str, list[StreamlitPage]]


def pages() -> Pages:
    """The pages under their headings, named in the language of the page."""
    return {
        _("Now"): [
            st.Page(
                overview.page, title=_("Overview"), icon=":material/home:", url_path="overview", default=True
            ),
            st.Page(building.page, title=_("Building"), icon=":material/apartment:", url_path="building"),
            st.Page(space.page, title=_("Room"), icon=":material/meeting_room:", url_path="space"),
        ],
        _("Over time"): [
            st.Page(comfort.page, title=_("Comfort"), icon=":material/thermostat:", url_path="comfort"),
            st.Page(occupancy.page, title=_("Occupancy"), icon=":material/groups:", url_path="occupancy"),
            st.Page(energy.page, title=_("Energy"), icon=":material/bolt:", url_path="energy"),
            st.Page(
                explorer.page, title=_("Point explorer"), icon=":material/show_chart:", url_path="explorer"
            ),
        ],
        _("Equipment"): [
            st.Page(
                data_quality.page,
                title=_("Data quality"),
                icon=":material/rule:",
                url_path="data-quality",
            ),
            st.Page(devices.page, title=_("Devices' health"), icon=":material/sensors:", url_path="devices"),
        ],
    }


def menu(found: Pages) -> None:
    """Links to the pages, for the same place and period."""
    for heading, listed in found.items():
        st.html(f'<div class="in-menu in-quiet">{escape(heading)}</div>')
        for page in listed:
            st.page_link(page, label=page.title, icon=page.icon, query_params=kept_query(), width="stretch")
