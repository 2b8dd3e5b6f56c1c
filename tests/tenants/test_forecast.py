"""Forecasts of signals whose next day is known, scores by hand, and the recorded rooms."""

from __future__ import annotations

from datetime import UTC, datetime

import numpy as np
import pytest

from insula_tenants.analytics.forecast import HORIZON, Bounds, Hours, look_ahead
from insula_tenants.analytics.forecast.backtest import interval_of, score
from insula_tenants.analytics.forecast.hours import bridged
from insula_tenants.analytics.forecast.naive import naive_error, seasonal_naive
from insula_tenants.analytics.forecast.outlook import Outlook
from tests.tenants.analytics_signals import BRUSSELS, COUNT, recorded, signal

RANDOM = np.random.default_rng


def found(hours: Hours, bounds: Bounds | None = None) -> Outlook:
    outlook = look_ahead(hours, bounds)
    assert isinstance(outlook, Outlook)
    return outlook


def day(hour: np.ndarray) -> np.ndarray:
    """A room: 21 °C, 2 K more in the afternoon."""
    return 21 + 2 * np.sin(2 * np.pi * (hour - 9) / 24)


def test_a_sine_with_noise_is_forecast_to_within_the_noise():
    noise = RANDOM(1).normal(0, 0.5, COUNT)
    outlook = found(signal(lambda hour: day(hour) + noise))
    truth = day(np.arange(COUNT, COUNT + HORIZON))
    assert np.abs(outlook.expected - truth).mean() < 0.15
    # The mean absolute error of what is normal is 0.8 of its standard deviation; a naive forecast has the
    # noise of two hours, so √2 of that.
    assert outlook.model == "ridge"
    assert outlook.scores is not None
    assert outlook.scores.mae == pytest.approx(0.8 * 0.5, rel=0.1)
    assert outlook.naive_scores.mae == pytest.approx(0.8 * 0.5 * np.sqrt(2), rel=0.1)
    assert outlook.naive_scores.mase == pytest.approx(1, abs=0.1)
    assert outlook.scores.mase == pytest.approx(1 / np.sqrt(2), rel=0.15)
    assert outlook.scores.coverage == pytest.approx(0.9, abs=0.04)
    # Nine tenths of a normal distribution lie within 1.645 standard deviations.
    assert (outlook.upper - outlook.lower).mean() == pytest.approx(2 * 1.645 * 0.5, rel=0.15)


def test_noise_alone_is_forecast_by_its_mean():
    outlook = found(signal(lambda hour: RANDOM(2).normal(10, 1, len(hour))))
    assert np.abs(outlook.expected - 10).mean() < 0.3
    assert ((outlook.lower < 10) & (outlook.upper > 10)).all()


def test_a_step_is_followed():
    """The heating was turned up by 3 K ten days ago."""
    stepped = signal(lambda hour: day(hour) + 3 * (hour >= COUNT - 240) + RANDOM(3).normal(0, 0.1, len(hour)))
    truth = day(np.arange(COUNT, COUNT + HORIZON)) + 3
    assert np.abs(found(stepped).expected - truth).mean() < 0.5


def test_a_gap_of_ten_days_leaves_the_week_as_it_was():
    """A building that is used on working days, and whose gateway was off over the holidays."""

    def used(hour: np.ndarray) -> np.ndarray:
        return np.where((hour // 24 % 7 < 5) & (hour % 24 > 7) & (hour % 24 < 19), 100.0, 10.0)

    hours = signal(used, until=datetime(2026, 3, 2, tzinfo=UTC), missing=[slice(COUNT - 360, COUNT - 120)])
    outlook = found(hours)
    assert outlook.season == 168  # Monday comes, and the day before was Sunday
    assert np.abs(outlook.expected - used(np.arange(COUNT, COUNT + HORIZON))).mean() < 5


def test_what_the_naive_forecast_knows_best_it_says():
    """Exactly as a week before: no model is better."""
    outlook = found(signal(lambda hour: RANDOM(4).normal(0, 1, 168)[hour % 168]))
    assert outlook.model == "seasonal_naive"
    assert outlook.naive_scores.mae == 0
    assert outlook.expected.tolist() == outlook.naive.tolist()
    assert outlook.naive_scores.mase is None  # it scales by the naive forecast's errors, and there is none


def test_naive_is_the_same_hour_by_local_clocks_when_they_change():
    """Summer time begins on 29 March 2026: 10:00 in Brussels is 09:00 UTC before, 08:00 after."""
    hours = signal(
        lambda hour: hour.astype(float), until=datetime(2026, 3, 29, tzinfo=UTC), time_zone=BRUSSELS
    )
    naive = seasonal_naive(hours, COUNT, 24)
    assert naive[0] == COUNT - 24
    assert naive[8] == COUNT - 24 + 8 + 1
    assert hours.of_week[COUNT] == 6 * 24 + 1  # Sunday, 01:00 in Brussels


def test_an_hour_that_clocks_skipped_is_taken_from_the_day_before_it():
    """On 29 March 2026 nothing is between 2:00 and 3:00 in Brussels, that is at 01:00 UTC."""
    hours = signal(
        lambda hour: hour.astype(float), until=datetime(2026, 3, 29, 22, tzinfo=UTC), time_zone=BRUSSELS
    )
    naive = seasonal_naive(hours, COUNT, 24)
    assert naive[1:4].tolist() == [COUNT - 24 + 1 + 1, COUNT - 48 + 2 + 1, COUNT - 24 + 3]


def test_a_missing_hour_is_taken_from_the_day_before_it():
    hours = signal(lambda hour: hour.astype(float), missing=[slice(COUNT - 20, COUNT - 18)])
    naive = seasonal_naive(hours, COUNT, 24)
    assert naive[3:7].tolist() == [COUNT - 21, COUNT - 44, COUNT - 43, COUNT - 18]


def test_scores_by_hand():
    came = np.arange(12.0).repeat(2).reshape(1, 24).repeat(7, axis=0)
    came[6, 0] = np.nan
    scores = score(came, came - np.array([1, -1, 1, -1, 1, -1, 2])[:, None], naive_error=4.0)
    assert scores.mae == pytest.approx((6 * 24 * 1 + 23 * 2) / (6 * 24 + 23))
    assert scores.mase == pytest.approx(scores.mae / 4)
    # The interval is [-1, 1]: the errors of the sixth day lie on its end, those of the seventh 1 beyond it.
    assert scores.coverage == pytest.approx(24 / (24 + 23))
    # A value at the lower end costs 0 there and 0.05 times 2 at the upper; one 1 above costs 0.05 times 3
    # and 0.95 times 1.
    assert scores.pinball == pytest.approx((24 * (0 + 0.05 * 2) + 23 * (0.05 * 3 + 0.95)) / 2 / 47)


def test_an_interval_holds_the_quantiles_of_errors():
    below, above = interval_of(np.arange(1.0, 21).reshape(20, 1).repeat(24, axis=1))
    # Of each of 20 errors five: the 5th and the 96th of 100, counted as 101 would be.
    assert (below[12], above[12]) == (1.0, 20.0)
    assert interval_of(np.full((3, 24), 2.0)).tolist() == np.full((2, 24), 2.0).tolist()


def test_mase_scales_by_the_naive_error_of_the_history():
    assert naive_error(signal(lambda hour: hour.astype(float)), 24) == 24
    assert naive_error(signal(lambda hour: np.ones(len(hour))), 24) is None


def test_gaps_of_three_hours_are_bridged_and_longer_ones_are_not():
    values = np.array([1, np.nan, np.nan, np.nan, 5, np.nan, np.nan, np.nan, np.nan, 10])
    assert bridged(values)[:5].tolist() == [1, 2, 3, 4, 5]
    assert np.isnan(bridged(values)[5:9]).all()


def test_a_history_that_tells_too_little_is_not_forecast():
    assert look_ahead(signal(day, missing=[slice(0, COUNT - 71)])) == "too_short"
    assert look_ahead(signal(day, missing=[slice(COUNT - 24, COUNT)])) == "silent"
    assert look_ahead(signal(day, missing=[slice(0, COUNT)])) == "too_short"
    short = found(signal(day, missing=[slice(0, COUNT - 96)]))
    assert (short.model, short.scores) == ("seasonal_naive", None)


def test_a_forecast_stays_within_what_can_be():
    outlook = found(signal(lambda hour: np.abs(RANDOM(5).normal(0, 1, len(hour)))), Bounds(0.0, 2.5))
    assert outlook.lower.min() >= 0
    assert outlook.upper.max() <= 2.5
    assert (outlook.lower <= outlook.expected).all()
    assert (outlook.expected <= outlook.upper).all()


def test_a_naive_forecast_stays_within_what_can_be_as_well():
    """Readings may lie outside of a point's range: the day before did."""
    outlook = found(signal(lambda hour: np.where(hour % 24 < 12, -5.0, 5.0)), Bounds(0.0))
    assert outlook.model == "seasonal_naive"
    assert outlook.naive.min() == -5
    assert outlook.expected.min() == outlook.lower.min() == 0


@pytest.mark.parametrize("value", [0.0, 21.5])
def test_a_value_that_never_changes_is_forecast_as_it_is(value: float):
    outlook = found(signal(lambda hour: np.full(len(hour), value)))
    assert (outlook.expected == value).all()
    assert (outlook.lower == value).all()


def test_absurd_readings_do_not_bend_the_forecast():
    def with_faults(hour: np.ndarray) -> np.ndarray:
        absurd = np.isin(hour, (COUNT - 168 + 12, COUNT - 30))  # a week before noon of the day, and yesterday
        return np.where(absurd, -127.0, day(hour) + RANDOM(6).normal(0, 0.1, len(hour)))

    assert np.abs(found(signal(with_faults)).expected - day(np.arange(COUNT, COUNT + HORIZON))).max() < 0.5


def test_the_low_energy_house():
    """Four months in Stambruges: the model beats the naive forecast where weather and people have a rhythm.

    Indoor temperatures follow their heating from one day to the next: there the naive forecast is better, and
    is used.
    """
    house = recorded("appliances/testing.csv", ["Appliances", "RH_1", "T6", "T1"])
    outlooks = {name: found(hours) for name, hours in house.items()}
    for name, mae, naive in (("Appliances", 41, 48), ("RH_1", 2.6, 3.4), ("T6", 2.6, 3.2)):
        outlook = outlooks[name]
        assert outlook.model == "ridge"
        assert outlook.scores is not None
        assert outlook.scores.mae == pytest.approx(mae, rel=0.1), name
        assert outlook.naive_scores.mae == pytest.approx(naive, rel=0.1), name
        assert outlook.scores.mase is not None
        assert outlook.scores.mase < 1
        assert 0.8 < (outlook.scores.coverage or 0) < 0.97, name
        assert len(outlook.rolled.origins) == 28
    assert outlooks["T1"].model == "seasonal_naive"
    assert outlooks["T1"].scores is not None
    assert outlooks["T1"].scores.mae > outlooks["T1"].naive_scores.mae


def test_the_office_room():
    """Two weeks in Mons. Temperature and humidity are forecast; presence is as it was a week before."""
    room = recorded("occupancy/*.csv", ["Temperature", "Humidity", "Occupancy"])
    outlooks = {name: found(hours) for name, hours in room.items()}
    for name in ("Temperature", "Humidity"):
        outlook = outlooks[name]
        assert outlook.scores is not None
        assert outlook.scores.mae < 0.95 * outlook.naive_scores.mae, name
        assert outlook.model == "ridge"
    assert (outlooks["Occupancy"].model, outlooks["Occupancy"].season) == ("seasonal_naive", 168)
    assert outlooks["Occupancy"].naive_scores.mae < 0.1
