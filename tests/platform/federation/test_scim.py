"""SCIM: a tenant's directory brings people, gives them roles by their groups, and takes them out at once."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest
from sqlalchemy import text

from insula_platform.oauth.clients import create_service_client
from insula_platform.people import Account, add_member, create_account
from tests.platform.conftest import PASSWORD, Authorization, Live, returned
from tests.platform.federation.conftest import DOMAIN, Admin, Wanderer, begin, come_back, person, role_of
from tests.platform.federation.rogue import RogueProvider

USER = "urn:ietf:params:scim:schemas:core:2.0:User"
GROUP = "urn:ietf:params:scim:schemas:core:2.0:Group"
PATCH = "urn:ietf:params:scim:api:messages:2.0:PatchOp"
ERROR = "urn:ietf:params:scim:api:messages:2.0:Error"


class Directory:
    """A tenant's directory, by a service client of the tenant."""

    def __init__(self, live: Live, tenant: str = "acme", scope: str = "scim:write") -> None:
        context = getattr(live.deployment, tenant)
        with live.deployment.databases.core() as core:
            program = create_service_client(core, context, "directory", scope)
        token = live.token_request(program, grant_type="client_credentials").json()["access_token"]
        self.http = httpx.Client(
            base_url=f"{live.url}/scim/v2/{tenant}",
            headers={"Authorization": f"Bearer {token}", "Content-Type": "application/scim+json"},
            timeout=30,
        )

    def bring(self, name: str, **changes: Any) -> dict[str, Any]:
        """A new user."""
        answer = self.http.post("/Users", json=user(name, **changes))
        assert answer.status_code == 201, answer.text
        return answer.json()

    def patch(self, path: str, *operations: dict[str, Any]) -> httpx.Response:
        return self.http.patch(path, json={"schemas": [PATCH], "Operations": list(operations)})

    def group(self, name: str, *members: str) -> dict[str, Any]:
        wanted = {
            "schemas": [GROUP],
            "displayName": name,
            "members": [{"value": member} for member in members],
        }
        answer = self.http.post("/Groups", json=wanted)
        assert answer.status_code == 201, answer.text
        return answer.json()


def user(name: str, **changes: Any) -> dict[str, Any]:
    """What a directory such as Entra ID sends, with more than is kept."""
    return {
        "schemas": [USER, "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User"],
        "userName": f"{name}@{DOMAIN}",
        "externalId": f"x-{name}",
        "displayName": name.title(),
        "name": {"givenName": name.title(), "familyName": "Smith"},
        "emails": [{"value": f"{name}@{DOMAIN}", "type": "work", "primary": True}],
        "phoneNumbers": [{"value": "+32 2 555 01 23", "type": "work"}],
        "password": "the directory's choice",
        "active": True,
    } | changes


@pytest.fixture(scope="module")
def directory(live: Live, admin: Admin) -> Iterator[Directory]:
    directory = Directory(live)
    yield directory
    directory.http.close()


@pytest.fixture(autouse=True)
def _rules(admin: Admin) -> None:
    """Groups give roles; whoever is in none looks."""
    admin.set_up("https://login.acme.example", roles={"Crew": "engineer", "x-chiefs": "admin"})


def test_a_user_is_a_member_and_only_what_is_needed_is_kept(live: Live, admin: Admin, directory: Directory):
    made = directory.bring("anna")
    assert (made["active"], made["externalId"], made["name"]["familyName"]) == (True, "x-anna", "Smith")
    assert made["meta"]["location"] == f"{live.url}/scim/v2/acme/Users/{made['id']}"
    assert "phoneNumbers" not in made
    assert role_of(live, f"anna@{DOMAIN}") == "viewer"
    with live.deployment.databases.core() as core:
        row = core.execute(
            text("SELECT name, password_hash FROM accounts WHERE email = :email"), {"email": f"anna@{DOMAIN}"}
        ).one()
        assert (row.name, row.password_hash) == ("Anna", None)
        assert "555" not in str(core.execute(text("SELECT attributes FROM scim_users")).all())
    assert directory.http.get(f"/Users/{made['id']}").json() == made
    entry = admin.log("scim_user.created")[0]
    assert (entry["actor_kind"], entry["target"]) == ("client", f"anna@{DOMAIN}")


def test_users_are_found_by_name_and_external_id_and_in_pages(directory: Directory):
    made = directory.bring("berta")

    def found(**query: Any) -> dict[str, Any]:
        answer = directory.http.get("/Users", params=query)
        assert answer.status_code == 200, answer.text
        return answer.json()

    for wanted in (
        f'userName eq "BERTA@{DOMAIN}"',
        'externalId eq "x-berta"',
        f'emails.value eq "berta@{DOMAIN}"',
        'name.familyName eq "Smith" and displayName sw "Ber"',
        f'id eq "{made["id"]}"',
    ):
        assert [item["id"] for item in found(filter=wanted)["Resources"]] == [made["id"]], wanted
    assert found(filter='externalId eq "X-BERTA"')["totalResults"] == 0, "external ids are exact"
    everybody = found()
    total = everybody["totalResults"]
    pages = [found(startIndex=start, count=2) for start in range(1, total + 1, 2)]
    assert [item["id"] for page in pages for item in page["Resources"]] == [
        item["id"] for item in everybody["Resources"]
    ]
    assert found(count=0)["totalResults"] == total
    assert found(startIndex=10**30)["Resources"] == []
    assert "ada@example.com" in {item["userName"] for item in everybody["Resources"]}, "members are users"
    short = found(filter='externalId eq "x-berta"', attributes="userName")["Resources"][0]
    assert set(short) == {"schemas", "id", "userName"}
    for broken in ("userName eq", 'nonsense eq "x"', "userName gt 1 or", "\x00"):
        answer = directory.http.get("/Users", params={"filter": broken})
        assert (answer.status_code, answer.json()["scimType"]) == (400, "invalidFilter")


def test_deactivation_takes_effect_on_the_next_request(
    live: Live, admin: Admin, directory: Directory, rogue: RogueProvider
):
    made = directory.bring("carl")
    asked = Authorization(live)
    with Wanderer(live) as browser:
        rogue.lies.claims = person("carl")
        assert come_back(browser, rogue, begin(browser, rogue)).is_redirect
        back = returned(browser.visit("/oauth/authorize", **asked.parameters))
        tokens = live.token_request(
            grant_type="authorization_code",
            code=back["code"],
            redirect_uri=live.settings.ui_redirect_uri,
            code_verifier=asked.verifier,
        ).json()
        assert live.get("/api/v1/tenants/acme/probe", tokens["access_token"]).status_code == 200
        # As Entra ID writes it.
        answer = directory.patch(
            f"/Users/{made['id']}", {"op": "Replace", "path": "active", "value": "False"}
        )
        assert answer.status_code == 204, answer.text
        assert live.get("/api/v1/tenants/acme/probe", tokens["access_token"]).status_code == 401
        refresh = live.token_request(grant_type="refresh_token", refresh_token=tokens["refresh_token"])
        assert refresh.json()["error"] == "invalid_grant"
        page = browser.visit("/oauth/authorize", **Authorization(live).parameters)
        assert "<h1>Sign in</h1>" in page.text, "the session is over"
        # The provider has not heard of it: nobody comes in again by signing in.
        refused = come_back(browser, rogue, begin(browser, rogue))
        assert (refused.status_code, "deactivated" in refused.text) == (403, True)
        assert directory.http.get(f"/Users/{made['id']}").json()["active"] is False
        assert admin.log("member.removed")[0]["detail"] == {"by": "scim"}
        answer = directory.patch(f"/Users/{made['id']}", {"op": "replace", "value": {"active": True}})
        assert answer.status_code == 204
        assert come_back(browser, rogue, begin(browser, rogue)).is_redirect
    assert role_of(live, f"carl@{DOMAIN}") == "viewer"


def test_groups_give_roles_and_take_them(live: Live, directory: Directory):
    dora, dirk = directory.bring("dora"), directory.bring("dirk")
    crew = directory.group("Crew", dora["id"])
    chiefs = directory.http.post(
        "/Groups", json={"schemas": [GROUP], "displayName": "Whatever", "externalId": "x-chiefs"}
    ).json()
    assert [role_of(live, f"{name}@{DOMAIN}") for name in ("dora", "dirk")] == ["engineer", "viewer"]
    assert directory.http.get(f"/Users/{dora['id']}").json()["groups"][0]["display"] == "Crew"

    def members(group: dict[str, Any], op: str, *users: dict[str, Any], path: str = "members") -> None:
        value = [{"value": each["id"]} for each in users]
        operation = {"op": op, "path": path} | ({"value": value} if value else {})
        answer = directory.patch(f"/Groups/{group['id']}", operation)
        assert answer.status_code == 204, answer.text

    members(chiefs, "add", dora, dirk)
    assert [role_of(live, f"{name}@{DOMAIN}") for name in ("dora", "dirk")] == ["admin", "admin"]
    members(chiefs, "remove", path=f'members[value eq "{dora["id"]}"]')
    assert role_of(live, f"dora@{DOMAIN}") == "engineer"
    members(chiefs, "remove", dirk)  # as Entra ID writes it
    assert role_of(live, f"dirk@{DOMAIN}") == "viewer"
    assert directory.http.delete(f"/Groups/{crew['id']}").status_code == 204
    assert role_of(live, f"dora@{DOMAIN}") == "viewer"
    assert directory.http.get(f"/Groups/{crew['id']}").status_code == 404
    for nobody in (chiefs["id"], "nobody", "", "\x00"):
        wanted = {"schemas": [GROUP], "displayName": "G", "members": [{"value": nobody}]}
        answer = directory.http.post("/Groups", json=wanted)
        assert (answer.status_code, answer.json()["scimType"]) == (400, "invalidValue")


def test_without_a_role_somebody_waits_for_a_group(live: Live, admin: Admin, directory: Directory):
    admin.set_up("https://login.acme.example", roles={"Crew": "engineer"}, default_role=None)
    emil = directory.bring("emil")
    assert (emil["active"], role_of(live, f"emil@{DOMAIN}")) == (True, None)
    crew = directory.group("Crew", emil["id"])
    assert role_of(live, f"emil@{DOMAIN}") == "engineer"
    assert directory.patch(f"/Groups/{crew['id']}", {"op": "remove", "path": "members"}).status_code == 204
    assert role_of(live, f"emil@{DOMAIN}") is None
    assert directory.http.get(f"/Users/{emil['id']}").json()["active"] is True


def test_whoever_is_removed_by_hand_is_shown_as_inactive(live: Live, directory: Directory):
    frida = directory.bring("frida")
    with live.deployment.databases.core() as core:
        core.execute(
            text("DELETE FROM memberships USING accounts a WHERE a.id = account_id AND email = :email"),
            {"email": f"frida@{DOMAIN}"},
        )
    assert directory.http.get(f"/Users/{frida['id']}").json()["active"] is False
    renamed = directory.patch(f"/Users/{frida['id']}", {"op": "replace", "path": "displayName", "value": "F"})
    assert (renamed.status_code, role_of(live, f"frida@{DOMAIN}")) == (204, None), "a new name lets nobody in"


def test_owners_keep_their_role_and_the_last_one_stays(live: Live, directory: Directory):
    query = {"filter": 'userName eq "ada@example.com"'}
    ada = directory.http.get("/Users", params=query).json()["Resources"][0]
    directory.group("Crew", ada["id"])
    assert role_of(live, "ada@example.com") == "owner"
    for answer in (
        directory.patch(f"/Users/{ada['id']}", {"op": "replace", "path": "active", "value": False}),
        directory.http.delete(f"/Users/{ada['id']}"),
    ):
        assert (answer.status_code, "only owner" in answer.json()["detail"]) == (409, True)
    assert role_of(live, "ada@example.com") == "owner"
    assert directory.http.get(f"/Users/{ada['id']}").json()["active"] is True


def test_people_of_other_domains_and_accounts_of_others_are_out_of_reach(live: Live, directory: Directory):
    """A directory brings nobody in whom its tenant does not speak for, and changes no account."""
    answer = directory.http.post("/Users", json=user("greta", emails=[{"value": "noah@example.com"}]))
    assert (answer.status_code, "not verified" in answer.json()["detail"]) == (400, True)
    with live.deployment.databases.core() as core:
        hugo = create_account(core, f"hugo@{DOMAIN}", "Hugo", PASSWORD)
        hugo.email_verified_at = datetime.now(UTC)
        add_member(core, hugo, live.deployment.globex, "admin")
        hugo_id, before = hugo.id, hugo.password_hash
    made = directory.bring("hugo", displayName="Mallory")
    changed = user("hugo", displayName="Mallory", emails=[{"value": f"mallory@{DOMAIN}"}], password="stolen")
    assert directory.http.put(f"/Users/{made['id']}", json=changed).status_code == 200
    with live.deployment.databases.core() as core:
        account = core.get_one(Account, hugo_id)
        assert (account.name, account.email, account.password_hash) == ("Hugo", f"hugo@{DOMAIN}", before)
    assert directory.http.delete(f"/Users/{made['id']}").status_code == 204
    with Wanderer(live) as browser:
        page = browser.visit("/oauth/authorize", **Authorization(live, tenant="globex").parameters)
        assert "code" in returned(browser.sign_in(page, f"hugo@{DOMAIN}")), "globex is none of its business"


def test_somebody_who_is_only_here_may_get_another_address(live: Live, directory: Directory):
    ida, ilse = directory.bring("ida"), directory.bring("ilse")
    moved = user(
        "ida", userName=f"ida.new@{DOMAIN}", emails=[{"value": f"ida.new@{DOMAIN}", "primary": True}]
    )
    assert directory.http.put(f"/Users/{ida['id']}", json=moved).status_code == 200
    assert (role_of(live, f"ida.new@{DOMAIN}"), role_of(live, f"ida@{DOMAIN}")) == ("viewer", None)
    for changes in ({"userName": f"ilse@{DOMAIN}"}, {"emails": [{"value": f"ilse@{DOMAIN}"}]}):
        answer = directory.http.put(f"/Users/{ida['id']}", json=moved | changes)
        assert (answer.status_code, answer.json()["scimType"]) == (409, "uniqueness")
    outside = moved | {"emails": [{"value": "ida@elsewhere.test"}]}
    assert directory.http.put(f"/Users/{ida['id']}", json=outside).status_code == 400
    assert directory.http.post("/Users", json=user("ilse")).status_code == 409
    assert directory.http.get(f"/Users/{ilse['id']}").json()["userName"] == f"ilse@{DOMAIN}"


def test_a_change_may_be_conditional(directory: Directory):
    made = directory.bring("jutta")
    path, tag = f"/Users/{made['id']}", made["meta"]["version"]
    assert directory.http.get(path, headers={"If-None-Match": tag}).status_code == 304
    change = {"schemas": [PATCH], "Operations": [{"op": "replace", "path": "displayName", "value": "J"}]}
    assert directory.http.patch(path, json=change, headers={"If-Match": tag}).status_code == 204
    again = directory.http.patch(path, json=change, headers={"If-Match": tag})
    assert (again.status_code, again.json()["schemas"]) == (412, [ERROR])


def test_another_tenants_users_are_not_there(live: Live, directory: Directory):
    made = directory.bring("karl")
    crew = directory.group("Crew", made["id"])
    other = Directory(live, "globex")
    try:
        for path in (f"/Users/{made['id']}", f"/Groups/{crew['id']}"):
            nobody = f"{path.rpartition('/')[0]}/00000000-0000-0000-0000-000000000000"
            for method in ("GET", "DELETE"):
                theirs = other.http.request(method, path)
                none = other.http.request(method, nobody)
                assert theirs.status_code == none.status_code == 404
                assert theirs.text.replace(path[-36:], "…") == none.text.replace(nobody[-36:], "…")
        names = {item["userName"] for item in other.http.get("/Users").json()["Resources"]}
        assert f"karl@{DOMAIN}" not in names
        answer = other.http.post(
            "/Groups", json={"schemas": [GROUP], "displayName": "G", "members": [{"value": made["id"]}]}
        )
        assert answer.status_code == 400
        assert role_of(live, f"karl@{DOMAIN}") == "engineer"
        with live.client() as client:
            headers = {"Authorization": other.http.headers["Authorization"]}
            refused = client.get("/scim/v2/acme/Users", headers=headers)
            nowhere = client.get("/scim/v2/nowhere/Users", headers=headers)
        assert refused.status_code == nowhere.status_code == 404
        assert refused.json()["schemas"] == [ERROR]
        assert refused.text.replace("acme", "…") == nowhere.text.replace("nowhere", "…")
    finally:
        other.http.close()


def test_it_needs_the_scope_and_errors_have_scims_form(live: Live, directory: Directory):
    reader = Directory(live, scope="readings:read")
    try:
        for answer, status in (
            (reader.http.get("/Users"), 403),
            (httpx.get(f"{live.url}/scim/v2/acme/Users"), 401),
            (directory.http.get("/Nothing"), 404),
            (directory.http.get("/Users/nobody"), 404),
            (directory.http.post("/Users", content=b"{"), 400),
            (directory.http.post("/Users", content=b" " * (1024 * 1024 + 1)), 413),
            (directory.http.post("/Users", content=b"x", headers={"Content-Type": "text/plain"}), 415),
            (directory.http.post("/Users", json={"schemas": [USER], "userName": "no-address"}), 400),
            (directory.http.get("/Users", params={"sortBy": "userName"}), 501),
            (directory.http.put("/Users", json={}), 405),
        ):
            assert answer.status_code == status, answer.text
            told = answer.json()
            assert (told["schemas"], told["status"]) == ([ERROR], str(status))
            assert answer.headers["content-type"] == "application/scim+json"
    finally:
        reader.http.close()
