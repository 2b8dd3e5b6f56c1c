"""What every page has: its head with the choice of place and period, its live part, and its report.

A page calls `frame`, and draws into what it gives:

    def page() -> None:
        shown = frame(_("Comfort"), levels=("building", "storey", "space"))
        if shown:
            live(shown, _draw)

The address alone says what is on screen: choosers write to it, and pages read it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from html import escape
from urllib.parse import urlencode

import streamlit as st

from insula_analytics_ui.api.client import Api, Query, rfc3339
from insula_analytics_ui.backend import backend, current_session
from insula_analytics_ui.periods import Period, recent
from insula_analytics_ui.places import Estate, load_estate
from insula_analytics_ui.report import Report
from insula_analytics_ui.views.elements import empty, problems_shown, remembered
from insula_analytics_ui.views.periods import choose_period, period_of_address
from insula_analytics_ui.views.places import Level, Place, asked_place, choose_place
from insula_analytics_ui.words import _, language, speak

ESTATE_SECONDS = 60
"""How long places, devices and points are held: they change when people change them."""


@dataclass(frozen=True)
class Shown:
    """What a page shows: for whom (`api`), where, and when. `report` takes in what the page draws."""

    api: Api
    estate: Estate
    place: Place
    period: Period
    now: datetime
    report: Report = field(repr=False)

    def question(self) -> Query:
        """Place and period as the API's analytics take them."""
        return [
            ("from", rfc3339(self.period.begin)),
            ("to", rfc3339(self.period.end)),
            *self.place.question(),
        ]


def frame(
    title: str,
    *,
    levels: Sequence[Level] = (),
    needed: Sequence[Level] = (),
    period: bool = True,
    default_period: str = "24h",
    what: str = "",
) -> Shown | None:
    """Draw the head of a page; None when there is nothing to draw beneath it, and the page says why.

    The place is asked down to the last of `levels`; those `needed` have no "all". A tenant without anything
    is told `what` will be here.
    """
    with problems_shown():
        api = Api(backend(), current_session())
        estate = remembered(api.session, "estate", ESTATE_SECONDS, lambda: load_estate(api))
        place = asked_place(estate, levels, needed)
        now = datetime.now(UTC)
        shown = Shown(
            api, estate, place, period_of_address(now, default_period), now, _report(api, title, place)
        )
        if period:
            shown.report.period = _period_words(shown)
        _head(shown, title, levels, needed, period=period)
        if estate.rooms:
            return shown
        _nothing_yet(what or _("Here you will see your buildings."))
    return None


def live(shown: Shown, draw: Callable[[Shown], None], *, every: int | None = None) -> None:
    """The part of a page that keeps itself up to date: every so many seconds, or as its period deserves.

    `draw` gets what is shown at that moment: a period that ends now has moved on.
    """
    chosen = language()
    pace = every or shown.period.refresh

    def again() -> None:
        speak(chosen)
        with problems_shown():
            now = datetime.now(UTC)
            preset = shown.period.preset
            period = recent(preset, now) if preset else shown.period
            draw(replace(shown, period=period, now=now))

    st.fragment(run_every=pace)(again)()


def _head(
    shown: Shown, title: str, levels: Sequence[Level], needed: Sequence[Level], *, period: bool
) -> None:
    name, button = st.columns([5, 1], vertical_alignment="center")
    with name:
        where = f'<span class="in-quiet">{escape(shown.place.words)}</span>' if levels else ""
        st.html(f'<div class="in-head"><h2>{escape(title)}</h2>{where}</div>')
    with button, st.container(horizontal=True, horizontal_alignment="right"):
        if shown.estate.rooms:
            _report_button(shown)
    if shown.estate.rooms and (levels or period):
        with st.container(horizontal=True, vertical_alignment="center", key="choosers"):
            choose_place(shown.estate, shown.place, levels, needed)
            if period:
                choose_period(shown.period, shown.place.zone)


def _report_button(shown: Shown) -> None:
    """A file of what is on screen; it is made when it is asked for."""
    zone = shown.place.zone
    st.download_button(
        _("Report"),
        data=lambda: shown.report.html(datetime.now(zone)).encode(),
        file_name=shown.report.file_name(datetime.now(zone)),
        mime="text/html",
        icon=":material/description:",
        help=_("This page as one file: charts, numbers, place and period."),
        on_click="ignore",
        key="report",
    )


def _report(api: Api, title: str, place: Place) -> Report:
    person = api.session.person
    page = st.context.url or backend().settings.ui_url
    query = urlencode(st.query_params.to_dict())
    return Report(
        title=title,
        place=place.words,
        period="",
        tenant=person.tenant_name,
        person=person.name,
        language=language(),
        url=page.partition("?")[0] + (f"?{query}" if query else ""),
    )


def _period_words(shown: Shown) -> str:
    zone = shown.place.zone
    # A preset ends with the bucket of now, of which the rest is yet to come.
    end = min(shown.period.end, shown.now) if shown.period.preset else shown.period.end
    exact = replace(shown.period, preset=None, end=end).words(zone)
    return f"{exact} ({zone.key})"


def _nothing_yet(what: str) -> None:
    empty(
        what,
        _("There are no rooms and no devices yet. Bring in the first ones by the API or the command line."),
        link=_("How devices come in"),
        url=f"{backend().settings.platform_url}/docs",
    )
