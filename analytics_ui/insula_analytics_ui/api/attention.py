"""What the overview asks of the analytics: findings that last, how complete data is, and today's energy.

A platform without one of these, or a person who may not see it, has nothing to show of it: that is no error.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
from statistics import fmean
from typing import Any, TypeVar
from zoneinfo import ZoneInfo

from insula_analytics_ui.api.client import Answer, Api, Query, rfc3339, together
from insula_analytics_ui.errors import ApiRefused

FINDINGS = 50
"""Findings asked for: more of them are not read one by one."""

WEEKS = 4
"""Weeks before this one that say what is typical."""

T = TypeVar("T")


class Finding(Answer):
    """Something unusual, stuck, flat or drifting about a point, since `opened_at`."""

    id: int
    point: int
    device: str
    name: str
    space: int | None = None
    kind: str
    severity: str
    opened_at: datetime
    detail: str = ""


class Completeness(Answer):
    """Of the readings expected, the share that is there (0 to 1); None where none was expected."""

    share: float | None = None


class PlaceQuality(Answer):
    """How good the data of a place is; `with_problems` of its `points` have any."""

    kind: str
    id: int | None = None
    points: int = 0
    with_problems: int = 0
    completeness: Completeness = Completeness()


class Quality(Answer):
    """How good the data of all places is."""

    places: tuple[PlaceQuality, ...] = ()


class PlaceEnergy(Answer):
    """What a place used of one carrier, in `unit`; None where nothing was measured."""

    id: int
    carrier: str
    unit: str
    consumption: float | None = None


class Energy(Answer):
    """What all buildings used."""

    buildings: tuple[PlaceEnergy, ...] = ()


@dataclass(frozen=True)
class Today:
    """What a building used of a carrier since midnight, and what is typical by this hour of this weekday."""

    carrier: str
    unit: str
    used: float
    typical: float | None

    @property
    def change(self) -> float | None:
        """How much more than typical, as a share; None where nothing is typical."""
        return self.used / self.typical - 1 if self.typical else None


@dataclass(frozen=True)
class Attention:
    """What needs somebody, beside what the last values tell. Buildings by id."""

    findings: Sequence[Finding] = ()
    quality: dict[int, PlaceQuality] = field(default_factory=dict)
    energy: dict[int, list[Today]] = field(default_factory=dict)


def attention(api: Api, now: datetime, zone: ZoneInfo) -> Attention:
    """All of it, asked for at once. Data quality is that of the last seven days; days are those of `zone`."""
    week: Query = [("from", rfc3339(now - timedelta(days=7))), ("to", rfc3339(now)), ("limit", 1)]
    open_ones: Query = [("state", "open"), ("limit", FINDINGS)]
    calls: list[Callable[[], Any]] = [
        lambda: api.get("analytics/findings", open_ones).json().get("items", []),
        lambda: api.one(Quality, "analytics/data-quality", week),
        *(partial(_energy, api, begin, end) for begin, end in days_so_far(now, zone)),
    ]
    findings, quality, *days = together(*(partial(_or_none, call) for call in calls))
    places = quality.places if isinstance(quality, Quality) else ()
    return Attention(
        [Finding.model_validate(each) for each in findings or []],
        {place.id: place for place in places if place.kind == "building" and place.id is not None},
        against_typical(days),
    )


def days_so_far(now: datetime, zone: ZoneInfo) -> list[tuple[datetime, datetime]]:
    """Today from midnight to now by the clock of `zone`, and the same of this weekday in the weeks before."""
    local = now.astimezone(zone).replace(tzinfo=None)
    midnight = local.replace(hour=0, minute=0, second=0, microsecond=0)
    return [
        tuple((each - timedelta(weeks=week)).replace(tzinfo=zone) for each in (midnight, local))  # type: ignore[misc] # of two
        for week in range(WEEKS + 1)
        if local > midnight
    ]


def against_typical(days: Sequence[Energy | None]) -> dict[int, list[Today]]:
    """Today (the first) beside the mean of the days before, by building, for each carrier it used."""
    found: dict[int, list[Today]] = {}
    today, *before = days or [None]
    for place in today.buildings if today else ():
        if place.consumption is None:
            continue
        earlier = [
            each.consumption
            for day in before
            if day
            for each in day.buildings
            if (each.id, each.carrier) == (place.id, place.carrier) and each.consumption is not None
        ]
        typical = fmean(earlier) if earlier else None
        found.setdefault(place.id, []).append(Today(place.carrier, place.unit, place.consumption, typical))
    return found


def _energy(api: Api, begin: datetime, end: datetime) -> Energy:
    return api.one(Energy, "analytics/energy", [("from", rfc3339(begin)), ("to", rfc3339(end))])


def _or_none(call: Callable[[], T]) -> T | None:
    try:
        return call()
    except ApiRefused as error:
        if error.status in {403, 404, 422, 501}:
            return None
        raise
