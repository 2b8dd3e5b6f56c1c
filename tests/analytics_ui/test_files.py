"""Readings as files: the API's own formats, streamed to who is signed in, for what they may read."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from threading import Event

import httpx

from insula_analytics_ui.files import ASKED_AT_ONCE
from tests.analytics_ui.conftest import Ui
from tests.analytics_ui.fake_platform import GIL, FakePlatform
from tests.waiting import eventually

PERIOD = "from=2026-11-20T06:00:00Z&to=2026-11-20T07:00:00Z&bucket=30m&aggregate=mean"


def test_a_file_is_what_the_api_gives_for_the_same_question(ui: Ui, platform: FakePlatform):
    with ui.browser() as browser:
        ui.sign_in(browser)
        answer = browser.get(f"/files/readings.csv?point=100&point=110&{PERIOD}&limit=1")
        assert answer.headers["content-type"].startswith("text/csv")
        assert answer.headers["content-disposition"] == 'attachment; filename="readings.csv"'
        token = next(iter(platform.access_tokens))
        own = httpx.get(
            f"{platform.url}/api/v1/tenants/acme/readings?point=100&point=110&{PERIOD}",
            headers={"Authorization": f"Bearer {token}", "Accept": "text/csv"},
        )
        assert answer.content == own.content
        assert len(answer.text.splitlines()) == 1 + 2 * 2


def test_without_a_session_there_is_no_file(ui: Ui, platform: FakePlatform):
    answer = httpx.get(f"{ui.url}/files/readings.csv?point=100&{PERIOD}")
    assert answer.status_code == 303
    assert "/auth/login" in answer.headers["location"]
    assert platform.counts["readings"] == 0


def test_a_file_is_asked_for_with_the_persons_own_token(ui: Ui, platform: FakePlatform):
    with ui.browser() as browser:
        ui.sign_in(browser, GIL)
        platform.access_tokens.clear()  # revoked: it is renewed, once, and the file comes
        answer = browser.get(f"/files/readings.csv?point=5100&{PERIOD}")
        assert answer.status_code == 200
        assert platform.counts["refresh_token"] == 1
        assert {person.tenant for person in platform.access_tokens.values()} == {"globex"}


def test_what_the_api_refuses_is_told_in_words_and_in_the_browsers_language(ui: Ui, platform: FakePlatform):
    with ui.browser() as browser:
        ui.sign_in(browser)
        platform.faults["api_status"] = 403
        answer = browser.get(
            f"/files/readings.parquet?point=100&{PERIOD}", headers={"Accept-Language": "fr-BE,en;q=0.5"}
        )
        assert answer.status_code == 403
        assert 'lang="fr"' in answer.text
        assert "Votre rôle ne vous permet pas de lire ces données" in answer.text
        assert browser.get(f"/files/readings.xlsx?point=100&{PERIOD}").status_code == 404


def test_who_asks_for_many_files_takes_nobodys_turn(ui: Ui, platform: FakePlatform):
    """Each that waits for the API holds a thread, by which others sign in."""
    answered = Event()
    platform.counts.clear()
    platform.faults["held"] = answered
    path = f"/files/readings.csv?point=100&{PERIOD}"
    with ui.browser() as anna, ui.browser() as gil, ThreadPoolExecutor(ASKED_AT_ONCE) as threads:
        ui.sign_in(anna)
        ui.sign_in(gil, GIL)
        try:
            asked = [threads.submit(anna.get, path, timeout=30) for _ in range(ASKED_AT_ONCE)]
            eventually(lambda: platform.counts["readings"] == ASKED_AT_ONCE)
            del platform.faults["held"]
            refused = anna.get(path)
            assert refused.status_code == 429
            assert "Take the file when the others have begun." in refused.text
            assert gil.get(path.replace("100", "5100")).status_code == 200
        finally:
            answered.set()
        assert [each.result().status_code for each in asked] == [200] * ASKED_AT_ONCE
        assert anna.get(path).status_code == 200
