"""Energy's formulas, against numbers worked out by hand."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from math import inf
from zoneinfo import ZoneInfo

import numpy as np
import pytest

from insula_tenants.analytics.energy.degree_days import degree_days
from insula_tenants.analytics.energy.guideline_14 import (
    autocorrelation,
    cv_rmse,
    fit_of,
    nmbe,
    savings_uncertainty,
)
from insula_tenants.analytics.energy.hours import Hours, day_shares, hours_of
from insula_tenants.analytics.energy.load import load_of, loads_of, typical_day, week_of
from insula_tenants.analytics.energy.opening import OpeningHours, closed_consumption
from insula_tenants.analytics.energy.tariffs import Factor, Period, Tariff, cost_of, emissions_of
from insula_tenants.errors import InvalidInput

BRUSSELS = ZoneInfo("Europe/Brussels")
WEEKDAYS = frozenset({1, 2, 3, 4, 5})
EVERY_DAY = frozenset(range(1, 8))


def hours(*day: int, days: int = 1, zone: str = "Europe/Brussels") -> Hours:
    """Some local days from this one on."""
    starting = datetime(*day, tzinfo=ZoneInfo(zone))  # type: ignore[misc]
    ending = datetime.fromordinal(starting.toordinal() + days).replace(tzinfo=ZoneInfo(zone))
    return hours_of(starting, ending, zone)


def day_of(*day: int) -> int:
    return (date(*day) - date(1970, 1, 1)).days


def test_hours_follow_the_clock_of_the_building():
    summer = hours(2026, 3, 29)
    assert len(summer) == 23
    assert summer.hour.tolist() == [0, 1, *range(3, 24)]
    assert set(summer.weekday.tolist()) == {7}
    winter = hours(2026, 10, 25)
    assert winter.hour.tolist() == [0, 1, 2, 2, *range(3, 24)]
    assert winter.length.tolist() == [1.0] * 25
    cut = hours_of(
        datetime(2026, 1, 5, 7, 15, tzinfo=BRUSSELS),
        datetime(2026, 1, 5, 9, 30, tzinfo=BRUSSELS),
        "Europe/Brussels",
    )
    assert cut.length.tolist() == [0.75, 1.0, 0.5]
    assert day_shares(cut) == {day_of(2026, 1, 5): pytest.approx(2.25 / 24)}
    assert day_shares(winter) == {day_of(2026, 10, 25): 1.0}


def test_cv_rmse_and_nmbe_of_ten_numbers():
    """ȳ = 19, Σ(y-ŷ) = 5, Σ(y-ŷ)² = 19, and of ten values and two parameters eight degrees of freedom."""
    measured = np.array([10, 12, 14, 16, 18, 20, 22, 24, 26, 28], np.float64)
    errors = np.array([1, 1, 1, 1, 1, -1, -1, 2, 2, -2], np.float64)
    assert cv_rmse(measured, measured - errors, 2) == pytest.approx((19 / 8) ** 0.5 / 19)
    assert cv_rmse(measured, measured - errors, 2) == pytest.approx(0.0811107, abs=1e-7)
    assert nmbe(measured, measured - errors, 2) == pytest.approx(5 / (8 * 19))
    fit = fit_of(measured, measured - errors, 2, "hour")
    # Σ(y-ȳ)² = 330
    assert fit.r_squared == pytest.approx(1 - 19 / 330)
    assert fit.meets_limits
    # Within 10 % by the hour, but not within 5 % by the month: five more errors of 1 make the bias 10 / 152.
    biased = measured - errors - np.array([1, 1, 1, 1, 1, 0, 0, 0, 0, 0])
    assert fit_of(measured, biased, 2, "hour").meets_limits
    assert not fit_of(measured, biased, 2, "month").meets_limits
    assert cv_rmse(measured, measured, 10) is None
    assert nmbe(np.zeros(10), np.zeros(10), 2) is None


def test_the_uncertainty_of_savings():
    """Twelve months, two parameters: t of ten degrees of freedom at 90 % is 1.812 in every table."""
    errors = np.array([1.0, -1.0] * 6)
    fit = fit_of(np.full(12, 10.0) + errors, np.full(12, 10.0), 2, "month")
    assert fit.cv_rmse == pytest.approx((12 / 10) ** 0.5 / 10)
    found = savings_uncertainty(fit, 0.0, 12, 1000.0, 0.90)
    assert found == pytest.approx(1.8125 * 1.26 * 0.1095445 * ((1 + 2 / 12) / 12) ** 0.5 * 1000, rel=1e-4)
    # With ρ = 0.5 a third of the values is independent: n' = 4.
    correlated = savings_uncertainty(fit, 0.5, 12, 1000.0, 0.90)
    assert correlated / found == pytest.approx((3 * (1 + 2 / 4) / (1 + 2 / 12)) ** 0.5)
    assert savings_uncertainty(fit, 0.0, 0, 0.0) == inf


def test_residuals_are_correlated_with_their_neighbours_alone():
    residuals = np.array([1.0, 2.0, 3.0, -5.0, 9.0, 10.0, 12.0])
    follows = np.array([False, True, True, False, False, True, True])
    # Pairs (1, 2), (2, 3), (9, 10), (10, 12): of what differs from 5.5 and from 6.75.
    x, y = np.array([-4.5, -3.5, 3.5, 4.5]), np.array([-4.75, -3.75, 3.25, 5.25])
    assert autocorrelation(residuals, follows) == pytest.approx((x @ y) / ((x @ x) * (y @ y)) ** 0.5)
    assert autocorrelation(residuals, np.zeros(7, np.bool_)) == 0.0


def test_degree_days_by_hand():
    """Half a day at 5 °C and half at 20 °C, of bases 15.5 and 18.3: 10.5 / 2 and 1.7 / 2. Mean 12.5."""
    temperatures = np.array([5.0] * 12 + [20.0] * 12)
    (hourly,) = degree_days(temperatures, hours(2026, 1, 19))
    assert (hourly.heating, hourly.cooling) == (pytest.approx(5.25), pytest.approx(0.85))
    (mean,) = degree_days(temperatures, hours(2026, 1, 19), method="mean")
    assert (mean.mean, mean.heating, mean.cooling) == (pytest.approx(12.5), pytest.approx(3.0), 0.0)
    (based,) = degree_days(temperatures, hours(2026, 1, 19), heating_base=18.0, cooling_base=10.0)
    assert (based.heating, based.cooling) == (pytest.approx(6.5), pytest.approx(5.0))


def test_a_day_of_25_hours_is_a_day_and_one_with_a_gap_is_not_colder():
    (long,) = degree_days(np.full(25, 5.5), hours(2026, 10, 25))
    assert (long.hours, long.heating) == (25, pytest.approx(10.0))
    gap = np.full(24, 5.5)
    gap[:6] = np.nan
    (enough,) = degree_days(gap, hours(2026, 1, 19))
    assert (enough.hours, enough.heating) == (18, pytest.approx(10.0))
    gap[6] = np.nan
    (too_few,) = degree_days(gap, hours(2026, 1, 19))
    assert (too_few.hours, too_few.mean, too_few.heating, too_few.cooling) == (17, None, None, None)


def test_of_a_day_that_is_not_over_counts_what_is():
    """A day of 5.5 °C, and six hours of the next: ten degree days, and a quarter of ten."""
    starting = datetime(2026, 1, 19, tzinfo=BRUSSELS).astimezone(UTC)
    so_far = hours_of(starting, starting + timedelta(hours=30), "Europe/Brussels")
    for method in ("hourly", "mean"):
        days = degree_days(np.full(30, 5.5), so_far, method=method)
        assert [day.heating for day in days] == [pytest.approx(10.0), pytest.approx(2.5)]


NIGHT = Period("Night", EVERY_DAY, 22 * 60, 6 * 60, 0.10)
DAY_AND_NIGHT = Tariff(0, "EUR", 0.30, (NIGHT,), standing_charge=0.50)


@pytest.mark.parametrize(
    ("day", "night", "rest"),
    [
        ((2026, 1, 19), 8, 16),
        ((2026, 3, 29), 7, 16),  # the night loses an hour
        ((2026, 10, 25), 9, 16),  # and gets it back
    ],
)
def test_a_night_across_a_change_of_the_clock(day: tuple[int, ...], night: int, rest: int):
    """1 kWh an hour: night hours at 0.10, the rest at 0.30, and one day's standing charge."""
    of_day = hours(*day)
    cost = cost_of(np.ones(len(of_day)), of_day, [DAY_AND_NIGHT], standing=1)
    assert cost is not None
    assert cost.by_period == {"Night": pytest.approx(night * 0.10), "": pytest.approx(rest * 0.30)}
    assert cost.standing == pytest.approx(0.50)
    assert cost.total == pytest.approx(night * 0.10 + rest * 0.30 + 0.50)
    assert cost.priced == night + rest


def test_a_night_of_weekdays_ends_on_saturday_morning():
    weekdays = Tariff(0, "EUR", 0.0, (Period("Night", WEEKDAYS, 22 * 60, 6 * 60, 1.0),))
    week = hours(2026, 1, 19, days=7)
    cost = cost_of(np.ones(len(week)), week, [weekdays], standing=0)
    assert cost is not None
    assert cost.by_period["Night"] == pytest.approx(5 * 8)  # of Sunday night none, of Friday night all


def test_a_period_that_cuts_an_hour_takes_its_share():
    tariff = Tariff(0, "EUR", 1.0, (Period("Peak", EVERY_DAY, 7 * 60 + 15, 8 * 60 + 30, 3.0),))
    of_day = hours(2026, 1, 19)
    amounts = np.zeros(24)
    amounts[7], amounts[8] = 4.0, 2.0
    cost = cost_of(amounts, of_day, [tariff], standing=0)
    assert cost is not None
    # Three quarters of 4 kWh and half of 2 kWh at 3.00; the rest at 1.00.
    assert cost.by_period == {"Peak": pytest.approx(12.0), "": pytest.approx(2.0)}


def test_a_tariff_holds_until_the_next_and_what_is_before_the_first_has_no_price():
    first = Tariff(day_of(2026, 1, 20), "EUR", 0.20, standing_charge=1.0)
    second = Tariff(day_of(2026, 1, 22), "EUR", 0.30, standing_charge=2.0)
    days = hours(2026, 1, 19, days=5)
    cost = cost_of(np.ones(len(days)), days, [second, first], standing=1)
    assert cost is not None
    assert cost.energy == pytest.approx(2 * 24 * 0.20 + 2 * 24 * 0.30)
    assert cost.standing == pytest.approx(2 * 1.0 + 2 * 2.0)
    assert cost.priced == 4 * 24
    assert cost_of(np.ones(24), hours(2026, 1, 19), [first], standing=1) is None
    # A country that changes its money: only the newest's time is priced.
    euro = cost_of(np.ones(len(days)), days, [Tariff(0, "BGN", 0.40), second], standing=0)
    assert euro is not None
    assert (euro.currency, euro.priced) == ("EUR", 48)


def test_emissions_by_the_factor_of_the_day():
    factors = [Factor(day_of(2026, 1, 20), 0.2, "A"), Factor(day_of(2026, 1, 21), 0.1, "B")]
    days = hours(2026, 1, 19, days=3)
    amounts = np.ones(len(days))
    amounts[-1] = np.nan
    emissions = emissions_of(amounts, days, factors)
    assert emissions is not None
    assert emissions.co2e == pytest.approx(24 * 0.2 + 23 * 0.1)
    assert emissions.factored == 47
    assert emissions.sources == ("A", "B")
    assert emissions_of(amounts, days, []) is None


def test_what_is_consumed_while_the_building_is_closed():
    """Open 8 to 18 on weekdays; 10 kW then, 2 kW else."""
    week = hours(2026, 1, 19, days=7)
    is_open = (week.weekday <= 5) & (week.hour >= 8) & (week.hour < 18)
    found = closed_consumption(np.where(is_open, 10.0, 2.0), week, OpeningHours(WEEKDAYS, 480, 1080))
    assert found.night == pytest.approx(5 * 14 * 2)
    assert found.weekend == pytest.approx(2 * 24 * 2)
    assert found.share == pytest.approx(236 / (236 + 500))
    assert found.share_of_time == pytest.approx(118 / 168)
    half = closed_consumption(np.ones(24), hours(2026, 1, 19), OpeningHours(WEEKDAYS, 450, 1080))
    assert half.night == pytest.approx(24 - 10.5)
    with pytest.raises(InvalidInput, match="closes"):
        OpeningHours(WEEKDAYS, 1080, 480)


def test_base_load_and_peak():
    """Each day from 2 to 25 kW by the hour, on the second day a kilowatt more, and a peak in a gap."""
    days = hours(2026, 1, 19, days=3)
    amounts = np.tile(np.arange(2.0, 26.0), 3)
    amounts[24:48] += 1
    amounts[50] = 500.0
    measured = np.ones(72, np.bool_)
    measured[48:60] = False
    load = load_of(loads_of(amounts, measured, days), days)
    # The 2.5th percentile of 24 values lies 0.575 of the way from the lowest to the next: 2.575 and 3.575 kW.
    # The third day has 12 hours, and no base load.
    assert load.base == pytest.approx((2.575 + 3.575) / 2)
    assert load.hours == 60
    assert load.peak == 26.0
    assert load.peak_at == days.starts[47]
    assert load.mean == pytest.approx((sum(range(2, 26)) + sum(range(3, 27)) + sum(range(14, 26))) / 60)
    assert load_of(np.full(72, np.nan), days).base is None


def test_a_few_minutes_are_no_peak():
    cut = hours_of(
        datetime(2026, 1, 5, 7, 55, tzinfo=BRUSSELS),
        datetime(2026, 1, 5, 9, 0, tzinfo=BRUSSELS),
        "Europe/Brussels",
    )
    assert np.isnan(loads_of(np.array([1.0, 1.0]), np.ones(2, np.bool_), cut)).tolist() == [True, False]


def test_the_week_and_the_typical_day():
    days = hours(2026, 1, 19, days=14)
    loads = days.weekday * 100.0 + days.hour
    loads[168 + 9] = 209.0  # the second Monday at 9
    loads[10] = np.nan
    week = week_of(loads, days)
    assert week[6][23] == 723.0
    assert week[0][9] == (109 + 209) / 2
    assert week[0][10] == 110.0
    at_nine = typical_day(loads, days, days.weekday == 1)[9]
    assert (at_nine.days, at_nine.mean, at_nine.median) == (2, 159.0, 159.0)
    assert (at_nine.low, at_nine.high) == (pytest.approx(119.0), pytest.approx(199.0))
    assert typical_day(loads, days, np.zeros(len(days), np.bool_))[0].mean is None
