"""Signing keys: one follows another, and nobody who verifies tokens notices."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from joserfc import jws
from joserfc.jwk import KeySet
from pydantic import SecretStr
from sqlalchemy import text
from typer.testing import CliRunner

from insula_platform.cli import app
from insula_platform.oauth.keys import SigningKeys
from insula_platform.oauth.rotation import KeyState, list_keys, retire, retire_superseded, rotate
from insula_tenants.audit import Actor, list_entries
from insula_tenants.errors import ConfigurationError, Conflict, NotFound
from tests.conftest import Deployment
from tests.platform.conftest import Live

SOMEONE = Actor("operator", "tests")
HOUR = timedelta(hours=1)
DAY = timedelta(days=1)
PROBE = "/api/v1/tenants/acme/probe"


@pytest.fixture(autouse=True)
def no_cache(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each use of the keys is that of a process which has just read them."""
    monkeypatch.setattr("insula_platform.oauth.keys._RELOAD_AFTER", 0.0)
    monkeypatch.setattr("insula_platform.oauth.keys._RELOAD_AT_MOST_EVERY", 0.0)


def service_token(live: Live) -> str:
    return live.token_request(live.service, grant_type="client_credentials").json()["access_token"]


def kid_of(token: str) -> str:
    return jws.extract_compact(token.encode()).headers()["kid"]


def published(live: Live) -> list[str]:
    return [key["kid"] for key in live.get("/oauth/jwks.json").json()["keys"]]


def elapse(live: Live, time: timedelta) -> None:
    """Let all keys be older by this much."""
    with live.deployment.databases.core() as core:
        core.execute(text("UPDATE signing_keys SET signs_from = signs_from - :time"), {"time": time})


def test_a_new_key_is_published_before_it_signs_and_the_old_one_stays_until_its_tokens_are_gone(live: Live):
    """RFC 7517, OpenID Connect Core 10.1.1: rotation without a token that cannot be verified."""
    before = service_token(live)
    with live.deployment.databases.core() as core:
        new = rotate(core, live.settings.secret_key, HOUR, actor=SOMEONE)
    old = kid_of(before)
    assert published(live) == [new, old]
    assert {kid_of(service_token(live)) for _ in range(8)} == {old}, "a set of keys signs with any of them"

    elapse(live, HOUR)
    after = service_token(live)
    assert kid_of(after) == new
    assert published(live) == [new, old]
    with live.deployment.databases.core() as core:
        assert [view.state for view in list_keys(core, DAY)] == [KeyState.SIGNS, KeyState.BELIEVED]
        assert retire_superseded(core, DAY) == []
    for token in (before, after):
        assert live.get(PROBE, token).status_code == 200

    elapse(live, DAY)
    with live.deployment.databases.core() as core:
        assert retire_superseded(core, DAY) == [old]
        assert list_entries(core)[0].action == "signing_key.retired"
    assert published(live) == [new]
    assert live.get(PROBE, before).status_code == 401
    assert live.get(PROBE, after).status_code == 200
    retired = KeySet.import_key_set(live.get("/oauth/retired-keys.json").json())
    assert jws.deserialize_compact(before, retired, algorithms=["RS256"]).payload
    assert "d" not in retired.keys[0].as_dict()


def test_of_four_who_rotate_at_once_one_makes_a_key(live: Live):
    def attempt(_: int) -> str | None:
        try:
            with live.deployment.databases.core() as core:
                return rotate(core, live.settings.secret_key, HOUR, actor=SOMEONE)
        except Conflict:
            return None

    earlier = published(live)
    with ThreadPoolExecutor(4) as pool:
        made = [kid for kid in pool.map(attempt, range(4)) if kid]
    assert len(made) == 1
    assert published(live) == [*made, *earlier]
    with live.deployment.databases.core() as core:
        assert rotate(core, live.settings.secret_key, timedelta(0), actor=SOMEONE) == made[0]
    assert kid_of(service_token(live)) == made[0], "without lead time the waiting key is brought forward"


def test_a_leaked_key_is_replaced_at_once_and_what_it_signed_is_believed_no_more(live: Live):
    stolen = service_token(live)
    leaked = kid_of(stolen)
    with live.deployment.databases.core() as core:
        with pytest.raises(Conflict, match="let another one sign first"):
            retire(core, leaked, DAY, actor=SOMEONE)
        with pytest.raises(NotFound):
            retire(core, "unknown", DAY, actor=SOMEONE)
        rotate(core, live.settings.secret_key, timedelta(0), actor=SOMEONE)
    assert live.get(PROBE, stolen).status_code == 200
    with live.deployment.databases.core() as core:
        retire(core, leaked, DAY, actor=SOMEONE)
    assert live.get(PROBE, service_token(live)).status_code == 200, "the process has read the keys anew"
    assert live.get(PROBE, stolen).status_code == 401
    assert leaked not in published(live)
    assert leaked not in live.get("/oauth/retired-keys.json").text, "it vouches for nothing"


def test_the_operator_rotates_at_a_terminal(live: Live):
    settings = {
        "INSULA_DATABASE_URL": live.deployment.service_url,
        "INSULA_SECRET_KEY": live.settings.secret_key.get_secret_value(),
        "COLUMNS": "200",
    }

    def insula(*words: str) -> str:
        done = CliRunner().invoke(app, ["keys", *words], env=settings)
        assert done.exit_code == 0, done.output
        return done.output

    signing = kid_of(service_token(live))
    new = json.loads(insula("rotate", "--json"))["kid"]
    views = {view["kid"]: view for view in json.loads(insula("list", "--json"))}
    assert views[new]["state"] == "published"
    assert views[signing]["state"] == "signs"
    assert views[signing]["signs_until"] == views[new]["signs_from"]
    assert new in insula("list")
    assert "is gone" in insula("retire", new)
    assert published(live)[0] == signing
    with live.deployment.databases.core() as core:
        entry = list_entries(core)[0]
        assert (entry.action, entry.target, entry.actor_kind) == ("signing_key.retired", new, "operator")


def test_the_first_signing_key_is_made_once_by_many_processes(fresh_deployment: Deployment):
    secret = SecretStr("a secret key that is long enough for tests")
    processes = [SigningKeys(fresh_deployment.databases, secret) for _ in range(4)]
    with ThreadPoolExecutor(4) as pool:
        kids = {key.kid for key in pool.map(SigningKeys.signing_key, processes)}
    assert len(kids) == 1


def test_keys_sealed_under_another_secret_are_named_as_the_cause(live: Live):
    live.platform.signing_keys.signing_key()
    other = SigningKeys(live.deployment.databases, SecretStr("another secret key of enough characters"))
    with pytest.raises(ConfigurationError, match="INSULA_SECRET_KEY"):
        other.signing_key()
