"""Faults put into signals: each is found when it is there, where it is, and not when it is not."""

from __future__ import annotations

import numpy as np
import pytest

from insula_tenants.analytics.anomaly import Episode, Known, drifting, flat, reconcile, stuck, unusual
from insula_tenants.analytics.anomaly.episodes import RECENT
from insula_tenants.analytics.anomaly.robust import spread_of
from insula_tenants.analytics.forecast import Hours, look_ahead
from insula_tenants.analytics.forecast.hours import DAY, HOUR
from insula_tenants.analytics.forecast.outlook import Outlook
from tests.tenants.analytics_signals import COUNT, recorded, signal


def room(hour: np.ndarray, seed: int = 1) -> np.ndarray:
    """21 °C, 2 K more in the afternoon, and 0.3 K of noise."""
    noise = np.random.default_rng(seed).normal(0, 0.3, len(hour))
    return 21 + 2 * np.sin(2 * np.pi * (hour - 9) / 24) + noise


def unusual_in(hours: Hours) -> list[Episode]:
    outlook = look_ahead(hours)
    assert isinstance(outlook, Outlook)
    return unusual(hours, outlook.rolled)


def test_spread_is_that_of_the_normal_values():
    values = np.random.default_rng(1).normal(5, 2, 2000)
    values[::10] = 1000
    assert spread_of(values) == pytest.approx(2, rel=0.2)
    # The median absolute deviation by hand: of 1, 1, 2, 2, 4, 6, 9 the median is 2, away by 1 1 0 0 2 4 7.
    assert spread_of(np.array([1, 1, 2, 2, 4, 6, 9.0])) == pytest.approx(1.4826)
    # More than half alike: the mean absolute deviation, 10 / 5.
    assert spread_of(np.array([0, 0, 0, 0, 10.0])) == pytest.approx(1.2533 * 2)
    assert spread_of(np.full(3, np.nan)) == 0


def test_a_room_as_it_always_is_has_nothing_unusual():
    assert unusual_in(signal(room)) == []


def test_a_window_left_open_for_five_hours_is_one_episode():
    open_window = slice(COUNT - 20, COUNT - 15)
    hours = signal(lambda hour: room(hour) - 8 * ((hour >= open_window.start) & (hour < open_window.stop)))
    (found,) = unusual_in(hours)
    assert (found.begins, found.ends) == (hours.time_of(open_window.start), hours.time_of(open_window.stop))
    assert found.over
    assert found.severity == "critical"  # it lasted, and it was far off
    assert found.value < found.low < 21 < found.high
    # The range is six spreads of the forecast's errors on either side.
    assert found.high - found.low == pytest.approx(2 * 6 * 0.3, rel=0.35)


def test_what_is_unusual_in_the_last_hour_is_not_over():
    hours = signal(lambda hour: room(hour) + 9 * (hour == COUNT - 1))
    (found,) = unusual_in(hours)
    assert (found.over, found.severity, found.ends) == (False, "warning", hours.end)


def test_a_step_is_unusual_until_the_forecast_has_learned_it():
    hours = signal(lambda hour: room(hour) + 6 * (hour >= COUNT - 10 * DAY))
    first, *_ = unusual_in(hours)
    assert first.begins == hours.time_of(COUNT - 10 * DAY)
    assert all(one.over for one in unusual_in(hours)), "it has become what is usual"


def test_a_recorded_house_has_few_unusual_hours():
    """Four weeks of a house that nobody has called faulty: less than one hour in a hundred."""
    for name, hours in recorded("appliances/testing.csv", ["T1", "RH_1", "T6"]).items():
        flagged = sum((one.ends - one.begins) // HOUR for one in unusual_in(hours))
        assert flagged <= 7, name


def stuck_in(hours: Hours) -> Episode | None:
    return stuck(hours, hours.values, hours.values)


def test_a_stuck_sensor_is_found_with_the_hour_it_stopped():
    hours = signal(lambda hour: np.where(hour < COUNT - 30, room(hour), 22.5))
    found = stuck_in(hours)
    assert found is not None
    assert (found.value, found.severity, found.over) == (22.5, "warning", False)
    assert (found.begins, found.ends) == (hours.time_of(COUNT - 30), hours.end)
    # What it ranged over before: 21 °C and nearly 2 K on either side.
    assert (found.low, found.high) == (pytest.approx(19, abs=0.4), pytest.approx(23, abs=0.4))
    week = stuck_in(signal(lambda hour: np.where(hour < COUNT - 170, room(hour), 22.5)))
    assert week is not None
    assert week.severity == "critical"


def test_what_stood_still_as_long_before_is_not_stuck():
    """A light that is off at night and over the weekend: 60 hours from Friday, and now for 40."""

    def light(hour: np.ndarray) -> np.ndarray:
        on = (hour // 24 % 7 < 5) & (hour % 24 >= 8) & (hour % 24 < 20)
        return np.where(on & (hour < COUNT - 40), 300.0 + hour % 7, 0.0)

    assert stuck_in(signal(light)) is None
    assert stuck_in(signal(room)) is None


def test_a_sensor_that_was_never_seen_to_move_is_not_called_stuck():
    """But nothing says that it has come to life: a finding that there is goes on."""
    found = stuck_in(signal(lambda hour: np.full(len(hour), 7.0)))
    assert found is not None
    assert found.only_lasts


def test_a_sensor_that_is_silent_is_not_stuck_for_longer():
    hours = signal(
        lambda hour: np.where(hour < COUNT - 60, room(hour), 22.5), missing=[slice(COUNT - 30, COUNT)]
    )
    found = stuck_in(hours)
    assert found is not None
    assert found.ends == hours.time_of(COUNT - 30)


def flat_in(hours: Hours) -> Episode | None:
    return flat(hours, hours.values - 0.01, hours.values + 0.01)


def test_a_flat_line_is_found():
    """The sensor is dead and its converter is not: 22.5 °C and a few hundredths of noise for five days."""
    quiet = COUNT - 120
    noise = np.random.default_rng(3).normal(0, 0.02, COUNT)
    hours = signal(lambda hour: np.where(hour < quiet, room(hour), 22.5 + noise))
    found = flat_in(hours)
    assert found is not None
    assert found.begins == hours.time_of(COUNT - 96)  # the first two days that are wholly flat
    assert found.value < 0.2
    # A sine of 2 K goes through 4, and noise of 0.3 K adds to it.
    assert 4 < found.low < found.high < 6.5
    assert flat_in(signal(room)) is None


def test_a_room_that_was_as_quiet_before_is_not_flat():
    def with_holidays(hour: np.ndarray) -> np.ndarray:
        away = ((hour > 200) & (hour < 400)) | (hour >= COUNT - 120)
        return np.where(away, 22.5 + 0.02 * np.sin(hour), room(hour))

    assert flat_in(signal(with_holidays)) is None


def drift_of(per_day: float, days: int = 28) -> np.ndarray:
    return per_day * np.maximum(np.arange(COUNT) - (COUNT - days * DAY), 0) / DAY


@pytest.mark.parametrize("others", [1, 2, 3])
def test_a_drift_of_known_slope_is_found_at_the_sensor_that_drifts(others: int):
    drift = drift_of(0.12)
    good = [signal(lambda hour, seed=seed: room(hour, seed)) for seed in range(2, 2 + others)]
    bad = signal(lambda hour: room(hour) + drift)
    found = drifting(bad, [one.values for one in good])
    assert found is not None
    assert found.per_day == pytest.approx(0.12, rel=0.1)
    assert found.basis == "neighbours"
    assert bad.end - 28 * DAY * HOUR <= found.begins < bad.end - 20 * DAY * HOUR
    assert found.value > found.high  # by 3.4 K
    assert found.value - (found.low + found.high) / 2 == pytest.approx(0.12 * 27, rel=0.2)
    for one in good:
        rest = [other.values for other in (*good, bad) if other is not one]
        assert drifting(one, rest) is None, "the others are as they were"


def test_a_room_that_warms_up_as_a_whole_has_no_sensor_that_drifts():
    warming = drift_of(0.12)
    one, other = (signal(lambda hour, seed=seed: room(hour, seed) + warming) for seed in (1, 2))
    assert drifting(one, [other.values]) is None


def test_noise_is_no_drift():
    one, other = (signal(lambda hour, seed=seed: room(hour, seed)) for seed in (1, 2))
    assert drifting(one, [other.values]) is None
    assert drifting(one, []) is None


def test_alone_it_drifts_when_it_has_left_its_own_past_for_good():
    hours = signal(lambda hour: room(hour) + drift_of(0.3))
    found = drifting(hours, [])
    assert found is not None
    assert (found.basis, found.severity) == ("past", "info")
    assert found.per_day == pytest.approx(0.3, rel=0.1)
    assert found.value > found.high
    assert drifting(signal(lambda hour: room(hour) + drift_of(0.05)), []) is None


NOW = 1_000 * DAY * HOUR


def episode(begins: int, ends: int, *, over: bool = False, value: float = 9.0, **rest) -> Episode:
    """Hours before now."""
    return Episode(
        "unusual", "warning", "forecast", NOW - begins * HOUR, NOW - ends * HOUR, over, value, 1, 3, **rest
    )


def known(begins: int, ends: int, *, closed: bool = False, value: float = 9.0) -> Known:
    seen = NOW - ends * HOUR
    return Known(1, "unusual", "info", NOW - begins * HOUR, seen, seen if closed else None, value, 1, 3)


def test_a_condition_that_lasts_is_one_finding():
    (new,) = reconcile([], [episode(5, 0)], NOW)
    assert (new.finding, new.opened, new.closed) == (None, NOW - 5 * HOUR, None)
    (same,) = reconcile([known(7, 2)], [episode(5, 0)], NOW)
    assert (same.finding, same.opened, same.seen, same.closed) == (1, NOW - 7 * HOUR, NOW, None)
    assert same.episode is not None
    assert same.episode.severity == "warning"  # it has become worse


def test_a_finding_closes_by_itself_when_nothing_speaks_for_it_any_more():
    (gone,) = reconcile([known(30, 6)], [], NOW)
    assert (gone.finding, gone.episode, gone.closed) == (1, None, NOW - 6 * HOUR)
    (over,) = reconcile([known(30, 6)], [episode(30, 4, over=True)], NOW)
    assert (over.finding, over.closed) == (1, NOW - 4 * HOUR)
    assert reconcile([known(30, 6, closed=True)], [], NOW) == []


def test_what_comes_again_soon_opens_the_same_finding():
    (again,) = reconcile([known(10, 4, closed=True)], [episode(2, 0)], NOW)
    assert (again.finding, again.closed) == (1, None)
    ended, new = reconcile([known(30, 20)], [episode(2, 0)], NOW)
    assert (ended.finding, ended.closed) == (1, NOW - 20 * HOUR)  # before the new one is opened
    assert new.finding is None


def test_the_most_unusual_value_stays_the_evidence():
    (change,) = reconcile([known(7, 2, value=50.0)], [episode(5, 0, value=9.0)], NOW)
    assert change.episode is not None
    assert change.episode.value == 50.0


def test_what_ended_long_ago_opens_nothing():
    old = RECENT // HOUR + 1
    assert reconcile([], [episode(old + 5, old, over=True)], NOW) == []
    assert reconcile([], [episode(100, 0, only_lasts=True)], NOW) == []
    (kept,) = reconcile([known(200, 1)], [episode(100, 0, only_lasts=True)], NOW)
    assert (kept.finding, kept.closed) == (1, None)
