"""Presence: whether each device is there, and when it came and went."""

from insula_tenants.presence.models import DevicePresence, PresenceChange, PresenceState
from insula_tenants.presence.service import (
    ChangeView,
    PresenceView,
    list_changes,
    note_silence,
    presence_of,
    presences,
    tidy_changes,
)

__all__ = [
    "ChangeView",
    "DevicePresence",
    "PresenceChange",
    "PresenceState",
    "PresenceView",
    "list_changes",
    "note_silence",
    "presence_of",
    "presences",
    "tidy_changes",
]
