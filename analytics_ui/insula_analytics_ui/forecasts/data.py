"""From the platform's forecasts and findings to the rows that charts and tables show, in words for people."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from zoneinfo import ZoneInfo

import pandas as pd  # type: ignore[import-untyped] # ships no type information

from insula_analytics_ui.api.forecasts import Finding, Forecast
from insula_analytics_ui.api.readings import Reading
from insula_analytics_ui.times import duration_text, local_text, milliseconds
from insula_analytics_ui.words import N_, _, number_text

KINDS: Mapping[str, str] = {
    "unusual": N_("Unusual"),
    "stuck": N_("Stuck"),
    "flat": N_("Flat"),
    "drifting": N_("Drifting"),
}
ADVICE: Mapping[str, str] = {
    "unusual": N_("Look at the point at that time: an event in the room, or a sensor that errs?"),
    "stuck": N_("See whether the sensor follows when the room changes; if not, replace it."),
    "flat": N_("It moves much less than it did: is it covered, or was it moved?"),
    "drifting": N_("Compare it with another instrument, and calibrate or replace it."),
}
SEVERITIES: Mapping[str, tuple[str, int]] = {
    "info": (N_("for information"), 0),
    "warning": (N_("warning"), 1),
    "critical": (N_("critical"), 2),
}
"""The word of a severity, and its rank: the higher, the worse."""

STATES: Mapping[str | None, tuple[str, str]] = {
    None: (
        N_("There is no forecast of this point yet."),
        N_("An analysis of all points runs each hour; the first one brings it."),
    ),
    "too_short": (
        N_("There is too little history for a forecast."),
        N_("It needs three days of readings; come back when they are there."),
    ),
    "silent": (
        N_("Nothing came from this point for a day, so there is no forecast."),
        N_("See under Devices' health whether its device still speaks."),
    ),
}
"""Why there is no forecast, by its state, and what to do."""


def forecast_rows(forecast: Forecast, zone: ZoneInfo, *, unit: str, decimals: int = 1) -> pd.DataFrame:
    """Rows `time`, `value`, `lower`, `upper`, `naive`, `at`, and as text `shown`, `range`, `naive_shown`."""
    rows = [
        (
            at := milliseconds(value.time),
            value.value,
            value.lower,
            value.upper,
            value.naive,
            local_text(at, zone),
            _text(value.value, unit, decimals),
            _("{low} to {high}").format(
                low=number_text(value.lower, decimals), high=_text(value.upper, unit, decimals)
            ),
            _text(value.naive, unit, decimals),
        )
        for value in forecast.values
    ]
    columns = ["time", "value", "lower", "upper", "naive", "at", "shown", "range", "naive_shown"]
    numbers = dict.fromkeys(["time", "value", "lower", "upper", "naive"], "float64")
    return pd.DataFrame(rows, columns=columns).astype(numbers)


def measured_rows(
    readings: Iterable[Reading], zone: ZoneInfo, *, unit: str, decimals: int = 1
) -> pd.DataFrame:
    """Rows `time`, `value`, `at`, `shown` of what was measured before; an hour without a reading is a gap."""
    hour = 3_600_000
    rows: list[tuple[float, float | None, str, str]] = []
    for reading in sorted(readings, key=lambda reading: reading.time):
        if reading.value is None:
            continue
        at = milliseconds(reading.time)
        if rows and at - rows[-1][0] > 1.5 * hour:
            rows.append((rows[-1][0] + 1, None, "", ""))
        rows.append((at, reading.value, local_text(at, zone), _text(reading.value, unit, decimals)))
    return pd.DataFrame(rows, columns=["time", "value", "at", "shown"]).astype(
        {"time": "float64", "value": "float64"}
    )


def trust_text(forecast: Forecast, *, unit: str) -> str:
    """How far to trust a forecast: what the back-test found, and whether the naive one would do as well."""
    test = forecast.backtest
    if test is None:
        return ""
    naive = _text(test.naive.mae, unit, 2)
    season = _("a week before") if test.season_hours == 168 else _("a day before")
    if test.model is None or forecast.model == "seasonal_naive":
        return _(
            "The same hour {season} does best here: over {days} past days it was off by {naive} on average."
        ).format(season=season, days=test.folds, naive=naive)
    said = _(
        "Over {days} past days it was off by {error} on average, the same hour {season} by {naive}."
    ).format(days=test.folds, error=_text(test.model.mae, unit, 2), season=season, naive=naive)
    if test.model.coverage is not None and forecast.level is not None:
        said += " " + _("{inside} % of the values lay within the interval; {level} % should.").format(
            inside=number_text(100 * test.model.coverage, 0), level=number_text(100 * forecast.level, 0)
        )
    return said


def open_first(findings: Iterable[Finding]) -> list[Finding]:
    """What lasts before what is over; of each the worst first, then the newest."""
    return sorted(
        findings,
        key=lambda each: (
            each.closed_at is not None,
            -SEVERITIES.get(each.severity, ("", 0))[1],
            -each.opened_at.timestamp(),
        ),
    )


def finding_text(finding: Finding, unit: str) -> str:
    """What was noticed, in figures."""
    tell = _TOLD.get(finding.kind)
    return tell(finding, unit) if tell else finding.detail


def _unusual(finding: Finding, unit: str) -> str:
    seen = finding.evidence
    if seen.value is None:
        return ""
    if seen.expected_low is None or seen.expected_high is None:
        return _text(seen.value, unit, 1)
    return _("{value}, where {low} to {high} was expected").format(
        value=_text(seen.value, unit, 1),
        low=number_text(seen.expected_low, 1),
        high=_text(seen.expected_high, unit, 1),
    )


def _stuck(finding: Finding, unit: str) -> str:
    seen = finding.evidence
    value = "" if seen.value is None else _text(seen.value, unit, 1)
    return _("{value} for {time}").format(value=value, time=duration_text(seen.end - seen.begin))


def _drifting(finding: Finding, unit: str) -> str:
    moved = finding.evidence.per_day
    if moved is None:
        return ""
    return _("{change} a day").format(change=_text(moved, unit, 2))


_TOLD: Mapping[str, Callable[[Finding, str], str]] = {
    "unusual": _unusual,
    "stuck": _stuck,
    "drifting": _drifting,
}


def _text(value: float, unit: str, decimals: int) -> str:
    return f"{number_text(value, decimals)} {unit}".strip()
