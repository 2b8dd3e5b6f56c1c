"""Sessions and tokens: renewed once, ended when refused, seen by nobody else."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest

from insula_analytics_ui.api.client import Api
from insula_analytics_ui.api.model import spaces
from insula_analytics_ui.api.readings import latest
from insula_analytics_ui.errors import ApiRefused, PlatformAway, SessionEnded
from insula_analytics_ui.sessions import Person, SessionStore, Tokens
from tests.analytics_ui.conftest import COOKIE, Ui
from tests.analytics_ui.fake_platform import ANNA, GIL, FakePlatform

PERSON = Person("anna", "Anna", None, "acme", "Acme")


def tokens(access: str = "access", expires_at: float = 600.0, refresh: str | None = "refresh") -> Tokens:
    return Tokens(access, expires_at, refresh, "id")


def test_a_token_is_renewed_shortly_before_its_end_and_once_however_many_ask(ui: Ui, platform: FakePlatform):
    platform.faults["token_delay"] = 0.2
    with ui.browser() as browser:
        ui.sign_in(browser)
        session = ui.session_of(browser)
        first = session.tokens.access_token
        assert ui.backend.access_token(session) == first
        session.tokens = replace(session.tokens, expires_at=time.time() + 50)
        everybody = threading.Barrier(8)

        def ask() -> str:
            everybody.wait(10)
            return ui.backend.access_token(session)

        with ThreadPoolExecutor(8) as scripts:
            given = {future.result(20) for future in [scripts.submit(ask) for _ in range(8)]}
    assert len(given) == 1
    assert given != {first}
    assert platform.counts["refresh_token"] == 1


def test_a_refresh_that_is_refused_ends_the_session(ui: Ui, platform: FakePlatform):
    with ui.browser() as browser:
        ui.sign_in(browser)
        session = ui.session_of(browser)
        session.tokens = replace(session.tokens, expires_at=time.time() + 50)
        platform.faults["refuse_refresh"] = True
        with pytest.raises(SessionEnded):
            ui.backend.access_token(session)
        assert browser.get("/").status_code == 303


def test_a_platform_that_is_away_ends_no_session():
    store = SessionStore(3600, clock=lambda: 570)
    session = store.find(store.begin(PERSON, tokens()))
    assert session

    def away(_: str) -> Tokens:
        raise PlatformAway

    with pytest.raises(PlatformAway):
        store.access_token(session, away)
    assert store.access_token(session, lambda _: tokens("new", 1200)) == "new"


def test_without_a_refresh_token_a_session_ends_with_its_access_token():
    store = SessionStore(3600, clock=lambda: 570)
    cookie = store.begin(PERSON, tokens(refresh=None))
    session = store.find(cookie)
    assert session
    with pytest.raises(SessionEnded):
        store.access_token(session, lambda _: tokens())
    assert store.find(cookie) is None


def test_the_store_is_bounded_and_drops_whom_it_has_not_seen_for_longest():
    store = SessionStore(3600, maximum=2)
    first, second = store.begin(PERSON, tokens()), store.begin(PERSON, tokens())
    assert store.find(first)
    third = store.begin(PERSON, tokens())
    assert [bool(store.find(cookie)) for cookie in (first, second, third)] == [True, False, True]


def test_a_session_shows_no_token_when_it_is_printed():
    store = SessionStore(3600)
    session = store.find(store.begin(PERSON, tokens("secret-access", refresh="secret-refresh")))
    assert "secret" not in repr(session)
    assert "Anna" in repr(session)


def test_a_token_that_the_api_turns_down_is_renewed_once_and_the_answer_arrives(
    ui: Ui, platform: FakePlatform
):
    with ui.browser() as browser:
        ui.sign_in(browser)
        session = ui.session_of(browser)
        platform.access_tokens.clear()
        assert [space.name for space in spaces(Api(ui.backend, session))][:1] == ["Reception"]
        assert platform.counts["refresh_token"] == 1

        platform.faults["api_status"] = 401
        with pytest.raises(SessionEnded):
            spaces(Api(ui.backend, session))
        assert ui.session_of(browser) is None


def test_each_person_reads_their_own_tenant_and_no_other(ui: Ui):
    with ui.browser() as annas, ui.browser() as gils:
        ui.sign_in(annas, ANNA)
        ui.sign_in(gils, GIL)
        anna, gil = Api(ui.backend, ui.session_of(annas)), Api(ui.backend, ui.session_of(gils))
        assert {space.building for space in spaces(anna)} == {"Forum"}
        assert {space.building for space in spaces(gil)} == {"Harbour House"}
        assert not latest(anna).keys() & latest(gil).keys()
        assert annas.cookies[COOKIE] != gils.cookies[COOKIE]


@pytest.mark.parametrize(
    ("status", "what"),
    [
        (403, "Your role does not let you read spaces."),
        (404, "The platform has no spaces for you."),
        (429, "Your tenant asks too much at once."),
        (400, "The platform could not answer about spaces: It cannot be done."),
        (503, "The platform does not answer just now."),
    ],
)
def test_an_error_of_the_api_is_a_sentence(ui: Ui, platform: FakePlatform, status: int, what: str):
    with ui.browser() as browser:
        ui.sign_in(browser)
        platform.faults["api_status"] = status
        with pytest.raises((ApiRefused, PlatformAway)) as refused:
            spaces(Api(ui.backend, ui.session_of(browser)))
        assert refused.value.what == what
        assert refused.value.todo
