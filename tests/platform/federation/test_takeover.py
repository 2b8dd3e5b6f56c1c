"""What an attacker would gain by a provider or a directory: accounts, roles, and what outlives them."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from sqlalchemy import text

from insula_platform.people import Account, add_member, create_account
from tests.platform.conftest import PASSWORD, Authorization, Live, returned
from tests.platform.federation.conftest import (
    DOMAIN,
    SETUP,
    Admin,
    Wanderer,
    begin,
    come_back,
    person,
    role_of,
)
from tests.platform.federation.rogue import RogueProvider
from tests.platform.federation.test_scim import Directory, user


def stranger(live: Live, name: str) -> str:
    """An account with somebody else's address, as whoever was shown the link of an invitation can make it."""
    with live.deployment.databases.core() as core:
        account = create_account(core, f"{name}@{DOMAIN}", "Mallory", PASSWORD)
        add_member(core, account, live.deployment.globex, "viewer")
        return account.email


def confirm(live: Live, email: str) -> None:
    with live.deployment.databases.core() as core:
        account = core.query(Account).filter_by(email=email).one()
        account.email_verified_at = datetime.now(UTC)


def tokens_by_sso(live: Live, browser: Wanderer, rogue: RogueProvider, name: str) -> dict[str, Any]:
    rogue.lies.claims = person(name)
    assert come_back(browser, rogue, begin(browser, rogue)).is_redirect
    asked = Authorization(live)
    back = returned(browser.visit("/oauth/authorize", **asked.parameters))
    return live.token_request(
        grant_type="authorization_code",
        code=back["code"],
        redirect_uri=live.settings.ui_redirect_uri,
        code_verifier=asked.verifier,
    ).json()


def test_an_account_made_beforehand_is_not_let_in_by_its_address(
    live: Live, admin: Admin, rogue: RogueProvider
):
    email = stranger(live, "paula")
    rogue.lies.claims = person("paula")
    with Wanderer(live) as browser:
        refused = come_back(browser, rogue, begin(browser, rogue))
        assert (refused.status_code, "nobody has confirmed" in refused.text) == (403, True)
        assert admin.log("sso.refused")[0]["detail"]["reason"] == "unconfirmed-account"
        assert role_of(live, email) is None, "whoever made it could come in by its password"
        confirm(live, email)
        assert come_back(browser, rogue, begin(browser, rogue)).is_redirect
    assert role_of(live, email) == "viewer"


def test_nor_by_the_directory(live: Live, admin: Admin, rogue: RogueProvider):
    email = stranger(live, "quentin")
    directory = Directory(live)
    try:
        refused = directory.http.post("/Users", json=user("quentin"))
        assert (refused.status_code, "nobody has confirmed" in refused.json()["detail"]) == (409, True)
        assert role_of(live, email) is None
        confirm(live, email)
        assert directory.bring("quentin")["active"]
    finally:
        directory.http.close()
    assert role_of(live, email) == "viewer"


def test_a_directory_gives_an_owner_no_other_address(live: Live, admin: Admin, rogue: RogueProvider):
    """By an address of its own it could have their password reset."""
    directory = Directory(live)
    try:
        made = directory.bring("rita")
        with live.deployment.databases.core() as core:
            rita = core.query(Account).filter_by(email=f"rita@{DOMAIN}").one()
            add_member(core, rita, live.deployment.acme, "owner")
        moved = user("rita", emails=[{"value": f"mallory.r@{DOMAIN}", "primary": True}])
        directory.http.put(f"/Users/{made['id']}", json=moved)
    finally:
        directory.http.close()
    assert role_of(live, f"rita@{DOMAIN}") == "owner"
    assert role_of(live, f"mallory.r@{DOMAIN}") is None


def test_only_owners_choose_the_provider_and_the_directory(live: Live, admin: Admin, rogue: RogueProvider):
    """A provider of one's own says of anybody that it is they: of an owner, too."""
    with live.deployment.databases.core() as core:
        amy = create_account(core, f"amy@{DOMAIN}", "Amy", PASSWORD)
        add_member(core, amy, live.deployment.acme, "admin")
    scope = "openid sso:read sso:write scim:write clients:write"
    tokens = live.tokens_of(f"amy@{DOMAIN}", scope=scope)
    assert tokens["scope"] == "openid sso:read clients:write"
    amys = Admin(live, tokens["access_token"])
    assert amys.call("GET", "/sso").status_code == 200
    evil = SETUP | {"issuer": "https://evil.example"}
    assert amys.call("PUT", "/sso", evil).status_code == 403
    assert amys.call("DELETE", "/sso").status_code == 403
    assert amys.call("POST", "/sso/domains", {"domain": "evil.example"}).status_code == 403
    for scopes in (["sso:write"], ["scim:write"]):
        wanted = {"name": "x", "scopes": scopes, "grant_types": ["client_credentials"]}
        assert amys.call("POST", "/clients", wanted).status_code == 403
        assert amys.call("POST", "/api-keys", {"name": "x", "scopes": scopes}).status_code in {403, 422}


@pytest.mark.parametrize("how", ["another issuer", "none"])
def test_what_a_provider_has_opened_ends_with_it(live: Live, admin: Admin, rogue: RogueProvider, how: str):
    other = live.tokens_of("victor@example.com")
    with Wanderer(live) as browser:
        tokens = tokens_by_sso(live, browser, rogue, "sally")
        assert live.get("/api/v1/tenants/acme/probe", tokens["access_token"]).status_code == 200
        admin.set_up(rogue.issuer, default_role="engineer")
        assert live.get("/api/v1/tenants/acme/probe", tokens["access_token"]).status_code == 200
        if how == "none":
            assert admin.call("DELETE", "/sso").status_code == 204
        else:
            admin.set_up("https://login.acme.example")
        assert live.get("/api/v1/tenants/acme/probe", tokens["access_token"]).status_code == 401
        again = live.token_request(grant_type="refresh_token", refresh_token=tokens["refresh_token"])
        assert again.json()["error"] == "invalid_grant"
        assert "<h1>Sign in</h1>" in browser.visit("/oauth/authorize", **Authorization(live).parameters).text
    assert live.get("/api/v1/tenants/acme/probe", other["access_token"]).status_code == 200


@pytest.mark.parametrize("groups", [7, True, {"crew": 1}, [["crew"]], None])
def test_a_claim_of_another_form_gives_no_role(
    live: Live, admin: Admin, rogue: RogueProvider, groups: object
):
    admin.set_up(rogue.issuer, role_claim="groups", roles={"crew": "admin"}, default_role=None)
    rogue.lies.claims = person("tom", groups=groups)
    with Wanderer(live) as browser:
        assert come_back(browser, rogue, begin(browser, rogue)).status_code == 403
    assert admin.log("sso.refused")[0]["detail"]["reason"] == "no-role"


@pytest.mark.parametrize("email", [f"a b@{DOMAIN}", f"a@b@{DOMAIN}", f"@{DOMAIN}", f"a\n@{DOMAIN}", ["x"]])
def test_what_is_no_address_makes_no_account(live: Live, admin: Admin, rogue: RogueProvider, email: object):
    rogue.lies.claims = person("ulf", email=email)
    with Wanderer(live) as browser:
        assert come_back(browser, rogue, begin(browser, rogue)).status_code == 403
    assert admin.log("sso.refused")[0]["detail"]["reason"] == "no-email"
    with live.deployment.databases.core() as core:
        query = text("SELECT count(*) FROM accounts WHERE email = :email")
        assert core.scalar(query, {"email": str(email)}) == 0
