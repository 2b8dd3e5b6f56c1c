"""Forecasts, findings and analyses as the API shows them."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from insula_platform.paging import Page
from insula_tenants.analytics.analyses.models import (
    AnalysisState,
    Basis,
    ForecastState,
    Kind,
    Model,
    Reason,
    Severity,
)

_SCORES = {"mae": 0.31, "mase": 0.62, "coverage": 0.91, "pinball": 0.05}
_FORECAST: dict[str, Any] = {
    "point": 17,
    "device": "th-1",
    "name": "temperature",
    "space": 3,
    "unit": "degC",
    "state": "ready",
    "made_at": "2026-11-24T08:03:12Z",
    "complete_until": "2026-11-24T08:00:00Z",
    "completeness": {"expected": 1344, "present": 1340, "share": 0.997},
    "model": "ridge",
    "beats_naive": True,
    "level": 0.9,
    "values": [{"time": "2026-11-24T08:00:00Z", "value": 21.4, "lower": 20.9, "upper": 21.9, "naive": 21.1}],
    "backtest": {
        "folds": 28,
        "hours": 670,
        "season_hours": 168,
        "model": _SCORES,
        "naive": {"mae": 0.5, "mase": 1.01, "coverage": 0.9, "pinball": 0.09},
    },
}
_FINDING: dict[str, Any] = {
    "id": 42,
    "point": 17,
    "device": "th-1",
    "name": "temperature",
    "space": 3,
    "unit": "degC",
    "kind": "stuck",
    "severity": "warning",
    "opened_at": "2026-11-22T04:00:00Z",
    "closed_at": None,
    "detail": "the same value for 52 hours, where 9 were the most before",
    "evidence": {
        "basis": "past",
        "from": "2026-11-22T04:00:00Z",
        "to": "2026-11-24T08:00:00Z",
        "value": 21.5,
        "expected_low": None,
        "expected_high": None,
        "per_day": None,
    },
}
_ANALYSIS: dict[str, Any] = {
    "id": "3b0c6f9a-1d2e-4f5a-8b7c-6d5e4f3a2b1c",
    "state": "running",
    "reason": "schedule",
    "complete_until": "2026-11-24T08:00:00Z",
    "points": 240,
    "points_done": 100,
    "points_failed": 0,
    "error": None,
    "created_at": "2026-11-24T08:01:00Z",
    "started_at": "2026-11-24T08:03:10Z",
    "ended_at": None,
}


class Share(BaseModel):
    """Hours of the history that have a value."""

    expected: int
    present: int
    share: float | None = Field(description="Between 0 and 1; null where nothing was expected.")


class ForecastValue(BaseModel):
    """One hour."""

    time: datetime = Field(description="The hour's beginning.")
    value: float = Field(description="The hour's mean; of a counter, what it counts in the hour.")
    lower: float
    upper: float
    naive: float = Field(description="The seasonal naive forecast: the hour a day, or a week, before.")


class Scores(BaseModel):
    """How a forecast did in the back-test."""

    mae: float = Field(description="Mean absolute error, in the point's unit.")
    mase: float | None = Field(
        description="The same, in errors that the naive forecast makes within the history (Hyndman and "
        "Koehler, 2006); null where it makes none."
    )
    coverage: float | None = Field(
        description="Share of values within the interval, which was made of the errors before each of them."
    )
    pinball: float | None = Field(
        description="Mean pinball loss of the interval's two ends, in the point's unit: less is better."
    )


class Backtest(BaseModel):
    """A forecast of each day from the days before it alone (rolling origin)."""

    folds: int = Field(description="Days that were forecast.")
    hours: int = Field(description="Hours of them that have a value.")
    season_hours: int = Field(description="Of the naive forecast: 24 or 168, whichever did better.")
    model: Scores | None = Field(description="Null where the history is too short for a model.")
    naive: Scores


class Forecast(BaseModel):
    """The next 24 hours of a point, and how far to trust them."""

    model_config = ConfigDict(json_schema_extra={"example": _FORECAST})

    point: int
    device: str
    name: str
    space: int | None
    unit: str | None
    state: ForecastState | None = Field(
        description="`ready`; `too_short`: there are less than three days of history; `silent`: nothing came "
        "for a day. Null: no analysis has come by yet."
    )
    made_at: datetime | None
    complete_until: datetime | None = Field(description="It rests on readings before this hour.")
    completeness: Share | None = Field(
        description="Of the eight weeks that it rests on, or since its first reading."
    )
    model: Model | None = Field(description="Which of the two forecasts is in `value`.")
    beats_naive: bool | None = Field(
        description="Whether the model did better than the naive forecast in the back-test; where not, the "
        "naive one is used."
    )
    level: float | None = Field(description="Share of values that are to lie between `lower` and `upper`.")
    values: list[ForecastValue]
    backtest: Backtest | None


class Forecasts(BaseModel):
    """Forecasts of the points that were asked for, by point."""

    model_config = ConfigDict(json_schema_extra={"example": {"items": [_FORECAST]}})

    items: list[Forecast]


class Evidence(BaseModel):
    """What a finding rests on."""

    basis: Basis = Field(
        description="What the expected range comes from: the forecast, the point's own past, or the others "
        "in its room."
    )
    starting: datetime = Field(serialization_alias="from")
    ending: datetime = Field(serialization_alias="to")
    value: float = Field(description="In the point's unit; of what is unusual, the most unusual one.")
    expected_low: float | None
    expected_high: float | None
    per_day: float | None = Field(description="Of a drift: by how much it moves in a day.")


class Finding(BaseModel):
    """Something an analysis noticed about a point. A condition that lasts is one finding."""

    model_config = ConfigDict(json_schema_extra={"example": _FINDING})

    id: int
    point: int
    device: str
    name: str
    space: int | None
    unit: str | None
    kind: Kind
    severity: Severity
    opened_at: datetime = Field(description="When the condition began.")
    closed_at: datetime | None = Field(description="When it was over; null while it lasts.")
    detail: str
    evidence: Evidence


class Findings(Page[Finding]):
    """One page of findings, and what they rest on."""

    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "items": [_FINDING],
                "next_cursor": None,
                "complete_until": "2026-11-24T08:00:00Z",
                "completeness": {"expected": 1344, "present": 1340, "share": 0.997},
            }
        }
    )

    complete_until: datetime | None = Field(
        description="Readings before it are looked at; null when no analysis is done yet."
    )
    completeness: Share = Field(description="Of the histories of the points that were asked for.")


class Analysis(BaseModel):
    """A look at all points of the tenant: it makes the forecasts anew and notices what is wrong."""

    model_config = ConfigDict(from_attributes=True, json_schema_extra={"example": _ANALYSIS})

    id: UUID
    state: AnalysisState
    reason: Reason = Field(description="`schedule`, or `request`: somebody asked for it.")
    complete_until: datetime = Field(description="Readings before it count.")
    points: int
    points_done: int
    points_failed: int = Field(description="Of those that are done: could not be analysed.")
    error: str | None = Field(description="Why the last of those could not.")
    created_at: datetime
    started_at: datetime | None
    ended_at: datetime | None
