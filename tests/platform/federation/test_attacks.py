"""Answers of a provider that must sign nobody in."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest
from joserfc.jwk import OctKey

from tests.platform.conftest import Live
from tests.platform.federation.conftest import Admin, Wanderer, begin, come_back, person
from tests.platform.federation.rogue import RogueProvider

PAST = int(time.time()) - 3600


def unsigned(_rogue: RogueProvider, _text: bytes) -> bytes:
    return b""


def by_stranger(_rogue: RogueProvider, text: bytes) -> bytes:
    class Stranger:
        key = RogueProvider.new_key()

    return RogueProvider.by_key(Stranger, text)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("claims", "header", "sign", "reason"),
    [
        ({"nonce": "another"}, {}, None, "id-token-claims"),
        ({"nonce": None}, {}, None, "id-token-claims"),
        ({"iss": "https://evil.example"}, {}, None, "id-token-claims"),
        ({"iss": None}, {}, None, "id-token-claims"),
        ({"aud": "another-client"}, {}, None, "id-token-claims"),
        ({"aud": ["insula", "another-client"]}, {}, None, "id-token-claims"),
        ({"aud": ["insula", "other"], "azp": "other"}, {}, None, "id-token-claims"),
        ({"azp": "other"}, {}, None, "id-token-claims"),
        ({"exp": PAST}, {}, None, "id-token-claims"),
        ({"exp": None}, {}, None, "id-token-claims"),
        ({"iat": int(time.time()) + 7200}, {}, None, "id-token-claims"),
        ({"sub": None}, {}, None, "id-token-claims"),
        ({"sub": 7}, {}, None, "id-token-claims"),
        ({"at_hash": "AAAA"}, {}, None, "id-token-claims"),
        ({}, {"alg": "none"}, unsigned, "id-token-algorithm"),
        ({}, {"alg": "nOnE"}, unsigned, "id-token-algorithm"),
        ({}, {"alg": "HS256"}, RogueProvider.by_public_key, "id-token-algorithm"),
        ({}, {"alg": "RS256"}, unsigned, "id-token-signature"),
        ({}, {"alg": "RS256"}, by_stranger, "id-token-signature"),
        ({}, {"kid": "unknown"}, None, "id-token-signature"),
        ({}, {"kid": "unknown", "jku": "https://evil.example/jwks"}, by_stranger, "id-token-signature"),
        ({}, {"crit": ["b64"], "b64": False}, None, "id-token-signature"),
    ],
)
def test_an_id_token_that_is_not_for_this_sign_in_is_refused(
    live: Live,
    admin: Admin,
    rogue: RogueProvider,
    claims: dict[str, Any],
    header: dict[str, Any],
    sign: Callable[[RogueProvider, bytes], bytes] | None,
    reason: str,
):
    with Wanderer(live) as browser:
        rogue.lies.claims = person("eve")
        asked = begin(browser, rogue)
        rogue.lies.claims |= claims
        rogue.lies.header, rogue.lies.sign = header, sign
        page = come_back(browser, rogue, asked)
        assert page.status_code == 403
        assert "insula_session" not in browser.http.cookies
        assert admin.log("sso.refused")[0]["detail"]["reason"] == reason
        rogue.lies.header, rogue.lies.sign, rogue.lies.claims = {}, None, person("eve")
        assert come_back(browser, rogue, begin(browser, rogue)).is_redirect, "the truth does it"


@pytest.mark.parametrize(
    "changes",
    [{"state": "guessed"}, {"state": ""}, {"iss": "https://evil.example"}, {"iss": ""}, {"code": ""}],
)
def test_an_answer_that_is_not_to_this_question_is_refused(
    live: Live, rogue: RogueProvider, changes: dict[str, str]
):
    rogue.lies.claims = person("eve")
    with Wanderer(live) as browser:
        asked = begin(browser, rogue)
        redeemed = len(rogue.forms)
        assert come_back(browser, rogue, asked, **changes).status_code == 403
        assert len(rogue.forms) == redeemed, "no code is sent to anybody"
        assert "insula_session" not in browser.http.cookies


def test_mix_up_an_answer_at_another_tenants_address_or_of_its_provider_is_refused(
    live: Live, admin: Admin, rogue: RogueProvider
):
    other = RogueProvider()
    try:
        rogue.lies.claims = person("eve")
        with Wanderer(live) as browser:
            asked = begin(browser, rogue)
            elsewhere = asked | {"redirect_uri": asked["redirect_uri"].replace("acme", "globex")}
            assert come_back(browser, rogue, elsewhere).status_code == 403
            assert come_back(browser, rogue, begin(browser, rogue), iss=other.issuer).status_code == 403
            asked = begin(browser, rogue)
            admin.set_up(other.issuer)  # the tenant's provider is another now
            assert come_back(browser, rogue, asked).status_code == 403
            assert other.forms == [], "the code of one never goes to the other"
    finally:
        other.stop()


def test_an_answer_serves_once(live: Live, admin: Admin, rogue: RogueProvider):
    rogue.lies.claims = person("rita")
    with Wanderer(live) as browser:
        asked = begin(browser, rogue)
        kept = dict(browser.http.cookies)
        assert come_back(browser, rogue, asked).is_redirect
        assert come_back(browser, rogue, asked).status_code == 403
        # Not even with the cookie, and at a provider that takes a code twice.
        browser.http.cookies.clear()
        for name, value in kept.items():
            browser.http.cookies.set(name, value, domain="127.0.0.1", path="/")
        assert come_back(browser, rogue, asked).status_code == 403
    assert admin.log("sso.refused")[0]["detail"]["reason"] == "replayed"


def test_another_browsers_answer_signs_nobody_in(live: Live, rogue: RogueProvider):
    """Login CSRF: the attacker's answer, opened by the victim."""
    rogue.lies.claims = person("eve")
    with Wanderer(live) as attacker, Wanderer(live) as victim:
        asked = begin(attacker, rogue)
        begin(victim, rogue)
        assert come_back(victim, rogue, asked).status_code == 403
        assert "insula_session" not in victim.http.cookies


def test_a_session_is_a_new_one_after_single_sign_on(live: Live, rogue: RogueProvider):
    """Session fixation."""
    rogue.lies.claims = person("finn")
    with Wanderer(live) as browser:
        browser.http.cookies.set("insula_session", "planted", domain="127.0.0.1", path="/")
        assert come_back(browser, rogue, begin(browser, rogue)).is_redirect
        values = [c.value for c in browser.http.cookies.jar if c.name == "insula_session"]
        assert values
        assert "planted" not in values


def test_one_returns_to_the_authorization_endpoint_alone(live: Live, rogue: RogueProvider):
    rogue.lies.claims = person("oona")
    with Wanderer(live) as browser:
        asked = begin(browser, rogue, return_to="https://evil.example/oauth/authorize")
        assert come_back(browser, rogue, asked).headers["location"] == live.settings.ui_url


def test_the_providers_error_is_told_and_kept(live: Live, admin: Admin, rogue: RogueProvider):
    with Wanderer(live) as browser:
        page = come_back(browser, rogue, begin(browser, rogue), code="", error="access_denied")
        assert (page.status_code, "access_denied" in page.text) == (403, True)
        page = come_back(browser, rogue, begin(browser, rogue), code="", error="<script>")
        assert "<script>" not in page.text
    assert admin.log("sso.refused")[0]["detail"]["reason"] == "provider-refused"


def test_a_new_key_is_looked_for_but_not_for_every_forgery(
    live: Live, rogue: RogueProvider, monkeypatch: pytest.MonkeyPatch
):
    rogue.lies.claims = person("kate")
    with Wanderer(live) as browser:
        assert come_back(browser, rogue, begin(browser, rogue)).is_redirect
        asked_for_keys = rogue.asked.count("/jwks")
        rogue.lies.header = {"kid": "forged"}
        for _ in range(3):
            assert come_back(browser, rogue, begin(browser, rogue)).status_code == 403
        assert rogue.asked.count("/jwks") == asked_for_keys
        rogue.lies.header, rogue.key = {}, RogueProvider.new_key()
        monkeypatch.setattr("insula_platform.federation.provider._KEYS_AT_MOST_EVERY", 0)
        assert come_back(browser, rogue, begin(browser, rogue)).is_redirect
        assert rogue.asked.count("/jwks") == asked_for_keys + 1


def test_a_shared_secret_among_the_keys_verifies_nothing(live: Live, rogue: RogueProvider):
    secret = OctKey.generate_key(256, {"kid": "shared"})
    with Wanderer(live) as browser:
        rogue.lies.claims, rogue.lies.header = person("eve"), {"alg": "HS256", "kid": "shared"}
        rogue.lies.sign = RogueProvider.by_public_key

        def keys(handler: Any) -> bool:
            if handler.path != "/jwks":
                return False
            handler.answer(200, {"keys": [secret.as_dict(private=True), rogue.key.as_dict(private=False)]})
            return True

        rogue.lies.before = keys
        assert come_back(browser, rogue, begin(browser, rogue)).status_code == 403
