"""How recent a reading is: always a dot and a word, never a colour alone."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from insula_analytics_ui.api.model import Device
from insula_analytics_ui.theme import BLUISH_GREEN, GREY, ORANGE, VERMILLION
from insula_analytics_ui.words import N_

STALE_AFTER = timedelta(minutes=5)
SILENT_AFTER = timedelta(hours=1)


@dataclass(frozen=True)
class State:
    """A state's word (in English), the colour of its dot, and its rank: the higher, the worse."""

    word: str
    colour: str
    rank: int

    @property
    def dot(self) -> str:
        """A filled dot while messages come, a half one when late, an empty one when they don't."""
        return "●◐○"[self.rank]


FRESH = State(N_("fresh"), BLUISH_GREEN, 0)
STALE = State(N_("stale"), ORANGE, 1)
SILENT = State(N_("silent"), VERMILLION, 2)
ONLINE = State(N_("online"), BLUISH_GREEN, 0)
NEVER_SEEN = State(N_("never seen"), GREY, 2)

_PRESENCE = {"online": ONLINE, "stale": STALE, "offline": SILENT}


def reading_state(time: datetime | None, now: datetime) -> State:
    """Whether a point's last reading is fresh, stale or silent."""
    if time is None or now - time >= SILENT_AFTER:
        return SILENT
    return STALE if now - time >= STALE_AFTER else FRESH


def device_state(device: Device, now: datetime) -> State:
    """Whether a device is online, stale or silent, or was never seen.

    The platform knows from its connection and its expected interval; where it does not, the time of its last
    message tells.
    """
    if device.last_seen is None and device.presence != "online":
        return NEVER_SEEN
    if device.presence in _PRESENCE:
        return _PRESENCE[device.presence]
    state = reading_state(device.last_seen, now)
    return ONLINE if state is FRESH else state
