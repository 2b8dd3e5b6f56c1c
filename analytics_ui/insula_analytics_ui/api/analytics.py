"""What every analytic question names, and what every answer says of the data it rests on."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import TypeVar, cast

from insula_analytics_ui.api.client import Answer, Query, rfc3339, together

A = TypeVar("A")
B = TypeVar("B")


class Completeness(Answer):
    """Readings that should be there, and those that are; `share` (0 to 1) is None where none was expected."""

    expected: int = 0
    present: int = 0
    share: float | None = None


def question(
    begin: datetime,
    end: datetime,
    *,
    building: int | None = None,
    storey: int | None = None,
    space: int | None = None,
) -> Query:
    """The query for the half-open interval from `begin` to `end`, of the narrowest place that is given."""
    query: Query = [("from", rfc3339(begin)), ("to", rfc3339(end))]
    places = (("space", space), ("storey", storey), ("building", building))
    return query + [(name, place) for name, place in places if place is not None][:1]


def both(first: Callable[[], A], second: Callable[[], B]) -> tuple[A, B]:
    """What two questions that don't depend on each other answer, asked at once."""
    found: list[A | B] = together(first, second)
    return cast("A", found[0]), cast("B", found[1])
