"""Occupancy: when in the week rooms are used, how much each is, and which are not at all."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

import pandas as pd  # type: ignore[import-untyped] # ships no type information
import streamlit as st

from insula_analytics_ui.api.analytics import both
from insula_analytics_ui.api.occupancy import (
    ModelCard,
    Occupancy,
    OccupancyDays,
    SpaceUse,
    model_card,
    occupancy,
    occupancy_days,
)
from insula_analytics_ui.axes import INKS
from insula_analytics_ui.backend import backend
from insula_analytics_ui.heatmap import week_cells, week_chart, week_table, weekday_text
from insula_analytics_ui.occupancy.charts import COLOURS, days_chart, use_chart
from insula_analytics_ui.occupancy.data import (
    CONFIDENCES,
    INFERRED_SIGN,
    SOURCES,
    VARIANTS,
    busiest_first,
    card_rows,
    day_name,
    day_rows,
    peak_hour,
    percent,
    use_rows,
    week_percent,
)
from insula_analytics_ui.report import Number
from insula_analytics_ui.times import zone_of
from insula_analytics_ui.views.elements import empty, plain, remembered
from insula_analytics_ui.views.frame import Shown, frame, live
from insula_analytics_ui.views.parts import figure, numbers, table
from insula_analytics_ui.words import _, ngettext, number_text

BARS = 20
"""Rooms that the chart shows; the table has them all."""

DAYS = 31
"""Days that the chart of one room shows: the last ones."""

CARD_SECONDS = 3600
"""How long the model's card is held: it changes with a release."""


def page() -> None:
    """The page."""
    shown = frame(
        _("Occupancy"),
        levels=("building", "storey", "space"),
        default_period="30d",
        what=_("Here you will see when your rooms are used, how much, and which ones nobody uses."),
    )
    if shown:
        live(shown, _draw)


def _draw(shown: Shown) -> None:
    shown.report.parts.clear()
    found, days = _ask(shown)
    known = busiest_first(found.items)
    if not known:
        _nothing_tells(found)
        return
    _numbers(shown, found)
    _week(shown, found)
    if days is None:
        _bars(shown, found, known)
    else:
        _days(shown, days)
    _never_used(shown, found.items)
    _table(shown, found)
    inferred = [space for space in found.items if space.source == "inferred"]
    if inferred:
        card = remembered(shown.api.session, "model card", CARD_SECONDS, lambda: model_card(shown.api))
        _card(shown, card, inferred)


def _ask(shown: Shown) -> tuple[Occupancy, OccupancyDays | None]:
    """The use of the place, and the days where the place is one room: both are asked for at once."""
    asked = shown.question()
    if "space" not in shown.place.chosen:
        return occupancy(shown.api, asked), None
    return both(lambda: occupancy(shown.api, asked), lambda: occupancy_days(shown.api, asked))


def _numbers(shown: Shown, found: Occupancy) -> None:
    peak = peak_hour(found.heat_map)
    unused = sum(space.never_used for space in found.items)
    crowd = max(
        (space for space in found.items if space.people),
        key=lambda space: space.people.peak if space.people else 0,
        default=None,
    )
    shares = [
        Number(
            _("In use"),
            number_text(100 * found.share_in_use, 1) if found.share_in_use is not None else "\u2013",
            "%",
            _("of the hours observed"),
        ),
        Number(
            _("Busiest hour"),
            f"{weekday_text(peak[0])} {peak[1]:02d}:00" if peak else "\u2013",
            "",
            _("{share} % of the rooms' time in use").format(share=number_text(100 * peak[2], 0))
            if peak
            else "",
        ),
        Number(
            _("Rooms observed"),
            number_text(found.observed, 0),
            "",
            ngettext("of {count} room", "of {count} rooms", len(found.items)).format(count=len(found.items)),
        ),
        Number(_("Never used"), number_text(unused, 0), "", _("observed for a day or more")),
    ]
    if crowd and crowd.people:
        full = crowd.people.peak_share
        note = (
            crowd.name
            if full is None
            else _("{room}, {share} % of its capacity").format(
                room=crowd.name, share=number_text(100 * full, 0)
            )
        )
        shares.append(Number(_("Most people at once"), number_text(crowd.people.peak, 0), "", note))
    numbers(shown.report, "numbers", shares)


def _week(shown: Shown, found: Occupancy) -> None:
    cells = week_cells(week_percent(found.heat_map), unit="%")
    name = _("Share of the time in use")
    figure(
        shown.report,
        "week",
        week_chart(cells, title=name, theme=st.context.theme.type or "light"),
        title=_("The week: % of the time in use"),
        note=_("by each building's clock; dashed: not observed"),
        complete=found.completeness.share,
        rows=week_table(cells),
        alt_text=_(
            "A heat map: for each hour of each day of the week, the share of the time that rooms are in use."
        ),
    )


def _bars(shown: Shown, found: Occupancy, known: Sequence[SpaceUse]) -> None:
    drawn = known[:BARS]
    note = _("the line stands at the busiest hour of the room's week")
    if len(known) > BARS:
        note = (
            _("the {count} rooms most in use, of {all}; the table has them all").format(
                count=BARS, all=len(known)
            )
            + f"; {note}"
        )
    if any(space.source == "inferred" for space in drawn):
        note += "; " + _("{sign} inferred, see the model below").format(sign=INFERRED_SIGN)
    rows = use_rows(drawn)
    ink = INKS[st.context.theme.type or "light"].quiet
    figure(
        shown.report,
        "use",
        use_chart(rows, [space.name for space in drawn], ink=ink),
        title=_("Room by room: % of the time in use"),
        note=note,
        key=[
            (_(SOURCES[source]), colour)
            for source, colour in COLOURS.items()
            if any(space.source == source for space in drawn)
        ],
        complete=found.completeness.share,
        rows=rows[["space", "shown", "told", "source"]].rename(
            columns={"space": _("Room"), "shown": _("In use"), "told": _("Hours"), "source": _("Source")}
        ),
        alt_text=_("A bar for each room: the share of the time in use, the busiest room first."),
    )


def _days(shown: Shown, found: OccupancyDays) -> None:
    """From first to last use, day by day, of one room."""
    zone = zone_of(found.use.time_zone)
    days = found.days[-DAYS:]
    rows = day_rows(days, zone)
    if rows.empty:
        st.caption(_("Nobody was seen in this room in the period."))
        return
    figure(
        shown.report,
        "days",
        days_chart(rows, [day_name(day) for day in days]),
        title=_("Day by day: from first to last use"),
        note=_("by the clock of {zone}; at most the last 31 days").format(zone=zone.key),
        complete=found.use.completeness.share,
        rows=rows[["day", "shown", "used"]].rename(
            columns={"day": _("Day"), "shown": _("From first to last use"), "used": _("In use")}
        ),
        alt_text=_("A bar for each day, from the first to the last use of the room."),
    )


def _never_used(shown: Shown, spaces: Sequence[SpaceUse]) -> None:
    """Rooms that stand empty: area that could serve somebody."""
    unused = [space for space in spaces if space.never_used]
    if not unused:
        return
    rows = pd.DataFrame(
        [
            {
                _("Room"): space.name,
                _("Area, m²"): space.area,
                _("Capacity"): space.capacity,
                _("Observed, h"): round(space.hours_observed),
                _("Source"): _source(space),
            }
            for space in unused
        ]
    ).dropna(axis="columns", how="all")
    area = sum(space.area or 0 for space in unused)
    title = _("Never used in this period")
    if area:
        title = f"{title} · {number_text(area, 0)} m²"
    table(shown.report, "never used", rows, title=title)


def _table(shown: Shown, found: Occupancy) -> None:
    rows = pd.DataFrame(
        [
            {
                _("Room"): space.name,
                _("In use, %"): percent(space.share_in_use, 1),
                _("In use, h"): round(space.hours_in_use, 1),
                _("Observed, h"): round(space.hours_observed, 1),
                _("Source"): _source(space),
                _("Busiest hour"): _busiest(space),
                _("Usual day"): f"{space.first_use} \u2013 {space.last_use}" if space.first_use else None,
                _("Days used"): space.days_used,
                _("Most people"): space.people.peak if space.people else None,
                _("Capacity"): space.capacity,
                _("Confidence"): _(CONFIDENCES.get(space.confidence.level, space.confidence.level)),
                _("Complete, %"): percent(space.completeness.share, 1),
            }
            for space in sorted(found.items, key=lambda space: (-(space.share_in_use or -1), space.name))
        ]
    ).dropna(axis="columns", how="all")
    right = [name for name in rows.columns if "%" in name or name.endswith(", h")]
    format_ = st.column_config.NumberColumn(format="%.1f")
    table(
        shown.report,
        "rooms",
        rows,
        title=_("All rooms"),
        columns=dict.fromkeys(right, format_),
        right=[*right, _("Days used"), _("Most people"), _("Capacity")],
    )
    if found.more:
        st.caption(_("These are the first rooms. Choose a building or a storey to see the others."))


def _card(shown: Shown, card: ModelCard, inferred: Sequence[SpaceUse]) -> None:
    """What stands behind the rooms whose use was inferred."""
    rows = card_rows(card)
    names = ", ".join(space.name for space in inferred[:8]) + ("…" if len(inferred) > 8 else "")
    with st.expander(
        _("{sign} The model that inferred the use of {rooms}").format(sign=INFERRED_SIGN, rooms=plain(names))
    ):
        st.caption(
            _(
                "These rooms have no occupancy sensor. Whether somebody was there is inferred, so take their "
                "figures as a hint. The model was tested on days that it had not seen:"
            )
        )
        table(shown.report, "model card", rows, right=rows.columns[2:])
        limits = "".join(f"<li>{escape(limit)}</li>" for limit in card.limits)
        # What the card says of itself is published with the model, in English.
        st.html(
            f'<div lang="en" class="in-quiet"><p><strong>{escape(card.name)} {card.version}</strong> · '
            f"{escape(card.kind)}</p><p>{escape(card.intended_use)}</p>"
            f"<p>{escape(card.data.source)} · {escape(card.data.room)} · {escape(card.data.licence)}</p>"
            f"<ul>{limits}</ul></div>"
        )


def _nothing_tells(found: Occupancy) -> None:
    empty(
        _("Here you will see when your rooms are used, how much, and which ones nobody uses."),
        _(
            "Nothing tells in this place and period whether somebody is there. Place an occupancy or motion "
            "sensor; a CO₂ or light sensor does too, and use is then inferred."
        )
        if found.items
        else _(
            "There is no room with an occupancy, CO₂ or light sensor here. Place one, and give its point a "
            "class such as {name}."
        ).format(name="Occupancy_Sensor"),
        link=_("How devices come in"),
        url=f"{backend().settings.platform_url}/docs",
    )


def _busiest(space: SpaceUse) -> str | None:
    peak = peak_hour(space.heat_map)
    if peak is None:
        return None
    return f"{weekday_text(peak[0])} {peak[1]:02d}:00 · {number_text(100 * peak[2], 0)} %"


def _source(space: SpaceUse) -> str:
    said = _(SOURCES.get(space.source, space.source))
    if space.source == "inferred" and space.variant:
        return f"{INFERRED_SIGN} {said}: {_(VARIANTS.get(space.variant, space.variant))}"
    return said
