"""Real buildings in Brick: Soda Hall as it was published with Brick 1.0.2, and a small apartment of today."""

from __future__ import annotations

from collections import Counter

import pytest
from rdflib import RDF

from insula_tenants.brick.classes import is_class
from insula_tenants.brick.files import read_graph
from insula_tenants.brick.kinds import tags_of
from insula_tenants.brick.read import Reading
from insula_tenants.brick.write import write_brick
from insula_tenants.building_model.document import ZoneNode
from tests.tenants.brick_files import building, read

SODA = "https://brickschema.org/schema/1.0.2/building_example#"
APARTMENT = "http://example.com/apartment#"


@pytest.fixture(scope="module")
def soda_hall() -> Reading:
    return read(building("soda_hall.ttl"))


def nodes(reading: Reading) -> dict[str, str]:
    """The class of each thing, by key."""
    return {
        node.key: node.brick_class
        for kind in ("sites", "buildings", "storeys", "spaces", "zones", "equipment", "points")
        for node in getattr(reading.document, kind)
    }


def test_soda_hall_comes_in_whole(soda_hall: Reading):
    """The numbers are those of the file, counted by its `a brick:…` lines, and a site that it lacks."""
    document = soda_hall.document
    assert len(document.sites) == 1
    assert [one.name for one in document.buildings] == ["Soda Hall"]
    # Seven with a class, and two that rooms are part of without one.
    assert len(document.storeys) == 9
    assert {one.brick_class for one in document.storeys} == {"Floor", "Storey"}
    assert len(document.spaces) == 243
    assert len(document.zones) == 243
    # 243 VAV boxes, 5 air handling units, 5 supply fans and 5 exhaust fans.
    assert len(document.equipment) == 258
    assert len(document.points) == 943


def test_every_thing_of_soda_hall_is_taken_in_or_told(soda_hall: Reading):
    graph = read_graph(building("soda_hall.ttl"), "turtle")
    things = {one for triple in graph for one in (triple[0], triple[2]) if str(one).startswith(SODA)}
    assert len(things) == 1698
    missing = {str(one) for one in things} - set(nodes(soda_hall))
    assert missing == {f"{SODA}ahu"}
    assert [one.detail for one in soda_hall.problems if one.key == f"{SODA}ahu"] == [
        "the file gives it no class, and its use does not say which: give it one"
    ]


def test_every_statement_of_soda_hall_is_kept_or_told(soda_hall: Reading):
    """Each link of the file is a link of the model, or told at one of its ends."""
    graph = read_graph(building("soda_hall.ttl"), "turtle")
    document = soda_hall.document
    links = {(one.key, one.of) for one in document.points}
    links |= {(one.key, fed) for one in document.equipment for fed in one.feeds}
    links |= {(one.key, one.part_of) for one in document.equipment}
    links |= {(one.key, one.storey) for one in document.spaces}
    links |= {(one.key, one.building) for one in document.storeys}
    links |= {(one, zone.key) for zone in document.zones for one in zone.spaces}
    told = {(one.key, one.field) for one in soda_hall.problems}
    lost = []
    for subject, predicate, value in graph:
        one, word, other = str(subject), str(predicate).rpartition("#")[2], str(value)
        if predicate == RDF.type or word == "label":
            continue
        kept = (one, other) in links or (other, one) in links
        if word == "hasTag":
            kept = other.rpartition("#")[2] in tags_of(nodes(soda_hall)[one])
        if not kept and not {(one, word), (other, word), (other, "hasLocation")} & told:
            lost.append((one, word, other))
    assert lost == []


def test_names_of_soda_hall_are_mapped_forward_and_said(soda_hall: Reading):
    before = {
        str(one): str(kind).rpartition("#")[2]
        for one, kind in read_graph(building("soda_hall.ttl"), "turtle").subject_objects(RDF.type)
    }
    after = nodes(soda_hall)
    changed = Counter((old, after[key]) for key, old in before.items() if key in after and after[key] != old)
    assert changed == {
        ("Zone_Air_Temperature_Setpoint", "Target_Zone_Air_Temperature_Setpoint"): 231,
        ("Smoke_Detected_Alarm", "Smoke_Detection_Alarm"): 13,
        ("Fan_Speed_Reset_Command", "Speed_Reset_Command"): 7,
        ("Energy_Demand", "Demand_Sensor"): 1,
        ("Outside_Air_Temperature", "Outside_Air_Temperature_Sensor"): 1,
        # These two by their tags, `Reheat` and `Average`.
        ("VAV", "Variable_Air_Volume_Box_With_Reheat"): 135,
        ("Supply_Air_Flow_Sensor", "Average_Supply_Air_Flow_Sensor"): 5,
    }
    # Of a least or a largest flow Brick has limits and setpoints, and no sensors.
    tags = Counter(one.detail for one in soda_hall.problems if one.field == "hasTag")
    assert tags == {"a model does not keep it: Min": 5, "a model does not keep it: Max": 5}
    told = {one.key for one in soda_hall.problems if one.field == "brick_class"}
    assert {key for key, old in before.items() if key in after and after[key] != old} <= told
    assert all(is_class(name) for name in after.values())


def test_what_brick_forbids_today_is_kept_as_what_it_means(soda_hall: Reading):
    equipment = {one.key: one for one in soda_hall.document.equipment}
    # The file says that the unit is the location of its fan, and Brick that equipment stands in places.
    assert equipment[f"{SODA}supply_fan_S11"].part_of == f"{SODA}ahu_A1"
    # This one's location has no class: nobody knows what it is.
    assert equipment[f"{SODA}exhaust_fan_E12"].location is None
    told = {(one.key, one.field): one.detail for one in soda_hall.problems}
    assert told[f"{SODA}exhaust_fan_E12", "hasLocation"] == f"{SODA}ahu is not taken in"
    assert "kept as part of" in told[f"{SODA}supply_fan_S11", "hasLocation"]
    points = {one.key: one for one in soda_hall.document.points}
    assert points[f"{SODA}flow_sensor_SODA1F1_VAV_MN"].of == f"{SODA}floor_1"


def test_soda_hall_goes_out_as_todays_brick_and_comes_in_the_same(soda_hall: Reading):
    written = write_brick(soda_hall.document)
    assert "1.0.2/Brick#" not in written
    assert "brick:Smoke_Detected_Alarm" not in written
    again = read(written)
    assert again.document == soda_hall.document
    # What was mapped once needs no mapping again.
    assert again.problems == ()
    assert write_brick(again.document) == written


def test_the_apartment_comes_in_with_the_levels_that_it_lacks():
    reading = read(building("apartment.ttl"))
    document = reading.document
    assert [one.name for one in document.buildings] == ["apartment"]
    assert [one.key for one in document.spaces] == [
        f"{APARTMENT}{room}" for room in ("bedroom", "kitchen", "living_room")
    ]
    assert {one.storey for one in document.spaces} == {document.storeys[0].key}
    rooms = tuple(one.key for one in document.spaces)
    zones = {one.key: one for one in document.zones}
    assert zones[f"{APARTMENT}thermostat_zone"] == ZoneNode(
        f"{APARTMENT}thermostat_zone", "thermostat_zone", "HVAC_Zone", rooms
    )
    assert zones[f"{APARTMENT}my_apartment"] == ZoneNode(
        f"{APARTMENT}my_apartment", "my_apartment", "Zone", rooms
    )
    assert {(one.key, one.field) for one in reading.problems} == {
        (f"{APARTMENT}building_site", "iri"),
        (f"{APARTMENT}building", "iri"),
        (f"{APARTMENT}building_storey", "iri"),
        (f"{APARTMENT}my_apartment", "brick_class"),
    }
    again = read(write_brick(document))
    assert again.document == document
    assert again.problems == ()
