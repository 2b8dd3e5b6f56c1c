"""Single sign-on: who comes in by a tenant's provider, as whom, and what that opens."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import httpx
import pytest

from insula_platform.people import Account, add_member, create_account, memberships_of
from tests.platform.conftest import PASSWORD, Authorization, Live, returned
from tests.platform.federation.conftest import Admin, Wanderer, begin, come_back, person, role_of
from tests.platform.federation.rogue import RogueProvider


def signed_in(browser: Wanderer, rogue: RogueProvider, **claims: Any) -> httpx.Response:
    """Come back from the provider with these claims."""
    rogue.lies.claims = claims
    return come_back(browser, rogue, begin(browser, rogue))


def test_a_newcomer_becomes_a_member_and_goes_on_to_where_they_wanted(
    live: Live, admin: Admin, rogue: RogueProvider
):
    admin.set_up(rogue.issuer, role_claim="groups", roles={"crew": "engineer", "others": "viewer"})
    asked = Authorization(live)
    with Wanderer(live) as browser:
        page = browser.visit("/oauth/authorize", **asked.parameters)
        assert "Use single sign-on" in page.text
        wanted = f"/oauth/authorize?{httpx.QueryParams(asked.parameters)}"
        rogue.lies.claims = person("nora", groups=["others", "crew", "unknown"])
        there = begin(browser, rogue, return_to=wanted)
        assert (there["code_challenge_method"], there["client_id"]) == ("S256", "insula")
        back = returned(browser.follow(come_back(browser, rogue, there)))
        assert "code" in back
        form = rogue.forms[-1]
        assert (form["code"], form["redirect_uri"]) == ("c-1", f"{live.url}/signin/sso/acme/callback")
        tokens = live.token_request(
            grant_type="authorization_code",
            code=back["code"],
            redirect_uri=live.settings.ui_redirect_uri,
            code_verifier=asked.verifier,
        ).json()
    assert "devices:write" in tokens["scope"].split()
    who = live.get("/oauth/userinfo", tokens["access_token"]).json()
    assert (who["email"], who["name"], who["role"]) == ("nora@acme.test", "Nora", "engineer")
    assert admin.log("member.joined")[0]["target"] == "nora@acme.test"
    assert admin.log("sso.signed_in")[0]["target"] == "nora@acme.test"


def test_the_address_leads_to_the_provider_and_tells_nothing_of_accounts(live: Live, rogue: RogueProvider):
    with Wanderer(live) as browser:
        pages = []
        for email in ("nobody@acme.test", "ada@acme.test", "nobody@elsewhere.test", "ada@example.com"):
            page = browser.visit("/signin/sso")
            answer = browser.http.post("/signin/sso", data=_form(page) | {"email": email})
            pages.append((answer.status_code, answer.text.count("login_hint")))
        assert pages == [(200, 2), (200, 2), (404, 0), (404, 0)]
        assert browser.http.post("/signin/sso", data={"email": "nobody@acme.test"}).status_code == 403


def _form(page: httpx.Response) -> dict[str, str]:
    token = page.text.partition('name="form_token" value="')[2].partition('"')[0]
    return {"form_token": token}


def test_tenants_without_single_sign_on_look_like_none(live: Live, rogue: RogueProvider):
    with Wanderer(live) as browser:
        answers = [browser.http.get(f"/signin/sso/{slug}") for slug in ("globex", "nowhere", "a%00b")]
    assert [answer.status_code for answer in answers] == [404] * 3
    assert len({answer.text for answer in answers}) == 1


def test_the_role_follows_the_claims_and_an_owners_does_not(live: Live, admin: Admin, rogue: RogueProvider):
    admin.set_up(rogue.issuer, role_claim="groups", roles={"crew": "engineer"}, default_role=None)
    with Wanderer(live) as browser:
        assert signed_in(browser, rogue, **person("rolf", groups="crew")).is_redirect
        assert role_of(live, "rolf@acme.test") == "engineer"
        refused = signed_in(browser, rogue, **person("rolf", groups=["gone"]))
        assert refused.status_code == 403
        admin.set_up(rogue.issuer, role_claim="groups", roles={"crew": "engineer"}, default_role="viewer")
        assert signed_in(browser, rogue, **person("rolf", groups=["gone"])).is_redirect
        assert role_of(live, "rolf@acme.test") == "viewer"
        with live.deployment.databases.core() as core:
            olga = create_account(core, "olga@acme.test", "Olga", PASSWORD)
            add_member(core, olga, live.deployment.acme, "owner")
        assert signed_in(browser, rogue, **person("olga", groups=["gone"])).is_redirect
        assert role_of(live, "olga@acme.test") == "owner"


def test_without_admits_new_only_members_come_in(live: Live, admin: Admin, rogue: RogueProvider):
    admin.set_up(rogue.issuer, admits_new=False)
    with live.deployment.databases.core() as core:
        mona = create_account(core, "mona@acme.test", "Mona", PASSWORD)
        add_member(core, mona, live.deployment.acme, "engineer")
    with Wanderer(live) as browser:
        assert signed_in(browser, rogue, **person("nils")).status_code == 403
        assert signed_in(browser, rogue, **person("mona")).is_redirect
    assert role_of(live, "nils@acme.test") is None
    assert role_of(live, "mona@acme.test") == "engineer", "without a claim for roles a member keeps theirs"


@pytest.mark.parametrize(
    ("claims", "missing", "reason"),
    [
        ({"email": None}, "email", "no-email"),
        ({"email_verified": None}, "email_verified", "email-not-verified"),
        ({"email_verified": False}, "email_verified", "email-not-verified"),
        ({"email_verified": "yes, surely"}, "email_verified", "email-not-verified"),
        ({"email": "x@globex.test"}, "email", "foreign-domain"),
        ({"email": "x@sub.acme.test"}, "email", "foreign-domain"),
        ({"email": "ada@example.com"}, "email", "foreign-domain"),
        ({"groups": None}, "groups", "no-role"),
        ({"groups": ["secret-group-name"]}, "groups", "no-role"),
    ],
)
def test_a_refusal_names_the_claim_and_what_was_received_but_no_value(
    live: Live, admin: Admin, rogue: RogueProvider, claims: dict[str, Any], missing: str, reason: str
):
    admin.set_up(rogue.issuer, role_claim="groups", roles={"crew": "engineer"}, default_role=None)
    rogue.lies.claims = person("reese", groups=["crew"]) | claims
    with Wanderer(live) as browser:
        page = come_back(browser, rogue, begin(browser, rogue))
        assert page.status_code == 403
        assert "insula_session" not in browser.http.cookies
    assert f"The claim it is about: {missing}" in page.text
    received = page.text.partition("Claims that the provider sent: ")[2].partition("<")[0]
    assert "sub" in received.split(", ")
    assert ("secret-group-name" in page.text, "reese" in page.text) == (False, False)
    entry = admin.log("sso.refused")[0]
    assert (entry["detail"]["reason"], entry["detail"]["claim"]) == (reason, missing)
    assert entry["detail"]["received"] == received.split(", ")
    assert "secret-group-name" not in str(entry)
    assert role_of(live, "reese@acme.test") is None


def test_claims_may_come_from_userinfo_of_the_same_subject(live: Live, admin: Admin, rogue: RogueProvider):
    rogue.lies.userinfo = person("una")
    with Wanderer(live) as browser:
        assert signed_in(browser, rogue, sub="s-una").is_redirect
        rogue.lies.userinfo["sub"] = "s-una"
        assert signed_in(browser, rogue, sub="s-somebody-else").status_code == 403
    assert role_of(live, "una@acme.test") == "viewer"
    assert admin.log("sso.refused")[0]["detail"]["reason"] == "other-subject"


def test_a_subject_is_known_again_whatever_its_address(live: Live, rogue: RogueProvider):
    with Wanderer(live) as browser:
        assert signed_in(browser, rogue, **person("wilma")).is_redirect
        renamed = person("wilma", email="other@elsewhere.test", email_verified=None)
        assert signed_in(browser, rogue, **renamed).is_redirect
    assert role_of(live, "other@elsewhere.test") is None


def test_an_address_that_was_given_to_somebody_new_does_not_open_the_old_account(
    live: Live, admin: Admin, rogue: RogueProvider
):
    with Wanderer(live) as browser:
        assert signed_in(browser, rogue, **person("kim")).is_redirect
        refused = signed_in(browser, rogue, **person("kim", sub="s-another-kim"))
    assert (refused.status_code, "remove that member" in refused.text) == (403, True)
    assert admin.log("sso.refused")[0]["detail"]["claim"] == "sub"


def test_a_provider_opens_its_own_tenant_alone(live: Live, admin: Admin, rogue: RogueProvider):
    """Sven owns globex: what acme's provider says of his address must not lead there."""
    with live.deployment.databases.core() as core:
        sven = create_account(core, "sven@acme.test", "Sven", PASSWORD)
        sven.email_verified_at = datetime.now(UTC)
        add_member(core, sven, live.deployment.globex, "owner")
        sven_id, before = sven.id, sven.password_hash
    with Wanderer(live) as browser:
        assert signed_in(browser, rogue, **person("sven", name="Mallory")).is_redirect
        own = Authorization(live, tenant="acme")
        assert "code" in returned(browser.visit("/oauth/authorize", **own.parameters))
        # Without a tenant in the request there is nothing to choose.
        assert "code" in returned(browser.visit("/oauth/authorize", **Authorization(live).parameters))
        pages = []
        for other in ("globex", "nowhere"):
            page = browser.visit(
                "/oauth/authorize", **Authorization(live, tenant=other, state="s").parameters
            )
            assert "<h1>Sign in</h1>" in page.text
            silent = Authorization(live, tenant=other, prompt="none").parameters
            pages.append(returned(browser.visit("/oauth/authorize", **silent))["error"])
        assert pages == ["login_required"] * 2, "globex, where he is an owner, looks like none"
        for page in ("/account", "/account/password", "/account/factors", "/account/sessions"):
            assert "<h1>Sign in</h1>" in browser.visit(page).text, "nor does it open the account"
        terminal = device_page(browser).text
        assert ("Allow" in terminal, "Globex" in terminal) == (True, False)
    with live.deployment.databases.core() as core:
        account = core.get_one(Account, sven_id)
        assert (account.password_hash, account.name) == (before, "Sven")
        assert {member.tenant.slug for member in memberships_of(core, sven_id)} == {"acme", "globex"}
    with Wanderer(live) as browser:
        page = browser.visit("/oauth/authorize", **Authorization(live, tenant="globex").parameters)
        assert "code" in returned(browser.sign_in(page, "sven@acme.test")), (
            "by his own password he gets there"
        )


def device_page(browser: Wanderer) -> httpx.Response:
    """What somebody sees who wants to let a terminal in."""
    asked = browser.http.post("/oauth/device_authorization", data={"client_id": "insula-cli"}).json()
    return browser.submit(browser.visit("/device"), user_code=asked["user_code"])


def test_when_it_is_enforced_a_password_opens_the_tenant_to_owners_alone(
    live: Live, admin: Admin, rogue: RogueProvider
):
    victor = live.tokens_of("victor@example.com")
    ada = live.tokens_of("ada@example.com")
    admin.set_up(rogue.issuer, enforced=True)
    try:
        assert live.token_request(grant_type="refresh_token", refresh_token=victor["refresh_token"]).is_error
        assert live.token_request(grant_type="refresh_token", refresh_token=ada["refresh_token"]).is_success
        with Wanderer(live) as browser:
            page = browser.visit("/oauth/authorize", **Authorization(live).parameters)
            page = browser.sign_in(page, "victor@example.com")
            assert page.status_code == 403
            assert "Acme wants you to sign in at its own identity provider" in page.text
            silent = Authorization(live, prompt="none").parameters
            assert returned(browser.visit("/oauth/authorize", **silent))["error"] == "login_required"
            leads = page.text.partition('<a href="')[2].partition('"')[0].replace("&amp;", "&")
            assert leads.startswith("/signin/sso/acme?return_to=")
            assert browser.http.get(leads).status_code == 200
            assert "nothing to connect to" in device_page(browser).text
        with Wanderer(live) as browser:
            page = browser.visit("/oauth/authorize", **Authorization(live).parameters)
            assert "code" in returned(browser.sign_in(page, "ada@example.com"))
        assert admin.log("sso.bypassed")[0]["target"] == "ada@example.com"
        with Wanderer(live) as browser:
            assert signed_in(browser, rogue, **person("enzo")).is_redirect
            assert "code" in returned(browser.visit("/oauth/authorize", **Authorization(live).parameters))
            assert "Allow" in device_page(browser).text
        with Wanderer(live) as browser:  # another tenant's people go on as before
            page = browser.visit("/oauth/authorize", **Authorization(live, tenant="globex").parameters)
            assert "code" in returned(browser.sign_in(page, "erin@example.com"))
    finally:
        admin.set_up(rogue.issuer, enforced=False)


def test_without_single_sign_on_its_sessions_end(live: Live, admin: Admin, rogue: RogueProvider):
    with Wanderer(live) as browser:
        assert signed_in(browser, rogue, **person("zoe")).is_redirect
        assert admin.call("DELETE", "/sso").status_code == 204
        page = browser.visit("/oauth/authorize", **Authorization(live).parameters)
        assert "<h1>Sign in</h1>" in page.text
        assert browser.http.get("/signin/sso/acme").status_code == 404
