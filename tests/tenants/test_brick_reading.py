"""What a model keeps of a Brick graph, and what is told of the rest."""

from __future__ import annotations

import pytest

from insula_tenants.brick.forward import Forward, forward
from insula_tenants.brick.units import QUDT, UNITS, qudt_of, unit_of
from insula_tenants.brick.write import write_brick
from insula_tenants.building_model.document import (
    BuildingNode,
    EquipmentNode,
    ModelDocument,
    PointNode,
    SiteNode,
    SpaceNode,
    StoreyNode,
    ZoneNode,
)
from insula_tenants.devices.units import check_unit
from tests.tenants.brick_files import PLACES, X, read, told, turtle

K = "urn:insula:harbour:"
FULL = ModelDocument(
    sites=(SiteNode(f"{K}site:1", 'Hafen "Süd"', latitude=50.5, longitude=-1e-7),),
    buildings=(BuildingNode(f"{K}building:1", "Shed", f"{K}site:1", "Building", "Europe/Brussels", 1234.5),),
    storeys=(StoreyNode(f"{K}storey:1", "Cellar", f"{K}building:1", -1),),
    spaces=(SpaceNode(f"{K}space:1", "R1", f"{K}storey:1", "Conference_Room", 30.25, 12, "I"),),
    zones=(ZoneNode(f"{K}zone:1", "South", "HVAC_Zone", (f"{K}space:1",)),),
    equipment=(
        EquipmentNode(
            f"{K}equipment:1", "AHU", "AHU", f"{K}storey:1", None, (f"{K}equipment:2", f"{K}zone:1")
        ),
        EquipmentNode(f"{K}equipment:2", "Fan", "Supply_Fan", None, f"{K}equipment:1"),
    ),
    points=(
        PointNode(
            f"{K}model-point:1",
            "T",
            "Zone_Air_Temperature_Sensor",
            f"{K}space:1",
            "degC",
            "th-1/temperature",
        ),
        PointNode(f"{K}point:7", "x", "Point", None, "kWh/m**2", "th-1/x:y"),
    ),
)
"""Every field of every kind."""


@pytest.mark.parametrize("form", ["turtle", "json-ld"])
def test_every_field_goes_out_and_comes_in(form):
    written = write_brick(FULL, form)
    reading = read(written, form)
    assert reading.document == FULL
    assert reading.problems == ()
    assert write_brick(reading.document, form) == written


def test_relationships_may_be_said_from_either_end_and_in_the_words_of_realestatecore():
    one = turtle(
        PLACES
        + """
        :room a rec:ConferenceRoom ; brick:hasPoint :t . :ground rec:hasPart :room .
        :t a brick:Temperature_Sensor . :ahu a brick:AHU ; rec:locatedIn :ground . :vav brick:isFedBy :ahu .
        :vav a brick:VAV . :zone a rec:HVACZone ; brick:hasPart :room ; brick:isFedBy :vav .
        """
    )
    assert one.problems == ()
    assert one.document.spaces[1] == SpaceNode(f"{X}room", "room", f"{X}ground", "Conference_Room")
    assert one.document.points == (PointNode(f"{X}t", "t", "Temperature_Sensor", f"{X}room"),)
    assert one.document.equipment == (
        EquipmentNode(f"{X}ahu", "ahu", "AHU", f"{X}ground", feeds=(f"{X}vav",)),
        EquipmentNode(f"{X}vav", "vav", "VAV", feeds=(f"{X}zone",)),
    )


def test_areas_units_and_capacities_are_read():
    one = turtle(
        PLACES
        + """
        :hall brick:area [ brick:value 100 ; brick:hasUnit unit:FT2 ] ; rdfs:label "Halle"@de , "Hall"@en ;
            rec:capacity [ a rec:ArchitectureCapacity ; rec:maxOccupancy 40 ] .
        :site brick:coordinates [ brick:latitude 50.8 ; brick:longitude 4.3 ] .
        :t a brick:Air_Temperature_Sensor ; brick:hasUnit unit:DEG_F ; brick:isPointOf :hall ;
            ref:hasExternalReference [ a ref:TimeseriesReference ; ref:hasTimeseriesId "th-1/temperature" ] .
        """
    )
    # A square foot is 0.09290304 m² by definition.
    assert one.document.spaces[0] == SpaceNode(f"{X}hall", "Hall", f"{X}ground", "Lobby", 9.2903, 40)
    assert (one.document.sites[0].latitude, one.document.sites[0].longitude) == (50.8, 4.3)
    assert one.document.points[0].unit == "degF"
    assert one.document.points[0].series == "th-1/temperature"
    assert [(each.key, each.field) for each in one.problems] == [(f"{X}hall", "name")]


@pytest.mark.parametrize(
    ("statement", "brick_class"),
    [
        ("brick:VAV ; brick:hasTag tag:Reheat", "Variable_Air_Volume_Box_With_Reheat"),
        ("brick:VAV ; brick:hasTag tag:VAV , tag:Box", "VAV"),
        ("brick:VAV ; brick:hasTag tag:Cooling", "VAV"),
        ("brick:Temperature_Sensor ; brick:hasTag tag:Outside , tag:Air", "Outside_Air_Temperature_Sensor"),
        # Either is a kind of it, and neither of the other.
        ("brick:Pump ; brick:hasTag tag:Chilled , tag:Hot , tag:Water", "Pump"),
    ],
)
def test_tags_say_which_kind_of_its_class_a_thing_is(statement: str, brick_class: str):
    reading = turtle(f"@prefix tag: <https://brickschema.org/schema/BrickTag#> .\n:x a {statement} .")
    (found,) = (*reading.document.equipment, *reading.document.points)
    assert found.brick_class == brick_class


@pytest.mark.parametrize(
    ("statements", "thing", "field", "detail"),
    [
        (":x a brick:Nonsense .", "x", "brick_class", "no place for what is Nonsense"),
        (":x a brick:Air .", "x", "brick_class", "no place for what is Air"),
        (":x a brick:AHU , brick:Lobby .", "x", "brick_class", "equipment and space: it can be one"),
        (":hall brick:feeds :ground .", "hall", "feeds", "has none of this to do with"),
        (":x a brick:AHU ; brick:feeds :x .", "x", "feeds", "with itself"),
        (":x a brick:AHU ; brick:feeds :y .", "x", "feeds", f"{X}y is not taken in"),
        (":x a brick:AHU ; brick:hasLocation :y . :y a brick:AHU .", "x", "hasLocation", "kept as part"),
        (":t a brick:Point ; brick:isPointOf :hall , :x . :x a brick:Zone .", "t", "owner", "keeps one"),
        (":hall brick:isPartOf :s2 . :s2 a brick:Storey .", "hall", "isPartOf", f"stands in {X}ground"),
        (":s2 a brick:Storey .", "s2", "isPartOf", f"taken for {X}forum"),
        (":hall rdfs:comment 'nice' .", "hall", "http://www.w3.org/2000/01/rdf-schema#comment", "nice"),
        (":hall brick:hasTag <https://brickschema.org/schema/BrickTag#Reheat> .", "hall", "hasTag", "Reheat"),
        (":hall brick:area 30 .", "hall", "area", "it has none"),
        (":hall brick:area [ brick:value -3 ; brick:hasUnit unit:M2 ] .", "hall", "area", "more than 0"),
        (":hall brick:area [ brick:value 3 ; brick:hasUnit unit:HA ] .", "hall", "area", "unit:M2 or"),
        (":ground rec:levelNumber 'high' .", "ground", "level", "no number"),
        (":forum insula:timeZone 'Mars/Base' .", "forum", "time_zone", "not an IANA time zone"),
        (":hall insula:comfortCategory 'V' .", "hall", "comfort_category", "I, II, III or IV"),
        (":t a brick:Point ; brick:hasUnit unit:FURLONG .", "t", "unit", "is left out"),
        (":t a brick:Point ; brick:timeseries [ brick:hasTimeseriesId 'b8' ] .", "t", "series", "no `dev"),
        (
            ":t a brick:Point ; ref:hasExternalReference [ a ref:BACnetReference ; ref:objectName 'x' ] .",
            "t",
            "series",
            "is not kept",
        ),
        (":hall rdfs:label 'a\\u0000b' .", "hall", "name", "kept as 'a b'"),
        (":x a brick:Lobby ; rdfs:label 'hall' ; brick:isPartOf :ground .", "x", "name", "hall (x)"),
        ("<> owl:imports <https://example.com/other> .", "", "owl:imports", "not followed"),
    ],
)  # fmt: skip
def test_what_cannot_be_kept_is_told_with_thing_and_field(statements, thing, field, detail):
    found = [
        one
        for one in turtle(PLACES + statements).problems
        if one.field == field and (not thing or one.key == f"{X}{thing}")
    ]
    assert found
    assert any(detail in one.detail for one in found), found


def test_circles_are_cut_and_told():
    one = turtle(
        PLACES
        + ":a a brick:AHU ; brick:isPartOf :b . :b a brick:Fan ; brick:isPartOf :c ."
        + ":c a brick:Fan ; brick:isPartOf :a ."
        + ":r a brick:Room ; brick:isPartOf :q , :ground . :q a brick:Room ; brick:isPartOf :r ."
    )
    wholes = {each.key: each.part_of for each in one.document.equipment}
    assert sum(whole is None for whole in wholes.values()) == 1
    details = [each.detail for each in one.problems]
    assert sum("is part of it in turn" in each for each in details) == 2


def test_rooms_of_rooms_stand_on_the_storey_of_the_outermost():
    one = turtle(
        PLACES
        + ":suite a brick:Room ; brick:isPartOf :ground . :wing a brick:Room ; brick:isPartOf :suite ."
        + ":r1 a brick:Room ; brick:isPartOf :wing . :ahu a brick:AHU ; brick:hasLocation :suite ."
    )
    assert {each.key: each.storey for each in one.document.spaces}[f"{X}r1"] == f"{X}ground"
    assert {each.key: each.spaces for each in one.document.zones} == {
        f"{X}suite": (f"{X}r1",),
        f"{X}wing": (f"{X}r1",),
    }
    assert one.document.equipment[0].location == f"{X}suite"


def test_classes_that_the_file_declares_are_kept_as_what_they_are_a_kind_of():
    one = turtle(
        PLACES
        + ":Den rdfs:subClassOf :Snug . :Snug rdfs:subClassOf brick:Library . :Library a owl:Class ."
        + ":x a :Den ; brick:isPartOf :ground . :Loop rdfs:subClassOf :Loop . :y a :Loop ."
    )
    assert one.document.spaces[1].brick_class == "Library"
    assert told(one, "x") == [("brick_class", f"{X}Den is the file's own class, kept as Library")]
    assert told(one, "y")[0][0] == "brick_class"


def test_one_class_is_kept_where_the_others_follow_from_it():
    one = turtle(PLACES + ":ahu a brick:AHU , brick:Equipment , brick:HVAC_Equipment , owl:NamedIndividual .")
    assert one.document.equipment[0].brick_class == "AHU"
    assert one.problems == ()


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("Zone_Air_Temperature_Sensor", Forward("Zone_Air_Temperature_Sensor")),
        ("rec:ConferenceRoom", Forward("Conference_Room")),
        ("rec:Bedroom", Forward("Room", "rec:Bedroom is kept as Room, the nearest that Brick 1.5 has")),
        ("Condenser", Forward("Condensing_Unit", "Brick 1.5 has Condensing_Unit in place of Condenser")),
        (
            "AHU_Average_Zone_Temperature_Sensor",
            Forward(
                "Average_Zone_Air_Temperature_Sensor",
                "AHU_Average_Zone_Temperature_Sensor is kept as Average_Zone_Air_Temperature_Sensor, "
                "the nearest that Brick 1.5 has",
            ),
        ),
        ("Nonsense", None),
        ("rec:Nonsense", None),
        ("x_" * 100_000, None),
    ],
)  # fmt: skip
def test_names_of_classes_are_found_in_todays_brick(old: str, new: Forward | None):
    assert forward(old) == new


def test_units_are_known_here_and_come_back_as_they_went():
    for name, unit in UNITS.items():
        assert check_unit(unit) == unit
        assert unit_of(f"{QUDT}{name}") == unit
        assert unit_of(str(qudt_of(unit))) == unit
    assert unit_of("http://qudt.org/vocab/unit#DEG-C") == "degC"
    assert qudt_of("furlong") is None
