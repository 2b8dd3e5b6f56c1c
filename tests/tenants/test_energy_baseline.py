"""The baseline: coefficients that are known come back, and a real house is fitted as it should be."""

from __future__ import annotations

import csv
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from numpy.typing import NDArray

from insula_tenants.analytics.energy.baseline import Measured, TooLittle, fit_baseline, savings_of
from insula_tenants.analytics.energy.hours import Hours, hours_of
from insula_tenants.analytics.energy.towt import components, fit_towt, knots_of

BRUSSELS = ZoneInfo("Europe/Brussels")
KNOTS = np.array([-6.0, 0.0, 6.0, 12.0, 18.0, 24.0, 30.0])
IN_USE = np.array([-2.0, -2.0, -2.0, 0.0, 1.5, 1.5])
NOT_IN_USE = np.array([-0.5, -0.5, -0.5, 0.0, 0.0, 0.0])
"""kW/K of the made-up building, by segment of six degrees."""


def year(number: int) -> Hours:
    return hours_of(
        datetime(number, 1, 1, tzinfo=BRUSSELS),
        datetime(number + 1, 1, 1, tzinfo=BRUSSELS),
        "Europe/Brussels",
    )


def weather(hours: Hours, chance: np.random.Generator) -> NDArray[np.float64]:
    """A year from -6 °C to 30 °C, exactly."""
    season = -np.cos(2 * np.pi * np.arange(len(hours)) / len(hours))
    raw = 11 * season + 4 * np.sin(2 * np.pi * (hours.hour - 9) / 24) + chance.normal(0, 3, len(hours))
    return -6 + 36 * (raw - raw.min()) / (raw.max() - raw.min())


def building(hours: Hours, temperature: NDArray[np.float64]) -> NDArray[np.float64]:
    """In use from 7 to 19 on weekdays: 120 kW and what the hour brings; else 50 kW."""
    in_use = (hours.weekday <= 5) & (hours.hour >= 7) & (hours.hour < 19)
    parts = components(temperature, KNOTS)
    return np.where(in_use, 120.0 + hours.hour + parts @ IN_USE, 50.0 + parts @ NOT_IN_USE)


@pytest.fixture(scope="module")
def made_up() -> Measured:
    hours = year(2024)
    temperature = weather(hours, np.random.default_rng(7))
    return Measured(hours, building(hours, temperature), temperature)


def test_segments_add_up_to_the_temperature():
    temperatures = np.array([-10.0, -6.0, 3.0, 29.0, 40.0])
    assert components(temperatures, KNOTS).sum(axis=1) == pytest.approx(temperatures + 6)
    assert components(np.array([14.0]), KNOTS)[0].tolist() == [6.0, 6.0, 6.0, 2.0, 0.0, 0.0]


def test_a_thin_segment_joins_its_neighbour():
    cold_snap = np.concatenate([np.linspace(10, 22, 1000), [-2.0]])
    # Segments of 4 K: those from -2 to 10 °C have a single hour.
    assert knots_of(cold_snap) == pytest.approx([-2.0, 14.0, 18.0, 22.0])


def test_known_coefficients_come_back(made_up: Measured):
    baseline = fit_baseline(made_up)
    model = baseline.model
    assert model.knots == pytest.approx(KNOTS)
    expected = np.zeros(168, np.bool_)
    for day in range(5):
        expected[day * 24 + 7 : day * 24 + 19] = True
    assert model.occupied.tolist() == expected.tolist()
    assert model.slopes[1] == pytest.approx(IN_USE, abs=1e-9)
    assert model.slopes[0] == pytest.approx(NOT_IN_USE, abs=1e-9)
    assert model.level[7] == pytest.approx(127.0)
    assert model.level[6] == pytest.approx(50.0)
    # 168 hours of the week and twice six segments.
    assert baseline.hourly.parameters == 180
    assert baseline.hourly.observations == 8784
    assert baseline.hourly.cv_rmse == pytest.approx(0.0, abs=1e-9)
    assert baseline.monthly is not None
    assert (baseline.monthly.observations, baseline.monthly.parameters) == (12, 1)


def test_noise_is_what_the_fit_says_and_savings_are_what_was_saved(made_up: Measured):
    """Noise of 10 kW: CV(RMSE) is 10 kW of the mean. A tenth less the year after: a tenth is saved."""
    chance = np.random.default_rng(11)
    noise = chance.normal(0, 10, len(made_up.hours))
    baseline = fit_baseline(Measured(made_up.hours, made_up.load + noise, made_up.temperature))
    assert baseline.hourly.cv_rmse == pytest.approx(10 / made_up.load.mean(), rel=0.03)
    assert baseline.hourly.nmbe == pytest.approx(0.0, abs=1e-9)
    assert baseline.hourly.meets_limits
    assert abs(baseline.correlation) < 0.05
    after = year(2025)
    temperature = weather(after, chance)
    load = 0.9 * building(after, temperature)
    load[100:400] = np.nan  # a gap saves nothing and costs nothing
    savings, days = savings_of(baseline, Measured(after, load, temperature))
    known = ~np.isnan(load)
    true = float(building(after, temperature)[known].sum() * 0.1)
    assert savings.hours == 8760 - 300
    assert savings.amount == pytest.approx(true, rel=0.03)
    assert savings.uncertainty[0].low > savings.uncertainty[1].low
    assert savings.meets_guideline
    assert days[-1].cumulative == pytest.approx(savings.amount)
    assert days[0].cumulative == pytest.approx(days[0].predicted - days[0].actual)


def test_the_interval_of_savings_holds_them_as_often_as_it_says(made_up: Measured):
    """Of forty noises, 36 at 90 % confidence and 27 at 68 %: with nothing saved, savings are the error."""
    chance = np.random.default_rng(3)
    held = np.zeros(2)
    for _ in range(40):
        noise = chance.normal(0, 10, len(made_up.hours))
        baseline = fit_baseline(Measured(made_up.hours, made_up.load + noise, made_up.temperature))
        savings, _days = savings_of(baseline, made_up)
        held += [one.low <= 0 <= one.high for one in savings.uncertainty]
    assert held[0] >= 27
    assert held[1] >= 36


def test_what_is_colder_than_any_hour_of_the_baseline_is_said(made_up: Measured):
    baseline = fit_baseline(made_up)
    january = hours_of(
        datetime(2025, 1, 6, tzinfo=BRUSSELS), datetime(2025, 1, 7, tzinfo=BRUSSELS), "Europe/Brussels"
    )
    cold = np.linspace(-10, 0, 24)
    savings, _ = savings_of(baseline, Measured(january, np.full(24, 100.0), cold))
    assert savings.extrapolated == int((cold < -6).sum()) == 10


def test_without_temperature_it_is_the_mean_of_the_hour_of_the_week(made_up: Measured):
    baseline = fit_baseline(Measured(made_up.hours, made_up.load, None))
    monday_at_nine = made_up.load[made_up.hour_of_week == 9]
    assert baseline.model.level[9] == pytest.approx(monday_at_nine.mean())
    assert baseline.hourly.parameters == 168
    assert baseline.model.effects == []


def test_too_little_is_said_with_how_much_there_is(made_up: Measured):
    fortnight = slice(0, 336)
    hours = hours_of(
        datetime(2024, 1, 1, tzinfo=BRUSSELS), datetime(2024, 1, 15, tzinfo=BRUSSELS), "Europe/Brussels"
    )
    assert made_up.temperature is not None
    with pytest.raises(TooLittle, match="336 hours were measured"):
        fit_baseline(Measured(hours, made_up.load[fortnight], made_up.temperature[fortnight]))
    with pytest.raises(TooLittle, match="no hour"):
        fit_baseline(Measured(hours, np.full(336, np.nan), None))


def folder() -> Path:
    """`../shared/data/appliances` beside the project, wherever the checkout is."""
    for parent in Path(__file__).resolve().parents:
        if (found := parent / "shared" / "data" / "appliances").is_dir():
            return found
    raise AssertionError("the recorded data is not beside the project: ../shared/data/appliances")


def appliances() -> Measured:
    """The house in Stambruges by the hour, kW: the mean of the rows that were drawn of each."""
    hours = hours_of(
        datetime(2016, 1, 11, tzinfo=BRUSSELS), datetime(2016, 5, 28, tzinfo=BRUSSELS), "Europe/Brussels"
    )
    sums, counts = np.zeros((2, len(hours))), np.zeros(len(hours))
    epoch = datetime(1970, 1, 1, tzinfo=UTC)
    with (folder() / "testing.csv").open(newline="") as file:
        for row in csv.DictReader(file):
            time = datetime.fromisoformat(row["date"]).replace(tzinfo=BRUSSELS)
            at = (time - epoch) // timedelta(microseconds=1)
            place = np.searchsorted(hours.starts, at, side="right") - 1
            sums[:, place] += float(row["Appliances"]) * 6 / 1000, float(row["T_out"])
            counts[place] += 1
    with np.errstate(invalid="ignore"):
        load, temperature = np.where(counts > 0, sums / counts, np.nan)
    return Measured(hours, load, temperature)


def test_a_real_house_with_real_gaps():
    """Against least squares of the paper's whole matrix: the same predictions, and CV(RMSE) by hand."""
    house = appliances()
    known = house.known
    assert 2000 < known.sum() < len(house.hours), "hours without a row are gaps"
    assert house.temperature is not None
    baseline = fit_baseline(house)
    at, load, temperature = house.hour_of_week[known], house.load[known], house.temperature[known]
    predicted = baseline.model.predict(at, temperature)
    parts = components(temperature, baseline.model.knots)
    occupied = baseline.model.occupied[at][:, None]
    columns = np.hstack([np.eye(168)[at], parts * occupied, parts * ~occupied])
    coefficients, _, rank, _ = np.linalg.lstsq(columns, load, rcond=None)
    assert predicted == pytest.approx(columns @ coefficients, abs=1e-8)
    rmse = (((load - columns @ coefficients) ** 2).sum() / (len(load) - rank)) ** 0.5
    assert baseline.hourly.cv_rmse == pytest.approx(rmse / load.mean())
    # People cook when they are hungry: a house's appliances don't follow the weather, and the fit says so.
    assert not baseline.hourly.meets_limits


def test_the_model_of_one_hour_knows_no_other():
    model = fit_towt(np.array([5.0]), np.array([3]), None)
    assert model.predict(np.array([3]), None).tolist() == [5.0]
    assert np.isnan(model.predict(np.array([4]), None)).all()
