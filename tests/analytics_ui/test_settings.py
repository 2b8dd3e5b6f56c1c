"""Settings: where they come from, and what a wrong one says."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from pydantic import ValidationError

from insula_analytics_ui.server import options
from insula_analytics_ui.settings import UiSettings


def test_the_secret_may_be_in_a_file_and_is_never_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    file = tmp_path / "secret"
    file.write_text("from-a-file\n")
    monkeypatch.setenv("INSULA_UI_CLIENT_SECRET_FILE", str(file))
    settings = UiSettings()
    assert settings.ui_client_secret.get_secret_value() == "from-a-file"
    assert "from-a-file" not in repr(settings)
    monkeypatch.setenv("INSULA_UI_CLIENT_SECRET", "from-the-environment")
    assert UiSettings().ui_client_secret.get_secret_value() == "from-the-environment"


def test_an_address_loses_its_last_slash_and_keeps_its_port():
    settings = UiSettings(platform_url="https://insula.example:8443/", ui_client_secret="x")
    assert settings.platform_url == settings.inside_url == "https://insula.example:8443"


@pytest.mark.parametrize(
    "url", ["insula.example", "ftp://insula.example", "https://insula.example/ui", "https://a@b/"]
)
def test_an_address_that_is_not_one_of_a_host_is_refused(url: str):
    with pytest.raises(ValidationError, match="ui_url"):
        UiSettings(ui_url=url, ui_client_secret="x")


def test_starting_with_wrong_settings_names_them_and_shows_no_secret():
    environment = {
        "PATH": os.environ["PATH"],
        "INSULA_UI_URL": "not-a-url",
        "INSULA_UI_SESSION_HOURS": "s3cret",
    }
    ended = subprocess.run(
        [sys.executable, "-m", "insula_analytics_ui"],
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert ended.returncode == 2
    assert "INSULA_UI_URL: Value error, give a URL such as https://building.example.org" in ended.stderr
    assert "INSULA_UI_CLIENT_SECRET: Field required" in ended.stderr
    assert "s3cret" not in ended.stderr


def test_streamlit_is_told_to_be_silent_and_to_offer_no_tools():
    chosen = options(UiSettings(ui_client_secret="x"), address="127.0.0.1", port=1)
    assert chosen["browser.gatherUsageStats"] is False
    assert chosen["client.toolbarMode"] == "minimal"
    assert chosen["server.enableAgentApi"] is False
    assert chosen["server.enableStaticServing"] is False
    assert chosen["client.allowedOrigins"] == ["http://127.0.0.1:8501"]
