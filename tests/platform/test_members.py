"""Members and invitations by the API: who may do what to whom, and what follows at once."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest
from sqlalchemy import select, text

from insula_platform.oauth.clients import create_service_client
from insula_platform.people import Account, Membership, add_member
from insula_tenants.audit import list_entries
from insula_tenants.invitations import invite
from insula_tenants.spaces import ensure_space
from tests.platform.conftest import Browser, Live
from tests.platform.test_invitations import open_link, role_of
from tests.servers.mqtt import unique

MEMBERS = "/api/v1/tenants/acme/members"
INVITATIONS = "/api/v1/tenants/acme/invitations"
SCOPES = "openid members:read members:write clients:write readings:read devices:read audit:read"


class Office:
    """Whoever has this token, at the members of acme."""

    def __init__(self, live: Live, token: str) -> None:
        self.live = live
        self.token = token

    def call(self, method: str, url: str, body: Any = None, **headers: str) -> httpx.Response:
        with self.live.client() as client:
            given = {"Authorization": f"Bearer {self.token}"} | headers
            return client.request(method, url, json=body, headers=given)

    def invite(self, role: str = "viewer", **more: Any) -> httpx.Response:
        return self.call(
            "POST", INVITATIONS, {"email": f"{unique('guest')}@example.com", "role": role} | more
        )


@pytest.fixture(scope="module")
def owner(live: Live) -> Office:
    return Office(live, live.tokens_of("ada@example.com", scope=SCOPES)["access_token"])


@pytest.fixture
def admin(live: Live) -> Office:
    member(live, "admin", "noah@example.com")
    return Office(live, live.tokens_of("noah@example.com", tenant="acme", scope=SCOPES)["access_token"])


@pytest.fixture(scope="module")
def space(live: Live) -> int:
    with live.deployment.databases.tenant(live.deployment.acme) as session:
        return ensure_space(
            session, site="S", building="B", time_zone="UTC", storey="G", level=0, name="Room"
        )


def member(live: Live, role: str, email: str | None = None) -> str:
    """The account of a member of acme with this role; a new one unless the address is somebody's."""
    with live.deployment.databases.core() as core:
        account = core.scalar(select(Account).where(Account.email == email)) if email else None
        if account is None:
            account = Account(email=email or f"{unique('member')}@example.com", name="Member")
            core.add(account)
            core.flush()
        add_member(core, account, live.deployment.acme, role)
        return str(account.id)


def role(live: Live, account: str) -> str | None:
    with live.deployment.databases.core() as core:
        query = select(Membership.role).where(
            Membership.account_id == account, Membership.tenant_id == live.deployment.acme.id
        )
        return core.scalar(query)


def letters_to(live: Live, email: str) -> list[str]:
    with live.deployment.databases.core() as core:
        query = text(
            "SELECT body FROM letters WHERE recipient = :email AND tenant_id IS NOT NULL ORDER BY id"
        )
        return list(core.scalars(query, {"email": email}))


def test_members_are_listed_with_role_and_places_in_pages(live: Live, owner: Office, space: int):
    changed = owner.call("PATCH", f"{MEMBERS}/{member(live, 'viewer')}", {"places": {"spaces": [space]}})
    assert changed.status_code == 200, changed.text
    found, cursor = [], ""
    while cursor is not None:
        page = owner.call("GET", f"{MEMBERS}?limit=2" + (f"&cursor={cursor}" if cursor else "")).json()
        found += page["items"]
        cursor = page["next_cursor"]
    emails = [one["email"] for one in found]
    assert emails == sorted(set(emails))
    assert {"ada@example.com", "erin@example.com"} <= set(emails)
    assert changed.json() in found
    assert changed.json()["places"]["spaces"] == [space]


@pytest.mark.parametrize(
    ("who", "whom", "to", "allowed"),
    [
        ("owner", "viewer", "owner", True),
        ("owner", "owner", "viewer", True),
        ("admin", "viewer", "admin", True),
        ("admin", "admin", "viewer", True),
        ("admin", "engineer", "owner", False),
        ("admin", "owner", "viewer", False),
        ("admin", "owner", None, False),  # remove
        ("admin", "admin", None, True),
        ("owner", "owner", None, True),
    ],
)
def test_nobody_decides_about_who_is_more(
    live: Live,
    owner: Office,
    admin: Office,
    who: str,
    whom: str,
    to: str | None,
    allowed: bool,
):
    office, account = {"owner": owner, "admin": admin}[who], member(live, whom)
    url = f"{MEMBERS}/{account}"
    answer = office.call("PATCH", url, {"role": to}) if to else office.call("DELETE", url)
    if allowed:
        assert answer.status_code == (200 if to else 204), answer.text
        assert role(live, account) == to
        with live.deployment.databases.core() as core:
            entry = list_entries(core, tenant=live.deployment.acme.id)[0]
            assert entry.action == ("member.changed" if to else "member.removed")
    else:
        assert (answer.status_code, answer.json()["type"]) == (403, "/problems/not-allowed")
        assert role(live, account) == whom


def test_nobody_raises_themselves(live: Live, admin: Office):
    mine = member(live, "admin", "noah@example.com")
    assert admin.call("PATCH", f"{MEMBERS}/{mine}", {"role": "owner"}).status_code == 403
    assert role(live, mine) == "admin"
    # A program that an admin made is an admin's too, and so is a key.
    with live.deployment.databases.core() as core:
        client = create_service_client(core, live.deployment.acme, "hr", "members:write members:read")
    program = Office(live, live.token_request(client, grant_type="client_credentials").json()["access_token"])
    key = admin.call(
        "POST", "/api/v1/tenants/acme/api-keys", {"name": "hr", "scopes": ["members:write"]}
    ).json()["key"]
    for office in (program, Office(live, key)):
        assert office.call("PATCH", f"{MEMBERS}/{mine}", {"role": "owner"}).status_code == 403
        assert office.invite("owner").status_code == 403
        assert office.invite("admin").status_code == 201
    # To step down is everybody's right.
    assert admin.call("PATCH", f"{MEMBERS}/{mine}", {"role": "viewer"}).status_code == 200
    assert admin.call("PATCH", f"{MEMBERS}/{mine}", {"role": "admin"}).status_code == 403


def test_the_last_owner_stays(live: Live, owner: Office):
    ada = member(live, "owner", "ada@example.com")
    with live.deployment.databases.core() as core:
        others = (
            "UPDATE memberships SET role = 'admin'"
            " WHERE tenant_id = :tenant AND role = 'owner' AND account_id <> :ada"
        )
        core.execute(text(others), {"tenant": live.deployment.acme.id, "ada": ada})
    for answer in (
        owner.call("DELETE", f"{MEMBERS}/{ada}"),
        owner.call("PATCH", f"{MEMBERS}/{ada}", {"role": "viewer"}),
    ):
        assert (answer.status_code, answer.json()["type"]) == (409, "/problems/last-owner")
    assert role(live, ada) == "owner"


def test_two_owners_who_remove_each_other_at_once_leave_one(live: Live, owner: Office):
    ada, erin = member(live, "owner", "ada@example.com"), member(live, "owner", "erin@example.com")
    with live.deployment.databases.core() as core:
        others = (
            "UPDATE memberships SET role = 'admin'"
            " WHERE tenant_id = :tenant AND role = 'owner' AND account_id NOT IN (:ada, :erin)"
        )
        core.execute(text(others), {"tenant": live.deployment.acme.id, "ada": ada, "erin": erin})
    other = Office(live, live.tokens_of("erin@example.com", tenant="acme", scope=SCOPES)["access_token"])
    try:
        with ThreadPoolExecutor(2) as pool:
            demoted = list(
                pool.map(
                    lambda pair: pair[0].call("PATCH", f"{MEMBERS}/{pair[1]}", {"role": "viewer"}),
                    ((owner, erin), (other, ada)),
                )
            )
        assert 200 in {answer.status_code for answer in demoted}
        assert sorted([role(live, ada), role(live, erin)]) == ["owner", "viewer"]
    finally:
        member(live, "owner", "ada@example.com")
        member(live, "engineer", "erin@example.com")


def test_a_change_of_what_was_not_seen_is_refused(live: Live, owner: Office):
    url = f"{MEMBERS}/{member(live, 'viewer')}"
    tag = owner.call("GET", url).headers["etag"]
    changed = owner.call("PATCH", url, {"role": "engineer"}, **{"If-Match": tag})
    assert changed.status_code == 200
    assert changed.headers["etag"] != tag
    assert owner.call("PATCH", url, {"role": "admin"}, **{"If-Match": tag}).status_code == 412
    assert owner.call("PATCH", url, {"role": "admin"}, **{"If-Match": changed.headers["etag"]}).is_success


def test_places_are_engineers_and_viewers(live: Live, owner: Office, space: int):
    url = f"{MEMBERS}/{member(live, 'engineer')}"
    placed = {"places": {"spaces": [space]}}
    assert owner.call("PATCH", url, placed).json()["role"] == "engineer"
    assert owner.call("PATCH", url, {"role": "viewer"}).json()["places"]["spaces"] == [space], "they stay"
    refused = owner.call("PATCH", url, {"role": "admin"} | placed)
    assert (refused.status_code, refused.json()["errors"][0]["field"]) == (422, "places")
    assert owner.call("PATCH", url, {"places": {"spaces": [2**30]}}).status_code == 422
    assert owner.call("PATCH", url, {"role": "admin"}).json()["places"] is None
    assert owner.call("PATCH", url, placed).status_code == 422
    assert owner.call("PATCH", url, {"role": "engineer", **placed}).json()["places"]["spaces"] == [space]
    assert owner.call("PATCH", url, {"places": None}).json()["places"] is None


def test_who_goes_leaves_no_way_back(live: Live, owner: Office, admin: Office):
    mine = member(live, "admin", "noah@example.com")
    guest = admin.invite("admin").json()
    kept = owner.invite("viewer").json()
    with live.deployment.databases.core() as core:
        link = invite(core, live.deployment.acme.id, "noah@example.com", "admin")
    assert owner.call("DELETE", f"{MEMBERS}/{mine}").status_code == 204
    assert admin.call("GET", MEMBERS).status_code == 401
    open_now = {one["id"] for one in owner.call("GET", f"{INVITATIONS}?limit=1000").json()["items"]}
    assert guest["id"] not in open_now, "whom they invited, nobody invites any more"
    assert kept["id"] in open_now
    with Browser(live) as browser:
        assert open_link(browser, link).status_code == 404
    assert owner.call("DELETE", f"{MEMBERS}/{mine}").status_code == 404


def test_an_invitation_is_a_letter_and_a_link_and_is_accepted_with_its_places(
    live: Live, owner: Office, space: int
):
    answer = owner.invite("engineer", places={"spaces": [space]})
    assert (answer.status_code, answer.headers["cache-control"]) == (201, "no-store")
    invited = answer.json()
    [letter] = letters_to(live, invited["email"])
    assert invited["invitation_link"] in letter
    assert "Acme" in letter
    shown = owner.call("GET", answer.headers["location"]).json()
    assert shown == {name: value for name, value in invited.items() if name != "invitation_link"}
    with Browser(live) as browser:
        page = open_link(browser, invited["invitation_link"].partition("#")[2])
        assert browser.submit(page, name="Guest", password="correct horse battery").status_code == 303
    [joined] = [
        one
        for one in owner.call("GET", f"{MEMBERS}?limit=1000").json()["items"]
        if one["email"] == invited["email"]
    ]
    assert (joined["role"], joined["places"]["spaces"]) == ("engineer", [space])
    assert owner.call("GET", answer.headers["location"]).status_code == 404
    again = owner.call("POST", INVITATIONS, {"email": invited["email"], "role": "viewer"})
    assert again.status_code == 409, "who is a member is changed, not invited"


@pytest.mark.parametrize(
    ("has", "offered", "becomes"),
    [
        (("engineer", None), ("engineer", "room"), ("engineer", None)),
        (("viewer", "room"), ("viewer", None), ("viewer", None)),
        (("engineer", "room"), ("viewer", None), ("engineer", "room")),
        (("viewer", "room"), ("admin", None), ("admin", None)),
    ],
)
def test_who_joined_meanwhile_loses_nothing(
    live: Live, owner: Office, space: int, has: Any, offered: Any, becomes: Any
):
    places = {"room": {"spaces": [space]}, None: None}
    account = member(live, has[0], "throttled@example.com")
    with live.deployment.databases.core() as core:
        core.execute(text("DELETE FROM memberships WHERE account_id = :id"), {"id": account})
    invited = owner.call(
        "POST",
        INVITATIONS,
        {"email": "throttled@example.com", "role": offered[0], "places": places[offered[1]]},
    ).json()
    member(live, has[0], "throttled@example.com")
    assert owner.call("PATCH", f"{MEMBERS}/{account}", {"places": places[has[1]]}).is_success
    with Browser(live) as browser:
        browser.sign_in(browser.open("/signin"), "throttled@example.com")
        page = open_link(browser, invited["invitation_link"].partition("#")[2])
        assert browser.submit(page).status_code == 303
    now = owner.call("GET", f"{MEMBERS}/{account}").json()
    where = "room" if now["places"] else None
    assert (now["role"], where) == becomes


def test_an_invitation_is_sent_again_with_another_link_and_withdrawn(live: Live, owner: Office):
    invited = owner.invite().json()
    url = f"{INVITATIONS}/{invited['id']}"
    again = owner.call("POST", f"{url}/resend").json()
    assert again["invitation_link"] != invited["invitation_link"]
    assert len(letters_to(live, invited["email"])) == 2
    with Browser(live) as browser:
        assert open_link(browser, invited["invitation_link"].partition("#")[2]).status_code == 404
        assert open_link(browser, again["invitation_link"].partition("#")[2]).status_code == 200
        assert owner.call("DELETE", url).status_code == 204
        assert open_link(browser, again["invitation_link"].partition("#")[2]).status_code == 404
    assert owner.call("POST", f"{url}/resend").status_code == 404
    assert role_of(live, invited["email"]) is None


def test_an_admin_cannot_touch_the_invitation_of_an_owner(live: Live, owner: Office, admin: Office):
    invited = owner.invite("owner").json()
    url = f"{INVITATIONS}/{invited['id']}"
    assert admin.call("DELETE", url).status_code == 403
    assert admin.call("POST", f"{url}/resend").status_code == 403
    replaced = admin.call("POST", INVITATIONS, {"email": invited["email"], "role": "viewer"})
    assert replaced.status_code == 403
    assert owner.call("GET", url).json()["role"] == "owner"


def test_a_repeated_invitation_writes_one_letter(live: Live, owner: Office):
    body = {"email": f"{unique('guest')}@example.com", "role": "viewer"}
    answers = [owner.call("POST", INVITATIONS, body, **{"Idempotency-Key": "one"}) for _ in range(2)]
    assert [answer.status_code for answer in answers] == [201, 200]
    assert answers[0].json()["id"] == answers[1].json()["id"]
    assert answers[1].json()["invitation_link"] is None
    assert len(letters_to(live, body["email"])) == 1


def test_what_cannot_be_invited_is_named(live: Live, owner: Office, space: int):
    for body, field in (
        ({"email": "nobody"}, "email"),
        ({"role": "admin", "places": {"spaces": [space]}}, "places"),
        ({"role": "janitor"}, "body.role"),
    ):
        refused = owner.invite(**({"role": "viewer"} | body))
        assert (refused.status_code, refused.json()["errors"][0]["field"]) == (422, field)


def test_engineers_and_viewers_have_no_say(live: Live):
    token = live.tokens_of("victor@example.com", scope=SCOPES)["access_token"]
    office = Office(live, token)
    assert office.call("GET", MEMBERS).status_code == 403
    assert office.invite().status_code == 403
