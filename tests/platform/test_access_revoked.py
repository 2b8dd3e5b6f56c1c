"""What is taken away is gone at the next request, though the token that was issued before is still signed."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from uuid import UUID

import httpx
import pytest
from joserfc import jwt
from sqlalchemy import delete, select, text, update
from sqlalchemy.orm import Session

from insula_platform.access import lasting
from insula_platform.access.keys import new_key
from insula_platform.access.lasting import AccessEnded, Watch
from insula_platform.api_keys.models import ApiKey
from insula_platform.oauth.clients import (
    UI_CLIENT_ID,
    create_operator_client,
    create_service_client,
    delete_service_client,
)
from insula_platform.oauth.models import Client, Grant, fingerprint
from insula_platform.oauth.tokens import write_access_token
from insula_platform.oauth.verified import VerifiedTokens
from insula_platform.people import (
    Account,
    Membership,
    add_member,
    locked_member,
    place_member,
    remove_member,
)
from insula_tenants.audit import SYSTEM
from insula_tenants.database import AsyncDatabases
from insula_tenants.lifecycle import resume_tenant, suspend_tenant
from insula_tenants.spaces import Places
from tests.platform.conftest import ALL_SCOPES, Live, access_of
from tests.servers.mqtt import unique

PROBE = "/api/v1/tenants/acme/probe"
SUMMARY = "/api/v1/tenants/acme/dead-letters"


class Held:
    """A person, a service client and an API key of acme, fresh for each test, and what each holds."""

    def __init__(self, live: Live) -> None:
        self.live = live
        self.email = f"{unique('held')}@example.com"
        with self.core() as core:
            account = Account(email=self.email, name="Held")
            core.add(account)
            core.flush()
            self.account = account.id
            add_member(core, account, live.deployment.acme, "engineer")
            grant = Grant(
                client_id=UI_CLIENT_ID,
                account_id=account.id,
                tenant_id=live.deployment.acme.id,
                scope=f"{ALL_SCOPES} dead-letters:read",
                auth_time=datetime.now(UTC),
                amr=["pwd"],
            )
            core.add(grant)
            core.flush()
            self.person = write_access_token(
                live.settings,
                live.platform.signing_keys.signing_key(),
                subject=str(account.id),
                client_id=UI_CLIENT_ID,
                tenant="acme",
                scope=grant.scope,
                grant=grant,
            )
            self.key = new_key()
            core.add(
                ApiKey(
                    tenant_id=live.deployment.acme.id,
                    account_id=self.account,
                    name="held",
                    key_hash=fingerprint(self.key),
                    hint=self.key[:8],
                    scope="readings:read dead-letters:read members:read",
                    expires_at=datetime.now(UTC) + timedelta(days=1),
                )
            )
            self.client = create_service_client(
                core, live.deployment.acme, "held", "readings:read dead-letters:read"
            )
        answer = live.token_request(self.client, grant_type="client_credentials")
        self.program = answer.json()["access_token"]

    @contextmanager
    def core(self) -> Iterator[Session]:
        with self.live.deployment.databases.core() as core:
            yield core

    def get(self, token: str, path: str = PROBE) -> httpx.Response:
        return self.live.get(path, token)


@pytest.fixture
def held(live: Live) -> Held:
    found = Held(live)
    for token in (found.person, found.program, found.key):
        assert found.get(token).status_code == 200
        assert found.get(token, SUMMARY).status_code == 200
    return found


def refused(answer: httpx.Response, why: str) -> None:
    assert (answer.status_code, answer.json()["type"]) == (401, "/problems/not-authenticated")
    assert why in answer.json()["detail"]
    assert 'error="invalid_token"' in answer.headers["www-authenticate"]


def test_a_removed_member_is_out_and_so_is_their_key(held: Held):
    with held.core() as core:
        remove_member(core, locked_member(core, held.account, held.live.deployment.acme))
    refused(held.get(held.person), "token was revoked")  # the grant ended with the membership
    refused(held.get(held.key), "no such API key")
    assert held.get(held.program).status_code == 200
    # To come back is not to have back what was held before.
    with held.core() as core:
        add_member(core, core.get_one(Account, held.account), held.live.deployment.acme, "engineer")
    refused(held.get(held.person), "token was revoked")
    refused(held.get(held.key), "no such API key")


def test_a_membership_that_just_disappears_is_enough(held: Held):
    """Whoever ends it, by whatever statement: a token that names no grant is refused as well."""
    says = held.live.platform.verified.recall(held.person, held.live.platform.signing_keys)
    assert says is not None
    assert says.grant_id is not None
    with held.core() as core:
        core.execute(delete(Membership).where(Membership.account_id == held.account))
    refused(held.get(held.person), "does not belong to the tenant")
    refused(held.get(held.key), "no such API key")


def test_a_demoted_member_has_the_new_role_at_once_and_so_has_their_key(held: Held):
    with held.core() as core:
        add_member(core, core.get_one(Account, held.account), held.live.deployment.acme, "viewer")
    for token in (held.person, held.key):
        assert held.get(token).status_code == 200
        answer = held.get(token, SUMMARY)
        assert (answer.status_code, answer.json()["type"]) == (403, "/problems/insufficient-scope")
    with held.core() as core:
        add_member(core, core.get_one(Account, held.account), held.live.deployment.acme, "admin")
    assert held.get(held.person, SUMMARY).status_code == 200
    # More than was granted is never given, whatever the role.
    assert held.get(held.person, "/api/v1/tenants/acme/audit").status_code == 403
    assert held.get(held.key, "/api/v1/tenants/acme/members-probe").status_code == 200
    assert held.get(held.key, "/api/v1/tenants/acme/audit").status_code == 403


def test_a_member_bound_to_some_places_is_bound_at_once(held: Held):
    storage = "/api/v1/tenants/acme/storage"
    assert held.get(held.person, storage).status_code == 200
    with held.core() as core:
        place_member(core, held.account, held.live.deployment.acme, Places(buildings=frozenset({1})))
    for token in (held.person, held.key):
        assert held.get(token, storage).json()["type"] == "/problems/not-allowed"


def test_a_revoked_grant_ends_its_tokens(held: Held):
    with held.core() as core:
        ended = update(Grant).where(Grant.account_id == held.account)
        core.execute(ended.values(revoked_at=datetime.now(UTC)))
    refused(held.get(held.person), "token was revoked")
    with held.core() as core:
        core.execute(delete(Grant).where(Grant.account_id == held.account))
    refused(held.get(held.person), "token was revoked")
    assert held.get(held.key).status_code == 200


@pytest.mark.parametrize("which", ["person", "program"])
def test_a_token_that_was_called_back_is_refused(held: Held, which: str):
    token = getattr(held, which)
    says = held.live.platform.verified.recall(token, held.live.platform.signing_keys)
    assert says is not None
    with held.core() as core:
        statement = "INSERT INTO revoked_tokens (jti, expires_at) VALUES (:jti, now() + interval '1 hour')"
        core.execute(text(statement), {"jti": says.id})
    refused(held.get(token), "token was revoked")
    other = held.live.token_request(held.client, grant_type="client_credentials").json()["access_token"]
    assert held.get(other).status_code == 200


def _delete(core: Session, held: Held) -> None:
    delete_service_client(core, held.live.deployment.acme, held.client[0])


def _disable(core: Session, held: Held) -> None:
    core.get_one(Client, held.client[0]).disabled_at = datetime.now(UTC)


@pytest.mark.parametrize("end", [_delete, _disable])
def test_a_client_that_is_gone_has_no_good_tokens(held: Held, end: Callable[[Session, Held], None]):
    with held.core() as core:
        end(core, held)
    refused(held.get(held.program), "not registered with this tenant")
    assert held.get(held.person).status_code == 200


def test_a_client_that_may_less_may_less_at_once(held: Held):
    with held.core() as core:
        core.get_one(Client, held.client[0]).scope = "readings:read"
    assert held.get(held.program).status_code == 200
    assert held.get(held.program, SUMMARY).status_code == 403


def test_a_client_of_a_neighbour_is_none_of_ours(held: Held):
    """Were a tenant given the id of another's client, its tokens would still open nothing."""
    with held.core() as core:
        core.get_one(Client, held.client[0]).tenant_id = held.live.deployment.globex.id
    refused(held.get(held.program), "not registered with this tenant")


def test_a_suspended_tenant_is_closed_to_all_and_opens_again(held: Held):
    with held.core() as core:
        suspend_tenant(core, "acme", "unpaid")
    try:
        for token in (held.person, held.program, held.key):
            answer = held.get(token)
            assert (answer.status_code, answer.json()["type"]) == (403, "/problems/tenant-suspended")
        with held.core() as core:
            core.execute(delete(Membership).where(Membership.account_id == held.account))
        # Who is not a member any more is not told why the tenant is closed.
        refused(held.get(held.person), "does not belong to the tenant")
    finally:
        with held.core() as core:
            resume_tenant(core, "acme", actor=SYSTEM)
    assert held.get(held.program).status_code == 200


def test_an_expired_key_says_so(held: Held):
    with held.core() as core:
        row = core.scalars(select(ApiKey).where(ApiKey.key_hash == fingerprint(held.key))).one()
        row.expires_at = datetime.now(UTC) - timedelta(seconds=1)
    refused(held.get(held.key), "the API key has expired")


def test_the_operators_client_is_asked_for_too(live: Live):
    with live.deployment.databases.core() as core:
        client = create_operator_client(core, "billing", "tenants:read")
    token = live.token_request(client, grant_type="client_credentials").json()["access_token"]
    path = "/api/v1/operator/tenants"
    assert live.get(path, token).status_code == 200
    with live.deployment.databases.core() as core:
        core.get_one(Client, client[0]).scope = "tenants:write"
    assert live.get(path, token).status_code == 403
    with live.deployment.databases.core() as core:
        core.delete(core.get_one(Client, client[0]))
    assert live.get(path, token).status_code == 401


def test_a_token_without_a_grant_is_bound_by_the_membership_alone(held: Held):
    """Tokens of the release before this one name no grant."""
    key = held.live.platform.signing_keys.signing_key()
    said = jwt.decode(held.person, key).claims
    del said["gid"]
    older = jwt.encode({"alg": "RS256", "kid": key.kid, "typ": "at+jwt"}, said, key, ["RS256"])
    assert held.get(older).status_code == 200
    with held.core() as core:
        core.execute(delete(Membership).where(Membership.account_id == held.account))
    refused(held.get(older), "does not belong to the tenant")


def test_a_person_who_is_none_opens_nothing(live: Live):
    key = live.platform.signing_keys.signing_key()
    token = live.tokens_of("ada@example.com")["access_token"]
    said = jwt.decode(token, key).claims
    for subject in ("someone", str(UUID(int=7))):
        forged = jwt.encode(
            {"alg": "RS256", "kid": key.kid, "typ": "at+jwt"}, said | {"sub": subject}, key, ["RS256"]
        )
        assert live.get(PROBE, forged).status_code == 401
    assert live.get(PROBE, token).status_code == 200


def test_a_download_ends_when_what_allowed_it_does(held: Held, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(lasting, "LOOK_EVERY", 0.0)

    async def look(expires_at: float = float("inf")) -> None:
        databases = AsyncDatabases({"main": held.live.deployment.service_url})
        await databases.open()
        try:
            await Watch(databases, access_of(held.live.deployment.acme, held.client[0], expires_at)).look()
        finally:
            await databases.close()

    asyncio.run(look())
    with pytest.raises(AccessEnded, match="the access token has expired"):
        asyncio.run(look(time.time() - 1))
    with held.core() as core:
        _disable(core, held)
    with pytest.raises(AccessEnded, match="not registered"):
        asyncio.run(look())


def test_verified_tokens_are_few_and_never_outlive_themselves(held: Held, monkeypatch: pytest.MonkeyPatch):
    platform = held.live.platform
    says = platform.verified.recall(held.person, platform.signing_keys)
    assert says is not None
    kept = VerifiedTokens(most=2)
    for number in range(3):
        kept.remember(f"token {number}", says)
    assert len(kept) == 2
    assert kept.recall("token 0", platform.signing_keys) is None
    assert kept.recall("token 2", platform.signing_keys) == says
    with monkeypatch.context() as patch:
        patch.setattr(time, "time", lambda: says.expires_at)
        assert kept.recall("token 2", platform.signing_keys) is None
    assert kept.recall("token 2", platform.signing_keys) is None, "it is forgotten, not only hidden"
    with monkeypatch.context() as patch:
        patch.setattr(platform.signing_keys, "known", lambda _kid: None)
        assert kept.recall("token 1", platform.signing_keys) is None, "its key is not believed any more"
