"""Periods that pages look at, and the buckets that a chart of them can show."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from insula_analytics_ui.times import date_text
from insula_analytics_ui.words import N_, _

MOST_BUCKETS = 400
"""Buckets that a line has at most: a chart has no more pixels than two for each."""

_BUCKETS = (
    ("1s", timedelta(seconds=1)),
    ("10s", timedelta(seconds=10)),
    ("1m", timedelta(minutes=1)),
    ("5m", timedelta(minutes=5)),
    ("15m", timedelta(minutes=15)),
    ("30m", timedelta(minutes=30)),
    ("1h", timedelta(hours=1)),
    ("2h", timedelta(hours=2)),
    ("6h", timedelta(hours=6)),
    ("12h", timedelta(hours=12)),
    ("1d", timedelta(days=1)),
    ("1w", timedelta(weeks=1)),
)


@dataclass(frozen=True)
class Preset:
    """A period that ends now; `refresh` is after how many seconds it is worth to look again."""

    key: str
    name: str
    length: timedelta
    refresh: int


PRESETS = {
    preset.key: preset
    for preset in (
        Preset("3h", N_("3 hours"), timedelta(hours=3), 5),
        Preset("24h", N_("24 hours"), timedelta(hours=24), 15),
        Preset("7d", N_("7 days"), timedelta(days=7), 60),
        Preset("30d", N_("30 days"), timedelta(days=30), 300),
        Preset("12mo", N_("12 months"), timedelta(days=365), 3600),
    )
}


@dataclass(frozen=True)
class Period:
    """A half-open interval of time, and the buckets in which to ask for it.

    `preset` is the one that it was made of; None for a period from one time to another.
    """

    begin: datetime
    end: datetime
    bucket: str
    bucket_length: timedelta
    preset: Preset | None = None

    @property
    def length(self) -> timedelta:
        """From begin to end."""
        return self.end - self.begin

    @property
    def refresh(self) -> int | None:
        """Seconds after which to look again; None when nothing new can come."""
        return self.preset.refresh if self.preset else None

    def words(self, zone: ZoneInfo) -> str:
        """The period as people say it: `last 24 hours`, or its first and last time."""
        if self.preset:
            return _("last {period}").format(period=_(self.preset.name))
        begin, end = self.begin.astimezone(zone), self.end.astimezone(zone)
        return f"{date_text(begin)} {begin:%H:%M} \u2013 {date_text(end)} {end:%H:%M}"


def bucket_for(length: timedelta) -> tuple[str, timedelta]:
    """The narrowest bucket of which `length` has no more than a chart can show: its name and its length."""
    return next((found for found in _BUCKETS if length / found[1] <= MOST_BUCKETS), _BUCKETS[-1])


def recent(preset: Preset, now: datetime) -> Period:
    """The period of a preset that ends with the bucket of `now`."""
    bucket, size = bucket_for(preset.length)
    seconds = size.total_seconds()
    end = datetime.fromtimestamp((now.timestamp() // seconds + 1) * seconds, tz=now.tzinfo)
    return Period(end - preset.length, end, bucket, size, preset)


def between(begin: datetime, end: datetime) -> Period:
    """The period from `begin` to `end`, which is after it."""
    bucket, size = bucket_for(end - begin)
    return Period(begin, end, bucket, size)


def asked_period(
    key: str | None, begin: str | None, end: str | None, now: datetime, *, default: str = "24h"
) -> Period:
    """The period that an address names: `from` and `to` (RFC 3339) before a preset, else the default."""
    try:
        first, last = (datetime.fromisoformat(text or "").astimezone(UTC) for text in (begin, end))
    except (ValueError, OverflowError):
        return recent(PRESETS.get(key or "") or PRESETS[default], now)
    if not timedelta(seconds=10) <= last - first <= timedelta(days=3 * 366):
        return recent(PRESETS.get(key or "") or PRESETS[default], now)
    return between(first, last)
