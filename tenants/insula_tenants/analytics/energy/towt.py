"""The time-of-week and temperature model of a building's load (TOWT).

J. Mathieu, P. Price, S. Kiliccote, M. Piette, "Quantifying changes in building electricity use, with
application to demand response", IEEE Transactions on Smart Grid 2 (2011): the load is a value for each hour
of the week and a continuous, piecewise linear effect of the outdoor temperature, which is another while the
building is in use. When that is, the load itself tells, as in LBNL's RMV2.0 and CalTRACK's hourly method.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

WEEK = 168
SEGMENTS = 6
"""Of the temperature, as in the paper: equally wide."""
FEWEST_IN_SEGMENT = 20
"""Hours that a segment needs, as in CalTRACK; one with fewer is joined to its neighbour."""
COLD, WARM = 10.0, 18.3
"""°C, 50 °F and 65 °F: between them the first, rough model takes the load not to follow the temperature."""
IN_USE = 0.65
"""An hour of the week is in use when the rough model says too little in more than this share of its hours."""


@dataclass(frozen=True, slots=True)
class Effect:
    """How the load follows the temperature within a segment."""

    occupied: bool
    starts: float
    """°C"""
    ends: float
    """°C"""
    slope: float
    """Of the load, per K."""


@dataclass(frozen=True, slots=True)
class Towt:
    """A fitted model. Its parameters are as many as ordinary least squares estimated."""

    level: NDArray[np.float64]
    """By hour of the week: the load without the temperature's part. NaN for one never measured."""
    occupied: NDArray[np.bool_]
    """By hour of the week: whether the building is in use."""
    knots: NDArray[np.float64]
    """°C, the segments' bounds, from the lowest to the highest temperature that was fitted on."""
    slopes: NDArray[np.float64]
    """Of the load per K, by mode (not in use, in use) and segment; empty without temperature."""
    parameters: int

    def predict(
        self, hour_of_week: NDArray[np.int64], temperature: NDArray[np.float64] | None
    ) -> NDArray[np.float64]:
        """The load of each hour, NaN where it cannot be told.

        Beyond the temperatures that it was fitted on, it follows the outermost segment.
        """
        load = self.level[hour_of_week]
        if not self.slopes.size or temperature is None:
            return load
        mode = self.occupied[hour_of_week].astype(np.int64)
        effect: NDArray[np.float64] = (components(temperature, self.knots) * self.slopes[mode]).sum(axis=1)
        return load + effect

    @property
    def effects(self) -> list[Effect]:
        """How it follows the temperature."""
        return [
            Effect(bool(mode), float(self.knots[one]), float(self.knots[one + 1]), float(slope))
            for mode, slopes in enumerate(self.slopes)
            for one, slope in enumerate(slopes)
            if self.occupied.any() or mode == 0
        ]


def fit_towt(
    load: NDArray[np.float64], hour_of_week: NDArray[np.int64], temperature: NDArray[np.float64] | None
) -> Towt:
    """The model by ordinary least squares; loads and temperatures (°C) are by hour, and none is NaN.

    `hour_of_week` is 0 for Monday at midnight to 167. Without temperature it is the mean of each hour of the
    week. Raises `ValueError` without an hour.
    """
    if not len(load):
        raise ValueError("there is no hour to fit")
    if temperature is None:
        level, known = _means(load, hour_of_week)
        nothing = np.empty((0, 0))
        return Towt(
            np.where(known, level, np.nan), np.zeros(WEEK, np.bool_), np.empty(0), nothing, int(known.sum())
        )
    occupied = hours_in_use(load, hour_of_week, temperature)
    knots = knots_of(temperature)
    parts = components(temperature, knots)
    level, known = _means(load, hour_of_week)
    slopes = np.zeros((2, parts.shape[1]))
    parameters = int(known.sum())
    # Least squares with an indicator for each hour of the week is least squares of what differs from
    # the mean of each (Frisch and Waugh 1933, Lovell 1963): 6 columns to solve in place of 174.
    centre = np.stack([_means(part, hour_of_week)[0] for part in parts.T], axis=1)
    for mode in (0, 1):
        which = occupied[hour_of_week] == bool(mode)
        if not which.any():
            continue
        at = hour_of_week[which]
        found, _, rank, _ = np.linalg.lstsq(parts[which] - centre[at], load[which] - level[at], rcond=1e-9)
        slopes[mode] = found
        parameters += int(rank)
    level = level - (centre * slopes[occupied.astype(np.int64)]).sum(axis=1)
    return Towt(np.where(known, level, np.nan), occupied, knots, slopes, parameters)


def hours_in_use(
    load: NDArray[np.float64], hour_of_week: NDArray[np.int64], temperature: NDArray[np.float64]
) -> NDArray[np.bool_]:
    """By hour of the week: whether a model of the temperature alone mostly says too little there."""
    cold, warm = np.maximum(COLD - temperature, 0), np.maximum(temperature - WARM, 0)
    design = np.stack([np.ones_like(load), cold, warm], axis=1)
    rough, *_ = np.linalg.lstsq(design, load, rcond=None)
    above = (load > design @ rough).astype(np.float64)
    share, known = _means(above, hour_of_week)
    return known & (share > IN_USE)


def knots_of(temperature: NDArray[np.float64]) -> NDArray[np.float64]:
    """Bounds of equally wide segments from the lowest to the highest temperature, those too thin joined."""
    edges = np.linspace(temperature.min(), temperature.max(), SEGMENTS + 1)
    kept = [edges[0]]
    for edge in edges[1:-1]:
        inside = (temperature >= kept[-1]) & (temperature < edge)
        if inside.sum() >= FEWEST_IN_SEGMENT and (temperature >= edge).sum() >= FEWEST_IN_SEGMENT:
            kept.append(edge)
    return np.array([*kept, edges[-1]])


def components(temperature: NDArray[np.float64], knots: NDArray[np.float64]) -> NDArray[np.float64]:
    """What of each temperature lies in each segment, K: a row each, whose sum is its excess of the lowest.

    The outermost segments take what is beyond them.
    """
    above = temperature[:, None] - knots[None, :-1]
    widths = np.diff(knots)
    lowest, highest = np.zeros(len(widths)), widths.copy()
    lowest[0], highest[-1] = -np.inf, np.inf
    return np.clip(above, lowest, highest)


def _means(
    values: NDArray[np.float64], hour_of_week: NDArray[np.int64]
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """The mean by hour of the week, 0 where there is none, and where there is one."""
    count = np.bincount(hour_of_week, minlength=WEEK)
    total = np.bincount(hour_of_week, weights=values, minlength=WEEK)
    return total / np.maximum(count, 1), count > 0
