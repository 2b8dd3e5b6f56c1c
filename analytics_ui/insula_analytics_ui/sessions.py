"""Who is signed in: sessions that live in this server's memory and nowhere else.

The browser holds a random value that means nothing anywhere else; the store knows its hash alone. Tokens are
never written to a disk, a log or a page. When the server restarts the sessions are gone, and each browser is
sent once through the platform's sign-in, which remembers it.
"""

from __future__ import annotations

import hashlib
import secrets
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field

from insula_analytics_ui.errors import SessionEnded

REFRESH_BEFORE = 60.0
"""Seconds before its end at which an access token is renewed."""

MAXIMUM_SESSIONS = 10_000
"""When there are more, the one unused for longest is ended."""


@dataclass(frozen=True)
class Person:
    """Who signed in, and for which tenant."""

    subject: str
    name: str
    email: str | None
    tenant: str
    tenant_name: str


@dataclass(frozen=True)
class Tokens:
    """What the platform issued; `expires_at` is the access token's end in seconds since the epoch."""

    access_token: str = field(repr=False)
    expires_at: float
    refresh_token: str | None = field(repr=False)
    id_token: str = field(repr=False)


@dataclass
class Session:
    """One person in one browser, until `ends_at` (seconds since the epoch)."""

    key: bytes = field(repr=False)
    person: Person
    tokens: Tokens
    ends_at: float
    lock: threading.Lock = field(default_factory=threading.Lock, repr=False)


def _key(cookie: str) -> bytes:
    return hashlib.sha256(cookie.encode()).digest()


class SessionStore:
    """The sessions of this process; safe to use from several threads."""

    def __init__(
        self, lifetime: float, *, maximum: int = MAXIMUM_SESSIONS, clock: Callable[[], float] = time.time
    ) -> None:
        self._lifetime = lifetime
        self._maximum = maximum
        self._clock = clock
        self._lock = threading.Lock()
        self._sessions: OrderedDict[bytes, Session] = OrderedDict()

    def begin(self, person: Person, tokens: Tokens) -> str:
        """Start a session; the value is for the browser's cookie and is kept nowhere."""
        cookie = secrets.token_urlsafe(32)
        session = Session(_key(cookie), person, tokens, self._clock() + self._lifetime)
        with self._lock:
            self._sessions[session.key] = session
            while len(self._sessions) > self._maximum:
                self._sessions.popitem(last=False)
        return cookie

    def find(self, cookie: str | None) -> Session | None:
        """The session that `cookie` stands for, unless it is over or never was."""
        if not cookie:
            return None
        with self._lock:
            session = self._sessions.get(_key(cookie))
            if session is None:
                return None
            if session.ends_at <= self._clock():
                del self._sessions[session.key]
                return None
            self._sessions.move_to_end(session.key)
            return session

    def end(self, session: Session) -> None:
        """Forget a session and its tokens."""
        with self._lock:
            self._sessions.pop(session.key, None)

    def access_token(
        self, session: Session, renew: Callable[[str], Tokens], *, refused: str | None = None
    ) -> str:
        """An access token that is good for a while yet, renewed at most once however many ask.

        `renew` turns a refresh token into new tokens. `refused` is a token that the API has just turned down:
        it is renewed whatever its date. Raises `SessionEnded`, and ends the session, when there is nothing
        to renew with or `renew` raises it; other errors of `renew` leave the session as it was.
        """
        if self._good(session.tokens, refused):
            return session.tokens.access_token
        with session.lock:
            if self._good(session.tokens, refused):
                return session.tokens.access_token
            refresh_token = session.tokens.refresh_token
            if refresh_token is None:
                self.end(session)
                raise SessionEnded
            try:
                session.tokens = renew(refresh_token)
            except SessionEnded:
                self.end(session)
                raise
            return session.tokens.access_token

    def _good(self, tokens: Tokens, refused: str | None) -> bool:
        return tokens.access_token != refused and tokens.expires_at - self._clock() > REFRESH_BEFORE
