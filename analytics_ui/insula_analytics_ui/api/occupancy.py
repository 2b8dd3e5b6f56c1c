"""Occupancy: the use of spaces, of one space day by day, and the card of the model that infers use."""

from __future__ import annotations

import datetime as dt
from datetime import datetime

from pydantic import Field

from insula_analytics_ui.api.analytics import Completeness
from insula_analytics_ui.api.client import Answer, Api, Query

AT_ONCE = 200
"""Spaces that one answer tells of: as many as the API gives."""

Week = tuple[tuple[float | None, ...], ...]
"""Shares of the time in use: seven lists of 24 local hours, Monday first; None where nothing was observed."""


class People(Answer):
    """How many people, where they are counted; shares are of the capacity."""

    average: float | None = None
    peak: float
    peak_at: datetime | None = None
    peak_share: float | None = None


class Confidence(Answer):
    """How far to trust the figures of a space: `high`, `medium`, `low` or `none`, and why no more."""

    level: str = "high"
    reasons: tuple[str, ...] = ()


class SpaceUse(Answer):
    """The use of one space. `source` is `counted`, `measured`, `inferred`, or `none` where nothing tells."""

    space: int
    name: str
    time_zone: str = "UTC"
    capacity: int | None = None
    area: float | None = None
    source: str
    variant: str | None = None
    confidence: Confidence = Confidence()
    hours_observed: float = 0
    hours_in_use: float = 0
    share_in_use: float | None = None
    never_used: bool = False
    people: People | None = None
    heat_map: Week = ()
    days_used: int = 0
    first_use: str | None = None
    last_use: str | None = None
    completeness: Completeness = Completeness()


class Occupancy(Answer):
    """The use of some spaces; `more` says where the list goes on."""

    items: tuple[SpaceUse, ...]
    more: str | None = Field(default=None, validation_alias="next_cursor")
    observed: int = 0
    share_in_use: float | None = None
    heat_map: Week = ()
    completeness: Completeness = Completeness()
    complete_until: datetime | None = None


class DayOfUse(Answer):
    """A local day of a space."""

    day: dt.date
    hours_observed: float
    hours_in_use: float
    first_use: datetime | None = None
    last_use: datetime | None = None


class OccupancyDays(Answer):
    """One space, day by day."""

    use: SpaceUse
    days: tuple[DayOfUse, ...] = ()
    complete_until: datetime | None = None


class Score(Answer):
    """How a variant did on one set of data: shares of its rows, of those in use, and of those not."""

    data: str
    seconds: int
    rows: int
    accuracy: float
    sensitivity: float
    specificity: float


class ModelVariant(Answer):
    """The model for what a room has sensors of."""

    name: str
    needs: tuple[str, ...]
    scores: tuple[Score, ...]


class TrainingData(Answer):
    """What the model was trained on."""

    source: str
    licence: str
    room: str
    rows: int


class ModelCard(Answer):
    """What infers use where nobody measures it."""

    name: str
    version: int
    kind: str
    data: TrainingData
    intended_use: str
    limits: tuple[str, ...] = ()
    variants: tuple[ModelVariant, ...] = ()


def occupancy(api: Api, asked: Query) -> Occupancy:
    """The use of the first spaces of a place."""
    return api.one(Occupancy, "analytics/occupancy", [*asked, ("limit", AT_ONCE)])


def occupancy_days(api: Api, asked: Query) -> OccupancyDays:
    """The use of the space that `asked` names, day by day."""
    return api.one(OccupancyDays, "analytics/occupancy/days", asked)


def model_card(api: Api) -> ModelCard:
    """The card of the model that infers use."""
    return api.one(ModelCard, "analytics/occupancy/model")
