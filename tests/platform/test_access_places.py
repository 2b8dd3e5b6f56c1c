"""A grant for one building: every route that it reaches shows that building, and nothing of another.

Routes come from the application itself. A new one that such a grant reaches is tried without being named
here; one that changes something and takes a body must be registered in `CHANGES`, or the test fails.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import httpx
import psycopg
import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from insula_platform.access import policy
from insula_platform.access.keys import new_key
from insula_platform.api_keys.models import ApiKey
from insula_platform.oauth.clients import create_service_client
from insula_platform.oauth.models import Client, fingerprint
from insula_platform.people import Account, add_member, place_member
from insula_tenants.audit import SYSTEM
from insula_tenants.building_model.changes import create_thing
from insula_tenants.building_model.kinds import MODELS
from insula_tenants.commands import NewCommand, add_command
from insula_tenants.devices import (
    NewPoint,
    create_device,
    find_device,
    list_credentials,
    list_points,
    set_password,
)
from insula_tenants.quotas import put_quotas
from insula_tenants.spaces import Building, Places, Site, Space, Storey, ensure_space
from insula_tenants.telemetry.dead_letters import Which, find_letter, list_letters
from insula_tenants.telemetry.write import NewDeadLetter, TelemetryWriter, TenantBatch
from insula_tenants.twins import change_desired
from tests.attacks.api import Operation
from tests.attacks.conftest import House, enrolment_of, metered_of, parts_of, waiting_of
from tests.attacks.test_api import IN_A_TENANT, OWN, query_of, told, url_of
from tests.conftest import Deployment
from tests.platform.conftest import ALL_SCOPES, Live

READ_AT = datetime(2026, 3, 1, 12, tzinfo=UTC)
REACHED = [one for one in IN_A_TENANT if policy.WITHIN_PLACES.issuperset(one.scopes)]
"""Operations that a grant for some places has the scopes for."""
NAMES = {
    *("device", "letter_id", "meter", "point", "point_id", "space", "storey", "building", "site"),
    *("space_id", "storey_id", "building_id", "site_id", "zone_id", "equipment_id", "model_point_id"),
}
"""Parameters that name something which stands somewhere."""


@dataclass(frozen=True)
class Buildings:
    """Two of acme's: whom the tests speak for has `mine` alone."""

    mine: House
    other: House
    nowhere: House
    """A device of which nobody said where it is, and a building without any."""
    building: int


@pytest.fixture(scope="module")
def buildings(live: Live) -> Buildings:
    deployment = live.deployment
    with deployment.databases.core() as core:
        put_quotas(core, "acme", plan="unlimited", actor=SYSTEM)  # else each answer says how many are left
    mine, other = _furnish(deployment, "nutmeg", 471.5), _furnish(deployment, "saffron", 812.5)
    nowhere = _furnish(deployment, "clove", 613.5, placed=False)
    with deployment.databases.tenant(deployment.acme) as session:
        query = select(Building.id).where(Building.name == "Building nutmeg")
        building = session.scalars(query).one()
        # The one site that the grant sees has a name that all buildings on it have in common.
        session.get_one(Site, mine.site).iri = "https://example.com/nutmeg"
    return Buildings(mine, other, nowhere, building)


def _furnish(deployment: Deployment, word: str, value: float, *, placed: bool = True) -> House:
    context, device = deployment.acme, f"{word}-meter"
    with deployment.databases.tenant(context) as session:
        space = ensure_space(
            session,
            site="Campus" if placed else f"Site {word}",
            building=f"Building {word}",
            time_zone="Europe/Brussels",
            storey="Ground floor",
            level=0,
            name=f"Room {word}",
        )
        standing = space if placed else None
        # Its class makes it tell of the room's comfort, too.
        points = [NewPoint("power", "Zone_Air_Temperature_Sensor")]
        create_device(session, device, name=f"Meter {word}", space_id=standing, points=points)
        parts = parts_of(session, space, word)
        if word == "saffron":  # the grant sees the campus, so the name of the house's site is another's
            parts = (create_thing(session, "site", {"name": f"Site {word}"}), *parts[1:])
        set_password(session, device, f"password {word}")
        point = list_points(session, device=device)[0].id
        command = add_command(session, device, NewCommand("show", {"text": word}), actor=SYSTEM).id
        change_desired(session, device, {"text": word})
        meter, tariff, factor = metered_of(session, word, standing)
    batch = TenantBatch(context, {(point, round(READ_AT.timestamp() * 1e6)): value})
    batch.dead_letters.append(NewDeadLetter(READ_AT, f"t/{word}", device, "reason", word, word.encode()))
    with psycopg.connect(deployment.service_url, autocommit=True) as connection:
        TelemetryWriter(connection).write([batch])
    with deployment.databases.tenant(context) as session:
        letter = list_letters(session, Which(device=device))[0].id
    with deployment.databases.core() as core:
        batch_id, upload, key = enrolment_of(core, context, word)
    # Members, programs and exports stand nowhere.
    rest = {field.name: UUID(int=0) for field in fields(House)}
    return House(
        **rest
        | {
            "context": context,
            "device": device,
            "secret": word,
            "value": value,
            "point": point,
            "space": space,
            "letter": letter,
            "command": command,
            "batch": batch_id,
            "upload": upload,
            "key": key,
            "meter": meter,
            "tariff": tariff,
            "factor": factor,
            "enrolment": waiting_of(deployment, context, word, key),
        }
        | dict(zip(("site", "building", "storey", "zone", "equipment", "model_point"), parts, strict=True))
    )


def _person(live: Live, places: Places) -> str:
    with live.deployment.databases.core() as core:
        erin = core.scalars(select(Account).where(Account.email == "erin@example.com")).one()
        place_member(core, erin.id, live.deployment.acme, places)
    scope = f"{ALL_SCOPES} dead-letters:read dead-letters:write commands:write usage:read"
    return live.tokens_of("erin@example.com", tenant="acme", scope=scope)["access_token"]


def _program(live: Live, places: Places) -> str:
    with live.deployment.databases.core() as core:
        wanted = " ".join(policy.WITHIN_PLACES)
        client, secret = create_service_client(core, live.deployment.acme, "placed", wanted)
        core.get_one(Client, client).places = places.told
    answer = live.token_request((client, secret), grant_type="client_credentials")
    return answer.json()["access_token"]


def _key(live: Live, places: Places) -> str:
    key = new_key()
    with live.deployment.databases.core() as core:
        ada = core.scalars(select(Account).where(Account.email == "ada@example.com")).one()
        core.add(
            ApiKey(
                tenant_id=live.deployment.acme.id,
                account_id=ada.id,
                name="placed",
                key_hash=fingerprint(key),
                hint=key[:8],
                scope=" ".join(policy.WITHIN_PLACES),
                places=places.told,
                expires_at=datetime(2100, 1, 1, tzinfo=UTC),
            )
        )
    return key


@pytest.fixture(scope="module", params=[_person, _program, _key], ids=["person", "program", "key"])
def token(request: pytest.FixtureRequest, live: Live, buildings: Buildings) -> str:
    return request.param(live, Places(buildings=frozenset({buildings.building})))


@pytest.fixture(scope="module")
def everywhere(live: Live) -> str:
    """Of somebody who has the whole tenant."""
    scope = f"{ALL_SCOPES} dead-letters:read dead-letters:write usage:read"
    return live.tokens_of("ada@example.com", scope=scope)["access_token"]


@pytest.fixture(scope="module")
def http(live: Live):
    with live.client() as client:
        yield client


def ask(
    http: httpx.Client, operation: Operation, token: str, house: House, json: Any = None, **query: Any
) -> httpx.Response:
    asked = {name: str(value) for name, value in (query_of(operation, house) | query).items()}
    headers = {"Authorization": f"Bearer {token}"}
    return http.request(
        operation.method, url_of(operation, "acme", house), params=asked, headers=headers, json=json
    )


def named(operation: Operation) -> list[str]:
    """Names in the path of what stands somewhere."""
    return [name for name in NAMES if f"{{{name}}}" in operation.path]


@pytest.mark.parametrize("operation", [one for one in REACHED if one.method == "get"], ids=str)
def test_what_is_read_is_of_the_building(
    http: httpx.Client, buildings: Buildings, token: str, everywhere: str, operation: Operation
):
    mine = ask(http, operation, token, buildings.mine)
    if mine.status_code == 403:  # of the whole tenant
        assert mine.json()["type"] == "/problems/not-allowed"
        assert ask(http, operation, everywhere, buildings.mine).status_code == 200
        return
    assert mine.status_code == 200, mine.text
    for house in (buildings.other, buildings.nowhere):
        there = ask(http, operation, everywhere, house)
        assert there.status_code == 200, there.text
        for answer in (mine, ask(http, operation, token, house)):
            # A refusal may repeat the name that was asked for.
            said = answer.text.replace(house.device, "") if answer.status_code == 404 else answer.text
            assert house.secret not in said
            assert str(house.value) not in answer.text
        if named(operation):
            assert ask(http, operation, token, house).status_code == 404
    nowhere = ("/device-types", "/occupancy/model")
    if not named(operation) and not any(each in operation.path for each in nowhere):
        assert buildings.mine.secret in mine.text or str(buildings.mine.value) in mine.text


@pytest.mark.parametrize(
    ("operation", "name"),
    [
        (one, name)
        for one in REACHED
        if one.method == "get"
        for where, name, _ in one.parameters
        if name in NAMES and where in {"query", "path"}
    ],
    ids=str,
)
def test_a_name_of_another_building_looks_like_nobodys(
    http: httpx.Client, buildings: Buildings, token: str, operation: Operation, name: str
):
    nobodys: Any = {"device": "no-such-device"}.get(name, 2**30)
    for house in (buildings.other, buildings.nowhere):
        theirs = OWN[name](house)
        if f"{{{name}}}" in operation.path:
            url = url_of(operation, "acme", house)
            urls = [url, url.replace(str(theirs), str(nobodys))]
            answers = [http.get(one, headers={"Authorization": f"Bearer {token}"}) for one in urls]
        else:
            answers = [
                ask(http, operation, token, buildings.mine, **{name: value}) for value in (theirs, nobodys)
            ]
        # Both names in both: one of few digits is part of other numbers, too.
        assert told(answers[0], str(nobodys), str(theirs)) == told(answers[1], str(nobodys), str(theirs))


def _refused(answer: httpx.Response) -> bool:
    return answer.status_code == 404 or answer.json().get("type") == "/problems/not-allowed"


def _nothing_stored(answer: httpx.Response) -> bool:
    told = answer.json()
    return (told["stored"], told["points_made"]) == (0, 0) and told["rejected"] == 2


CHANGES: dict[str, tuple[Callable[[House], Any], dict[str, str], Callable[[httpx.Response], bool]]] = {
    "PATCH /api/v1/tenants/{tenant}/devices/{device}/twin": (
        lambda _: {"desired": {"on": True}},
        {},
        _refused,
    ),
    "POST /api/v1/tenants/{tenant}/devices/{device}/commands": (
        lambda _: {"name": "blink"},
        {},
        _refused,
    ),
    "POST /api/v1/tenants/{tenant}/readings": (
        lambda house: [
            {"device": house.device, "name": "intruded", "time": "2026-03-02T12:00:00Z", "value": 1},
            {"point": house.point, "time": "2026-03-02T12:00:00Z", "value": 1},
        ],
        {},
        _nothing_stored,
    ),
    "POST /api/v1/tenants/{tenant}/devices": (
        lambda house: {"id": f"in-{house.secret}", "name": "Intruder", "space_id": house.space},
        {},
        _refused,
    ),
    "PATCH /api/v1/tenants/{tenant}/devices/{device}": (lambda _: {"name": "Intruded"}, {}, _refused),
    "POST /api/v1/tenants/{tenant}/devices/{device}/points": (lambda _: {"name": "intruded"}, {}, _refused),
    "POST /api/v1/tenants/{tenant}/devices/{device}/credentials": (lambda _: {"overlap": 0}, {}, _refused),
    "PATCH /api/v1/tenants/{tenant}/points/{point_id}": (lambda _: {"unit": "W"}, {}, _refused),
    "POST /api/v1/tenants/{tenant}/device-types": (lambda _: {"id": "new", "name": "New"}, {}, _refused),
    "PUT /api/v1/tenants/{tenant}/device-types/{type_id}": (lambda _: {"name": "New"}, {}, _refused),
    "POST /api/v1/tenants/{tenant}/devices/{device}/certificates": (lambda _: {"csr": "none"}, {}, _refused),
    "POST /api/v1/tenants/{tenant}/devices/{device}/certificates/{serial}/revoke": (
        lambda _: {"reason": "superseded"},
        {},
        _refused,
    ),
    "POST /api/v1/tenants/{tenant}/claim-batches": (
        lambda _: {"name": "New", "count": 1, "prefix": "new"},
        {},
        _refused,
    ),
    "POST /api/v1/tenants/{tenant}/provisioning-keys": (
        lambda _: {"name": "New", "prefix": "new"},
        {},
        _refused,
    ),
    "POST /api/v1/tenants/{tenant}/enrolments/{enrolment}/approve": (
        lambda _: {"device": "new-device"},
        {},
        _refused,
    ),
    "POST /api/v1/tenants/{tenant}/meters": (
        lambda house: {
            "name": "Intruder",
            "carrier": "electricity",
            "point_id": house.point,
            "space_id": house.space,
        },
        {},
        _refused,
    ),
    "PATCH /api/v1/tenants/{tenant}/meters/{meter}": (lambda _: {"name": "Intruder"}, {}, _refused),
    "POST /api/v1/tenants/{tenant}/tariffs": (
        lambda _: {
            "name": "New",
            "carrier": "gas",
            "valid_from": "2026-01-01",
            "currency": "EUR",
            "price": 0,
        },
        {},
        _refused,
    ),
    "PATCH /api/v1/tenants/{tenant}/tariffs/{tariff}": (lambda _: {"price": 0}, {}, _refused),
    "POST /api/v1/tenants/{tenant}/emission-factors": (
        lambda _: {"carrier": "gas", "valid_from": "2026-01-01", "factor": 0},
        {},
        _refused,
    ),
    "PATCH /api/v1/tenants/{tenant}/emission-factors/{factor}": (lambda _: {"factor": 0}, {}, _refused),
    "POST /api/v1/tenants/{tenant}/sites": (lambda _: {"name": "New"}, {}, _refused),
    "PATCH /api/v1/tenants/{tenant}/sites/{site_id}": (lambda _: {"name": "Intruded"}, {}, _refused),
    "POST /api/v1/tenants/{tenant}/buildings": (
        lambda house: {"name": "New", "site_id": house.site, "time_zone": "UTC"},
        {},
        _refused,
    ),
    "PATCH /api/v1/tenants/{tenant}/buildings/{building_id}": (lambda _: {"name": "Intruded"}, {}, _refused),
    "POST /api/v1/tenants/{tenant}/storeys": (
        lambda house: {"name": "New", "building_id": house.building},
        {},
        _refused,
    ),
    "PATCH /api/v1/tenants/{tenant}/storeys/{storey_id}": (lambda _: {"name": "Intruded"}, {}, _refused),
    "POST /api/v1/tenants/{tenant}/spaces": (
        lambda house: {"name": "New", "storey_id": house.storey},
        {},
        _refused,
    ),
    "PATCH /api/v1/tenants/{tenant}/spaces/{space_id}": (lambda _: {"name": "Intruded"}, {}, _refused),
    "POST /api/v1/tenants/{tenant}/zones": (
        lambda house: {"name": "New", "spaces": [house.space]},
        {},
        _refused,
    ),
    "PATCH /api/v1/tenants/{tenant}/zones/{zone_id}": (lambda _: {"name": "Intruded"}, {}, _refused),
    "POST /api/v1/tenants/{tenant}/equipment": (
        lambda house: {"name": "New", "location": {"kind": "space", "id": house.space}},
        {},
        _refused,
    ),
    "PATCH /api/v1/tenants/{tenant}/equipment/{equipment_id}": (
        lambda _: {"name": "Intruded"},
        {},
        _refused,
    ),
    "POST /api/v1/tenants/{tenant}/model-points": (
        lambda house: {"name": "New", "of": {"kind": "space", "id": house.space}},
        {},
        _refused,
    ),
    "PATCH /api/v1/tenants/{tenant}/model-points/{model_point_id}": (
        lambda _: {"name": "Intruded"},
        {},
        _refused,
    ),
    "POST /api/v1/tenants/{tenant}/dead-letters/replay": (
        lambda _: None,
        {"reason": "unknown_device"},
        lambda answer: answer.json() == {"letters": 0},
    ),
    "DELETE /api/v1/tenants/{tenant}/dead-letters": (
        lambda _: None,
        {"to": "2030-01-01T00:00:00Z", "from": "2026-03-01T12:00:01Z"},
        lambda answer: answer.json() == {"letters": 0},
    ),
}
"""What is sent to touch another building, with which query, and whether the answer says that it did not."""


def parts_there(session: Session) -> list[str]:
    """Every row of the building model, as text."""
    return [
        str(row)
        for model in MODELS.values()
        for row in session.execute(select(*model.__table__.columns).order_by(model.id))
    ]


@pytest.mark.parametrize("operation", [one for one in REACHED if one.method != "get"], ids=str)
def test_nothing_is_changed_in_another_building(
    http: httpx.Client, live: Live, buildings: Buildings, token: str, operation: Operation
):
    body, query, is_refusal = CHANGES.get(str(operation), (lambda _: None, {}, _refused))
    with live.deployment.databases.tenant(live.deployment.acme) as session:
        before = parts_there(session)
    for house in (buildings.other, buildings.nowhere):
        answer = ask(http, operation, token, house, body(house), **query)
        assert is_refusal(answer), (
            f"{operation} answered {answer.status_code}: if it needs a body or answers otherwise, register "
            f"it in CHANGES. {answer.text}"
        )
        with live.deployment.databases.tenant(live.deployment.acme) as session:
            letter, payload = find_letter(session, house.letter)
            assert (payload, letter.replay_requested_at) == (house.secret.encode(), None)
            (point,) = list_points(session, device=house.device)
            assert (point.name, point.unit) == ("power", None)
            device = find_device(session, house.device)
            assert (device.name, device.state) == (f"Meter {house.secret}", "active")
            assert [one.state for one in list_credentials(session, "acme", house.device)] == ["good"]
            assert parts_there(session) == before


def test_in_their_own_building_they_store_and_discard(
    http: httpx.Client, live: Live, buildings: Buildings, token: str
):
    headers = {"Authorization": f"Bearer {token}"}
    rows = [
        {"device": buildings.mine.device, "name": "power", "time": "2026-03-02T12:00:00Z", "value": 1},
        {"device": buildings.other.device, "name": "power", "time": "2026-03-02T12:00:00Z", "value": 1},
    ]
    stored = http.post("/api/v1/tenants/acme/readings", json=rows, headers=headers).json()
    assert (stored["stored"], stored["problems"][0]["reason"]) == (1, "unknown_device")
    unknown = rows[1] | {"device": "no-such-device"}
    absent = http.post("/api/v1/tenants/acme/readings", json=[rows[0], unknown], headers=headers).json()
    nameless = [
        one["problems"][0]["detail"].replace(device, "…")
        for one, device in ((stored, buildings.other.device), (absent, "no-such-device"))
    ]
    assert nameless[0] == nameless[1]
    with psycopg.connect(live.deployment.service_url, autocommit=True) as connection:
        batch = TenantBatch(live.deployment.acme)
        batch.dead_letters += [
            NewDeadLetter(datetime.now(UTC), house.secret, house.device, "reason", "again", b"again")
            for house in (buildings.mine, buildings.other)
        ]
        TelemetryWriter(connection).write([batch])
    since = {"from": "2026-06-01T00:00:00Z"}
    discarded = http.delete("/api/v1/tenants/acme/dead-letters", params=since, headers=headers)
    assert discarded.json() == {"letters": 1}
    with live.deployment.databases.tenant(live.deployment.acme) as session:
        left = list_letters(session, Which(starting=datetime(2026, 6, 1, tzinfo=UTC)))
        assert {letter.device for letter in left} == {buildings.other.device}


@pytest.mark.parametrize("kind", ["sites", "buildings", "storeys", "spaces"])
def test_places_are_of_every_size(live: Live, buildings: Buildings, kind: str):
    with live.deployment.databases.tenant(live.deployment.acme) as session:
        room = session.get_one(Space, buildings.mine.space)
        storey = session.get_one(Storey, room.storey_id)
        site = session.scalars(select(Site.id).where(Site.name == "Campus")).one()
        found = {"sites": site, "buildings": storey.building_id, "storeys": storey.id, "spaces": room.id}
    token = _key(live, Places(**{kind: frozenset({found[kind]})}))
    shown = {one["name"] for one in live.get("/api/v1/tenants/acme/spaces", token).json()["items"]}
    assert shown == ({"Room nutmeg", "Room saffron"} if kind == "sites" else {"Room nutmeg"})
    # A place that is gone covers nothing, rather than everything.
    gone = _key(live, Places(**{kind: frozenset({2**30})}))
    assert live.get("/api/v1/tenants/acme/spaces", gone).json()["items"] == []
    assert live.get("/api/v1/tenants/acme/devices", gone).json()["items"] == []


def test_a_key_has_what_both_it_and_its_maker_have(live: Live, buildings: Buildings):
    """The maker came to have another building: nothing is left for the key."""
    context = live.deployment.acme
    key = _key(live, Places(buildings=frozenset({buildings.building})))
    with live.deployment.databases.core() as core:
        row = core.scalars(select(ApiKey).where(ApiKey.key_hash == fingerprint(key))).one()
        noah = core.scalars(select(Account).where(Account.email == "noah@example.com")).one()
        add_member(core, noah, context, "viewer")
        row.account_id = account = noah.id
    url = "/api/v1/tenants/acme/devices"
    assert [one["id"] for one in live.get(url, key).json()["items"]] == [buildings.mine.device]
    with live.deployment.databases.core() as core:
        place_member(core, account, context, Places(spaces=frozenset({buildings.other.space})))
    assert live.get(url, key).json()["items"] == []
    with live.deployment.databases.core() as core:
        place_member(core, account, context, Places(spaces=frozenset({buildings.mine.space})))
    assert [one["id"] for one in live.get(url, key).json()["items"]] == [buildings.mine.device]
