"""Overview: the buildings, and what in them needs attention."""

from __future__ import annotations

import streamlit as st

from insula_analytics_ui.views.elements import address, link
from insula_analytics_ui.views.frame import Shown, frame, live
from insula_analytics_ui.words import _

REFRESH_SECONDS = 30


def page() -> None:
    """The page; it keeps itself up to date."""
    shown = frame(
        _("Overview"),
        period=False,
        what=_("Here you will see your buildings, and what in them needs attention."),
    )
    if shown:
        live(shown, _draw, every=REFRESH_SECONDS)


def _draw(shown: Shown) -> None:
    for key, rooms in shown.estate.buildings().items():
        st.html(
            f"<h3>{link(rooms[0].building, address('building', building=key), name=f'building-{key}')}</h3>"
        )
