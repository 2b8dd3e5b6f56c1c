"""Single sign-on at providers that are not ours, and at a second platform of ours."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlencode

import pytest
from sqlalchemy import text

from insula_platform.people import add_member, create_account
from tests.conftest import deploy
from tests.platform.conftest import PASSWORD, Authorization, Live, returned, running
from tests.platform.federation.conftest import DOMAIN, SECRET, Admin, Wanderer, role_of
from tests.servers.oidc_provider import ForeignProvider
from tests.servers.postgres import PostgresServer
from tests.servers.programs import chromium


@pytest.fixture(scope="module")
def foreign(live: Live) -> Iterator[ForeignProvider]:
    """oidc-provider, which knows us twice: by RS256 and a header, by ES256 and a form."""
    callback = f"{live.url}/signin/sso/acme/callback"
    common = {"client_secret": SECRET, "redirect_uris": [callback], "grant_types": ["authorization_code"]}
    provider = ForeignProvider(
        [
            common | {"client_id": "insula", "scope": "openid profile email groups"},
            common
            | {
                "client_id": "insula es:256%",
                "scope": "openid profile email groups",
                "id_token_signed_response_alg": "ES256",
            },
        ]
    )
    yield provider
    provider.stop()


@pytest.mark.parametrize("client_id", ["insula", "insula es:256%"])
def test_a_person_of_a_foreign_provider_comes_in_with_the_role_of_their_group(
    live: Live, admin: Admin, foreign: ForeignProvider, client_id: str
):
    admin.set_up(
        foreign.issuer,
        client_id=client_id,
        scope="openid profile email groups",
        role_claim="groups",
        roles={"crew": "engineer"},
    )
    test = admin.call("POST", "/sso/test").json()
    assert test["ok"], test
    email = f"fay-{len(client_id)}@{DOMAIN}"
    claims = {"email": email, "email_verified": True, "name": "Fay", "groups": ["crew"]}
    asked = Authorization(live)
    with Wanderer(live, foreign.issuer) as browser:
        page = browser.visit("/signin/sso", return_to=f"/oauth/authorize?{_query(asked)}")
        page = browser.submit(page, email=email)
        assert f'value="{email}"' in page.text, "the provider is told who wants to sign in"
        back = browser.submit(page, sub=email, claims=json.dumps(claims))
        assert "code" in returned(back)
    assert role_of(live, email) == "engineer"


def test_in_chromium_the_way_leads_there_and_back(live: Live, admin: Admin, foreign: ForeignProvider):
    """Chromium holds the page's policy against every step; httpx knows none."""
    admin.set_up(foreign.issuer)
    email = f"chris@{DOMAIN}"
    with chromium() as browser:
        page = browser.new_page()
        page.goto(f"{live.url}/oauth/authorize?{_query(Authorization(live))}")
        page.get_by_role("link", name="Use single sign-on").click()
        page.get_by_label("E-mail address").fill(email)
        page.get_by_role("button", name="Go on").click()
        page.get_by_text("The other provider").wait_for()
        page.get_by_label("Claims").fill(json.dumps({"email": email, "email_verified": True}))
        page.get_by_role("button", name="Sign in").click()
        page.get_by_text("The UI").wait_for()
        assert page.url.startswith(f"{live.settings.ui_redirect_uri}?code=")


@pytest.mark.parametrize(
    ("changes", "check", "words"),
    [
        ({"client_secret": "wrong"}, "client", "does not take the client id"),
        ({"client_id": "unknown"}, "client", "does not take the client id"),
        ({"issuer": "{issuer}/"}, "discovery", "calls itself"),
        ({"issuer": "{issuer}/nowhere"}, "discovery", "answered 404"),
    ],
)
def test_trying_it_out_says_what_is_wrong(
    live: Live, admin: Admin, foreign: ForeignProvider, changes: dict[str, str], check: str, words: str
):
    issuer = changes.get("issuer", "{issuer}").replace("{issuer}", foreign.issuer)
    admin.set_up(**{"issuer": foreign.issuer} | changes | {"issuer": issuer})
    test = admin.call("POST", "/sso/test").json()
    assert not test["ok"]
    wrong = next(look for look in test["looks"] if not look["ok"])
    assert (wrong["check"], words in wrong["detail"]) == (check, True), wrong


@pytest.fixture(scope="module")
def second(postgres_server: PostgresServer, ui_url: str, live: Live) -> Iterator[Live]:
    """Another platform, with a database of its own, which has the first one as a client."""
    with (
        contextmanager(deploy)(postgres_server) as deployment,
        running(deployment, ui_url, secret_key="another secret key, for the other platform") as other,
    ):
        with deployment.databases.core() as core:
            core.execute(
                text(
                    "UPDATE oauth_clients SET redirect_uris = redirect_uris || :uri"
                    " WHERE client_id = 'insula-ui'"
                ),
                {"uri": [f"{live.url}/signin/sso/acme/callback"]},
            )
            sam = create_account(core, f"sam@{DOMAIN}", "Sam", PASSWORD)
            add_member(core, sam, deployment.acme, "owner")
        yield other


def test_one_platform_signs_in_at_another(live: Live, admin: Admin, second: Live):
    admin.set_up(
        second.url,
        client_id="insula-ui",
        client_secret=second.settings.ui_client_secret.get_secret_value(),
        role_claim="role",
        roles={"owner": "admin"},
    )
    test = admin.call("POST", "/sso/test").json()
    assert test["ok"], test
    with Wanderer(live, second.url) as browser:
        page = browser.visit("/signin/sso/acme")
        refused = browser.sign_in(page, f"sam@{DOMAIN}")
        assert "The claim it is about: email_verified" in refused.text, "nobody has verified it there"
    with second.deployment.databases.core() as core:
        core.execute(text("UPDATE accounts SET email_verified_at = now()"))
    with Wanderer(live, second.url) as browser:
        page = browser.visit("/signin/sso/acme")
        assert page.url.port == int(second.url.rpartition(":")[2])
        answer = browser.sign_in(page, f"sam@{DOMAIN}")
        assert answer.headers["location"] == live.settings.ui_url
        assert "code" in returned(browser.visit("/oauth/authorize", **Authorization(live).parameters))
    assert admin.log("member.joined")[0]["detail"] == {"role": "admin", "by": "sso"}


def _query(asked: Authorization) -> str:
    return urlencode(asked.parameters)
