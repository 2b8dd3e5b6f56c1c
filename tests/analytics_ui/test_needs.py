"""What needs attention, and the comfort of a room at this moment."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from insula_analytics_ui.api.attention import (
    Completeness,
    Energy,
    Finding,
    PlaceEnergy,
    PlaceQuality,
    Today,
    against_typical,
    days_so_far,
)
from insula_analytics_ui.api.model import Device, Point, Space
from insula_analytics_ui.api.readings import Latest
from insula_analytics_ui.comfort_now import comfort_of
from insula_analytics_ui.needs import findings, incomplete, silent, uncomfortable, wasteful
from insula_analytics_ui.places import Estate, rooms_of

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
BRUSSELS = ZoneInfo("Europe/Brussels")
TEMPERATURE = Point(id=1, device="t", name="t", brick_class="Zone_Air_Temperature_Sensor", unit="degC")
CO2 = Point(id=2, device="c", name="co2", brick_class="CO2_Level_Sensor", unit="ppm")
DOOR = Point(id=3, device="d", name="door", brick_class="Contact_Sensor", states=("closed", "open"))


def values(*found: tuple[Point, float], late: float = 0) -> dict[int, Latest]:
    time = NOW - timedelta(minutes=late)
    return {point.id: Latest(point=point.id, time=time, value=value) for point, value in found}


@pytest.mark.parametrize(
    ("temperature", "co2", "word"),
    [
        (20.0, 500, "comfortable"),
        (26.0, 1200, "comfortable"),
        (19.9, 500, "cold"),
        (26.1, 500, "warm"),
        (22.0, 1201, "stuffy"),
        (27.0, 2000, "warm"),
    ],
)
def test_a_room_is_as_comfortable_as_the_worst_of_its_values(temperature: float, co2: float, word: str):
    found = values((TEMPERATURE, temperature), (CO2, co2), (DOOR, 1))
    assert comfort_of([TEMPERATURE, CO2, DOOR], found, NOW).word == word


def test_old_values_say_nothing_and_one_silent_sensor_does_not_silence_the_room():
    old, fresh = values((TEMPERATURE, 30.0), late=61), values((CO2, 500))
    assert comfort_of([TEMPERATURE, CO2], old | fresh, NOW).word == "comfortable"
    assert comfort_of([TEMPERATURE, CO2], old, NOW).word == "no recent value"
    assert comfort_of([DOOR], values((DOOR, 1)), NOW).word == "without comfort sensor"
    assert comfort_of(
        [TEMPERATURE.model_copy(update={"unit": "degF"})], values((TEMPERATURE, 70)), NOW
    ).word == ("without comfort sensor")


@pytest.fixture
def estate() -> Estate:
    """A hall with a thermometer that speaks and three devices that do not."""
    hall = Space(id=7, name="Hall", building="Forum", building_id=70)
    devices = [Device(id="t", name="Thermometer", space_id=7, last_seen=NOW)]
    devices += [
        Device(id=f"d{day}", name=f"Door {day}", space_id=7, last_seen=NOW - timedelta(days=day))
        for day in (2, 3, 4, 5)
    ]
    return Estate(tuple(rooms_of([hall], devices, [TEMPERATURE])), {each.id: each for each in devices})


def test_silent_devices_of_a_room_are_one_thing_to_do(estate: Estate):
    (need,) = silent(estate.rooms, NOW)
    assert (need.what, need.where) == ("Door 2, Door 3, Door 4 and 1 more · for 2 d", "Hall · Forum")
    assert (need.page, need.query) == ("devices", {"find": "Hall"})


def test_a_room_out_of_comfort_is_told_with_its_value(estate: Estate):
    (need,) = uncomfortable(estate.rooms, values((TEMPERATURE, 27.25)), NOW)
    assert (need.word, need.what, need.page, need.query) == ("warm", "27.2 °C", "space", {"space": "7"})
    assert uncomfortable(estate.rooms, values((TEMPERATURE, 21.0)), NOW) == []


def test_a_finding_leads_to_its_point_and_one_of_a_room_unseen_is_not_told(estate: Estate):
    seen = {"device": "t", "name": "t", "severity": "warning", "opened_at": NOW - timedelta(hours=5)}
    open_ones = [Finding(id=1, point=1, kind="stuck", **seen), Finding(id=2, point=99, kind="flat", **seen)]
    (need,) = findings(open_ones, estate, NOW)
    assert (need.word, need.what) == ("stuck", "Air temperature · for 5 h")
    assert need.query["points"] == "1"


def test_data_and_energy_are_told_where_they_are_worth_a_look():
    places = {
        70: PlaceQuality(
            kind="building", id=70, points=9, with_problems=2, completeness=Completeness(share=0.9)
        ),
        71: PlaceQuality(kind="building", id=71, points=9, completeness=Completeness(share=0.96)),
        72: PlaceQuality(kind="building", id=72),
    }
    names = {70: "Forum", 71: "Annex", 72: "Shed"}
    (need,) = incomplete(places, names)
    assert (need.where, need.what) == ("Forum", "90.0\u202f% of the last 7 days, 2 of 9 points with problems")
    energy = {
        70: [Today("electricity", "kWh", 121, 100), Today("heat", "kWh", 119, 100)],
        71: [Today("electricity", "kWh", 121, None), Today("gas", "m³", 5, 0)],
    }
    (need,) = wasteful(energy, names)
    assert (need.where, need.what) == ("Forum", "Electricity +21\u202f%")


def test_today_is_compared_with_the_same_weekday_up_to_the_same_hour():
    spans = days_so_far(datetime(2026, 10, 26, 9, 30, tzinfo=UTC), BRUSSELS)
    # Brussels left summer time on 25 October: today is told in winter time, the weeks before in summer time.
    assert [(begin.astimezone(UTC), end - begin) for begin, end in spans][:2] == [
        (datetime(2026, 10, 25, 23, tzinfo=UTC), timedelta(hours=10, minutes=30)),
        (datetime(2026, 10, 18, 22, tzinfo=UTC), timedelta(hours=10, minutes=30)),
    ]
    assert len(spans) == 5
    assert days_so_far(datetime(2026, 10, 26, 23, tzinfo=UTC), BRUSSELS) == []


def test_typical_is_the_mean_of_the_weeks_that_were_measured():
    def day(*used: float | None) -> Energy:
        return Energy(
            buildings=tuple(
                PlaceEnergy(id=70 + number, carrier="electricity", unit="kWh", consumption=each)
                for number, each in enumerate(used)
            )
        )

    found = against_typical([day(50, 5, None), day(40, None), None, day(60, None), day(None, None)])
    assert found == {
        70: [Today("electricity", "kWh", 50, 50)],
        71: [Today("electricity", "kWh", 5, None)],
    }
    assert found[70][0].change == 0
    assert against_typical([]) == {}


def test_devices_that_never_spoke_are_not_told_to_have_fallen_silent():
    (room,) = rooms_of([], [Device(id="n", name="New")], [])
    (need,) = silent([room], NOW)
    assert (need.word, need.what) == ("never seen", "New")


@pytest.mark.parametrize(
    ("hour", "minute", "day", "told"),
    [(6, 59, 23, 0), (7, 0, 23, 1), (16, 59, 23, 1), (17, 0, 23, 0), (12, 0, 22, 0), (12, 0, 20, 1)],
)
def test_where_nothing_tells_whether_somebody_is_there_the_working_hours_of_the_building_do(
    hour: int, minute: int, day: int, told: int
):
    # Of November 2026 in UTC, an hour behind Brussels; the 22nd is a Sunday.
    now = datetime(2026, 11, day, hour, minute, tzinfo=UTC)
    (room,) = rooms_of(
        [Space(id=7, name="Hall", building="Forum", time_zone="Europe/Brussels")],
        [Device(id="t", name="T", space_id=7)],
        [TEMPERATURE],
    )
    cold = {TEMPERATURE.id: Latest(point=TEMPERATURE.id, time=now, value=16.0)}
    assert len(uncomfortable([room], cold, now)) == told


def test_a_cold_room_that_is_known_to_be_empty_is_nobodys_discomfort():
    presence = Point(id=4, device="p", name="p", brick_class="Occupancy_Sensor", states=("free", "occupied"))
    (room,) = rooms_of(
        [Space(id=7, name="Hall", building="Forum")],
        [Device(id="t", name="T", space_id=7), Device(id="p", name="P", space_id=7)],
        [TEMPERATURE, presence],
    )
    cold = values((TEMPERATURE, 16.0))
    told = [
        len(uncomfortable([room], cold | somebody, NOW))
        for somebody in (
            values((presence, 0)),
            values((presence, 1)),
            values((presence, 0), late=61),
            {},
        )
    ]
    assert told == [0, 1, 1, 1]
