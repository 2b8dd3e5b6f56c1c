"""Points over a period, ready to be drawn: read at once, grouped by quantity and unit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property, partial
from typing import NamedTuple
from zoneinfo import ZoneInfo

import pandas as pd  # type: ignore[import-untyped] # ships no type information

from insula_analytics_ui.api.client import Api, together
from insula_analytics_ui.api.model import Point
from insula_analytics_ui.api.readings import Reading, readings
from insula_analytics_ui.charts import Spec, TimeFrame, line_chart
from insula_analytics_ui.comfort_now import band_of
from insula_analytics_ui.periods import Period
from insula_analytics_ui.quantities import has_states, quantity, unit
from insula_analytics_ui.series import Complete, completeness, lines, strips
from insula_analytics_ui.times import ticks
from insula_analytics_ui.words import _


class Group(NamedTuple):
    """What is drawn on one axis: a quantity (or several, when `name` is empty) in one unit."""

    name: str
    sign: str


@dataclass(frozen=True)
class Traces:
    """What points measured in a period. `names` and `colours` are by the points' ids."""

    points: tuple[Point, ...]
    period: Period
    zone: ZoneInfo
    now: datetime
    names: Mapping[int, str]
    colours: Mapping[int, str]
    values: Sequence[Reading]
    highest: Sequence[Reading]
    last: Sequence[Reading]

    @property
    def measured(self) -> list[Point]:
        """The points that have values."""
        return [point for point in self.points if not has_states(point)]

    @property
    def stateful(self) -> list[Point]:
        """The points that have states."""
        return [point for point in self.points if has_states(point)]

    def by_quantity(self) -> dict[Group, list[Point]]:
        """The measured points of each quantity in each unit."""
        groups: dict[Group, list[Point]] = {}
        for point in self.measured:
            groups.setdefault(Group(quantity(point).name, unit(point)), []).append(point)
        return groups

    def by_unit(self) -> dict[Group, list[Point]]:
        """The measured points of each unit."""
        groups: dict[Group, list[Point]] = {}
        for point in self.measured:
            groups.setdefault(Group("", unit(point)), []).append(point)
        return groups

    def complete(self, points: Sequence[Point]) -> Complete:
        """How much of the period the points cover."""
        return completeness(points, self.values, self.period, now=self.now, zone=self.zone)

    def lines(self, points: Sequence[Point]) -> pd.DataFrame:
        """The rows of the points' lines."""
        return lines(points, self.values, bucket=self.period.bucket_length, zone=self.zone, names=self.names)

    @cached_property
    def strips(self) -> pd.DataFrame:
        """The rows of the states' strips."""
        return strips(
            self.stateful,
            self.highest,
            self.last,
            bucket=self.period.bucket_length,
            end=min(self.now, self.period.end),
            zone=self.zone,
            names=self.names,
        )

    def chart(
        self, points: Sequence[Point], sign: str, *, ink: str, states: bool = True, zoom: bool = False
    ) -> Spec:
        """A chart of points of one unit, with the states beneath."""
        stateful = self.stateful if states else []
        bands = {band_of(point) for point in points}
        return line_chart(
            TimeFrame(
                self.period.begin, self.period.end, ticks(self.period.begin, self.period.end, self.zone)
            ),
            self.lines(points),
            self.strips,
            unit=sign,
            points=[self.names[point.id] for point in points],
            states=[self.names[point.id] for point in stateful],
            colours={self.names[point.id]: self.colours[point.id] for point in self.points},
            comfort=next(iter(bands)) if len(bands) == 1 else None,
            ink=ink,
            complete=self.complete(points).cells if points else None,
            zoom=zoom,
        )

    def table(self, points: Sequence[Point]) -> pd.DataFrame:
        """One row a bucket: the building's time, and the value of each point as text, units in the head."""
        rows = self.lines(points).dropna(subset=["value"])
        if rows.empty:
            return pd.DataFrame()
        wide = rows.pivot_table(index="time", columns="point", values="shown", aggfunc="first")
        wide = wide[[self.names[point.id] for point in points if self.names[point.id] in wide.columns]]
        signs = {self.names[point.id]: unit(point) for point in points}
        wide.columns = [f"{name} ({signs[name]})" if signs[name] else name for name in wide.columns]
        times = rows.drop_duplicates("time").set_index("time")["at"]
        wide.insert(0, _("Time"), times.reindex(wide.index))
        return wide.reset_index(drop=True)


def load_traces(
    api: Api,
    points: Sequence[Point],
    period: Period,
    *,
    zone: ZoneInfo,
    now: datetime,
    names: Mapping[int, str],
    colours: Mapping[int, str],
) -> Traces:
    """Ask for all of them at once: means, what meters counted, and the states that buckets saw and left."""
    gauges = [point.id for point in points if not has_states(point) and point.kind != "counter"]
    counters = [point.id for point in points if not has_states(point) and point.kind == "counter"]
    states = [point.id for point in points if has_states(point)]
    asked = [(gauges, "mean"), (counters, "consumption"), (states, "max"), (states, "last")]
    means, counts, highest, last = together(
        *(
            partial(readings, api, ids, period, aggregate=aggregate, time_zone=zone.key)
            for ids, aggregate in asked
        )
    )
    return Traces(tuple(points), period, zone, now, names, colours, [*means, *counts], highest, last)
