"""Words, units, colours, states and the order of rooms."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from insula_analytics_ui.api.model import Device, Point, Space
from insula_analytics_ui.freshness import device_state, reading_state
from insula_analytics_ui.places import Estate, labels, rooms_of
from insula_analytics_ui.quantities import colours, quantity, unit, value_text
from insula_analytics_ui.theme import PALETTE
from insula_analytics_ui.times import age_text
from insula_analytics_ui.views.devices import devices_table
from insula_analytics_ui.views.elements import plain
from insula_analytics_ui.views.places import Level, asked_place

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)


def point(number: int, brick_class: str | None = None, **fields) -> Point:
    return Point(
        **{"id": number, "device": f"device-{number}", "name": "p", "brick_class": brick_class} | fields
    )


@pytest.mark.parametrize(
    ("late", "word", "text"),
    [
        (4, "fresh", "4 s"),
        (299, "fresh", "4 min"),
        (300, "stale", "5 min"),
        (3600, "silent", "1 h"),
        (200_000, "silent", "2 d"),
    ],
)
def test_a_reading_is_fresh_then_stale_then_silent(late: int, word: str, text: str):
    time = NOW - timedelta(seconds=late)
    assert reading_state(time, NOW).word == word
    assert age_text(time, NOW) == text


def test_a_state_differs_in_its_dot_and_not_in_colour_alone():
    times = (NOW, NOW - timedelta(minutes=9), NOW - timedelta(days=1), None)
    states = [device_state(Device(id="d", name="d", last_seen=time), NOW) for time in times]
    assert [state.word for state in states] == ["online", "stale", "silent", "never seen"]
    assert [state.dot for state in states] == ["●", "◐", "○", "○"]
    assert reading_state(None, NOW).word == "silent"


def test_a_device_that_speaks_once_a_day_is_online_when_the_platform_says_so():
    seen = NOW - timedelta(hours=20)
    words = {
        presence: device_state(Device(id="d", name="d", last_seen=seen, presence=presence), NOW).word
        for presence in ("online", "stale", "offline", "unknown", None)
    }
    assert words == {
        "online": "online",
        "stale": "stale",
        "offline": "silent",
        "unknown": "silent",
        None: "silent",
    }


def test_values_are_written_as_people_write_them():
    gauge, door = point(1, unit="degC"), point(2, states=("closed", "open"))
    assert [value_text(gauge, value) for value in (21.456, -3.2, 512.4, 12_345.6)] == [
        "21.5",
        "\u22123.2",
        "512",
        "12\u202f346",
    ]
    assert [value_text(door, value) for value in (0, 1, 2)] == ["closed", "open", "2"]
    assert [unit(point(1, unit=name)) for name in ("degC", "lux", "kilowatt_hour", "furlong", None)] == [
        "°C",
        "lx",
        "kWh",
        "furlong",
        "",
    ]


def test_a_quantity_has_a_name_even_when_its_class_is_unknown():
    assert quantity(point(1, "Zone_Air_Temperature_Sensor")).name == "Air temperature"
    assert quantity(point(1, "Outside_Air_Flow_Sensor")).name == "Outside air flow"
    assert quantity(point(1, name="wind_speed")).name == "Wind speed"
    assert quantity(point(1, "Contact_Sensor", name="door")).name == "Door"
    assert quantity(point(1, "Contact_Sensor", name="window_left")).name == "Window left"


def test_a_points_colour_does_not_change_when_others_come():
    first = [point(1, "Zone_Air_Temperature_Sensor"), point(2, "Zone_Air_Temperature_Sensor"), point(3)]
    before = colours(first)
    after = colours([*reversed(first), *(point(number) for number in range(4, 12))])
    assert {number: after[number] for number in before} == before
    assert before[1] == PALETTE[0]
    assert len(set(before.values())) == 3
    assert len(set(after.values())) == len(PALETTE)


def test_two_sensors_of_one_kind_never_share_a_colour_however_many_others_there_are():
    others = (
        "CO2_Sensor",
        "Illuminance_Sensor",
        "Occupancy_Sensor",
        "Contact_Sensor",
        "Zone_Air_Humidity_Sensor",
    )
    many = [point(number, others[number % 5]) for number in range(1, 11)]
    temperatures = [point(number, "Zone_Air_Temperature_Sensor") for number in range(11, 16)]
    chosen = colours([*many, *temperatures])
    assert len({chosen[each.id] for each in temperatures}) == 5
    for brick_class in others:
        alike = [each for each in many if each.brick_class == brick_class]
        assert len({chosen[each.id] for each in alike}) == len(alike)


def test_rooms_come_in_the_order_of_a_walk_and_points_without_a_room_come_last():
    spaces = [
        Space(id=1, name="Room 10", storey="Ground floor", building="Forum"),
        Space(id=2, name="Room 2", storey="Ground floor", building="Forum"),
        Space(id=3, name="Attic", storey="First floor", building="Forum"),
        Space(id=4, name="Hall", storey="Ground floor", building="Annex"),
    ]
    devices = [Device(id="device-1", name="d", space_id=3), Device(id="device-2", name="d", space_id=99)]
    rooms = rooms_of(spaces, devices, [point(1), point(2), point(3)])
    assert [room.space.name for room in rooms] == ["Hall", "Room 2", "Room 10", "Attic", "Not in a room"]
    assert [[point.id for point in room.points] for room in rooms] == [[], [], [], [1], [2, 3]]


def test_storeys_come_in_the_order_of_the_platform_which_is_that_of_their_levels():
    spaces = [
        Space(id=9, name="Plant", storey="Basement", storey_id=3, building="Forum", building_id=1),
        Space(id=1, name="Hall", storey="Ground floor", storey_id=1, building="Forum", building_id=1),
        Space(id=4, name="Attic", storey="First floor", storey_id=2, building="Forum", building_id=1),
    ]
    assert [room.storey for room in rooms_of(spaces, [], [])] == ["Basement", "Ground floor", "First floor"]


def test_a_page_of_one_room_opens_on_one_that_people_sit_in():
    spaces = [
        Space(id=1, name="Plant", storey="Basement", storey_id=1, building="Forum", building_id=1),
        Space(id=2, name="Office", storey="First floor", storey_id=2, building="Forum", building_id=1),
    ]
    devices = [Device(id="meter", name="m", space_id=1), Device(id="device-2", name="d", space_id=2)]
    points = [point(1, "Electric_Power_Sensor", device="meter"), point(2, "CO2_Sensor", device="device-2")]
    points[1] = points[1].model_copy(update={"unit": "ppm"})
    levels: list[Level] = ["building", "storey", "space"]
    for measured, opened in ((points, "Office"), (points[:1], "Plant")):
        estate = Estate(tuple(rooms_of(spaces, devices, measured)))
        (room,) = asked_place(estate, levels, ["building", "space"]).rooms
        assert room.name == opened


def test_a_room_of_an_unknown_time_zone_is_told_in_utc():
    rooms = rooms_of(
        [Space(id=1, name="a", time_zone="Mars/Olympus"), Space(id=2, name="b", time_zone="../etc")], [], []
    )
    assert {room.zone.key for room in rooms} == {"UTC"}


def test_two_points_of_one_quantity_are_told_apart_by_their_devices():
    points = [point(1, "CO2_Sensor"), point(2, "CO2_Sensor"), point(3, "Illuminance_Sensor")]
    assert labels(points) == {1: "CO₂ (device-1)", 2: "CO₂ (device-2)", 3: "Illuminance"}
    named = {"device-1": Device(id="device-1", name="By the window")}
    assert labels(points, named)[1] == "CO₂ (By the window)"


def test_two_points_of_one_quantity_and_one_device_are_told_apart_by_their_names():
    points = [
        point(number, "CO2_Sensor", device="d", name=name) for number, name in ((1, "left"), (2, "right"))
    ]
    assert labels(points) == {1: "CO₂ (d, left)", 2: "CO₂ (d, right)"}


def test_the_table_of_devices_has_a_row_for_each_the_worst_first():
    devices = [
        Device(id="b", name="B"),
        Device(id="a", name="A", space_id=1),
        Device(id="c", name="C", space_id=1, last_seen=NOW),
    ]
    rooms = rooms_of([Space(id=1, name="Hall", building="Annex")], devices, [point(1, device="a")])
    table = devices_table(rooms, NOW)
    assert table[["name", "space", "points", "state"]].to_numpy().tolist() == [
        ["A", "Annex · Hall", "p", "never seen"],
        ["B", "Not in a room", "", "never seen"],
        ["C", "Annex · Hall", "", "online"],
    ]


def test_a_name_with_markdown_in_it_is_shown_as_it_is():
    shown = plain("Room *1* [x](http://evil) :red[!] me@www.evil.example")
    assert shown.replace("\u2060", "") == (
        r"Room \*1\* \[x\]\(http\://evil\) \:red\[\!\] me@www\.evil\.example"
    )
    assert shown.count("\u2060") == 3, "an address is no link"
