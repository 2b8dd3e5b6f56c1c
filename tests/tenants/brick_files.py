"""The buildings in Brick that are read beside the project, and files that tests write."""

from __future__ import annotations

from pathlib import Path

from insula_tenants.brick.files import GraphFormat, read_graph
from insula_tenants.brick.read import Reading, read_brick

PREFIXES = """\
@prefix brick: <https://brickschema.org/schema/Brick#> .
@prefix insula: <urn:insula:vocabulary#> .
@prefix owl: <http://www.w3.org/2002/07/owl#> .
@prefix rdfs: <http://www.w3.org/2000/01/rdf-schema#> .
@prefix rec: <https://w3id.org/rec#> .
@prefix ref: <https://brickschema.org/schema/Brick/ref#> .
@prefix unit: <http://qudt.org/vocab/unit/> .
@prefix : <https://example.com/forum#> .
"""
X = "https://example.com/forum#"

PLACES = """\
:site a brick:Site . :forum a brick:Building ; brick:isPartOf :site .
:ground a brick:Storey ; brick:isPartOf :forum . :hall a brick:Lobby ; brick:isPartOf :ground .
"""


def building(name: str) -> bytes:
    """A file of `../shared/data/brick` beside the project, wherever the checkout is."""
    for parent in Path(__file__).resolve().parents:
        if (found := parent / "shared" / "data" / "brick" / name).is_file():
            return found.read_bytes()
    raise AssertionError(f"the recorded data is not beside the project: ../shared/data/brick/{name}")


def read(content: bytes | str, form: GraphFormat = "turtle") -> Reading:
    """What a file comes to."""
    return read_brick(read_graph(content.encode() if isinstance(content, str) else content, form))


def turtle(statements: str) -> Reading:
    """The same of statements, with the prefixes."""
    return read(PREFIXES + statements)


def told(reading: Reading, thing: str) -> list[tuple[str, str]]:
    """Fields and details of what is told about a thing of the Forum."""
    return [(one.field, one.detail) for one in reading.problems if one.key == f"{X}{thing}"]
