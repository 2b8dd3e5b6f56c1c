"""What is made from the ontology is the ontology's, and what is written conforms to its shapes."""

from __future__ import annotations

import os
from pathlib import Path

from insula_tenants.brick import forward, kinds
from insula_tenants.brick.classes import is_class
from insula_tenants.brick.files import read_graph
from insula_tenants.brick.shapes import check_shapes
from insula_tenants.brick.write import write_brick
from tests.tenants.brick_files import PLACES, PREFIXES, X, turtle
from tests.tenants.brick_ontology import replaced, tags
from tests.tenants.test_brick_reading import FULL

FOLDER = Path(forward.__file__).parent


def test_the_lists_are_those_of_the_installed_ontology():
    for name, told in (("replaced.txt", replaced()), ("tags.txt", tags())):
        if os.environ.get("INSULA_WRITE_CLASSES"):
            (FOLDER / name).write_text(told)
        assert (FOLDER / name).read_text() == told
    assert all(is_class(one) for one in forward.replacements().values())
    assert all(is_class(one) for one in forward.RENAMED.values())
    assert not any(is_class(one) for one in forward.RENAMED)
    assert kinds.tags_of("Zone_Air_Temperature_Sensor") == {"Air", "Point", "Sensor", "Temperature", "Zone"}


def test_what_is_written_conforms_to_bricks_shapes():
    assert check_shapes(read_graph(write_brick(FULL).encode(), "turtle")) == ()


def test_what_the_shapes_forbid_is_told_by_reading_too():
    """pyshacl, with the ontology's shapes, and what reads a model find fault with the same statements."""
    faulty = """
    :fan a brick:Fan ; brick:hasLocation :ahu . :ahu a brick:AHU .
    :t a brick:Temperature_Sensor ; brick:hasLocation :hall .
    :ahu2 a brick:AHU ; brick:hasPoint :hall .
    :vav a brick:VAV ; brick:isPartOf :ground .
    :ahu3 a brick:AHU ; brick:feeds :t .
    """
    by_shapes = {one.key for one in check_shapes(read_graph((PREFIXES + PLACES + faulty).encode(), "turtle"))}
    by_reading = {one.key for one in turtle(PLACES + faulty).problems}
    assert by_shapes
    # Of a relationship that cannot be, reading names the one end and the shapes sometimes the other.
    assert by_shapes == {f"{X}{one}" for one in ("fan", "t", "ahu2", "vav", "ahu3")}
    assert by_reading == {f"{X}{one}" for one in ("fan", "t", "hall", "vav", "ahu3")}
