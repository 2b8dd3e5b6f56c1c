"""What this process holds once for all: settings, sessions, the provider, connections to the platform."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from http.cookiejar import CookieJar, DefaultCookiePolicy

import httpx
import streamlit as st

from insula_analytics_ui.cookies import session_cookie
from insula_analytics_ui.errors import SessionEnded
from insula_analytics_ui.provider import Provider
from insula_analytics_ui.sessions import Session, SessionStore, Tokens
from insula_analytics_ui.settings import UiSettings


@dataclass(frozen=True)
class Backend:
    """What all requests and scripts of this process share; only `sessions` holds what is one person's."""

    settings: UiSettings
    http: httpx.Client
    provider: Provider
    sessions: SessionStore

    def access_token(self, session: Session, *, refused: str | None = None) -> str:
        """A bearer token of `session`, renewed when it is old or the API has just `refused` it."""

        def renew(refresh_token: str) -> Tokens:
            return self.provider.renew(refresh_token, session.tokens.id_token)

        return self.sessions.access_token(session, renew, refused=refused)


def build(settings: UiSettings) -> Backend:
    """A backend of its own; a process needs one."""
    # A cookie set in answer to one person must never travel with another's request.
    no_cookies = CookieJar(DefaultCookiePolicy(allowed_domains=[]))
    http = httpx.Client(timeout=httpx.Timeout(15, connect=5), cookies=no_cookies)
    return Backend(
        settings, http, Provider(settings, http), SessionStore(lifetime=settings.ui_session_hours * 3600)
    )


@cache
def backend() -> Backend:
    """The backend of this process, from the environment."""
    return build(UiSettings())


def current_session() -> Session:
    """The session of the browser that this script runs for. Raises `SessionEnded`."""
    here = backend()
    session = here.sessions.find(st.context.cookies.get(session_cookie(here.settings)))
    if session is None:
        raise SessionEnded
    return session
