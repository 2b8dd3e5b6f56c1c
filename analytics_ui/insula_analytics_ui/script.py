"""What Streamlit runs for each browser: the pages and the account box. The gate has let the browser in."""

from __future__ import annotations

from html import escape
from pathlib import Path
from urllib.parse import urlencode

import streamlit as st

from insula_analytics_ui.backend import backend, current_session
from insula_analytics_ui.pages import menu, pages
from insula_analytics_ui.sessions import Person
from insula_analytics_ui.views.elements import problems_shown
from insula_analytics_ui.words import LANGUAGES, _, language, preferred, speak

HERE = Path(__file__).parent


def account(person: Person, path: str) -> None:
    """Who is signed in, for which tenant, in which language, and the ways out."""
    email = f'<br><span class="in-quiet">{escape(person.email)}</span>' if person.email else ""
    platform = escape(backend().settings.platform_url)
    here = st.query_params.to_dict()
    others = "".join(
        f'<a class="in-go" href="/{path}?{escape(urlencode(here | {"lang": key}))}" lang="{key}">'
        f"{escape(name)}</a>"
        for key, name in LANGUAGES.items()
        if key != language()
    )
    own, out = escape(_("Your account")), escape(_("Sign out"))
    st.html(
        f'<div class="in-account"><strong>{escape(person.tenant_name)}</strong>'
        f"<br>{escape(person.name)}{email}"
        f'<nav><a href="{platform}/account" target="_self">{own}</a>'
        f'<a href="{platform}/docs" target="_self">API</a>{others}'
        f'<a href="/auth/logout" target="_self">{out}</a></nav></div>'
    )


asked = st.query_params.get("lang", "")
speak(asked if asked in LANGUAGES else preferred(st.context.headers.get("Accept-Language")))
st.set_page_config(page_icon=str(HERE / "icon.svg"), layout="wide", initial_sidebar_state="auto")
st.html(HERE / "style.css")
st.html(
    f'<script data-lang="{language()}">{(HERE / "page.js").read_text(encoding="utf-8")}</script>',
    unsafe_allow_javascript=True,
)
st.logo(str(HERE / "wordmark.svg"), size="large")
found = pages()
page = st.navigation(found, position="hidden")
st.set_page_config(page_title=f"{page.title} · Insula")
with problems_shown():
    with st.sidebar:
        menu(found)
        account(current_session().person, page.url_path)
    page.run()
