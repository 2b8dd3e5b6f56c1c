"""What consumption costs by time of use, and what it emits.

A tariff holds from a local day until the next one, and its periods are times of the local clock: across a
change of the clock a night has an hour more or less, as the meter of the supplier counts it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from insula_tenants.analytics.energy.hours import Hours, day_shares

DAY = 1440
QUARTER = 15


@dataclass(frozen=True, slots=True)
class Period:
    """Local times of the week with a price of their own."""

    name: str
    weekdays: frozenset[int]
    """On which days it begins: 1 is Monday, 7 Sunday."""
    starts: int
    """Minutes since midnight, whole quarters of an hour."""
    ends: int
    """Minutes since midnight; not included. At or before `starts`: on the day after."""
    price: float

    def covers(self, weekday: NDArray[np.int64], minute: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Whether it covers each of these times."""
        today = np.isin(weekday, list(self.weekdays))
        if self.starts < self.ends:
            return today & (minute >= self.starts) & (minute < self.ends)
        yesterday = np.isin((weekday + 5) % 7 + 1, list(self.weekdays))
        return (today & (minute >= self.starts)) | (yesterday & (minute < self.ends))


@dataclass(frozen=True, slots=True)
class Tariff:
    """Prices of a kWh, or of a m³ of water."""

    valid_from: int
    """The local day, in days since 1 January 1970."""
    currency: str
    price: float
    """At times that no period covers."""
    periods: tuple[Period, ...] = ()
    """Where two cover the same time, the first one holds."""
    standing_charge: float = 0.0
    """A day."""


@dataclass(frozen=True, slots=True)
class Factor:
    """An emission factor."""

    valid_from: int
    """The local day, in days since 1 January 1970."""
    factor: float
    """kg CO2e of a kWh, or of a m³ of water."""
    source: str | None = None


@dataclass(frozen=True, slots=True)
class Cost:
    """What some hours cost."""

    currency: str
    by_period: dict[str, float]
    """What the energy cost; the empty name is the times that no period covers."""
    standing: float
    priced: float
    """Consumption for whose time there is a tariff in this currency."""

    @property
    def energy(self) -> float:
        """Without the standing charge."""
        return sum(self.by_period.values())

    @property
    def total(self) -> float:
        """All of it."""
        return self.energy + self.standing


@dataclass(frozen=True, slots=True)
class Emissions:
    """What some hours emitted."""

    co2e: float = 0.0
    """kg"""
    factored: float = 0.0
    """Consumption for whose time there is a factor."""
    sources: tuple[str, ...] = field(default=())


def cost_of(
    consumption: NDArray[np.float64], hours: Hours, tariffs: Sequence[Tariff], *, standing: int
) -> Cost | None:
    """What consumption by hour costs, NaN where nobody knows it; None where no tariff holds.

    `standing`: for how many meters the standing charge is due, a local day at a time and by the share of a
    day that is in the question. An hour that a period cuts is split by time. Where the currency changes, only
    the newest's time is priced.
    """
    ordered = sorted(tariffs, key=lambda one: one.valid_from)
    in_force = _in_force(hours.day, [one.valid_from for one in ordered])
    held = [ordered[one] for one in np.unique(in_force) if one >= 0]
    if not held:
        return None
    currency = held[-1].currency
    amounts = np.nan_to_num(consumption, nan=0.0)
    by_period: dict[str, float] = {}
    priced = 0.0
    for place, tariff in enumerate(ordered):
        which = in_force == place
        if tariff.currency != currency or not which.any():
            continue
        priced += float(amounts[which].sum())
        for name, share, price in _shares(hours, which, tariff):
            amount = float((amounts[which] * share).sum()) * price
            by_period[name] = by_period.get(name, 0.0) + amount
    charge = standing * _standing(hours, ordered, currency) if standing else 0.0
    return Cost(currency, by_period, charge, priced)


def emissions_of(
    consumption: NDArray[np.float64], hours: Hours, factors: Sequence[Factor]
) -> Emissions | None:
    """What consumption by hour emits, NaN where nobody knows it; None where no factor holds.

    Activity times factor: GHG Protocol Corporate Standard, chapter 6.
    """
    ordered = sorted(factors, key=lambda one: one.valid_from)
    in_force = _in_force(hours.day, [one.valid_from for one in ordered])
    held = [ordered[one] for one in np.unique(in_force) if one >= 0]
    if not held:
        return None
    amounts = np.nan_to_num(consumption, nan=0.0)
    values = np.array([0.0, *(one.factor for one in ordered)])[in_force + 1]
    sources = dict.fromkeys(one.source for one in held if one.source)
    return Emissions(float((amounts * values).sum()), float(amounts[in_force >= 0].sum()), tuple(sources))


def _in_force(day: NDArray[np.int64], valid_from: Sequence[int]) -> NDArray[np.int64]:
    """Which of these, in order of their first days, holds on each day; -1: none yet."""
    return np.searchsorted(np.array(valid_from, np.int64), day, side="right") - 1


def _standing(hours: Hours, ordered: Sequence[Tariff], currency: str) -> float:
    days = day_shares(hours)
    in_force = _in_force(np.array(list(days), np.int64), [one.valid_from for one in ordered])
    held = [
        (share, ordered[int(place)])
        for share, place in zip(days.values(), in_force, strict=True)
        if place >= 0
    ]
    return sum(share * tariff.standing_charge for share, tariff in held if tariff.currency == currency)


def _shares(
    hours: Hours, which: NDArray[np.bool_], tariff: Tariff
) -> list[tuple[str, NDArray[np.float64], float]]:
    """How much of each hour each price of the tariff holds for: name, share, price."""
    minute, length = hours.minute[which], hours.length[which] * 60
    weekday = hours.weekday[which]
    shares = [np.zeros(len(minute)) for _ in range(len(tariff.periods) + 1)]
    done = np.zeros(len(minute))
    while (left := length - done).max(initial=0) > 1e-9:
        at = minute + done
        # To the next quarter of the clock, on which periods begin and end.
        step = np.minimum(QUARTER - at % QUARTER, np.maximum(left, 0))
        free = np.ones(len(minute), np.bool_)
        clock = np.floor(at).astype(np.int64)
        for place, period in enumerate(tariff.periods):
            taken = free & period.covers(weekday, clock)
            shares[place] += np.where(taken, step, 0) / length
            free &= ~taken
        shares[-1] += np.where(free, step, 0) / length
        done += step
    names = [(period.name, period.price) for period in tariff.periods] + [("", tariff.price)]
    return [(name, share, price) for (name, price), share in zip(names, shares, strict=True) if share.any()]
