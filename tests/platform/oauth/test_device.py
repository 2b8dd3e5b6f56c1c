"""The device authorization grant: RFC 8628, clause by clause."""

from __future__ import annotations

import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
from sqlalchemy import text

from insula_platform.oauth.clients import CLI_CLIENT_ID
from insula_platform.oauth.device import DEVICE_GRANT, shown
from insula_platform.signin.attempts import DEVICE_CODES, PER_PLACE, may_have_device_code
from insula_tenants.audit import list_entries
from tests.platform.conftest import Browser, Live

PROBE = "/api/v1/tenants/acme/probe"


def begin(live: Live, **form: str) -> httpx.Response:
    with live.client() as http:
        return http.post("/oauth/device_authorization", data={"client_id": CLI_CLIENT_ID} | form)


def poll(live: Live, codes: dict[str, Any], **changes: str) -> httpx.Response:
    form = {"grant_type": DEVICE_GRANT, "client_id": CLI_CLIENT_ID, "device_code": codes["device_code"]}
    with live.client() as http:
        return http.post("/oauth/token", data=form | changes)


def waited(live: Live) -> None:
    """As if all devices had waited as long as they were told to."""
    with live.deployment.databases.core() as core:
        core.execute(text("UPDATE oauth_device_codes SET polled_at = NULL"))


@pytest.fixture
def ada(live: Live) -> Iterator[Browser]:
    with Browser(live) as browser:
        browser.sign_in(browser.open("/signin"), "ada@example.com")
        yield browser


def decide(browser: Browser, codes: dict[str, Any], decision: str = "allow") -> httpx.Response:
    """Follow the device's link, and decide."""
    page = browser.submit(browser.open("/device"), user_code=codes["user_code"])
    return browser.submit(page, decision=decision)


def test_section_3_2_the_answer_has_both_codes_and_where_to_go(live: Live):
    answer = begin(live, scope="openid readings:read")
    assert answer.status_code == 200, answer.text
    assert answer.headers["cache-control"] == "no-store"
    codes = answer.json()
    assert codes["verification_uri"] == f"{live.url}/device"
    assert codes["verification_uri_complete"] == f"{live.url}/device?user_code={codes['user_code']}"
    assert (codes["expires_in"], codes["interval"]) == (600, 5)
    assert re.fullmatch("[BCDFGHJKLMNPQRSTVWXZ]{4}-[BCDFGHJKLMNPQRSTVWXZ]{4}", codes["user_code"])
    assert len(codes["device_code"]) >= 43


def test_section_3_1_the_client_must_be_allowed_to_and_prove_itself_if_it_can(live: Live):
    assert begin(live, client_id="unknown").json()["error"] == "invalid_client"
    assert begin(live, client_id="insula-ui").json()["error"] == "invalid_client", "it has a secret to show"
    with live.client() as http:
        service = http.post("/oauth/device_authorization", auth=live.service, data={"scope": "readings:read"})
    assert service.json()["error"] == "unauthorized_client"
    assert begin(live, scope="everything").json()["error"] == "invalid_scope"
    assert begin(live, scope="tenants:read").json()["error"] == "invalid_scope"


def test_sections_3_3_to_3_5_the_person_allows_it_and_the_device_gets_tokens(live: Live, ada: Browser):
    codes = begin(live, scope="openid profile readings:read").json()
    pending = poll(live, codes)
    assert (pending.status_code, pending.json()["error"]) == (400, "authorization_pending")
    page = ada.open(urlsplit(codes["verification_uri_complete"]).path, user_code=codes["user_code"])
    assert f'value="{codes["user_code"]}"' in page.text, "the person compares it with what the device shows"
    asked = ada.submit(page, user_code=codes["user_code"])
    for told in (codes["user_code"], "Insula command line", "Acme, as owner", "127.0.0.1", "Read measured"):
        assert told in asked.text
    assert "is connected" in ada.submit(asked, decision="allow").text
    tokens = poll(live, codes).json()
    assert tokens["scope"] == "openid profile readings:read"
    assert tokens["id_token"]
    assert live.get(PROBE, tokens["access_token"]).json()["client"] == CLI_CLIENT_ID
    with live.client() as http:
        form = {"grant_type": "refresh_token", "client_id": CLI_CLIENT_ID}
        again = http.post("/oauth/token", data=form | {"refresh_token": tokens["refresh_token"]})
    assert again.json()["access_token"]
    with live.deployment.databases.core() as core:
        entry = list_entries(core)[0]
        assert (entry.action, entry.target) == ("device_login.allowed", CLI_CLIENT_ID)


def test_what_a_terminal_was_let_do_is_seen_and_ended_without_the_terminal(live: Live, ada: Browser):
    codes = begin(live, scope="readings:read").json()
    decide(ada, codes)
    tokens = poll(live, codes).json()
    assert live.get(PROBE, tokens["access_token"]).status_code == 200
    programs = ada.open("/account/consents")
    assert "Insula command line" in programs.text
    ada.submit(programs, client_id=CLI_CLIENT_ID, tenant_id=str(live.deployment.acme.id))
    assert live.get(PROBE, tokens["access_token"]).status_code == 401
    assert "Insula command line" not in ada.open("/account/consents").text


def test_section_3_5_denied(live: Live, ada: Browser):
    codes = begin(live).json()
    assert "is not connected" in decide(ada, codes, "deny").text
    refused = poll(live, codes)
    assert (refused.status_code, refused.json()["error"]) == (400, "access_denied")
    page = ada.submit(ada.open("/device"), user_code=codes["user_code"])
    assert page.status_code == 404, "it is decided once"


def test_section_3_5_expired(live: Live, ada: Browser):
    codes = begin(live).json()
    with live.deployment.databases.core() as core:
        core.execute(text("UPDATE oauth_device_codes SET expires_at = now() WHERE grant_id IS NULL"))
    refused = poll(live, codes)
    assert (refused.status_code, refused.json()["error"]) == (400, "expired_token")
    assert ada.submit(ada.open("/device"), user_code=codes["user_code"]).status_code == 404


def test_section_3_5_who_asks_too_often_is_slowed_down_by_five_seconds_each_time(live: Live):
    codes = begin(live).json()
    answers = [poll(live, codes).json()["error"] for _ in range(3)]
    assert answers == ["authorization_pending", "slow_down", "slow_down"]
    with live.deployment.databases.core() as core:
        query = text("SELECT max(poll_interval) FROM oauth_device_codes")
        assert core.scalar(query) == 15
    waited(live)
    assert poll(live, codes).json()["error"] == "authorization_pending"


def test_section_3_4_a_device_code_serves_one_client_once_and_its_replay_ends_what_came_of_it(
    live: Live, ada: Browser
):
    codes = begin(live, scope="readings:read").json()
    assert poll(live, codes, device_code="guessed").json()["error"] == "invalid_grant"
    decide(ada, codes)
    with live.client() as http:
        form = {"grant_type": DEVICE_GRANT, "device_code": codes["device_code"]}
        other = http.post("/oauth/token", data=form, auth=live.service)
    assert other.json()["error"] == "unauthorized_client"
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: poll(live, codes), range(8)))
    assert sorted(answer.status_code for answer in answers) == [200] + [400] * 7
    assert {a.json()["error"] for a in answers if a.status_code == 400} == {"invalid_grant"}
    (tokens,) = [answer.json() for answer in answers if answer.status_code == 200]
    with live.client() as http:
        form = {"grant_type": "refresh_token", "client_id": CLI_CLIENT_ID}
        heir = http.post("/oauth/token", data=form | {"refresh_token": tokens["refresh_token"]})
    assert heir.json()["error"] == "invalid_grant"


def test_section_5_1_guesses_are_braked_for_the_account_and_only_who_is_signed_in_may_try(live: Live):
    codes = begin(live).json()
    with Browser(live) as browser:
        page = browser.open("/device", user_code=codes["user_code"])
        assert "<h1>Sign in</h1>" in page.text
        page = browser.sign_in(page, "throttled@example.com")
        assert codes["user_code"] in page.text, "the way back leads to the same page"
        for number in range(PER_PLACE.most):
            if number == 5:
                own = begin(live).json()["user_code"]
                # It is right, though this person belongs to no tenant; and it forgives nothing.
                assert browser.submit(page, user_code=own).status_code == 403
            page = browser.submit(page, user_code="BCDF-GHJK")
            assert page.status_code == 404
        braked = browser.submit(page, user_code=codes["user_code"])
        assert braked.status_code == 429
        assert int(braked.headers["retry-after"]) > 0
    with Browser(live) as browser:
        browser.sign_in(browser.open("/signin"), "ada@example.com")
        assert browser.submit(browser.open("/device"), user_code=codes["user_code"]).status_code == 200


def test_section_5_4_the_page_warns_of_codes_that_somebody_sent(live: Live, ada: Browser):
    codes = begin(live).json()
    page = ada.submit(ada.open("/device"), user_code=codes["user_code"])
    assert "If somebody sent you this code" in page.text


def test_section_6_1_case_and_punctuation_of_the_code_do_not_matter(live: Live, ada: Browser):
    code = begin(live).json()["user_code"]
    for typed in (code.lower(), code.replace("-", ""), code.replace("-", " "), f" {code} "):
        assert ada.submit(ada.open("/device"), user_code=typed).status_code == 200
    assert shown("bcdf ghjk") == "BCDF-GHJK"


def test_one_with_several_tenants_chooses_and_the_scopes_are_those_of_the_role_there(live: Live):
    codes = begin(live, scope="readings:read readings:write members:read").json()
    with Browser(live) as browser:
        browser.sign_in(browser.open("/signin"), "erin@example.com")
        choice = browser.submit(browser.open("/device"), user_code=codes["user_code"])
        assert "<h1>Choose a tenant</h1>" in choice.text
        asked = browser.submit(choice, tenant="globex")
        assert "Read measured values" in asked.text
        assert "Write measured values" not in asked.text, "a viewer's role has it not"
        browser.submit(asked, decision="allow")
    tokens = poll(live, codes).json()
    assert tokens["scope"] == "readings:read"
    assert live.get("/api/v1/tenants/globex/probe", tokens["access_token"]).status_code == 200
    assert live.get(PROBE, tokens["access_token"]).status_code == 404


def test_the_device_may_name_the_tenant_and_gets_none_of_others(live: Live, ada: Browser):
    for tenant, heading in (("globex", "Globex, as viewer"), ("nowhere", "<h1>Choose a tenant</h1>")):
        codes = begin(live, tenant=tenant).json()
        with Browser(live) as browser:
            browser.sign_in(browser.open("/signin"), "erin@example.com")
            assert heading in browser.submit(browser.open("/device"), user_code=codes["user_code"]).text
    codes = begin(live, scope="readings:read").json()
    page = ada.submit(ada.open("/device"), user_code=codes["user_code"])
    forged = ada.submit(page, tenant="globex", decision="allow")
    assert "<h1>Choose a tenant</h1>" in forged.text
    assert poll(live, codes).json()["error"] == "authorization_pending"


def test_one_who_belongs_nowhere_connects_nothing(live: Live):
    codes = begin(live).json()
    with Browser(live) as browser:
        browser.sign_in(browser.open("/signin"), "noah@example.com")
        assert browser.submit(browser.open("/device"), user_code=codes["user_code"]).status_code == 403


@pytest.mark.parametrize("path", ["/device", "/device/decision"])
@pytest.mark.parametrize("form_token", ["", "0" * 64])
def test_rfc_6819_4_4_1_8_a_form_that_is_not_ours_decides_nothing(
    live: Live, ada: Browser, path: str, form_token: str
):
    codes = begin(live, scope="readings:read").json()
    form = {"user_code": codes["user_code"], "tenant": "acme", "decision": "allow", "form_token": form_token}
    answer = ada.http.post(path, data=form)
    assert (answer.status_code, "had expired" in answer.text) == (403, True)
    assert poll(live, codes).json()["error"] == "authorization_pending"


def test_the_page_has_the_policy_of_the_others_and_takes_no_script_from_the_address(live: Live, ada: Browser):
    """RFC 6819, section 4.4.1.9: not framed. RFC 8628, section 3.3.1: the address only saves typing."""
    for page in (
        ada.open("/device", user_code='"><script>alert(1)</script>'),
        decide(ada, begin(live).json()),
    ):
        policy = page.headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "frame-ancestors 'none'" in policy
        assert "script" not in policy
        assert page.headers["x-frame-options"] == "DENY"
        assert page.headers["cache-control"] == "no-store"
        assert "<script" not in page.text


def test_the_way_to_sign_in_carries_nothing_but_a_code(live: Live):
    with live.client() as http:
        answer = http.get("/device", params={"user_code": "//evil.example/?x#BCDF"})
    back = parse_qs(urlsplit(answer.headers["location"]).query)["return_to"][0]
    assert urlsplit(back).path == "/device"
    assert re.fullmatch(r"user_code=[A-Z-]+", urlsplit(back).query)


def test_nothing_that_opens_anything_is_stored_in_the_clear(live: Live):
    codes = begin(live).json()
    with live.deployment.databases.core() as core:
        stored = str(core.execute(text("SELECT d::text FROM oauth_device_codes d")).all())
    assert codes["device_code"] not in stored
    assert codes["user_code"] not in stored
    assert codes["user_code"].replace("-", "") not in stored


def test_an_address_cannot_fill_the_table(live: Live):
    with live.deployment.databases.core() as core:
        may_have_device_code(core, "127.0.0.1")
        core.execute(text("UPDATE signin_attempts SET attempts = :most"), {"most": DEVICE_CODES.most})
    refused = begin(live)
    assert (refused.status_code, refused.json()["error"]) == (429, "temporarily_unavailable")
    with live.deployment.databases.core() as core:
        core.execute(text("DELETE FROM signin_attempts"))
    assert begin(live, tenant="x" * 60_000).status_code == 200
    with live.deployment.databases.core() as core:
        assert core.scalar(text("SELECT max(length(tenant)) FROM oauth_device_codes")) <= 63


def test_the_addresses_of_one_ipv6_subscriber_are_one(live: Live):
    with live.deployment.databases.core() as core:
        for number in range(DEVICE_CODES.most):
            assert may_have_device_code(core, f"2001:db8:1:2::{number:x}")
        assert not may_have_device_code(core, "2001:db8:1:2:ffff::1")
        assert may_have_device_code(core, "2001:db8:1:3::1")
        core.rollback()
