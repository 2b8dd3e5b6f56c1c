"""Baselines and degree days as the API answers about them: off the event loop."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from insula_platform.analytics.energy.consumption_answers import day_of
from insula_platform.analytics.energy.schemas import (
    CusumDay,
    DegreeDay,
    DegreeDayMonth,
    Fit,
    Savings,
    TemperatureEffect,
    Uncertainty,
)
from insula_tenants.analytics.energy import baseline, degree_days, guideline_14

MODEL = "time of week and temperature (TOWT; Mathieu et al. 2011)"
MODEL_WITHOUT_TEMPERATURE = "time of week"


def baseline_answer(period: baseline.Measured, reporting: baseline.Measured) -> dict[str, Any]:
    """What of an answer tells of the model and the savings, or why there are none."""
    model = MODEL_WITHOUT_TEMPERATURE if period.temperature is None else MODEL
    try:
        fitted = baseline.fit_baseline(period)
    except baseline.TooLittle as error:
        nothing: dict[str, Any] = {
            "hourly": None,
            "monthly": None,
            "savings": None,
            "temperature": [],
            "cusum": [],
        }
        return {"model": model, "problem": str(error), "occupied_hours": 0, **nothing}
    savings, days = baseline.savings_of(fitted, reporting)
    return {
        "model": model,
        "problem": None,
        "occupied_hours": int(fitted.model.occupied.sum()),
        "temperature": [
            TemperatureEffect(
                mode="occupied" if one.occupied else "unoccupied",
                starts=one.starts,
                ends=one.ends,
                slope=one.slope,
            )
            for one in fitted.model.effects
        ],
        "hourly": fit_answer(fitted.hourly),
        "monthly": fit_answer(fitted.monthly) if fitted.monthly else None,
        "savings": savings_answer(savings),
        "cusum": [
            CusumDay(
                date=day_of(one.day), predicted=one.predicted, actual=one.actual, cumulative=one.cumulative
            )
            for one in days
        ],
    }


def fit_answer(fit: guideline_14.Fit) -> Fit:
    """How a model fits."""
    return Fit(
        observations=fit.observations,
        parameters=fit.parameters,
        cv_rmse=fit.cv_rmse,
        nmbe=fit.nmbe,
        r_squared=fit.r_squared,
        cv_rmse_limit=fit.cv_rmse_limit,
        nmbe_limit=fit.nmbe_limit,
        meets_limits=fit.meets_limits,
    )


def savings_answer(savings: baseline.Savings) -> Savings | None:
    """What was saved; None where no hour is known."""
    if not savings.hours:
        return None
    return Savings(
        predicted=savings.predicted,
        actual=savings.actual,
        savings=savings.amount,
        fraction=savings.amount / savings.predicted if savings.predicted else None,
        uncertainty=[
            Uncertainty(confidence=one.confidence, fraction=one.fraction, low=one.low, high=one.high)
            for one in savings.uncertainty
        ],
        meets_guideline=savings.meets_guideline,
        hours=savings.hours,
        extrapolated_share=savings.extrapolated / savings.hours,
    )


def degree_day_answers(days: Sequence[degree_days.DegreeDay]) -> dict[str, Any]:
    """What of an answer tells of days, months and all of them."""
    by_month: dict[str, list[degree_days.DegreeDay]] = {}
    for day in days:
        by_month.setdefault(f"{day_of(day.day):%Y-%m}", []).append(day)
    return {
        "heating": sum(day.heating or 0.0 for day in days),
        "cooling": sum(day.cooling or 0.0 for day in days),
        "missing_days": sum(day.heating is None for day in days),
        "months": [
            DegreeDayMonth(
                month=month,
                heating=sum(day.heating or 0.0 for day in some),
                cooling=sum(day.cooling or 0.0 for day in some),
                days=sum(day.heating is not None for day in some),
                missing_days=sum(day.heating is None for day in some),
            )
            for month, some in by_month.items()
        ],
        "days": [
            DegreeDay(
                date=day_of(day.day),
                mean_temperature=day.mean,
                heating=day.heating,
                cooling=day.cooling,
                hours=day.hours,
            )
            for day in days
        ],
    }
