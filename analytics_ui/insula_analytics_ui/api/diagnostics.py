"""Why a device is silent, as the platform explains it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from functools import partial

from insula_analytics_ui.api.client import Answer, Api, together
from insula_analytics_ui.errors import ApiRefused


class Verdict(Answer):
    """What is the matter with a device, in plain words, and the one thing to do."""

    code: str
    summary: str
    to_do: str | None = None


class Letters(Answer):
    """Dead letters of the last day with one reason."""

    reason: str
    letters: int
    detail: str = ""


class Diagnostics(Answer):
    """What is known of a device's way to the platform; `clock_offset` in seconds, above zero is behind."""

    device: str
    verdict: Verdict
    last_message_at: datetime | None = None
    clock_offset: float | None = None
    throttled: int = 0
    dead_letters: tuple[Letters, ...] = ()


def diagnostics(api: Api, devices: Sequence[str]) -> dict[str, Diagnostics]:
    """The diagnostics of these devices, asked for at once; one that is gone by now is left out."""
    found = together(*(partial(_diagnosis, api, device) for device in devices))
    return {each.device: each for each in found if each}


def _diagnosis(api: Api, device: str) -> Diagnostics | None:
    try:
        return api.one(Diagnostics, f"devices/{device}/diagnostics")
    except ApiRefused as error:
        if error.status == 404:
            return None
        raise
