"""Every route of the API, with every token and every name that is not quite right.

Routes and parameters come from the application itself: a new one is attacked without being named here, and a
parameter that has no attack registered fails.
"""

from __future__ import annotations

import base64
import json
import re
from datetime import datetime
from typing import Any
from uuid import UUID

import httpx
import pytest
from sqlalchemy import delete, select, update

from insula_platform.app import create_app
from insula_platform.oauth.models import Client
from insula_platform.oauth.scopes import API_SCOPES, OPERATOR_SCOPES
from insula_platform.settings import PlatformSettings
from insula_tenants.telemetry.dead_letters import find_letter
from insula_tenants.telemetry.models import Latest, Reading
from tests.attacks.api import SLUGS, Attacker, Operation, operations, routes
from tests.attacks.conftest import READ_AT, House

SETTINGS = {
    "secret_key": "a secret key that is long enough for tests",
    "database_url": "postgresql://nobody@127.0.0.1/nowhere",
}
OPERATIONS = operations(create_app(PlatformSettings.model_validate(SETTINGS)))
IN_A_TENANT = [one for one in OPERATIONS if "{tenant}" in one.path]
OPERATORS = [one for one in OPERATIONS if one.path.startswith("/api/v1/operator/")]
NOT_THERE_YET = "/api/v1/operator/receipts/{tenant_id}"
"""Answers 404 to those who may ask, as no tenant was erased."""

DEVICES = {"/api/v1/claims", "/api/v1/enrolments", "/api/v1/enrolments/{enrolment}/login"}
"""Where devices ask that nobody knows yet: attacked in `test_claims.py` and `test_enrolments.py`."""

OPEN = {
    "/",
    "/.well-known/oauth-authorization-server",
    "/.well-known/openid-configuration",
    "/account",
    "/account/consents",
    "/account/email",
    "/account/email/verification",
    "/account/factors",
    "/account/factors/app",
    "/account/factors/app/confirm",
    "/account/factors/app/remove",
    "/account/factors/passkey",
    "/account/factors/passkey/options",
    "/account/factors/passkey/remove",
    "/account/factors/recovery-codes",
    "/account/password",
    "/account/sessions",
    "/account/sessions/end",
    "/account/sessions/end-others",
    "/confirm-email",
    "/device",
    "/device/decision",
    "/docs",
    "/docs/static",
    "/healthz",
    "/invitation",
    "/invitation/join",
    "/oauth/authorize",
    "/oauth/consent",
    "/oauth/device_authorization",
    "/oauth/introspect",
    "/oauth/jwks.json",
    "/oauth/logout",
    "/oauth/retired-keys.json",
    "/oauth/revoke",
    "/oauth/token",
    "/oauth/userinfo",
    "/openapi.json",
    "/pki/{key_id}.crl",
    "/readyz",
    "/reset",
    "/reset/password",
    "/signin",
    "/signin/sso",
    "/signin/sso/{slug}",
    "/signin/sso/{slug}/callback",
    "/signin/passkey",
    "/signin/passkey/options",
    "/signin/second",
    "/signin/second/passkey",
    "/static",
}
"""What is there for everybody, or asks for credentials of another kind than an access token. Pages, with
their sessions and forms, are attacked in `tests/platform/test_account.py` and its neighbours."""

A_YEAR = {"from": "2026-01-01T00:00:00Z", "to": "2027-01-01T00:00:00Z"}
"""Of analytic questions, some of which may not span more."""

OWN: dict[str, Any] = {
    "from": "2020-01-01T00:00:00Z",
    "to": "2030-01-01T00:00:00Z",
    "point": lambda house: house.point,
    "device": lambda house: house.device,
    "space": lambda house: house.space,
    "export_id": lambda house: house.export,
    "letter_id": lambda house: house.letter,
    "batch": lambda house: house.batch,
    "import_id": lambda house: house.upload,
    "key": lambda house: house.key,
    "enrolment": lambda house: house.enrolment,
    "client_id": lambda house: house.client,
    "secret_id": lambda house: house.client_secret,
    "account_id": lambda house: house.member,
    "key_id": lambda house: house.api_key,
    "invitation_id": lambda house: house.invitation,
    "slug": lambda house: house.context.slug,
    "confirm": lambda house: house.context.slug,
    "tenant_id": lambda house: house.context.id,
    "plan": lambda _: "standard",
    "domain": lambda house: house.domain,
    "user_id": lambda house: house.user,
    "group_id": lambda house: house.group,
    "resource_type": lambda _: "User",
    "schema": lambda _: "urn:ietf:params:scim:schemas:core:2.0:User",
    "serial": lambda _: "5f1c",
    "point_id": lambda house: house.point,
    "number": lambda _: 1,
    "type_id": lambda _: "shelly-plug",
    "command_id": lambda house: house.command,
    "meter": lambda house: house.meter,
    "tariff": lambda house: house.tariff,
    "factor": lambda house: house.factor,
    "baseline_from": "2025-01-01T00:00:00Z",
    "baseline_to": "2026-01-01T00:00:00Z",
    "site": lambda house: house.site,
    "building": lambda house: house.building,
    "storey": lambda house: house.storey,
    "site_id": lambda house: house.site,
    "building_id": lambda house: house.building,
    "storey_id": lambda house: house.storey,
    "space_id": lambda house: house.space,
    "zone_id": lambda house: house.zone,
    "equipment_id": lambda house: house.equipment,
    "model_point_id": lambda house: house.model_point,
    "q": lambda house: house.secret,
}
"""Good values: of required parameters, and of those that name something of the tenant."""

A_YEAR = {"from": "2026-01-01T00:00:00Z", "to": "2027-01-01T00:00:00Z"}
"""Of analytic questions, some of which may not span more."""

HOSTILE = (
    "'",
    "' OR 1=1 --",
    "%",
    "\x00",
    "\ud800",
    "9" * 30,
    "-1",
    "null",
    "[]",
    "../globex",
    "{}",
    "a" * 3000,
)


def _ids(name: str) -> Any:
    return lambda house: (OWN[name](house), *HOSTILE)


ATTACKS: dict[str, Any] = {
    "device": _ids("device"),
    "space": _ids("space"),
    "point": _ids("point"),
    "limit": lambda _: ("0", "100000000", *HOSTILE),
    "from": lambda _: ("0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00", "infinity", *HOSTILE),
    "to": lambda _: ("0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00", "infinity", *HOSTILE),
    "bucket": lambda _: ("1d", "99999s", "1 day'", "0s", *HOSTILE),
    "aggregate": lambda _: ("mean", "pg_sleep(9)", *HOSTILE),
    "time_zone": lambda _: ("Europe/Brussels", "../../etc/passwd", "localtime", *HOSTILE),
    "serial": _ids("serial"),
    "export_id": _ids("export_id"),
    "letter_id": _ids("letter_id"),
    "batch": _ids("batch"),
    "import_id": _ids("import_id"),
    "key": _ids("key"),
    "enrolment": _ids("enrolment"),
    "on_error": lambda _: ("skip", *HOSTILE),
    "client_id": _ids("client_id"),
    "secret_id": _ids("secret_id"),
    "account_id": _ids("account_id"),
    "key_id": _ids("key_id"),
    "invitation_id": _ids("invitation_id"),
    "idempotency-key": lambda _: HOSTILE,
    "if-match": lambda _: HOSTILE,
    "reason": lambda _: ("unknown_device", "reason", *HOSTILE),
    "dry_run": lambda _: ("true", *HOSTILE),
    "confirm": lambda _: ("globex", *HOSTILE),
    "domain": _ids("domain"),
    "user_id": _ids("user_id"),
    "group_id": _ids("group_id"),
    "resource_type": _ids("resource_type"),
    "schema": _ids("schema"),
    "attributes": lambda _: ("userName,emails", "password", *HOSTILE),
    "excludedAttributes": lambda _: ("id", "schemas", *HOSTILE),
    "filter": lambda house: (
        f'id eq "{house.user}"',
        f'userName sw "{house.secret}"',
        "not (userName pr)",
        'userName eq "\\"" or 1 eq 1',
        "(" * 500 + 'userName eq "x"' + ")" * 500,
        *HOSTILE,
    ),
    "startIndex": lambda _: ("0", "9" * 18, *HOSTILE),
    "count": lambda _: ("0", "100000000", *HOSTILE),
    "point_id": _ids("point_id"),
    "number": _ids("number"),
    "command_id": _ids("command_id"),
    "type_id": _ids("type_id"),
    "occupied": lambda _: ("measured", *HOSTILE),
    "hours": lambda _: ("0-24", "18-8", "8-99", *HOSTILE),
    "days": lambda _: ("7", "8", *HOSTILE),
    "search": lambda house: (house.secret, house.device, *HOSTILE),
    "state": lambda _: ("active", *HOSTILE),
    "type": lambda _: ("shelly-plug", *HOSTILE),
    "gateway": _ids("device"),
    "label": lambda house: (f"a={house.secret}", "a'=b", "=", *HOSTILE),
    "site": _ids("site"),
    "building": _ids("building"),
    "storey": _ids("storey"),
    "site_id": _ids("site_id"),
    "building_id": _ids("building_id"),
    "storey_id": _ids("storey_id"),
    "space_id": _ids("space_id"),
    "zone_id": _ids("zone_id"),
    "equipment_id": _ids("equipment_id"),
    "model_point_id": _ids("model_point_id"),
    "q": lambda house: (house.secret, house.device, "Room", *HOSTILE),
    "kind": lambda _: ("space", *HOSTILE),
    "cascade": lambda _: HOSTILE,  # a good one would remove what is one's own
    "Idempotency-Key": lambda _: HOSTILE,
    "meter": _ids("meter"),
    "tariff": _ids("tariff"),
    "factor": _ids("factor"),
    "carrier": lambda _: ("gas", *HOSTILE),
    "weekdays": lambda _: ("", "8", *HOSTILE),
    "opens": lambda _: ("24:00", "7:00", *HOSTILE),
    "closes": lambda _: ("00:00", "25:00", *HOSTILE),
    "method": lambda _: ("mean", *HOSTILE),
    "heating_base": lambda _: ("nan", "inf", "-1e9", *HOSTILE),
    "cooling_base": lambda _: ("nan", "inf", "-1e9", *HOSTILE),
    "baseline_from": lambda _: ("0001-01-01T00:00:00+14:00", "infinity", *HOSTILE),
    "baseline_to": lambda _: ("9999-12-31T23:59:59-14:00", "infinity", *HOSTILE),
    "against_from": lambda _: ("0001-01-01T00:00:00+14:00", "infinity", *HOSTILE),
    "against_to": lambda _: ("9999-12-31T23:59:59-14:00", "infinity", *HOSTILE),
    "cursor": lambda _: HOSTILE,  # and `test_cursors_lead_nowhere_else`
}
"""Values for each parameter by name, given the neighbour's house."""


NOBODYS = {"device": "nobodys-device"}
"""Keeps an attack on one condition of a deletion from being the deletion of everything that is one's own."""


def url_of(operation: Operation, tenant: str, house: House) -> str:
    """The path with its names filled in; `tenant` as it is to be sent."""

    def fill(match: re.Match[str]) -> str:
        name = match[1]
        assert name in OWN, f"{operation}: register a good value of {name!r} in OWN"
        return str(OWN[name](house))

    return re.sub(r"\{(\w+)\}", fill, operation.path.replace("{tenant}", tenant))


def query_of(operation: Operation, house: House) -> dict[str, Any]:
    """Good values for the required parameters."""
    query = {}
    own = OWN | A_YEAR if "/analytics/" in operation.path else OWN
    for where, name, required in operation.parameters:
        if where == "query" and required:
            assert name in own, f"{operation}: register a good value of {name!r} in OWN"
            query[name] = own[name](house) if callable(own[name]) else own[name]
    return query


def opens(attacker: Attacker, operation: Operation, house: House, token: str) -> None:
    """The door is there, and one's own key opens it. What changes something stops at a missing scope."""
    operators = operation in OPERATORS
    if operation.method == "get":
        key = attacker.token(None, scope="tenants:read") if operators else token
        answer = attacker.call(
            operation, url_of(operation, house.context.slug, house), key, query_of(operation, house)
        )
        assert answer.status_code == (404 if operation.path == NOT_THERE_YET else 200), answer.text
    else:
        # The operator's token for reading alone; a tenant's without any scope.
        powerless = (
            attacker.token(None, scope="tenants:read")
            if operators
            else attacker.token(house.context.slug, scope="")
        )
        answer = attacker.call(operation, url_of(operation, house.context.slug, house), powerless)
        assert answer.status_code == 403, answer.text


def said(answer: httpx.Response) -> str:
    """The answer, but for the path that was asked: problem details repeat it."""
    return re.sub(r'"instance":"[^"]*"', '"instance":"…"', answer.text)


def told(answer: httpx.Response, *names: str) -> tuple[int, str, dict[str, str]]:
    """What an answer says, the echo of the path's names and what is new each time apart."""
    body = re.sub(r'"complete_until":"[^"]*"', '"complete_until":"now"', answer.text)
    for name in names:
        body = body.replace(name, "…")
    headers = {
        name: value
        for name, value in answer.headers.items()
        if name not in {"date", "x-request-id", "content-length"}
    }
    return answer.status_code, body, headers


def test_every_route_is_attacked_or_known_to_be_open():
    app = create_app(PlatformSettings.model_validate(SETTINGS))
    documented = {one.path for one in operations(app)}
    api = {path for path in routes(app) if path.startswith(("/api/", "/scim/"))}
    assert api <= documented, "a route of the API that the document hides escapes these tests"
    assert {path for path in routes(app) if "{tenant}" in path} == {one.path for one in IN_A_TENANT}
    assert routes(app) - api == OPEN
    assert all(one.scopes for one in IN_A_TENANT + OPERATORS), "an operation without a scope"
    known = {one.path for one in IN_A_TENANT + OPERATORS} | DEVICES
    assert api == known, "a route that is neither a tenant's nor ours"


@pytest.mark.parametrize(
    "operation",
    [one for one in OPERATIONS if one.path.startswith(("/api/", "/scim/")) and one.path not in DEVICES],
    ids=str,
)
def test_no_forged_token_opens_a_route(attacker: Attacker, acme: House, operation: Operation):
    opens(attacker, operation, acme, attacker.token())
    url, query = url_of(operation, "acme", acme), query_of(operation, acme)
    missing = attacker.call(operation, url, None, query)
    assert missing.status_code == 401
    assert missing.headers["www-authenticate"] == 'Bearer realm="insula"'
    for name, token in attacker.forgeries.items():
        answer = attacker.call(operation, url, token, query)
        assert answer.status_code == 401, (name, answer.text)
        assert acme.secret not in said(answer), name
        assert attacker.call(operation, url_of(operation, "globex", acme), token, query).status_code == 401


@pytest.mark.parametrize("operation", IN_A_TENANT + OPERATORS, ids=str)
def test_a_tenants_key_opens_no_door_of_the_operator_nor_the_other_way(
    attacker: Attacker, acme: House, operation: Operation
):
    opens(attacker, operation, acme, attacker.token())
    everything = " ".join(API_SCOPES | OPERATOR_SCOPES)
    url, query = url_of(operation, "acme", acme), query_of(operation, acme)
    if operation in OPERATORS:
        wrong = {attacker.token("acme"): 403, attacker.token("acme", scope=everything): 401}
    else:
        wrong = {
            attacker.token(None, scope=" ".join(OPERATOR_SCOPES)): 404,
            attacker.token(None, scope=everything): 401,
        }
    for token, status in wrong.items():
        answer = attacker.call(operation, url, token, query)
        assert answer.status_code == status, answer.text
        assert acme.secret not in said(answer)


def test_the_providers_other_tokens_are_no_access_tokens(attacker: Attacker, acme: House):
    tokens = attacker.live.tokens_of(
        "ada@example.com", tenant="acme", scope=" ".join(["openid", *API_SCOPES])
    )
    for operation in IN_A_TENANT:
        url, query = url_of(operation, "acme", acme), query_of(operation, acme)
        opens(attacker, operation, acme, tokens["access_token"])
        for kind in ("id_token", "refresh_token"):
            assert attacker.call(operation, url, tokens[kind], query).status_code == 401
        # Nor may a token come where it would be logged.
        assert (
            attacker.http.request(
                operation.method, url, params=query | {"access_token": tokens["access_token"]}
            ).status_code
            == 401
        )


@pytest.mark.parametrize("operation", IN_A_TENANT, ids=str)
def test_a_neighbours_tenant_looks_like_none(
    attacker: Attacker, acme: House, globex: House, operation: Operation
):
    """Word for word, headers included, whatever the token may do in its own."""
    for scope in (" ".join(API_SCOPES), ""):
        mine = attacker.token("acme", scope=scope)
        answers = [
            told(
                attacker.call(operation, url_of(operation, slug, globex), mine, query_of(operation, globex)),
                globex.client,  # has the slug in it
                slug,
            )
            for slug in ("globex", "nowhere", "initech")
        ]
        assert answers[0][0] == 404
        assert answers[0] == answers[1] == answers[2]
    opens(attacker, operation, globex, attacker.token("globex"))


@pytest.mark.parametrize("operation", IN_A_TENANT, ids=str)
def test_a_tenant_has_one_name(attacker: Attacker, acme: House, globex: House, operation: Operation):
    """Other spellings are not there, in the path as in the token, even when the two agree."""
    opens(attacker, operation, acme, attacker.token())
    query = query_of(operation, acme)
    for name, slug in SLUGS.items():
        spoken = httpx.URL(f"http://x/{slug}").path[1:]
        for token in (attacker.token("acme"), attacker.token("globex"), attacker.token(spoken)):
            answer = attacker.call(operation, url_of(operation, slug, acme), token, query)
            assert answer.status_code in {401, 404}, (name, answer.text)
            assert acme.secret not in said(answer)
            assert globex.secret not in said(answer)
        own = attacker.call(operation, url_of(operation, "acme", acme), attacker.token(spoken), query)
        assert own.status_code in {401, 404}, name


@pytest.mark.parametrize("operation", IN_A_TENANT, ids=str)
def test_every_parameter_has_an_attack_that_fails(
    attacker: Attacker, acme: House, globex: House, operation: Operation
):
    """A neighbour's ids and hostile values show nothing of the neighbour, and are never a fault of ours."""
    names = {name for _where, name, _ in operation.parameters} - {"tenant"}
    assert names <= ATTACKS.keys(), f"{operation}: register attacks for {names - ATTACKS.keys()}"
    mine, query = attacker.token(), query_of(operation, acme)
    may_answer = {200, 404, 422}
    if operation.path.startswith("/scim/"):
        may_answer = {200, 400, 404, 422}  # RFC 7644 has 400 for what it cannot read
    if operation.method == "delete":
        query |= NOBODYS
    elif operation.path.endswith("/replay"):
        query |= NOBODYS
        may_answer = {202, 422}
    elif operation.method == "post":
        may_answer = {415, 422}  # there is no body
    for where, name, _required in operation.parameters:
        if where != "query":
            continue
        for value in ATTACKS[name](globex):
            sent = query | {name: value}
            answer = attacker.call(operation, url_of(operation, "acme", acme), mine, sent)
            assert answer.status_code in may_answer, (name, value, answer.text)
            assert globex.secret not in answer.text.replace(str(value), ""), (name, value)
            assert str(globex.value) not in answer.text, (name, value)


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("devices", "space"),
        ("points", "device"),
        ("latest", "device"),
        ("latest", "space"),
        ("readings", "point"),
        ("dead-letters", "device"),
        ("analytics/energy", "space"),
        ("live", "device"),
        ("live", "space"),
        ("live", "point"),
        ("analytics/comfort", "space"),
        ("analytics/comfort/hours", "space"),
        ("analytics/data-quality", "space"),
        ("analytics/occupancy", "space"),
        ("analytics/occupancy/days", "space"),
    ],
)
def test_an_id_is_good_in_its_own_tenant_alone(
    attacker: Attacker, acme: House, globex: House, path: str, name: str
):
    operation = next(one for one in IN_A_TENANT if one.path == f"/api/v1/tenants/{{tenant}}/{path}")
    for house, neighbour in ((acme, globex), (globex, acme)):
        token = attacker.token(house.context.slug)
        url, query = url_of(operation, house.context.slug, house), query_of(operation, house)
        own = attacker.call(operation, url, token, query | {name: OWN[name](house)})
        assert house.secret in own.text or str(house.value) in own.text
        theirs = attacker.call(operation, url, token, query | {name: OWN[name](neighbour)})
        nobodys = attacker.call(
            operation, url, token, query | {name: "no-such-device" if name == "device" else 2**30}
        )
        if name == "device" or house is acme:  # globex has ids of its own where acme has its few
            assert told(theirs) == told(nobodys)
        assert neighbour.secret not in theirs.text
        assert str(neighbour.value) not in theirs.text


@pytest.mark.parametrize(
    ("operation", "name"),
    [
        (one, name)
        for one in IN_A_TENANT
        for name in ("account_id", "key_id", "invitation_id")
        if f"{{{name}}}" in one.path
    ],
    ids=str,
)
def test_a_neighbours_member_key_or_invitation_is_not_there(
    attacker: Attacker, acme: House, globex: House, operation: Operation, name: str
):
    """By whoever may do everything in acme: the id looks like nobody's, and what has it stays."""
    theirs, nobodys = str(OWN[name](globex)), str(UUID(int=4711))
    answers = [
        told(
            attacker.http.request(
                operation.method,
                url_of(operation, "acme", acme).replace(str(OWN[name](acme)), identifier),
                headers={"Authorization": f"Bearer {attacker.token()}"},
                json={} if operation.method == "patch" else None,
            ),
            identifier,
        )
        for identifier in (theirs, nobodys)
    ]
    assert answers[0][0] == 404
    assert answers[0] == answers[1]
    there = next(one for one in IN_A_TENANT if one.method == "get" and one.path.endswith(f"{{{name}}}"))
    opens(attacker, there, globex, attacker.token("globex"))


@pytest.mark.parametrize("operation", [one for one in IN_A_TENANT if "{letter_id}" in one.path], ids=str)
def test_a_neighbours_dead_letter_is_not_there_and_stays_as_it_is(
    attacker: Attacker, acme: House, globex: House, operation: Operation
):
    """Ids differ between the two: what is globex's is nobody's in acme."""
    url = url_of(operation, "acme", globex)
    answer = attacker.call(operation, url, attacker.token())
    nobodys = attacker.call(operation, url.replace(str(globex.letter), "999999"), attacker.token())
    assert answer.status_code == nobodys.status_code == 404
    assert told(answer, str(globex.letter)) == told(nobodys, "999999")
    with attacker.live.deployment.databases.tenant(globex.context) as session:
        letter, payload = find_letter(session, globex.letter)
    assert (payload, letter.replay_requested_at) == (globex.secret.encode(), None)


@pytest.mark.parametrize("operation", [one for one in IN_A_TENANT if "{client_id}" in one.path], ids=str)
def test_a_neighbours_client_is_not_there_and_stays_as_it_is(
    attacker: Attacker, acme: House, globex: House, operation: Operation
):
    """With a body that would be good for one's own: secrets to renew, a name to change, what to disable."""
    headers = {"Authorization": f"Bearer {attacker.token()}"}
    body = {"name": "Mine", "disabled": True} if operation.method == "patch" else {}
    nobodys = "globex-000000000000"
    answers = []
    for client in (globex.client, nobodys):
        url = url_of(operation, "acme", globex).replace(globex.client, client)
        answer = attacker.http.request(operation.method, url, headers=headers, json=body)
        answers.append(told(answer, client))
    assert answers[0][0] == 404
    assert answers[0] == answers[1]
    with attacker.live.deployment.databases.core() as core:
        client = core.get_one(Client, globex.client)
        assert (client.name, client.disabled_at) == (f"Program {globex.secret}", None)
        assert [secret.id for secret in client.secrets] == [globex.client_secret]
        assert client.secrets[0].expires_at is None


def test_what_is_sent_in_a_body_reaches_ones_own_alone(attacker: Attacker, acme: House, globex: House):
    """A neighbour's device, its point's id, and both of them: nobody's, and nothing of it is stored there."""
    at, url = "2026-03-02T12:00:00Z", "/api/v1/tenants/{}/readings"
    rows = [
        {"device": globex.device, "name": "temperature", "time": at, "value": 1},
        {"point": globex.point, "time": at, "value": 1},
        {"device": acme.device, "name": "temperature", "point": globex.point, "time": at, "value": 2},
    ]
    token = attacker.token("acme")
    answer = attacker.http.post(url.format("acme"), json=rows, headers={"Authorization": f"Bearer {token}"})
    told = answer.json()
    assert (told["stored"], [problem["row"] for problem in told["problems"]]) == (1, [1, 2])
    assert answer.text.replace(globex.device, "").count(globex.secret) == 0
    for house, values in ((acme, [2.0]), (globex, [])):
        with attacker.live.deployment.databases.tenant(house.context) as session:
            query = select(Reading.value).where(Reading.time == datetime.fromisoformat(at))
            assert session.scalars(query).all() == values
            session.execute(delete(Reading).where(Reading.time == datetime.fromisoformat(at)))
            session.execute(update(Latest).values(time=READ_AT[-1], value=house.value))


def cursor_of(position: Any) -> str:
    return base64.urlsafe_b64encode(json.dumps(position).encode()).rstrip(b"=").decode()


FORGED_CURSORS = [
    *(cursor_of(position) for position in (
        [], {}, None, 1, "x", [1], ["x"], [None], [True], [1.5], [[1]], [-1], [0],
        [2**31], [2**63], [10**300],
        ["\0"], ["a\0b"], ["\ud800"], ["'; DROP TABLE devices; --"], ["a" * 300],
        [1, "x"], [1, "2024-01-01"], [1, "2024-01-01T00:00:00"], [1, "2024-01-01T00:00:00Z"],
        [2**63, "2024-01-01T00:00:00Z"], [-(10**30), "0001-01-01T00:00:00+14:00"],
        [1, "9999-12-31T23:59:59-14:00"],
        [1, "\0"], ["x", 1], [1, 2, 3],
    )),
    "", "x", "=", "====", "WzFd", "WzFd=", "é", "[1]", "A" * 500, "A" * 501, "W10" * 100,
]  # fmt: skip


def test_cursors_lead_nowhere_else(attacker: Attacker, acme: House, globex: House):
    """Forged, the neighbour's, and another list's: at most they skip some of one's own."""
    lists = [one for one in IN_A_TENANT if any(name == "cursor" for _, name, _ in one.parameters)]
    assert len(lists) >= 4
    theirs = []
    for operation in lists:
        page = attacker.call(
            operation,
            url_of(operation, "globex", globex),
            attacker.token("globex"),
            query_of(operation, globex) | {"limit": 1},
        )
        theirs.append(page.json()["next_cursor"])
    assert sum(cursor is not None for cursor in theirs) >= 3
    mine = attacker.token()

    def items(answer: httpx.Response) -> list[dict[str, Any]]:
        """Without what these very requests count up."""
        return [
            {name: value for name, value in item.items() if name != "api_calls"}
            for item in answer.json()["items"]
        ]

    for operation in lists:
        url, query = url_of(operation, "acme", acme), query_of(operation, acme)
        own = items(attacker.call(operation, url, mine, query))
        assert own
        for cursor in (*filter(None, theirs), *FORGED_CURSORS):
            answer = attacker.call(operation, url, mine, query | {"cursor": cursor})
            assert answer.status_code in {200, 422}, (cursor, answer.text)
            if answer.status_code == 200:
                assert all(item in own for item in items(answer)), cursor
