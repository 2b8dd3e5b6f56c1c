"""What needs attention: from last values, devices and analytics to a list, each with a way to act."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from insula_analytics_ui.api.attention import Finding, PlaceQuality, Today
from insula_analytics_ui.api.readings import Latest
from insula_analytics_ui.comfort_now import NO_NEWS, comfort_of, somebody_in, told_by
from insula_analytics_ui.freshness import NEVER_SEEN, SILENT, device_state
from insula_analytics_ui.places import UNPLACED, Estate, Room
from insula_analytics_ui.quantities import quantity, unit, value_text
from insula_analytics_ui.theme import BLUE, ORANGE, REDDISH_PURPLE, VERMILLION
from insula_analytics_ui.times import age_text, working_hours
from insula_analytics_ui.words import N_, _, ngettext, number_text, share_text

COMPLETE_ENOUGH = 0.95
"""A building whose data of a week is less complete is worth a look."""

MUCH_MORE = 0.2
"""Energy of today that is more than this share above what is typical is worth a look."""

CARRIERS = {
    "electricity": N_("Electricity"),
    "heat": N_("Heat"),
    "gas": N_("Gas"),
    "water": N_("Water"),
}
KINDS = {
    "unusual": N_("unusual"),
    "stuck": N_("stuck"),
    "flat": N_("flat"),
    "drifting": N_("drifting"),
}


@dataclass(frozen=True)
class Need:
    """One thing: its word and colour, what it is about, where, and the page and query of where to act."""

    word: str
    colour: str
    what: str
    where: str
    page: str
    query: Mapping[str, str] = field(default_factory=dict)


def uncomfortable(rooms: Iterable[Room], found: Mapping[int, Latest], now: datetime) -> list[Need]:
    """The rooms out of comfort while somebody is in them: at night an empty room may well be cold.

    Where no sensor tells whether somebody is, people are taken to be there in the building's working hours.
    """
    judged = [(comfort_of(room.points, found, now), room) for room in rooms if _in_use(room, found, now)]
    needs = []
    for comfort, room in sorted(judged, key=lambda each: -each[0].rank):
        if comfort.rank <= NO_NEWS.rank:
            continue
        point = told_by(room.points, found, now)
        value = f"{value_text(point, found[point.id].value)} {unit(point)}" if point else ""
        needs.append(
            Need(
                comfort.word,
                comfort.colour,
                value,
                f"{room.name} · {room.building}",
                "space",
                {"space": room.key},
            )
        )
    return needs


def _in_use(room: Room, found: Mapping[int, Latest], now: datetime) -> bool:
    somebody = somebody_in(room.points, found, now)
    return working_hours(now.astimezone(room.zone)) if somebody is None else somebody


def silent(rooms: Iterable[Room], now: datetime) -> list[Need]:
    """The devices that say nothing, those of a room together."""
    needs = []
    for room in rooms:
        quiet = [device for device in room.devices if device_state(device, now).rank == 2]
        if not quiet:
            continue
        names = ", ".join(device.name for device in quiet[:3])
        if len(quiet) > 3:
            more = ngettext("and {number} more", "and {number} more", len(quiet) - 3)
            names += " " + more.format(number=len(quiet) - 3)
        last = max((device.last_seen for device in quiet if device.last_seen), default=None)
        since = " · " + _("for {age}").format(age=age_text(last, now)) if last else ""
        where = room.name if room.space.id == UNPLACED.id else f"{room.name} · {room.building}"
        query = {"find": room.space.name} if len(quiet) > 1 else {"device": quiet[0].id}
        state = SILENT if last else NEVER_SEEN
        needs.append(Need(_(state.word), state.colour, f"{names}{since}", where, "devices", query))
    return needs


def findings(open_ones: Iterable[Finding], estate: Estate, now: datetime) -> list[Need]:
    """What the analyses noticed and lasts."""
    needs = []
    for each in open_ones:
        point, room = estate.points.get(each.point), estate.room_of.get(each.point)
        if point is None or room is None:
            continue
        word = _(KINDS[each.kind]) if each.kind in KINDS else each.kind
        since = _("for {age}").format(age=age_text(each.opened_at, now))
        colour = VERMILLION if each.severity == "critical" else ORANGE
        what = f"{quantity(point).name} · {since}"
        query = {"points": str(point.id), "period": "7d"}
        needs.append(Need(word, colour, what, f"{room.name} · {room.building}", "explorer", query))
    return needs


def incomplete(quality: Mapping[int, PlaceQuality], names: Mapping[int, str]) -> list[Need]:
    """The buildings whose data of the last week is not complete."""
    return [
        Need(
            _("incomplete"),
            REDDISH_PURPLE,
            _("{share} of the last 7 days, {number} of {all} points with problems").format(
                share=share_text(place.completeness.share),
                number=place.with_problems,
                all=place.points,
            ),
            names[key],
            "data-quality",
            {"building": str(key), "period": "7d"},
        )
        for key, place in quality.items()
        if key in names
        and place.completeness.share is not None
        and place.completeness.share < COMPLETE_ENOUGH
    ]


def wasteful(energy: Mapping[int, Sequence[Today]], names: Mapping[int, str]) -> list[Need]:
    """The buildings that used much more today than is typical by this hour."""
    return [
        Need(
            _("more than usual"),
            BLUE,
            f"{carrier_name(each.carrier)} {change_text(each.change)}",
            names[key],
            "energy",
            {"building": str(key)},
        )
        for key, carriers in energy.items()
        for each in carriers
        if key in names and each.change is not None and each.change > MUCH_MORE
    ]


def carrier_name(carrier: str) -> str:
    """A carrier of energy in words."""
    return _(CARRIERS[carrier]) if carrier in CARRIERS else carrier


def change_text(change: float | None) -> str:
    """A change against what is typical: `+12 %`."""
    if change is None:
        return ""
    sign = "+" if change > 0 else ""
    return f"{sign}{number_text(change * 100, 0)}\u202f%"
