"""The model that infers use: read from its card, and applied with numpy alone.

A logistic regression: the probability that somebody is there is 1 / (1 + exp(−(b + Σ cᵢ·(xᵢ − mᵢ)/sᵢ))), with
each feature's mean m and scale s of the training data, its coefficient c, and the intercept b.
"""

from __future__ import annotations

import json
from collections.abc import Collection
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any

import numpy as np
from numpy.typing import NDArray

from insula_tenants.analytics.occupancy.features import Values, matrix
from insula_tenants.analytics.quantities import Quantity

CARD = "model.json"
"""Written by `train.py`."""


@dataclass(frozen=True, slots=True)
class Variant:
    """The model for what a room has."""

    name: str
    needs: frozenset[Quantity]
    names: tuple[str, ...]
    """Of the features."""
    means: NDArray[np.float64]
    scales: NDArray[np.float64]
    coefficients: NDArray[np.float64]
    intercept: float
    accuracy: float
    """The least of those reached on the test files, of quarters of an hour."""

    def probabilities(self, times: NDArray[np.float64], values: Values) -> NDArray[np.float64]:
        """Of somebody being there, at each time (seconds, in order).

        Raises `KeyError` where a quantity that it needs is not among the values.
        """
        if not len(times):
            return np.empty(0)
        features = (matrix(self.names, times, values) - self.means) / self.scales
        told: NDArray[np.float64] = 1 / (1 + np.exp(-(features @ self.coefficients + self.intercept)))
        return told


@cache
def card() -> dict[str, Any]:
    """The model card as it is in the package."""
    text = resources.files("insula_tenants.analytics.occupancy").joinpath(CARD).read_text("utf-8")
    loaded: dict[str, Any] = json.loads(text)
    return loaded


@cache
def variants() -> tuple[Variant, ...]:
    """Every variant, the most accurate over the training days first."""
    return tuple(variant_of(told) for told in card()["variants"])


def variant_of(told: dict[str, Any]) -> Variant:
    """A variant as the card tells it."""
    features = told["features"]
    return Variant(
        name=told["name"],
        needs=frozenset(Quantity(each) for each in told["needs"]),
        names=tuple(each["name"] for each in features),
        means=np.array([each["mean"] for each in features]),
        scales=np.array([each["scale"] for each in features]),
        coefficients=np.array([each["coefficient"] for each in features]),
        intercept=told["intercept"],
        accuracy=min((score["accuracy"] for score in told["scores"] if score["seconds"] == 900), default=0.0),
    )


def variant_for(has: Collection[Quantity]) -> Variant | None:
    """The most accurate variant that a room with sensors of these quantities can use; None where none can."""
    return next((one for one in variants() if one.needs <= set(has)), None)
