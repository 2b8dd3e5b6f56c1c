"""What Streamlit runs for each browser: the pages and the account box. The gate has let the browser in."""

from __future__ import annotations

from html import escape
from pathlib import Path

import streamlit as st

from insula_analytics_ui.backend import backend, current_session
from insula_analytics_ui.sessions import Person
from insula_analytics_ui.views import devices, rooms
from insula_analytics_ui.views.elements import problems_shown

HERE = Path(__file__).parent


def account(person: Person) -> None:
    """Who is signed in, for which tenant, and the ways out."""
    email = f'<br><span class="in-quiet">{escape(person.email)}</span>' if person.email else ""
    platform = escape(backend().settings.platform_url)
    st.html(
        f'<div class="in-account"><strong>{escape(person.tenant_name)}</strong>'
        f"<br>{escape(person.name)}{email}"
        f'<nav><a href="{platform}/account" target="_self">Your account</a>'
        f'<a href="{platform}/docs" target="_self">API</a>'
        '<a href="/auth/logout" target="_self">Sign out</a></nav></div>'
    )


st.set_page_config(page_icon=str(HERE / "icon.svg"), layout="wide", initial_sidebar_state="auto")
st.html(HERE / "style.css")
st.logo(str(HERE / "wordmark.svg"), size="large")
page = st.navigation(
    [
        st.Page(rooms.page, title="Rooms", icon=":material/meeting_room:", url_path="rooms", default=True),
        st.Page(devices.page, title="Devices", icon=":material/sensors:", url_path="devices"),
    ]
)
st.set_page_config(page_title=f"{page.title} · Insula")
with problems_shown():
    with st.sidebar:
        account(current_session().person)
    page.run()
