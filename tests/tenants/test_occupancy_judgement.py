"""How far a space's figures are to be trusted, and what of its sensors counts."""

from __future__ import annotations

from datetime import UTC, datetime

import numpy as np
import pytest

from insula_tenants.analytics.completeness import Completeness
from insula_tenants.analytics.measured import MeasuredPoint
from insula_tenants.analytics.occupancy.judgement import Buckets, SpaceUse, judge
from insula_tenants.analytics.occupancy.use import clock_of
from insula_tenants.analytics.series import Series
from insula_tenants.analytics.spaces import MeasuredSpace
from insula_tenants.telemetry.buckets import microseconds

QUARTER = 900_000_000
N = 96
TIMES = microseconds(datetime(2026, 5, 4, tzinfo=UTC)) + np.arange(N, dtype=np.int64) * QUARTER
SPACE = MeasuredSpace(1, "Room", "Room", None, 4, 1, 1, "Europe/Brussels")
DAYTIME = (np.arange(N) >= 32) & (np.arange(N) < 64)


def point(number: int, brick_class: str, unit: str | None = None) -> MeasuredPoint:
    return MeasuredPoint(
        id=number,
        device="device",
        name="point",
        brick_class=brick_class,
        unit=unit,
        kind="gauge",
        states=None,
        minimum=None,
        maximum=None,
        expected_interval=900,
        space=1,
        storey=1,
        building=1,
        time_zone="Europe/Brussels",
    )


ALL = Completeness(N, N)


def use(*given: tuple[MeasuredPoint, np.ndarray], complete: Completeness = ALL) -> SpaceUse:
    series = {one.id: Series(TIMES, values.astype(np.float64)) for one, values in given}
    buckets = Buckets(clock_of(TIMES, QUARTER, SPACE.time_zone), TIMES, series, {})
    points = [one for one, _ in given]
    return judge(SPACE, points, buckets, {one.id: complete for one in points})


LIGHT, CO2 = point(1, "Illuminance_Sensor", "lux"), point(2, "CO2_Level_Sensor", "ppm")
WARM = point(3, "Zone_Air_Temperature_Sensor", "degC")
LIT, BREATHED = np.where(DAYTIME, 460, 0), np.where(DAYTIME, 900, 430)
MILD = np.full(N, 21.0)


def test_a_room_like_the_one_that_the_model_knows():
    found = use((LIGHT, LIT), (CO2, BREATHED), (WARM, MILD))
    assert (found.source, found.variant) == ("inferred", "light_co2_temperature")
    assert (found.hours_observed, found.hours_in_use) == (24, 8)
    assert found.confidence.level == "medium"
    assert len(found.confidence.reasons) == 1
    one_alone = use((LIGHT, LIT))
    assert (one_alone.variant, one_alone.confidence.level, one_alone.hours_in_use) == ("light", "low", 8)


@pytest.mark.parametrize(
    ("light", "co2", "reason"),
    [
        (np.where(DAYTIME, 2400, 0), BREATHED, "the sun reaches its light sensor, 2400 lux"),
        (np.where(DAYTIME, 120, 0), BREATHED, "never shows more than 120 lux"),
        (LIT, np.where(DAYTIME, 480, 430), "its CO2 moves by 50 ppm only"),
    ],
    ids=["sun", "dark", "airy"],
)
def test_a_room_unlike_it_is_trusted_less(light: np.ndarray, co2: np.ndarray, reason: str):
    confidence = use((LIGHT, light), (CO2, co2), (WARM, MILD)).confidence
    assert confidence.level == "low"
    assert reason in confidence.reasons[-1]


def test_readings_that_are_missing_cost_confidence():
    sensor = point(4, "Occupancy_Sensor")
    assert use((sensor, DAYTIME)).confidence.level == "high"
    found = use((sensor, DAYTIME), complete=Completeness(96, 48))
    assert found.confidence.level == "medium"
    assert found.confidence.reasons == ("only 50% of the expected readings are there",)
    assert found.completeness == Completeness(96, 48)


def test_units_are_turned_and_what_cannot_be_is_left_out():
    in_kelvin = point(3, "Zone_Air_Temperature_Sensor", "kelvin")
    turned = use((LIGHT, LIT), (CO2, BREATHED), (in_kelvin, MILD + 273.15))
    assert turned.variant == "light_co2_temperature"
    assert turned.hours_in_use == 8
    nonsense = point(2, "CO2_Level_Sensor", "degC")
    assert use((nonsense, BREATHED)).source == "none"
    assert use().confidence.level == "none"
