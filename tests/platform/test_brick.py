"""Building models as files over HTTP and at a terminal: in, out, in again, and what is refused."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from threading import Event
from typing import Any

import httpx
import pytest
from sqlalchemy import select
from typer.testing import CliRunner

from insula_platform.brick import routes
from insula_platform.cli import app as command_line
from insula_platform.oauth.models import Client
from insula_tenants.audit import list_entries
from insula_tenants.brick import apart
from insula_tenants.brick.apart import read_apart
from insula_tenants.building_model import ModelDocument, read_model
from insula_tenants.building_model.models import ModelPoint
from insula_tenants.devices import NewPoint, create_device, list_points
from insula_tenants.errors import InvalidInput
from insula_tenants.spaces import Places
from tests.platform.conftest import Live
from tests.platform.test_devices_api import Program, problem
from tests.tenants.brick_files import PREFIXES, X, building
from tests.tenants.test_haystack import OLDER

SCOPE = "devices:read devices:write"
BRICK = "building-model/brick"
TURTLE, JSON_LD = "text/turtle", "application/ld+json"
FORUM = (
    PREFIXES
    + """
:forum a brick:Building ; rdfs:label "Forum" ; insula:timeZone "Europe/Brussels" .
:ground a brick:Storey ; brick:isPartOf :forum ; rec:levelNumber 0 .
:hall a brick:Lobby ; rdfs:label "Hall" ; brick:isPartOf :ground ;
    brick:netArea [ brick:value 80.5 ; brick:hasUnit unit:M2 ] .
:zone a brick:HVAC_Zone ; brick:hasPart :hall .
:ahu a brick:AHU ; brick:hasLocation :ground ; brick:feeds :zone .
:t a brick:Zone_Air_Temperature_Sensor ; brick:isPointOf :hall ; brick:hasUnit unit:DEG_C ;
    ref:hasExternalReference [ a ref:TimeseriesReference ; ref:hasTimeseriesId "th-1/temperature" ] .
:smoke a brick:Smoke_Detected_Alarm ; brick:isPointOf :hall ;
    ref:hasExternalReference [ a ref:TimeseriesReference ; ref:hasTimeseriesId "gone/x" ] .
"""
)
COUNTS = {"site": 1, "building": 1, "storey": 1, "space": 1, "zone": 1, "equipment": 1, "model-point": 2}


@pytest.fixture(scope="module")
def http(live: Live) -> Iterator[httpx.Client]:
    with live.client() as client:
        yield client


class Files(Program):
    """A program of a tenant that sends and fetches files."""

    def __init__(self, live: Live, http: httpx.Client, tenant: str, scope: str = SCOPE) -> None:
        super().__init__(live, http, tenant, scope)
        self._client = http

    def send(
        self,
        content: str | bytes | Iterator[bytes],
        media_type: str = TURTLE,
        path: str = BRICK,
        **query: Any,
    ) -> httpx.Response:
        headers = {"Authorization": f"Bearer {self._token}", "Content-Type": media_type}
        return self._client.post(self._path + path, content=content, headers=headers, params=query)

    def fetch(self, accept: str = TURTLE, **query: Any) -> httpx.Response:
        headers = {"Authorization": f"Bearer {self._token}", "Accept": accept}
        return self._client.get(self._path + BRICK, headers=headers, params=query)


@pytest.fixture(scope="module")
def acme(live: Live, http: httpx.Client) -> Files:
    with live.deployment.databases.tenant(live.deployment.acme) as session:
        create_device(session, "th-1", name="Thermometer", points=[NewPoint("temperature")])
    return Files(live, http, "acme")


@pytest.fixture(scope="module")
def globex(live: Live, http: httpx.Client) -> Files:
    return Files(live, http, "globex")


def model_of(live: Live, tenant: str) -> ModelDocument:
    with live.deployment.databases.tenant(getattr(live.deployment, tenant)) as session:
        return read_model(session)


def test_a_building_comes_in_goes_out_and_comes_in_the_same(live: Live, acme: Files, globex: Files):
    looked = acme.send(FORUM, dry_run=True)
    assert looked.status_code == 200, looked.text
    assert looked.json()["created"] == COUNTS
    assert looked.json()["dry_run"] is True
    assert model_of(live, "acme").buildings == ()

    taken = acme.send(FORUM).json()
    assert taken["created"] == COUNTS
    assert taken["problems"] == looked.json()["problems"]
    told = {(one["thing"], one["field"]) for one in taken["problems"]}
    assert (f"{X}smoke", "brick_class") in told
    assert (f"{X}smoke", "series") in told
    with live.deployment.databases.tenant(live.deployment.acme) as session:
        (point,) = list_points(session, device="th-1")
        bound = session.scalars(select(ModelPoint.point_id).where(ModelPoint.iri == f"{X}t")).one()
    assert bound == point.id

    again = acme.send(FORUM).json()
    assert (again["created"], again["updated"], again["unchanged"]) == ({}, {}, COUNTS)

    out = acme.fetch()
    assert out.headers["content-type"] == "text/turtle; charset=utf-8"
    there = model_of(live, "acme")
    same = acme.send(out.text).json()
    assert (same["created"], same["updated"], same["problems"]) == ({}, {}, [])
    assert model_of(live, "acme") == there

    # At a tenant that has nothing: the same but for what brings the values, which is a device of acme's.
    with live.deployment.databases.tenant(live.deployment.globex) as session:
        create_device(session, "th-1", name="Thermometer", points=[NewPoint("temperature")])
    first = globex.send(out.text).json()
    assert first["created"] == COUNTS
    assert first["problems"] == []
    assert model_of(live, "globex") == there
    assert globex.fetch().text == out.text
    assert acme.fetch(JSON_LD).headers["content-type"] == JSON_LD
    from_json = globex.send(acme.fetch(JSON_LD).text, JSON_LD).json()
    assert (from_json["created"], from_json["updated"], from_json["problems"]) == ({}, {}, [])


def test_what_was_taken_in_is_in_the_audit_log(live: Live, acme: Files):
    acme.send(FORUM, dry_run=True)
    acme.send(FORUM.replace("Smoke_Detected_Alarm", "Smoke_Alarm"))
    with live.deployment.databases.core() as core:
        newest, before, *_ = list_entries(core, tenant=live.deployment.acme.id)
        assert (newest.action, newest.target) == ("building_model.imported", "acme")
        assert newest.detail == {
            "format": "turtle",
            "created": {},
            "updated": {"model-point": 1},
            "problems": 2,
        }
        assert before.detail.get("updated") != {"model-point": 1}, "a dry run tells nothing"


def test_soda_hall_comes_in_over_http_and_goes_out_again(live: Live, acme: Files):
    taken = acme.send(building("soda_hall.ttl"))
    assert taken.status_code == 200, taken.text
    created = taken.json()["created"]
    assert created == {
        "site": 1,
        "building": 1,
        "storey": 9,
        "space": 243,
        "zone": 243,
        "equipment": 258,
        "model-point": 943,
    }
    assert taken.json()["problems_not_shown"] == 0
    buildings = acme.ask("GET", "buildings").json()["items"]
    (soda,) = [one["id"] for one in buildings if one["name"] == "Soda Hall"]
    out = acme.fetch(building=soda)
    assert "building_example#ahu_A1" in out.text
    assert X not in out.text
    same = acme.send(out.text).json()
    assert (same["created"], same["updated"], same["problems"]) == ({}, {}, [])


def test_a_grid_of_haystack_comes_in(live: Live, globex: Files):
    grid = json.dumps(OLDER)
    taken = globex.send(grid, "application/json", "building-model/haystack").json()
    assert taken["created"] == {
        "site": 1,
        "building": 1,
        "storey": 1,
        "space": 1,
        "equipment": 2,
        "model-point": 1,
    }
    assert [one["thing"] for one in taken["problems"]] == ["urn:haystack:hq", "urn:haystack:p:demo:r:1"]
    again = globex.send(grid, "application/json", "building-model/haystack").json()
    assert (again["created"], again["updated"]) == ({}, {})


@pytest.mark.parametrize(
    ("content", "media_type", "status", "kind", "detail"),
    [
        (":a a :b .", TURTLE, 422, "invalid-input", 'line 1: Prefix ":" not bound'),
        ("", TURTLE, 422, "invalid-input", "the file is empty"),
        ("<urn:a> a <urn:b> .".encode("utf-16"), TURTLE, 422, "invalid-input", "is no UTF-8"),
        ('{"@context": "http://127.0.0.1/x"}', JSON_LD, 422, "invalid-input", "is not fetched"),
        ("<rdf:RDF/>", "application/rdf+xml", 415, "unsupported-media-type", "send text/turtle or"),
        (b" " * (8 * 1024 * 1024 + 1), TURTLE, 413, "file-too-large", "send it in parts"),
    ],
    ids=["syntax", "empty", "utf-16", "remote-context", "xml", "large"],
)
def test_what_cannot_be_read_is_refused(acme: Files, content, media_type, status, kind, detail):
    answer = acme.send(content, media_type)
    assert problem(answer)[:2] == (status, kind)
    assert detail in answer.json()["detail"] + json.dumps(answer.json().get("errors"), ensure_ascii=False)


def test_a_file_that_takes_too_long_ends(monkeypatch: pytest.MonkeyPatch):
    """rdflib needs minutes for a text of some million line breaks."""
    monkeypatch.setattr(apart, "MOST_SECONDS", 1)
    content = PREFIXES.encode() + b':a rdfs:label """' + b"\n" * 4_000_000 + b'""" .'
    with pytest.raises(InvalidInput, match="takes over 1 s: send it in parts"):
        read_apart(content, "turtle")


def test_another_tenants_model_is_not_there(live: Live, http: httpx.Client, acme: Files, globex: Files):
    there = acme.ask("GET", "buildings").json()["items"][0]["id"]
    assert problem(globex.fetch(building=10**6 + there))[:2] == (404, "not-found")
    stranger = Files(live, http, "globex")
    stranger._path = acme._path
    for answer in (stranger.fetch(), stranger.send(FORUM)):
        assert problem(answer)[:2] == (404, "not-found")


def test_a_grant_for_a_part_takes_nothing_in_and_out(live: Live, http: httpx.Client, acme: Files):
    storey = acme.ask("GET", "storeys").json()["items"][0]["id"]
    part = Files(live, http, "acme")
    with live.deployment.databases.core() as core:
        newest = select(Client).where(Client.name == "tests").order_by(Client.created_at.desc()).limit(1)
        core.scalars(newest).one().places = Places(storeys=frozenset({storey})).told
    grid = json.dumps(OLDER)
    answers = (
        part.fetch(),
        part.send(FORUM),
        part.send(grid, "application/json", "building-model/haystack", dry_run=True),
    )
    assert [problem(one)[:2] for one in answers] == [(403, "not-allowed")] * 3


def test_reading_needs_its_scope_and_writing_another(live: Live, http: httpx.Client):
    reader = Files(live, http, "acme", "devices:read")
    assert reader.fetch().status_code == 200
    assert reader.send(FORUM).status_code == 403


def test_a_terminal_checks_takes_in_and_writes(
    live: Live, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, globex: Files
):
    monkeypatch.setenv("INSULA_DATABASE_URL", live.deployment.service_url)
    run = CliRunner()
    given, out = tmp_path / "forum.ttl", tmp_path / "out.ttl"
    given.write_text(FORUM.replace("/forum#", "/terminal#"))
    checked = run.invoke(command_line, ["model", "validate", str(given), "--json"])
    assert checked.exit_code == 1, checked.output
    told = json.loads(checked.stdout)
    assert told["things"]["spaces"] == 1
    assert {one["field"] for one in told["problems"]} == {"iri", "brick_class"}

    looked = run.invoke(command_line, ["model", "import", str(given), "--tenant", "globex", "--dry-run"])
    assert looked.exit_code == 0, looked.output
    assert "nothing was changed" in looked.stdout
    taken = run.invoke(command_line, ["model", "import", str(given), "--tenant", "globex", "--json"])
    assert json.loads(taken.stdout)["created"]["space"] == 1
    written = run.invoke(command_line, ["model", "export", "--tenant", "globex", "--to", str(out)])
    assert written.exit_code == 0, written.output
    assert out.read_text() == globex.fetch().text
    assert run.invoke(command_line, ["model", "validate", str(out)]).exit_code == 0
    refused = run.invoke(command_line, ["model", "validate", str(tmp_path / "forum.ifc")])
    assert "name it .ttl, .jsonld, .json" in str(refused.exception)


def test_a_file_that_does_not_arrive_keeps_no_place(acme: Files, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(routes, "LONGEST_UPLOAD", 0.2)
    arrived = Event()

    def slowly() -> Iterator[bytes]:
        yield FORUM.encode()[:100]
        arrived.wait(5)
        yield FORUM.encode()[100:]

    try:
        stalled = acme.send(slowly())
    finally:
        arrived.set()
    assert problem(stalled)[:2] == (408, "timeout")
    assert acme.send(FORUM, dry_run=True).status_code == 200
