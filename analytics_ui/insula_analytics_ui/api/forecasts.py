"""Forecasts of points, and what analyses noticed about them."""

from __future__ import annotations

from datetime import datetime

from pydantic import Field

from insula_analytics_ui.api.analytics import Completeness
from insula_analytics_ui.api.client import Answer, Api, Query

AT_ONCE = 200
"""Findings that one answer tells of."""


class ForecastValue(Answer):
    """An hour: the forecast, its interval, and the seasonal naive forecast."""

    time: datetime
    value: float
    lower: float
    upper: float
    naive: float


class Scores(Answer):
    """How a forecast did in the back-test: mean absolute error, and the share of values in the interval."""

    mae: float
    mase: float | None = None
    coverage: float | None = None


class Backtest(Answer):
    """Forecasts of past days from the days before them; `model` is None where the history is too short."""

    folds: int
    season_hours: int
    model: Scores | None = None
    naive: Scores


class Forecast(Answer):
    """The next 24 hours of a point; without `values` the `state` says why, None that no analysis was done."""

    point: int
    unit: str | None = None
    state: str | None = None
    made_at: datetime | None = None
    complete_until: datetime | None = None
    completeness: Completeness | None = None
    model: str | None = None
    level: float | None = None
    values: tuple[ForecastValue, ...] = ()
    backtest: Backtest | None = None


class Forecasts(Answer):
    """The forecasts of the points that were asked for."""

    items: tuple[Forecast, ...]


class Evidence(Answer):
    """What a finding rests on; `per_day` is by how much a drift moves."""

    basis: str
    begin: datetime = Field(validation_alias="from")
    end: datetime = Field(validation_alias="to")
    value: float | None = None
    expected_low: float | None = None
    expected_high: float | None = None
    per_day: float | None = None


class Finding(Answer):
    """Something an analysis noticed about a point; open while `closed_at` is None."""

    id: int
    point: int
    device: str
    name: str
    space: int | None = None
    unit: str | None = None
    kind: str
    severity: str
    opened_at: datetime
    closed_at: datetime | None = None
    detail: str = ""
    evidence: Evidence


class Findings(Answer):
    """What analyses noticed; `more` says where the list goes on, `complete_until` how far they looked."""

    items: tuple[Finding, ...]
    more: str | None = Field(default=None, validation_alias="next_cursor")
    complete_until: datetime | None = None
    completeness: Completeness = Completeness()


def forecast(api: Api, point: int) -> Forecast | None:
    """The forecast of one point."""
    found = api.one(Forecasts, "analytics/forecasts", [("point", point)]).items
    return found[0] if found else None


def findings(api: Api, asked: Query) -> Findings:
    """What was noticed about the points of a place in a period, the newest first."""
    return api.one(Findings, "analytics/findings", [*asked, ("limit", AT_ONCE)])
