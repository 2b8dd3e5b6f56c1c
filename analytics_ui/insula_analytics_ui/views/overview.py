"""Overview: the buildings, and what in them needs attention, each with the way to where to act."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape

import pandas as pd  # type: ignore[import-untyped] # ships no type information
import streamlit as st

from insula_analytics_ui.api.attention import Attention, Today, attention
from insula_analytics_ui.api.readings import Latest, latest
from insula_analytics_ui.comfort_now import comfort_of
from insula_analytics_ui.freshness import ONLINE, device_state
from insula_analytics_ui.needs import (
    Need,
    carrier_name,
    change_text,
    findings,
    incomplete,
    silent,
    uncomfortable,
    wasteful,
)
from insula_analytics_ui.places import Room
from insula_analytics_ui.report import Table
from insula_analytics_ui.theme import BLUISH_GREEN
from insula_analytics_ui.views.building import occupied
from insula_analytics_ui.views.elements import address, link, mark, remembered
from insula_analytics_ui.views.frame import Shown, frame, live
from insula_analytics_ui.words import _, ngettext, number_text, share_text

REFRESH_SECONDS = 30

ANALYTICS_SECONDS = 300
"""How long findings, data quality and energy are held: they move by the hour."""

SHOWN = 12
"""Things of one kind that are listed; how many more there are is said."""


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
    more = remembered(
        shown.api.session,
        "attention",
        ANALYTICS_SECONDS,
        lambda: attention(shown.api, shown.now, shown.place.zone),
    )
    found = latest(shown.api)
    buildings = {key: rooms for key, rooms in shown.estate.buildings().items() if rooms[0].space.building}
    _buildings(shown, buildings, found, more)
    names = {room.space.building_id: room.building for room in shown.estate.rooms if room.space.building_id}
    _needs(
        shown,
        [
            uncomfortable(shown.estate.rooms, found, shown.now),
            silent(shown.estate.rooms, shown.now),
            findings(more.findings, shown.estate, shown.now),
            wasteful(more.energy, names),
            incomplete(more.quality, names),
        ],
    )


def _buildings(
    shown: Shown, buildings: Mapping[str, list[Room]], found: Mapping[int, Latest], more: Attention
) -> None:
    """A row a building."""
    head = [_("Building"), _("Rooms"), _("Comfortable"), _("Occupied"), _("Devices online")]
    head += [_("Energy today (against usual)"), _("Data of 7 days")]
    rows = []
    for rooms in buildings.values():
        comforts = [comfort_of(room.points, found, shown.now) for room in rooms]
        judged = [comfort for comfort in comforts if comfort.rank not in {1, 2}]
        busy, known = occupied(rooms, found, shown.now)
        devices = [device_state(device, shown.now) for room in rooms for device in room.devices]
        number = rooms[0].space.building_id or 0
        quality = more.quality.get(number)
        share = quality.completeness.share if quality else None
        rows.append(
            [
                rooms[0].building,
                str(len(rooms)),
                _of(sum(comfort.rank == 0 for comfort in judged), len(judged)),
                _of(busy, known),
                _of(sum(state is ONLINE for state in devices), len(devices)),
                "; ".join(map(energy_text, more.energy.get(number, []))) or "\u2013",
                share_text(share) if share is not None else "\u2013",
            ]
        )
    shown.report.add("buildings", Table(_("Buildings"), pd.DataFrame(rows, columns=head), head[1:5]))
    links = [
        link(row[0], address("building", building=key), name=f"building-{key}")
        for key, row in zip(buildings, rows, strict=True)
    ]
    body = "".join(
        f"<tr><th>{name}</th>{''.join(f'<td>{escape(cell)}</td>' for cell in row[1:])}</tr>"
        for name, row in zip(links, rows, strict=True)
    )
    titles = "".join(f"<th>{escape(title)}</th>" for title in head)
    st.html(
        '<div class="in-wide" tabindex="0"><table class="in-table">'
        f"<thead><tr>{titles}</tr></thead><tbody>{body}</tbody></table></div>"
    )


def _of(part: int, whole: int) -> str:
    return f"{part} / {whole}" if whole else "\u2013"


def energy_text(today: Today) -> str:
    """What was used today, beside what is typical by this hour: `Electricity 45.2 kWh (+12 %)`."""
    used = number_text(today.used, 0 if today.used >= 100 else 1)
    change = f" ({change_text(today.change)})" if today.change is not None else ""
    return f"{carrier_name(today.carrier)} {used} {today.unit}{change}"


def _needs(shown: Shown, kinds: Sequence[Sequence[Need]]) -> None:
    """What needs attention, the first of each kind; nothing to do is said, too."""
    title = _("Needs attention")
    needs = [need for kind in kinds for need in kind]
    shown.report.add(
        "needs",
        Table(
            title,
            pd.DataFrame(
                [(need.word, need.where, need.what) for need in needs],
                columns=[_("What"), _("Where"), _("More")],
            ),
        ),
    )
    if not needs:
        well = mark(_("Nothing: every device speaks, and every room in use is comfortable."), BLUISH_GREEN, 0)
        st.html(f"<h3>{escape(title)}</h3><p>{well}</p>")
        return
    rows: list[str] = []
    for kind in kinds:
        rows += [_row(need) for need in kind[:SHOWN]]
        if len(kind) > SHOWN:
            more = ngettext("{number} more", "{number} more", len(kind) - SHOWN)
            rows.append(
                f"<tr><td></td><td></td><td>{escape(more.format(number=len(kind) - SHOWN))}</td></tr>"
            )
    table = f'<table class="in-table in-needs"><tbody>{"".join(rows)}</tbody></table>'
    st.html(f"<h3>{escape(title)}</h3>{table}")


def _row(need: Need) -> str:
    url = address(need.page, **need.query)
    where = link(need.where, url, name=f"need-{need.word}-{need.where}")
    word = mark(need.word, need.colour, 1)
    return f"<tr><td>{word}</td><th>{where}</th><td>{escape(need.what)}</td></tr>"
