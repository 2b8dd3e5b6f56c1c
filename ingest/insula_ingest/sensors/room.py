"""What goes on in a room: who is in it, and when they come and go.

The sensors of a room are programs of their own and must still agree with each other. So nothing here is
remembered and nothing is drawn at random: all of it follows from the room's seed and the time.
"""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from functools import lru_cache
from hashlib import blake2b
from itertools import pairwise
from math import inf
from zoneinfo import ZoneInfo

STAY = 18.0
"""Minutes in which people's presence follows the hour of the day."""

_ATTENDANCE = (
    (0.0, 0.0),
    (7.0, 0.0),
    (9.0, 0.75),
    (11.8, 0.75),
    (12.2, 0.1),
    (13.0, 0.1),
    (13.6, 0.75),
    (16.5, 0.75),
    (18.5, 0.05),
    (19.5, 0.0),
    (24.0, 0.0),
)
"""Hour of a working day, and the share of the room's people that is in: office hours with a lunch dip."""


@dataclass(frozen=True, slots=True)
class Room:
    """A room by its seed (any text; `{tenant}/{room}` by habit) and its IANA time zone."""

    seed: str
    zone: str = "Europe/Brussels"

    @property
    def size(self) -> int:
        """How many people use the room: 2 to 6."""
        return 2 + int(5 * chance(self.seed, "size"))


def chance(*parts: object) -> float:
    """A number in [0, 1) that looks random and is always the same for the same parts."""
    digest = blake2b("|".join(map(str, parts)).encode(), digest_size=7).digest()
    return int.from_bytes(digest) / (1 << 56)


def local(room: Room, at: datetime) -> datetime:
    """The aware time `at` as the clock in the room shows it."""
    return at.astimezone(ZoneInfo(room.zone))


def midnight(room: Room, day: date) -> float:
    """When the local day begins, in seconds since the epoch."""
    return datetime.combine(day, time(), ZoneInfo(room.zone)).timestamp()


def people(room: Room, at: datetime) -> int:
    """How many people are in the room at an aware time."""
    moves = movements(room, local(room, at).date())
    before = bisect_right(moves, (at.timestamp(), inf))
    return moves[before - 1][1] if before else 0


@lru_cache(maxsize=1024)
def movements(room: Room, day: date) -> tuple[tuple[float, int], ...]:
    """When someone comes or goes on a local day: (seconds since the epoch, people in the room from then on).

    Each minute each person may come or go, with rates whose balance is the attendance of that hour: a
    birth-death process. Weekends are empty, and the last one leaves before midnight.
    """
    if day.weekday() >= 5:
        return ()
    zone = ZoneInfo(room.zone)
    moves = []
    inside = 0
    for minute in range(6 * 60, 22 * 60):
        wanted = attendance(minute / 60)
        come = (room.size - inside) * wanted / STAY
        go = inside * (1 - wanted) / STAY if minute < 21 * 60 else inside
        throw = chance(room.seed, day, minute)
        if throw < come:
            inside += 1
        elif throw > 1 - go:
            inside -= 1
        else:
            continue
        clock = datetime.combine(day, time(), zone) + timedelta(minutes=minute)
        moves.append((clock.timestamp() + int(60 * chance(room.seed, day, minute, "second")), inside))
    return tuple(moves)


def attendance(hour: float) -> float:
    """The share of a room's people that is in at this hour of a working day, 0 to 1."""
    for (h0, a0), (h1, a1) in pairwise(_ATTENDANCE):
        if hour <= h1:
            return a0 + (a1 - a0) * (hour - h0) / (h1 - h0)
    return 0.0
