"""Energy: what was consumed and when, what of it nobody needed, and what was saved. One section at a time."""

from __future__ import annotations

import streamlit as st

from insula_analytics_ui.api.energy import Meter, meters
from insula_analytics_ui.backend import backend
from insula_analytics_ui.energy.data import CARRIERS
from insula_analytics_ui.views.choices import choose
from insula_analytics_ui.views.elements import empty, remembered
from insula_analytics_ui.views.energy_baseline import baseline_section
from insula_analytics_ui.views.energy_comparison import comparison_section
from insula_analytics_ui.views.energy_use import use_section
from insula_analytics_ui.views.frame import Shown, frame, live
from insula_analytics_ui.words import N_, _

METERS_SECONDS = 60
"""How long the list of meters is held: it changes when people change it."""

SECTIONS = {
    "use": (N_("Consumption"), use_section),
    "baseline": (N_("Baseline and weather"), baseline_section),
    "comparison": (N_("Comparison"), comparison_section),
}


def page() -> None:
    """The page."""
    shown = frame(
        _("Energy"),
        levels=("building", "storey", "space"),
        default_period="30d",
        what=_("Here you will see what your buildings consume, what of it nobody needs, and what it costs."),
    )
    if shown:
        live(shown, _draw)


def _draw(shown: Shown) -> None:
    shown.report.parts.clear()
    found = remembered(shown.api.session, "meters", METERS_SECONDS, lambda: meters(shown.api))
    if not found:
        _no_meters()
        return
    with st.container(horizontal=True, vertical_alignment="center"):
        section = choose(
            "section", {key: _(name) for key, (name, _draw_it) in SECTIONS.items()}, label=_("Section")
        )
        carrier = _carrier(found)
    SECTIONS[section][1](shown, carrier)


def _carrier(found: list[Meter]) -> str:
    known = {meter.carrier for meter in found}
    return choose(
        "carrier",
        {carrier: _(name) for carrier, name in CARRIERS.items() if carrier in known},
        label=_("Carrier"),
    )


def _no_meters() -> None:
    empty(
        _("Here you will see what your buildings consume, what of it nobody needs, and what it costs."),
        _(
            "No meter is declared yet. Declare one by POST …/meters: which counter it reads, and which "
            "building, storey or space it measures. Tariffs (…/tariffs) and emission factors bring costs and "
            "CO₂e."
        ),
        link=_("What the API tells of meters"),
        url=f"{backend().settings.platform_url}/docs#/Energy",
    )
