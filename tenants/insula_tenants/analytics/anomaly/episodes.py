"""Conditions that last, and how those of today are matched with the findings of yesterday."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from insula_tenants.analytics.forecast.hours import DAY, HOUR

Kind = Literal["unusual", "stuck", "flat", "drifting"]
Severity = Literal["info", "warning", "critical"]
Basis = Literal["forecast", "past", "neighbours"]

RECENT = 2 * DAY * HOUR
"""What ended longer ago opens no finding any more: who wanted to know has been told."""
AGAIN: Mapping[Kind, int] = {
    "unusual": 3 * HOUR,
    "stuck": HOUR,
    "flat": DAY * HOUR,
    "drifting": 7 * DAY * HOUR,
}
"""What comes again within this time is the same condition."""
SEVERITIES: Sequence[Severity] = ("info", "warning", "critical")


@dataclass(frozen=True, slots=True)
class Episode:
    """A condition as an analysis sees it. Times are microseconds since the epoch."""

    kind: Kind
    severity: Severity
    basis: Basis
    begins: int
    ends: int
    """The evidence reaches until then."""
    over: bool
    value: float
    """In the point's unit."""
    low: float
    high: float
    per_day: float | None = None
    only_lasts: bool = False
    """Too little else is known to call it anything, but nothing says that it has ended."""


@dataclass(frozen=True, slots=True)
class Known:
    """A finding that there is."""

    id: int
    kind: Kind
    severity: Severity
    opened: int
    seen: int
    """Its evidence reaches until then."""
    closed: int | None
    value: float
    low: float | None
    high: float | None


@dataclass(frozen=True, slots=True)
class Change:
    """What is to become of a finding, or a new one."""

    finding: int | None
    """None for a new one."""
    episode: Episode | None
    """What it says from now on; None where it only ends."""
    opened: int
    seen: int
    closed: int | None


def reconcile(known: Iterable[Known], found: Iterable[Episode], now: int) -> list[Change]:
    """What makes the findings of one point say what was found; `now` is until when was looked.

    An episode that meets a finding of its kind, or follows it soon, is that finding. Open findings that
    nothing speaks for any more are closed when their evidence ends. Doing it again changes nothing.
    """
    left = {one.id: one for one in known}
    made: list[Change] = []
    for episode in sorted(found, key=lambda one: one.begins):
        finding = _match(left.values(), episode)
        if finding is not None:
            del left[finding.id]
            made.append(_carried_on(finding, episode))
        elif not episode.only_lasts and episode.ends >= now - RECENT:
            closed = episode.ends if episode.over else None
            made.append(Change(None, episode, episode.begins, episode.ends, closed))
    # First what ends: of a kind one finding is open at a time.
    ended = [
        Change(one.id, None, one.opened, one.seen, one.seen) for one in left.values() if one.closed is None
    ]
    return ended + made


def _match(known: Iterable[Known], episode: Episode) -> Known | None:
    """The finding that an episode is part of: an open one before one that was closed."""
    soon = AGAIN[episode.kind]
    meets = [
        one
        for one in known
        if one.kind == episode.kind
        and one.opened <= episode.ends + soon
        and max(one.seen, one.closed or 0) >= episode.begins - soon
    ]
    return max(meets, key=lambda one: (one.closed is None, one.opened), default=None)


def _carried_on(finding: Known, episode: Episode) -> Change:
    """The finding with what is new; of what is unusual, the most unusual value stays the evidence."""
    seen = max(finding.seen, episode.ends)
    severity = max(finding.severity, episode.severity, key=SEVERITIES.index)
    said = replace(episode, severity=severity)
    if episode.kind == "unusual" and _beyond(finding.value, finding.low, finding.high) > _beyond(
        episode.value, episode.low, episode.high
    ):
        low, high = finding.low, finding.high
        assert low is not None  # noqa: S101 - it lies beyond them
        assert high is not None  # noqa: S101
        said = replace(said, value=finding.value, low=low, high=high)
    return Change(finding.id, said, finding.opened, seen, seen if episode.over else None)


def _beyond(value: float, low: float | None, high: float | None) -> float:
    """How far a value lies outside of a range, in widths of it."""
    if low is None or high is None:
        return 0.0
    return max(low - value, value - high, 0.0) / ((high - low) or 1.0)
