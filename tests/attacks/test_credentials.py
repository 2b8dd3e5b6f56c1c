"""Every route of a tenant, with credentials that were good once, are good elsewhere, or come a wrong way."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from sqlalchemy import delete, select

from insula_platform.access.keys import new_key
from insula_platform.access.policy import WITHIN_PLACES
from insula_platform.api_keys.models import ApiKey
from insula_platform.oauth.clients import create_service_client
from insula_platform.oauth.models import Client, fingerprint
from insula_platform.oauth.scopes import API_SCOPES
from insula_platform.people import Account, add_member, place_member
from insula_tenants.context import TenantContext
from insula_tenants.spaces import Places
from tests.attacks.api import Attacker, Operation
from tests.attacks.conftest import House
from tests.attacks.test_api import IN_A_TENANT, OPERATORS, opens, query_of, said, told, url_of

NEVER = datetime(2100, 1, 1, tzinfo=UTC)


@pytest.fixture(scope="module")
def make_key(attacker: Attacker) -> Callable[..., str]:
    """Keys of tenants' owners that may do everything."""
    databases = attacker.live.deployment.databases

    def make(tenant: TenantContext, *, expires_at: datetime = NEVER) -> str:
        key = new_key()
        with databases.core() as core:
            owner = core.scalars(select(Account).where(Account.email == "ada@example.com")).one()
            add_member(core, owner, tenant, "owner")
            row = ApiKey(
                tenant_id=tenant.id,
                account_id=owner.id,
                name="everything",
                key_hash=fingerprint(key),
                hint=key[:8],
                scope=" ".join(API_SCOPES),
                expires_at=expires_at,
            )
            core.add(row)
        return key

    return make


@pytest.fixture(scope="module")
def good(make_key: Callable[..., str], acme: House) -> str:
    return make_key(acme.context)


@pytest.fixture(scope="module")
def bad(attacker: Attacker, make_key: Callable[..., str], acme: House) -> dict[str, str]:
    """Keys and tokens of acme that open nothing any more, by what happened."""
    databases = attacker.live.deployment.databases
    revoked = make_key(acme.context)
    with databases.core() as core:
        core.execute(delete(ApiKey).where(ApiKey.key_hash == fingerprint(revoked)))
        program, _ = create_service_client(core, acme.context, "gone", " ".join(API_SCOPES))
    program_token = attacker.token(sub=program, client_id=program)
    with databases.core() as core:
        core.delete(core.get_one(Client, program))
    return {
        "a revoked key": revoked,
        "an expired key": make_key(acme.context, expires_at=datetime.now(UTC) - timedelta(seconds=1)),
        "a key nobody made": new_key(),
        "the hash of a key": fingerprint(revoked),
        "a key in another spelling": make_key(acme.context).swapcase(),
        "a key with more": make_key(acme.context) + "A",
        "the token of a client that is gone": program_token,
        "the token of the neighbour's client": attacker.token(
            sub=attacker.programs["globex"], client_id=attacker.programs["globex"]
        ),
        "the token of the operator's client": attacker.token(
            sub=attacker.programs[None], client_id=attacker.programs[None]
        ),
        "the token of no member": attacker.token(sub=str(UUID(int=7)), client_id="insula-ui"),
        "the token of a person by a client that is gone": attacker.token(sub=str(acme.member), client_id="x"),
        "the token of a grant that is not there": attacker.token(
            sub=str(acme.member), client_id="insula-ui", gid=str(UUID(int=7))
        ),
    }


@pytest.mark.parametrize("operation", IN_A_TENANT, ids=str)
def test_what_is_good_no_more_opens_nothing(
    attacker: Attacker, acme: House, good: str, bad: dict[str, str], operation: Operation
):
    opens(attacker, operation, acme, good)
    url, query = url_of(operation, "acme", acme), query_of(operation, acme)
    for name, credential in bad.items():
        answer = attacker.call(operation, url, credential, query)
        assert answer.status_code == 401, (name, answer.text)
        assert acme.secret not in said(answer), name


@pytest.mark.parametrize("operation", IN_A_TENANT, ids=str)
def test_a_key_of_another_tenant_finds_no_tenant(
    attacker: Attacker, acme: House, globex: House, good: str, operation: Operation
):
    opens(attacker, operation, acme, good)
    query = query_of(operation, globex)
    answers = [
        told(
            attacker.call(operation, url_of(operation, slug, globex), good, query),
            globex.client,  # has the slug in it
            slug,
        )
        for slug in ("globex", "nowhere", "initech")
    ]
    assert answers[0][0] == 404
    assert answers[0] == answers[1] == answers[2]


@pytest.mark.parametrize("operation", IN_A_TENANT + OPERATORS, ids=str)
def test_a_key_comes_in_the_header_or_not_at_all(
    attacker: Attacker, acme: House, good: str, operation: Operation
):
    url, query = url_of(operation, "acme", acme), query_of(operation, acme)
    for name in ("key", "api_key", "access_token", "token"):
        assert attacker.call(operation, url, None, query | {name: good}).status_code == 401
    for headers in ({"X-Api-Key": good}, {"Cookie": f"access_token={good}"}, {"Authorization": good}):
        answer = attacker.http.request(operation.method, url, params=query, headers=headers)
        assert answer.status_code == 401
    if operation in OPERATORS:
        assert attacker.call(operation, url, good, query).status_code == 403


@pytest.mark.parametrize(
    "operation", [one for one in IN_A_TENANT if not WITHIN_PLACES.issuperset(one.scopes)], ids=str
)
def test_what_is_the_whole_tenants_is_closed_to_who_has_a_part_of_it(
    attacker: Attacker, acme: House, operation: Operation
):
    """Though the token says everything. `tests/platform/test_access_places.py` tries what is open to them."""
    databases = attacker.live.deployment.databases
    token = attacker.token(sub=str(acme.member), client_id="insula-ui")
    with databases.core() as core:
        place_member(core, acme.member, acme.context, Places(spaces=frozenset({acme.space})))
    url, query = url_of(operation, "acme", acme), query_of(operation, acme)
    answer = attacker.call(operation, url, token, query)
    assert answer.status_code == 403
    assert "this needs a token with the scope" in answer.json()["detail"]
    opens(attacker, operation, acme, attacker.token())
