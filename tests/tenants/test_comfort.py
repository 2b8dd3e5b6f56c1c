"""Comfort by published values, and by hand. No database: what is tested are functions of arrays."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from insula_tenants.analytics.comfort.adaptive import adaptive_bands, ashrae_bands, running_means
from insula_tenants.analytics.comfort.by_hour import Climate, warmth
from insula_tenants.analytics.comfort.categories import (
    GRADES,
    co2_bands,
    grades_of,
    pmv_bands,
    temperature_bands,
    warmth_of,
)
from insula_tenants.analytics.comfort.clock import LocalHours, Schedule, local_hours
from insula_tenants.analytics.comfort.overheating import tm52
from insula_tenants.analytics.comfort.summary import summarize
from insula_tenants.analytics.comfort.thermal import operative_temperature, predicted_mean_vote
from insula_tenants.analytics.measured import MeasuredPoint
from insula_tenants.analytics.outdoors import find_outdoor
from insula_tenants.errors import InvalidInput

NAN = np.nan


def array(*values: float) -> np.ndarray:
    return np.array(values, dtype=np.float64)


PUBLISHED = [
    # ISO 7730:2005, table D.1: air, radiant, relative speed, humidity, met, clo, PMV, PPD.
    (22.0, 22.0, 0.10, 60, 1.2, 0.5, -0.75, 17),
    (27.0, 27.0, 0.10, 60, 1.2, 0.5, 0.77, 17),
    (27.0, 27.0, 0.30, 60, 1.2, 0.5, 0.44, 9),
    (23.5, 25.5, 0.10, 60, 1.2, 0.5, -0.01, 5),
    (23.5, 25.5, 0.30, 60, 1.2, 0.5, -0.55, 11),
    (19.0, 19.0, 0.10, 40, 1.2, 1.0, -0.60, 13),
    # The same table, to one decimal as in FedericoTartarini/validation-data-comfort-models (ts_pmv_ppd.json),
    # against which pythermalcomfort is validated.
    (23.5, 23.5, 0.30, 40, 1.2, 1.0, 0.1, 5.3),
    (23.0, 21.0, 0.10, 40, 1.2, 1.0, 0.1, 5.1),
    (23.0, 21.0, 0.30, 40, 1.2, 1.0, -0.2, 5.6),
    (22.0, 22.0, 0.10, 60, 1.6, 0.5, 0.1, 5.0),
    (27.0, 27.0, 0.10, 60, 1.6, 0.5, 1.2, 33.9),
    (27.0, 27.0, 0.30, 60, 1.6, 0.5, 0.9, 24.1),
    # ASHRAE 55-2017, table D3, likewise.
    (19.6, 19.6, 0.10, 86, 1.1, 1.0, -0.5, 9.7),
    (23.9, 23.9, 0.10, 66, 1.1, 1.0, 0.5, 9.8),
    (25.7, 25.7, 0.10, 15, 1.1, 1.0, 0.5, 10.8),
    (21.2, 21.2, 0.10, 20, 1.1, 1.0, -0.5, 9.7),
    (23.6, 23.6, 0.10, 67, 1.1, 0.5, -0.5, 9.7),
    (26.8, 26.8, 0.10, 56, 1.1, 0.5, 0.5, 10.6),
    (27.9, 27.9, 0.10, 13, 1.1, 0.5, 0.5, 10.2),
    (24.7, 24.7, 0.10, 16, 1.1, 0.5, -0.5, 9.9),
]


@pytest.mark.parametrize("row", PUBLISHED, ids=str)
def test_votes_are_those_of_the_standards_tables(row: tuple[float, ...]):
    air, radiant, speed, humidity, met, clo, pmv, ppd = row
    votes, dissatisfied = predicted_mean_vote(
        array(air), array(radiant), array(humidity), array(clo), speed=speed, metabolic_rate=met
    )
    assert votes[0] == pytest.approx(pmv, abs=0.1)  # the tolerances of that collection
    assert dissatisfied[0] == pytest.approx(ppd, abs=1)


def test_hours_beyond_the_votes_limits_have_none():
    """ISO 7730, clause 4. Saturated air of 30 °C holds some 4240 Pa of vapour: 2700 Pa are 63.7 %."""
    #              fits  cold  warm  radiant      humid  just   lacking    vote under -2
    air = array(22.0, 9.9, 30.1, 22.0, 22.0, 30.0, 29.99, NAN, 22.0, 11.0)
    radiant = array(22.0, 22, 22.0, 40.1, 9.9, 30.0, 29.99, 22.0, NAN, 11.0)
    humidity = array(50.0, 50, 50.0, 50.0, 50.0, 64.0, 63.0, 50.0, 50.0, 50.0)
    votes, dissatisfied = predicted_mean_vote(air, radiant, humidity, np.full(10, 0.5))
    fits = [True, False, False, False, False, False, True, False, False, False]
    assert_array_equal(~np.isnan(votes), fits)
    assert_array_equal(~np.isnan(dissatisfied), fits)
    nobody = predicted_mean_vote(air[1:3], radiant[1:3], humidity[1:3], np.full(2, 0.5))
    assert np.isnan(nobody).all()


def test_operative_temperature_is_the_mean_of_air_and_radiant():
    assert_allclose(operative_temperature(array(20, NAN), array(24, 20)), [22, NAN])


def test_the_running_mean_weighs_the_seven_days_before():
    daily = array(1, 2, 3, 4, 5, 6, 7, 99, 99)
    # (7 + 0.8·6 + 0.6·5 + 0.5·4 + 0.4·3 + 0.3·2 + 0.2·1) / 3.8 = 18.8 / 3.8, and of the day after that
    # (99 + 0.8·7 + 0.6·6 + 0.5·5 + 0.4·4 + 0.3·3 + 0.2·2) / 3.8 = 113.6 / 3.8.
    found = running_means(daily)
    assert_allclose(found[7:], [18.8 / 3.8, 113.6 / 3.8])
    # Of the first days less than half the weight is known: 1 and 1.8 of 3.8; then (3 + 0.8·2 + 0.6·1) / 2.4.
    assert np.isnan(found[:3]).all()
    assert found[3] == pytest.approx(5.2 / 2.4)
    # Yesterday is missing: (18.8 - 7) / (3.8 - 1).
    lacking = running_means(array(1, 2, 3, 4, 5, 6, NAN, 99))
    assert lacking[7] == pytest.approx(11.8 / 2.8)
    assert running_means(array(15, 15, 15, 15, 15))[4] == pytest.approx(15)


def test_adaptive_limits_are_those_of_en_16798():
    """At 20 °C 0.33·20 + 18.8 = 25.4, at 28 °C 28.04: as in ts_adaptive_en.json of the same collection."""
    lower, upper = adaptive_bands(array(20, 28, 10, 30, 9.9, 30.1, NAN))
    assert_allclose(lower[:3, 0], [22.4, 21.4, 20.4])
    assert_allclose(upper[:3, 0], [27.4, 28.4, 29.4])
    assert_allclose(lower[:3, 1], [25.04, 24.04, 23.04])
    assert_allclose(upper[:3, 1], [30.04, 31.04, 32.04])
    assert_allclose(upper[1, 2:4], [25.1, 31.7])
    assert np.isnan(lower[:, 4:]).all()
    assert np.isnan(upper[:, 4:]).all()
    grades = grades_of(array(27.4, 28.4, 29.4, 29.5, 20.4), adaptive_bands(np.full(5, 20.0)))
    assert [GRADES[grade] for grade in grades] == ["I", "II", "III", "beyond", "III"]


@pytest.mark.parametrize(
    ("operative", "running_mean", "comfort", "within_90", "within_80"),
    [
        # ts_adaptive_ashrae.json of the same collection.
        (19.6, 17.0, 23.1, False, True),
        (19.6, 25.0, 25.6, False, False),
        (26.0, 16.0, 22.8, False, True),
        (28.0, 16.0, 22.8, False, False),
        (25.0, 23.0, 24.9, True, True),
    ],
)
def test_adaptive_limits_are_those_of_ashrae_55(
    operative: float, running_mean: float, comfort: float, within_90: bool, within_80: bool
):
    lower, upper = ashrae_bands(array(running_mean))
    assert (lower + upper)[:, 0] / 2 == pytest.approx(comfort, abs=0.051)  # it has one decimal
    inside = (lower[:, 0] <= operative) & (operative <= upper[:, 0])
    assert inside.tolist() == [within_90, within_80]
    assert np.isnan(ashrae_bands(array(9.9, 33.6))[0]).all()


def test_bands_of_temperature_change_between_winter_and_summer():
    winter, between, summer = (temperature_bands(array(value)) for value in (0.0, 0.5, 1.0))
    assert_allclose(np.hstack(winter), [(21, 23), (20, 24), (19, 25), (17, 25)])
    assert_allclose(np.hstack(summer), [(23.5, 25.5), (23, 26), (22, 27), (21, 28)])
    assert_allclose(np.hstack(between)[1], (21.5, 25))
    assert_allclose(warmth_of(array(-5, 10, 12, 15, 30, NAN)), [0, 0, 0.4, 1, 1, NAN])


def test_the_season_is_that_of_the_hemisphere_where_no_weather_is_known():
    january = local_hours("UTC", datetime(2026, 1, 5, tzinfo=UTC), datetime(2026, 1, 5, 2, tzinfo=UTC))
    north = Climate(None, None, None, None, array(20, NAN))
    south = Climate(None, None, None, None, array(20, NAN), southern=True)
    assert_array_equal(warmth(north, january), [1, 0])
    assert_array_equal(warmth(south, january), [1, 1])
    assert_array_equal(warmth(Climate(None, None, None, None, None), january), [0, 0])


def test_co2_and_votes_have_their_categories():
    """Outdoor air is taken to have 420 ppm: 550, 800 and 1350 above."""
    grades = grades_of(array(400, 970, 971, 1220, 1221, 1770, 1771, NAN), co2_bands())
    assert grades.tolist() == [0, 0, 1, 1, 2, 2, 4, -1]
    votes = grades_of(array(0.2, -0.2, 0.21, -0.5, 0.7, -1.0, 1.01, NAN), pmv_bands())
    assert votes.tolist() == [0, 0, 1, 1, 2, 3, 4, -1]


def hours_of(zone: str, first: date, days: int) -> LocalHours:
    """All hours of some local days."""
    from zoneinfo import ZoneInfo

    begin = datetime(first.year, first.month, first.day, tzinfo=ZoneInfo(zone))
    return local_hours(zone, begin, begin + timedelta(days=days))


def test_hours_go_by_the_buildings_clock():
    spring, autumn = hours_of("Europe/Brussels", date(2026, 3, 29), 1), date(2026, 10, 25)
    assert len(spring) == 23
    assert 2 not in spring.hours
    assert spring.begins[0] == datetime(2026, 3, 28, 23, tzinfo=UTC).timestamp() * 1e6
    fall = hours_of("Europe/Brussels", autumn, 1)
    assert len(fall) == 25
    assert (fall.hours == 2).sum() == 2
    assert set(fall.weekdays) == {7}
    # Monday in Auckland begins on Sunday morning in London.
    auckland = hours_of("Pacific/Auckland", date(2026, 7, 6), 7)
    occupied = auckland.where(Schedule().covers(auckland))
    assert occupied.begins[0] == datetime(2026, 7, 5, 20, tzinfo=UTC).timestamp() * 1e6
    assert occupied.lengths.sum() == 50
    # Half an hour of offset: hours begin at half past in UTC.
    kolkata = hours_of("Asia/Kolkata", date(2026, 7, 6), 1)
    assert kolkata.begins[0] == datetime(2026, 7, 5, 18, 30, tzinfo=UTC).timestamp() * 1e6


@pytest.mark.parametrize("zone", ["Europe/Brussels", "America/New_York", "Asia/Kolkata", "Pacific/Auckland"])
def test_a_month_has_as_many_occupied_hours_as_working_days(zone: str):
    """March 2026 has 22 of them; summer time begins on a Sunday, wherever it does."""
    march = hours_of(zone, date(2026, 3, 1), 31)
    assert march.lengths[Schedule().covers(march)].sum() == 220
    assert march.lengths[Schedule.of("0-24", "7").covers(march)].sum() == {
        "Europe/Brussels": 119,
        "America/New_York": 119,
    }.get(zone, 120)


def test_an_hour_counts_for_what_the_period_has_of_it():
    begin = datetime(2026, 7, 6, 8, 45, tzinfo=UTC)
    hours = local_hours("UTC", begin, begin + timedelta(hours=1))
    assert hours.hours.tolist() == [8, 9]
    assert_allclose(hours.lengths, [0.25, 0.75])
    assert len(local_hours("UTC", begin, begin)) == 0


@pytest.mark.parametrize("hours", ["18-8", "8-8", "8-25", "0-99"])
def test_a_schedule_is_within_a_day(hours: str):
    with pytest.raises(InvalidInput, match="no time of a day"):
        Schedule.of(hours, "12345")


def test_overheating_is_judged_by_three_criteria():
    """Two occupied days of July, limit 26 °C."""
    hours = hours_of("Europe/Brussels", date(2026, 7, 6), 2)
    hours = hours.where(Schedule().covers(hours))
    limits = np.full(20, 26.0)
    cool = np.full(20, 26.4)  # less than half a kelvin over is none
    fine = tm52(cool, limits, hours, southern=False)
    assert fine is not None
    assert (fine.hours, fine.exceedance, fine.worst_day, fine.failed) == (20, 0, None, ())
    assert fine.largest == pytest.approx(0.4)
    # One hour of 20 is 5 %, over 3 %; its weight is 4, and 4 K are allowed.
    hot = cool.copy()
    hot[13] = 30.0
    one = tm52(hot, limits, hours, southern=False)
    assert one is not None
    assert (one.exceedance, one.exceedance_share) == (1, 0.05)
    assert (one.worst_day, one.worst_day_weight) == (date(2026, 7, 7), 4)
    assert (one.failed, one.overheats) == ((1,), False)
    # 3 + 2 + 2 on one day are over 6; 26.5 counts as 1.
    hot[13:17] = [29.0, 28.4, 27.5, 26.5]
    two = tm52(hot, limits, hours, southern=False)
    assert two is not None
    assert (two.worst_day_weight, two.exceedance) == (8, 4)
    assert (two.failed, two.overheats) == ((1, 2), True)
    hot[13] = 30.6
    three = tm52(hot, limits, hours, southern=False)
    assert three is not None
    assert three.failed == (1, 2, 3)
    # Nothing can be said without a limit, nor in winter.
    assert tm52(hot, np.full(20, NAN), hours, southern=False) is None
    assert tm52(hot, limits, hours, southern=True) is None


def test_a_day_is_summed_up():
    """Eight hours of a summer's Monday, θrm 20 °C: II is 23 to 26 °C, and 21.4 to 28.4 °C adaptively."""
    start = datetime(2026, 7, 6, 8, tzinfo=UTC)
    hours = local_hours("UTC", start, start + timedelta(hours=8))
    climate = Climate(
        air=array(22.5, 24.0, 25.8, 26.5, 27.5, 29.0, 31.0, NAN),
        radiant=None,
        humidity=array(50, NAN, 50, 50, 50, 50, 50, 50),
        co2=array(900, 1000, 1300, 1800, NAN, NAN, NAN, NAN),
        running_mean=array(20, 20, 20, 20, 20, 20, 9, 20),
    )
    found = summarize(climate, hours, "II")
    assert found.hours == 8
    temperature = found.temperature
    assert temperature is not None
    # The seventh hour follows cold days: winter's band.
    assert temperature.by_category == {"I": 1, "II": 1, "III": 2, "IV": 1, "beyond": 2}
    assert (temperature.below, temperature.above, temperature.not_measured) == (1, 4, 1)
    assert temperature.out_of_band == pytest.approx(5 / 7)
    assert (temperature.lowest, temperature.highest) == (22.5, 31.0)
    assert temperature.mean == pytest.approx(186.3 / 7)
    # 31 °C is beyond what ISO 7730 is for.
    assert found.pmv is not None
    assert (found.pmv.hours, found.pmv.outside_limits, found.pmv.not_measured) == (6, 1, 1)
    assert found.adaptive is not None
    assert found.adaptive.by_category == {"I": 4, "II": 1, "III": 1, "IV": 0, "beyond": 0}
    assert (found.adaptive.above, found.adaptive.outside_limits, found.adaptive.not_measured) == (1, 1, 1)
    # 0.31·20 + 17.8 = 24: 21.5 to 26.5 for 90 %, 20.5 to 27.5 for 80 %.
    ashrae = found.adaptive_ashrae
    assert ashrae is not None
    assert (ashrae.hours, ashrae.acceptable_90, ashrae.acceptable_80, ashrae.above) == (6, 4, 5, 1)
    assert found.co2 is not None
    assert found.co2.by_category == {"I": 1, "II": 1, "III": 1, "IV": 0, "beyond": 1}
    assert (found.co2.above, found.co2.not_measured, found.co2.highest) == (2, 4, 1800)
    over = found.overheating
    assert over is not None
    assert (over.hours, over.above_26, over.above_28) == (7, 4, 2)
    assert over.tm52 is not None
    assert (over.tm52.hours, over.tm52.exceedance) == (6, 1)  # 29.0 is 0.6 K over 28.4


def test_nothing_measured_is_nothing_judged():
    start = datetime(2026, 7, 6, 8, tzinfo=UTC)
    hours = local_hours("UTC", start, start + timedelta(hours=2))
    none = summarize(Climate(None, None, None, None, None), hours, "II")
    assert (none.temperature, none.pmv, none.adaptive, none.co2, none.overheating) == (None,) * 5
    gaps = summarize(Climate(array(NAN, NAN), None, None, array(NAN, NAN), array(NAN, NAN)), hours, "I")
    for judged in (gaps.temperature, gaps.pmv, gaps.adaptive, gaps.co2):
        assert judged is not None
        assert (judged.hours, judged.not_measured, judged.out_of_band, judged.mean) == (0, 2, None, None)
    assert gaps.overheating is not None
    assert gaps.overheating.tm52 is None
    future = summarize(Climate(array(), None, None, None, None), local_hours("UTC", start, start), "I")
    assert future.hours == 0


def test_outdoors_is_what_is_nearest():
    def point(number: int, building: int | None, site: int | None, brick: str) -> MeasuredPoint:
        return MeasuredPoint(
            id=number,
            device=f"device-{number}",
            name="t",
            brick_class=brick,
            unit="degC",
            kind="gauge",
            states=None,
            minimum=None,
            maximum=None,
            expected_interval=None,
            space=None,
            storey=None,
            building=building,
            time_zone=None,
            site=site,
        )

    outside = "Outside_Air_Temperature_Sensor"
    indoors = point(1, 10, 100, "Zone_Air_Temperature_Sensor")
    station = point(2, None, None, outside)
    neighbour, second = point(5, 11, 100, outside), point(4, 11, 100, outside)
    elsewhere, own = point(3, 20, 200, outside), point(6, 10, 100, outside)
    assert find_outdoor([indoors], 10) is None
    assert find_outdoor([indoors, elsewhere], 10) is None, "another site may be in another climate"
    assert find_outdoor([indoors, elsewhere, station], 10) is station
    assert find_outdoor([indoors, elsewhere, station, neighbour, second], 10) is second
    assert find_outdoor([elsewhere, station, neighbour, own], 10) is own
    assert find_outdoor([neighbour, station], None) is station
