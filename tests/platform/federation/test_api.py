"""The API by which a tenant's admins set single sign-on up."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import text

from tests.platform.conftest import Live
from tests.platform.federation.conftest import SECRET, SETUP, Admin
from tests.platform.federation.rogue import RogueProvider


def test_the_secret_is_sealed_kept_and_never_shown(live: Live, admin: Admin, rogue: RogueProvider):
    shown = admin.call("GET", "/sso")
    assert SECRET not in shown.text
    assert shown.json()["redirect_uri"] == f"{live.url}/signin/sso/acme/callback"
    with live.deployment.databases.core() as core:
        query = text("SELECT client_secret_sealed FROM identity_providers")
        before = bytes(core.execute(query).scalar_one())
        assert SECRET.encode() not in before
        changed = {name: value for name, value in SETUP.items() if name != "client_secret"}
    assert admin.call("PUT", "/sso", changed | {"issuer": rogue.issuer}).status_code == 200
    with live.deployment.databases.core() as core:
        assert bytes(core.execute(query).scalar_one()) == before
    entry = admin.log("sso.changed")[0]
    assert (entry["detail"]["issuer"], entry["detail"]["secret_changed"]) == (rogue.issuer, False)
    assert SECRET not in str(admin.log("sso.changed"))


def test_nobody_overwrites_a_change_that_they_have_not_seen(admin: Admin, rogue: RogueProvider):
    tag = admin.call("GET", "/sso").headers["etag"]
    setup = SETUP | {"issuer": rogue.issuer, "default_role": "engineer"}
    changed = admin.call("PUT", "/sso", setup, **{"If-Match": tag})
    assert changed.status_code == 200
    assert admin.call("PUT", "/sso", setup, **{"If-Match": tag}).status_code == 412
    assert admin.call("PUT", "/sso", setup, **{"If-Match": changed.headers["etag"]}).status_code == 200


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"roles": {"crew": "owner"}}, "roles"),
        ({"default_role": "owner"}, "default_role"),
        ({"scope": "profile"}, "scope"),
        ({"default_role": None}, "default_role"),
        ({"issuer": "login.acme.example"}, "issuer"),
        ({"client_secret": ""}, "client_secret"),
        ({"surprise": 1}, "surprise"),
    ],
)
def test_what_cannot_be_names_its_field(
    admin: Admin, rogue: RogueProvider, changes: dict[str, Any], field: str
):
    answer = admin.call("PUT", "/sso", SETUP | {"issuer": rogue.issuer} | changes)
    assert answer.status_code == 422
    assert field in answer.json()["errors"][0]["field"]


def test_it_is_not_enforced_before_anybody_could_come_in(live: Live):
    from sqlalchemy import select

    from insula_platform.people import Account, add_member

    with live.deployment.databases.core() as core:
        noah = core.scalars(select(Account).where(Account.email == "noah@example.com")).one()
        add_member(core, noah, live.deployment.globex, "owner")
    token = live.tokens_of("noah@example.com", scope="sso:write sso:read", tenant="globex")["access_token"]
    globex = Admin(live, token, "globex")
    assert globex.call("GET", "/sso").status_code == 404
    assert globex.call("POST", "/sso/test").status_code == 404
    assert globex.call("DELETE", "/sso").status_code == 404
    setup = SETUP | {"issuer": "https://login.globex.example"}
    refused = globex.call("PUT", "/sso", setup | {"enforced": True})
    assert (refused.status_code, "domain is verified" in refused.json()["detail"]) == (409, True)
    without = {name: value for name, value in setup.items() if name != "client_secret"}
    assert globex.call("PUT", "/sso", without).status_code == 422
    assert globex.call("PUT", "/sso", setup).status_code == 201
    assert globex.call("DELETE", "/sso").status_code == 204


def test_viewers_see_and_change_nothing_of_it(live: Live, admin: Admin, rogue: RogueProvider):
    token = live.tokens_of("victor@example.com")["access_token"]
    victor = Admin(live, token)
    for method, path in (("GET", "/sso"), ("PUT", "/sso"), ("DELETE", "/sso"), ("GET", "/sso/domains")):
        assert victor.call(method, path, {}).status_code == 403
