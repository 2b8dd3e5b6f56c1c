"""Instants as people in a building read them: by its own clock, in their own language.

Instants are milliseconds since the epoch (float64), which is how the charts take them; what people read
beside them is text in the building's time zone, so that a chart never depends on where its browser stands.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from functools import cache
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from babel.dates import get_day_names, get_month_names

from insula_analytics_ui.words import _, language

MILLISECONDS = 1000.0

_STEPS = (
    timedelta(minutes=1),
    timedelta(minutes=5),
    timedelta(minutes=15),
    timedelta(minutes=30),
    timedelta(hours=1),
    timedelta(hours=3),
    timedelta(hours=6),
    timedelta(hours=12),
    timedelta(days=1),
    timedelta(days=2),
    timedelta(days=7),
)
"""Distances of marks on a time axis, up to a week; beyond it marks stand at the first of months."""

MARKS = 9
"""Marks that a time axis has at most, so that their labels stand apart."""


WORK_DAYS, WORK_HOURS = range(5), range(8, 18)
"""Monday to Friday, 8:00 to 18:00: when people are taken to be there, as the API's comfort takes it."""


def working_hours(local: datetime) -> bool:
    """Whether this time of a building's clock is in its working hours."""
    return local.weekday() in WORK_DAYS and local.hour in WORK_HOURS


def milliseconds(time: datetime) -> float:
    """An instant as charts take it."""
    return time.timestamp() * MILLISECONDS


def instant(time: float, zone: ZoneInfo) -> datetime:
    """The instant of these milliseconds, by the clock of `zone`."""
    return datetime.fromtimestamp(time / MILLISECONDS, tz=zone)


def zone_of(name: str) -> ZoneInfo:
    """The time zone of this IANA name; UTC when it is unknown here."""
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError):
        return ZoneInfo("UTC")


def day_text(local: datetime) -> str:
    """A day: `Mon 23 Nov`, in French `lun. 23 nov.`."""
    days, months = _names(language())
    return f"{days[local.weekday()]} {local.day} {months[local.month]}"


def date_text(local: datetime) -> str:
    """A day with its year: `23 Nov 2026`."""
    return f"{local.day} {_names(language())[1][local.month]} {local.year}"


def month_text(local: datetime) -> str:
    """A month: `Nov`, and of January the year: `Jan 2027`."""
    name = _names(language())[1][local.month]
    return f"{name} {local.year}" if local.month == 1 else name


def local_text(time: float, zone: ZoneInfo) -> str:
    """An instant (milliseconds) as a person in the building reads it."""
    local = instant(time, zone)
    return f"{day_text(local)} {local:%H:%M}"


def span_text(begin: float, end: float, zone: ZoneInfo) -> str:
    """A stretch of time (milliseconds): `Mon 23 Nov 09:00 to 09:40`."""
    return _("{begin} to {end}").format(begin=local_text(begin, zone), end=f"{instant(end, zone):%H:%M}")


def age_text(time: datetime, now: datetime) -> str:
    """The time between, in its largest unit: `8 s`, `5 min`, `3 h`, `2 d`."""
    return duration_text(now - time)


def duration_text(length: timedelta) -> str:
    """A length of time in its largest unit."""
    seconds = max(0, int(length.total_seconds()))
    for unit, size in ((_("d"), 86_400), ("h", 3_600), ("min", 60)):
        if seconds >= size:
            return f"{seconds // size} {unit}"
    return f"{seconds} s"


def ticks(begin: datetime, end: datetime, zone: ZoneInfo) -> dict[float, str]:
    """Instants to mark on the time axis and what to write there: round times of the building's own clock."""
    step = next((step for step in _STEPS if (end - begin) / step <= MARKS), None)
    if step is None:
        return _months(begin, end, zone)
    marks: dict[float, str] = {}
    local = begin.astimezone(zone).replace(hour=0, minute=0, second=0, microsecond=0, tzinfo=None)
    if step > timedelta(days=1):
        local -= timedelta(days=local.toordinal() % step.days)  # marks of weeks do not move with the clock
    while True:
        marked = local.replace(tzinfo=zone)
        if marked >= end:
            return marks
        if marked >= begin:
            midnight = local.hour == local.minute == 0
            marks[milliseconds(marked)] = day_text(local) if midnight else f"{local:%H:%M}"
        local += step  # wall time: a day of 23 or 25 hours still begins at its midnight


def _months(begin: datetime, end: datetime, zone: ZoneInfo) -> dict[float, str]:
    first = begin.astimezone(zone).replace(day=1, hour=0, minute=0, second=0, microsecond=0, tzinfo=None)
    last = end.astimezone(zone)
    count = (last.year - first.year) * 12 + last.month - first.month
    every = next(every for every in (1, 2, 3, 6, 12, 120) if count / every <= MARKS or every == 120)
    marks: dict[float, str] = {}
    for number in range(count + 1):
        years, month = divmod(first.month - 1 + number, 12)
        local = first.replace(year=first.year + years, month=month + 1)
        if month % every == 0 and begin <= local.replace(tzinfo=zone) < end:
            marks[milliseconds(local.replace(tzinfo=zone))] = month_text(local)
    return marks


@cache
def _names(chosen: str) -> tuple[dict[int, str], dict[int, str]]:
    """Short names of the days of a week (Monday is 0) and of the months (January is 1)."""
    return (
        dict(get_day_names("abbreviated", context="format", locale=chosen)),
        dict(get_month_names("abbreviated", context="format", locale=chosen)),
    )
