"""`insula login` and what it opens: a person at a terminal, over HTTP."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text
from typer.testing import CliRunner, Result

from insula_platform.cli import app
from insula_platform.login import session
from insula_platform.login.session import NotSignedIn, PlatformClient, PlatformError, current_login
from insula_platform.login.store import read_login, write_login
from insula_tenants.errors import ConfigurationError, InsulaError
from tests.platform.conftest import Browser, Live

DEVICES = "/api/v1/tenants/{tenant}/devices"


@pytest.fixture(autouse=True)
def file(live: Live, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home of one's own, and the platform's address."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    monkeypatch.setenv("INSULA_PUBLIC_URL", live.url)
    return tmp_path / "insula" / "login.json"


def insula(*words: str) -> Result:
    return CliRunner().invoke(app, words)


def sign_in(
    live: Live, patch: pytest.MonkeyPatch, *words: str, email: str = "ada@example.com", **answers: str
) -> Result:
    """`insula login`, whose person decides while the command waits for the first time."""
    codes: dict[str, Any] = {}
    begin = PlatformClient.begin

    def begun(self: PlatformClient, *wish: str | None) -> Any:
        codes["it"] = begin(self, *wish)
        return codes["it"]

    def decide(_seconds: float) -> None:
        with Browser(live) as browser:
            browser.sign_in(browser.open("/signin"), email)
            page = browser.submit(browser.open("/device"), user_code=codes["it"].user_code)
            if "tenant" in answers:
                page = browser.submit(page, tenant=answers["tenant"])
            done = browser.submit(page, decision=answers.get("decision", "allow"))
        assert "connected" in done.text, "the command would ask for ten minutes"

    with patch.context() as for_now:
        for_now.setattr(PlatformClient, "begin", begun)
        for_now.setattr(session, "sleep", decide)
        return insula("login", *words)


def expire() -> None:
    login = read_login()
    assert login is not None
    write_login(login.model_copy(update={"expires_at": 0.0}))


def test_a_person_signs_in_asks_and_signs_out(live: Live, file: Path, monkeypatch: pytest.MonkeyPatch):
    done = sign_in(live, monkeypatch)
    assert done.exit_code == 0, done.output
    assert f"Open {live.url}/device?user_code=" in done.output
    assert "signed in to Acme (acme) as owner" in done.output
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(file.parent.stat().st_mode) == 0o700
    kept = json.loads(file.read_text())
    assert kept["access_token"] not in done.output
    who = json.loads(insula("whoami", "--json").output)
    assert (who["email"], who["tenant"], who["platform"]) == ("ada@example.com", "acme", live.url)
    assert "ada@example.com" in insula("whoami").output
    devices = insula("api", "get", DEVICES)
    assert devices.exit_code == 0, devices.output
    assert "items" in json.loads(devices.output)
    assert f"signed out of {live.url}" in insula("logout").output
    assert not file.exists()
    assert live.get("/api/v1/tenants/acme/probe", kept["access_token"]).status_code == 401
    assert "you were not signed in" in insula("logout").output


def test_another_process_finds_the_login_and_an_error_is_its_exit_code(
    live: Live, file: Path, monkeypatch: pytest.MonkeyPatch
):
    sign_in(live, monkeypatch)
    missing = subprocess.run(
        [sys.executable, "-m", "insula_platform", "api", "GET", "/api/v1/tenants/globex/devices"],
        env=dict(os.environ),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert missing.returncode == 1
    assert json.loads(missing.stderr)["type"] == "/problems/not-found"
    assert missing.stdout == ""


def test_the_tenant_may_be_named_and_the_scopes_be_fewer(live: Live, monkeypatch: pytest.MonkeyPatch):
    done = sign_in(
        live, monkeypatch, "--tenant", "globex", "--scope", "devices:read", email="erin@example.com"
    )
    assert "signed in to Globex (globex) as viewer" in done.output, done.output
    assert insula("api", "GET", DEVICES).exit_code == 0
    refused = insula("api", "GET", "/api/v1/tenants/{tenant}/audit")
    assert refused.exit_code == 1
    assert "insufficient-scope" in refused.stderr


def test_a_new_login_ends_the_one_before(live: Live, file: Path, monkeypatch: pytest.MonkeyPatch):
    sign_in(live, monkeypatch)
    before = json.loads(file.read_text())["access_token"]
    sign_in(live, monkeypatch, email="victor@example.com")
    assert live.get("/api/v1/tenants/acme/probe", before).status_code == 401
    assert json.loads(insula("whoami", "--json").output)["role"] == "viewer"


def test_denied_in_the_browser_nothing_is_kept(live: Live, file: Path, monkeypatch: pytest.MonkeyPatch):
    denied = sign_in(live, monkeypatch, decision="deny")
    assert isinstance(denied.exception, NotSignedIn)
    assert not file.exists()


def test_of_eight_commands_at_once_one_refreshes_and_all_go_on(live: Live, monkeypatch: pytest.MonkeyPatch):
    sign_in(live, monkeypatch)
    expire()
    with live.deployment.databases.core() as core:
        made = core.scalar(text("SELECT count(*) FROM oauth_refresh_tokens"))
    with ThreadPoolExecutor(8) as pool:
        logins = list(pool.map(lambda _: current_login(), range(8)))
    assert len({login.access_token.get_secret_value() for login in logins}) == 1
    with live.deployment.databases.core() as core:
        assert core.scalar(text("SELECT count(*) FROM oauth_refresh_tokens")) == (made or 0) + 1
    assert insula("api", "GET", DEVICES).exit_code == 0


def test_a_login_that_was_ended_elsewhere_is_forgotten(
    live: Live, file: Path, monkeypatch: pytest.MonkeyPatch
):
    sign_in(live, monkeypatch)
    with live.deployment.databases.core() as core:
        core.execute(text("UPDATE oauth_grants SET revoked_at = now() WHERE client_id = 'insula-cli'"))
    assert insula("api", "GET", DEVICES).exit_code == 1, "the next request finds it"
    expire()
    with pytest.raises(NotSignedIn, match="insula login"):
        current_login()
    assert not file.exists()
    with pytest.raises(NotSignedIn, match="you are not signed in"):
        current_login()


def test_the_token_is_sent_to_its_platform_alone(live: Live, monkeypatch: pytest.MonkeyPatch):
    sign_in(live, monkeypatch)
    for path in ("https://evil.example/", "//evil.example/", "evil", "@evil.example/"):
        refused = insula("api", "GET", path)
        assert isinstance(refused.exception, InsulaError), path
    # RFC 8414, section 3.3: the issuer must be the one that was asked.
    elsewhere = live.url.replace("127.0.0.1", "localhost")
    with PlatformClient(elsewhere) as client, pytest.raises(PlatformError, match="says it is"):
        client.begin(None, None)
    refused = insula("login", "--url", "http://insula.example.com")
    assert "use https" in str(refused.exception)


def test_a_file_that_others_can_read_is_not_used(live: Live, file: Path, monkeypatch: pytest.MonkeyPatch):
    sign_in(live, monkeypatch)
    file.chmod(0o644)
    with pytest.raises(ConfigurationError, match="others can read"):
        current_login()


def test_a_platform_that_is_away_is_named(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("INSULA_PUBLIC_URL", "http://127.0.0.1:1")
    away = insula("login")
    assert "http://127.0.0.1:1 does not answer" in str(away.exception)
