"""Rows of the tenant's tables as the API shows them."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from insula_platform.analytics.forecasts import schemas
from insula_tenants.analytics.analyses.answers import Named
from insula_tenants.analytics.analyses.models import Finding, Forecast
from insula_tenants.analytics.analyses.service import AnalysisView
from insula_tenants.analytics.completeness import Completeness


def share_of(completeness: Completeness) -> schemas.Share:
    """Completeness, as answers tell it."""
    return schemas.Share(
        expected=completeness.expected, present=completeness.present, share=completeness.share
    )


def analysis_of(view: AnalysisView) -> schemas.Analysis:
    """An analysis and how far it is."""
    return schemas.Analysis.model_validate(view)


def forecast_of(named: Named, row: Forecast | None) -> schemas.Forecast:
    """A point and its forecast, where an analysis has come by."""
    told: dict[str, Any] = dict.fromkeys(
        (
            "state",
            "made_at",
            "complete_until",
            "completeness",
            "model",
            "beats_naive",
            "level",
            "backtest",
        )
    )
    if row is not None:
        told |= {
            "state": row.state,
            "made_at": row.made_at,
            "complete_until": row.until,
            "completeness": share_of(Completeness(row.hours_expected, row.hours_present)),
            "model": row.model,
            "level": row.level,
            "backtest": row.backtest,
        }
        if row.model is not None:
            told["beats_naive"] = row.model != "seasonal_naive"
    return schemas.Forecast(**named._asdict(), **told, values=_values(row) if row is not None else [])


def finding_of(named: Named, row: Finding) -> schemas.Finding:
    """A finding, in words and in numbers."""
    return schemas.Finding(
        **named._asdict(),
        id=row.id,
        kind=row.kind,
        severity=row.severity,
        opened_at=row.opened_at,
        closed_at=row.closed_at,
        detail=_detail(row),
        evidence=schemas.Evidence(
            basis=row.basis,
            starting=row.opened_at,
            ending=row.seen_at,
            value=row.value,
            expected_low=row.expected_low,
            expected_high=row.expected_high,
            per_day=row.per_day,
        ),
    )


def _values(row: Forecast) -> list[schemas.ForecastValue]:
    hours = zip(row.expected or (), row.lower or (), row.upper or (), row.naive or (), strict=True)
    return [
        schemas.ForecastValue(
            time=row.until + timedelta(hours=number), value=value, lower=lower, upper=upper, naive=naive
        )
        for number, (value, lower, upper, naive) in enumerate(hours)
    ]


def _detail(row: Finding) -> str:
    hours = round((row.seen_at - row.opened_at) / timedelta(hours=1))
    expected = f"{row.expected_low:g} to {row.expected_high:g}"
    match row.kind:
        case "stuck":
            return f"{row.value:g} and nothing else for {hours} hours; {expected} is usual"
        case "flat":
            return f"moves by {row.value:g} within a day; {expected} is usual"
        case "drifting":
            others = "the others in its room" if row.basis == "neighbours" else "its past"
            away = f"moves away from {others} by {row.per_day:+g} a day"
            return f"{away}; now it is {row.value:g} where {expected} is usual"
        case _:
            return f"{row.value:g} where {expected} was expected"
