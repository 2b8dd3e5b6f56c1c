"""Whether a room is comfortable at this moment: always a word beside the colour."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from insula_analytics_ui.api.model import Point
from insula_analytics_ui.api.readings import Latest
from insula_analytics_ui.freshness import SILENT, reading_state
from insula_analytics_ui.quantities import has_states, quantity, unit
from insula_analytics_ui.theme import BLUE, BLUISH_GREEN, GREY, REDDISH_PURPLE, VERMILLION
from insula_analytics_ui.words import N_, _


@dataclass(frozen=True)
class Comfort:
    """A judgement's word in English, its colour, and its rank: the higher, the more it needs somebody."""

    english: str
    colour: str
    rank: int

    @property
    def word(self) -> str:
        """Its word in the language of the page."""
        return _(self.english)


COMFORTABLE = Comfort(N_("comfortable"), BLUISH_GREEN, 0)
UNKNOWN = Comfort(N_("without comfort sensor"), GREY, 1)
NO_NEWS = Comfort(N_("no recent value"), GREY, 2)
STUFFY = Comfort(N_("stuffy"), REDDISH_PURPLE, 3)
COLD = Comfort(N_("cold"), BLUE, 4)
WARM = Comfort(N_("warm"), VERMILLION, 5)

TEMPERATURES = (20.0, 26.0)
"""°C, of EN 16798-1:2019, category II: the coolest heated office and the warmest cooled one (Table B.2)."""

CO2 = 1200.0
"""ppm: 800 above outdoor air of 400, EN 16798-1:2019, category II (Table B.9)."""

_BANDS = {
    ("Air temperature", "°C"): TEMPERATURES,
    ("Temperature", "°C"): TEMPERATURES,
    ("CO₂", "ppm"): (0.0, CO2),
}


_PRESENCE = {"Presence", "Motion", "People"}


def band_of(point: Point) -> tuple[float, float] | None:
    """From where to where people feel well, in the point's unit; None where nothing is said of it."""
    if has_states(point) or point.brick_class is None:
        return None
    return _BANDS.get((quantity(point).english, unit(point)))


def comfort_of(points: Sequence[Point], latest: Mapping[int, Latest], now: datetime) -> Comfort:
    """The worst of what a room's points say; values older than an hour say nothing."""
    if not any(band_of(point) for point in points):
        return UNKNOWN
    worst = told_by(points, latest, now)
    return _judge(worst, latest[worst.id].value) if worst else NO_NEWS


def told_by(points: Sequence[Point], latest: Mapping[int, Latest], now: datetime) -> Point | None:
    """The point that says the worst; None when none says anything."""
    heard = [
        point
        for point in points
        if band_of(point) and point.id in latest and reading_state(latest[point.id].time, now) is not SILENT
    ]
    return max(heard, key=lambda point: _judge(point, latest[point.id].value).rank, default=None)


def somebody_in(points: Sequence[Point], latest: Mapping[int, Latest], now: datetime) -> bool | None:
    """Whether somebody is in a room; None when nothing tells, or has told for an hour."""
    heard = [
        latest[point.id].value
        for point in points
        if quantity(point).english in _PRESENCE
        and point.id in latest
        and reading_state(latest[point.id].time, now) is not SILENT
    ]
    return any(value >= 0.5 for value in heard) if heard else None


def _judge(point: Point, value: float) -> Comfort:
    low, high = band_of(point) or (value, value)
    if quantity(point).english == "CO₂":
        return STUFFY if value > high else COMFORTABLE
    if value < low:
        return COLD
    return WARM if value > high else COMFORTABLE
