"""How recent a reading is: always a dot and a word, never a colour alone."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from insula_analytics_ui.theme import BLUISH_GREEN, GREY, ORANGE, VERMILLION

STALE_AFTER = timedelta(minutes=5)
SILENT_AFTER = timedelta(hours=1)


@dataclass(frozen=True)
class State:
    """A state's word, the colour of its dot, and its rank: the higher, the worse."""

    word: str
    colour: str
    rank: int

    @property
    def dot(self) -> str:
        """A filled dot while messages come, a half one when late, an empty one when they don't."""
        return "●◐○"[self.rank]


FRESH = State("fresh", BLUISH_GREEN, 0)
STALE = State("stale", ORANGE, 1)
SILENT = State("silent", VERMILLION, 2)
ONLINE = State("online", BLUISH_GREEN, 0)
NEVER_SEEN = State("never seen", GREY, 2)


def reading_state(time: datetime | None, now: datetime) -> State:
    """Whether a point's last reading is fresh, stale or silent."""
    if time is None or now - time >= SILENT_AFTER:
        return SILENT
    return STALE if now - time >= STALE_AFTER else FRESH


def device_state(last_seen: datetime | None, now: datetime) -> State:
    """Whether a device is online, stale or silent, or was never seen."""
    if last_seen is None:
        return NEVER_SEEN
    state = reading_state(last_seen, now)
    return ONLINE if state is FRESH else state


def age(time: datetime, now: datetime) -> str:
    """The time between, in its largest unit: `8 s`, `5 min`, `3 h`, `2 d`."""
    seconds = max(0, int((now - time).total_seconds()))
    for unit, size in (("d", 86_400), ("h", 3_600), ("min", 60)):
        if seconds >= size:
            return f"{seconds // size} {unit}"
    return f"{seconds} s"
