"""From the platform's answers about energy to the rows that charts and tables show."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pandas as pd  # type: ignore[import-untyped] # ships no type information

from insula_analytics_ui.api.energy import (
    Baseline,
    BuildingComparison,
    Day,
    DegreeDayMonth,
    Energy,
    MeterEnergy,
    PlaceEnergy,
    ProfileHour,
)
from insula_analytics_ui.times import MARKS, date_text, day_text, instant, milliseconds, month_text
from insula_analytics_ui.words import N_, _, number_text

CARRIERS = {
    "electricity": N_("Electricity"),
    "heat": N_("Heat"),
    "gas": N_("Gas"),
    "water": N_("Water"),
}
STEPS = {"day": N_("Day"), "week": N_("Week"), "month": N_("Month")}
"""What consumption is summed by, as addresses and people name it."""

WHOLE = 0.98
"""Share of its hours from which a day, week or month counts as measured whole."""


def load_unit(unit: str) -> str:
    """The unit of the load that consumes this unit."""
    return "kW" if unit == "kWh" else "m³/h"


def step_for(length: timedelta) -> str:
    """Days, weeks or months: whichever shows a period of this length best."""
    if length <= timedelta(days=45):
        return "day"
    return "week" if length <= timedelta(days=200) else "month"


@dataclass(frozen=True)
class Bounds:
    """The half-open interval (milliseconds) that an answer knows of, up to where its data end."""

    begin: float
    end: float

    def share(self, begin: float, end: float) -> float:
        """How much of `begin` to `end` lies within."""
        return max(0.0, min(end, self.end) - max(begin, self.begin)) / (end - begin)


def consumption_rows(
    days: Sequence[Day], step: str, zone: ZoneInfo, bounds: Bounds, *, unit: str
) -> pd.DataFrame:
    """Rows `time`, `until`, `value`, `whole`, `at`, `shown`, `share`: what each day, week or month came to.

    One that was measured in part has what was measured, and `whole` is `partly`; others are left out.
    """
    groups: dict[date, list[Day]] = {}
    for day in days:
        groups.setdefault(first_day(day.date, step), []).append(day)
    rows = []
    for begin, inside in sorted(groups.items()):
        values = [day.consumption for day in inside if day.consumption is not None]
        if not values:
            continue
        end = following(begin, step)
        # Hours that the period does not reach were not measured either.
        share = sum(day.measured * _known(day.date, zone, bounds) for day in inside) / (end - begin).days
        rows.append(
            (
                midnight(begin, zone),
                midnight(end, zone),
                sum(values),
                "whole" if share >= WHOLE else "partly",
                step_text(begin, step),
                f"{number_text(sum(values), 1)} {unit}",
                f"{number_text(100 * share, 0)} %",
            )
        )
    columns = ["time", "until", "value", "whole", "at", "shown", "share"]
    return pd.DataFrame(rows, columns=columns).astype(
        {"time": "float64", "until": "float64", "value": "float64"}
    )


def _known(day: date, zone: ZoneInfo, bounds: Bounds) -> float:
    """How much of a day the answer knows of."""
    return bounds.share(midnight(day, zone), midnight(day + timedelta(days=1), zone))


def column_marks(rows: pd.DataFrame, step: str, zone: ZoneInfo) -> dict[float, str]:
    """What stands under the columns: under the middle of one, and of so few that the labels stand apart."""
    if rows.empty:
        return {}
    day = instant(float(rows["time"].min()), zone).date()
    last = instant(float(rows["until"].max()), zone).date()
    days = [day]
    while (day := following(day, step)) < last:
        days.append(day)
    every = -(-len(days) // MARKS)
    marks: dict[float, str] = {}
    for begin in days[::every]:
        local = datetime.combine(begin, time())
        middle = (midnight(begin, zone) + midnight(following(begin, step), zone)) / 2
        # Of a year of months the first and the last have one name.
        month = month_text(local) if marks else step_text(begin, step)
        marks[middle] = month if step == "month" else day_text(local)
    return marks


def first_day(day: date, step: str) -> date:
    """The first day of the day's week (ISO 8601: a Monday) or month."""
    if step == "week":
        return day - timedelta(days=day.weekday())
    return day.replace(day=1) if step == "month" else day


def following(day: date, step: str) -> date:
    """The first day of the next day, week or month."""
    if step == "month":
        return (day + timedelta(days=32)).replace(day=1)
    return day + timedelta(days=7 if step == "week" else 1)


def midnight(day: date, zone: ZoneInfo) -> float:
    """The instant (milliseconds) at which a local day begins."""
    return milliseconds(datetime.combine(day, time(), tzinfo=zone))


def step_text(day: date, step: str) -> str:
    """A day, week or month as people say it."""
    local = datetime.combine(day, time())
    if step == "month":
        return f"{month_text(local)} {day.year}" if day.month != 1 else month_text(local)
    return _("Week of {day}").format(day=date_text(local)) if step == "week" else day_text(local)


def profile_rows(
    open_day: Sequence[ProfileHour], closed_day: Sequence[ProfileHour], *, unit: str
) -> pd.DataFrame:
    """Rows `hour`, `day`, `mean`, `low`, `high`, `at`, `shown`, of both kinds of day."""
    rows = [
        (
            hour.hour,
            name,
            hour.mean,
            hour.low,
            hour.high,
            f"{hour.hour:02d}:00\u2013{hour.hour + 1:02d}:00",
            "" if hour.mean is None else f"{number_text(hour.mean, 1)} {unit}",
        )
        for name, hours in ((_("Open days"), open_day), (_("Closed days"), closed_day))
        for hour in hours
    ]
    columns = ["hour", "day", "mean", "low", "high", "at", "shown"]
    return pd.DataFrame(rows, columns=columns).astype(
        {"mean": "float64", "low": "float64", "high": "float64"}
    )


def clock_hour(clock: str) -> float:
    """`07:30` as 7.5."""
    hours, minutes = clock.split(":")
    return int(hours) + int(minutes) / 60


def degree_day_rows(months: Sequence[DegreeDayMonth]) -> pd.DataFrame:
    """Rows `month`, `kind`, `value`, `shown`, `missing`."""
    rows = [
        (
            step_text(date.fromisoformat(f"{month.month}-01"), "month"),
            kind,
            value,
            f"{number_text(value, 0)} K·d",
            month.missing_days,
        )
        for month in months
        for kind, value in ((_("Heating"), month.heating), (_("Cooling"), month.cooling))
    ]
    return pd.DataFrame(rows, columns=["month", "kind", "value", "shown", "missing"]).astype(
        {"value": "float64"}
    )


def baseline_rows(baseline: Baseline, zone: ZoneInfo, bounds: Bounds) -> pd.DataFrame:
    """Rows `time`, `line`, `value`, `at`, `shown`: actual and expected by day; days between are a gap."""
    rows: list[tuple[float, str, float | None, str, str]] = []
    for line, field in ((_("Actual"), "actual"), (_("Expected"), "predicted")):
        before: date | None = None
        for day in baseline.cusum:
            if _known(day.date, zone, bounds) < WHOLE:
                continue  # beside whole days, a part of one would look like a fall
            at = midnight(day.date, zone)
            if before is not None and day.date - before > timedelta(days=1):
                rows.append((at - 1, line, None, "", ""))
            value: float = getattr(day, field)
            rows.append((at, line, value, _day(day.date), f"{number_text(value, 1)} {baseline.unit}"))
            before = day.date
    return pd.DataFrame(rows, columns=["time", "line", "value", "at", "shown"]).astype(
        {"time": "float64", "value": "float64"}
    )


def savings_rows(baseline: Baseline, zone: ZoneInfo) -> pd.DataFrame:
    """Rows `time`, `value`, `at`, `shown`: what was saved since the period began, by the end of each day."""
    rows = [
        (
            midnight(day.date + timedelta(days=1), zone),
            day.cumulative,
            _day(day.date),
            f"{number_text(day.cumulative, 1)} {baseline.unit}",
        )
        for day in baseline.cusum
    ]
    return pd.DataFrame(rows, columns=["time", "value", "at", "shown"]).astype(
        {"time": "float64", "value": "float64"}
    )


def _day(day: date) -> str:
    return day_text(datetime.combine(day, time()))


def comparison_rows(buildings: Sequence[BuildingComparison], *, per_area: bool, unit: str) -> pd.DataFrame:
    """Rows `building`, `period`, `value`, `shown`; a period that nothing was measured in is left out."""
    rows = []
    for each in buildings:
        for period, found in ((_("Now"), each.now), (_("Before"), each.before)):
            value = found.per_area if per_area else found.consumption
            if value is not None:
                rows.append((each.name, period, value, f"{number_text(value, 1)} {unit}"))
    return pd.DataFrame(rows, columns=["building", "period", "value", "shown"]).astype({"value": "float64"})


def carriers_of(energy: Energy) -> list[str]:
    """The carriers that something is metered of, in the order in which pages show them."""
    known = {each.carrier for each in energy.meters} | {each.carrier for each in energy.buildings}
    return [carrier for carrier in CARRIERS if carrier in known]


def place_energy(
    energy: Energy, carrier: str, *, building: int | None, storey: int | None, space: int | None
) -> PlaceEnergy | None:
    """What the place on screen consumed; without a place, the one building that there is."""
    places, wanted = (
        (energy.spaces, space)
        if space
        else (energy.storeys, storey)
        if storey
        else (energy.buildings, building)
    )
    found = [each for each in places if each.carrier == carrier and wanted in {None, each.id}]
    return found[0] if len(found) == 1 else None


def meters_of(energy: Energy, carrier: str) -> list[MeterEnergy]:
    """The meters of a carrier: each main one with its submeters after it."""
    found = [meter for meter in energy.meters if meter.carrier == carrier]
    known = {meter.meter for meter in found}

    def under(parent: int | None) -> list[MeterEnergy]:
        children = [
            meter for meter in found if (meter.submeter_of if meter.submeter_of in known else None) == parent
        ]
        ordered = sorted(children, key=lambda meter: (-(meter.consumption or 0), meter.name))
        return [each for meter in ordered for each in (meter, *under(meter.meter))]

    return under(None)
