"""What the births of one device have told: names by alias, datatypes by name."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from insula_ingest.codecs.decoded import Decoded, Microseconds, Pending, Reason, Told, Value
from insula_ingest.codecs.sparkplug.values import Unstorable, read_value, says_all

MOST_METRICS = 1000
"""Metrics that the births of one device may tell."""
_NEVER = 0


class Metric(NamedTuple):
    """A metric as births told it; `alias` None and `datatype` 0 where they did not."""

    name: str
    alias: int | None
    datatype: int
    since: Microseconds
    """When the alias came to mean this metric and no longer another; 0 when it never meant another."""


class Learned(NamedTuple):
    """What a birth comes to."""

    births: Births
    changed: list[Metric]
    """Those that are new or other than before."""
    forgotten: list[str]
    """Names of those whose alias another has now."""
    without_room: list[str]
    """Names that were one too many."""


class Births:
    """The metrics of one device. Never changed: `learn` makes another, so that a batch may fail."""

    def __init__(self, metrics: Iterable[Metric] = ()) -> None:
        """Of metrics with the same name or alias the last one counts."""
        self.by_name: dict[str, Metric] = {}
        self._by_alias: dict[int, Metric] = {}
        for metric in metrics:
            self._put(metric)

    def learn(self, told: Sequence[Told], at: Microseconds) -> Learned:
        """What is known after a birth at `at`: an alias goes from the metric that had it to the one told."""
        after: Births | None = None
        without_room: list[str] = []
        for one in told:
            now = (after or self).by_name.get(one.name)
            if now is not None and one.alias in (None, now.alias) and one.datatype in (0, now.datatype):
                continue
            if after is None:
                after = Births(self.by_name.values())
            after._put(self._after(one, now, at))
            if len(after.by_name) > MOST_METRICS:
                after._remove(after.by_name[one.name])
                without_room.append(one.name)
        if after is None:
            return Learned(self, [], [], without_room)
        changed = [metric for name, metric in after.by_name.items() if self.by_name.get(name) != metric]
        forgotten = [name for name in self.by_name if name not in after.by_name]
        return Learned(after, changed, forgotten, without_room)

    def _after(self, told: Told, now: Metric | None, at: Microseconds) -> Metric:
        before = now or self.by_name.get(told.name)
        datatype = told.datatype or (before.datatype if before else 0)
        if now is not None and told.alias in (None, now.alias):
            return now._replace(datatype=datatype)
        meant = self._by_alias.get(told.alias) if told.alias is not None else None
        since = at if meant is not None and meant.name != told.name else _NEVER
        return Metric(told.name, told.alias, datatype, since)

    def _put(self, metric: Metric) -> None:
        if (same := self.by_name.get(metric.name)) is not None:
            self._remove(same)
        if metric.alias is not None and (holder := self._by_alias.get(metric.alias)) is not None:
            self._remove(holder)
        self.by_name[metric.name] = metric
        if metric.alias is not None:
            self._by_alias[metric.alias] = metric

    def _remove(self, metric: Metric) -> None:
        self.by_name.pop(metric.name, None)
        if metric.alias is not None:
            self._by_alias.pop(metric.alias, None)

    def of(self, pending: Pending) -> Metric | None:
        """The metric that a value is of, None when no birth has told."""
        if pending.name is not None:
            return self.by_name.get(pending.name)
        return self._by_alias.get(pending.alias)


def read_pending(decoded: Decoded, births: Births, received_at: Microseconds) -> None:
    """Move what is pending to the values, or to the rejections where the births do not help."""
    if decoded.metrics is None:
        return
    for pending in decoded.metrics.pending:
        metric = births.of(pending)
        if metric is None:
            decoded.reject(Reason.NO_BIRTH, f"{_called(pending)}: {_asks(pending)}")
            continue
        time = received_at if pending.time is None else pending.time
        if pending.name is None and time < metric.since and not pending.historical:
            decoded.reject(
                Reason.NO_BIRTH,
                f"{_called(pending)}: it has come to mean {metric.name} later than that",
            )
            continue
        datatype = pending.datatype or metric.datatype
        if not says_all(pending.field, datatype):
            decoded.reject(Reason.NO_BIRTH, f"{_called(pending)}: {_asks(pending)}")
            continue
        try:
            value = read_value(pending.field, pending.value, datatype)
        except Unstorable as error:
            decoded.reject(Reason.BAD_VALUE, f"{pending.where} {metric.name}: {error}")
        else:
            decoded.values.append(Value(metric.name, pending.time, value))
    decoded.metrics.pending = []


def _called(pending: Pending) -> str:
    return pending.where if pending.name is not None else f"{pending.where} alias {pending.alias}"


def _asks(pending: Pending) -> str:
    if pending.name is not None:
        return "no birth has told its datatype; send a birth, or the datatype"
    return "no birth has told the name of this alias; send a birth (NBIRTH or DBIRTH)"
