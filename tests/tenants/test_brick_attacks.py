"""Files that are too large, too deep, no text, or want something fetched: a clear answer, no more."""

from __future__ import annotations

import json

import pytest

from insula_tenants.brick import files, statements
from insula_tenants.brick.apart import FileFormat, read_file
from insula_tenants.brick.files import FileTooLarge, read_graph
from insula_tenants.errors import InvalidInput
from tests.servers.recording import recording_server
from tests.tenants.brick_files import PREFIXES, X, read, turtle


def refused(content: bytes, form="turtle") -> str:
    with pytest.raises(InvalidInput) as error:
        read_graph(content, form)
    return error.value.detail


@pytest.mark.parametrize(
    ("content", "detail"),
    [
        (b":a a :b .", 'line 1: Prefix ":" not bound'),
        (PREFIXES.encode() + b":a a brick:Room\n:b a brick:Room .\n", "line 10: expected"),
        (PREFIXES.encode() + b":a brick:hasPart " + b"[ brick:hasPart " * 5000, "nested too deeply"),
        (PREFIXES.encode() + b":a brick:hasPart " + b"(" * 5000, "nested too deeply"),
        ("<urn:a> a <urn:b> .".encode("utf-16"), "line 1, byte 0 is no UTF-8: save the file as UTF-8"),
        (PREFIXES.encode() + b":a rdfs:label '\xe9' .", "line 9, byte"),
        (b'<?xml version="1.0"?><!DOCTYPE x [<!ENTITY a "b">]><rdf:RDF/>', "line 1:"),
        (b"{ <urn:a> <urn:b> <urn:c> } => { <urn:a> <urn:b> <urn:d> } .", "line 1:"),
    ],
)
def test_what_is_no_turtle_is_told_with_its_line(content: bytes, detail: str):
    assert detail in refused(content)


@pytest.mark.parametrize(
    ("content", "detail"),
    [
        (b'{"@id": ', "line 1: this is no JSON"),
        (b"[" * 100_000, "deeper than 64 levels"),
        (b'{"a":' * 100 + b"1" + b"}" * 100, "deeper than 64 levels"),
        (b'{"@context": 5, "@id": "urn:a"}', "this is no json-ld"),
        (b"NaN", "this is no json-ld"),
    ],
)
def test_what_is_no_json_ld_is_told(content: bytes, detail: str):
    assert detail in refused(content, "json-ld")


def test_named_graphs_of_json_ld_are_read_as_one():
    room = {"@id": f"{X}hall", "@type": "https://brickschema.org/schema/Brick#Lobby"}
    content = json.dumps([{"@id": f"{X}graph", "@graph": [room]}])
    assert [one.key for one in read(content, "json-ld").document.spaces] == [f"{X}hall"]


def test_nothing_is_fetched_for_a_file():
    with recording_server() as (url, requests):
        contexts = (
            url,
            [url],
            {"a": {"@id": "urn:a", "@context": [{}, url]}},
            {"@import": url},
            [[{"a": {"@context": {"@import": url}}}]],
        )
        for context in contexts:
            content = json.dumps({"@context": context, "@id": "urn:a", "@type": "urn:b"}).encode()
            assert "is not fetched: put its terms into the file" in refused(content, "json-ld")
        nested = {"@id": "urn:a", "urn:b": [{"@context": url, "@id": "urn:c"}]}
        assert "is not fetched" in refused(json.dumps(nested).encode(), "json-ld")
        reading = turtle(f"<{url}> owl:imports <{url}/imported> ; a owl:Ontology .")
        assert [one.field for one in reading.problems] == ["owl:imports"]
        assert requests == []


def test_a_file_has_an_end(monkeypatch: pytest.MonkeyPatch):
    with pytest.raises(FileTooLarge, match="send it in parts"):
        read_graph(b" " * (files.MOST_BYTES + 1), "turtle")
    monkeypatch.setattr(files, "MOST_STATEMENTS", 10)
    many = PREFIXES + "".join(f":a{number} a brick:Room .\n" for number in range(11))
    assert "more than 10 statements" in refused(many.encode())
    monkeypatch.undo()
    monkeypatch.setattr(statements, "MOST_THINGS", 10)
    with pytest.raises(InvalidInput, match="there are 11 things: 10 are taken at most"):
        read(many)


def test_nesting_without_end_is_cut_and_told():
    chain = "".join(f":r{number} a brick:Room ; brick:isPartOf :r{number + 1} .\n" for number in range(2000))
    reading = turtle(f"{chain}:r2000 a brick:Room .")
    assert [one.key for one in reading.document.spaces] == [f"{X}r0"]
    assert any("nested deeper than 30" in one.detail for one in reading.problems)


@pytest.mark.parametrize(
    ("iri", "detail"),
    [
        ("<https://example.com/a b>", "is no IRI"),
        ("<relative>", "a relative IRI: give the file a @base"),
        (f"<https://example.com/{'a' * 1000}>", "up to 1000 characters"),
        ("[]", "without an IRI: give it one"),
    ],
)
def test_things_need_a_name_of_their_own(iri: str, detail: str):
    reading = turtle(f"{iri} a brick:AHU .")
    assert reading.document.equipment == ()
    assert [one.field for one in reading.problems] == ["iri"]
    assert detail in reading.problems[0].detail


@pytest.mark.parametrize(
    ("content", "form"),
    [
        (PREFIXES + "<urn:x\\uD800> a brick:Building .", "turtle"),
        (PREFIXES + ':x a brick:Building ; rdfs:label "\\uDFFF" .', "turtle"),
        ('{"@id": "urn:x\\ud800", "@type": "https://brickschema.org/schema/Brick#Building"}', "json-ld"),
        ('{"rows": [{"id": "r:x\\ud800", "site": "m:"}]}', "haystack"),
    ],
)
def test_half_of_a_surrogate_pair_is_no_text(content: str, form: FileFormat):
    with pytest.raises(InvalidInput, match=r"U\+D[8F][0F][0F] is no character"):
        read_file(content.encode(), form)


@pytest.mark.parametrize(
    "value",
    [
        f'{{"_kind": "number", "val": 1{"0" * 400}}}',
        f"1{'0' * 400}",
        '{"_kind": "number", "val": 1, "unit": {"_kind": "marker"}}',
        '{"_kind": "ref", "val": "x", "dis": ["a"]}',
    ],
)
def test_a_value_of_haystack_that_is_none_is_told_with_its_row(value: str):
    row = f'{{"id": {{"_kind": "ref", "val": "x"}}, "site": {{"_kind": "marker"}}, "area": {value}}}'
    with pytest.raises(InvalidInput, match=r"row 1: .* is no value for 'area'"):
        read_file(f"[{row}]".encode(), "haystack")
