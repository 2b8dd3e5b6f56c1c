"""Devices, points and device types over HTTP: found, changed, moved, kept apart."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx
import psycopg
import pytest

from insula_platform.oauth.clients import create_service_client
from insula_tenants.audit import SYSTEM
from insula_tenants.quotas import put_quotas
from insula_tenants.spaces import ensure_space
from insula_tenants.telemetry.write import TelemetryWriter, TenantBatch
from tests.platform.conftest import Live

SCOPE = "devices:read devices:write readings:read"


class Program:
    """A program of a tenant. The broker asks the registry: there is nothing to tell it."""

    def __init__(self, live: Live, http: httpx.Client, tenant: str, scope: str = SCOPE) -> None:
        self._http = http
        self._path = f"/api/v1/tenants/{tenant}/"
        context = getattr(live.deployment, tenant)
        with live.deployment.databases.core() as core:
            credentials = create_service_client(core, context, "tests", scope)
        answer = live.token_request(credentials, grant_type="client_credentials")
        self._token = answer.json()["access_token"]

    def ask(self, method: str, path: str, body: Any = None, **headers: str) -> httpx.Response:
        return self._http.request(
            method,
            self._path + path,
            json=body,
            headers={"Authorization": f"Bearer {self._token}"}
            | {name.replace("_", "-"): value for name, value in headers.items()},
        )

    def make(self, slug: str, **more: Any) -> dict[str, Any]:
        answer = self.ask("POST", "devices", {"id": slug, "name": slug.title()} | more)
        assert answer.status_code == 201, answer.text
        told: dict[str, Any] = answer.json()
        return told

    def ids(self, query: str = "") -> list[str]:
        answer = self.ask("GET", f"devices?{query}")
        assert answer.status_code == 200, answer.text
        return [one["id"] for one in answer.json()["items"]]


@pytest.fixture(scope="module")
def http(live: Live) -> Iterator[httpx.Client]:
    with live.client() as client:
        yield client


@pytest.fixture(scope="module")
def acme(live: Live, http: httpx.Client) -> Program:
    return Program(live, http, "acme")


@pytest.fixture(scope="module")
def globex(live: Live, http: httpx.Client) -> Program:
    return Program(live, http, "globex")


@pytest.fixture(scope="module")
def rooms(live: Live) -> tuple[int, int]:
    with live.deployment.databases.tenant(live.deployment.acme) as session:
        place = {"site": "S", "building": "B", "time_zone": "UTC", "storey": "0", "level": 0}
        return tuple(ensure_space(session, **place, name=name) for name in ("One", "Two"))  # type: ignore[return-value,arg-type]


def problem(answer: httpx.Response) -> tuple[int, str, str]:
    told = answer.json()
    fields = ",".join(one["field"] for one in told.get("errors") or ())
    return answer.status_code, told["type"].removeprefix("/problems/"), fields


# One device


def test_a_device_is_moved_and_changed_by_whoever_saw_it_last(acme: Program, rooms: tuple[int, int]):
    acme.make("movable", space_id=rooms[0], type="temperature-sensor", serial="A-1", labels={"a": "1"})
    acme.make("hub", type="gateway")
    seen = acme.ask("GET", "devices/movable")
    changes = {"space_id": rooms[1], "name": "Moved", "gateway": "hub", "labels": {"b": "2"}, "serial": None}
    moved = acme.ask("PATCH", "devices/movable", changes, If_Match=seen.headers["etag"])
    assert moved.status_code == 200, moved.text
    assert moved.json() == seen.json() | changes
    late = acme.ask("PATCH", "devices/movable", {"name": "Late"}, If_Match=seen.headers["etag"])
    assert problem(late) == (412, "precondition-failed", "")
    shown = acme.ask("GET", "devices/movable")
    assert (shown.json(), shown.headers["etag"]) == (moved.json(), moved.headers["etag"])
    assert acme.ids("gateway=hub") == ["movable"]
    assert acme.ids(f"space={rooms[1]}") == ["movable"]
    freed = acme.ask("PATCH", "devices/movable", {"gateway": None, "space_id": None}).json()
    assert (freed["gateway"], freed["space_id"], freed["name"]) == (None, None, "Moved")


def test_another_type_brings_its_points_and_takes_none(acme: Program):
    acme.make("typed", type="door-contact")
    changed = acme.ask("PATCH", "devices/typed", {"type": "shelly-ht"})
    assert changed.json()["type"] == "shelly-ht"
    points = acme.ask("GET", "points?device=typed").json()["items"]
    assert [one["name"] for one in points] == ["door", "temperature", "humidity", "battery"]


def test_a_list_is_searched_by_words_state_type_and_label(acme: Program):
    acme.make("find-lamp", name="Ceiling LAMP", serial="XYZ-9", labels={"zone": "é 1"}, type="energy-meter")
    acme.make("find-pump", name="Pump", type="energy-meter")
    assert acme.ask("DELETE", "devices/find-pump").status_code == 204
    for query, found in (
        ("search=ceiling", ["find-lamp"]),
        ("search=xyz", ["find-lamp"]),
        ("search=FIND-P", ["find-pump"]),
        ("search=%25", []),
        ("type=energy-meter", ["find-lamp", "find-pump"]),
        ("type=energy-meter&state=active", ["find-lamp"]),
        ("state=decommissioned&search=find", ["find-pump"]),
        ("label=zone%3Dé 1", ["find-lamp"]),
        ("label=zone%3De", []),
    ):
        assert acme.ids(query) == found, query
    assert problem(acme.ask("GET", "devices?label=zone"))[:2] == (422, "invalid-input")
    assert problem(acme.ask("GET", "devices?state=odd"))[2] == "query.state"


@pytest.mark.parametrize(
    ("body", "field", "fix"),
    [
        ({"id": "Bad Id"}, "device", "lower-case letters"),
        ({"name": " padded "}, "name", "without blanks"),
        ({"name": ""}, "body.name", "at least 1 character"),
        ({"type": "no-such-type"}, "type", "device-types"),
        ({"space_id": 999_999}, "space_id", "no space"),
        ({"gateway": "nobody-there"}, "gateway", "register the gateway first"),
        ({"expected_interval": 0}, "body.expected_interval", "greater than or equal to 1"),
        ({"labels": {"Upper": "x"}}, "labels", "lower-case"),
        ({"points": [{"name": "a b"}]}, "points", "letters, digits"),
        ({"points": [{"name": "x", "unit": "furlongs per"}]}, "points", "degC"),
        ({"points": [{"name": "x", "unit": "9**9**9"}]}, "points", "is no unit"),
        ({"points": [{"name": "x", "brick_class": "not a class"}]}, "points", "Brick class"),
        ({"points": [{"name": "x", "minimum": 2, "maximum": 1}]}, "points", "more than"),
        ({"points": [{"name": "x", "states": ["one"]}]}, "points", "name 2 to"),
        ({"points": [{"name": "x", "kind": "counter", "states": ["a", "b"]}]}, "points", "counts"),
        ({"points": [{"name": "x"}, {"name": "x"}]}, "points", "twice"),
        ({"password": "mine"}, "body.password", "not permitted"),
    ],
)
def test_what_cannot_be_is_named_with_what_can(acme: Program, body: dict[str, Any], field: str, fix: str):
    answer = acme.ask("POST", "devices", {"id": "wrong", "name": "Wrong"} | body)
    assert problem(answer) == (422, "invalid-input", field), answer.text
    assert fix in answer.json()["errors"][0]["detail"]
    assert acme.ask("GET", "devices/wrong").status_code == 404


def test_a_name_is_taken_once_and_gives_way_to_nobody(acme: Program):
    acme.make("taken")
    assert problem(acme.ask("POST", "devices", {"id": "taken", "name": "X"}))[:2] == (409, "conflict")
    assert problem(acme.ask("PATCH", "devices/taken", {"gateway": "taken"}))[2] == "gateway"
    assert acme.ask("PATCH", "devices/nobody", {"name": "X"}).status_code == 404
    assert acme.ask("DELETE", "devices/nobody").status_code == 404
    assert problem(acme.ask("PATCH", "devices/taken", {"state": "held"}))[2] == "body.state"


def test_a_decommissioned_device_makes_room_for_another(live: Live, globex: Program):
    def limit(devices: int | None) -> None:
        with live.deployment.databases.core() as core:
            put_quotas(core, "globex", own={"devices": devices}, actor=SYSTEM)

    limit(1)
    globex.make("first")
    full = globex.ask("POST", "devices", {"id": "second", "name": "Second"})
    assert problem(full)[:2] == (403, "quota-exceeded")
    assert (full.json()["quota"], full.json()["limit"], full.json()["used"]) == ("devices", 1, 1)
    assert globex.ask("DELETE", "devices/first").status_code == 204
    globex.make("second")
    assert problem(globex.ask("POST", "devices/first/reactivate"))[:2] == (403, "quota-exceeded")
    assert globex.ask("GET", "devices/first").json()["state"] == "decommissioned"
    limit(None)
    assert globex.ask("POST", "devices/first/reactivate").status_code == 200


def test_a_neighbour_sees_and_changes_nothing(acme: Program, globex: Program):
    acme.make("private")
    (point,) = (
        acme.ask("POST", "devices/private/points", {"name": name}).json()["id"] for name in ("secret",)
    )
    own_type = {"id": "private-type", "name": "Private"}
    assert acme.ask("POST", "device-types", own_type).status_code == 201
    for method, path, body in (
        ("GET", "devices/private", None),
        ("PATCH", "devices/private", {"name": "X"}),
        ("DELETE", "devices/private", None),
        ("GET", "devices/private/connection", None),
        ("GET", "devices/private/credentials", None),
        ("POST", "devices/private/credentials", {}),
        ("DELETE", "devices/private/credentials/1", None),
        ("POST", "devices/private/reactivate", None),
        ("POST", "devices/private/points", {"name": "x"}),
        ("PATCH", f"points/{point + 100_000}", {"unit": "W"}),
        ("GET", "device-types/private-type", None),
    ):
        assert globex.ask(method, path, body).status_code == 404, (method, path)
    assert "private" not in globex.ids("search=private")
    assert acme.ask("GET", "devices/private").json()["name"] == "Private"


def test_who_may_only_look_changes_nothing(live: Live, http: httpx.Client, acme: Program):
    acme.make("looked-at", type="door-contact")
    viewer = Program(live, http, "acme", "devices:read")
    (point,) = viewer.ask("GET", "points?device=looked-at").json()["items"]
    for method, path, body in (
        ("POST", "devices", {"id": "new-one", "name": "New"}),
        ("PATCH", "devices/looked-at", {"name": "X"}),
        ("DELETE", "devices/looked-at", None),
        ("POST", "devices/looked-at/reactivate", None),
        ("POST", "devices/looked-at/credentials", {}),
        ("DELETE", "devices/looked-at/credentials/1", None),
        ("POST", "devices/looked-at/points", {"name": "x"}),
        ("PATCH", f"points/{point['id']}", {"unit": "W"}),
        ("POST", "device-types", {"id": "mine", "name": "Mine"}),
        ("PUT", "device-types/mine", {"name": "Mine"}),
        ("DELETE", "device-types/mine", None),
    ):
        assert problem(viewer.ask(method, path, body))[:2] == (403, "insufficient-scope"), (method, path)
    shown = viewer.ask("GET", "devices/looked-at/connection").json()
    assert "YOUR-PASSWORD" in shown["snippets"]["mosquitto_pub"]
    assert viewer.ask("GET", "devices/looked-at/credentials").json()["items"][0]["state"] == "good"


# Points


def test_a_point_is_described_later_and_keeps_its_name(acme: Program):
    acme.make("described")
    made = acme.ask("POST", "devices/described/points", {"name": "flow", "unit": "m3/h"})
    assert (made.status_code, made.json()["unit"]) == (201, "m**3/h"), "UCUM's name became pint's"
    path = made.headers["location"].rpartition("/acme/")[2]
    facts = {"unit": "Cel", "minimum": -5.5, "maximum": 60, "brick_class": "Water_Flow_Sensor"}
    changed = acme.ask("PATCH", path, facts, If_Match=made.headers["etag"])
    assert changed.json() == made.json() | facts | {"unit": "degC"}
    assert acme.ask("PATCH", path, facts, If_Match=made.headers["etag"]).status_code == 412
    counter = acme.ask("PATCH", path, {"kind": "counter", "rollover_at": 1000, "maximum": None})
    assert (counter.json()["kind"], counter.json()["maximum"], counter.json()["minimum"]) == (
        "counter", None, -5.5
    )  # fmt: skip
    assert problem(acme.ask("PATCH", path, {"kind": "gauge"}))[:2] == (422, "invalid-input")
    assert problem(acme.ask("PATCH", path, {"name": "x"}))[2] == "body.name"
    assert acme.ask("GET", path).json() == counter.json()
    again = acme.ask("POST", "devices/described/points", {"name": "flow"})
    assert problem(again)[:2] == (409, "conflict")


def test_a_value_out_of_range_is_kept_and_marked(live: Live, acme: Program):
    values = {"low": -1.0, "right": 0.0, "high": 10.5, "open": 1e9}
    points: list[dict[str, Any]] = [{"name": name, "minimum": 0, "maximum": 10} for name in values]
    points[-1] = {"name": "open", "minimum": 0}
    told = acme.make("ranged", points=[*points, {"name": "unsaid"}])
    ids = {point["name"]: point["id"] for point in told["points"]}
    batch = TenantBatch(live.deployment.acme)
    for name, value in (values | {"unsaid": -7.0}).items():
        batch.readings[ids[name], 1_767_225_600_000_000] = value
    with psycopg.connect(live.deployment.service_url, autocommit=True, prepare_threshold=None) as connection:
        TelemetryWriter(connection).write([batch])
    items = acme.ask("GET", "latest?device=ranged").json()["items"]
    assert {one["name"]: (one["value"], one["in_range"]) for one in items} == {
        "low": (-1, False),
        "right": (0, True),
        "high": (10.5, False),
        "open": (1e9, True),
        "unsaid": (-7, None),
    }


# Types


def test_a_tenant_has_types_of_its_own_beside_the_built_in_ones(acme: Program, globex: Program):
    asked = {
        "id": "desk-lamp",
        "name": "Desk lamp",
        "vendor": "Lumen",
        "expected_interval": 300,
        "points": [{"name": "power", "unit": "W"}, {"name": "on", "states": ["off", "on"]}],
    }
    made = acme.ask("POST", "device-types", asked)
    assert made.status_code == 201, made.text
    assert made.json()["built_in"] is False
    items = acme.ask("GET", "device-types").json()["items"]
    assert items[0]["built_in"] is False
    assert {"temperature-sensor", "shelly-plug", "zigbee2mqtt", "energy-meter"} <= {
        one["id"] for one in items if one["built_in"]
    }
    assert "desk-lamp" not in {one["id"] for one in globex.ask("GET", "device-types").json()["items"]}

    told = acme.make("lamp-1", type="desk-lamp", points=[{"name": "power", "unit": "kW"}, {"name": "lux"}])
    assert [(one["name"], one["unit"]) for one in told["points"]] == [
        ("power", "kW"), ("on", None), ("lux", None)
    ]  # fmt: skip
    assert told["device"]["expected_interval"] == 300
    used = acme.ask("DELETE", "device-types/desk-lamp")
    assert problem(used)[:2] == (409, "conflict")
    assert "1 device is of type" in used.json()["detail"]

    tag = made.headers["etag"]
    changed = acme.ask("PUT", "device-types/desk-lamp", {"name": "Lamp", "points": []}, If_Match=tag)
    assert (changed.status_code, changed.json()["points"]) == (200, [])
    assert acme.ask("PUT", "device-types/desk-lamp", {"name": "X"}, If_Match=tag).status_code == 412
    assert len(acme.ask("GET", "points?device=lamp-1").json()["items"]) == 3, "a device keeps its points"
    assert acme.ask("PATCH", "devices/lamp-1", {"type": None}).status_code == 200
    assert acme.ask("DELETE", "device-types/desk-lamp", If_Match=tag).status_code == 412
    assert acme.ask("DELETE", "device-types/desk-lamp").status_code == 204
    assert acme.ask("GET", "device-types/desk-lamp").status_code == 404


def test_a_built_in_type_cannot_be_changed(acme: Program):
    assert problem(acme.ask("POST", "device-types", {"id": "shelly-plug", "name": "X"}))[0] == 409
    assert problem(acme.ask("PUT", "device-types/shelly-plug", {"name": "X"}))[0] == 409
    assert problem(acme.ask("DELETE", "device-types/shelly-plug"))[0] == 409
    shown = acme.ask("GET", "device-types/shelly-plug").json()
    assert (shown["built_in"], shown["version"]) == (True, 1)


# The document


def test_the_document_tells_a_stranger_all_that_is_needed(live: Live):
    document = live.get("/openapi.json").json()
    schemas = document["components"]["schemas"]
    seen = 0
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            where = f"{method} {path}"
            if not {"Devices", "Device types"} & set(operation.get("tags", ())):
                continue
            seen += 1
            assert operation.get("description"), where
            assert {"401", "403", "404", "422"} <= operation["responses"].keys(), where
            body = operation.get("requestBody", {}).get("content", {}).get("application/json", {})
            if reference := body.get("schema", {}).get("$ref"):
                schema = schemas[reference.rpartition("/")[2]]
                examples = [one.get("examples") for one in schema["properties"].values()]
                assert "example" in schema or any(examples), f"{where} shows no example of {reference}"
    assert seen >= 16
