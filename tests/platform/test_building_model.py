"""The building model over HTTP: made, changed, moved, taken away, found, and kept to what a grant covers."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import date
from typing import Any

import httpx
import pytest
from sqlalchemy import select
from typer.testing import CliRunner

from insula_platform.cli import app as command_line
from insula_platform.oauth.models import Client
from insula_tenants.audit import list_entries
from insula_tenants.building_model.changes import lock_model
from insula_tenants.devices import NewPoint, create_device, list_points
from insula_tenants.energy.meters import NewMeter, add_meter, delete_meter
from insula_tenants.energy.tariffs import add_tariff
from insula_tenants.spaces import Places
from tests.platform.conftest import Live
from tests.platform.test_devices_api import Program, problem

SCOPE = "devices:read devices:write"


@pytest.fixture(scope="module")
def http(live: Live) -> Iterator[httpx.Client]:
    with live.client() as client:
        yield client


@pytest.fixture(scope="module")
def acme(live: Live, http: httpx.Client) -> Program:
    return Program(live, http, "acme", SCOPE)


def made(program: Program, path: str, **facts: Any) -> dict[str, Any]:
    answer = program.ask("POST", path, facts)
    assert answer.status_code == 201, answer.text
    told: dict[str, Any] = answer.json()
    assert answer.headers["location"].endswith(f"/{path}/{told['id']}")
    return told


def listed(program: Program, path: str) -> list[dict[str, Any]]:
    answer = program.ask("GET", path)
    assert answer.status_code == 200, answer.text
    items: list[dict[str, Any]] = answer.json()["items"]
    return items


class Building:
    """A building of acme: two storeys, three rooms, a zone, an AHU and a device, `word` in every name."""

    def __init__(self, live: Live, acme: Program, word: str) -> None:
        self.site = made(acme, "sites", name=f"Site {word}")["id"]
        self.building = made(
            acme, "buildings", site_id=self.site, name=f"House {word}", time_zone="Europe/Brussels"
        )["id"]
        self.ground, self.first = (
            made(acme, "storeys", building_id=self.building, name=f"Floor {level} {word}", level=level)["id"]
            for level in (0, 1)
        )
        self.hall, self.office, self.attic = (
            made(acme, "spaces", storey_id=storey, name=f"{name} {word}", brick_class=brick_class)["id"]
            for storey, name, brick_class in (
                (self.ground, "Hall", "Lobby"),
                (self.ground, "Office", "Office"),
                (self.first, "Attic", "Room"),
            )
        )
        self.zone = made(acme, "zones", name=f"Zone {word}", brick_class="HVAC_Zone", spaces=[self.hall])[
            "id"
        ]
        place = {"kind": "storey", "id": self.first}
        self.ahu = made(acme, "equipment", name=f"AHU {word}", brick_class="AHU", location=place)["id"]
        self.device = f"{word}-sensor"
        with live.deployment.databases.tenant(live.deployment.acme) as session:
            points = [NewPoint("temperature", "Zone_Air_Temperature_Sensor")]
            create_device(session, self.device, name="Sensor", space_id=self.hall, points=points)
            (point,) = list_points(session, device=self.device)
        self.point = point.id


@pytest.fixture(scope="module")
def north(live: Live, acme: Program) -> Building:
    return Building(live, acme, "north")


@pytest.fixture(scope="module")
def south(live: Live, acme: Program) -> Building:
    return Building(live, acme, "south")


@pytest.fixture(scope="module")
def spare(live: Live, acme: Program) -> Building:
    """One for tests that take it apart."""
    return Building(live, acme, "spare")


@pytest.fixture(scope="module")
def placed(live: Live, http: httpx.Client, north: Building, south: Building) -> Program:
    """A program whose grant is for the ground floor of the north building."""
    program = Program(live, http, "acme", SCOPE)
    with live.deployment.databases.core() as core:
        newest = select(Client).where(Client.name == "tests").order_by(Client.created_at.desc()).limit(1)
        core.scalars(newest).one().places = Places(storeys=frozenset({north.ground})).told
    return program


def test_each_kind_is_made_shown_changed_and_listed(acme: Program, north: Building):
    for path, facts, changes in (
        ("sites", {"name": "Gent", "latitude": 51.05}, {"longitude": 3.72, "latitude": None}),
        (
            "buildings",
            {"site_id": north.site, "name": "Annex", "time_zone": "UTC", "area": 120.5},
            {"time_zone": "Europe/Paris", "brick_class": "Parking_Structure"},
        ),
        (
            "storeys",
            {"building_id": north.building, "name": "Cellar", "level": -1},
            {"name": "Basement", "level": -2},
        ),
        (
            "spaces",
            {"storey_id": north.first, "name": "Nook", "capacity": 4, "comfort_category": "I", "area": 9},
            {"capacity": None, "iri": "https://example.com/north#nook", "comfort_category": "III"},
        ),
        (
            "zones",
            {"name": "Lights", "brick_class": "Lighting_Zone", "spaces": [north.office, north.hall]},
            {"spaces": [north.attic]},
        ),
        (
            "equipment",
            {
                "name": "Fan",
                "brick_class": "Supply_Fan",
                "part_of_id": north.ahu,
                "feeds": [{"kind": "zone", "id": north.zone}, {"kind": "space", "id": north.hall}],
            },
            {"location": {"kind": "space", "id": north.attic}, "feeds": [], "part_of_id": None},
        ),
        (
            "model-points",
            {
                "name": "Air",
                "brick_class": "Zone_Air_Temperature_Sensor",
                "unit": "Cel",
                "of": {"kind": "zone", "id": north.zone},
                "point_id": north.point,
            },
            {"of": {"kind": "equipment", "id": north.ahu}, "unit": None, "point_id": None},
        ),
    ):
        answer = acme.ask("POST", path, facts)
        assert answer.status_code == 201, (path, answer.text)
        there = answer.json()
        kept = {"Cel": "degC"}
        for field, value in facts.items():
            expected = kept.get(value, value) if isinstance(value, str) else value
            assert there[field] == expected or sorted(there[field], key=str) == sorted(expected, key=str)
        one = acme.ask("GET", f"{path}/{there['id']}")
        assert (one.json(), one.headers["etag"]) == (there, answer.headers["etag"])
        changed = acme.ask("PATCH", f"{path}/{there['id']}", changes, If_Match=one.headers["etag"])
        assert changed.status_code == 200, (path, changed.text)
        expected = there | changes
        if path == "model-points":
            assert (there["device"], there["point"]) == (north.device, "temperature")
            expected |= {"device": None, "point": None}
        assert changed.json() == expected
        late = acme.ask("PATCH", f"{path}/{there['id']}", changes, If_Match=one.headers["etag"])
        assert problem(late) == (412, "precondition-failed", "")
        gone = acme.ask("DELETE", f"{path}/{there['id']}", If_Match=one.headers["etag"])
        assert problem(gone) == (412, "precondition-failed", "")
        assert changed.json() in listed(acme, path)
        assert acme.ask("DELETE", f"{path}/{there['id']}").status_code == 204
        assert acme.ask("GET", f"{path}/{there['id']}").status_code == 404
        assert there["id"] not in [each["id"] for each in listed(acme, path)]


def test_a_request_that_is_sent_again_makes_nothing_twice(acme: Program):
    first = acme.ask("POST", "sites", {"name": "Once"}, Idempotency_Key="site-once")
    again = acme.ask("POST", "sites", {"name": "Once"}, Idempotency_Key="site-once")
    assert (first.status_code, again.status_code) == (201, 200)
    assert first.json() == again.json()
    other = acme.ask("POST", "sites", {"name": "Twice"}, Idempotency_Key="site-once")
    assert problem(other)[:2] == (409, "conflict")


def test_lists_come_in_pages_and_by_what_they_stand_in(acme: Program, north: Building, south: Building):
    found: list[int] = []
    cursor = ""
    while True:
        answer = acme.ask("GET", f"storeys?limit=1{cursor}").json()
        found += [one["id"] for one in answer["items"]]
        if answer["next_cursor"] is None:
            break
        cursor = f"&cursor={answer['next_cursor']}"
    assert found == [one["id"] for one in listed(acme, "storeys")]
    assert {north.ground, south.ground} <= set(found)
    assert [one["id"] for one in listed(acme, f"storeys?building={south.building}")] == [
        south.ground,
        south.first,
    ]
    assert [one["id"] for one in listed(acme, f"buildings?site={south.site}")] == [south.building]


@pytest.mark.parametrize(
    ("path", "facts", "status", "field", "said"),
    [
        ("spaces", {"brick_class": "Confrence_Room"}, 422, "brick_class", "Conference_Room"),
        ("spaces", {"brick_class": "AHU"}, 422, "brick_class", "no kind of Space"),
        ("spaces", {"storey_id": 2**30}, 422, "storey_id", "there is no storey"),
        ("spaces", {"name": "Hall north"}, 409, "", "choose another name"),
        ("spaces", {"area": 0}, 422, "area", "more than 0"),
        ("spaces", {"area": 1e300}, 422, "area", "floor area"),
        ("spaces", {"capacity": -1}, 422, "capacity", "number of people"),
        ("spaces", {"comfort_category": "V"}, 422, "body.comfort_category", "'IV'"),
        ("spaces", {"iri": "no iri"}, 422, "iri", "https://"),
        ("spaces", {"iri": "urn:insula:acme:space:1"}, 422, "iri", "made of an id"),
        ("buildings", {"time_zone": "Mars/Olympus"}, 422, "time_zone", "Europe/Brussels"),
        ("storeys", {"level": 99_999}, 422, "level", "ground floor"),
        ("sites", {"latitude": 91}, 422, "latitude", "WGS 84"),
        ("zones", {"spaces": [2**30]}, 422, "spaces", "there is no space"),
        ("equipment", {"location": {"kind": "equipment", "id": 1}}, 422, "location", "building or storey"),
        ("equipment", {"feeds": [{"kind": "building", "id": 1}]}, 422, "feeds", "not fed"),
        ("equipment", {"part_of_id": 2**30}, 422, "part_of_id", "no equipment"),
        ("model-points", {"unit": "furlongs per"}, 422, "unit", "degC"),
        ("model-points", {"point_id": 2**30}, 422, "point_id", "no point"),
        ("model-points", {"name": " padded"}, 422, "name", "without blanks"),
        ("model-points", {"surprise": 1}, 422, "body.surprise", "Extra"),
    ],
)
def test_what_cannot_be_so_is_named_with_the_fix(
    acme: Program, north: Building, path: str, facts: dict[str, Any], status: int, field: str, said: str
):
    good: dict[str, dict[str, Any]] = {
        "sites": {},
        "buildings": {"site_id": north.site, "time_zone": "UTC"},
        "storeys": {"building_id": north.building},
        "spaces": {"storey_id": north.ground},
    }
    answer = acme.ask("POST", path, {"name": "New"} | good.get(path, {}) | facts)
    assert answer.status_code == status, answer.text
    assert problem(answer)[2] == field
    assert said in answer.text


def test_an_iri_and_a_devices_point_are_somebodys_once(acme: Program, north: Building):
    iri = "https://example.com/once"
    zone = made(acme, "zones", name="First", iri=iri)
    other = acme.ask("POST", "equipment", {"name": "Second", "iri": iri})
    assert problem(other)[:2] == (409, "conflict")
    assert f"zone {zone['id']}" in other.text
    assert acme.ask("PATCH", f"zones/{zone['id']}", {"iri": iri}).status_code == 200
    point = made(acme, "model-points", name="First", point_id=north.point)
    taken = acme.ask("POST", "model-points", {"name": "Second", "point_id": north.point})
    assert problem(taken)[:2] == (409, "conflict")
    assert acme.ask("DELETE", f"model-points/{point['id']}").status_code == 204


def test_equipment_goes_in_no_circle(acme: Program):
    outer = made(acme, "equipment", name="Outer")
    inner = made(acme, "equipment", name="Inner", part_of_id=outer["id"])
    for equipment, whole in ((outer, inner), (outer, outer)):
        answer = acme.ask("PATCH", f"equipment/{equipment['id']}", {"part_of_id": whole["id"]})
        assert problem(answer) == (422, "invalid-input", "part_of_id")
    assert acme.ask("DELETE", f"equipment/{outer['id']}").status_code == 204
    assert acme.ask("GET", f"equipment/{inner['id']}").json()["part_of_id"] is None


def test_a_space_moves_with_its_devices(acme: Program, live: Live, spare: Building, north: Building):
    moved = acme.ask("PATCH", f"spaces/{spare.hall}", {"storey_id": north.first})
    assert (moved.json()["building"], moved.json()["site_id"]) == ("House north", north.site)
    assert acme.ask("GET", f"devices/{spare.device}").json()["space_id"] == spare.hall
    acme.ask("PATCH", f"spaces/{spare.office}", {"name": "Hall spare"})
    back = acme.ask("PATCH", f"spaces/{spare.hall}", {"storey_id": spare.ground})
    assert problem(back)[:2] == (409, "conflict"), "that name is somebody's there by now"
    acme.ask("PATCH", f"spaces/{spare.office}", {"name": "Office spare"})
    assert acme.ask("PATCH", f"spaces/{spare.hall}", {"storey_id": spare.ground}).status_code == 200


def test_who_changes_a_model_keeps_nobody_waiting_for_long(
    live: Live, http: httpx.Client, acme: Program, spare: Building
):
    """Who waits holds a connection to the registry, and all tenants share a few."""
    neighbour = Program(live, http, "globex", SCOPE)
    with live.deployment.databases.tenant(live.deployment.acme) as session:
        lock_model(session)
        for method, path, facts in (
            ("POST", "sites", {"name": "Meanwhile"}),
            ("PATCH", f"sites/{spare.site}", {"latitude": 1.0}),
            ("DELETE", f"zones/{spare.zone}", None),
        ):
            refused = acme.ask(method, path, facts)
            assert problem(refused)[:2] == (409, "conflict")
            assert "try again" in refused.json()["detail"]
        theirs = neighbour.ask("POST", "sites", {"name": "Meanwhile"})
        assert theirs.status_code == 201
    assert neighbour.ask("DELETE", f"sites/{theirs.json()['id']}").status_code == 204
    assert acme.ask("DELETE", f"sites/{made(acme, 'sites', name='Meanwhile')['id']}").status_code == 204


def test_what_goes_along_is_told_before_it_goes(live: Live, acme: Program, spare: Building):
    made(acme, "model-points", name="Air", of={"kind": "zone", "id": spare.zone})
    made(acme, "model-points", name="Supply", of={"kind": "equipment", "id": spare.ahu})
    with live.deployment.databases.tenant(live.deployment.acme) as session:
        counter = NewPoint("energy", "Electrical_Energy_Usage_Sensor", "kWh", kind="counter")
        create_device(session, "spare-counter", name="Counter", points=[counter])
        (point,) = list_points(session, device="spare-counter")
        meter = add_meter(session, NewMeter("Attic", "electricity", point.id, space_id=spare.attic))
        facts = {"carrier": "electricity", "building_id": spare.building, "valid_from": date(2026, 1, 1)}
        add_tariff(session, {**facts, "name": "Day", "currency": "EUR", "price": 0.3, "periods": []})
    refused = acme.ask("DELETE", f"sites/{spare.site}")
    assert problem(refused)[:2] == (409, "takes-along")
    along = {"buildings": 1, "storeys": 2, "spaces": 3, "equipment": 1, "model_points": 1, "devices": 1}
    along["tariffs"] = 1
    assert refused.json()["takes_along"] == along | {"meters": 1}
    assert acme.ask("DELETE", f"spaces/{spare.attic}").json()["takes_along"] == {"meters": 1}
    with live.deployment.databases.tenant(live.deployment.acme) as session:
        delete_meter(session, meter.id)
    assert "1 devices" in refused.json()["detail"]
    assert problem(acme.ask("DELETE", f"spaces/{spare.hall}"))[:2] == (409, "takes-along")
    assert acme.ask("DELETE", f"spaces/{spare.attic}").status_code == 204, "nothing stands in it"
    assert problem(acme.ask("DELETE", f"zones/{spare.zone}"))[:2] == (409, "takes-along")
    assert acme.ask("DELETE", f"zones/{spare.zone}?cascade=true").status_code == 204
    assert acme.ask("DELETE", f"sites/{spare.site}?cascade=true").status_code == 204
    for path in (f"buildings/{spare.building}", f"spaces/{spare.hall}", f"equipment/{spare.ahu}"):
        assert acme.ask("GET", path).status_code == 404
    device = acme.ask("GET", f"devices/{spare.device}").json()
    assert (device["space_id"], device["state"]) == (None, "active")
    with live.deployment.databases.core() as core:
        entry = list_entries(core, tenant=live.deployment.acme.id, limit=1)[0]
        assert (entry.action, entry.target) == ("site.deleted", str(spare.site))
        assert entry.detail == {"name": "Site spare", "took_along": along | {"spaces": 2}}


def test_every_change_is_in_the_audit_log(live: Live, acme: Program):
    zone = made(acme, "zones", name="Audited")
    acme.ask("PATCH", f"zones/{zone['id']}", {"name": "Renamed"})
    with live.deployment.databases.core() as core:
        entries = list_entries(core, tenant=live.deployment.acme.id, limit=2)
        told = [(one.action, one.target, one.detail) for one in entries]
    assert told == [
        ("zone.changed", str(zone["id"]), {"name": "Renamed"}),
        ("zone.created", str(zone["id"]), {"name": "Audited"}),
    ]


def test_the_tree_counts_what_is_in_it(acme: Program, north: Building):
    tree = acme.ask("GET", "building-model").json()
    site = next(one for one in tree["sites"] if one["id"] == north.site)
    (building,) = site["buildings"]
    assert [one["level"] for one in building["storeys"]] == [0, 1]
    ground, first = building["storeys"]
    assert [one["name"] for one in ground["spaces"]] == ["Hall north", "Office north"]
    none = {"spaces": 0, "devices": 0, "points": 0, "equipment": 0, "model_points": 0}
    assert ground["spaces"][0]["counts"] == none | {"spaces": 1, "devices": 1, "points": 1}
    assert ground["counts"] == none | {"spaces": 2, "devices": 1, "points": 1}
    assert first["counts"] == none | {"spaces": 1, "equipment": 1}
    whole = none | {"spaces": 3, "devices": 1, "points": 1, "equipment": 1}
    assert (building["counts"], site["counts"]) == (whole, whole)
    assert {"id": north.zone, "name": "Zone north", "brick_class": "HVAC_Zone", "spaces": [north.hall]} in (
        tree["zones"]
    )
    assert tree["counts"]["spaces"] == len(listed(acme, "spaces"))


def test_a_search_finds_names_classes_and_iris_page_by_page(acme: Program, north: Building):
    def found(query: str) -> list[tuple[str, str]]:
        return [(one["kind"], one["name"]) for one in listed(acme, f"building-model/search?q={query}")]

    everything = [
        ("site", "Site north"),
        ("building", "House north"),
        ("storey", "Floor 0 north"),
        ("storey", "Floor 1 north"),
        ("space", "Attic north"),
        ("space", "Hall north"),
        ("space", "Office north"),
        ("zone", "Zone north"),
        ("equipment", "AHU north"),
        ("point", "north-sensor/temperature"),
    ]
    assert found("NORTH") == everything
    assert found("north&kind=storey") == everything[2:4]
    assert ("equipment", "AHU north") in found("hvac equipment"), "a kind of it"
    assert ("point", "north-sensor/temperature") in found("zone_air_temp")
    assert found(f"urn:insula:acme:space:{north.hall}") == [("space", "Hall north")]
    assert found("%25") == []
    paged: list[tuple[str, str]] = []
    cursor = ""
    while True:
        page = acme.ask("GET", f"building-model/search?q=north&limit=3{cursor}").json()
        paged += [(one["kind"], one["name"]) for one in page["items"]]
        if page["next_cursor"] is None:
            break
        cursor = f"&cursor={page['next_cursor']}"
    assert paged == everything
    paths = {one["name"]: one["path"] for one in listed(acme, "building-model/search?q=north")}
    assert paths["Hall north"] == "Site north/House north/Floor 0 north"
    assert paths["north-sensor/temperature"] == "Site north/House north/Floor 0 north/Hall north"
    assert paths["AHU north"] == "Site north/House north/Floor 1 north"
    assert paths["Site north"] is paths["Zone north"] is None


def test_a_grant_sees_its_storey_and_the_way_to_it(
    acme: Program, placed: Program, north: Building, south: Building
):
    zone = made(acme, "zones", name="Across", spaces=[north.hall, south.hall])
    point = made(
        acme, "model-points", name="Elsewhere", of={"kind": "zone", "id": zone["id"]}, point_id=south.point
    )
    seen = {
        "sites": [north.site],
        "buildings": [north.building],
        "storeys": [north.ground],
        "spaces": [north.hall, north.office],
        "zones": [north.zone, zone["id"]],
        "equipment": [],
        "model-points": [point["id"]],
    }
    for path, ids in seen.items():
        assert sorted(one["id"] for one in listed(placed, path)) == ids, path
        for one in listed(acme, path):
            expected = 200 if one["id"] in ids else 404
            assert placed.ask("GET", f"{path}/{one['id']}").status_code == expected, (path, one)
    across = next(one for one in listed(placed, "zones") if one["id"] == zone["id"])
    assert across["spaces"] == [north.hall]
    (elsewhere,) = listed(placed, "model-points")
    assert (elsewhere["device"], elsewhere["point_id"]) == (None, None)
    tree = placed.ask("GET", "building-model")
    assert "south" not in tree.text
    assert "Attic" not in tree.text
    assert tree.json()["sites"][0]["counts"]["spaces"] == 2
    assert tree.json()["counts"]["devices"] == 1
    names = [one["name"] for one in listed(placed, "building-model/search?q=o")]
    assert "Office north" in names
    assert not [name for name in names if "south" in name or "Attic" in name or "AHU" in name]
    assert acme.ask("DELETE", f"model-points/{point['id']}").status_code == 204
    assert acme.ask("DELETE", f"zones/{zone['id']}").status_code == 204


def test_a_grant_changes_its_storey_and_nothing_around_it(
    acme: Program, placed: Program, north: Building, south: Building
):
    across = made(acme, "zones", name="Across", spaces=[north.hall, south.hall])["id"]
    mine = made(placed, "spaces", storey_id=north.ground, name="Closet")
    assert placed.ask("PATCH", f"spaces/{mine['id']}", {"capacity": 1}).status_code == 200
    assert placed.ask("PATCH", f"storeys/{north.ground}", {"level": 0}).status_code == 200
    zone = made(placed, "zones", name="Mine", spaces=[north.hall])
    lamp = made(placed, "equipment", name="Lamp", location={"kind": "space", "id": north.hall})
    point = made(
        placed, "model-points", name="Mine", of={"kind": "zone", "id": zone["id"]}, point_id=north.point
    )
    for method, path, body, expected in (
        ("POST", "sites", {"name": "New"}, (403, "not-allowed", "")),
        ("POST", "buildings", {"site_id": north.site, "name": "New", "time_zone": "UTC"}, 403),
        ("POST", "storeys", {"building_id": north.building, "name": "New"}, 403),
        ("POST", "storeys", {"building_id": south.building, "name": "New"}, 404),
        ("POST", "spaces", {"storey_id": north.first, "name": "New"}, 404),
        ("POST", "zones", {"name": "New"}, (422, "invalid-input", "spaces")),
        ("POST", "zones", {"name": "New", "spaces": [south.hall]}, 404),
        ("POST", "equipment", {"name": "New"}, (422, "invalid-input", "location")),
        ("POST", "equipment", {"name": "New", "location": {"kind": "zone", "id": across}}, 403),
        ("POST", "model-points", {"name": "New", "of": {"kind": "equipment", "id": north.ahu}}, 404),
        ("PATCH", f"sites/{north.site}", {"name": "Mine"}, 403),
        ("PATCH", f"buildings/{north.building}", {"area": 1}, 403),
        ("PATCH", f"storeys/{north.first}", {"level": 2}, 404),
        ("PATCH", f"spaces/{north.hall}", {"storey_id": north.first}, 404),
        ("PATCH", f"spaces/{north.attic}", {"capacity": 1}, 404),
        ("PATCH", f"zones/{across}", {"name": "Mine"}, 403),
        ("PATCH", f"zones/{zone['id']}", {"spaces": []}, (422, "invalid-input", "spaces")),
        ("PATCH", f"zones/{zone['id']}", {"spaces": [north.hall, south.hall]}, 404),
        ("PATCH", f"equipment/{lamp['id']}", {"location": None}, (422, "invalid-input", "location")),
        ("PATCH", f"equipment/{lamp['id']}", {"feeds": [{"kind": "space", "id": south.hall}]}, 404),
        ("PATCH", f"equipment/{lamp['id']}", {"part_of_id": north.ahu}, 404),
        ("PATCH", f"model-points/{point['id']}", {"point_id": south.point}, 404),
        ("DELETE", f"buildings/{north.building}?cascade=true", None, 403),
        ("DELETE", f"storeys/{north.first}?cascade=true", None, 404),
        ("DELETE", f"zones/{across}", None, 403),
        ("DELETE", f"equipment/{north.ahu}", None, 404),
    ):
        answer = placed.ask(method, path, body)
        if isinstance(expected, int):
            assert answer.status_code == expected, (method, path, body, answer.text)
        else:
            assert problem(answer) == expected, (method, path, body)
    for path in (
        f"model-points/{point['id']}",
        f"equipment/{lamp['id']}",
        f"zones/{zone['id']}",
        f"spaces/{mine['id']}",
    ):
        assert placed.ask("DELETE", path).status_code == 204, path
    assert acme.ask("GET", f"spaces/{north.hall}").json()["storey_id"] == north.ground
    assert acme.ask("GET", f"zones/{across}").json()["spaces"] == [north.hall, south.hall]
    assert acme.ask("DELETE", f"zones/{across}").status_code == 204


def test_a_grant_leaves_alone_and_is_not_told_of_what_it_does_not_see(
    acme: Program, placed: Program, north: Building, south: Building
):
    iri = "https://example.com/taken"
    here = {"kind": "space", "id": north.hall}
    elsewhere = [{"kind": "space", "id": north.attic}, {"kind": "zone", "id": north.zone}]
    lamp = made(acme, "equipment", name="Lamp", location=here, feeds=[here, *elsewhere], part_of_id=north.ahu)
    there = made(acme, "zones", name="There", spaces=[south.hall], iri=iri)
    url = f"equipment/{lamp['id']}"
    seen = placed.ask("GET", url).json()
    assert (seen["part_of_id"], seen["feeds"]) == (None, [here, elsewhere[1]])
    assert placed.ask("PATCH", url, {"feeds": []}).json()["feeds"] == []
    left = acme.ask("GET", url).json()
    assert (left["feeds"], left["part_of_id"]) == ([elsewhere[0]], north.ahu)
    taken = placed.ask("PATCH", url, {"iri": iri})
    assert problem(taken)[:2] == (409, "conflict")
    assert "another one" in taken.json()["detail"]
    assert str(there["id"]) not in taken.json()["detail"]
    for path in (url, f"zones/{there['id']}"):
        assert acme.ask("DELETE", path).status_code == 204


def test_a_reader_changes_nothing_and_a_neighbour_sees_nothing(
    live: Live, http: httpx.Client, north: Building
):
    reader = Program(live, http, "acme", "devices:read")
    assert reader.ask("GET", f"sites/{north.site}").status_code == 200
    assert problem(reader.ask("POST", "sites", {"name": "New"}))[:2] == (403, "insufficient-scope")
    globex = Program(live, http, "globex", SCOPE)
    assert listed(globex, "sites") == []
    assert globex.ask("GET", f"spaces/{north.hall}").status_code == 404
    assert globex.ask("GET", "building-model").json()["sites"] == []
    assert globex.ask("DELETE", f"sites/{north.site}?cascade=true").status_code == 404


def test_tree_and_search_at_a_terminal(live: Live, north: Building):
    def run(*words: str) -> str:
        env = {"INSULA_DATABASE_URL": live.deployment.service_url, "COLUMNS": "200"}
        done = CliRunner().invoke(command_line, ["model", *words, "--tenant", "acme"], env=env)
        assert done.exit_code == 0, done.output
        return done.stdout

    tree = json.loads(run("tree", "--json"))
    site = next(one for one in tree["sites"] if one["id"] == north.site)
    assert site["buildings"][0]["storeys"][0]["spaces"][0]["name"] == "Hall north"
    shown = run("tree")
    assert "Hall north Lobby, 1 spaces, 1 devices, 1 points" in shown
    assert "Zone north HVAC_Zone, 1 spaces" in shown
    (found,) = json.loads(run("search", "hall north", "--json"))
    assert (found["kind"], found["id"]) == ("space", north.hall)
    assert "Site north/House north/Floor 1 north" in run("search", "AHU north")
