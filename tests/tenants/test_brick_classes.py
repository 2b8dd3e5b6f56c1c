"""The list of Brick's classes is the ontology's, and tells what was probably meant."""

from __future__ import annotations

import os
from importlib.resources import files
from pathlib import Path

import pytest

from insula_tenants.analytics.quantities import CLASSES, NOT_OF_BRICK, Quantity, quantity_of
from insula_tenants.brick import classes
from insula_tenants.brick.classes import (
    NAMESPACE,
    VERSION,
    check_class,
    is_class,
    is_subclass,
    nearest,
    read_classes,
)
from insula_tenants.errors import InvalidInput

LIST = Path(classes.__file__).with_name("classes.txt")


def of_the_ontology() -> str:
    """The list as the installed brickschema has it."""
    from rdflib import OWL, RDF, RDFS, Graph, Namespace

    brick = Namespace(NAMESPACE)
    graph = Graph().parse(str(files("brickschema") / "ontologies" / VERSION / "Brick.ttl"), format="turtle")
    found = {each for each in graph.subjects(RDF.type, OWL.Class) if each in brick}
    lines = []
    for each in found:
        above = {*graph.objects(each, RDFS.subClassOf)}
        above |= {*graph.objects(each, OWL.equivalentClass), *graph.subjects(OWL.equivalentClass, each)}
        names = sorted(str(one)[len(NAMESPACE) :] for one in above & found - {each})
        lines.append(" ".join([str(each)[len(NAMESPACE) :], *names]))
    return "\n".join(sorted(lines)) + "\n"


def test_the_list_is_that_of_the_installed_ontology():
    told = of_the_ontology()
    if os.environ.get("INSULA_WRITE_CLASSES"):
        LIST.write_text(told)
    assert read_classes() == told


def test_a_class_is_a_kind_of_what_stands_above_it_and_of_what_means_the_same():
    assert is_class("Conference_Room")
    assert not is_class("Conference room")
    assert is_subclass("Conference_Room", "Room")
    assert is_subclass("Conference_Room", "Location")
    assert is_subclass("Room", "Room")
    assert not is_subclass("Room", "Conference_Room")
    assert not is_subclass("Conference_Room", "Equipment")
    assert is_subclass("AHU", "Air_Handling_Unit")
    assert is_subclass("Air_Handling_Unit", "AHU")
    assert not is_subclass("Nothing_Such", "Nothing_Such")


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        ("conference room", "Conference_Room"),
        ("Confrence_Room", "Conference_Room"),
        ("Zone_Air_Temp_Sensor", "Zone_Air_Temperature_Sensor"),
        ("air-handling-unit", "Air_Handling_Unit"),
    ],
)
def test_the_nearest_name_is_what_was_meant(given: str, meant: str):
    assert nearest(given)[0] == meant


def test_the_nearest_are_of_the_kind_that_is_wanted():
    assert "Office" in nearest("Offices", of=("Space",))
    assert all(is_subclass(name, "Space") for name in nearest("Temperature_Sensor_Room", of=("Space",)))
    assert nearest("qqqqqqqq") == []
    assert nearest("") == []


def test_what_is_refused_is_told_with_what_would_be_right():
    assert check_class("Office", of=("Space",)) == "Office"
    with pytest.raises(InvalidInput) as refused:
        check_class("Ofice", of=("Space",))
    assert refused.value.field == "brick_class"
    assert refused.value.detail.startswith("'Ofice' is no class of Brick 1.5: did you mean Office")
    with pytest.raises(InvalidInput, match="'AHU' is no kind of Space"):
        check_class("AHU", of=("Space",))
    with pytest.raises(InvalidInput, match="use Equipment or System, or a kind of it"):
        check_class("qqqqqqqq", of=("Equipment", "System"))


def test_the_classes_that_analytics_use_are_of_brick_but_those_said_not_to_be():
    assert {name for name in CLASSES if not is_class(name)} == set(NOT_OF_BRICK)
    assert quantity_of("Electric_Power_Sensor") is Quantity.POWER
    assert quantity_of("Electric_Energy_Sensor") is Quantity.ELECTRIC_ENERGY
    # A heating panel's surface is not the mean radiant temperature of its room.
    assert quantity_of("Radiant_Panel_Temperature_Sensor") is None
