"""A building of the fake platform, as its figures need it: rooms, points and times."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

Answer = dict[str, Any]
Rooms = Sequence[tuple[int, str, str]]
"""Id, name and storey of each room."""


def completeness(share: float | None, expected: int = 10_000) -> Answer:
    """As answers carry it."""
    if share is None:
        return {"expected": 0, "present": 0, "share": None, "estimated": False}
    return {"expected": expected, "present": round(expected * share), "share": share, "estimated": False}


class FakeBuilding:
    """Rooms and points of one building; a rich one has everything."""

    def __init__(self, building: str, zone: str, rooms: Rooms, first_point: int, *, rich: bool) -> None:
        self.building = building
        self.zone = ZoneInfo(zone)
        self.rooms = rooms
        self.first_point = first_point
        self.rich = rich

    def _inside(self, query: Mapping[str, str]) -> list[tuple[int, tuple[int, str, str]]]:
        """The rooms of the place asked for, each with where it stands among all."""
        asked = query.get("space")
        return [(index, room) for index, room in enumerate(self.rooms) if asked in {None, str(room[0])}]


def interval_of(query: Mapping[str, str]) -> tuple[datetime, datetime]:
    return datetime.fromisoformat(query["from"]), datetime.fromisoformat(query["to"])


def hours_of(begin: datetime, end: datetime) -> list[datetime]:
    first = begin.replace(minute=0, second=0, microsecond=0)
    return [first + timedelta(hours=number) for number in range(int((end - first) / timedelta(hours=1)))]


def now() -> datetime:
    return datetime.now(UTC)


def text_of(time: datetime) -> str:
    return time.astimezone(UTC).isoformat().replace("+00:00", "Z")
